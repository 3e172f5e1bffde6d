"""Compiling for the Edge TPU: judged first, then compiled by Google's compiler, then read back."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from converters.compilers.coral.compiler import find_compiler, run_compiler
from converters.compilers.coral.forecast import Forecast, forecast, parameters, size
from converters.compilers.coral.graph import EIGHT_BIT, Graph, read_graph
from converters.compilers.coral.log import CompilerLog
from converters.compilers.coral.readback import Comparison, compare
from converters.compilers.coral.rulebook import LIMITATION, MAPPED
from converters.models import CompiledModel, Finding, OptimizedModel
from converters.tensors import Flatbuffer
from edge_sdk.errors import ConversionError
from edge_sdk.manifest import Artifact
from edge_sdk.profiles import HardwareProfile
from edge_sdk.tensors import TensorSpec

MODEL_PATH = "model_edgetpu.tflite"
_USE_INTEGERS = "use the recipe int8-compatible"
_NOT_INTEGER = frozenset({"FLOAT16", "FLOAT32", "FLOAT64", "BFLOAT16", "INT16"})


class _Interface(NamedTuple):
    inputs: tuple[TensorSpec, ...]
    output: TensorSpec


def compile_coral(model: OptimizedModel, profile: HardwareProfile, *, compiler: Path | None = None) -> CompiledModel:
    """Compile an integer model for the Edge TPU of a board.

    What it answers is computed on this workstation by the model that went into the compiler, since the one that comes
    out runs on an Edge TPU alone. Both compute in the same 8-bit integers, up to how single steps are rounded; the
    signed self-test holds the device to it.

    Args:
        model: A fully integer LiteRT model.
        profile: A board with an Edge TPU.
        compiler: Google's compiler, if `find_compiler` would not find it.

    Raises:
        ConversionError: The model is not fully integer, the compiler refuses it, or nothing of it runs on the Edge TPU.
        MissingDependency: The compiler is not installed; says how to get it.
    """
    if profile.accelerator is None or model.form != "litert":
        raise ConversionError(
            f"{profile.name} and a model in {model.form} form do not go together here",
            remedy="choose a board with an Edge TPU and a recipe that makes a LiteRT model",
        )
    graph = read_graph(model.data)
    _require_integers(graph)
    expected = forecast(model.data)
    _require_a_willing_compiler(expected)
    compilation = run_compiler(model.data, find_compiler(compiler))
    found = compare(model.data, compilation.flatbuffer, expected)
    if not found.mapped:
        raise ConversionError("nothing of this model runs on the Edge TPU", remedy=_first_advice(expected))
    host = Flatbuffer(model.data)
    interface = _interface(host, graph, read_graph(compilation.flatbuffer))
    return CompiledModel(
        source=model.source,
        recipe=model.recipe,
        artifact=Artifact(
            path=MODEL_PATH,
            backend="edgetpu",
            targets=(profile.slug,),
            inputs=interface.inputs,
            outputs=(interface.output,),
        ),
        data=compilation.flatbuffer,
        predict=host.predict,
        reference=model.reference,
        host_flatbuffer=model.data,
        findings=findings(expected, found, compilation.log),
        notes=notes(expected, found, compilation.log, memory_bytes=profile.accelerator.memory_bytes),
        remarks=model.remarks,
    )


def findings(expected: Forecast, found: Comparison, log: CompilerLog) -> tuple[Finding, ...]:
    """Return, operator by operator, where it runs and why."""
    judged = zip(expected.operators, found.placements, strict=True)
    return tuple(
        Finding(
            subject=f"{operator.index} {operator.name}",
            verdict="on the Edge TPU" if place.mapped else "on the CPU",
            reason=operator.reason if place.mapped is operator.mapped else _surprise(operator.name, log, place.mapped),
            advice="" if place.mapped else operator.advice,
        )
        for operator, place in judged
    )


def _surprise(name: str, log: CompilerLog, mapped: bool) -> str:  # noqa: FBT001  # where it is, read back
    """Return what the compiler says of an operator that it put elsewhere than forecast."""
    if mapped:
        return f"{MAPPED} (the forecast said: on the CPU)"
    said = {row.status for row in log.rows if row.operator == name and row.status != MAPPED}
    return f"{said.pop() if len(said) == 1 else LIMITATION} (the forecast said: on the Edge TPU)"


def notes(expected: Forecast, found: Comparison, log: CompilerLog, *, memory_bytes: int) -> dict[str, str]:
    """Return the facts of a compilation for the report."""
    count = len(found.placements)
    return {
        "compiler": f"Edge TPU Compiler {log.version}",
        "on the Edge TPU": f"{found.mapped} of {count} operators, in {found.regions} part(s)",
        "forecast": f"right for {count - len(found.surprises)} of {count} operators ({found.agreement:.1%})",
        "parameters": parameters(expected, memory_bytes=memory_bytes),
        "parameters as compiled": f"{size(log.cached_bytes)} kept on the Edge TPU, {size(log.streamed_bytes)} streamed",
        "predictions": "of the uncompiled integer model in LiteRT, which computes in the same 8-bit integers",
    }


def _require_integers(graph: Graph) -> None:
    for tensor in (*graph.inputs, *graph.outputs):
        if tensor.dtype not in EIGHT_BIT:
            raise ConversionError(
                f"tensor '{tensor.name}' is {tensor.dtype.lower()}, and the Edge TPU takes and gives int8",
                remedy=_USE_INTEGERS,
            )
    inner = [
        operator for operator in graph.operators if any(tensor.dtype in _NOT_INTEGER for tensor in operator.activations)
    ]
    if inner:
        raise ConversionError(
            f"{len(inner)} operators are not in 8-bit integers, the first of them {inner[0].index} {inner[0].name}",
            remedy=_USE_INTEGERS,
        )


def _require_a_willing_compiler(expected: Forecast) -> None:
    if expected.refusals:
        first = expected.refusals[0]
        raise ConversionError(
            f"the Edge TPU compiler does not take operator {first.operator} ({first.reason})", remedy=first.advice
        )


def _first_advice(expected: Forecast) -> str:
    advice = (operator.advice for operator in expected.operators if not operator.mapped and operator.rule)
    return next(advice, "choose a board without an accelerator: its CPU runs this model")


def _interface(host: Flatbuffer, source: Graph, compiled: Graph) -> _Interface:
    """Return the tensors that the compiled model takes and gives, in its own order."""
    specs = {tensor.name: spec for tensor, spec in zip(source.inputs, host.inputs, strict=True)}
    names = {tensor.name for tensor in compiled.inputs}
    outputs = [(tensor.shape, tensor.dtype) for tensor in compiled.outputs]
    if names != set(specs) or outputs != [(tensor.shape, tensor.dtype) for tensor in source.outputs]:
        raise ConversionError(
            "the compiled model takes or gives other tensors than the model", remedy="compile again, or report this"
        )
    return _Interface(inputs=tuple(specs[tensor.name] for tensor in compiled.inputs), output=host.output)
