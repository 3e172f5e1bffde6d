"""The same samples in other pieces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from edge_sdk.tensors import FloatArray


def in_blocks(pieces: Iterable[FloatArray], *, block: int) -> Iterator[FloatArray]:
    """Yield samples of shape (n, channels) as shape (block, channels), and what is left at the end."""
    held: list[FloatArray] = []
    count = 0
    for piece in pieces:
        held.append(piece)
        count += len(piece)
        if count >= block:
            joined = np.concatenate(held)
            whole = count - count % block
            for start in range(0, whole, block):
                yield joined[start : start + block]
            held, count = [joined[whole:]], count - whole
    if count:
        yield np.concatenate(held)


def missing(samples: int, *, channels: int, piece: int = 65_536) -> Iterator[FloatArray]:
    """Yield so many missing samples, in pieces that are never large."""
    for start in range(0, samples, piece):
        yield np.full((min(piece, samples - start), channels), np.nan, np.float32)
