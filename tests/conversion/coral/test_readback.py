from __future__ import annotations

from dataclasses import replace

import pytest

from converters.compilers.coral.forecast import COMPILED_OPERATOR, Forecast, forecast
from converters.compilers.coral.readback import compare
from edge_sdk.errors import ConversionError
from tests.conversion.coral.conftest import data
from tests.conversion.coral.flatbuffers import Op, T, model_of

SMALL, LARGE = T(shape=(1, 2, 2, 4)), T(shape=(1, 4, 4, 4))


def named(tensor: T, name: str) -> T:
    return replace(tensor, name=name)


def steps(*names: str, tensors: list[T]) -> bytes:
    return model_of(tensors, [Op(name=name, inputs=(at,), outputs=(at + 1,)) for at, name in enumerate(names)])


SOURCE = steps("RELU", "TANH", "ELU", "TANH", tensors=[named(SMALL, letter) for letter in "abcde"])


def placed(compiled: bytes, expected: Forecast | None = None) -> list[bool]:
    found = compare(SOURCE, compiled, expected or forecast(SOURCE))
    return [placement.mapped for placement in found.placements]


def test_what_is_left_outside_is_on_the_cpu():
    compiled = steps(COMPILED_OPERATOR, "ELU", "TANH", tensors=[named(SMALL, letter) for letter in "acde"])
    assert placed(compiled) == [True, True, False, False]


def test_one_of_two_alike_is_told_by_its_tensors_name():
    compiled = steps("RELU", "TANH", COMPILED_OPERATOR, tensors=[named(SMALL, letter) for letter in "abce"])
    assert placed(compiled) == [False, False, True, True]


def test_operators_are_found_by_their_form_if_their_names_are_lost():
    compiled = steps(COMPILED_OPERATOR, "ELU", "TANH", tensors=[named(SMALL, letter) for letter in "wxyz"])
    assert placed(compiled) == [True, False, False, True]  # of two alike, the first


def test_several_regions_are_counted():
    tensors = [named(SMALL, letter) for letter in "acde"]
    compiled = steps(COMPILED_OPERATOR, "ELU", COMPILED_OPERATOR, tensors=tensors)
    found = compare(SOURCE, compiled, forecast(SOURCE))
    assert found.regions == 2
    assert found.mapped == 3
    assert [surprise.index for surprise in found.surprises] == [3]
    assert found.agreement == 3 / 4


def test_a_model_that_was_left_as_it_is_runs_on_the_cpu():
    assert placed(SOURCE) == [False] * 4


def test_a_file_made_of_another_model_is_refused():
    with pytest.raises(ConversionError, match="SOFTMAX"):
        placed(steps(COMPILED_OPERATOR, "SOFTMAX", tensors=[SMALL, SMALL, SMALL]))


def test_an_operator_whose_open_sizes_the_compiler_filled_in_is_found():
    tensors = [named(T(shape=()), letter) for letter in "abcd"]
    source = steps("RELU", "TFLite_Detection_PostProcess", "Mine", tensors=tensors)
    compiled = steps(COMPILED_OPERATOR, "Mine", tensors=[named(SMALL, letter) for letter in "acd"])
    found = compare(source, compiled, forecast(source))
    assert [placement.mapped for placement in found.placements] == [True, True, False]


def test_an_operator_without_a_familiar_name_or_form_is_found_by_what_it_is():
    compiled = steps(COMPILED_OPERATOR, "ELU", "TANH", tensors=[named(LARGE, letter) for letter in "wxyz"])
    assert placed(compiled) == [True, False, False, True]


def test_more_of_a_kind_than_there_were_is_refused():
    with pytest.raises(ConversionError, match="ELU"):
        placed(steps(COMPILED_OPERATOR, "ELU", "ELU", tensors=[SMALL] * 4))


def test_a_real_compiled_model_is_read_back():
    source = data("keras_lstm_mnist_ptq.tflite")
    found = compare(source, data("keras_lstm_mnist_ptq_edgetpu.tflite"), forecast(source))
    assert found.mapped == len(found.placements)
