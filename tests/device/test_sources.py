from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from device_agents.sources.replay import Recording, ReplaySource
from edge_sdk.errors import ConfigError, EdgeError, SignalError
from edge_sdk.signals import SignalFormat
from tests.checks.sources import CHECKS, SourceUnderTest
from tests.device.records import BASELINE, MISSING, in_mv, read_stored, write_record

RATE_HZ = 360
WANTED = SignalFormat(kind="ecg", unit="mV", channels=("MLII", "II"), sample_rate_hz=RATE_HZ)


def some_samples(storage: int, *, channels: int) -> np.ndarray:
    """Every extreme of the format, a gap, and noise; an odd number, so that pairs do not come out even."""
    highest = -MISSING[storage] - 1
    stored = np.random.default_rng(1).integers(-highest, highest, size=(2 * RATE_HZ + 1, channels))
    stored[:2], stored[100:140, 0] = (highest,), MISSING[storage]
    return stored


def replay(record: Path, *, block_s: float = 0.5, speed: float = 0, channel: str = "", resume: int = 0) -> ReplaySource:
    recording = Recording(record, wanted=WANTED, channel=channel)
    return ReplaySource(recording, speed=speed, block_s=block_s, start_time_ns=10**18, resume_index=resume)


def shipped(folder: Path, demo_record: Path) -> SourceUnderTest:
    del folder
    stored = read_stored(demo_record, samples=650_000)
    return SourceUnderTest(
        open=lambda block_s: replay(demo_record, block_s=max(block_s, 0.5)), expected=in_mv(stored[:, 0])
    )


def written(storage: int, *channels: str) -> Callable[[Path, Path], SourceUnderTest]:
    def make(folder: Path, demo_record: Path) -> SourceUnderTest:
        del demo_record
        stored = some_samples(storage, channels=len(channels))
        record = write_record(folder / "made", stored, channels=channels, storage=storage)
        expected = in_mv(stored[:, channels.index("MLII")], storage=storage)
        return SourceUnderTest(open=lambda block_s: replay(record, block_s=block_s), expected=expected)

    return make


SOURCES = {
    "replay-shipped": shipped,
    "replay-212": written(212, "MLII", "V1"),
    "replay-212-one-channel": written(212, "MLII"),
    "replay-212-third-channel": written(212, "V1", "V2", "MLII"),
    "replay-16": written(16, "MLII", "V1"),
    "replay-16-second-channel": written(16, "V1", "MLII"),
}


@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_source(
    check: Callable[[SourceUnderTest], None],
    make: Callable[[Path, Path], SourceUnderTest],
    tmp_path: Path,
    demo_record: Path,
) -> None:
    check(make(tmp_path, demo_record))


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return write_record(tmp_path / "made", some_samples(212, channels=2))


def test_a_missing_channel_is_named_with_those_there_are(record: Path) -> None:
    with pytest.raises(SignalError, match="no channel V9; it has MLII, V1"):
        replay(record, channel="V9")


def test_a_record_without_any_channel_the_model_reads_is_refused(tmp_path: Path) -> None:
    record = write_record(tmp_path / "made", some_samples(212, channels=1), channels=("V5",))

    with pytest.raises(SignalError, match="has the channels V5, and the model reads MLII, II"):
        replay(record)


def test_the_channel_a_model_prefers_is_taken_before_the_first(tmp_path: Path) -> None:
    record = write_record(tmp_path / "made", some_samples(212, channels=2), channels=("II", "MLII"))

    assert replay(record).format.channels == ("MLII",)


def test_another_sample_rate_is_refused(tmp_path: Path) -> None:
    record = write_record(tmp_path / "made", some_samples(212, channels=2), sample_rate_hz=250)

    with pytest.raises(SignalError, match="has 250 Hz, and the model reads 360 Hz: resample"):
        replay(record)


def test_another_unit_is_refused(tmp_path: Path) -> None:
    record = write_record(tmp_path / "made", some_samples(212, channels=2), unit="uV")

    with pytest.raises(SignalError, match="MLII in uV, and the model reads mV"):
        replay(record)


def cut_short(record: Path) -> None:
    data = record.with_suffix(".dat")
    data.write_bytes(data.read_bytes()[:-4])


def without_samples(record: Path) -> None:
    record.with_suffix(".dat").unlink()


def without_header(record: Path) -> None:
    record.with_suffix(".hea").unlink()


def altered(record: Path) -> None:
    data = bytearray(record.with_suffix(".dat").read_bytes())
    data[300] ^= 1
    record.with_suffix(".dat").write_bytes(data)


def header(text: str) -> Callable[[Path], None]:
    return lambda record: record.with_suffix(".hea").write_text(text) and None


FAULTS = {
    "cut short": (cut_short, SignalError, "holds .* of the 721 samples"),
    "without samples": (without_samples, ConfigError, "made.dat does not exist: get the whole record"),
    "without header": (without_header, ConfigError, "made.hea does not exist"),
    "altered": (altered, SignalError, "does not match the checksum of MLII"),
    "empty header": (header(""), SignalError, "malformed header"),
    "words for numbers": (header("made two 360\n"), SignalError, "malformed header"),
    "a signal too few": (header("made 2 360 721\nmade.dat 212 200 11 1024 0 0 0 II\n"), SignalError, "1 of 2 signals"),
    "several segments": (header("made/3 2 360 721\n"), SignalError, "several segments"),
    "another format": (header("made 1 360 9\nmade.dat 80 200 11 1024 0 0 0 II\n"), SignalError, "read here: 16, 212"),
    "skewed": (header("made 1 360 9\nmade.dat 212:3 200 11 1024 0 0 0 II\n"), SignalError, "one sample per frame"),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "error", "words"), FAULTS.values(), ids=FAULTS)
def test_a_faulty_record_is_refused(
    spoil: Callable[[Path], None], error: type[EdgeError], words: str, record: Path
) -> None:
    spoil(record)

    with pytest.raises(error, match=words):
        replay(record)


def test_a_header_without_gain_means_200_steps_per_millivolt(tmp_path: Path) -> None:
    stored = np.full((10, 1), BASELINE + 100)
    record = write_record(tmp_path / "made", stored, channels=("MLII",), storage=16)
    record.with_suffix(".hea").write_text(f"made 1 360 10\nmade.dat 16 0 11 {BASELINE} 0 {10 * stored[0, 0]} 0 MLII\n")

    (block,) = replay(record).blocks()

    assert block.samples[0, 0] == 0.5


def test_a_record_that_names_its_day_replays_at_that_time(tmp_path: Path) -> None:
    stored = some_samples(212, channels=2)
    dated = write_record(tmp_path / "dated", stored, base_time="10:00:00.5 01/03/2024")
    undated = write_record(tmp_path / "undated", stored, base_time="10:00:00")

    assert Recording(dated, wanted=WANTED).start_time_ns == 1_709_287_200_500_000_000
    assert Recording(undated, wanted=WANTED).start_time_ns is None


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.mark.parametrize(("speed", "resume_index", "takes_s"), [(1, 0, 2), (4, 0, 0.5), (1, RATE_HZ, 1), (0, 0, 0)])
def test_a_replay_keeps_its_pace_and_hurries_through_what_was_replayed_before(
    record: Path, speed: float, resume_index: int, takes_s: float
) -> None:
    clock = Clock()
    source = ReplaySource(
        Recording(record, wanted=WANTED),
        speed=speed,
        block_s=0.1,
        start_time_ns=0,
        resume_index=resume_index,
        clock=clock,
        sleep=clock.sleep,
    )

    samples = sum(len(block.samples) for block in source.blocks())

    assert samples == 2 * RATE_HZ + 1
    assert clock.now_s - 100.0 == pytest.approx(takes_s, abs=2 / RATE_HZ)


def test_closing_ends_a_wait(record: Path) -> None:
    source = replay(record, speed=1e-6)
    threading.Timer(0.05, source.close).start()

    began_s = time.monotonic()

    assert list(source.blocks()) == []
    assert time.monotonic() - began_s < 5
