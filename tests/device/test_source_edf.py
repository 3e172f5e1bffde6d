from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import edfio
import numpy as np
import pytest

from device_agents.sources.edf_files import EdfRecording
from device_agents.sources.replay import ReplaySource
from edge_sdk.errors import ConfigError, SignalError
from edge_sdk.signals import SignalFormat
from tests.checks.sources import CHECKS, SourceUnderTest
from tests.device.records import in_mv, read_stored

ECG = SignalFormat(kind="ecg", unit="mV", channels=("MLII", "II"), sample_rate_hz=360)
SECONDS = 10


@pytest.fixture(scope="module")
def leads(demo_record: Path) -> np.ndarray:
    """Both leads of the real recording, shape (n, 2), mV."""
    return in_mv(read_stored(demo_record, samples=SECONDS * 360))


def write(path: Path, leads: np.ndarray, *, labels: tuple[str, ...] = ("V1", "MLII"), **about: Any) -> Path:
    """Write the second lead as the second signal, with an independent library."""
    signal, file = (edfio.BdfSignal, edfio.Bdf) if path.suffix == ".bdf" else (edfio.EdfSignal, edfio.Edf)
    unit, rate_hz = about.pop("unit", "mV"), about.pop("rate_hz", 360)
    signals = [
        signal(lead.astype(np.float64), rate_hz, label=label, physical_dimension=unit, physical_range=(-5, 5))
        for lead, label in zip(leads.T[::-1], labels, strict=True)
    ]
    file(signals, **about).write(path)
    return path


def samples_of(recording: EdfRecording) -> np.ndarray:
    return np.concatenate(list(recording.values(block=100)))


def plain(folder: Path, leads: np.ndarray) -> Path:
    return write(folder / "a.edf", leads)


def wide(folder: Path, leads: np.ndarray) -> Path:
    return write(folder / "a.bdf", leads)


def annotated(folder: Path, leads: np.ndarray) -> Path:
    return write(folder / "a.edf", leads, annotations=[edfio.EdfAnnotation(1.5, None, "chest pain")])


def wide_annotated(folder: Path, leads: np.ndarray) -> Path:
    return write(folder / "a.bdf", leads, annotations=[edfio.EdfAnnotation(1.5, None, "chest pain")])


def in_long_records(folder: Path, leads: np.ndarray) -> Path:
    return write(folder / "a.edf", leads, data_record_duration=2.5, labels=("ECG V1", "ECG MLII"))


FILES = {
    "edf": (plain, 16),
    "bdf": (wide, 24),
    "edf+c": (annotated, 16),
    "bdf+c": (wide_annotated, 24),
    "long records": (in_long_records, 16),
}


@pytest.mark.parametrize(("make", "bits"), FILES.values(), ids=FILES)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_edf_source(
    check: Callable[[SourceUnderTest], None],
    make: Callable[[Path, np.ndarray], Path],
    bits: int,
    tmp_path: Path,
    leads: np.ndarray,
) -> None:
    path = make(tmp_path, leads)
    recording = EdfRecording(path, wanted=ECG)
    given = samples_of(recording)[:, 0]
    np.testing.assert_allclose(given, leads[:, 0], atol=0.51 * 10 / 2**bits + 1e-6)

    def opened(block_s: float) -> ReplaySource:
        return ReplaySource(recording, speed=0, block_s=block_s, start_time_ns=10**18)

    check(SourceUnderTest(open=opened, expected=given))


def test_two_leads_of_one_file_are_told_apart_by_name(tmp_path: Path, leads: np.ndarray) -> None:
    path = write(tmp_path / "a.edf", leads, labels=("ECG V1", "ECG MLII"))

    lead = EdfRecording(path, wanted=ECG, channels=("ECG V1",))

    np.testing.assert_allclose(samples_of(lead)[:, 0], leads[:, 1], atol=1e-4)
    assert lead.format.channels == ("V1",)
    assert lead.identity != EdfRecording(path, wanted=ECG).identity


def with_gap(path: Path, *, after_records: int, gap_s: int) -> Path:
    """Make a continuous file one that was interrupted; onsets stay of one digit."""
    data = path.read_bytes().replace(b"EDF+C", b"EDF+D")
    record = -1

    def later(onset: re.Match[bytes]) -> bytes:
        nonlocal record
        record += 1
        shift = gap_s if record >= after_records else 0
        return b"+%d\x14\x14\x00" % (int(onset[1]) + shift)

    changed = re.sub(rb"\+(\d)\x14\x14\x00", later, data)
    assert len(changed) == len(data)
    assert record == len(re.findall(rb"\+\d\x14\x14\x00", data)) - 1 > 0
    path.write_bytes(changed)
    return path


def test_what_an_interrupted_file_lacks_is_missing(tmp_path: Path, leads: np.ndarray) -> None:
    rate_hz = 360
    path = with_gap(annotated(tmp_path, leads[: 6 * rate_hz]), after_records=2, gap_s=3)

    found = samples_of(EdfRecording(path, wanted=ECG))[:, 0]

    np.testing.assert_allclose(found[: 2 * rate_hz], leads[: 2 * rate_hz, 0], atol=1e-4)
    assert np.isnan(found[2 * rate_hz : 5 * rate_hz]).all()
    np.testing.assert_allclose(found[5 * rate_hz :], leads[2 * rate_hz : 6 * rate_hz, 0], atol=1e-4)


def test_records_that_overlap_are_refused(tmp_path: Path, leads: np.ndarray) -> None:
    path = with_gap(annotated(tmp_path, leads[: 6 * 360]), after_records=2, gap_s=-1)

    with pytest.raises(SignalError, match="record 3 begins at 1 s, and the one before ends at 2 s: make several"):
        EdfRecording(path, wanted=ECG)


def test_a_file_that_names_its_day_replays_at_that_time(tmp_path: Path, leads: np.ndarray) -> None:
    when = {"recording": edfio.Recording(startdate=dt.date(2024, 3, 1)), "starttime": dt.time(10, 0, 0, 500_000)}
    dated = write(tmp_path / "dated.edf", leads, annotations=[edfio.EdfAnnotation(1, None, "x")], **when)

    assert EdfRecording(dated, wanted=ECG).start_time_ns == 1_709_287_200_500_000_000
    assert EdfRecording(plain(tmp_path, leads), wanted=ECG).start_time_ns is None


def test_another_rate_is_resampled_where_a_person_says_so(tmp_path: Path, leads: np.ndarray) -> None:
    half = SignalFormat(kind="ecg", unit="mV", channels=("MLII",), sample_rate_hz=180)
    path = plain(tmp_path, leads)
    with pytest.raises(SignalError, match="has 360 Hz, and the model reads 180 Hz: set resample = true"):
        EdfRecording(path, wanted=half)

    found = samples_of(EdfRecording(path, wanted=half, resample=True))[:, 0]

    assert len(found) == SECONDS * 180
    measured = np.isfinite(found)
    assert measured.mean() > 0.98
    smooth = np.convolve(leads[:, 0], [0.25, 0.5, 0.25], mode="same")[::2]
    assert np.sqrt(np.mean((found - smooth)[measured] ** 2)) < 0.1 * leads[:, 0].std()


def test_a_file_that_was_still_being_written_is_read_as_far_as_it_goes(tmp_path: Path, leads: np.ndarray) -> None:
    path = plain(tmp_path, leads)
    data = bytearray(path.read_bytes())
    data[236:244] = b"-1      "
    path.write_bytes(data[:-700])

    assert len(samples_of(EdfRecording(path, wanted=ECG))) == (SECONDS - 1) * 360


def test_a_stored_value_outside_its_range_is_missing(tmp_path: Path, leads: np.ndarray) -> None:
    path = plain(tmp_path, leads)
    data = bytearray(path.read_bytes())
    at = 256 + 2 * (16 + 80 + 8 + 8 + 8)
    data[at : at + 16] = b"-1000   -1000   "
    path.write_bytes(data)
    stored = np.frombuffer(data[256 * 3 :], "<i2").reshape(-1, 2, 360)[:, 1].ravel()

    found = samples_of(EdfRecording(path, wanted=ECG))[:, 0]

    np.testing.assert_array_equal(np.isnan(found), stored < -1000)
    assert np.isnan(found).any()


def changed(at: int, text: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data[:at] + text + data[at + len(text) :]


FAULTS = {
    "cut short": (lambda data: data[:-4], "holds 9 of the 10 data records"),
    "cut in the header": (lambda data: data[:300], "malformed header .it ends too soon"),
    "empty": (lambda _: b"", "neither EDF nor BDF"),
    "a picture": (lambda data: b"\x89PNG\r\n\x1a\n" + data[8:], "neither EDF nor BDF"),
    "no signals": (changed(252, b"0   "), "0 signals"),
    "words for numbers": (changed(236, b"many    "), "malformed header"),
    "another header size": (changed(184, b"512     "), "it says that it has 512 bytes"),
    "no duration": (changed(244, b"0       "), "data records of 0 s"),
    "endless": (changed(244, b"inf     "), "data records of inf s"),
    "a bomb": (changed(256 + 2 * 216, b"99999999"), "data records of .* bytes"),
    "no scale": (changed(256 + 2 * 104, b"5       "), "V1 has no scale"),
    "no records": (changed(236, b"0       "), "of the 0 data records"),
    "without onsets": (changed(192, b"EDF+C"), "data record 1 does not say when it began"),
}


@pytest.mark.parametrize(("spoil", "words"), FAULTS.values(), ids=FAULTS)
def test_a_faulty_file_is_refused(
    spoil: Callable[[bytes], bytes], words: str, tmp_path: Path, leads: np.ndarray
) -> None:
    path = plain(tmp_path, leads)
    path.write_bytes(spoil(path.read_bytes()))

    with pytest.raises(SignalError, match=words):
        EdfRecording(path, wanted=ECG)


def test_a_file_that_does_not_fit_the_model_is_refused(tmp_path: Path, leads: np.ndarray) -> None:
    with pytest.raises(SignalError, match="has MLII in uV, and the model reads mV"):
        EdfRecording(write(tmp_path / "a.edf", leads, unit="uV"), wanted=ECG)
    with pytest.raises(SignalError, match="has the channels V1, V5, and the model reads MLII, II"):
        EdfRecording(write(tmp_path / "b.edf", leads, labels=("V1", "V5")), wanted=ECG)
    with pytest.raises(ConfigError, match="does not exist"):
        EdfRecording(tmp_path / "none.edf", wanted=ECG)
