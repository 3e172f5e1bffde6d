from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from device_agents.bench import measure
from device_agents.bench_streams import Load, in_time, measured, most_streams
from device_agents.commands.bench import Figures, bench_command
from device_agents.model_store import ready_model
from device_agents.runtimes.base import Inputs, Runtime, Way, infer_one
from edge_sdk.commands import EdgeCommand
from edge_sdk.errors import IncompatibleBundle
from edge_sdk.tensors import FloatArray
from tests.device.bundles import HARDWARE, SignedBundle

PLAIN, TOGETHER, THREADS = Way(), Way(batch=16), Way(threads=4)


@dataclass
class Paced:
    """A runtime that moves a clock by so many seconds a window, turn by turn."""

    clock: list[float]
    window_s: Sequence[float]
    spoils: float = 0.0
    name: str = "paced"
    version: str = "1"
    runs: int = field(default=0)

    def infer(self, inputs: Inputs) -> FloatArray:
        return infer_one(self.infer_batch, inputs)

    def infer_batch(self, inputs: Inputs) -> FloatArray:
        self.clock[0] += self.window_s[self.runs % len(self.window_s)] * len(inputs["x"])
        self.runs += 1
        return inputs["x"] + np.float32(self.spoils)


WINDOWS = {"x": np.arange(64, dtype=np.float32)[:, np.newaxis]}


def test_every_way_is_timed_and_told_apart_from_those_that_do_not_work() -> None:
    clock = [0.0]

    def load(way: Way) -> Runtime:
        if way == TOGETHER:
            raise IncompatibleBundle("no batches")
        return Paced(clock, [25e-6]) if way == PLAIN else Paced(clock, [1e-6], spoils=1.0)

    plain, together, threads = measure(
        load, WINDOWS, ways=[PLAIN, TOGETHER, THREADS], seconds=0.5, clock=lambda: clock[0]
    )

    assert plain.median_us == pytest.approx(25.0)
    assert plain.windows_per_s == pytest.approx(40_000)
    assert "one by one" in together.fault
    assert "not the same" in threads.fault
    assert together.windows_per_s == 0.0


def test_what_is_rarely_slow_shows_in_the_hundredth_and_not_in_the_median() -> None:
    clock = [0.0]
    (row,) = measure(
        lambda _: Paced(clock, [1e-5] * 20 + [1e-3]), WINDOWS, ways=[PLAIN], seconds=10.0, clock=lambda: clock[0]
    )
    assert row.median_us == pytest.approx(10.0)
    assert row.p99_us == pytest.approx(1000.0)


def machine_for(streams: int, tried: list[int]) -> Callable[[int], Load]:
    def load(count: int) -> Load:
        tried.append(count)
        return Load(streams=count, cores=0.7 * count / streams, longest_s=0.01)

    return load


@pytest.mark.parametrize("streams", [1, 64, 100, 1000, 3000])
def test_the_number_of_streams_is_found_to_half_an_octave_in_a_few_tries(streams: int) -> None:
    tried: list[int] = []
    found = in_time(most_streams(machine_for(streams, tried), first=64))
    assert found <= streams
    assert found >= streams * 0.6 or streams < 64
    assert len(tried) <= 9


def test_streams_are_not_doubled_for_ever() -> None:
    tried: list[int] = []
    assert in_time(most_streams(machine_for(10**9, tried), first=64, most=512)) == max(tried) == 512


def test_a_machine_that_computes_in_time_but_answers_late_does_not_keep_up() -> None:
    assert not Load(streams=1, cores=0.1, longest_s=1.0).in_time


def test_simulated_streams_are_run_through_the_whole_signal_path(tiny_bundle: SignedBundle) -> None:
    model = ready_model(tiny_bundle.path, trusted_keys=[tiny_bundle.trusted_key], hardware=HARDWARE)
    load = measured(model, 4)
    assert load.streams == 4
    assert 0 < load.cores < 4
    assert load.longest_s > 0


def test_the_command_prints_a_table_and_the_same_as_json(tiny_bundle: SignedBundle, tmp_path: Path) -> None:
    group, path = EdgeCommand(commands=[bench_command]), tmp_path / "bench.json"
    words = ["bench", "--bundle", str(tiny_bundle.path), "--trust", str(tiny_bundle.trusted_key)]
    words += ["--hardware", HARDWARE, "--seconds", "0.01", "--threads", "1"]

    table = CliRunner().invoke(group, [*words, "--json", str(path)])
    alone = CliRunner().invoke(group, [*words, "--json", "-"])

    assert (table.exit_code, alone.exit_code) == (0, 0), table.output
    figures = msgspec.convert(json.loads(path.read_bytes()), Figures)
    assert figures.model == "tiny-beats 1.2.3"
    assert figures.chosen in [row.way for row in figures.rows if not row.fault]
    assert "chosen" in table.stdout
    assert figures.model in table.stdout
    assert msgspec.convert(json.loads(alone.stdout), Figures).machine == figures.machine
