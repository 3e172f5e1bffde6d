"""The Edge TPU's rules, one function each: its docstring is the rule, as it is printed and documented.

Each takes an operator and returns whether it keeps the rule. Which operators must keep which, and what to do about one
that is broken, is in `converters.compilers.coral.rulebook`.
"""

from __future__ import annotations

from typing import Any

from converters.compilers.coral.graph import EIGHT_BIT, Operator, Tensor

# A four-dimensional tensor has batch, y, x, z; a smaller one lacks the outer ones.
_SPATIAL = 3
# Inputs that shape an operator, by place. https://coral.ai/docs/edgetpu/models-intro/#model-requirements
PARAMETERS: dict[str, tuple[int, ...]] = {
    "CONV_2D": (1, 2),
    "DEPTHWISE_CONV_2D": (1, 2),
    "FULLY_CONNECTED": (1, 2),
    "TRANSPOSE_CONV": (0, 1, 3),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": tuple(range(1, 18)),
    "EXPAND_DIMS": (1,),
    "MEAN": (1,),
    "PAD": (1,),
    "PRELU": (1,),
    "REDUCE_MAX": (1,),
    "REDUCE_MIN": (1,),
    "RESHAPE": (1,),
    "RESIZE_BILINEAR": (1,),
    "RESIZE_NEAREST_NEIGHBOR": (1,),
    "SLICE": (1, 2),
    "SPLIT": (0,),
    "STRIDED_SLICE": (1, 2, 3),
    "SUM": (1,),
    "TRANSPOSE": (1,),
}
# https://coral.ai/docs/edgetpu/models-intro/#supported-operations
_SOFTMAX_VALUES = 16_000
_CHANNELS_TOGETHER = 4
# The rest is not documented: limits that lie between what was reported to google-coral/edgetpu as mapped and as not.
# 64 x 128 values averaged are mapped, 256 x 128 are not (https://github.com/google-coral/edgetpu/issues/461).
MEAN_VALUES = 16_384
# 128 x 128 x 128 are mapped, 256 x 256 x 64, 1024 x 1024 x 3 and 512 x 512 x 32 are not (issues 31 and 597 there;
# https://github.com/mistake0316/Google-Coral-Style-Transfer).
RESIZED_BYTES = 2 << 20
# 1600 x 3 x 85 values are mapped, 2304 x 3 x 85 are not (issue 512 there).
RESHAPED_BYTES = 512 << 10
# 20 x 20 x 144 values are mapped, 40 x 40 x 144 and 224 x 224 x 3 are not (issue 433 there; compiled YOLOv8 models).
TRANSPOSED_BYTES = 64 << 10
# 84 x 2100 values are mapped, 144 x 1600 are not (compiled YOLOv5 and YOLOv8 models).
ROW_BYTES = 192 << 10


def in_the_main_graph(operator: Operator) -> bool:
    """It is in the model's main graph, not in the body of a loop or of a branch."""
    return operator.graph == 0


def in_eight_bits(operator: Operator) -> bool:
    """Everything that passes through it is int8 or uint8."""
    passing = operator.outputs if operator.name == "QUANTIZE" else operator.activations
    return all(tensor.dtype in EIGHT_BIT for tensor in passing)


def with_one_scale_each(operator: Operator) -> bool:
    """What passes through it has one scale and zero point for the whole tensor, not one for each channel."""
    return all(tensor.scales <= 1 for tensor in operator.activations)


def of_constant_size(operator: Operator) -> bool:
    """The sizes of its tensors are constant when the model is compiled."""
    return all(size > 0 for tensor in operator.activations for size in tensor.shape)


def in_three_dimensions(operator: Operator) -> bool:
    """Only the three innermost sizes of what passes through it are larger than 1: the batch is 1."""
    return all(len(tensor.wide_shape) <= _SPATIAL for tensor in operator.activations)


def with_constant_parameters(operator: Operator) -> bool:
    """Its parameters (weights, bias, axes, sizes, paddings) are constant when the model is compiled."""
    parameters = (operator.input(at) for at in PARAMETERS.get(operator.name, ()))
    return all(parameter.constant for parameter in parameters if parameter)


def with_parameters_inside(operator: Operator) -> bool:
    """Its constants are in the flatbuffer itself, not behind it, where the compiler does not look."""
    return not any(constant.outside for constant in operator.constants)


def without_fused_activation(operator: Operator) -> bool:
    """It has no fused activation function."""
    return bool(_option(operator, "fusedActivationFunction") == 0)


def with_zeros_as_only_constant(operator: Operator) -> bool:
    """If one of its inputs is constant, there are two, and the constant one is all zeros: it pads."""
    constants = operator.constants
    if not constants:
        return True
    return len(operator.inputs) == len(constants) + 1 == 2 and _is_zero(constants[0])  # noqa: PLR2004  # the rule's two


def dilated_alike(operator: Operator) -> bool:
    """Its dilation is the same in x and y, as far as its filter is wider than 1 in both."""
    weights = operator.input(1)
    if weights is None or 1 in weights.shape[1:3]:
        return True
    return bool(_option(operator, "dilationWFactor", 1) == _option(operator, "dilationHFactor", 1))


def with_default_weights(operator: Operator) -> bool:
    """Its weights are in the default format."""
    return bool(_option(operator, "weightsFormat") == 0)


def with_one_weight_scale(operator: Operator) -> bool:
    """Its weights have one scale, not one for each output, which is newer than the compiler."""
    weights = operator.input(1)
    return weights is None or weights.scales <= 1


def not_across_the_batch(operator: Operator) -> bool:
    """It does not reduce, pack, split or pad the batch."""
    return _BATCH not in _touched(operator)


def over_whole_fours(operator: Operator) -> bool:
    """If it averages over the innermost size, that is a multiple of 4."""
    source = operator.inputs[0]
    return source is None or -1 not in _touched(operator) or source.shape[-1] % _CHANNELS_TOGETHER == 0


def over_few_values(operator: Operator) -> bool:
    """It averages over no more than 16,384 values."""
    source, result = operator.inputs[0], operator.outputs[0]
    return source is None or source.size_bytes <= MEAN_VALUES * result.size_bytes


def with_a_slope_for_each_channel(operator: Operator) -> bool:
    """Its slopes have one dimension: one for each channel (in Keras, shared_axes is [1, 2])."""
    slopes = operator.input(1)
    return slopes is None or len(slopes.wide_shape) <= 1


def from_several_pixels(operator: Operator) -> bool:
    """It does not stretch a single pixel over an image."""
    source = operator.inputs[0]
    return source is None or source.shape[1:3] != (1, 1) or operator.outputs[0].shape[1:3] == (1, 1)


def to_a_small_image(operator: Operator) -> bool:
    """Its result has no more than 2 MiB."""
    return operator.outputs[0].size_bytes <= RESIZED_BYTES


def without_a_large_relayout(operator: Operator) -> bool:
    """If it spreads values over three sizes, they have no more than 512 KiB."""
    result = operator.outputs[0]
    spread = sum(size > 1 for size in result.shape) >= _SPATIAL
    return not spread or result.size_bytes <= RESHAPED_BYTES


def in_short_rows(operator: Operator) -> bool:
    """What has only two sizes larger than 1, a single row, holds no more than 192 KiB."""
    rows = (tensor for tensor in operator.activations if len(tensor.wide_shape) < _SPATIAL)
    return all(tensor.size_bytes <= ROW_BYTES for tensor in rows)


def of_few_values(operator: Operator) -> bool:
    """It moves no more than 64 KiB."""
    return operator.outputs[0].size_bytes <= TRANSPOSED_BYTES


def over_few_classes(operator: Operator) -> bool:
    """The innermost size is no more than 16,000."""
    shape = operator.outputs[0].shape
    return not shape or shape[-1] <= _SOFTMAX_VALUES


def of_leading_sizes(operator: Operator) -> bool:
    """It takes away leading sizes alone, so that nothing moves: 1 x 5 x 10 to 5 x 10, not 5 x 1 x 10."""
    source = operator.inputs[0]
    return source is None or source.wide_shape == operator.outputs[0].wide_shape


def in_single_steps(operator: Operator) -> bool:
    """Its strides are all 1, and it has neither an ellipsis nor a new axis."""
    strides = operator.input(3)
    stepped = strides is not None and strides.data and (strides.integers() != 1).any()
    return not (stepped or _option(operator, "ellipsisMask") or _option(operator, "newAxisMask"))


def from_eight_bits(operator: Operator) -> bool:
    """It takes int8 or uint8: one that takes floats stays on the CPU."""
    source = operator.inputs[0]
    return source is not None and source.dtype in EIGHT_BIT


_BATCH = -4  # counted from the innermost, as the Edge TPU does


def _touched(operator: Operator) -> set[int]:
    """Return the axes that it reduces, packs, splits or pads, counted from the innermost: -1, -2 …."""
    axes = operator.input(0) if operator.name == "SPLIT" else operator.input(1)
    if operator.name == "PACK":
        return {_from_innermost(_option(operator, "axis"), operator.outputs[0])}
    source = operator.input(1) if operator.name == "SPLIT" else operator.input(0)
    if source is None or axes is None or not axes.data:
        return set()
    if operator.name == "PAD":
        padded = axes.integers().reshape(-1, 2).any(axis=1)
        return {at - len(source.shape) for at in padded.nonzero()[0].tolist()}
    return {_from_innermost(axis, source) for axis in axes.integers().tolist()}


def _from_innermost(axis: int, tensor: Tensor) -> int:
    return axis if axis < 0 else axis - len(tensor.shape)


def _is_zero(constant: Tensor) -> bool:
    zero = constant.zero_point % 256
    return all(value == zero for value in constant.data)


def _option(operator: Operator, name: str, default: int = 0) -> Any:
    return getattr(operator.options, name, default)
