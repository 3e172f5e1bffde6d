"""What the Edge TPU compiler will make of a model, told before it is called."""

from __future__ import annotations

from dataclasses import dataclass

from converters.compilers.coral.graph import Graph, Operator, read_graph
from converters.compilers.coral.rulebook import MAPPED, SECOND_SUBGRAPH, STRANDED_ADVICE, Rule, broken_rule
from edge_sdk.errors import ConversionError

COMPILED_OPERATOR = "edgetpu-custom-op"
_MEGABYTE = 1_000_000


@dataclass(frozen=True, kw_only=True)
class OperatorForecast:
    """Where one operator will run.

    Attributes:
        index: Its place in its graph.
        graph: Which of the model's graphs; 0 is the main one.
        name: The schema's, e.g. ``CONV_2D``.
        output: Name of the first tensor it gives.
        mapped: Whether the Edge TPU runs it; otherwise the CPU does.
        reason: The compiler's own words for it.
        rule: The rule it breaks; empty if it breaks none.
        advice: What to change; empty if it is mapped.
        parameter_bytes: Bytes of the constants that it brings.
    """

    index: int
    graph: int
    name: str
    output: str
    mapped: bool
    reason: str
    rule: str
    advice: str
    parameter_bytes: int


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why a model cannot be compiled as a whole: the compiler refuses it, or would compute something else."""

    operator: str
    reason: str
    advice: str


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What the compiler will make of a model.

    Attributes:
        operators: Of every graph, the main one's first, in the order they run.
        refusals: What keeps the whole model from being compiled.
        cautions: What may go wrong, in words.
    """

    operators: tuple[OperatorForecast, ...]
    refusals: tuple[Refusal, ...]
    cautions: tuple[str, ...]

    @property
    def mapped(self) -> int:
        """How many operators the Edge TPU runs."""
        return sum(operator.mapped for operator in self.operators)

    @property
    def parameter_bytes(self) -> int:
        """Bytes of the parameters of what the Edge TPU runs, as the model stores them."""
        return sum(operator.parameter_bytes for operator in self.operators if operator.mapped)

    def streamed_bytes(self, memory_bytes: int) -> int:
        """Return the parameters that do not fit into the Edge TPU's memory and are sent again for every inference."""
        return max(0, self.parameter_bytes - memory_bytes)


def forecast(flatbuffer: bytes) -> Forecast:
    """Return where each operator of a LiteRT model will run.

    The compiler makes one subgraph of the operators that keep the rules, beginning with the first of them; what depends
    on one that does not stays on the CPU, even if it keeps them.

    Raises:
        ConversionError: It is no such model, or is compiled already.
    """
    graph = read_graph(flatbuffer)
    if any(operator.name == COMPILED_OPERATOR for operator in graph.operators):
        raise ConversionError(
            "this model is compiled for the Edge TPU already", remedy="give the .tflite file that it was made of"
        )
    broken = [broken_rule(operator) for operator in graph.operators]
    region = _first_region(graph, broken)
    return Forecast(
        operators=tuple(
            _judge(operator, rule, mapped=at in region)
            for at, (operator, rule) in enumerate(zip(graph.operators, broken, strict=True))
        ),
        refusals=tuple(
            Refusal(operator=f"{operator.index} {operator.name}", reason=rule.status, advice=rule.advice)
            for operator, rule in zip(graph.operators, broken, strict=True)
            if rule and rule.stops_the_compiler
        ),
        cautions=_cautions(graph),
    )


def parameters(expected: Forecast, *, memory_bytes: int) -> str:
    """Return in words whether the parameters fit into the Edge TPU's memory."""
    streamed = expected.streamed_bytes(memory_bytes)
    fate = f"{size(streamed)} are sent again for every inference" if streamed else "all stay there between inferences"
    return f"{size(expected.parameter_bytes)} before padding, of {size(memory_bytes)} on the Edge TPU: {fate}"


def size(size_bytes: int) -> str:
    """Return a size in words."""
    return f"{size_bytes / 1e6:.3g} MB" if size_bytes >= _MEGABYTE else f"{size_bytes / 1e3:.3g} kB"


def _first_region(graph: Graph, broken: list[Rule | None]) -> set[int]:
    """Return the places of the operators that the one subgraph is made of.

    TensorFlow Lite cuts a graph into turns: operators of one kind (kept here, or not) for as long as one of that kind
    has all it needs. The first turn that is kept becomes the subgraph.
    """
    known: set[int] = set()
    left = [at for at, operator in enumerate(graph.operators) if operator.graph == 0]
    computed = {tensor.index for at in left for tensor in graph.operators[at].outputs}
    while left:
        kept = broken[left[0]] is None
        turn = set()
        for at in left:
            if (broken[at] is None) is kept and _is_ready(graph.operators[at], computed, known):
                turn.add(at)
                known |= {tensor.index for tensor in graph.operators[at].outputs}
        if kept:
            return turn
        left = [at for at in left if at not in turn]
    return set()


def _is_ready(operator: Operator, computed: set[int], known: set[int]) -> bool:
    needed = {tensor.index for tensor in operator.inputs if tensor and tensor.index in computed}
    return needed <= known


def _judge(operator: Operator, rule: Rule | None, *, mapped: bool) -> OperatorForecast:
    reason, advice = (SECOND_SUBGRAPH, STRANDED_ADVICE) if rule is None else (rule.status, rule.advice)
    return OperatorForecast(
        index=operator.index,
        graph=operator.graph,
        name=operator.name,
        output=operator.outputs[0].name if operator.outputs else "",
        mapped=mapped,
        reason=MAPPED if mapped else reason,
        rule=rule.sentence if rule else "",
        advice="" if mapped else advice,
        parameter_bytes=sum(len(constant.data) for constant in operator.constants),
    )


def _cautions(graph: Graph) -> tuple[str, ...]:
    if graph.open_sizes:
        return ("a size is left open in the model's signature: export it with a batch of 1 if the compiler refuses it",)
    return ()
