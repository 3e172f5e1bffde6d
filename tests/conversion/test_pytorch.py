from __future__ import annotations

import functools
import json
import pickle
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from converters.calibration import WindowSet
from converters.flatbuffers import operator_name, read_model
from converters.importers.keras import Origin
from converters.importers.pytorch import import_module, import_pytorch
from converters.importers.pytorch_files import load_program
from converters.models import FloatModel
from converters.optimizers.quantize import quantize_model
from converters.optimizers.recipe import load_recipe
from converters.tensors import Flatbuffer, run_flatbuffer
from edge_sdk.errors import ConversionError, MissingDependency
from tests.conversion.networks import ANSWERS, CHANNELS, NETWORKS, NOISE, TIME, Network, contract, windows

pytestmark = NOISE
FLOAT32 = 0  # of the schema's TensorType
TINY = NETWORKS["linear"]


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], FloatModel]:
    @functools.cache
    def once(network: str) -> FloatModel:
        folder = tmp_path_factory.mktemp("network")
        return import_pytorch(NETWORKS[network].export(folder / "net.pt2"), NETWORKS[network].contract(), folder)

    return once


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return TINY.export(tmp_path / "net.pt2")


@pytest.mark.parametrize("network", NETWORKS)
def test_a_program_and_its_forms_answer_alike(network: str, imported: Callable[[str], FloatModel]) -> None:
    import onnxruntime

    model, given = imported(network), windows(NETWORKS[network].reads, 20, seed=1)
    session = onnxruntime.InferenceSession(model.to_onnx())

    answers = model.predict(given)
    in_onnx = [session.run(["answer"], {name: values[[row]] for name, values in given.items()})[0] for row in range(20)]

    assert np.ptp(answers, axis=0).min() > 0.01
    np.testing.assert_allclose(run_flatbuffer(model.flatbuffer, given), answers, rtol=0, atol=1e-5)
    np.testing.assert_allclose(np.concatenate(in_onnx), answers, rtol=0, atol=1e-5)


@pytest.mark.parametrize("network", NETWORKS)
def test_the_answers_are_those_of_the_network_in_pytorch(network: str, imported: Callable[[str], FloatModel]) -> None:
    asked, given = NETWORKS[network], windows(NETWORKS[network].reads, 5, seed=1)
    ordered = [given.get(name, next(iter(given.values()))) for name in asked.takes]
    moved = [
        np.moveaxis(values, -1, 1) if values.shape[1:] != shape else values
        for values, shape in zip(ordered, asked.takes.values(), strict=True)
    ]

    with torch.no_grad():
        truth = asked.module()(*(torch.from_numpy(np.ascontiguousarray(values)) for values in moved)).numpy()

    np.testing.assert_allclose(imported(network).predict(given), truth, rtol=0, atol=1e-5)


@pytest.mark.parametrize("network", NETWORKS)
def test_every_operator_of_an_int8_model_is_integer(network: str, imported: Callable[[str], FloatModel]) -> None:
    model, given = imported(network), windows(NETWORKS[network].reads, 20, seed=1)
    calibration = WindowSet(inputs=windows(NETWORKS[network].reads, 100, seed=2))

    made = quantize_model(model, load_recipe("int8"), calibration)

    graph, truth = read_model(made.data).subgraphs[0], model.predict(given)
    assert [tensor.name for tensor in graph.tensors if tensor.type == FLOAT32] == []
    assert np.abs(run_flatbuffer(made.data, given) - truth).max() < 0.1 * np.ptp(truth)


def test_tensors_have_the_contracts_names_and_a_batch_of_one(imported: Callable[[str], FloatModel]) -> None:
    loaded = Flatbuffer(imported("two inputs").flatbuffer)

    assert {spec.name: spec.shape for spec in loaded.inputs} == {"waveform": (1, TIME, CHANNELS), "features": (1, 3)}
    assert (loaded.output.name, loaded.output.shape) == ("answer", (1, ANSWERS))


@pytest.mark.parametrize("network", ["convolution", "lstm"])
def test_a_program_with_an_open_batch_is_fixed_to_one_and_asked_for_many(network: str, tmp_path: Path) -> None:
    asked = NETWORKS[network]
    given = windows(asked.reads, 7, seed=1)

    model = import_pytorch(asked.export(tmp_path / "net.pt2", batch=None), asked.contract(), tmp_path)

    assert {spec.shape[0] for spec in Flatbuffer(model.flatbuffer).inputs} == {1}
    np.testing.assert_allclose(run_flatbuffer(model.flatbuffer, given), model.predict(given), rtol=0, atol=1e-5)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_module_in_memory_is_imported_as_its_program_is(
    network: str, imported: Callable[[str], FloatModel], tmp_path: Path
) -> None:
    asked, given = NETWORKS[network], windows(NETWORKS[network].reads, 5, seed=1)
    if network == "two inputs":
        asked = Network(make=asked.make, takes=asked.takes, reads=dict(reversed(asked.reads.items())))
    module = asked.module().train()

    model = import_module(module, asked.contract(), tmp_path, Origin(name="net", sha256="", size_bytes=0))

    assert module.training
    np.testing.assert_allclose(model.predict(given), imported(network).predict(given), rtol=0, atol=1e-6)


def test_a_module_that_does_not_take_the_contracts_inputs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="does not take the contract's inputs"):
        import_module(TINY.module(), contract({"x": (5,)}), tmp_path, Origin(name="net", sha256="", size_bytes=0))


@pytest.mark.parametrize(
    ("reads", "answers", "problem"),
    [
        ({"x": (5,)}, ANSWERS, "the program's input 'x' is (6,), and the contract's (5,)"),
        ({"x": (6,)}, 4, "the model's output is (3,), and the contract's output has 4 values"),
        ({"x": (6,), "y": (2, 2)}, ANSWERS, "the program's inputs are input, and the contract's x, y"),
    ],
)
def test_a_program_that_is_not_the_contracts_is_refused(
    reads: dict[str, tuple[int, ...]], answers: int, problem: str, tiny: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConversionError) as refusal:
        import_pytorch(tiny, contract(reads, answers=answers), tmp_path)

    assert refusal.value.problem == problem
    assert refusal.value.remedy


def test_a_program_for_several_windows_at_a_time_is_refused_with_what_to_export(tmp_path: Path) -> None:
    path = TINY.export(tmp_path / "net.pt2", batch=4)

    with pytest.raises(ConversionError, match=r"begin with 4 windows.*torch\.export\.Dim\('batch'\)"):
        import_pytorch(path, TINY.contract(), tmp_path)


def test_a_program_exported_for_training_is_refused(tmp_path: Path) -> None:
    asked = NETWORKS["convolution"]
    path = asked.export(tmp_path / "net.pt2", batch=None, module=asked.module().train())

    with pytest.raises(ConversionError, match=r"exported for training.*call model\.eval\(\)"):
        import_pytorch(path, asked.contract(), tmp_path)


def test_a_program_with_dropout_left_on_is_refused(tmp_path: Path) -> None:
    path = TINY.export(tmp_path / "net.pt2", module=nn.Sequential(nn.Linear(6, ANSWERS), nn.Dropout()).train())

    with pytest.raises(ConversionError, match="exported for training"):
        import_pytorch(path, TINY.contract(), tmp_path)


def test_channels_that_could_be_first_or_last_are_refused(tmp_path: Path) -> None:
    asked = Network(
        make=lambda: nn.Sequential(nn.Conv1d(4, 3, 4), nn.Flatten()), takes={"input": (4, 4)}, reads={"x": (4, 4)}
    )

    with pytest.raises(ConversionError, match="channels first or last"):
        import_pytorch(asked.export(tmp_path / "net.pt2"), asked.contract(), tmp_path)


def test_one_answer_without_an_axis_of_its_own_is_taken(tmp_path: Path) -> None:
    path = TINY.export(tmp_path / "net.pt2", module=nn.Sequential(nn.Linear(6, 1), nn.Flatten(0)).eval())

    model = import_pytorch(path, contract({"x": (6,)}, answers=1), tmp_path)

    assert model.predict(windows({"x": (6,)}, 3, seed=1)).shape == (3, 1)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".pt2"])
def test_a_pickle_is_not_opened(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"net{suffix}"
    torch.save(TINY.module(), path)

    with pytest.raises(ConversionError, match=r"a pickle runs the code that is in it.*torch\.export\.save\("):
        import_pytorch(path, TINY.contract(), tmp_path)


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_a_torchscript_file_is_refused(tmp_path: Path) -> None:
    torch.jit.trace(TINY.module(), torch.zeros(1, 6)).save(tmp_path / "net.pt")

    with pytest.raises(ConversionError, match=r"TorchScript.*torch\.export\.save\("):
        import_pytorch(tmp_path / "net.pt", TINY.contract(), tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"no model"])
def test_something_else_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "net.pt2").write_bytes(content)

    with pytest.raises(ConversionError, match="cannot be loaded as an exported program"):
        import_pytorch(tmp_path / "net.pt2", TINY.contract(), tmp_path)


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.file,)


def _rewritten(path: Path, member: str, change: Callable[[bytes], bytes], *, name: str | None = None) -> Path:
    made = path.with_name("trapped.pt2")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(made, "w") as target:
        for info in source.infolist():
            data = source.read(info)
            target.writestr(info.filename, change(data) if info.filename.endswith(member) and not name else data)
        if name:
            target.writestr(f"{Path(source.namelist()[0]).parts[0]}/{name}", change(b""))
    return made


def _pickled_weight(data: bytes) -> bytes:
    config = json.loads(data)
    next(iter(config["config"].values()))["use_pickle"] = True
    return json.dumps(config).encode()


@pytest.mark.parametrize(
    ("member", "change"),
    [
        ("weights_config.json", _pickled_weight),
        ("model.json", lambda data: data.replace(b"torch.ops.aten.linear.default", b"torch.hub.load")),
        ("model.json", lambda data: data.replace(b'"guards_code": []', b'"guards_code": ["print(1)"]')),
    ],
)
def test_a_program_with_parts_that_may_hold_code_is_refused(
    member: str, change: Callable[[bytes], bytes], tiny: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConversionError, match="parts that are not known to be safe"):
        import_pytorch(_rewritten(tiny, member, change), TINY.contract(), tmp_path)


def test_an_expression_that_is_no_arithmetic_is_refused(tmp_path: Path) -> None:
    path = TINY.export(tmp_path / "net.pt2", batch=None)
    trapped = _rewritten(path, "model.json", lambda data: data.replace(b"Symbol('s", b"exec('s"))

    assert trapped.read_bytes() != path.read_bytes()
    with pytest.raises(ConversionError, match="parts that are not known to be safe"):
        import_pytorch(trapped, TINY.contract(), tmp_path)


def test_a_pickle_in_place_of_the_example_is_never_run(tiny: Path, tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    trapped = _rewritten(tiny, "sample_inputs/model.pt", lambda _: pickle.dumps(Trap(sprung)))

    with pytest.raises(ConversionError, match="cannot be loaded"):
        import_pytorch(trapped, TINY.contract(), tmp_path)

    assert not sprung.exists()


@pytest.mark.parametrize(
    "name", ["data/constants/opaque_obj_0", "data/aotinductor/model/net.so", "data/weights/model.pt"]
)
def test_a_program_with_other_things_in_it_is_refused(name: str, tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="parts that are not known to be safe"):
        import_pytorch(_rewritten(tiny, "", lambda _: b"x", name=name), TINY.contract(), tmp_path)


def test_without_pytorch_the_remedy_is_what_to_install(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "litert_torch", None)

    with pytest.raises(MissingDependency, match=r"pip install 'wearable-edge-sdk\[torch\]'"):
        import_pytorch(tiny, TINY.contract(), tmp_path)


@pytest.mark.parametrize("network", ["convolution", "depthwise", "residual", "image", "two inputs"])
def test_convolutions_stand_between_no_transposes(network: str, imported: Callable[[str], FloatModel]) -> None:
    model = read_model(imported(network).flatbuffer)

    assert "TRANSPOSE" not in {operator_name(model, operator) for operator in model.subgraphs[0].operators}


class _Turned(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(TIME * CHANNELS, ANSWERS)

    def forward(self, x: Any) -> Any:
        return self.last(x.permute(0, 2, 1).reshape(x.shape[0], -1)) + x.permute(0, 2, 1).mean(1)[:, :1]


def test_a_transpose_that_changes_the_answer_stays(tmp_path: Path) -> None:
    asked = Network(make=_Turned, takes={"x": (TIME, CHANNELS)}, reads={"x": (TIME, CHANNELS)})
    given = windows(asked.reads, 5, seed=1)

    model = import_pytorch(asked.export(tmp_path / "net.pt2"), asked.contract(), tmp_path)

    np.testing.assert_allclose(run_flatbuffer(model.flatbuffer, given), model.predict(given), rtol=0, atol=1e-5)


@pytest.mark.parametrize("network", NETWORKS)
def test_every_program_with_an_open_batch_is_known_to_be_safe(network: str, tmp_path: Path) -> None:
    program = load_program(NETWORKS[network].export(tmp_path / "net.pt2", batch=None))

    assert len(program.graph_signature.user_inputs) == len(NETWORKS[network].takes)


def test_a_loop_over_time_is_written_out_so_that_integers_can_be_made_of_it(
    imported: Callable[[str], FloatModel],
) -> None:
    for network in ("lstm", "gru"):
        model = read_model(imported(network).flatbuffer)
        names = {operator_name(model, operator) for operator in model.subgraphs[0].operators}
        assert "WHILE" not in names
        assert len(model.subgraphs) == 1
