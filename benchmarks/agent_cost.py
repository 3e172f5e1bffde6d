"""What the agent costs: time per window beside a bare loop on the same model, and memory beside bare imports.

Times are CPU time of one thread, taken in turns within one run, so that the machine's moods hit all alike. Memory is
the peak of real processes, from the kernel.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import msgspec
from ai_edge_litert.interpreter import Interpreter
from rich.console import Console
from rich.table import Table

from device_agents.config import AgentConfig, load_config
from device_agents.gateway import load_model, open_gateway, open_recording
from device_agents.inference import Inference
from device_agents.model_store import ReadyModel
from edge_sdk.bundle import open_bundle
from edge_sdk.preprocessing import prepare
from edge_sdk.signing import load_public_key
from edge_sdk.tensors import quantize
from edge_sdk.windowing import Window, windower_for

BIN = Path(sys.executable).parent
PATH = click.Path(path_type=Path)
# Nothing listens there: what is measured ends in the outbox.
CONFIG = """\
site = "bench"
device = "bench"
subject = "bench"
hardware = "raspberry-pi-4b"
state_dir = "state"
bundle = "{bundle}"
trusted_keys = ["{trust}"]
runtime = {{ backend = "litert" }}
source = {{ type = "replay", record = "{record}", speed = 0 }}
broker = {{ url = "mqtt://127.0.0.1:1" }}
"""
IMPORTS = {
    "Python": "os",
    "numpy": "numpy",
    "paho-mqtt, with ssl": "paho.mqtt.client",
    "LiteRT": "ai_edge_litert.interpreter",
    "the agent, with msgspec, click, SQLite": "device_agents.__main__",
}
PEAK_KIB = "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM:')))"
WHOLE, AROUND, BARE = "whole agent, samples to outbox", "around the model, window to probabilities", "bare model"


@dataclass(frozen=True, kw_only=True)
class Work:
    """The same windows at three depths, each returning the CPU seconds it took.

    Attributes:
        windows: How many.
        signal_s: Seconds of signal they are cut from.
        parts: By name.
    """

    windows: int
    signal_s: float
    parts: dict[str, Callable[[], float]]


@click.command(help=__doc__)
@click.option("--bundle", type=PATH, required=True, help="Bundle, .edge.")
@click.option("--trust", type=PATH, required=True, help="signing.pub of its maker.")
@click.option("--record", type=PATH, required=True, help="WFDB record, without its extension.")
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="Turns that each part takes.")
@click.option("--json", "json_path", type=PATH, help="File to write the figures to.")
def main(bundle: Path, trust: Path, record: Path, rounds: int, json_path: Path | None) -> None:
    """Measure, print, and write JSON when asked to."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "agent.toml"
        path.write_text(CONFIG.format(bundle=bundle.resolve(), trust=trust.resolve(), record=record.resolve()))
        work = work_of(load_config(path))
        per_window_us = times_us(work, rounds=rounds)
        figures = {
            "us_per_window": per_window_us,
            "core_share": per_window_us[WHOLE] * work.windows / 1e6 / work.signal_s,
            "peak_mib": memory_mib(path),
        }
    show(**figures)
    if json_path:
        json_path.write_text(json.dumps(figures, indent=2) + "\n")


def work_of(config: AgentConfig) -> Work:
    """Cut the recording once, and return what is to be timed."""
    model = load_model(config)
    reads = model.manifest.input
    recording, windower = open_recording(config, model), windower_for(reads)
    windows = [window for samples in recording.reader.values(block=180) for window in windower.push(samples)]
    inference = Inference(model.runtime, reads=reads, answers=model.manifest.output)
    parts = {
        WHOLE: lambda: whole_agent(config),
        AROUND: lambda: cpu_s(lambda: [inference.decide(window) for window in windows]),
        BARE: bare_loop(config, model, windows),
    }
    signal_s = recording.reader.samples / recording.format.sample_rate_hz
    return Work(windows=len(windows), signal_s=signal_s, parts=parts)


def whole_agent(config: AgentConfig) -> float:
    """Run the agent on the whole recording, from nothing; its start is not timed."""
    with (
        tempfile.TemporaryDirectory() as folder,
        open_gateway(msgspec.structs.replace(config, state_dir=Path(folder))) as gateway,
    ):
        return cpu_s(gateway.run)


def bare_loop(config: AgentConfig, model: ReadyModel, windows: list[Window]) -> Callable[[], float]:
    """Return the least that any program must do with this model, on inputs that are quantized already."""
    artifact = model.manifest.artifact_for(config.hardware)
    bundle = open_bundle(config.bundle, trusted=[load_public_key(key) for key in config.trusted_keys])
    interpreter = Interpreter(model_content=bundle.members[artifact.path], num_threads=1)
    interpreter.allocate_tensors()
    places = [detail["index"] for detail in interpreter.get_input_details()]
    (output,) = (detail["index"] for detail in interpreter.get_output_details())
    prepared = [prepare(window, model.manifest.input) for window in windows]
    stored = [[quantize(values[spec.name], spec)[None] for spec in artifact.inputs] for values in prepared]

    def loop() -> None:
        for tensors in stored:
            for place, tensor in zip(places, tensors, strict=True):
                interpreter.set_tensor(place, tensor)
            interpreter.invoke()
            interpreter.get_tensor(output)

    return lambda: cpu_s(loop)


def cpu_s(act: Callable[[], object]) -> float:
    """Return the CPU seconds that this thread spends on something."""
    began_ns = time.thread_time_ns()
    act()
    return (time.thread_time_ns() - began_ns) / 1e9


def times_us(work: Work, *, rounds: int) -> dict[str, float]:
    """Return each part's median time per window, microseconds; the parts take turns."""
    taken = [{name: part() for name, part in work.parts.items()} for _ in range(rounds)]
    return {name: 1e6 * statistics.median(turn[name] for turn in taken) / work.windows for name in work.parts}


def memory_mib(config: Path) -> dict[str, float]:
    """Return the peak of a process that imports each part and those before it, and of the agent."""
    peaks, modules = {}, []
    for name, module in IMPORTS.items():
        modules.append(module)
        script = f"import {', '.join(modules)}\n{PEAK_KIB}"
        said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
        peaks[name] = int(said) / 1024
    report = config.with_name("report.json")
    command = [BIN / "edge-agent", "run", "--config", config, "--report", report]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    peaks["running: model, signal, outbox"] = json.loads(report.read_bytes())["resident_peak_mib"]
    return peaks


def show(*, us_per_window: dict[str, float], core_share: float, peak_mib: dict[str, float]) -> None:
    """Print both tables."""
    times = Table(
        "CPU time per window", "µs", "to bare", caption=f"one live stream takes {core_share:.2%} of this core"
    )
    for name, micros in us_per_window.items():
        times.add_row(name, f"{micros:.1f}", f"{micros / us_per_window[BARE]:.1f}")
    memory = Table("peak resident memory, with all above", "MiB", "more")
    before = 0.0
    for name, mib in peak_mib.items():
        memory.add_row(name, f"{mib:.1f}", f"{mib - before:.1f}")
        before = mib
    Console().print(times, memory)


if __name__ == "__main__":
    main()
