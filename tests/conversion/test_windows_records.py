from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec
import numpy as np
import pytest

from converters.calibration import WindowSet, read_windows
from converters.window_sources.beat_labels import FLUTTER, UNMATCHED, classes_of
from converters.window_sources.people import age_band, groups_of
from device_agents.sources.replay import Recording, ReplaySource
from edge_sdk.contracts import ModelContract
from edge_sdk.ec57 import BEAT_CLASSES, annotated_beats
from edge_sdk.errors import ConversionError
from edge_sdk.preprocessing import prepare
from edge_sdk.quality import assess
from edge_sdk.settings import load_toml
from edge_sdk.windowing import Window, stream_format, windower_for
from tests.conftest import REPOSITORY
from tests.conversion.window_contracts import answering, facts, strips
from tests.device.records import write_record
from tests.signals.records import read_record, wfdb_module

wfdb_module()  # whose import warns
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:wfdb.*")  # of pandas
RATE_HZ = 360.0


@pytest.fixture(scope="module")
def contract() -> ModelContract:
    return load_toml(REPOSITORY / "examples" / "ecg_beats" / "ecg_beats.toml", ModelContract, what="contract")


@pytest.fixture(scope="module")
def labelled(contract: ModelContract) -> WindowSet:
    return read_windows(REPOSITORY / "examples" / "ecg_beats" / "data", contract, labelled=True)


def on_a_device(record: Path, contract: ModelContract) -> list[Window]:
    """Return the windows that an agent would show to the model."""
    recording = Recording(record, wanted=stream_format(contract.input))
    blocks = list(ReplaySource(recording, speed=0, block_s=0.7, start_time_ns=0).blocks())
    samples = np.concatenate([block.samples[:, 0] for block in blocks])
    windower = windower_for(contract.input)
    cut = [window for block in blocks for window in windower.push(block.samples[:, 0])] + windower.flush()
    return [
        window
        for window in cut
        if assess(samples[max(0, window.start_index) : window.end_index], sample_rate_hz=RATE_HZ).usable
    ]


@pytest.fixture(scope="module")
def shown(contract: ModelContract) -> list[Window]:
    """What an agent would show to the example model of the record that is shipped."""
    return on_a_device(REPOSITORY / "examples" / "ecg_beats" / "data" / "200", contract)


def folder_of(tmp_path: Path, *records: Path) -> Path:
    """Return a folder that lists a few of another folder's records."""
    for record in records:
        for path in record.parent.glob(f"{record.name}.*"):
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / "RECORDS").write_text("".join(f"{record.name}\n" for record in records))
    return tmp_path


def made_up(
    folder: Path, name: str, *, seconds: float = 120, channels: tuple[str, ...] = ("II",), **told: float
) -> Path:
    random = np.random.default_rng(len(name))
    stored = random.integers(900, 1150, (round(seconds * RATE_HZ), len(channels)))
    return write_record(folder / name, stored, channels=channels, **told)  # type: ignore[arg-type]


def refusal(folder: Path, contract: ModelContract, *, labelled: bool = False) -> str:
    with pytest.raises(ConversionError) as caught:
        read_windows(folder, contract, labelled=labelled)
    assert caught.value.remedy
    return str(caught.value)


def test_a_records_windows_are_those_that_a_device_shows_to_the_model(
    demo_record: Path, contract: ModelContract, shown: list[Window]
) -> None:
    read = read_windows(demo_record.parent, contract, labelled=False)

    prepared = [prepare(window, contract.input) for window in shown]
    for name, values in read.inputs.items():
        np.testing.assert_array_equal(values, np.stack([inputs[name] for inputs in prepared]))


def test_beats_have_the_class_of_the_cardiologists_beat_beside_them(
    demo_record: Path, contract: ModelContract, labelled: WindowSet, shown: list[Window]
) -> None:
    record = read_record(demo_record)
    reference = annotated_beats(record.annotated, record.symbols)
    names = [label.name for label in contract.output.labels]

    expected = []
    for window in shown:
        nearest = np.abs(reference.samples - window.anchor_index).argmin()
        near = abs(int(reference.samples[nearest]) - window.anchor_index) <= 0.15 * RATE_HZ
        if near and reference.classes[nearest] in names:
            expected.append(names.index(str(reference.classes[nearest])))
    assert labelled.labels is not None
    assert labelled.labels.tolist() == expected


def test_what_is_left_out_is_remarked(labelled: WindowSet) -> None:
    (remark,) = labelled.remarks

    assert f"{len(labelled)} are used" in remark
    assert UNMATCHED in remark
    assert "of class F" in remark


def test_the_record_and_its_person_are_groups(labelled: WindowSet) -> None:
    told = {name: set(values.tolist()) for name, values in labelled.groups.items()}

    assert told == {"record": {"200"}, "sex": {"M"}, "age_band": {"60-79"}}


def test_several_records_keep_their_people_apart(shared_data: Path, tmp_path: Path, contract: ModelContract) -> None:
    ds1 = shared_data / "ecg_mitdb" / "ds1"
    wide = answering(contract, *BEAT_CLASSES)
    fractions: list[float] = []

    read = read_windows(
        folder_of(tmp_path, *(ds1 / name for name in ("207", "116", "208"))),
        wide,
        labelled=True,
        progress=fractions.append,
    )

    assert fractions == [0, 1 / 3, 2 / 3]
    assert read.labels is not None
    assert list(dict.fromkeys(read.groups["record"].tolist())) == ["207", "116", "208"]
    for name in ("116", "208"):
        used = Counter(BEAT_CLASSES[label] for label in read.labels[read.groups["record"] == name])
        record = read_record(ds1 / name)
        there = Counter(annotated_beats(record.annotated, record.symbols).classes.tolist())
        assert all(0.95 * there[each] <= used[each] <= there[each] for each in "NV")
    for name, values in read.groups.items():
        if name != "record":
            assert len({(*pair,) for pair in zip(read.groups["record"], values, strict=True)}) == 3
    (remark,) = read.remarks
    for reason in ("saturated", FLUTTER, UNMATCHED):
        assert reason in remark
    assert "annotated beats were not found" in remark


@pytest.mark.slow
def test_the_whole_training_set_is_read(shared_data: Path, contract: ModelContract) -> None:
    folder = shared_data / "ecg_mitdb" / "ds1"

    read = read_windows(folder, contract, labelled=True)

    there: Counter[str] = Counter()
    for name in (folder / "RECORDS").read_text().split():
        record = wfdb_module().rdann(str(folder / name), "atr")
        there += Counter(annotated_beats(record.sample, record.symbol).classes.tolist())
    assert read.labels is not None
    for index, label in enumerate(contract.output.labels):
        assert 0.98 * there[label.name] <= np.count_nonzero(read.labels == index) <= there[label.name]


def test_windows_of_a_fixed_length_are_cut_as_on_a_device(demo_record: Path) -> None:
    wanted = strips()

    read = read_windows(demo_record.parent, wanted, labelled=False)

    shown = np.stack([window.waveform for window in on_a_device(demo_record, wanted)])
    np.testing.assert_array_equal(read.inputs["x"], shown)


def test_the_channel_that_the_contract_likes_best_is_read(tmp_path: Path) -> None:
    made_up(tmp_path, "both", channels=("V1", "II"))
    one, other, either = (
        read_windows(tmp_path, strips(channels=channels), labelled=False).inputs["x"]
        for channels in (("II",), ("V1",), ("MLII", "II", "V1"))
    )

    np.testing.assert_array_equal(either, one)
    assert not np.array_equal(one, other)


def test_missing_samples_make_bad_windows_which_are_left_out(tmp_path: Path) -> None:
    stored = np.random.default_rng(1).integers(900, 1150, (round(120 * RATE_HZ), 1))
    stored[round(10.2 * RATE_HZ)] = -2048
    stored[round(20 * RATE_HZ) : round(21 * RATE_HZ)] = 1024
    write_record(tmp_path / "gap", stored, channels=("II",))

    read = read_windows(tmp_path, strips(), labelled=False)

    assert len(read) == 120 - 2
    (remark,) = read.remarks
    assert "1 left out (flat line)" in remark
    assert "1 left out (missing samples)" in remark


def test_records_without_windows_are_refused_with_the_reasons(tmp_path: Path) -> None:
    write_record(tmp_path / "flat", np.full((round(60 * RATE_HZ), 1), 1024), channels=("II",))

    assert "no record has a window to use, 60 left out (flat line)" in refusal(tmp_path, strips())


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"channels": ("", "V2")}, "channels are one without a name, V2, and the model reads II, MLII"),
        ({"channels": ("V1", "V2")}, "channels are V1, V2, and the model reads II, MLII"),
        ({"sample_rate_hz": 250}, "has 250 Hz, and the model reads 360 Hz"),
        ({"unit": "uV"}, "has II in uV, and the model reads mV"),
    ],
)
def test_a_record_that_a_device_refuses_is_refused(tmp_path: Path, changed: dict[str, object], told: str) -> None:
    record = made_up(tmp_path, "other", **changed)  # type: ignore[arg-type]

    assert f"{record}: the record" in refusal(tmp_path, strips())
    assert told in refusal(tmp_path, strips())


def test_a_record_of_several_segments_is_refused(shared_data: Path, tmp_path: Path) -> None:
    (tmp_path / "RECORDS").write_text(f"{shared_data / 'icu_gaps_mimic2' / 's25047-2704-05-04-10-44'}\n")

    assert "several segments" in refusal(tmp_path, strips())


def test_altered_samples_are_refused(tmp_path: Path) -> None:
    record = made_up(tmp_path, "altered")
    data = bytearray(record.with_suffix(".dat").read_bytes())
    data[3000] ^= 1
    record.with_suffix(".dat").write_bytes(data)

    assert "do not match the checksum" in refusal(tmp_path, strips())


def test_broken_records_are_refused(tmp_path: Path) -> None:
    cut = made_up(tmp_path / "cut", "cut").with_suffix(".dat")
    cut.write_bytes(cut.read_bytes()[:500])
    (tmp_path / "no_header").mkdir()
    (tmp_path / "no_header" / "strange.hea").write_text("this is no header\n")
    made_up(tmp_path / "no_signal", "alone").with_suffix(".dat").unlink()
    (tmp_path / "listed").mkdir()
    (tmp_path / "listed" / "RECORDS").write_text("absent\n")

    for name in ("cut", "no_header", "no_signal", "listed"):
        assert "cannot be read" in refusal(tmp_path / name, strips())


def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    assert "no WFDB record" in refusal(tmp_path, strips())


def test_facts_are_not_looked_for_in_records(tmp_path: Path) -> None:
    assert "reads facts about a person" in refusal(tmp_path, facts())


def test_annotations_are_refused_for_what_they_do_not_tell(demo_record: Path, contract: ModelContract) -> None:
    folder = demo_record.parent

    assert "not the model's labels calm, busy of its windows" in refusal(folder, strips(), labelled=True)
    assert "labels N, paced" in refusal(folder, answering(contract, "N", "paced"), labelled=True)
    estimates = msgspec.structs.replace(contract, output=facts().output)
    assert "not the model's quantities" in refusal(folder, estimates, labelled=True)


def test_a_record_without_annotations_is_refused_where_they_are_needed(
    demo_record: Path, tmp_path: Path, contract: ModelContract
) -> None:
    folder_of(tmp_path, demo_record)
    (tmp_path / "200.atr").unlink()

    assert "200: the record has no annotations" in refusal(tmp_path, contract, labelled=True)


def test_each_annotated_beat_is_given_to_one_detection() -> None:
    found, missed = classes_of(
        np.array([1000, 1100, 2000, 5000]),
        np.array([1040, 2054, 3000]),
        ["V", "N", "S"],
        sample_rate_hz=RATE_HZ,
    )

    assert found == ["V", UNMATCHED, "N", UNMATCHED]
    assert missed == 1


def test_a_beat_further_than_150_ms_is_another_one() -> None:
    within, beyond = (
        classes_of(np.array([1000]), np.array([1000 + away]), ["N"], sample_rate_hz=RATE_HZ)[0] for away in (54, 55)
    )

    assert (within, beyond) == (["N"], [UNMATCHED])


def test_beats_in_flutter_have_no_class() -> None:
    found, _ = classes_of(
        np.array([1000, 2000, 3000]),
        np.array([1000, 1500, 2000, 2500, 3000]),
        ["N", "[", "V", "]", "N"],
        sample_rate_hz=RATE_HZ,
    )

    assert found == ["N", FLUTTER, "N"]


def test_a_record_without_annotated_beats_matches_nothing() -> None:
    nothing = np.array([], np.int64)

    assert classes_of(np.array([5, 9]), np.array([7]), ["+"], sample_rate_hz=RATE_HZ) == ([UNMATCHED] * 2, 0)
    assert classes_of(nothing, np.array([7]), ["N"], sample_rate_hz=RATE_HZ) == ([], 1)


@pytest.mark.parametrize(
    ("comments", "sex", "band"),
    [
        (["69 M 1085 1629 x1", "Aldomet"], "M", "60-79"),
        ([" age: 81", " sex: female"], "F", "80 and over"),
        (["<age>: 33 <sex>: F <diagnoses> none"], "F", "20-39"),
        (["Age: NaN", "Sex: Unknown"], "unknown", "unknown"),
        (["<age>: ?? <sex>: ?"], "unknown", "unknown"),
        (["Dosage: 30 mg", "Page: 12"], "unknown", "unknown"),
        ([], "unknown", "unknown"),
    ],
)
def test_headers_tell_who_a_record_is_of(comments: list[str], sex: str, band: str) -> None:
    assert groups_of(comments) == {"sex": sex, "age_band": band}


def test_age_bands_meet_without_gap() -> None:
    assert [age_band(years) for years in (0, 19, 20, 79, 80, 104)] == [
        "0-19", "0-19", "20-39", "60-79", "80 and over", "80 and over",
    ]  # fmt: skip
