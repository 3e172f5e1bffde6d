from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from device_agents.sources.csv_files import CsvRecording, RowTimes
from device_agents.sources.replay import ReplaySource
from edge_sdk.errors import ConfigError, EdgeError, SignalError
from edge_sdk.signals import SignalFormat
from tests.checks.sources import CHECKS, SourceUnderTest
from tests.device.records import in_mv, read_stored

ECG = SignalFormat(kind="ecg", unit="mV", channels=("MLII", "II"), sample_rate_hz=360)
PPG = SignalFormat(kind="ppg", unit="1", channels=("PLETH",), sample_rate_hz=50)
STAMPED = RowTimes(column="time")


def write(path: Path, *columns: Any, names: str = "time,MLII", delimiter: str = ",") -> Path:
    with path.open("w", newline="") as stream:
        table = csv.writer(stream, delimiter=delimiter)
        if names:
            table.writerow(names.split(","))
        table.writerows(zip(*columns, strict=True))
    return path


def written(values: Any) -> list[str]:
    return ["" if np.isnan(value) else repr(float(value)) for value in values]


def samples_of(recording: CsvRecording) -> np.ndarray:
    return np.concatenate(list(recording.values(block=100)))


def ecg(demo_record: Path) -> np.ndarray:
    values = in_mv(read_stored(demo_record, samples=2 * 360)[:, 0])
    values[100:140] = np.nan
    return values


def even(folder: Path, values: np.ndarray) -> CsvRecording:
    path = write(folder / "even.csv", written(values), names="MLII")
    return CsvRecording(path, wanted=ECG, unit="mV", times=RowTimes(sample_rate_hz=360))


def stamped_to_the_millisecond(folder: Path, values: np.ndarray) -> CsvRecording:
    """Rows that are missing instead of empty."""
    kept = np.isfinite(values)
    times = np.rint(np.arange(len(values)) / 0.36).astype(int)[kept]
    path = write(folder / "ms.csv", times, written(values[kept]), names="t [ms];MLII".replace(";", ","))
    times_of = RowTimes(column="t [ms]", unit="ms", sample_rate_hz=360)
    return CsvRecording(path, wanted=ECG, unit="mV", times=times_of)


def resampled_from_its_own_grid(folder: Path, values: np.ndarray) -> CsvRecording:
    path = write(folder / "grid.csv", np.arange(len(values)) / 360, written(values))
    return CsvRecording(path, wanted=ECG, unit="mV", times=STAMPED)


FILES = {"even": even, "gaps told by stamps": stamped_to_the_millisecond, "resampled": resampled_from_its_own_grid}


@pytest.mark.parametrize("make", FILES.values(), ids=FILES)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_csv_source(
    check: Callable[[SourceUnderTest], None],
    make: Callable[[Path, np.ndarray], CsvRecording],
    tmp_path: Path,
    demo_record: Path,
) -> None:
    values = ecg(demo_record)
    recording = make(tmp_path, values)
    given = samples_of(recording)[:, 0]
    np.testing.assert_allclose(given, values, atol=1e-5)

    def opened(block_s: float) -> ReplaySource:
        return ReplaySource(recording, speed=0, block_s=block_s, start_time_ns=10**18)

    check(SourceUnderTest(open=opened, expected=given))


TIMES = {
    "s": ["0", "0.01", "0.02"],
    "ms": ["0", "10", "20"],
    "unix_s": ["1709287200.5", "1709287200.51", "1709287200.52"],
    "unix_ms": ["1709287200500", "1709287200510", "1709287200520"],
    "iso": ["2024-03-01T11:00:00.5+01:00", "2024-03-01T10:00:00.51Z", "2024-03-01 10:00:00.520000000"],
}


@pytest.mark.parametrize("unit", TIMES)
def test_every_way_to_write_a_time_is_understood(unit: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", TIMES[unit], [1, 2, 3])

    hundred = SignalFormat(kind="ecg", unit="mV", channels=("MLII",), sample_rate_hz=100)
    recording = CsvRecording(path, wanted=hundred, unit="mV", times=RowTimes(column="time", unit=unit))

    np.testing.assert_allclose(samples_of(recording)[:, 0], [1, 2, 3], atol=1e-4)
    assert recording.start_time_ns == (None if unit in {"s", "ms"} else 1_709_287_200_500_000_000)


def test_real_pulses_without_names_or_times_come_as_they_are(shared_data: Path) -> None:
    path = shared_data / "ppg_heartpy" / "ppg_100hz.csv"
    wanted = SignalFormat(kind="ppg", unit="1", channels=("PLETH",), sample_rate_hz=100)

    recording = CsvRecording(path, wanted=wanted, unit="1", times=RowTimes(sample_rate_hz=100), channels=("1",))

    np.testing.assert_array_equal(samples_of(recording)[:, 0], np.loadtxt(path, dtype=np.float32))


def test_real_pulses_with_times_between_the_model_s_keep_their_course(shared_data: Path) -> None:
    path = shared_data / "ppg_heartpy" / "ppg_timestamped_ms.csv"
    times, values = np.loadtxt(path, delimiter=",", skiprows=1).T

    recording = CsvRecording(path, wanted=PPG, unit="1", times=RowTimes(column="timer", unit="ms"), channels=("hr",))
    found = samples_of(recording)[:, 0]

    assert len(found) == int(times[-1] / 20) + 1
    straight = np.interp(np.arange(len(found)) * 20, times, values)
    measured = np.isfinite(found)
    assert measured[20:-20].all()
    assert np.sqrt(np.mean((found - straight)[measured] ** 2)) < 0.02 * values.std()


def test_a_camera_s_real_gaps_stay_gaps(shared_data: Path) -> None:
    path = shared_data / "ppg_welltory" / "subject_01" / "PPG.csv"
    times = np.loadtxt(path, delimiter=",", skiprows=1)[:, 0] / 1000

    recording = CsvRecording(path, wanted=PPG, unit="1", times=RowTimes(column="time", unit="ms"), channels=("R",))
    found = samples_of(recording)[:, 0]

    at_s = times[0] + np.arange(len(found)) / 50
    after = np.searchsorted(times, at_s + 1e-9)
    width_s = times[after.clip(max=len(times) - 1)] - times[after - 1]
    inside = at_s - times[after - 1] > 1e-6
    np.testing.assert_array_equal(np.isnan(found), inside & (width_s > 0.08))
    assert np.isnan(found).any()


@pytest.mark.parametrize("subject", range(1, 15))
def test_every_camera_recording_is_read_at_the_model_s_rate(subject: int, shared_data: Path) -> None:
    path = shared_data / "ppg_welltory" / f"subject_{subject:02}" / "PPG.csv"
    times, red = np.loadtxt(path, delimiter=",", skiprows=1)[:, :2].T

    recording = CsvRecording(path, wanted=PPG, unit="1", times=RowTimes(column="time", unit="ms"), channels=("R",))
    found = samples_of(recording)[:, 0]

    straight = np.interp(times[0] + np.arange(len(found)) * 20, times, red)
    assert np.nanmax(np.abs(found - straight)) < 0.5 * np.ptp(red)
    assert np.isfinite(found).mean() > 0.9


def test_three_axes_come_side_by_side(tmp_path: Path) -> None:
    axes = np.random.default_rng(1).normal(size=(3, 200)).astype(np.float32)
    path = write(tmp_path / "walk.csv", *map(written, axes), names="z,x,y", delimiter=";")
    wanted = SignalFormat(kind="accelerometer", unit="g", channels=("x", "y", "z"), sample_rate_hz=50)

    recording = CsvRecording(path, wanted=wanted, unit="g", times=RowTimes(sample_rate_hz=50), delimiter=";")

    np.testing.assert_array_equal(samples_of(recording), axes[[1, 2, 0]].T)
    assert recording.format == wanted


def test_the_same_file_read_otherwise_is_named_otherwise(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", np.arange(9) / 360, range(9), range(9), names="time,MLII,II")

    readings = [
        CsvRecording(path, wanted=ECG, unit="mV", times=times, channels=channels).identity
        for times in (RowTimes(column="time"), RowTimes(column="time", sample_rate_hz=360))
        for channels in (("MLII",), ("II",))
    ]

    assert len(set(readings)) == 4


def refused(text: str | bytes, words: str, *, error: type[EdgeError] = SignalError, **options: Any) -> Any:
    return pytest.param(text if isinstance(text, bytes) else text.encode(), words, error, options, id=words)


GOOD = {"wanted": ECG, "unit": "mV", "times": RowTimes(sample_rate_hz=360)}


@pytest.mark.parametrize(
    ("text", "words", "error", "options"),
    [
        refused("", "is empty"),
        refused("MLII\n", "has no rows"),
        refused("MLII\n1\nx\n", "line 3: could not convert string to float: 'x'"),
        refused("V1,MLII\n1,2\n3\n", "line 3: 1 cells where there are 2 columns: correct it"),
        refused("V1,MLII\n0,5,1,2\n", "line 2: 4 cells where there are 2 columns"),
        refused("MLII\n1e39\n", "1e39 is not a finite number"),
        refused("MLII\ninf\n", "inf is not a finite number"),
        refused("V1;MLII\n1;2\n", r"one column when it is split at ',': set delimiter = ';'"),
        refused("V1,V2\n1,2\n", "has the channels V1, V2, and the model reads MLII, II"),
        refused("MLII\n1\n", "no channel V9; it has MLII", channels=("V9",)),
        refused("MLII\n1\n", "2 channels are named, and the model reads 1", channels=("MLII", "MLII")),
        refused("MLII\n1\n", "has MLII in uV, and the model reads mV", unit="uV"),
        refused("MLII\n1\n", "has 250 Hz, and the model reads 360 Hz", times=RowTimes(sample_rate_hz=250)),
        refused("MLII\n1\n", "no column time; it has MLII", times=STAMPED),
        refused("time,MLII\n0,1\n0.001,1\n0.001,2\n", "line 4: its time is not after", times=STAMPED),
        refused("time,MLII\n0,1\nnan,1\n", "line 3: its time is not after", times=STAMPED),
        refused("time,MLII\n0,1\n0.1,1\n", "has 0 rows a second, and ecg needs at least 100", times=STAMPED),
        refused("time,MLII\n0,1\n0.02,1\n", "has 50 rows a second, and ecg needs", times=STAMPED),
        refused("time,MLII\n0,1\n0.004,1\n1e6,1\n", "a gap of more than a day", times=STAMPED),
        refused(
            "time,MLII\n0,1\n0.002,1\n0.004,1\n",
            "has 500 rows a second by its times, not 360",
            times=RowTimes(column="time", sample_rate_hz=360),
        ),
        refused("time,MLII\nnoon,1\n", "line 2: Invalid isoformat", times=RowTimes(column="time", unit="iso")),
        refused(b"MLII\n\xff\xfe\n", "is no CSV file"),
        refused(b"MLII\n" + b"1" * 200_000, "is no CSV file"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_refused(
    text: bytes, words: str, error: type[EdgeError], options: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_bytes(text)

    with pytest.raises(error, match=words):
        CsvRecording(tmp_path / "a.csv", **(GOOD | options))


def test_a_file_that_is_not_there_is_the_person_s_slip(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        CsvRecording(tmp_path / "none.csv", **GOOD)  # type: ignore[arg-type]
