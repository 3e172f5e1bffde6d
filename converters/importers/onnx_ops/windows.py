"""Where the windows of convolutions and pools lie: ONNX's strides, dilations and padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from converters.importers.onnx_ops.node import Node

_LINE, _PLANE = 1, 2


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Sizes along the axes of space.

    Attributes:
        kernel: Elements of a window.
        strides: From one window to the next.
        dilations: From one element of a window to the next.
        pads: Elements put before and after each axis.
        excess: Of ``pads``' ends, what is there only because the output's size is rounded up.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    excess: tuple[int, ...]

    @property
    def padded(self) -> bool:
        """Whether anything is put around the input."""
        return any(before or after for before, after in self.pads)


def windows_of(node: Node, kernel: Sequence[int], sizes: Sequence[int]) -> Windows:
    """Return a node's windows over an input whose axes of space have these sizes.

    Raises:
        ConversionError: Not one or two axes of space.
    """
    rank = len(sizes)
    if rank not in {_LINE, _PLANE}:
        raise node.refuse(f"it has {rank} axes of space, and one or two are translated")
    strides = tuple(node.attribute("strides", [1] * rank))
    dilations = tuple(node.attribute("dilations", [1] * rank))
    spans = [(size - 1) * step + 1 for size, step in zip(kernel, dilations, strict=True)]
    pads = _pads(node, spans, strides, sizes)
    excess = [0] * rank
    if node.attribute("ceil_mode", 0):
        excess = [_excess(*each) for each in zip(sizes, spans, strides, pads, strict=True)]
    pads = [(before, after + more) for (before, after), more in zip(pads, excess, strict=True)]
    return Windows(kernel=tuple(kernel), strides=strides, dilations=dilations, pads=tuple(pads), excess=tuple(excess))


def is_same(windows: Windows, sizes: Sequence[int]) -> bool:
    """Return whether the padding is what TensorFlow calls SAME."""
    spans = [(size - 1) * step + 1 for size, step in zip(windows.kernel, windows.dilations, strict=True)]
    same = [_same(*each) for each in zip(sizes, spans, windows.strides, strict=True)]
    return list(windows.pads) == same


def _pads(node: Node, spans: Sequence[int], strides: Sequence[int], sizes: Sequence[int]) -> list[tuple[int, int]]:
    mode = node.attribute("auto_pad", "NOTSET")
    if mode in {"SAME_UPPER", "SAME_LOWER"}:
        same = [_same(*each) for each in zip(sizes, spans, strides, strict=True)]
        return same if mode == "SAME_UPPER" else [(after, before) for before, after in same]
    rank = len(sizes)
    given = node.attribute("pads", [0] * 2 * rank)
    return [(given[axis], given[rank + axis]) for axis in range(rank)]


def _same(size: int, span: int, stride: int) -> tuple[int, int]:
    total = max((-(-size // stride) - 1) * stride + span - size, 0)
    return total // 2, total - total // 2


def _excess(size: int, span: int, stride: int, pads: tuple[int, int]) -> int:
    """Return how many more elements the last window needs when the output's size is rounded up."""
    before, after = pads
    count = -(-(size + before + after - span) // stride) + 1
    if (count - 1) * stride >= size + before:
        count -= 1  # a window must not begin in the padding after the input
    return max((count - 1) * stride + span - (size + before + after), 0)


def as_plane(tensor: Any) -> Any:
    """Return a tensor (n, length, channels) as (n, 1, length, channels), and any other as it is."""
    n, *space, channels = tensor.shape
    return tensor if len(space) == _PLANE else tf.reshape(tensor, (n, 1, *space, channels))


def as_line(tensor: Any, rank: int) -> Any:
    """Undo `as_plane` for a value that had this rank."""
    if len(tensor.shape) == rank:
        return tensor
    n, _, length, channels = tensor.shape
    return tf.reshape(tensor, (n, length, channels))


def for_plane(sizes: Sequence[int]) -> list[int]:
    """Return one size for each of two axes of space."""
    return [1] * (_PLANE - len(sizes)) + list(sizes)


def around(tensor: Any, pads: Sequence[tuple[int, int]]) -> Any:
    """Put zeros around the space of a tensor with channels last."""
    return tf.pad(tensor, [(0, 0), *pads, (0, 0)]) if any(map(any, pads)) else tensor
