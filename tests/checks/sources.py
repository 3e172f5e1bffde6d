"""What every source must do, whatever it reads from."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device_agents.sources.base import Source

BLOCKS_S = (1 / 360, 0.1, 0.5, 60.0)


@dataclass(frozen=True, kw_only=True)
class SourceUnderTest:
    """Opens the same finite stream again and again.

    Attributes:
        open: Makes a source of blocks of so many seconds, as fast as it goes.
        expected: All its samples in the format's unit, shape (n,), NaN where missing.
    """

    open: Callable[[float], Source]
    expected: NDArray[np.float32]


def delivers_every_sample_in_order(source: SourceUnderTest) -> None:
    for block_s in BLOCKS_S:
        blocks = list(source.open(block_s).blocks())
        assert blocks[0].start_index == 0
        assert all(after.start_index == before.end_index for before, after in itertools.pairwise(blocks))
        assert blocks[-1].end_index == len(source.expected)


def delivers_the_same_values_in_blocks_of_any_size(source: SourceUnderTest) -> None:
    for block_s in BLOCKS_S:
        values = np.concatenate([block.samples for block in source.open(block_s).blocks()])
        np.testing.assert_array_equal(values[:, 0], source.expected)


def delivers_what_its_format_says(source: SourceUnderTest) -> None:
    opened = source.open(0.5)
    for block in opened.blocks():
        assert block.samples.dtype == np.float32
        assert block.samples.shape == (block.end_index - block.start_index, len(opened.format.channels))


def keeps_time_by_its_sample_rate(source: SourceUnderTest) -> None:
    opened = source.open(0.1)
    for block in opened.blocks():
        elapsed_ns = block.start_time_ns - opened.start_time_ns
        assert abs(elapsed_ns - block.start_index * 1e9 / opened.format.sample_rate_hz) < 1


def ends_when_it_is_closed(source: SourceUnderTest) -> None:
    opened = source.open(0.1)
    blocks = opened.blocks()
    next(blocks)
    opened.close()
    opened.close()
    assert list(blocks) == []


def names_the_same_samples_alike(source: SourceUnderTest) -> None:
    assert source.open(0.5).identity == source.open(0.5).identity


CHECKS = (
    delivers_every_sample_in_order,
    delivers_the_same_values_in_blocks_of_any_size,
    delivers_what_its_format_says,
    keeps_time_by_its_sample_rate,
    ends_when_it_is_closed,
    names_the_same_samples_alike,
)
