"""Forecasts of whole models, held against what the real compiler made of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from converters.compilers.coral import rulebook
from converters.compilers.coral.forecast import forecast, parameters
from converters.compilers.coral.readback import compare
from converters.compilers.coral.show import show_forecast, summary
from edge_sdk.errors import ConfigError, ConversionError
from tests.conversion.coral.conftest import DATA, data
from tests.conversion.coral.flatbuffers import Op, T, constant, model_of, one, weights

FLOAT = T(dtype="FLOAT32", scales=0)
KEPT, BROKEN = "RELU", "LEAKY_RELU"


def chain(*names: str) -> bytes:
    """Return a model of operators one after the other."""
    operators = [Op(name=name, inputs=(at,), outputs=(at + 1,)) for at, name in enumerate(names)]
    return model_of([T()] * (len(names) + 1), operators)


def mapped(flatbuffer: bytes) -> list[bool]:
    return [operator.mapped for operator in forecast(flatbuffer).operators]


def pairs(folder: Path) -> list[tuple[bytes, bytes]]:
    found = [
        (source.read_bytes(), compiled.read_bytes())
        for source in sorted(folder.glob("*.tflite"))
        if (compiled := source.with_name(f"{source.stem}_edgetpu.tflite")).exists()
    ]
    assert found, f"no model in {folder} has its compiled one beside it"
    return found


def test_the_forecast_of_the_shipped_model_is_right_for_every_operator():
    for source, compiled in pairs(DATA):
        found = compare(source, compiled, forecast(source))
        assert found.surprises == ()
        assert found.agreement == 1


def test_the_forecast_of_every_real_pair_is_right_for_every_operator(shared_data: Path):
    for source, compiled in pairs(shared_data / "edgetpu"):
        found = compare(source, compiled, forecast(source))
        assert found.surprises == ()
        assert found.regions == 1


def test_a_model_that_is_partly_mapped_is_among_the_real_ones(shared_data: Path):
    assert any(not all(mapped(source)) for source, _ in pairs(shared_data / "edgetpu"))


def test_what_follows_an_operator_on_the_cpu_is_on_the_cpu():
    flatbuffer = chain(KEPT, KEPT, BROKEN, KEPT)
    assert mapped(flatbuffer) == [True, True, False, False]
    assert forecast(flatbuffer).operators[-1].reason == rulebook.SECOND_SUBGRAPH


def test_a_first_operator_on_the_cpu_leaves_the_rest_to_the_edge_tpu():
    assert mapped(chain(BROKEN, KEPT, KEPT)) == [False, True, True]


def test_only_the_first_of_two_regions_is_mapped_even_if_the_second_is_larger():
    assert mapped(chain(KEPT, BROKEN, KEPT, KEPT, KEPT)) == [True, False, False, False, False]


def test_a_branch_that_needs_nothing_from_the_cpu_stays_on_the_edge_tpu():
    branches = [
        Op(name=KEPT, inputs=(0,), outputs=(1,)),
        Op(name=BROKEN, inputs=(1,), outputs=(2,)),
        Op(name=KEPT, inputs=(1,), outputs=(3,)),
        Op(name="ADD", inputs=(2, 3), outputs=(4,)),
    ]
    assert mapped(model_of([T()] * 5, branches)) == [True, False, True, False]


def test_a_model_of_nothing_but_unsupported_operators_is_on_the_cpu():
    assert mapped(chain(BROKEN, BROKEN)) == [False, False]


@pytest.mark.parametrize(("scales", "version"), [(1, 12), (8, 5)])
def test_a_dense_layer_newer_than_the_compiler_keeps_the_model_from_being_compiled(scales: int, version: int):
    flatbuffer = one("FULLY_CONNECTED", T(), weights(8, 8, scales=scales), constant([0] * 8), version=version)
    (refusal,) = forecast(flatbuffer).refusals
    assert refusal.reason == rulebook.VERSION
    assert "int8-compatible" in refusal.advice


def test_parameters_beyond_the_memory_are_streamed():
    flatbuffer = one("FULLY_CONNECTED", T(shape=(1, 100)), weights(10, 100), outputs=(T(shape=(1, 10)),))
    expected = forecast(flatbuffer)
    assert expected.parameter_bytes == 10 * 100
    assert expected.streamed_bytes(600) == 400
    assert expected.streamed_bytes(1000) == 0
    assert "sent again" in parameters(expected, memory_bytes=600)
    assert "all stay" in parameters(expected, memory_bytes=1000)


def test_parameters_of_operators_on_the_cpu_take_no_memory():
    filters = [T(), weights(8, 1, 1, 8), constant([0] * 8), T(dtype="FLOAT32", scales=0)]
    flatbuffer = model_of(filters, [Op(name="CONV_2D", inputs=(0, 1, 2), outputs=(3,))])
    assert forecast(flatbuffer).parameter_bytes == 0


def test_a_compiled_model_is_not_forecast_again():
    with pytest.raises(ConversionError, match="compiled for the Edge TPU already"):
        forecast(data("keras_lstm_mnist_ptq_edgetpu.tflite"))


def test_the_console_shows_every_kind_of_operator_and_the_total(capsys: pytest.CaptureFixture[str]):
    show_forecast(DATA / "keras_lstm_mnist_ptq.tflite", memory_bytes=8_000_000)
    shown = capsys.readouterr().out
    operators = forecast(data("keras_lstm_mnist_ptq.tflite")).operators
    assert f"{len(operators)} of {len(operators)} operators run on the Edge TPU" in shown
    assert all(operator.name[:10] in shown for operator in operators)


def test_the_console_says_why_and_what_to_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    model = tmp_path / "model.tflite"
    model.write_bytes(chain(KEPT, BROKEN, KEPT))
    show_forecast(model, memory_bytes=8_000_000)
    words = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "1 of 3 operators run on the Edge TPU, 2 on the CPU" in words
    assert all(phrase.split()[0] in words for phrase in (rulebook.UNSUPPORTED, rulebook.SECOND_SUBGRAPH))


def test_the_summary_names_what_cannot_be_compiled():
    lines = summary(forecast(one("GELU", T())), memory_bytes=8_000_000)
    assert any("because of 0 GELU" in line for line in lines)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match="does not exist"):
        show_forecast(tmp_path / "none.tflite", memory_bytes=8_000_000)
