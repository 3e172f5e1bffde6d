from __future__ import annotations

import json
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edge_sdk.signing import generate_keys
from tests.conversion.conftest import COMMAND, Converted, Workbench, windows


def assert_refused(workbench: Workbench, *expected: str) -> None:
    done = workbench.run()

    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert done.returncode not in (0, 1)
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    for words in expected:
        assert words in lines[0]
    assert not workbench.out.exists()
    assert not list(workbench.folder.glob("**/.tiny*"))


def spoiled(workbench: Workbench, **changes: Any) -> Workbench:
    arrays = {**windows(200, seed=3), **changes}
    path = workbench.folder / "spoiled.npz"
    np.savez(path, **{name: values for name, values in arrays.items() if values is not None})
    return workbench.with_(calibration=path, evaluation=path)


def test_a_file_that_is_no_model(workbench: Workbench) -> None:
    wrong = workbench.folder / "wrong.keras"
    wrong.write_bytes(b"not a model")

    assert_refused(workbench.with_(model=wrong), "wrong.keras", "cannot be loaded")


def test_a_model_that_was_cut_short(workbench: Workbench) -> None:
    cut = workbench.folder / "cut.keras"
    cut.write_bytes(workbench.model.read_bytes()[:-100])

    assert_refused(workbench.with_(model=cut), "cut.keras", "cut short")


def test_a_model_of_another_keras(workbench: Workbench) -> None:
    newer = workbench.folder / "newer.keras"
    with zipfile.ZipFile(workbench.model) as had, zipfile.ZipFile(newer, "w") as has:
        for name in had.namelist():
            content = had.read(name)
            if name == "config.json":
                content = content.replace(b'"units":', b'"not_yet_invented": 1, "units":')
            elif name == "metadata.json":
                content = json.dumps({**json.loads(content), "keras_version": "99.1.0"}).encode()
            has.writestr(name, content)

    assert_refused(workbench.with_(model=newer), "saved by Keras 99.1.0", "install keras==99.1.0")


def test_an_old_model_that_is_no_hdf5(workbench: Workbench) -> None:
    wrong = workbench.folder / "wrong.h5"
    wrong.write_bytes(workbench.model.read_bytes())

    assert_refused(workbench.with_(model=wrong), "wrong.h5", "not an HDF5 file")


def test_a_model_that_is_not_there(workbench: Workbench) -> None:
    assert_refused(workbench.with_(model=workbench.folder / "none.keras"), "does not exist")


def test_a_kind_of_model_no_importer_reads(workbench: Workbench) -> None:
    other = workbench.folder / "model.caffemodel"
    other.write_bytes(b"")

    assert_refused(workbench.with_(model=other), "no importer reads", ".keras")


def test_a_wrong_key_in_the_contract(workbench: Workbench) -> None:
    contract = workbench.folder / "contract.toml"
    contract.write_text(workbench.contract.read_text().replace("title =", "titel ="))

    assert_refused(workbench.with_(contract=contract), "titel", "did you mean 'title'?")


def test_a_contract_for_other_shapes(workbench: Workbench) -> None:
    contract = workbench.folder / "contract.toml"
    contract.write_text(workbench.contract.read_text().replace("shape = [30, 2]", "shape = [31, 2]"))

    assert_refused(workbench.with_(contract=contract), "(30, 2)", "(31, 2)")


def test_a_contract_with_a_feature_no_device_has(workbench: Workbench) -> None:
    contract = workbench.folder / "contract.toml"
    contract.write_text(workbench.contract.read_text().replace("usual_correlation", "mood"))

    assert_refused(workbench.with_(contract=contract), "do not have: mood")


def test_an_unknown_target(workbench: Workbench) -> None:
    assert_refused(workbench.with_(target="raspberry-pi-4"), "raspberry-pi-4", "did you mean 'raspberry-pi-4b'?")


def test_a_board_whose_compiler_is_not_installed(workbench: Workbench) -> None:
    assert_refused(workbench.with_(target="coral-usb-on-pi-4b"), "edgetpu_compiler", "apt-get install")


def test_an_unknown_recipe(workbench: Workbench) -> None:
    assert_refused(workbench.with_(recipe="int9"), "int9", "did you mean")


def test_calibration_with_missing_values(workbench: Workbench) -> None:
    waveform = windows(200, seed=3)["waveform"]
    waveform[7, 3, 0] = np.nan

    assert_refused(spoiled(workbench, waveform=waveform), "missing or infinite")


def test_constant_calibration(workbench: Workbench) -> None:
    assert_refused(spoiled(workbench, features=np.zeros((200, 3), np.float32)), "'features' is constant")


def test_too_few_windows(workbench: Workbench) -> None:
    assert_refused(spoiled(workbench, **windows(20, seed=3)), "20 windows are too few")


def test_a_missing_array(workbench: Workbench) -> None:
    assert_refused(spoiled(workbench, features=None), "array 'features' is missing")


def test_windows_of_the_wrong_shape(workbench: Workbench) -> None:
    assert_refused(spoiled(workbench, waveform=np.ones((200, 29, 2))), "(29, 2)", "(30, 2)")


def test_labels_outside_the_contract(workbench: Workbench) -> None:
    assert_refused(spoiled(workbench, labels=np.full(200, 2)), "labels", "2 classes")


def test_arrays_of_different_lengths(workbench: Workbench) -> None:
    assert_refused(spoiled(workbench, features=windows(100, seed=3)["features"]), "different numbers of windows")


def test_pickled_arrays(workbench: Workbench) -> None:
    assert_refused(spoiled(workbench, features=np.array([object()] * 200, dtype=object)), "plain arrays")


def test_a_budget_that_is_not_kept(workbench: Workbench) -> None:
    faint = {name: values / 50 for name, values in windows(200, seed=1).items() if name != "labels"}
    calibration = workbench.folder / "faint.npz"
    np.savez(calibration, **faint)

    assert_refused(workbench.with_(calibration=calibration, budget_points=0.5), "of class", "the budget is 0.5")


def test_a_budget_below_nothing(workbench: Workbench) -> None:
    done = workbench.with_(budget_points=-1.0).run()

    assert done.returncode == 2
    assert "--budget-points" in done.stderr


def test_a_key_that_is_no_key(workbench: Workbench) -> None:
    assert_refused(workbench.with_(key=workbench.contract), "not an Ed25519 private key")


def test_an_output_below_a_file(workbench: Workbench) -> None:
    (workbench.folder / "out").write_text("in the way")
    done = workbench.run()

    assert done.returncode == 3
    assert "cannot be written" in done.stderr


def test_a_report_that_cannot_be_written_is_refused_before_the_work(workbench: Workbench) -> None:
    done = workbench.run("--report", str(workbench.folder))

    assert done.returncode == 3
    assert "cannot be written" in done.stderr
    assert not workbench.out.exists()


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    first = subprocess.run([COMMAND, "keygen", "--out", tmp_path], check=True, capture_output=True)
    before = (tmp_path / "signing.key").read_bytes()
    second = subprocess.run([COMMAND, "keygen", "--out", tmp_path], capture_output=True, text=True, check=False)

    assert first.returncode == 0
    assert (second.returncode, (tmp_path / "signing.key").read_bytes()) == (2, before)
    assert "exists already" in second.stderr


def test_inspecting_a_bundle_of_a_stranger(converted: Callable[[str], Converted], tmp_path: Path) -> None:
    generate_keys(tmp_path)
    asked = [COMMAND, "inspect", converted("int8").bundle, "--trust", tmp_path / "signing.pub"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "not signed by a trusted key" in done.stderr
