"""Whether NVIDIA's own parser and builder take a model, asked of TensorRT-RTX in a child process."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from converters.models import Finding
from edge_sdk.errors import ConversionError

MODULE = "tensorrt_rtx_bindings"
HOW_TO_INSTALL = "pip install 'wearable-edge-sdk[jetson-check]' (x86-64 Linux, 220 MB, no GPU needed)"
# Common models take a second. The builder of TensorRT-RTX 1.7 does not end at all on ONNX's own LSTM and GRU.
_LONGEST_S = 60.0


class ParseError(msgspec.Struct, frozen=True, kw_only=True):
    """What the parser says of one node."""

    node: str
    operator: str
    why: str


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """What NVIDIA's parser and builder made of a model.

    Attributes:
        version: TensorRT-RTX's.
        capability: What was built for, e.g. ``SM86``.
        errors: Of the parser, per node.
        layers: TensorRT layers of the parsed network.
        engine_bytes: Size of the built engine; 0 if none was built.
        messages: Errors the library logged.
        ended: Whether the builder came to an end.
    """

    version: str
    capability: str
    errors: tuple[ParseError, ...]
    layers: int
    engine_bytes: int
    messages: tuple[str, ...]
    ended: bool


def can_check() -> bool:
    """Return whether TensorRT-RTX is installed here."""
    return importlib.util.find_spec(MODULE) is not None


def check_build(data: bytes, capability: str, *, longest_s: float = _LONGEST_S) -> Probe:
    """Put a model through NVIDIA's parser and builder.

    Args:
        data: The ONNX file.
        capability: The board's compute capability, e.g. ``8.7``.
        longest_s: When to give up; then what the parser said is returned.

    Raises:
        ConversionError: The library crashed, or its parser did not end.
    """
    with tempfile.TemporaryDirectory(prefix="edge-tensorrt-") as folder:
        model, result = Path(folder) / "model.onnx", Path(folder) / "result.json"
        model.write_bytes(data)
        command = [sys.executable, "-m", "converters.compilers.jetson.probe", str(model), capability, str(result)]
        code, said = _run(command, longest_s)
        if code or not result.exists():
            raise _crashed(code, said)
        return msgspec.json.decode(result.read_bytes(), type=Probe)


def _run(command: list[str], longest_s: float) -> tuple[int, bytes]:
    try:
        child = subprocess.run(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=longest_s, check=False
        )
    except subprocess.TimeoutExpired:
        return 0, b"nothing for a long time"
    return child.returncode, child.stderr


def refusal(probe: Probe, capability: str) -> ConversionError | None:
    """Return why a model cannot go to a board: NVIDIA's parser or builder refuses it; ``None`` if neither does.

    What the builder cannot make for a GPU of another generation than the board's says nothing about the board.

    Args:
        probe: What was found.
        capability: The board's own.
    """
    if probe.errors:
        first = probe.errors[0]
        more = f", and {len(probe.errors) - 1} more" if len(probe.errors) > 1 else ""
        return ConversionError(
            f"NVIDIA's parser does not read {first.operator} '{first.node}' ({_line(first.why)}){more}",
            remedy="replace that layer or operator in the model",
        )
    if probe.ended and not probe.engine_bytes and _same_generation(probe, capability):
        return ConversionError(
            f"NVIDIA's builder makes no engine of the model ({_last(probe)})", remedy="simplify the model"
        )
    return None


def _same_generation(probe: Probe, capability: str) -> bool:
    return probe.capability.startswith(f"SM{capability.partition('.')[0]}")


def _last(probe: Probe) -> str:
    return _line(probe.messages[-1]) if probe.messages else "it gave no reason"


def findings(probe: Probe) -> tuple[Finding, ...]:
    """Return what NVIDIA's parser says, node by node."""
    return tuple(
        Finding(
            subject=f"{error.operator} {error.node}".strip(),
            verdict="not parsed",
            reason=_line(error.why),
            advice="replace that layer or operator in the model",
        )
        for error in probe.errors
    )


def notes(probe: Probe | None, capability: str) -> dict[str, str]:
    """Return the facts for the report.

    Args:
        probe: What was found; ``None`` if nothing was asked.
        capability: The board's own.
    """
    if probe is None:
        return {"NVIDIA's parser and builder": f"not checked: TensorRT-RTX is not installed; {HOW_TO_INSTALL}"}
    if not probe.ended:
        said = f"TensorRT-RTX {probe.version} parsed it ({probe.layers} layers); its builder did not end: not checked"
        return {"NVIDIA's parser and builder": said}
    if not probe.engine_bytes:
        said = f"TensorRT-RTX {probe.version} parsed it ({probe.layers} layers); it builds none for {probe.capability}"
        return {"NVIDIA's parser and builder": f"{said}, which is not the board's generation: {_last(probe)}"}
    built = f"{probe.layers} layers, an engine of {probe.engine_bytes} bytes"
    own = f"SM{capability.replace('.', '')}"
    stand_in = "" if probe.capability == own else f", the nearest it knows to the board's {own}"
    return {
        "NVIDIA's parser and builder": f"TensorRT-RTX {probe.version} parsed and built it: {built}",
        "built for": f"{probe.capability}{stand_in}; the board builds its own engine from the same ONNX",
    }


def _crashed(code: int, said: bytes) -> ConversionError:
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    lines = [line for line in said.decode(errors="replace").splitlines() if line.strip()]
    last = f"; it last said: {lines[-1].strip()[:200]}" if lines else ""
    return ConversionError(f"NVIDIA's parser or builder died ({how}){last}", remedy="simplify the model")


def _line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
