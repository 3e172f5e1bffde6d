"""Frames of samples on a serial line; docs/wearables.md describes them for whoever writes firmware.

COBS (Cheshire and Baker 1999, *Consistent Overhead Byte Stuffing*) keeps zeros out, so that a zero always ends a frame.
The CRC is CRC-16/IBM-3740, also known as CCITT-FALSE: polynomial 0x1021, initially 0xFFFF.
"""

from __future__ import annotations

import binascii
import math
import struct
from dataclasses import dataclass

import numpy as np

from edge_sdk.errors import SignalError
from edge_sdk.tensors import FloatArray

VERSION = 1
END = b"\0"
LONGEST = 4_200  # of 8 channels and 255 samples, with COBS
_HEADER = struct.Struct("<BBBBIf")
_CRC_BYTES = 2
_CRC_START = 0xFFFF
_MISSING = -32768
_LONGEST_RUN = 0xFF


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """One frame.

    Attributes:
        session: Differs from that of the run before.
        first: Number of samples of this session before this frame, modulo 2**32.
        samples: Shape (n, channels), NaN where missing.
    """

    session: int
    first: int
    samples: FloatArray


def decode_frame(stuffed: bytes) -> Frame:
    """Read what stood between two zeros.

    Raises:
        SignalError: It is no frame, or was damaged on its way.
    """
    raw = _unstuffed(stuffed)
    if len(raw) < _HEADER.size + _CRC_BYTES:
        raise _refused(f"{len(raw)} bytes are too few")
    body, sent_crc = raw[:-_CRC_BYTES], int.from_bytes(raw[-_CRC_BYTES:], "little")
    if binascii.crc_hqx(body, _CRC_START) != sent_crc:
        raise _refused("the CRC does not match")
    version, session, channels, count, first, scale = _HEADER.unpack_from(body)
    if version != VERSION:
        raise _refused(f"it is of version {version}, and {VERSION} is read here")
    if len(body) != _HEADER.size + 2 * channels * count or not channels or not count:
        raise _refused(f"{len(body)} bytes are not {count} samples of {channels} channels")
    if not (math.isfinite(scale) and scale > 0):
        raise _refused(f"its scale is {scale}")
    steps = np.frombuffer(body, "<i2", offset=_HEADER.size).reshape(count, channels)
    samples = np.where(steps == _MISSING, np.float32(np.nan), steps * np.float32(scale))
    return Frame(session=session, first=first, samples=samples)


def _unstuffed(stuffed: bytes) -> bytes:
    """Undo COBS: each run begins with its length, and stands for itself and a zero unless it is the longest or last."""
    parts: list[bytes] = []
    at, size = 0, len(stuffed)
    while at < size:
        run = stuffed[at]
        if not run or at + run > size:
            raise _refused("it is not COBS")
        parts.append(stuffed[at + 1 : at + run])
        at += run
        if run != _LONGEST_RUN and at < size:
            parts.append(END)
    return b"".join(parts)


def _refused(why: str) -> SignalError:
    return SignalError(f"no frame: {why}", remedy="check the wiring, the speed and the firmware")
