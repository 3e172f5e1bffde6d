"""Making a signal or an image larger or smaller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from converters.importers.onnx_ops.node import Node, Translate
from converters.importers.onnx_ops.values import Value, channels_last
from converters.importers.onnx_ops.windows import as_line, as_plane

_ROUNDINGS: dict[str, Callable[[Any], Any]] = {
    "round_prefer_floor": lambda at: np.ceil(at - 0.5),
    "round_prefer_ceil": lambda at: np.floor(at + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def _resize(node: Node) -> Value:
    x = node.value()
    sizes, scales = _target(node, x)
    node.require("antialias", 0)
    mode = node.attribute("mode", "nearest")
    tensor = x.stored(channels_last(x.rank))
    if mode == "nearest":
        for axis, (size, scale) in enumerate(zip(sizes, scales, strict=True), 1):
            at = _nearest(node, int(tensor.shape[axis]), size, scale)
            tensor = _repeated(tensor, at, axis)
    elif mode == "linear" and x.rank in {3, 4}:
        tensor = _linear(node, tensor, sizes, x.rank)
    else:
        raise node.refuse(f"its mode is {mode} on {x.rank} axes")
    return Value(tensor=tensor, order=channels_last(x.rank))


def _target(node: Node, x: Value) -> tuple[list[int], list[float]]:
    """Return the new size of each axis of space, and by what it grows."""
    given = 1 if node.operator == "Upsample" or node.opset < 11 else 2  # noqa: PLR2004  # Resize then had no roi
    scales, sizes = node.option("scales", given) or [], node.option("sizes", 3) or []
    if node.has(3) and "axes" in node.attributes:
        raise node.refuse("it names axes")
    if sizes:
        scales = [new / old for new, old in zip(sizes, x.shape, strict=True)]
    else:
        sizes = [int(np.floor(old * scale)) for old, scale in zip(x.shape, scales, strict=True)]
    if tuple(sizes[:2]) != x.shape[:2]:
        raise node.refuse("it changes the batch or the channels")
    return [int(size) for size in sizes[2:]], list(scales[2:])


def _coordinates(node: Node, old: int, new: int, scale: float) -> NDArray[np.float64]:
    """Return where each new element lies among the old ones."""
    at = np.arange(new, dtype=np.float64)
    default = "half_pixel" if node.operator == "Resize" and node.opset >= 11 else "asymmetric"  # noqa: PLR2004
    mode = node.attribute("coordinate_transformation_mode", default)
    if mode == "half_pixel" or (mode == "pytorch_half_pixel" and new > 1):
        return (at + 0.5) / scale - 0.5
    if mode == "align_corners":
        return at * (old - 1) / max(new - 1, 1)
    if mode == "asymmetric":
        return at / scale
    if mode == "pytorch_half_pixel":
        return at * 0
    raise node.refuse(f"its coordinate_transformation_mode is {mode}")


def _nearest(node: Node, old: int, new: int, scale: float) -> NDArray[np.int64]:
    default = "round_prefer_floor" if node.operator == "Resize" and node.opset >= 11 else "floor"  # noqa: PLR2004
    rounding = _ROUNDINGS[node.attribute("nearest_mode", default)]
    found: NDArray[np.int64] = np.clip(rounding(_coordinates(node, old, new, scale)), 0, old - 1).astype(np.int64)
    return found


def _repeated(tensor: Any, at: NDArray[np.int64], axis: int) -> Any:
    old, new = int(tensor.shape[axis]), len(at)
    if old == new and (at == np.arange(old)).all():
        return tensor
    return tf.gather(tensor, at, axis=axis)


def _linear(node: Node, tensor: Any, sizes: list[int], rank: int) -> Any:
    default = "half_pixel" if node.operator == "Resize" and node.opset >= 11 else "asymmetric"  # noqa: PLR2004
    mode = node.attribute("coordinate_transformation_mode", default)
    if mode not in {"half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"}:
        raise node.refuse(f"its coordinate_transformation_mode is {mode}")
    plane = as_plane(tensor)
    size = [plane.shape[1], *sizes] if rank == 3 else sizes  # noqa: PLR2004
    found = tf.raw_ops.ResizeBilinear(
        images=plane, size=size, align_corners=mode == "align_corners", half_pixel_centers=mode.endswith("half_pixel")
    )
    return as_line(found, rank)


OPERATORS: dict[str, Translate] = {"Resize": _resize, "Upsample": _resize}
