"""Each rule on the smallest model that keeps it and the smallest that breaks it."""

from __future__ import annotations

import numpy as np
import pytest

from converters.compilers.coral import rulebook
from converters.compilers.coral.forecast import forecast
from converters.compilers.coral.graph import read_graph
from converters.compilers.coral.rulebook import GENERAL, SPECIFIC, broken_rule
from converters.compilers.coral.rules import MEAN_VALUES, RESHAPED_BYTES, RESIZED_BYTES, ROW_BYTES, TRANSPOSED_BYTES
from tests.conversion.coral.flatbuffers import Op, T, constant, model_of, one, weights

BIAS = constant(np.ones(8))
COMPUTED = T()
FLOAT = T(dtype="FLOAT32", scales=0)
POOLED = (T(shape=(1, 8)),)


def conv(filters: T, *, source: T = COMPUTED, bias: T = BIAS, **options: int) -> bytes:
    return one("CONV_2D", source, filters, bias, **options)


def resize(before: tuple[int, ...], after: tuple[int, ...]) -> bytes:
    return one("RESIZE_BILINEAR", T(shape=before), constant(after[1:3]), outputs=(T(shape=after),))


def mean(axes: list[int], before: tuple[int, ...], after: tuple[int, ...]) -> bytes:
    return one("MEAN", T(shape=before), constant(axes), outputs=(T(shape=after),))


def reshape(before: tuple[int, ...], after: tuple[int, ...]) -> bytes:
    return one("RESHAPE", T(shape=before), constant(after), outputs=(T(shape=after),))


def split(axis: int, before: tuple[int, ...], after: tuple[int, ...]) -> bytes:
    return one("SPLIT", constant(axis), T(shape=before), outputs=(T(shape=after), T(shape=after)))


def strided(strides: list[int], **masks: int) -> bytes:
    return one("STRIDED_SLICE", T(), constant([0] * 4), constant([1, 4, 4, 8]), constant(strides), **masks)


def joined(*parts: T, fused: int = 0) -> bytes:
    return one("CONCATENATION", *parts, outputs=(T(shape=(1, 4, 4, 16)),), axis=3, fusedActivationFunction=fused)


def of_bytes(size: int, *inner: int) -> tuple[int, ...]:
    return (1, size // int(np.prod(inner)), *inner)


KEPT = {
    "a convolution": conv(weights(8, 3, 3, 8)),
    "a convolution with scales for each channel": conv(weights(8, 3, 3, 8, scales=8)),
    "a convolution over time, dilated": conv(weights(8, 3, 1, 8), dilationHFactor=4, dilationWFactor=1),
    "a convolution dilated both ways": conv(weights(8, 3, 3, 8), dilationHFactor=2, dilationWFactor=2),
    "a dense layer": one("FULLY_CONNECTED", T(shape=(1, 8)), weights(8, 8), BIAS, outputs=POOLED, weightsFormat=0),
    "a dense layer without a bias": one("FULLY_CONNECTED", T(shape=(1, 8)), weights(8, 8), outputs=POOLED),
    "uint8": one("LOGISTIC", T(dtype="UINT8"), outputs=(T(dtype="UINT8"),)),
    "a pool": one("MAX_POOL_2D", T(), fusedActivationFunction=0),
    "two joined": joined(T(), T()),
    "zeros joined": joined(T(), T(values=np.zeros((1, 4, 4, 8), np.int8))),
    "a row joined": one("CONCATENATION", T(), T(), outputs=(T(shape=of_bytes(ROW_BYTES, 64)),)),
    "an average over an image": mean([1, 2], (1, 4, 4, 6), (1, 6)),
    "an average over whole fours": mean([3], (1, 4, 4, 8), (1, 4, 4)),
    "an average over many": mean([1, 2], (1, MEAN_VALUES // 64, 64, 3), (1, 3)),
    "packed within": one("PACK", T(shape=(1, 4, 8)), outputs=(T(shape=(1, 1, 4, 8)),), axis=1),
    "padded within": one("PAD", T(), constant([[0, 0], [1, 1], [1, 1], [0, 0]])),
    "slopes of channels": one("PRELU", T(), weights(1, 1, 8)),
    "int8 from uint8": one("QUANTIZE", T(dtype="UINT8")),
    "a resized image": resize((1, 4, 4, 8), (1, 8, 8, 8)),
    "a resized image of 2 MiB": resize((1, 4, 4, 8), of_bytes(RESIZED_BYTES, 64, 64)),
    "a single pixel left alone": resize((1, 1, 1, 8), (1, 1, 1, 8)),
    "reshaped": reshape((1, 4, 4, 8), (1, 128)),
    "reshaped over three sizes": reshape(of_bytes(RESHAPED_BYTES, 8, 4), of_bytes(RESHAPED_BYTES, 4, 8)),
    "few classes": one("SOFTMAX", T(shape=(1, 16_000)), outputs=(T(shape=(1, 16_000)),)),
    "split within": split(3, (1, 4, 4, 8), (1, 4, 4, 4)),
    "split in a plane": split(0, (4, 8), (2, 8)),
    "leading sizes squeezed": one("SQUEEZE", T(shape=(1, 1, 5, 8)), outputs=(T(shape=(5, 8)),)),
    "sliced in single steps": strided([1, 1, 1, 1]),
    "transposed": one("TRANSPOSE", T(), constant([0, 2, 1, 3]), outputs=(T(shape=of_bytes(TRANSPOSED_BYTES, 64)),)),
    "a state between steps": one(
        "UNIDIRECTIONAL_SEQUENCE_LSTM", T(shape=(1, 4, 8)), *[weights(8, 8)] * 17, T(dtype="INT16", variable=True)
    ),
}
CONVOLUTION = [Op(name="CONV_2D", inputs=(0, 1, 2), outputs=(3,))]
PARTS = [T(), weights(8, 3, 3, 8), BIAS, T()]
LOOPED = model_of(PARTS, CONVOLUTION, loops=1)
OUTSIDE = model_of(PARTS, CONVOLUTION, outside=True)
BROKEN = {
    "a version of its own time": (one("FULLY_CONNECTED", T(), weights(8, 8), BIAS, version=12), rulebook.VERSION),
    "a grouped convolution": (one("CONV_2D", T(), weights(8, 3, 3, 4), BIAS, version=6), rulebook.VERSION),
    "an operator of a later time": (one("GELU", T()), rulebook.VERSION),
    "an open size": (conv(weights(8, 3, 3, 8), source=T(shape=(1, -1, 4, 8))), rulebook.NOT_STATIC),
    "floats": (conv(weights(8, 3, 3, 8), source=FLOAT), rulebook.DATA_TYPE),
    "int16": (one("LOGISTIC", T(dtype="INT16")), rulebook.DATA_TYPE),
    "an unknown operator": (one("LEAKY_RELU", T()), rulebook.UNSUPPORTED),
    "a padding of its own": (one("PADV2", T(), constant([[0, 0]] * 4), weights(1)), rulebook.UNSUPPORTED),
    "a custom operator": (one("Mine", T()), rulebook.UNSUPPORTED),
    "a custom operator of floats": (one("TFLite_Detection_PostProcess", T(), outputs=(FLOAT,)), rulebook.DATA_TYPE),
    "a scale for each channel of what passes": (one("RELU", T(scales=8)), rulebook.DATA_TYPE),
    "a batch of two": (conv(weights(8, 3, 3, 8), source=T(shape=(2, 4, 4, 8))), rulebook.RANK),
    "five sizes": (one("ADD", T(shape=(1, 2, 3, 4, 5)), T()), rulebook.RANK),
    "a computed bias": (conv(weights(8, 3, 3, 8), bias=T(shape=(8,))), rulebook.NOT_CONSTANT),
    "a computed filter": (conv(T(shape=(1, 3, 3, 8))), rulebook.NOT_CONSTANT),
    "a fused activation": (one("AVERAGE_POOL_2D", T(), fusedActivationFunction=1), rulebook.LIMITATION),
    "a fused join": (joined(T(), T(), fused=1), rulebook.LIMITATION),
    "ones joined": (joined(T(), T(values=np.ones((1, 4, 4, 8), np.int8))), rulebook.LIMITATION),
    "zeros joined to two": (joined(T(), T(), T(values=np.zeros((1, 4, 4, 8), np.int8))), rulebook.LIMITATION),
    "a long row joined": (
        one("CONCATENATION", T(), T(), outputs=(T(shape=of_bytes(ROW_BYTES + 64, 64)),)),
        rulebook.LIMITATION,
    ),
    "different dilations": (
        conv(weights(8, 3, 3, 8), dilationHFactor=2, dilationWFactor=1),
        rulebook.LIMITATION,
    ),
    "shuffled weights": (
        one("FULLY_CONNECTED", T(), weights(8, 8), BIAS, outputs=POOLED, weightsFormat=1),
        rulebook.LIMITATION,
    ),
    "a dense layer with scales for each output": (
        one("FULLY_CONNECTED", T(), weights(8, 8, scales=8), BIAS, outputs=POOLED),
        rulebook.VERSION,
    ),
    "an average over the batch": (mean([0], (1, 4, 4, 8), (4, 4, 8)), rulebook.LIMITATION),
    "an average over six": (mean([-1], (1, 4, 4, 6), (1, 4, 4)), rulebook.LIMITATION),
    "an average over too many": (mean([1, 2], (1, MEAN_VALUES // 64 + 1, 64, 3), (1, 3)), rulebook.LIMITATION),
    "a sum over the batch": (one("SUM", T(), constant([-4]), outputs=(T(shape=(4, 4, 8)),)), rulebook.LIMITATION),
    "a batch packed": (one("PACK", T(shape=(4, 4, 8)), outputs=(T(),), axis=0), rulebook.LIMITATION),
    "a batch padded": (one("PAD", T(), constant([[0, 1], [0, 0], [0, 0], [0, 0]])), rulebook.LIMITATION),
    "slopes of pixels": (one("PRELU", T(), weights(4, 4, 8)), rulebook.LIMITATION),
    "int8 from floats": (one("QUANTIZE", FLOAT), rulebook.LIMITATION),
    "a stretched pixel": (resize((1, 1, 1, 8), (1, 8, 8, 8)), rulebook.LIMITATION),
    "a large image": (resize((1, 4, 4, 8), of_bytes(RESIZED_BYTES + 4096, 64, 64)), rulebook.LIMITATION),
    "reshaped, and large": (
        reshape(of_bytes(RESHAPED_BYTES + 32, 8, 4), of_bytes(RESHAPED_BYTES + 32, 4, 8)),
        rulebook.LIMITATION,
    ),
    "flattened, and long": (reshape((1, 8, 8, ROW_BYTES), (1, 64 * ROW_BYTES)), rulebook.LIMITATION),
    "many classes": (one("SOFTMAX", T(shape=(1, 16_001)), outputs=(T(shape=(1, 16_001)),)), rulebook.LIMITATION),
    "a batch split": (split(0, (1, 4, 4, 8), (1, 4, 4, 8)), rulebook.LIMITATION),
    "a size in the middle squeezed": (
        one("SQUEEZE", T(shape=(1, 5, 1, 8)), outputs=(T(shape=(5, 8)),)),
        rulebook.LIMITATION,
    ),
    "sliced in double steps": (strided([1, 2, 2, 1]), rulebook.LIMITATION),
    "sliced with an ellipsis": (strided([1, 1, 1, 1], ellipsisMask=1), rulebook.LIMITATION),
    "sliced with a new axis": (strided([1, 1, 1, 1], newAxisMask=1), rulebook.LIMITATION),
    "much transposed": (
        one("TRANSPOSE", T(), constant([0, 2, 1, 3]), outputs=(T(shape=of_bytes(TRANSPOSED_BYTES + 64, 64)),)),
        rulebook.LIMITATION,
    ),
}


@pytest.mark.parametrize("flatbuffer", KEPT.values(), ids=KEPT)
def test_an_operator_that_keeps_every_rule_runs_on_the_edge_tpu(flatbuffer: bytes):
    (operator,) = forecast(flatbuffer).operators
    assert (operator.mapped, operator.reason, operator.rule, operator.advice) == (True, rulebook.MAPPED, "", "")


@pytest.mark.parametrize(("flatbuffer", "status"), BROKEN.values(), ids=BROKEN)
def test_an_operator_that_breaks_a_rule_runs_on_the_cpu_for_that_reason(flatbuffer: bytes, status: str):
    (operator,) = forecast(flatbuffer).operators
    assert not operator.mapped
    assert operator.reason == status
    assert operator.rule
    assert operator.advice


def test_every_rule_is_broken_by_one_of_these_models():
    models = [*(flatbuffer for flatbuffer, _ in BROKEN.values()), LOOPED, OUTSIDE]
    operators = [operator for flatbuffer in models for operator in read_graph(flatbuffer).operators]
    broken = {rule.sentence for rule in map(broken_rule, operators) if rule}
    assert broken == {rule.sentence for rules in (GENERAL, *SPECIFIC.values()) for rule in rules}


def test_a_rule_is_a_sentence_about_the_operator():
    for rule in (*GENERAL, *(rule for rules in SPECIFIC.values() for rule in rules)):
        assert rule.sentence.endswith(".")
        assert "\n" not in rule.sentence


def test_the_body_of_a_loop_runs_on_the_cpu():
    main, body = forecast(LOOPED).operators
    assert main.mapped
    assert (body.mapped, body.reason) == (False, rulebook.UNSUPPORTED)


def test_weights_behind_the_flatbuffer_are_no_constants_to_the_compiler():
    (operator,) = forecast(OUTSIDE).operators
    assert (operator.mapped, operator.reason) == (False, rulebook.NOT_CONSTANT)


def test_an_operator_that_is_supported_in_no_type_is_not_advised_to_change_its_type():
    to_floats, unsupported = one("DEQUANTIZE", T(), outputs=(FLOAT,)), one("LEAKY_RELU", T())
    advice = {operator.advice for flatbuffer in (to_floats, unsupported) for operator in forecast(flatbuffer).operators}
    assert len(advice) == 1
