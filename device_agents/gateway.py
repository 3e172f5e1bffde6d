"""Putting an agent together from its configuration, and saying how it is."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from device_agents.agent import Agent, Counts
from device_agents.config import AgentConfig
from device_agents.inference import Inference
from device_agents.interpret import Interpreter
from device_agents.latest import LatestValues
from device_agents.memory import resident_bytes
from device_agents.model_store import ReadyModel, ready_model
from device_agents.outbox import Outbox
from device_agents.progress import Progress
from device_agents.sources.base import Source
from device_agents.sources.replay import Recording, ReplaySource
from device_agents.state_dir import StateDir
from device_agents.uplink import Uplink
from edge_sdk import __version__
from edge_sdk.errors import ConfigError, SignalError
from edge_sdk.files import sha256_hex
from edge_sdk.messages import Status
from edge_sdk.windowing import stream_format, windower_for

_MIB = 1024 * 1024
_log = logging.getLogger(__name__)


class Gateway:
    """Everything one agent process holds. Open it with `open_gateway`."""

    def __init__(self, config: AgentConfig, cleanup: ExitStack, *, source: Source | None) -> None:
        self._config = config
        self._model = model = load_model(config)
        stream = open_recording(config, model) if source is None else _fitting(source, model)
        state = StateDir(config.state_dir)
        cleanup.callback(state.close)
        self._outbox = Outbox(state.outbox_path, max_rows=config.outbox.max_rows, max_bytes=config.outbox.max_bytes)
        cleanup.callback(self._outbox.close)
        self._progress = Progress(
            self._outbox,
            stream=config.stream,
            identity=_identity(config, model, stream),
            start_time_ns=time.time_ns() if stream.start_time_ns is None else stream.start_time_ns,
        )
        self._source = stream if not isinstance(stream, Recording) else _replay(config, stream, self._progress)
        self._counts, self._began_s = Counts(), time.monotonic()
        self._assemble(cleanup)

    def _assemble(self, cleanup: ExitStack) -> None:
        manifest, config = self._model.manifest, self._config
        self._inference = Inference(self._model.runtime, reads=manifest.input, answers=manifest.output)
        self._interpreter = Interpreter(
            self._inference,
            answers=manifest.output,
            model=self._model.ref,
            signal=self._source.format,
            windows=manifest.input.windows,
            clock=self._source.clock,
            stream=config.stream,
            subject=config.subject,
        )
        latest = LatestValues()
        self.uplink = Uplink(
            config.broker, topics=config.topics, outbox=self._outbox, latest=latest, status=self.status
        )
        cleanup.callback(self.uplink.stop)
        self.agent = Agent(
            source=self._source,
            windower=windower_for(manifest.input),
            interpreter=self._interpreter,
            progress=self._progress,
            outbox=self._outbox,
            uplink=self.uplink,
            latest=latest,
            counts=self._counts,
        )
        if self._progress.resume_index:
            _log.info("going on where the stream was left, after %d samples", self._progress.resume_index)

    def status(self) -> Status:
        """Say how this device is."""
        return Status(
            online=True,
            epoch=self._outbox.epoch,
            agent_version=__version__,
            runtime=self._model.ref.runtime,
            model_id=self._model.ref.id,
            model_version=self._model.ref.version,
            bundle_sha256=self._model.ref.bundle_sha256,
            hardware=self._config.hardware,
            backlog=self._outbox.backlog,
            windows=self._counts.windows,
            rejected_windows=sum(self._interpreter.rejected.values()),
            resident_bytes=resident_bytes(),
            inference_us_p50=round(self._inference.time_us(50), 1),
            at_ns=time.time_ns(),
        )

    def report(self) -> dict[str, Any]:
        """Return the run's figures, under the names that scripts may rely on."""
        wall_s = time.monotonic() - self._began_s
        signal_s = self._counts.samples / self._source.format.sample_rate_hz
        return {
            "observations": self._outbox.last_seq,
            "epoch": self._outbox.epoch,
            "backlog": self._outbox.backlog,
            "samples": self._counts.samples,
            "start_time_ns": self._source.start_time_ns,
            "windows": self._counts.windows,
            "beats": dict(self._interpreter.decisions),
            "rejected_windows": dict(self._interpreter.rejected),
            "wall_s": round(wall_s, 3),
            "real_time_factor": round(signal_s / wall_s, 1),
            "inference_us_p50": round(self._inference.time_us(50), 2),
            "inference_us_p99": round(self._inference.time_us(99), 2),
            "resident_peak_mib": round(resident_bytes(peak=True) / _MIB, 1),
            "runtime": self._model.ref.runtime,
            "model": f"{self._model.ref.id} {self._model.ref.version}",
        }


@contextmanager
def open_gateway(config: AgentConfig, *, source: Source | None = None) -> Iterator[Gateway]:
    """Put everything together; at the end say goodbye to the broker and close the outbox.

    Args:
        config: What a person configured.
        source: Where samples come from; ``None`` for the one that is configured.

    Raises:
        EdgeError: Whatever is wrong; then nothing is left half-made.
    """
    with ExitStack() as cleanup:
        yield Gateway(config, cleanup, source=source)


def load_model(config: AgentConfig) -> ReadyModel:
    """Return the configured model, ready to see a patient."""
    return ready_model(
        config.bundle,
        trusted_keys=config.trusted_keys,
        hardware=config.hardware,
        backend=config.runtime.backend,
        threads=config.runtime.threads,
        engines=config.state_dir / "engines",
    )


def open_recording(config: AgentConfig, model: ReadyModel) -> Recording:
    """Return the configured recording, if it fits the model."""
    if config.source is None:
        raise ConfigError("the agent's configuration names no source", remedy="add [source]")
    return Recording(config.source.record, wanted=stream_format(model.manifest.input), channel=config.source.channel)


def _fitting(source: Source, model: ReadyModel) -> Source:
    has, wanted = source.format, stream_format(model.manifest.input)
    if (has.kind, has.unit, has.sample_rate_hz) != (wanted.kind, wanted.unit, wanted.sample_rate_hz):
        raise SignalError(
            f"the source delivers {has.kind} in {has.unit} at {has.sample_rate_hz:g} Hz, and the model reads "
            f"{wanted.kind} in {wanted.unit} at {wanted.sample_rate_hz:g} Hz",
            remedy="convert the samples in the source, or use a model for them",
        )
    return source


def _replay(config: AgentConfig, recording: Recording, progress: Progress) -> ReplaySource:
    told = config.source
    assert told is not None  # noqa: S101  # a recording is opened only from there
    return ReplaySource(
        recording,
        speed=told.speed,
        block_s=told.block_s,
        start_time_ns=progress.start_time_ns,
        resume_index=progress.resume_index,
    )


def _identity(config: AgentConfig, model: ReadyModel, stream: Recording | Source) -> str:
    """Name everything that a stream's observations depend on: when it is the same, they come out the same."""
    samples = stream.identity or f"live since {stream.start_time_ns}"
    parts = (__version__, samples, config.source and config.source.block_s, config.subject, model.ref)
    return sha256_hex(repr(parts).encode())
