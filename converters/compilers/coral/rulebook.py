"""Which operators keep which rules to run on the Edge TPU, what the compiler calls a broken one, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from converters.compilers.coral import rules
from converters.compilers.coral.graph import Operator
from converters.compilers.coral.versions import NEWEST_OPERATOR, NEWEST_VERSIONS

Source = Literal["documented", "observed"]

# The compiler's own words.
MAPPED = "Mapped to Edge TPU"
SECOND_SUBGRAPH = "More than one subgraph is not supported"
LIMITATION = "Operation is otherwise supported, but not mapped due to some unspecified limitation"
UNSUPPORTED = "Operation not supported"
VERSION = "Operation version not supported"
DATA_TYPE = "Operation is working on an unsupported data type"
RANK = "Tensor has unsupported rank (up to 3 innermost dimensions mapped)"
NOT_CONSTANT = "Filter, bias, or other param is not constant at compile-time"
NOT_STATIC = (
    "Attempting to use a delegate that only supports static-sized tensors with a graph that has dynamic-sized tensors"
)
STRANDED_ADVICE = "help the operator before it onto the Edge TPU"
_REPLACE = "replace it with operators that are supported, or move it to the model's end or out of it"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule.

    Attributes:
        holds: Whether an operator keeps it; its docstring is the rule.
        status: What the compiler says of an operator that breaks it.
        advice: What to change.
        source: Whether the vendor documents it, or it was learnt from what the compiler does.
        stops_the_compiler: Whether a model that breaks it cannot be compiled: the compiler refuses the whole of it, or
            would compute something else.
    """

    holds: Callable[[Operator], bool]
    status: str
    advice: str
    source: Source = "documented"
    stops_the_compiler: bool = False

    @property
    def sentence(self) -> str:
        """The rule in words."""
        return (self.holds.__doc__ or "").strip()


def is_supported(operator: Operator) -> bool:
    """It is one of the operators below."""
    return operator.name in NEWEST_VERSIONS


def is_known(operator: Operator) -> bool:
    """The compiler, which is of 2021, knows the operator and this version of it."""
    if operator.name in NEWEST_VERSIONS:
        return operator.version <= NEWEST_VERSIONS[operator.name]
    return operator.code <= NEWEST_OPERATOR


def _limit(holds: Callable[[Operator], bool], advice: str, source: Source = "documented") -> Rule:
    return Rule(holds=holds, status=LIMITATION, advice=advice, source=source)


GENERAL: tuple[Rule, ...] = (
    Rule(
        holds=is_known,
        status=VERSION,
        advice="use the recipe int8-compatible, or replace the operator with an older one",
        source="observed",
        stops_the_compiler=True,
    ),
    Rule(
        holds=rules.of_constant_size,
        status=NOT_STATIC,
        advice="export the model with fixed sizes and a batch of 1",
        stops_the_compiler=True,
    ),
    Rule(
        holds=rules.in_the_main_graph,
        status=UNSUPPORTED,
        advice="write the loop out step by step (in Keras, unroll=True)",
        source="observed",
    ),
    Rule(
        holds=rules.in_eight_bits,
        status=DATA_TYPE,
        advice="quantize the whole model, inputs and outputs too, with the recipe int8-compatible",
    ),
    Rule(
        holds=is_supported,
        status=UNSUPPORTED,
        advice=_REPLACE,
    ),
    Rule(
        holds=rules.with_one_scale_each,
        status=DATA_TYPE,
        advice="quantize activations with one scale each",
        source="observed",
    ),
    Rule(holds=rules.in_three_dimensions, status=RANK, advice="use a batch of 1 and fold outer sizes into inner ones"),
    Rule(
        holds=rules.with_parameters_inside,
        status=NOT_CONSTANT,
        advice="write the constants into the flatbuffer itself",
        source="observed",
    ),
    Rule(
        holds=rules.with_constant_parameters,
        status=NOT_CONSTANT,
        advice="make it a constant of the model instead of computing it",
    ),
)

_UNFUSED = _limit(rules.without_fused_activation, "put the activation into an operator of its own")
_DILATED = _limit(rules.dilated_alike, "use the same dilation in both directions")
_BATCH = _limit(rules.not_across_the_batch, "work on the inner sizes only, with a batch of 1")
_ROWS = _limit(
    rules.in_short_rows, "give the parts as outputs of their own instead of joining or flattening them", "observed"
)
_RESIZED = (
    _limit(
        rules.from_several_pixels,
        "repeat the value by adding it to a tensor of the wanted size, or move the operator to the model's end",
        "observed",
    ),
    _limit(rules.to_a_small_image, "use a smaller image or fewer channels", "observed"),
)

SPECIFIC: dict[str, tuple[Rule, ...]] = {
    "AVERAGE_POOL_2D": (_UNFUSED,),
    "CONCATENATION": (
        _UNFUSED,
        _limit(rules.with_zeros_as_only_constant, "join computed tensors only, or pad with zeros"),
        _ROWS,
    ),
    "CONV_2D": (_DILATED,),
    "DEPTHWISE_CONV_2D": (_DILATED,),
    "FULLY_CONNECTED": (
        _limit(rules.with_default_weights, "convert again without shuffled weights"),
        Rule(
            holds=rules.with_one_weight_scale,
            status=VERSION,
            advice="use the recipe int8-compatible",
            source="observed",
            stops_the_compiler=True,
        ),
    ),
    "LOGISTIC": (_ROWS,),
    "MAX_POOL_2D": (_UNFUSED,),
    "MEAN": (
        _BATCH,
        _limit(rules.over_whole_fours, "make the number of channels a multiple of 4"),
        _limit(rules.over_few_values, "average in two steps, or pool before averaging", "observed"),
    ),
    "PACK": (_BATCH,),
    "PAD": (_BATCH,),
    "PRELU": (_limit(rules.with_a_slope_for_each_channel, "share the slopes of all pixels, or use RELU"),),
    "QUANTIZE": (
        _limit(rules.from_eight_bits, "give the model int8 inputs, so that no operator must make them", "observed"),
        _ROWS,
    ),
    "REDUCE_MAX": (_BATCH,),
    "REDUCE_MIN": (_BATCH,),
    "RESHAPE": (
        _limit(rules.without_a_large_relayout, "reshape after the model, or use smaller tensors", "observed"),
        _ROWS,
    ),
    "RESIZE_BILINEAR": _RESIZED,
    "RESIZE_NEAREST_NEIGHBOR": _RESIZED,
    "SOFTMAX": (_limit(rules.over_few_classes, "use fewer classes, or compute it after the model"),),
    "SPLIT": (_BATCH,),
    "SQUEEZE": (_limit(rules.of_leading_sizes, "reshape instead, or keep the size"),),
    "STRIDED_SLICE": (
        _limit(rules.in_single_steps, "slice in single steps, or use a convolution with a stride"),
        _ROWS,
    ),
    "SUM": (_BATCH,),
    "TRANSPOSE": (_limit(rules.of_few_values, "keep channels last throughout, so that nothing is moved", "observed"),),
}


def broken_rule(operator: Operator) -> Rule | None:
    """Return the first rule that keeps an operator off the Edge TPU, ``None`` if it keeps them all."""
    for rule in (*GENERAL, *SPECIFIC.get(operator.name, ())):
        if not rule.holds(operator):
            # Other data types would not help an operator that is not supported in any.
            return replace(rule, advice=_REPLACE) if rule.status == DATA_TYPE and not is_supported(operator) else rule
    return None
