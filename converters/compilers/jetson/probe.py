"""The child process that asks NVIDIA's parser and builder: ``python -m … MODEL CAPABILITY RESULT``.

Writes one JSON object into RESULT, the fields of `converters.compilers.jetson.check.Probe`. No GPU is needed: the
wheels of TensorRT-RTX build for any GPU they know.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_sdk.files import write_atomic


def probe(data: bytes, capability: str, tell: Callable[[dict[str, Any]], object]) -> None:
    """Parse and build a model; tell what was found after parsing, and again after building, which may never end.

    Args:
        data: The ONNX file.
        capability: Name of a member of TensorRT-RTX's ``ComputeCapability``; the nearest one above it is taken when
            there is none of that name.
        tell: Takes what was found.
    """
    import tensorrt_rtx_bindings as trt  # noqa: PLC0415  # proprietary, 220 MB, and optional

    log = _recorder(trt)
    builder = trt.Builder(log)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, log)
    parsed = bool(parser.parse(data))
    chosen = nearest(capability, [name for name in dir(trt.ComputeCapability) if name.startswith("SM")])
    found = {
        "version": str(trt.__version__),
        "capability": chosen,
        "errors": [_error(parser.get_error(index)) for index in range(parser.num_errors)],
        "layers": int(network.num_layers),
        "engine_bytes": 0,
        "messages": log.lines,
        "ended": not parsed,
    }
    tell(found)
    if parsed:
        config = builder.create_builder_config()
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, chosen), 0)
        engine = builder.build_serialized_network(network, config)
        built_bytes = int(engine.nbytes) if engine is not None else 0
        tell({**found, "engine_bytes": built_bytes, "ended": True})


def nearest(capability: str, known: list[str]) -> str:
    """Return a compute capability that can be built for: the one asked for, else the last before it, else the first.

    Args:
        capability: As NVIDIA writes it, ``8.7``.
        known: Names like ``SM86``.
    """
    numbers = sorted(int(name[2:]) for name in known)
    wanted = int(capability.replace(".", ""))
    return f"SM{max((number for number in numbers if number <= wanted), default=numbers[0])}"


def _error(error: Any) -> dict[str, str]:
    return {"node": str(error.node_name()), "operator": str(error.node_operator()), "why": str(error.desc())}


def _recorder(trt: Any) -> Any:
    class Recorder(trt.ILogger):  # type: ignore[misc]  # the library has no types
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.lines: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in {trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR}:
                self.lines.append(message)

    return Recorder()


if __name__ == "__main__":
    model, wanted, result = sys.argv[1:]
    probe(Path(model).read_bytes(), wanted, lambda found: write_atomic(Path(result), json.dumps(found).encode()))
