from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_agents.sources.clock import ClockEstimator
from device_agents.sources.clock_gaps import GapDetector, Placement

SMALLEST_DELAY_S = 0.004
DELAYS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    # A notification waits for the next connection event: 7.5 to 50 ms apart, and again after a lost packet.
    "connection events": lambda random, n: random.uniform(0, 0.05, n) + 0.05 * random.geometric(0.9, n) - 0.05,
    "exponential": lambda random, n: random.exponential(0.02, n),
    "two hops": lambda random, n: random.gamma(2, 0.004, n),
    "stalls": lambda random, n: random.exponential(0.01, n) + 3 * (random.random(n) < 0.02),
}


class Wearable:
    """A clock that runs wrong, and a line that delays; times in ns, as integers since any beginning."""

    def __init__(self, *, drift_ppm: float, offset_s: float = 1e6, seed: int = 0, delay: str = "exponential") -> None:
        self.drift, self.offset_s, self.random, self.delay = (
            drift_ppm * 1e-6,
            offset_s,
            np.random.default_rng(seed),
            delay,
        )

    def device_ns(self, true_s: np.ndarray | float) -> np.ndarray:
        return np.rint((np.asarray(true_s) / (1 + self.drift) + self.offset_s) * 1e9).astype(np.int64)

    def arrivals_ns(self, true_s: np.ndarray) -> np.ndarray:
        delays = SMALLEST_DELAY_S + DELAYS[self.delay](self.random, len(true_s))
        return np.rint((true_s + delays) * 1e9).astype(np.int64)

    def tell(self, estimator: ClockEstimator, true_s: np.ndarray) -> list[bool]:
        pairs = zip(self.device_ns(true_s).tolist(), self.arrivals_ns(true_s).tolist(), strict=True)
        return [estimator.observe(*pair) for pair in pairs]


def minutes(count: float, *, begin_s: float = 0.0) -> np.ndarray:
    """Four messages a second."""
    return begin_s + np.arange(round(count * 240)) / 4


def after_ten_minutes(delay: str, seed: int) -> tuple[Wearable, ClockEstimator]:
    drift_ppm = np.random.default_rng(seed).uniform(-100, 100)
    wearable, estimator = Wearable(drift_ppm=drift_ppm, seed=seed, delay=delay), ClockEstimator()
    stepped = wearable.tell(estimator, minutes(10))
    assert not any(stepped)
    return wearable, estimator


@pytest.mark.parametrize("delay", DELAYS)
@pytest.mark.parametrize("seed", range(8))
def test_after_ten_minutes_the_drift_is_known_to_a_millionth(delay: str, seed: int) -> None:
    wearable, estimator = after_ten_minutes(delay, seed)

    assert estimator.drift_ppm == pytest.approx(wearable.drift * 1e6, abs=1)


@pytest.mark.parametrize("delay", DELAYS)
@pytest.mark.parametrize("seed", range(8))
def test_times_are_late_by_the_smallest_delay_and_hardly_more(delay: str, seed: int) -> None:
    wearable, estimator = after_ten_minutes(delay, seed)

    for true_s in (300.0, 600.0):
        late_s = estimator.time_ns(int(wearable.device_ns(true_s))) / 1e9 - true_s

        assert late_s == pytest.approx(SMALLEST_DELAY_S, abs=1e-3)


def test_before_there_is_a_drift_times_are_late_by_the_smallest_delay_seen() -> None:
    estimator = ClockEstimator()
    for device_s, arrival_s in ((10, 100.3), (11, 101.2), (12, 102.7)):
        estimator.observe(round(device_s * 1e9), round(arrival_s * 1e9))

    assert estimator.time_ns(12 * 10**9) == pytest.approx(102.2e9, abs=1000)
    assert estimator.drift_ppm == 0


def test_hours_of_a_drift_that_changes_are_followed() -> None:
    estimator = ClockEstimator()
    cold, warm = (
        Wearable(drift_ppm=30, offset_s=0),
        Wearable(drift_ppm=45, offset_s=-7200 * (1 / (1 + 45e-6) - 1 / (1 + 30e-6))),
    )
    cold.tell(estimator, minutes(120))
    warm.tell(estimator, minutes(30, begin_s=7200))

    assert estimator.drift_ppm == pytest.approx(45, abs=1)
    assert len(estimator._line._points) <= 64


@pytest.mark.parametrize("forward_s", [1.0, 60.0, 1e6])
def test_a_clock_that_is_set_forward_is_noticed_at_once(forward_s: float) -> None:
    estimator = ClockEstimator()
    Wearable(drift_ppm=20).tell(estimator, minutes(5))
    ahead = Wearable(drift_ppm=20, offset_s=1e6 + forward_s)

    stepped = ahead.tell(estimator, minutes(10, begin_s=300))

    assert stepped[0]
    assert not any(stepped[1:])
    assert estimator.time_ns(int(ahead.device_ns(900.0))) == pytest.approx(900e9, abs=1e7)


def test_a_wearable_that_starts_anew_is_noticed_within_seconds() -> None:
    estimator = ClockEstimator()
    Wearable(drift_ppm=20).tell(estimator, minutes(5))
    anew = Wearable(drift_ppm=20, offset_s=-310)

    stepped = anew.tell(estimator, minutes(10, begin_s=310))

    assert stepped.count(True) == 1
    assert stepped.index(True) < 6 * 4
    assert estimator.time_ns(int(anew.device_ns(910.0))) == pytest.approx(910e9, abs=1e7)


def test_what_had_to_wait_and_is_caught_up_with_is_no_new_clock() -> None:
    wearable, estimator = Wearable(drift_ppm=-40), ClockEstimator()
    wearable.tell(estimator, minutes(5))
    waited = minutes(2, begin_s=300)
    come_s = 425 + np.arange(len(waited)) / 100

    pairs = zip(wearable.device_ns(waited).tolist(), (come_s * 1e9).astype(int).tolist(), strict=True)
    stepped = [estimator.observe(*pair) for pair in pairs] + wearable.tell(estimator, minutes(3, begin_s=430))

    assert not any(stepped)
    assert estimator.drift_ppm == pytest.approx(-40, abs=1)


def test_a_first_message_that_was_late_does_no_harm() -> None:
    wearable, estimator = Wearable(drift_ppm=0), ClockEstimator()
    estimator.observe(int(wearable.device_ns(0.0)), 8 * 10**9)

    assert not any(wearable.tell(estimator, minutes(2, begin_s=1)))
    assert estimator.time_ns(int(wearable.device_ns(120.0))) == pytest.approx(120e9, abs=1e7)


def placed(*counters: int, modulus: int = 256, reach: int = 20, units: int = 1) -> list[Placement]:
    detector = GapDetector(modulus=modulus, reach=reach)
    return [detector.place(counter, units) for counter in counters]


def test_a_counter_that_begins_again_at_its_end_goes_on() -> None:
    assert placed(254, 255, 0, 1) == [Placement(index=index) for index in range(4)]


def test_what_is_lost_is_counted_and_what_comes_again_is_left_out() -> None:
    assert placed(7, 8, 11, 8, 12, 12) == [
        Placement(index=0),
        Placement(index=1),
        Placement(index=4, lost=2),
        Placement(index=5, repeated=1),
        Placement(index=5),
        Placement(index=6, repeated=1),
    ]


def test_of_samples_that_overlap_only_the_new_ones_count() -> None:
    assert placed(0, 10, 15, 25, units=10) == [
        Placement(index=0),
        Placement(index=10),
        Placement(index=20, repeated=5),
        Placement(index=25),
    ]


def test_a_counter_that_is_far_from_where_it_should_be_began_anew() -> None:
    assert placed(100, 101, 0, 1) == [
        Placement(index=0),
        Placement(index=1),
        Placement(index=0, restarted=True),
        Placement(index=1),
    ]


@given(
    blocks=st.lists(st.tuples(st.integers(1, 30), st.sampled_from(["kept", "kept", "lost", "twice"])), min_size=1),
    first=st.integers(0, 999),
)
def test_no_sample_is_placed_twice_or_where_it_does_not_belong(blocks: list[tuple[int, str]], first: int) -> None:
    detector = GapDetector(modulus=1000, reach=400)
    begins = list(itertools.accumulate((size for size, _ in blocks), initial=0))
    begun = next((begin for begin, (_, fate) in zip(begins, blocks, strict=False) if fate != "lost"), 0)
    seen: list[int] = []
    lost_in_a_row = 0
    for begin, (size, fate) in zip(begins, blocks, strict=False):
        lost_in_a_row = lost_in_a_row + size if fate == "lost" else 0
        if lost_in_a_row > 300:
            return
        for _ in range({"kept": 1, "lost": 0, "twice": 2}[fate]):
            found = detector.place((first + begin) % 1000, size)
            fresh = size - found.repeated
            assert not found.restarted
            assert not fresh or found.index + begun == begin
            seen += range(found.index, found.index + fresh)

    assert seen == sorted(set(seen))
