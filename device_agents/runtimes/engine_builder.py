"""Building a TensorRT engine from ONNX, with whichever TensorRT is there: 8.2 to 10, or TensorRT-RTX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge_sdk.errors import IncompatibleBundle


def build_engine(trt: Any, model: bytes, *, version: str, configure: Callable[[Any], None] | None = None) -> bytes:
    """Return a serialized engine.

    Precision is what the file says, tensor by tensor: that is what its maker checked.

    Args:
        trt: The TensorRT module.
        model: The ONNX file.
        version: Of TensorRT, for messages.
        configure: Given the builder's configuration, to name a GPU where there is none; ``None`` on a device.

    Raises:
        IncompatibleBundle: This TensorRT does not read the file, or makes no engine of it.
    """
    log = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(log)
    network = builder.create_network(creation_flags(trt.NetworkDefinitionCreationFlag))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(model):
        raise _refused(version, parser.get_error(0).desc() if parser.num_errors else "its parser gives no reason")
    config = builder.create_builder_config()
    names = () if is_strongly_typed(trt.NetworkDefinitionCreationFlag) else precision_flags(kinds(trt, network))
    for name in names:
        config.set_flag(getattr(trt.BuilderFlag, name))
    # TensorFloat-32 rounds float32 to 10 bits: not what was checked.
    config.clear_flag(trt.BuilderFlag.TF32)
    if configure:
        configure(config)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise _refused(version, "its builder gives no reason; see the messages above")
    return bytes(engine)


def creation_flags(known: Any) -> int:
    """Return the bits a network is made with, of those that this TensorRT knows.

    Args:
        known: Its ``NetworkDefinitionCreationFlag``. 8 asks for ``EXPLICIT_BATCH`` with ONNX; 10 has nothing else;
            ``STRONGLY_TYPED``, from 9 on, keeps the precision that is in the file.
    """
    wanted = ("EXPLICIT_BATCH", "STRONGLY_TYPED")
    return sum(1 << int(getattr(known, name)) for name in wanted if hasattr(known, name))


def is_strongly_typed(known: Any) -> bool:
    """Return whether this TensorRT keeps the precision that is in the file without being told by flags."""
    return hasattr(known, "STRONGLY_TYPED")


def kinds(trt: Any, network: Any) -> frozenset[str]:
    """Return which of ``int8`` and ``float16`` are in a parsed network."""
    found = set()
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        if layer.type == trt.LayerType.QUANTIZE:
            found.add("int8")
        outputs = [layer.get_output(number) for number in range(layer.num_outputs)]
        if any(output is not None and output.dtype == trt.float16 for output in outputs):
            found.add("float16")
    return frozenset(found)


def precision_flags(found: frozenset[str]) -> tuple[str, ...]:
    """Return the names of the builder flags that let TensorRT 8 compute what the file holds.

    With float16 it must also be held to the file's types: left alone, it takes whichever precision is faster.
    """
    flags = {"int8": ("INT8",), "float16": ("FP16", "OBEY_PRECISION_CONSTRAINTS")}
    return tuple(flag for kind in sorted(found) for flag in flags[kind])


def _refused(version: str, why: str) -> IncompatibleBundle:
    return IncompatibleBundle(
        f"TensorRT {version} cannot load the model ({why.strip()})",
        remedy="update JetPack, or convert the model for the one that is installed",
    )
