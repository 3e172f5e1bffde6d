from __future__ import annotations

import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from device_agents.choose import Choice, Trial, affordable, best, choose, machine, trial_windows, ways
from device_agents.choose_kept import ChoiceKey, KeptChoices
from device_agents.model_cache import ModelCache
from device_agents.model_store import ReadyModel, ready_model
from device_agents.runtimes import load_runtime
from device_agents.runtimes.base import Inputs, Runtime, Way, infer_one
from edge_sdk.errors import ConfigError, IncompatibleBundle
from edge_sdk.selftest import Array, Case, SelfTest
from edge_sdk.tensors import FloatArray
from tests.device.bundles import DATA, HARDWARE, SignedBundle, artifact, cases, make_bundle

PLAIN, THREADS, TOGETHER, BOTH = (Way(threads=threads, batch=batch) for batch in (1, 16) for threads in (1, 4))


@dataclass
class Costs:
    """A clock that runs only when a model does, as fast as the way it is run."""

    window_s: dict[Way, float]
    now_s: float = 0.0
    loaded: list[Way] = field(default_factory=list)

    def load(self, way: Way) -> Runtime:
        if way not in self.window_s:
            raise IncompatibleBundle("no such way")
        self.loaded.append(way)
        return Costly(self, way)

    def choice(self, **told: Any) -> Choice:
        return choose(self.load, numbered, ways=[PLAIN, THREADS, TOGETHER, BOTH], clock=lambda: self.now_s, **told)


@dataclass
class Costly:
    costs: Costs
    way: Way
    name: str = "costly"
    version: str = "1"

    def infer(self, inputs: Inputs) -> FloatArray:
        return infer_one(self.infer_batch, inputs)

    def infer_batch(self, inputs: Inputs) -> FloatArray:
        self.costs.now_s += self.costs.window_s[self.way] * len(inputs["x"])
        return inputs["x"]


class Confused(Costly):
    def infer_batch(self, inputs: Inputs) -> FloatArray:
        return super().infer_batch(inputs)[::-1]


def numbered(count: int) -> dict[str, FloatArray]:
    return {"x": np.arange(1, count + 1, dtype=np.float32)[:, np.newaxis]}


@pytest.mark.parametrize(
    ("window_us", "wins"),
    [
        ({PLAIN: 25.0}, PLAIN),
        ({PLAIN: 25.0, TOGETHER: 24.0}, PLAIN),
        ({PLAIN: 25.0, TOGETHER: 20.0}, TOGETHER),
        ({PLAIN: 25.0, THREADS: 20.0}, PLAIN),
        ({PLAIN: 25.0, THREADS: 10.0}, THREADS),
        ({PLAIN: 25.0, THREADS: 10.0, TOGETHER: 12.0, BOTH: 9.5}, TOGETHER),
        ({PLAIN: 90.0, THREADS: 40.0, TOGETHER: 60.0, BOTH: 20.0}, BOTH),
    ],
)
def test_what_takes_more_of_the_machine_must_be_worth_it(window_us: dict[Way, float], wins: Way) -> None:
    trials = [Trial(way=way, window_us=us) for way, us in window_us.items()]
    assert best(trials) == best(trials[::-1]) == wins


def test_the_fastest_way_is_found_by_trying_within_the_time_allowed() -> None:
    costs = Costs({PLAIN: 25e-6, THREADS: 24e-6, TOGETHER: 5e-6, BOTH: 5e-6})
    choice = costs.choice(limit_s=0.5)
    assert choice.way == TOGETHER
    measured = {trial.way: trial.window_us for trial in choice.trials}
    assert measured == pytest.approx({way: 1e6 * seconds for way, seconds in costs.window_s.items()})
    assert costs.now_s < 2 * 0.5


def test_a_model_that_runs_in_no_other_way_is_not_timed_at_length() -> None:
    costs = Costs({PLAIN: 25e-6})
    assert costs.choice(limit_s=2.0).way == PLAIN
    assert costs.now_s < 0.1


def test_a_slow_model_is_tried_on_few_windows() -> None:
    costs = Costs({PLAIN: 0.4, THREADS: 0.1, TOGETHER: 0.1, BOTH: 0.1})
    assert costs.choice(limit_s=2.0).way == THREADS
    assert costs.now_s < 4.0


def test_a_way_that_gives_other_answers_is_not_chosen_however_fast() -> None:
    costs = Costs({PLAIN: 25e-6, TOGETHER: 1e-6})

    def load(way: Way) -> Runtime:
        return Confused(costs, way) if way == TOGETHER else costs.load(way)

    choice = choose(load, numbered, ways=[PLAIN, TOGETHER], clock=lambda: costs.now_s)

    assert choice.way == PLAIN
    assert [trial.way for trial in choice.trials] == [PLAIN]


def test_threads_are_tried_up_to_the_cores_there_are_unless_a_person_says_how_many() -> None:
    assert {way.threads for way in ways(cores=4)} == {1, 2, 4}
    assert {way.threads for way in ways(threads=3)} == {3}
    assert ways(cores=4)[0] == Way()
    assert machine().startswith(platform.machine())


@pytest.mark.parametrize("window_us", [0.0, 1.0, 1e4, 1e9])
def test_windows_are_tried_several_times_in_the_share_there_is(window_us: float) -> None:
    share_s = 0.3
    count = affordable(window_us, share_s=share_s)
    assert count >= 1
    assert count == 1 or 4 * count * window_us <= share_s * 1e6


def tiny_test(model: str) -> SelfTest:
    made = [
        Case(inputs={name: Array.of(values) for name, values in inputs.items()}, expected=Array.of(answer))
        for inputs, answer in cases(model)
    ]
    return SelfTest(cases=tuple(made), tolerance=0.1)


def test_no_two_windows_that_are_tried_are_alike() -> None:
    windows = trial_windows(tiny_test("beats_int8"), 64)
    for values in windows.values():
        assert len(np.unique(values.reshape(64, -1), axis=0)) == 64
        assert values.dtype == np.float32


@pytest.mark.parametrize("model", ["beats_int8", "beats_float"])
def test_a_real_model_runs_as_chosen_to_the_same_bits(model: str) -> None:
    content, described, test = (DATA / f"{model}.tflite").read_bytes(), artifact(model), tiny_test(model)

    def load(way: Way) -> Runtime:
        return load_runtime(content, described, backend="litert", threads=way.threads, batch=way.batch)

    choice = choose(load, lambda count: trial_windows(test, count), ways=ways(cores=2), limit_s=0.05)

    windows = trial_windows(test, 40)
    assert load(choice.way).infer_batch(windows).tobytes() == load(Way()).infer_batch(windows).tobytes()


KEY = ChoiceKey(bundle_sha256="ab", runtime="litert 2.3.0", machine="x86_64", tried="all")
CHOICE = Choice(way=TOGETHER, trials=(Trial(way=TOGETHER, window_us=3.0),))


def never() -> Choice:
    raise AssertionError("measured again")


def test_a_choice_is_made_once_for_one_model_library_and_machine(tmp_path: Path) -> None:
    KeptChoices(tmp_path / "choices").get(KEY, lambda: CHOICE)
    assert KeptChoices(tmp_path / "choices").get(KEY, never) == CHOICE
    for field_name in KEY.__struct_fields__:
        other = ChoiceKey(**{**{name: getattr(KEY, name) for name in KEY.__struct_fields__}, field_name: "other"})
        with pytest.raises(AssertionError, match="measured again"):
            KeptChoices(tmp_path / "choices").get(other, never)


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff", b'{"key": 1}'])
def test_a_damaged_choice_is_made_again(damage: bytes, tmp_path: Path) -> None:
    KeptChoices(tmp_path).get(KEY, lambda: CHOICE)
    (path,) = tmp_path.iterdir()
    path.write_bytes(damage)
    assert KeptChoices(tmp_path).get(KEY, lambda: CHOICE) == CHOICE
    assert KeptChoices(tmp_path).get(KEY, never) == CHOICE


def test_old_choices_are_forgotten_and_a_folder_that_cannot_be_written_only_costs_time(tmp_path: Path) -> None:
    folder = tmp_path / "choices"
    for number in range(40):
        key = ChoiceKey(bundle_sha256=str(number), runtime="", machine="", tried="")
        KeptChoices(folder).get(key, lambda: CHOICE)
    assert len(list(folder.iterdir())) <= 20
    (tmp_path / "file").touch()
    assert KeptChoices(tmp_path / "file").get(KEY, lambda: CHOICE) == CHOICE


def test_a_model_made_ready_keeps_what_was_chosen_in_the_state_folder(
    tiny_bundle: SignedBundle, tmp_path: Path
) -> None:
    def ready() -> ReadyModel:
        told = {"trusted_keys": [tiny_bundle.trusted_key], "hardware": HARDWARE}
        return ready_model(tiny_bundle.path, choices=tmp_path / "choices", threads=None, **told)

    first = ready()
    (kept,) = (tmp_path / "choices").iterdir()
    written = kept.stat().st_mtime_ns

    again = ready()

    assert kept.stat().st_mtime_ns == written
    inputs, _ = cases("beats_int8")[0]
    assert first.runtime.infer(inputs).tobytes() == again.runtime.infer(inputs).tobytes()


class Loader:
    """Loads bundles, and remembers how often."""

    def __init__(self, bundle: SignedBundle) -> None:
        self.loads, self._key = 0, bundle.trusted_key

    def __call__(self, path: Path) -> ReadyModel:
        self.loads += 1
        return ready_model(path, trusted_keys=[self._key], hardware=HARDWARE)


@pytest.fixture
def copies(tiny_bundle: SignedBundle, tmp_path: Path) -> Callable[[str], Path]:
    return lambda name: Path(shutil.copy(tiny_bundle.path, tmp_path / name))


def test_a_model_is_loaded_once_under_whatever_names_and_freed_by_the_last_who_had_it(
    tiny_bundle: SignedBundle, copies: Callable[[str], Path]
) -> None:
    load = Loader(tiny_bundle)
    cache = ModelCache(load)

    one, other = cache.take(copies("one.edge")), cache.take(copies("other.edge"))

    assert one is other
    assert load.loads == len(cache) == 1
    cache.give_back(one)
    assert len(cache) == 1
    cache.give_back(other)
    assert len(cache) == 0


def test_another_bundle_in_the_same_file_is_another_model(tiny_bundle: SignedBundle, tmp_path: Path) -> None:
    cache, path = ModelCache(Loader(tiny_bundle)), tmp_path / "model.edge"
    shutil.copy(tiny_bundle.path, path)
    before = cache.take(path)
    other = make_bundle(tmp_path / "keys", model="beats_float")
    shutil.copy(other.path, path)

    after = ModelCache(Loader(other)).take(path)

    assert before.ref.bundle_sha256 != after.ref.bundle_sha256
    assert cache.take(tiny_bundle.path) is before


def test_a_bundle_that_cannot_be_used_leaves_nothing_behind(tiny_bundle: SignedBundle, tmp_path: Path) -> None:
    cache = ModelCache(Loader(tiny_bundle))
    with pytest.raises(ConfigError):
        cache.take(tmp_path / "nowhere.edge")
    assert len(cache) == 0
