from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

from converters.calibration import read_windows
from edge_sdk.errors import ConversionError
from tests.conversion.conftest import Workbench, windows
from tests.conversion.window_contracts import beats

PREAMBLE = """\
import numpy as np
def arrays(count=60):
    random = np.random.default_rng(1)
    return {
        "waveform": random.normal(0, 1, (count, 30, 2)),
        "features": random.normal(0, 1, (count, 3)),
        "labels": random.integers(0, 2, count),
        "group_sex": ["F", "M"] * (count // 2),
    }
"""


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def module(folder: Path, code: str, name: str = "own_windows") -> Path:
    path = folder / f"{name}.py"
    path.write_text(PREAMBLE + dedent(code))
    return path


def refusal(reference: str) -> str:
    with pytest.raises(ConversionError) as caught:
        read_windows(reference, beats(), labelled=True)
    assert caught.value.remedy
    assert reference in caught.value.problem
    return str(caught.value)


def test_a_function_is_named_by_its_module_or_by_its_file(in_folder: Path) -> None:
    path = module(in_folder, "", name="by_module_or_file")

    for reference in ("by_module_or_file:arrays", f"{path}:arrays", f"{path.name}:arrays"):
        read = read_windows(reference, beats(), labelled=True)
        assert len(read) == 60
        assert set(read.groups["sex"]) == {"F", "M"}


def test_a_file_may_import_what_lies_beside_it(tmp_path: Path) -> None:
    module(tmp_path, "", name="lies_beside")
    importer = tmp_path / "importer.py"
    importer.write_text("def windows():\n    import lies_beside\n    return lies_beside.arrays()\n")
    before = list(sys.path)

    assert len(read_windows(f"{importer}:windows", beats(), labelled=True)) == 60
    assert sys.path == before


def test_a_file_does_not_take_the_place_of_a_module_of_its_name(tmp_path: Path) -> None:
    import json

    path = module(tmp_path, "import dataclasses\n@dataclasses.dataclass\nclass Own:\n    age: 'int'\n", name="json")

    assert len(read_windows(f"{path}:arrays", beats(), labelled=True)) == 60
    assert sys.modules["json"] is json


def test_a_generator_yields_a_window_at_a_time(tmp_path: Path) -> None:
    code = """
        def each():
            whole = arrays()
            for n in range(60):
                yield {
                    "waveform": whole["waveform"][n], "features": whole["features"][n],
                    "label": ["low", "high"][whole["labels"][n]], "group_sex": whole["group_sex"][n],
                }
    """
    path = module(tmp_path, code)

    each, whole = (read_windows(f"{path}:{name}", beats(), labelled=True) for name in ("each", "arrays"))

    for name, values in whole.inputs.items():
        np.testing.assert_array_equal(each.inputs[name], values)
    np.testing.assert_array_equal(each.labels, whole.labels)
    np.testing.assert_array_equal(each.groups["sex"], whole.groups["sex"])


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("return None", "returned NoneType"),
        ("return 'windows.npz'", "returned str"),
        ("return arrays()['features'], arrays()['labels']", "item 0 of what the function gave is ndarray"),
        ("return []", "gave no windows"),
        ("return [{'label': 1, 'features': [1, 2, 3]}, {'label': 1}]", "window 1 has label, and window 0"),
        ("return [{'features': [1, 2, 3]}, {'features': [1, 2]}]", "'features' is no array"),
        ("return {'features': arrays()['features']}", "array 'waveform' is missing"),
    ],
)
def test_a_function_that_gives_something_else_is_refused(tmp_path: Path, body: str, told: str) -> None:
    path = module(tmp_path, f"def wrong():\n    {body}\n")

    assert told in refusal(f"{path}:wrong")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("raise ValueError('no such patient')", "raised ValueError: no such patient"),
        ("yield 1; raise KeyError('age')", "raised KeyError: 'age'"),
        ("raise ValueError('one\\n  two')", "raised ValueError: one two"),
        ("raise ValueError('no ' * 9999)", "no no …"),
        ("raise SystemExit", "raised SystemExit"),
        ("import not_installed_anywhere", "raised ModuleNotFoundError: No module named 'not_installed_anywhere'"),
    ],
)
def test_what_a_function_raises_is_told_with_its_line(tmp_path: Path, body: str, told: str) -> None:
    path = module(tmp_path, f"def fails():\n    {body}\n")

    message = refusal(f"{path}:fails")

    assert told in message
    line = next(number for number, text in enumerate(path.read_text().splitlines(), start=1) if body in text)
    assert f"see line {line} of {path.name}" in message


def test_a_module_that_cannot_be_imported_is_refused(in_folder: Path) -> None:
    module(in_folder, "import not_installed_anywhere\n", name="imports_too_much")
    (in_folder / "broken.py").write_text("def :\n")

    assert "there is no module 'nowhere.to_be_found'" in refusal("nowhere.to_be_found:arrays")
    assert "importing it raised ModuleNotFoundError" in refusal("imports_too_much:arrays")
    assert "importing it raised SyntaxError" in refusal(f"{in_folder / 'broken.py'}:arrays")
    assert "there is no file" in refusal(f"{in_folder / 'absent.py'}:arrays")


def test_a_function_that_is_not_there_is_named_with_its_nearest(tmp_path: Path) -> None:
    path = module(tmp_path, "constant = 3\n")

    assert "no function 'arays': did you mean 'arrays'?" in refusal(f"{path}:arays")
    assert "no function 'constant'" in refusal(f"{path}:constant")


def test_a_function_that_kills_the_process_is_an_error_that_names_the_step(workbench: Workbench) -> None:
    path = module(workbench.folder, "import os\ndef dies():\n    os.abort()\n")

    done = workbench.with_(evaluation=f"{path}:dies").run()

    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert done.returncode == 2
    assert len(lines) == 1, done.stderr
    assert "crashed in step 'read the windows'" in lines[0]
    assert "SIGABRT" in lines[0]
    assert not workbench.out.exists()


def test_a_conversion_takes_its_windows_from_functions(workbench: Workbench) -> None:
    np.savez(workbench.folder / "stored.npz", **windows(400, seed=2))
    code = f"def stored():\n    return dict(np.load({str(workbench.folder / 'stored.npz')!r}))\n"
    reference = f"{module(workbench.folder, code)}:stored"

    done = workbench.with_(evaluation=reference, recipe="dynamic-int8").run()

    assert done.returncode == 0, done.stderr
    assert workbench.out.exists()
