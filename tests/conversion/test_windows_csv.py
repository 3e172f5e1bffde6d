from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.calibration import read_windows
from edge_sdk.contracts import ModelContract
from edge_sdk.errors import ConversionError
from tests.conversion.conftest import windows
from tests.conversion.window_contracts import FACTS, beats, facts

COUNT = 60
Row = list[Any]


def people() -> tuple[list[str], list[Row]]:
    random = np.random.default_rng(3)
    header = [*FACTS, "systolic", "diastolic", "group_sex"]
    rows: list[Row] = [[*random.normal(70, 10, 5).round(1).tolist(), "FM"[number % 2]] for number in range(COUNT)]
    return header, rows


def written(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]], **dialect: Any) -> Path:
    with path.open("w", newline="", encoding=dialect.pop("encoding", "utf-8")) as stream:
        writer = csv.writer(stream, **dialect)
        writer.writerow(header)
        writer.writerows(rows)
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "people.csv"


def refusal(path: Path, contract: ModelContract, *, labelled: bool = True) -> str:
    with pytest.raises(ConversionError) as caught:
        read_windows(path, contract, labelled=labelled)
    assert caught.value.remedy
    assert str(path) in caught.value.problem
    return str(caught.value)


def test_columns_are_found_by_name_in_any_order(table: Path) -> None:
    header, rows = people()
    order = [5, 3, 2, 0, 4, 1]
    written(table, [header[at] for at in order], [[row[at] for at in order] for row in rows])

    read = read_windows(table, facts(), labelled=True)

    numbers = np.array([row[:5] for row in rows], np.float32)
    np.testing.assert_array_equal(read.inputs["x"], numbers[:, :3])
    np.testing.assert_array_equal(read.targets, numbers[:, 3:])
    assert read.groups["sex"].tolist() == [row[5] for row in rows]
    assert read.remarks == ()


@pytest.mark.parametrize("name", ["label", "labels"])
@pytest.mark.parametrize("texts", ["no yes", "0 1"])
def test_labels_are_names_or_numbers(table: Path, name: str, texts: str) -> None:
    _, rows = people()
    told = [texts.split()[number % 2] for number in range(COUNT)]
    written(table, [*FACTS, name], [[*row[:3], label] for row, label in zip(rows, told, strict=True)])

    read = read_windows(table, facts("no", "yes"), labelled=True)

    assert read.labels is not None
    assert read.labels.tolist() == [number % 2 for number in range(COUNT)]


def test_a_waveform_has_a_column_for_each_value(table: Path) -> None:
    arrays = windows(COUNT, seed=4)
    flat = arrays["waveform"].reshape(COUNT, -1)
    features = ["rr_after_to_before", "usual_correlation", "rr_before_to_last_10"]
    header = [*(f"w{index}" for index in range(flat.shape[1])), *features, "label"]
    rows = [
        [*wave, *beat, label]
        for wave, beat, label in zip(
            flat.tolist(), arrays["features"][:, [1, 2, 0]].tolist(), arrays["labels"].tolist(), strict=True
        )
    ]

    read = read_windows(written(table, header, rows), beats(), labelled=True)

    np.testing.assert_array_equal(read.inputs["waveform"], arrays["waveform"])
    np.testing.assert_array_equal(read.inputs["features"], arrays["features"])
    np.testing.assert_array_equal(read.labels, arrays["labels"])


def test_a_file_of_a_spreadsheet_is_read(table: Path) -> None:
    header, rows = people()
    rows[5][5] = "  "
    written(table, [f" {name} " for name in header], [*rows, [""] * len(header)], encoding="utf-8-sig")

    read = read_windows(table, facts(), labelled=True)

    assert len(read) == COUNT
    assert read.groups["sex"][5] == "unknown"


def test_the_truth_may_lack_where_it_is_not_needed(table: Path) -> None:
    header, rows = people()
    written(table, header[:3], [row[:3] for row in rows])

    assert read_windows(table, facts(), labelled=False).targets is None
    assert "column 'systolic' and 1 more is missing" in refusal(table, facts())
    assert "array 'labels' is missing" in refusal(table, facts("no", "yes"))


def test_a_mistyped_column_is_named_with_its_nearest(table: Path) -> None:
    header, rows = people()

    message = refusal(written(table, ["age", "wieght", *header[2:]], rows), facts())

    assert "column 'wieght' is nothing that the contract names: did you mean 'weight'?" in message


def test_a_column_of_something_else_is_refused_with_what_to_do(table: Path) -> None:
    header, rows = people()

    message = refusal(written(table, [*header[:5], "smoker"], rows), facts())

    assert "'smoker'" in message
    assert "'group_smoker'" in message


def test_missing_values_are_refused_with_their_lines(table: Path) -> None:
    header, rows = people()
    for number, missing in enumerate(("", "NA", "nan", " null ", "?", "None")):
        rows[3 + 2 * number][number % 5] = missing

    message = refusal(written(table, header, rows), facts())

    assert f"of {COUNT} rows have missing values" in message
    assert "on line 5," in message


def test_lines_are_counted_in_the_file_and_not_in_rows(table: Path) -> None:
    header, rows = people()
    rows[0][5] = "two\nlines"
    rows[7][1] = ""

    message = refusal(written(table, header, rows), facts())

    line = next(number for number, text in enumerate(table.read_text().splitlines(), start=1) if ",," in text)
    assert f"1 of {COUNT} rows have missing values, on line {line}:" in message


def test_text_in_place_of_a_number_is_refused_with_its_line_and_column(table: Path) -> None:
    header, rows = people()
    rows[4][2] = "tall"

    assert "line 6, column 'height': 'tall' is no number" in refusal(written(table, header, rows), facts())


def test_a_decimal_comma_is_refused(table: Path) -> None:
    header, rows = people()
    rows[4][2] = "170,5"

    assert "'170,5' is no number" in refusal(written(table, header, rows), facts())


def test_infinite_values_are_refused(table: Path) -> None:
    header, rows = people()
    rows[4][2] = "inf"

    assert "first in window 4" in refusal(written(table, header, rows), facts())


@pytest.mark.parametrize(("separator", "word"), [(";", "semicolons"), ("\t", "tabs")])
def test_another_separator_is_recognized(table: Path, separator: str, word: str) -> None:
    header, rows = people()

    assert f"separated by {word}" in refusal(written(table, header, rows, delimiter=separator), facts())


def test_a_short_line_is_refused_with_its_number(table: Path) -> None:
    header, rows = people()
    rows[9] = rows[9][:-1]

    assert "line 11 has 5 cells, and the header 6" in refusal(written(table, header, rows), facts())


def test_the_index_that_pandas_writes_is_recognized(table: Path) -> None:
    header, rows = people()
    numbered = [[number, *row] for number, row in enumerate(rows)]

    message = refusal(written(table, ["", *header], numbered), facts())

    assert "column 1 has no name" in message
    assert "index=False" in message


def test_the_same_column_twice_is_refused(table: Path) -> None:
    header, rows = people()

    assert "column 'age' is there twice" in refusal(written(table, ["age", "age", *header[2:]], rows), facts())


def test_files_that_are_no_tables_are_refused(table: Path) -> None:
    table.write_bytes(b"")
    assert "it is empty" in refusal(table, facts())
    table.write_text('age,weight,height\n1,2,"3\n')
    assert "line" in refusal(table, facts())
    table.write_text("age,weight,height\n1,2,3\n", encoding="utf-16")
    assert "not UTF-8" in refusal(table, facts())


def test_a_header_alone_is_too_few_windows(table: Path) -> None:
    header, _ = people()

    assert "0 windows are too few" in refusal(written(table, header, []), facts())
