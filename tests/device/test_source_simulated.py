from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_agents.sources.replay import ReplaySource
from device_agents.sources.simulated import SimulatedRecording, SimulatedSignals, Simulation
from device_agents.sources.simulated_episodes import Episode
from device_agents.sources.simulated_ward import SimulatedFeed
from device_agents.sources.source_feed import SourceFeed
from edge_sdk.errors import SignalError
from edge_sdk.observation import ClockQuality
from edge_sdk.signals import SignalFormat
from tests.checks.sources import CHECKS, SourceUnderTest
from tests.fakes.sink import FakeSink

ECG = SignalFormat(kind="ecg", unit="mV", channels=("II",), sample_rate_hz=360)
PPG = SignalFormat(kind="ppg", unit="1", channels=("PLETH",), sample_rate_hz=50)
STEPS = SignalFormat(kind="accelerometer", unit="g", channels=("x", "y", "z"), sample_rate_hz=50)
FORMATS = {"ecg": ECG, "ppg": PPG, "accelerometer": STEPS}
HALF_A_BEAT = 0.5  # mV, what an R wave exceeds and a T wave does not


def episode(kind: Any, start_s: float, duration_s: float, level: float = 0.0, *streams: int) -> Episode:
    return Episode(kind=kind, start_s=start_s, duration_s=duration_s, level=level, streams=streams)


EVERYTHING = Simulation(
    seed=7,
    ectopic_share=0.1,
    episodes=(
        episode("fibrillation", 2, 3, 110),
        episode("ventricular", 5, 2, 180, 1),
        episode("asystole", 7, 2),
        episode("walking", 1, 6, 100),
        episode("motion", 3, 2, 0.5, 0, 2),
        episode("noise", 4, 2, 0.1),
        episode("clipping", 5, 1, 0.4),
        episode("lead_off", 6, 0.5, 0, 1),
        episode("flat", 8, 0.5),
        episode("saturation", 9, 0.3, 5),
    ),
)


def simulated(simulation: Simulation, *, seconds: float, of: SignalFormat = ECG, streams: int = 1) -> np.ndarray:
    return SimulatedSignals(of, streams=streams, simulation=simulation).block(round(seconds * of.sample_rate_hz))


def beats_of(ecg: np.ndarray) -> np.ndarray:
    """Times of what rises over half a beat, s."""
    return np.flatnonzero((ecg[1:] > HALF_A_BEAT) & (ecg[:-1] <= HALF_A_BEAT)) / ECG.sample_rate_hz


@pytest.mark.parametrize("format_", FORMATS.values(), ids=FORMATS)
@given(cuts=st.lists(st.integers(0, 500), max_size=10).map(sorted))
@settings(max_examples=10, deadline=None)
def test_samples_do_not_depend_on_the_size_of_blocks(format_: SignalFormat, cuts: list[int]) -> None:
    whole = SimulatedSignals(format_, streams=3, simulation=EVERYTHING).block(500)
    signals = SimulatedSignals(format_, streams=3, simulation=EVERYTHING)

    sizes = [after - before for before, after in itertools.pairwise([0, *cuts, 500])]
    parts = [signals.block(size) for size in sizes if size]

    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


@pytest.mark.parametrize("format_", FORMATS.values(), ids=FORMATS)
def test_a_stream_does_not_depend_on_how_many_there_are(format_: SignalFormat) -> None:
    few = simulated(EVERYTHING, seconds=10, of=format_, streams=2)
    many = simulated(EVERYTHING, seconds=10, of=format_, streams=20)

    np.testing.assert_array_equal(few, many[:2])
    assert len(np.unique(many[:, 300])) > 10


def test_another_seed_is_another_patient() -> None:
    one, other = (simulated(Simulation(seed=seed), seconds=10) for seed in (1, 2))

    assert np.abs(one - other).max() > HALF_A_BEAT


@pytest.mark.parametrize("rate", [45, 70, 120, 180])
def test_a_heart_beats_as_often_as_it_is_told(rate: float) -> None:
    ecgs = simulated(Simulation(rate_per_min=rate), seconds=60, streams=5)

    for ecg in ecgs[:, :, 0]:
        assert len(beats_of(ecg)) == pytest.approx(rate, rel=0.05, abs=1)


def test_a_pulse_comes_with_every_beat() -> None:
    (pulses,) = simulated(Simulation(rate_per_min=80), seconds=60, of=PPG)[:, :, 0]

    rises = np.count_nonzero((pulses[1:] > 0.5) & (pulses[:-1] <= 0.5))
    assert rises == pytest.approx(80, abs=4)


def test_rhythms_begin_and_end_when_they_are_told() -> None:
    happens = (episode("rate", 20, 20, 150), episode("asystole", 50, 8))
    (ecg,) = simulated(Simulation(episodes=happens), seconds=80)[:, :, 0]
    beats = beats_of(ecg)

    assert np.count_nonzero((beats > 20) & (beats < 40)) == pytest.approx(50, abs=3)
    assert np.count_nonzero(beats < 20) == pytest.approx(20 * 70 / 60, abs=2)
    assert not np.any((beats >= 50) & (beats < 58))
    assert np.abs(ecg[round(50.6 * 360) : round(57.5 * 360)]).max() < 0.1
    assert np.any((beats >= 58) & (beats < 60))


def test_fibrillation_is_irregular_and_sinus_rhythm_is_not() -> None:
    happens = (episode("fibrillation", 60, 60, 90),)
    (ecg,) = simulated(Simulation(episodes=happens), seconds=120)[:, :, 0]
    beats = beats_of(ecg)

    even, uneven = np.diff(beats[beats < 60]), np.diff(beats[beats > 62])
    assert even.std() / even.mean() < 0.06
    assert uneven.std() / uneven.mean() > 0.15


def test_ectopic_beats_come_early_and_are_followed_by_a_pause() -> None:
    (ecg,) = simulated(Simulation(ectopic_share=0.2), seconds=120)[:, :, 0]

    rr = np.diff(beats_of(ecg)) / (60 / 70)
    early = np.flatnonzero(rr[:-1] < 0.75)
    assert 0.1 < len(early) / len(rr) < 0.3
    assert rr[early + 1].min() > 1.2


def test_steps_come_at_their_cadence_and_gravity_stays() -> None:
    walk = simulated(Simulation(episodes=(episode("walking", 0, 60, 110),)), seconds=60, of=STEPS)[0]

    assert walk.mean(axis=0) == pytest.approx([0, 0, 1], abs=0.02)
    spectrum = np.abs(np.fft.rfft(walk[:, 2] - 1))
    assert np.fft.rfftfreq(len(walk), 1 / 50)[spectrum.argmax()] * 60 == pytest.approx(110, abs=1)


FAULTS: dict[str, tuple[float, Callable[[np.ndarray, np.ndarray], bool]]] = {
    "lead_off": (0, lambda spoiled, _: bool(np.isnan(spoiled).all())),
    "flat": (0, lambda spoiled, _: not spoiled.any()),
    "saturation": (4.5, lambda spoiled, _: bool((spoiled == 4.5).all())),
    "clipping": (0.25, lambda spoiled, clean: bool((spoiled == np.clip(clean, -0.25, 0.25)).all())),
    "noise": (0.5, lambda spoiled, clean: 0.45 < (spoiled - clean).std() < 0.55),
    "motion": (2.0, lambda spoiled, clean: 0.5 < np.abs(spoiled - clean).max() < 5),
}  # fmt: skip


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_spoils_its_stream_while_it_lasts(kind: str) -> None:
    level, spoils = FAULTS[kind]
    clean = simulated(Simulation(), seconds=10, streams=2)
    found = simulated(Simulation(episodes=(episode(kind, 3, 4, level, 1),)), seconds=10, streams=2)
    during = slice(3 * 360, 7 * 360)

    assert spoils(found[1, during], clean[1, during])
    np.testing.assert_array_equal(found[0], clean[0])
    found[1, during] = clean[1, during]
    np.testing.assert_array_equal(found[1], clean[1])


@pytest.mark.parametrize("format_", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_simulated_recording_is_a_source_like_any_other(
    check: Callable[[SourceUnderTest], None], format_: SignalFormat
) -> None:
    simulation = Simulation(episodes=(episode("lead_off", 1, 0.5),))
    recording = SimulatedRecording(format_, duration_s=3.1, simulation=simulation)
    expected = simulated(simulation, seconds=3.1, of=format_)[0, :, 0]

    def opened(block_s: float) -> ReplaySource:
        return ReplaySource(recording, speed=0, block_s=block_s, start_time_ns=10**18)

    check(SourceUnderTest(open=opened, expected=expected))


def test_what_is_not_simulated_is_refused() -> None:
    in_uv = msgspec.structs.replace(ECG, unit="uV")
    with pytest.raises(SignalError, match="ecg is simulated in mV, and the model reads uV"):
        SimulatedRecording(in_uv, duration_s=1, simulation=Simulation())
    with pytest.raises(SignalError, match="use a simulated ward"):
        SimulatedRecording(ECG, duration_s=1, simulation=Simulation(episodes=(episode("late", 0, 1),)))
    with pytest.raises(SignalError, match="give 20 to 220 a minute"):
        Simulation(rate_per_min=300)
    with pytest.raises(ValueError, match="an episode of noise needs a level"):
        episode("noise", 0, 1)


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now_s = 50.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def ward(*episodes: Episode, streams: int = 3, **options: Any) -> tuple[SimulatedFeed, FakeSink]:
    clock = Clock()
    options = {"duration_s": 4.1, "block_s": 0.25, "clock": clock, "sleep": clock.sleep} | options
    return SimulatedFeed(ECG, streams=streams, simulation=Simulation(episodes=episodes), **options), FakeSink()


def test_a_ward_delivers_every_stream_to_its_end() -> None:
    feed, sink = ward(streams=12)

    feed.run(sink)

    expected = simulated(Simulation(), seconds=4.1, streams=12)
    assert list(sink.streams) == [f"bed-{number:02}" for number in range(1, 13)]
    for lane, name in enumerate(sink.streams):
        np.testing.assert_array_equal(sink.only(name).samples, expected[lane])
        assert sink.only(name).reason == "the simulation ended"


@pytest.mark.parametrize(("speed", "takes_s"), [(1, 4.1), (10, 0.41), (0, 0)])
def test_a_ward_keeps_its_pace(speed: float, takes_s: float) -> None:
    clock = Clock()
    feed, sink = ward(speed=speed, clock=clock, sleep=clock.sleep)

    feed.run(sink)

    assert clock.now_s - 50 == pytest.approx(takes_s, abs=1e-6)
    live = sink.only("bed-1").clock is ClockQuality.SYNCHRONIZED
    assert live == bool(speed)


def test_blocks_get_lost_come_twice_or_late() -> None:
    feed, sink = ward(episode("lost", 1, 1, 0, 0), episode("repeated", 1, 1, 0, 1), episode("late", 1, 1, 0, 2))

    feed.run(sink)

    starts = [[block.start_index / 90 for block in sink.only(f"bed-{number}").blocks] for number in (1, 2, 3)]
    every = list(range(17))
    assert starts[0] == [number for number in every if not 4 <= number < 8]
    assert starts[1] == sorted([*every, 4, 5, 6, 7])
    assert starts[2] == every
    ninth = [place for place, name in enumerate(sink.order) if name == "bed-2"][12]
    assert sink.order[:ninth].count("bed-3") == 4


def test_wearables_clocks_run_apart() -> None:
    feed, sink = ward(streams=20, drift_ppm=100, duration_s=100, block_s=10, now_ns=lambda: 10**18)

    feed.run(sink)

    ends_ns = [sink.only(name).blocks[-1].start_time_ns - 10**18 - 90e9 for name in feed.names]
    assert max(map(abs, ends_ns)) <= 90e9 * 100e-6
    assert max(ends_ns) - min(ends_ns) > 90e9 * 100e-6


def test_closing_a_ward_ends_its_streams() -> None:
    feed = SimulatedFeed(ECG, streams=2, simulation=Simulation())
    sink = FakeSink()
    threading.Timer(0.1, feed.close).start()

    feed.run(sink)

    assert not sink.open_streams
    assert sorted(sink.streams) == ["bed-1", "bed-2"]


def test_a_source_is_a_feed_of_one_stream() -> None:
    recording = SimulatedRecording(ECG, duration_s=2, simulation=Simulation())
    sink = FakeSink()
    source = ReplaySource(recording, speed=0, block_s=0.5, start_time_ns=5)

    SourceFeed("bed 1", source, subject="patient-1").run(sink)

    received = sink.only("bed 1")
    np.testing.assert_array_equal(received.samples, next(recording.values(block=720)))
    assert (received.subject, received.start_time_ns, received.reason) == ("patient-1", 5, "the source ended")


def test_a_source_that_fails_says_why_its_stream_ended() -> None:
    class Broken(ReplaySource):
        def blocks(self) -> Any:
            yield next(super().blocks())
            raise SignalError("the cable broke")

    recording = SimulatedRecording(ECG, duration_s=2, simulation=Simulation())
    sink = FakeSink()
    feed = SourceFeed("bed 1", Broken(recording, speed=0, block_s=0.5, start_time_ns=5))

    with pytest.raises(SignalError, match="the cable broke"):
        feed.run(sink)
    assert sink.only("bed 1").reason == "the cable broke"
