"""Putting an agent together from its configuration, and saying how it is."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from device_agents.agent import Agent, Counts
from device_agents.config import AgentConfig, ReplayConfig, StreamConfig
from device_agents.feeding import Feeder
from device_agents.findings import BankModel
from device_agents.inference import Inference
from device_agents.intake import Intake
from device_agents.latest import LatestValues
from device_agents.memory import resident_bytes
from device_agents.model_store import ReadyModel, ready_model
from device_agents.monitor import Monitor
from device_agents.outbox import Outbox
from device_agents.progress import Progress
from device_agents.source_configs import ReplayedConfig, SerialConfig
from device_agents.sources import opening
from device_agents.sources.base import Feed, Source
from device_agents.sources.ble_central import BleakCentral, Central
from device_agents.sources.ble_source import BleSource, Radio
from device_agents.sources.replay import Recording, Replayable, ReplaySource
from device_agents.sources.serial_source import SerialSource
from device_agents.state_dir import StateDir
from device_agents.uplink import Uplink
from edge_sdk import __version__
from edge_sdk.errors import ConfigError
from edge_sdk.files import sha256_hex
from edge_sdk.messages import Status
from edge_sdk.windowing import stream_format

_MIB = 1024 * 1024
_log = logging.getLogger(__name__)


class Gateway:
    """Everything one agent process holds. Open it with `open_gateway`.

    Attributes:
        intake: Where sources deliver; others may, too.
        monitor: The signal path.
        agent: The loop.
        uplink: Delivers what was found.
        counts: What was done.
    """

    def __init__(
        self,
        config: AgentConfig,
        cleanup: ExitStack,
        *,
        sources: Mapping[str, Source],
        feeds: Sequence[Feed],
        central: Central | None,
    ) -> None:
        self._config = config
        self._models = load_models(config)
        self._inference = {name: _inference(model) for name, model in self._models.items()}
        self.monitor = Monitor({name: self._bank_model(name) for name in self._models}, alarms=config.alarms)
        recordings = open_configured(config, self._models)
        feeds = [*feeds, *open_feeds(config, self._models)]
        for name, source in sources.items():
            self.monitor.check(name, source.format)
        if not (recordings or sources or feeds or config.wearables):
            raise no_source()
        if config.wearables and central is None:
            central = BleakCentral()
        state = StateDir(config.state_dir)
        cleanup.callback(state.close)
        self._outbox = Outbox(state.outbox_path, max_rows=config.outbox.max_rows, max_bytes=config.outbox.max_bytes)
        cleanup.callback(self._outbox.close)
        self.intake, self.counts, self._began_s = Intake(), Counts(), time.monotonic()
        self._feeder = Feeder(self.intake)
        self._progress: dict[str, Progress] = {}
        self._start_time_ns: dict[str, int] = {}
        for stream in config.configured_streams:
            self._add_configured(stream, recordings[stream.name])
        for name, source in sources.items():
            self._start_time_ns[name] = source.start_time_ns
            self._feeder.add(name, source, subject=config.subject)
        for number, feed in enumerate(feeds, start=1):
            self._feeder.add_feed(f"feed {number}", feed)
        if central is not None:
            radio = Radio(central)
            cleanup.callback(radio.close)
            for wearable in config.wearables:
                self._feeder.add_wearable(
                    wearable.name, BleSource(wearable.wearable, radio=radio), subject=wearable.subject
                )
        several = bool(feeds) or len(config.configured_streams) + len(config.wearables) > 1
        latest = LatestValues(several_streams=several)
        self._assemble(cleanup, latest)

    def _assemble(self, cleanup: ExitStack, latest: LatestValues) -> None:
        config = self._config
        self.uplink = Uplink(
            config.broker, topics=config.topics, outbox=self._outbox, latest=latest, status=self.status
        )
        cleanup.callback(self.uplink.stop)
        self.agent = Agent(
            intake=self.intake,
            monitor=self.monitor,
            models={stream.name: stream.models for stream in config.configured_streams if stream.models},
            progress=self._progress,
            outbox=self._outbox,
            uplink=self.uplink,
            latest=latest,
            counts=self.counts,
        )
        cleanup.callback(self._feeder.stop)

    def run(self, *, beat: Callable[[], None] = lambda: None) -> None:
        """Process every stream to its end, or until `stop`; call ``beat`` several times a second while the work moves.

        Raises:
            EdgeError: The outbox or the uplink failed, or every source did.
        """
        self._feeder.start()
        self.agent.run(until=self._feeder.ended, beat=beat)
        self._feeder.raise_if_all_failed()

    def stop(self) -> None:
        """End `run` and every wait. For signal handlers and other threads."""
        self.agent.stop()

    def status(self) -> Status:
        """Say how this device is."""
        first = next(iter(self._models.values())).ref
        return Status(
            online=True,
            epoch=self._outbox.epoch,
            agent_version=__version__,
            runtime=first.runtime,
            model_id=first.id,
            model_version=first.version,
            bundle_sha256=first.bundle_sha256,
            hardware=self._config.hardware,
            backlog=self._outbox.backlog,
            windows=self.monitor.windows,
            rejected_windows=sum(self.monitor.rejected.values()),
            resident_bytes=resident_bytes(),
            inference_us_p50=round(self._time_us(50), 1),
            at_ns=time.time_ns(),
        )

    def report(self) -> dict[str, Any]:
        """Return the run's figures, under the names that scripts may rely on."""
        wall_s = time.monotonic() - self._began_s
        first = next(iter(self._models.values()))
        signal_s = self.counts.samples / stream_format(first.manifest.input).sample_rate_hz
        return {
            "observations": self._outbox.last_seq,
            "epoch": self._outbox.epoch,
            "backlog": self._outbox.backlog,
            "samples": self.counts.samples,
            "start_time_ns": min(self._start_time_ns.values(), default=0),
            "windows": self.monitor.windows,
            "beats": dict(self.monitor.decisions),
            "rejected_windows": dict(self.monitor.rejected),
            "wall_s": round(wall_s, 3),
            "real_time_factor": round(signal_s / wall_s, 1),
            "inference_us_p50": round(self._time_us(50), 2),
            "inference_us_p99": round(self._time_us(99), 2),
            "resident_peak_mib": round(resident_bytes(peak=True) / _MIB, 1),
            "runtime": first.ref.runtime,
            "model": f"{first.ref.id} {first.ref.version}",
        }

    def _bank_model(self, name: str) -> BankModel:
        model = self._models[name]
        return BankModel(
            inference=self._inference[name], reads=model.manifest.input, answers=model.manifest.output, ref=model.ref
        )

    def _time_us(self, percentile: float) -> float:
        return max(inference.time_us(percentile) for inference in self._inference.values())

    def _add_configured(self, stream: StreamConfig, opened: Replayable | SerialSource) -> None:
        if isinstance(opened, SerialSource):
            self._start_time_ns[stream.name] = opened.start_time_ns
            self._feeder.add(stream.name, opened, subject=stream.subject)
        else:
            self._add_recording(stream, opened)

    def _add_recording(self, stream: StreamConfig, recording: Replayable) -> None:
        told, now_ns = stream.source, time.time_ns()
        assert isinstance(told, ReplayedConfig)  # noqa: S101  # every recording's is
        progress = self._progress[stream.name] = Progress(
            self._outbox.position(stream.name),
            identity=_identity(recording.identity, stream, self._models),
            start_time_ns=now_ns if recording.start_time_ns is None else recording.start_time_ns,
        )
        if progress.resume_index:
            _log.info("stream '%s' goes on where it was left, after %d samples", stream.name, progress.resume_index)
        source = ReplaySource(
            recording,
            speed=told.speed,
            block_s=told.block_s,
            start_time_ns=progress.start_time_ns,
            resume_index=progress.resume_index,
        )
        self._start_time_ns[stream.name] = progress.start_time_ns
        self._feeder.add(stream.name, source, subject=stream.subject)


@contextmanager
def open_gateway(
    config: AgentConfig, *, source: Source | None = None, feeds: Sequence[Feed] = (), central: Central | None = None
) -> Iterator[Gateway]:
    """Put everything together; at the end say goodbye to the broker and close the outbox.

    Args:
        config: What a person configured.
        source: Where samples come from, as the configuration's ``stream``; ``None`` for what is configured.
        feeds: What delivers streams of its own.
        central: The Bluetooth radio; ``None`` for this machine's, where wearables are configured.

    Raises:
        EdgeError: Whatever is wrong; then nothing is left half-made.
    """
    with ExitStack() as cleanup:
        yield Gateway(
            config, cleanup, sources={} if source is None else {config.stream: source}, feeds=feeds, central=central
        )


def load_models(config: AgentConfig) -> dict[str, ReadyModel]:
    """Return the configured models by name, ready to see a patient."""
    return {
        name: ready_model(
            bundle,
            trusted_keys=config.trusted_keys,
            hardware=config.hardware,
            backend=config.runtime.backend,
            threads=config.runtime.threads,
            engines=config.state_dir / "engines",
        )
        for name, bundle in config.bundles.items()
    }


def open_configured(config: AgentConfig, models: Mapping[str, ReadyModel]) -> dict[str, Replayable | SerialSource]:
    """Return the recording or the port of every configured stream, by the stream's name, if it fits."""
    return {stream.name: _open(stream, models) for stream in config.configured_streams}


def no_source() -> ConfigError:
    """Return the error of an agent that nothing is to be heard from."""
    return ConfigError("the agent's configuration names no source", remedy="add [source], [[streams]] or [[feeds]]")


def _open(stream: StreamConfig, models: Mapping[str, ReadyModel]) -> Replayable | SerialSource:
    """Return a stream's recording or port, if it fits the first model that reads it."""
    told, wanted = stream.source, stream_format(models[next(iter(stream.models or models))].manifest.input)
    if isinstance(told, ReplayConfig):
        return Recording(told.record, wanted=wanted, channel=told.channel)
    if isinstance(told, SerialConfig):
        return opening.open_serial(stream.name, told, wanted=wanted)
    return opening.open_recording(told, wanted=wanted)


def open_feeds(config: AgentConfig, models: Mapping[str, ReadyModel]) -> list[Feed]:
    """Return what delivers streams of its own."""
    wanted = stream_format(next(iter(models.values())).manifest.input) if config.feeds else None
    return [
        opening.open_feed(
            feed, wanted=wanted, broker=config.broker, client_id=f"{config.site}-{config.device}-feed-{number}"
        )
        for number, feed in enumerate(config.feeds, start=1)
        if wanted
    ]


def _inference(model: ReadyModel) -> Inference:
    return Inference(model.runtime, reads=model.manifest.input, answers=model.manifest.output)


def _identity(samples: str, stream: StreamConfig, models: Mapping[str, ReadyModel]) -> str:
    """Name everything that a stream's observations depend on: when it is the same, they come out the same."""
    refs = [models[name].ref for name in stream.models or models]
    return sha256_hex(repr((__version__, samples, stream.subject, refs)).encode())
