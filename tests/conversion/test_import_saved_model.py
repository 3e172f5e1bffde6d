from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from converters.calibration import WindowSet
from converters.flatbuffers import operator_name, read_model
from converters.importers.saved_model import import_saved_model
from converters.models import FloatModel
from converters.optimizers.quantize import quantize_model
from converters.optimizers.recipe import load_recipe
from converters.tensors import run_flatbuffer
from edge_sdk.errors import ConversionError
from tests.conversion.keras_networks import CLASSES, SHAPES, keras_models
from tests.conversion.onnx_graphs import NOISE, answers, contract, weights, windows

pytestmark = NOISE
TENSOR = tf.TensorSpec((None, 4), tf.float32, name="x")


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], FloatModel]:
    networks = keras_models()

    @functools.cache
    def once(name: str) -> FloatModel:
        folder, workspace = tmp_path_factory.mktemp(name), tmp_path_factory.mktemp("work")
        networks[name].export(folder, verbose=False)
        return import_saved_model(folder, contract(CLASSES, window=SHAPES[name]), workspace)

    return once


def save(folder: Path, function: Callable[..., Any], *specs: Any, **signatures: Any) -> Path:
    """A SavedModel as TensorFlow writes it, with weights."""
    module = tf.Module()
    module.kept = tf.Variable(weights(4, 2), name="kept")
    module.call = tf.function(lambda *given: function(module.kept, *given), input_signature=specs or [TENSOR])
    found = dict.fromkeys(signatures, module.call) or {"serving_default": module.call}
    tf.saved_model.save(module, str(folder), signatures=found)
    return folder


def dense(kept: Any, x: Any) -> Any:
    return {"y": tf.matmul(x, kept)}


def refusal(folder: Path, wanted: Any, workspace: Path) -> str:
    with pytest.raises(ConversionError) as refused:
        import_saved_model(folder, wanted, workspace)
    return str(refused.value)


@pytest.mark.parametrize("name", SHAPES)
def test_every_form_answers_as_in_tensorflow(name: str, imported: Callable[[str], FloatModel]) -> None:
    model, given = imported(name), windows(8, window=SHAPES[name])

    expected = model.predict(given)

    assert np.ptp(expected, axis=0).min() > 1e-3
    np.testing.assert_allclose(run_flatbuffer(model.flatbuffer, given), expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(answers(model.to_onnx(), given, "answer"), expected, rtol=0, atol=1e-5)


def test_a_loop_is_written_out_for_integer_recipes(imported: Callable[[str], FloatModel]) -> None:
    model, given = imported("lstm"), windows(64, window=SHAPES["lstm"])

    compact = quantize_model(model, load_recipe("int8"), WindowSet(inputs=given)).data

    found = read_model(compact)
    assert "WHILE" not in {operator_name(found, each) for each in found.subgraphs[0].operators}
    np.testing.assert_allclose(run_flatbuffer(compact, given), model.predict(given), rtol=0, atol=0.05)


def test_a_batch_that_is_one_already(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", dense, tf.TensorSpec((1, 4), tf.float32, name="x"))
    given = windows(5, x=(4,))

    model = import_saved_model(folder, contract(2, x=(4,)), tmp_path)

    np.testing.assert_allclose(model.predict(given), given["x"] @ weights(4, 2), rtol=0, atol=1e-5)
    np.testing.assert_allclose(run_flatbuffer(model.flatbuffer, given), given["x"] @ weights(4, 2), rtol=0, atol=1e-5)


def test_its_digest_is_of_every_file(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", dense)
    before = import_saved_model(folder, contract(2, x=(4,)), tmp_path)

    (folder / "assets").mkdir(exist_ok=True)
    (folder / "assets" / "readme.txt").write_text("more")
    after = import_saved_model(folder, contract(2, x=(4,)), tmp_path)

    assert before.source_sha256 != after.source_sha256
    assert after.source_bytes == before.source_bytes + 4


def test_the_output_that_the_contract_names_is_taken(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", lambda kept, x: {"other": tf.matmul(x, kept), "answer": -tf.matmul(x, kept)})
    given = windows(3, x=(4,))

    model = import_saved_model(folder, contract(2, x=(4,)), tmp_path)

    np.testing.assert_allclose(run_flatbuffer(model.flatbuffer, given), -given["x"] @ weights(4, 2), rtol=0, atol=1e-5)


@pytest.mark.parametrize("reaching", ["ReadFile", "WriteFile", "EagerPyFunc", "PrintV2", "MatchingFiles"])
def test_an_operator_that_reaches_beyond_the_model(reaching: str, tmp_path: Path) -> None:
    def act(kept: Any, x: Any) -> Any:
        if reaching == "ReadFile":
            x += tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), tf.float32)
        elif reaching == "WriteFile":
            tf.io.write_file(str(tmp_path / "written"), "x")
        elif reaching == "EagerPyFunc":
            x = tf.ensure_shape(tf.py_function(lambda value: value, [x], tf.float32), (None, 4))
        elif reaching == "PrintV2":
            tf.print("x")
        else:
            x += tf.cast(tf.size(tf.io.matching_files("/*")), tf.float32)
        return {"y": tf.matmul(x, kept)}

    folder = save(tmp_path / "model", act)

    assert f"the model's operator {reaching}" in refusal(folder, contract(2, x=(4,)), tmp_path)
    assert not (tmp_path / "written").exists()


def test_an_answer_that_restores_files(tmp_path: Path) -> None:
    def act(kept: Any, x: Any) -> Any:
        (found,) = tf.raw_ops.RestoreV2(prefix="/x", tensor_names=["x"], shape_and_slices=[""], dtypes=[tf.float32])
        return {"y": tf.matmul(x, kept) + tf.reshape(found, ())}

    assert "RestoreV2" in refusal(save(tmp_path / "model", act), contract(2, x=(4,)), tmp_path)


@pytest.mark.parametrize("damage", ["no folder", "no graph", "cut", "random", "no weights", "link"])
def test_a_damaged_folder(damage: str, tmp_path: Path) -> None:
    folder = save(tmp_path / "model", dense)
    graph = folder / "saved_model.pb"
    if damage == "no folder":
        folder = tmp_path / "nothing"
    elif damage == "no graph":
        graph.unlink()
    elif damage == "cut":
        graph.write_bytes(graph.read_bytes()[:1000])
    elif damage == "random":
        graph.write_bytes(np.random.default_rng(1).bytes(1000))
    elif damage == "no weights":
        (folder / "variables" / "variables.index").unlink()
    else:
        (folder / "assets" / "link").symlink_to("/etc/hostname")

    with pytest.raises(ConversionError, match=r"cannot be loaded as a SavedModel|is a symbolic link"):
        import_saved_model(folder, contract(2, x=(4,)), tmp_path)


def test_several_signatures_without_a_usual_name(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", dense, first=True, second=True)

    assert "has the signatures first, second" in refusal(folder, contract(2, x=(4,)), tmp_path)


def test_an_input_that_is_no_float(tmp_path: Path) -> None:
    spec = tf.TensorSpec((None, 4), tf.int32, name="x")
    folder = save(tmp_path / "model", lambda kept, x: {"y": tf.matmul(tf.cast(x, tf.float32), kept)}, spec)

    assert "the model's input 'x' is int32" in refusal(folder, contract(2, x=(4,)), tmp_path)
