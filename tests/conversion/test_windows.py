from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.calibration import MINIMUM_WINDOWS, read_windows
from converters.held_out import LARGEST_SHARE, check_held_out
from edge_sdk.contracts import Standardize
from edge_sdk.errors import ConfigError, ConversionError, EdgeError
from tests.conversion.conftest import windows
from tests.conversion.window_contracts import FACTS, answering, beats, facts, strips

COUNT = 4 * MINIMUM_WINDOWS


def given_windows(**changes: Any) -> dict[str, Any]:
    """Good windows for `beats`, with some arrays changed, or left out where the change is ``None``."""
    arrays = {**windows(COUNT, seed=5), **changes}
    return {name: values for name, values in arrays.items() if values is not None}


def people(count: int = COUNT, *, seed: int = 1) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    return {"features": random.normal(50, 10, (count, len(FACTS))), "targets": random.normal(120, 9, (count, 2))}


def refusal(source: Any, contract: Any = None, *, labelled: bool = True) -> str:
    with pytest.raises(ConversionError) as caught:
        read_windows(source, contract or beats(), labelled=labelled)
    assert caught.value.remedy
    return str(caught.value)


def test_arrays_in_memory_give_the_windows_that_their_file_gives(tmp_path: Path) -> None:
    arrays = given_windows(group_sex=np.array(["F", "M"] * (COUNT // 2)))
    np.savez(tmp_path / "windows.npz", **arrays)
    from_file, from_memory = (
        read_windows(source, beats(), labelled=True) for source in (tmp_path / "windows.npz", arrays)
    )

    for name, values in from_file.inputs.items():
        np.testing.assert_array_equal(values, from_memory.inputs[name])
    np.testing.assert_array_equal(from_file.labels, arrays["labels"])
    np.testing.assert_array_equal(from_memory.groups["sex"], arrays["group_sex"])


def test_labels_may_be_names() -> None:
    numbers = windows(COUNT, seed=5)["labels"]
    names = np.array(["low", "high"])[numbers]

    for told in (names, names.astype(object), names.astype(np.bytes_), numbers.astype(str), numbers.astype(np.uint8)):
        np.testing.assert_array_equal(read_windows(given_windows(labels=told), beats(), labelled=True).labels, numbers)


def test_a_name_wins_where_labels_are_named_by_numbers() -> None:
    given_names = np.array(["2", "1"] * (COUNT // 2))
    read = read_windows(given_windows(labels=given_names), beats("1", "2"), labelled=True)

    assert read.labels is not None
    assert read.labels[:2].tolist() == [1, 0]


def test_a_label_that_the_contract_does_not_have_is_named_with_its_nearest() -> None:
    labels = np.array(["low", "hihg"] * (COUNT // 2))

    message = refusal(given_windows(labels=labels))

    assert "'hihg'" in message
    assert f"{COUNT // 2} windows" in message
    assert "did you mean 'high'?" in message


@pytest.mark.parametrize("wrong", [[0.0, 1.0], [[0, 1], [1, 0]], [True, False]], ids=["fractions", "one-hot", "bools"])
def test_labels_that_are_no_classes_are_refused(wrong: list[Any]) -> None:
    assert "'labels' is" in refusal(given_windows(labels=np.array(wrong * (COUNT // 2))))


@pytest.mark.parametrize("outside", [-1, 2, 2**40])
def test_labels_beyond_the_contract_are_refused(outside: int) -> None:
    labels = windows(COUNT, seed=5)["labels"].astype(np.int64)
    labels[7] = outside

    assert "2 classes" in refusal(given_windows(labels=labels))


def test_windows_all_of_one_class_are_refused() -> None:
    message = refusal(given_windows(labels=np.zeros(COUNT, np.int64)))

    assert f"all {COUNT} windows are of class 'low'" in message


def test_a_class_without_windows_is_remarked() -> None:
    read = read_windows(given_windows(), answering(beats(), "low", "high", "highest"), labelled=True)

    assert [remark for remark in read.remarks if "none is of class 'highest'" in remark]


def test_truth_is_not_asked_for_where_it_is_not_needed() -> None:
    read = read_windows(given_windows(labels=None), beats(), labelled=False)

    assert read.labels is None


def test_a_missing_array_is_named_with_what_it_may_be_called() -> None:
    arrays = given_windows(labels=None, label=np.zeros(COUNT, np.int64))

    message = refusal(arrays)

    assert "array 'labels' is missing" in message
    assert "did you mean 'label'?" in message


def test_an_array_that_means_nothing_is_remarked() -> None:
    read = read_windows(given_windows(grp_sex=np.zeros(COUNT, np.int64)), beats(), labelled=True)

    (remark,) = read.remarks
    assert "'grp_sex' is not used: did you mean 'group_sex'?" in remark


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_missing_and_infinite_values_are_counted_and_the_first_is_named(bad: float) -> None:
    waveform = windows(COUNT, seed=5)["waveform"].astype(np.float64)
    waveform[[7, 9, 9], [3, 4, 5], 0] = bad

    message = refusal(given_windows(waveform=waveform))

    assert f"2 of {COUNT} windows" in message
    assert "first in window 7" in message


def test_swapped_axes_are_recognized() -> None:
    waveform = windows(COUNT, seed=5)["waveform"].transpose(0, 2, 1)

    message = refusal(given_windows(waveform=waveform))

    assert "(2, 30)" in message
    assert "(30, 2); swap the axes" in message


@pytest.mark.parametrize("wrong", [np.float64(3), np.ones(COUNT), np.ones((COUNT, 30, 2), complex)])
def test_arrays_that_cannot_be_windows_are_refused(wrong: Any) -> None:
    assert "waveform" in refusal(given_windows(waveform=wrong))


def test_rows_of_different_lengths_are_refused() -> None:
    assert "'features' is no array" in refusal(given_windows(features=[[1, 2, 3]] * (COUNT - 1) + [[1, 2]]))


def test_values_that_are_not_numbers_are_refused() -> None:
    assert "holds object" in refusal(given_windows(features=np.array([[None] * 3] * COUNT)))


def test_the_same_window_over_and_over_is_refused() -> None:
    waveform = np.repeat(windows(1, seed=5)["waveform"], COUNT, axis=0)

    assert "every window's 'waveform' is the same" in refusal(given_windows(waveform=waveform))


def test_one_feature_that_never_varies_is_remarked() -> None:
    features = windows(COUNT, seed=5)["features"]
    features[:, 1] = 3

    read = read_windows(given_windows(features=features), beats(), labelled=True)

    (remark,) = read.remarks
    assert "feature 'rr_after_to_before' never varies" in remark


def test_flat_lines_are_counted() -> None:
    waveform = windows(COUNT, seed=5)["waveform"]
    waveform[3:6] = 0.25

    (remark,) = read_windows(given_windows(waveform=waveform), beats(), labelled=True).remarks
    assert "3 are flat lines" in remark


def test_a_channel_that_never_varies_is_remarked() -> None:
    waveform = np.random.default_rng(1).normal(0, 1, (COUNT, 180, 2))
    waveform[..., 1] = 0

    (remark,) = read_windows({"waveform": waveform}, strips(columns=2), labelled=False).remarks
    assert "channel 1 of the waveform never varies" in remark


def test_the_true_quantities_of_one_estimate_need_no_second_axis() -> None:
    targets = np.random.default_rng(1).normal(120, 9, COUNT)
    contract = facts()
    output = msgspec.structs.replace(contract.output, quantities=contract.output.quantities[:1])
    alone = msgspec.structs.replace(contract, output=output)

    read = read_windows({**people(), "targets": targets}, alone, labelled=True)

    assert read.targets is not None
    np.testing.assert_array_equal(read.targets, targets.astype(np.float32)[:, np.newaxis])


def test_true_quantities_must_fit_be_finite_and_vary() -> None:
    given_people = people()
    missing, still = given_people["targets"].copy(), given_people["targets"].copy()
    missing[11, 1] = np.nan
    still[:, 1] = 80

    assert f"({COUNT}, 2)" in refusal({**given_people, "targets": given_people["targets"][:, :1]}, facts())
    assert "first in window 11" in refusal({**given_people, "targets": missing}, facts())
    assert "every window's 'diastolic' is 80" in refusal({**given_people, "targets": still}, facts())


def test_groups_must_fit_the_windows() -> None:
    assert "'group_sex' is" in refusal(given_windows(group_sex=np.array(["F"] * (COUNT - 1))))
    assert "'group_age' is" in refusal(given_windows(group_age=np.linspace(0, 1, COUNT)))


def test_preprocessing_that_does_not_fit_is_refused_before_any_work() -> None:
    too_long = Standardize(mean=(0.0,) * 4, std=(1.0,) * 4)
    divides_by_zero = Standardize(mean=(0.0,) * 3, std=(1.0, 0.0, 1.0))

    assert "do not fit" in refusal(people(), facts(steps=(too_long,)))
    assert "not finite" in refusal(people(), facts(steps=(divides_by_zero,)))


def test_preprocessing_that_changes_the_shape_is_refused() -> None:
    contract = strips()
    (wanted,) = contract.input.inputs
    spread = msgspec.structs.replace(wanted, steps=(Standardize(mean=(0.0,) * 3, std=(1.0,) * 3),))
    reads = msgspec.structs.replace(contract.input, inputs=(spread,))
    waveform = np.random.default_rng(1).normal(0, 1, (COUNT, 180, 1))

    message = refusal({"waveform": waveform}, msgspec.structs.replace(contract, input=reads), labelled=False)

    assert "(180, 3)" in message


def test_a_source_that_is_not_there_is_named(tmp_path: Path) -> None:
    for name in ("none.npz", "none.csv", "none", "none.py"):
        with pytest.raises(ConfigError, match="not exist"):
            read_windows(tmp_path / name, beats(), labelled=True)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "windows.pkl").write_bytes(b"")

    assert "no such kind of file" in refusal(tmp_path / "windows.pkl")


def test_a_single_array_is_no_file_of_windows(tmp_path: Path) -> None:
    np.save(tmp_path / "windows.npy", np.ones(3))
    (tmp_path / "windows.npy").rename(tmp_path / "windows.npz")

    assert "not an .npz" in refusal(tmp_path / "windows.npz")


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, 3000), at=st.integers(0, 3000), byte=st.integers(0, 255))
def test_a_broken_file_is_refused_and_never_crashes(
    tmp_path_factory: pytest.TempPathFactory, cut: int, at: int, byte: int
) -> None:
    stream = io.BytesIO()
    np.savez_compressed(stream, **{name: values[:60] for name, values in given_windows().items()})
    data = bytearray(stream.getvalue())
    data[at % len(data)] = byte
    path = tmp_path_factory.mktemp("broken") / "windows.npz"
    path.write_bytes(data[: len(data) - cut])

    try:
        told = f"all {len(read_windows(path, beats(), labelled=True))} windows"
    except EdgeError as error:
        told = error.problem
    assert told.startswith(("all 60 windows", "windows in "))


def test_held_out_windows_are_said_to_be() -> None:
    evaluation, calibration = (read_windows(windows(COUNT, seed=seed), beats(), labelled=True) for seed in (1, 2))

    assert check_held_out(evaluation, calibration, what="calibration") == ()


def test_evaluating_on_the_windows_of_calibration_is_refused() -> None:
    evaluation = read_windows(windows(COUNT, seed=1), beats(), labelled=True)

    with pytest.raises(ConversionError, match=f"{COUNT} of {COUNT} evaluation windows are among the training windows"):
        check_held_out(evaluation, evaluation, what="training")


def test_one_window_in_both_sets_is_remarked_and_a_few_are_refused() -> None:
    arrays = windows(COUNT, seed=1)
    evaluation = read_windows(arrays, beats(), labelled=True)

    def leaked(count: int) -> Any:
        other = windows(COUNT, seed=2)
        for name, values in other.items():
            values[:count] = arrays[name][10 : 10 + count]
        return read_windows(other, beats(), labelled=True)

    (remark,) = check_held_out(evaluation, leaked(1), what="calibration")
    assert f"1 of {COUNT} evaluation windows" in remark
    assert "first evaluation window 10" in remark
    with pytest.raises(ConversionError, match="evaluate on patients"):
        check_held_out(evaluation, leaked(round(2 * LARGEST_SHARE * COUNT)), what="calibration")


def test_people_who_are_alike_are_not_taken_for_the_same() -> None:
    def coarse(seed: int) -> Any:
        random = np.random.default_rng(seed)
        return read_windows({"features": random.integers(0, 4, (COUNT, len(FACTS)))}, facts(), labelled=False)

    (remark,) = check_held_out(coarse(1), coarse(2), what="calibration")

    assert "evaluation windows are among" in remark
