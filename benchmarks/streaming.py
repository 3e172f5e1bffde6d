"""What many live streams cost on one computer, beside a bare loop on the same model in the same run.

Every line is a process of its own: the whole agent, fed in real time with a real ECG, four blocks a second and stream,
each stream at another place of the recording. Nothing listens for what it finds, so it ends in the outbox. The bare
loop (``set_tensor``, ``invoke``, ``get_tensor`` on inputs that are quantized already) runs before and after, in turns.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from rich.console import Console
from rich.progress import track
from rich.table import Table

from device_agents.config import AgentConfig, BrokerConfig, RuntimeConfig
from device_agents.gateway import Gateway, open_gateway
from device_agents.memory import resident_bytes
from device_agents.sources.base import Sink
from device_agents.sources.replay import Recording
from edge_sdk.bundle import open_bundle
from edge_sdk.observation import ClockQuality
from edge_sdk.signals import SampleBlock, SignalFormat
from edge_sdk.signing import load_public_key
from edge_sdk.tensors import FloatArray
from edge_sdk.windowing import stream_format

PATH = click.Path(path_type=Path)
HARDWARE = "raspberry-pi-4b"
BLOCKS_PER_S = 4
TICK_S = 0.025
WARM_UP_S = 8.0  # a beat's class waits for the next beat, and the first beats teach the detector
KIB, MIB = 1024, 1024 * 1024


@dataclass
class Ward:
    """Implements `Feed`: one recording as many patients, each at another place of it.

    Attributes:
        format: Of every stream.
        signal: The recording, shape (n,).
        streams: How many.
        late_s: The longest time by which this feed itself was late.
    """

    format: SignalFormat
    signal: FloatArray
    streams: int
    late_s: float = 0.0

    def __post_init__(self) -> None:
        self._closed = threading.Event()
        self._block = round(self.format.sample_rate_hz / BLOCKS_PER_S)
        self._places = np.linspace(0, len(self.signal), self.streams, endpoint=False).astype(int)
        self._endless = np.concatenate([self.signal, self.signal[: self._block]])[:, np.newaxis]

    def run(self, sink: Sink) -> None:
        """Deliver until closed."""
        names = [f"bed-{number}" for number in range(self.streams)]
        began_ns, began_s = time.time_ns(), time.monotonic()
        for name in names:
            sink.open(name, format=self.format, clock=ClockQuality.SYNCHRONIZED, start_time_ns=began_ns, subject=name)
        turns = round(1 / BLOCKS_PER_S / TICK_S)
        tick = 0
        while not self._closed.is_set():
            due_s = began_s + (tick + turns) * TICK_S
            if self._closed.wait(max(0.0, due_s - time.monotonic())):
                break
            self.late_s = max(self.late_s, time.monotonic() - due_s)
            number, turn = divmod(tick, turns)
            start = number * self._block
            start_ns = began_ns + round(start * 1e9 / self.format.sample_rate_hz)
            for stream in range(turn, self.streams, turns):
                at = (self._places[stream] + start) % len(self.signal)
                samples = self._endless[at : at + self._block]
                sink.push(names[stream], SampleBlock(start_index=start, start_time_ns=start_ns, samples=samples))
            tick += 1
        for name in names:
            sink.close(name, "the benchmark is over")

    def close(self) -> None:
        """End it."""
        self._closed.set()


class Waits:
    """Times from a block's arrival to its observations in the outbox, one for each observation."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def note(self, seconds: float, observations: int) -> None:
        """Take the time of some observations."""
        self.seconds += [seconds] * observations


@click.group()
def main() -> None:
    """Measure streaming."""


@main.command()
@click.option("--bundle", type=PATH, required=True, multiple=True, help="Bundle, .edge; several for several models.")
@click.option("--trust", type=PATH, required=True, help="signing.pub of its maker.")
@click.option("--record", type=PATH, required=True, help="WFDB record, without its extension.")
@click.option(
    "--streams", type=int, multiple=True, default=(1, 100, 1000), show_default=True, help="How many at a time."
)
@click.option("--seconds", type=float, default=20.0, show_default=True, help="How long each is measured.")
@click.option("--json", "json_path", type=PATH, help="File to write the figures to.")
def compare(  # a command's options
    bundle: tuple[Path, ...],
    trust: Path,
    record: Path,
    streams: tuple[int, ...],
    seconds: float,
    json_path: Path | None,
) -> None:
    """Measure every number of streams with every model, print, and write JSON when asked to."""
    runs = [(model, count) for model in bundle for count in streams]
    figures = [
        in_a_process(model, trust, record, streams=count, seconds=seconds)
        for model, count in track(runs, description="stream", console=Console(stderr=True))
    ]
    show(figures)
    if json_path:
        json_path.write_text(json.dumps(figures, indent=2) + "\n")


@main.command()
@click.option("--bundle", type=PATH, required=True)
@click.option("--trust", type=PATH, required=True)
@click.option("--record", type=PATH, required=True)
@click.option("--streams", type=int, required=True)
@click.option("--seconds", type=float, required=True)
def one(bundle: Path, trust: Path, record: Path, streams: int, seconds: float) -> None:
    """Measure one number of streams in this process, and print the figures as a line of JSON."""
    click.echo(json.dumps(measured(bundle, trust, record, streams=streams, seconds=seconds)))


def in_a_process(bundle: Path, trust: Path, record: Path, *, streams: int, seconds: float) -> dict[str, Any]:
    """Return what `measured` does in a fresh process, whose memory is its own."""
    words = [sys.executable, __file__, "one", "--bundle", bundle, "--trust", trust, "--record", record]
    words += ["--streams", str(streams), "--seconds", str(seconds)]
    said = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout
    figures: dict[str, Any] = json.loads(said.splitlines()[-1])
    return figures


def measured(bundle: Path, trust: Path, record: Path, *, streams: int, seconds: float) -> dict[str, Any]:
    """Return the figures of one number of streams."""
    with tempfile.TemporaryDirectory() as folder:
        config = AgentConfig(
            site="bench",
            device="bench",
            subject="bench",
            hardware=HARDWARE,
            state_dir=Path(folder) / "state",
            bundle=bundle,
            trusted_keys=(trust,),
            broker=BrokerConfig(url="mqtt://127.0.0.1:1"),
            runtime=RuntimeConfig(backend="litert"),
        )
        manifest = open_bundle(bundle, trusted=[load_public_key(trust)]).manifest
        recording = Recording(record, wanted=stream_format(manifest.input))
        ward = Ward(recording.format, np.concatenate(list(recording.reader.values(block=36_000))), streams)
        bare = [bare_us(config)]
        with open_gateway(config, feeds=[ward]) as gateway:
            figures = live(gateway, ward, seconds=seconds)
        bare.append(bare_us(config))
    bare_window_us = sum(bare) / 2
    return {
        "model": f"{manifest.model_id} {manifest.model_version}",
        "streams": streams,
        "bare_us": bare_window_us,
        "ratio": figures["window_us"] / bare_window_us,
        "streams_per_core": streams / figures["cores"],
        **figures,
    }


def live(gateway: Gateway, ward: Ward, *, seconds: float) -> dict[str, Any]:
    """Run the gateway in real time and return what it cost after the warm-up."""
    waits = Waits()
    gateway.counts.waited = waits.note
    worker = threading.Thread(target=gateway.run)
    worker.start()
    time.sleep(WARM_UP_S)
    waits.seconds.clear()
    cpu_s, wall_s, windows = time.process_time(), time.monotonic(), gateway.monitor.windows
    time.sleep(seconds)
    cpu_s, wall_s = time.process_time() - cpu_s, time.monotonic() - wall_s
    windows = gateway.monitor.windows - windows
    resident = resident_bytes()
    dropped = sum(gateway.intake.dropped.values())
    gateway.stop()
    worker.join()
    return {
        "windows": windows,
        "window_us": 1e6 * cpu_s / max(1, windows),
        "cores": cpu_s / wall_s,
        "wait_ms_p50": 1000 * float(np.percentile(waits.seconds or [0.0], 50)),
        "wait_ms_p99": 1000 * float(np.percentile(waits.seconds or [0.0], 99)),
        "resident_mib": resident / MIB,
        "dropped_blocks": dropped,
        "feed_late_ms": 1000 * ward.late_s,
    }


def bare_us(config: AgentConfig) -> float:
    """Return the least that any program needs for a window of this model, microseconds of CPU."""
    assert config.bundle is not None  # noqa: S101  # set above
    bundle = open_bundle(config.bundle, trusted=[load_public_key(key) for key in config.trusted_keys])
    artifact = bundle.manifest.artifact_for(config.hardware)
    interpreter = Interpreter(model_content=bundle.members[artifact.path], num_threads=1)
    interpreter.allocate_tensors()
    inputs = [
        (detail["index"], np.zeros(detail["shape"], detail["dtype"])) for detail in interpreter.get_input_details()
    ]
    (output,) = (detail["index"] for detail in interpreter.get_output_details())
    best, count = float("inf"), 300
    for _ in range(7):
        began_s = time.thread_time()
        for _ in range(count):
            for place, values in inputs:
                interpreter.set_tensor(place, values)
            interpreter.invoke()
            interpreter.get_tensor(output)
        best = min(best, 1e6 * (time.thread_time() - began_s) / count)
    return best


def show(figures: list[dict[str, Any]]) -> None:
    """Print the table."""
    table = Table(
        "model", "streams", "bare µs", "whole µs a window", "to bare", "cores", "streams a core", "p50 ms", "p99 ms",
        "MiB", "KiB a stream", "dropped", title="live streams",
    )  # fmt: skip
    first: dict[str, dict[str, Any]] = {}
    for one_run in figures:
        base = first.setdefault(one_run["model"], one_run)
        more = one_run["streams"] - base["streams"]
        each = f"{(one_run['resident_mib'] - base['resident_mib']) * KIB / more:.0f}" if more else ""
        table.add_row(
            one_run["model"],
            f"{one_run['streams']:,}",
            f"{one_run['bare_us']:.1f}",
            f"{one_run['window_us']:.1f}",
            f"{one_run['ratio']:.2f}",
            f"{one_run['cores']:.3f}",
            f"{one_run['streams_per_core']:,.0f}",
            f"{one_run['wait_ms_p50']:.0f}",
            f"{one_run['wait_ms_p99']:.0f}",
            f"{one_run['resident_mib']:.1f}",
            each,
            f"{one_run['dropped_blocks']}",
        )
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
