"""What wearables publish themselves: one message says what follows, many bring samples, one says that it is over.

MessagePack, or JSON in which bytes are base64. Fields that are not known are ignored, so that newer wearables may say
more.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, Union

import msgspec
import numpy as np

from edge_sdk.errors import MessageError
from edge_sdk.signals import SignalFormat, SignalKind
from edge_sdk.tensors import FloatArray

MAX_MESSAGE_BYTES = 256 * 1024
_LONGEST_BLOCK_S = 60.0
_MISSING = -32768

_Word = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_TimeNs = Annotated[int, msgspec.Meta(ge=0, le=7_258_118_400_000_000_000)]  # until 2200: sums of times stay in 64 bits
_Rate = Annotated[float, msgspec.Meta(ge=1, le=10_000)]
_Channels = Annotated[tuple[_Word, ...], msgspec.Meta(min_length=1, max_length=16)]


class Start(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="start"):
    """What a stream holds from now on. Publish it retained, so that a gateway that comes later learns it too.

    Attributes:
        session: Names this run of the wearable; the same again changes nothing.
        kind: What is measured.
        unit: UCUM unit of every sample.
        channels: One name; of an accelerometer, one for each axis.
        sample_rate_hz: Samples per second and channel.
        subject: Pseudonym of the patient.
        clock: ``utc`` if ``time_ns`` counts from 1970 by a clock that is kept right; ``device`` if it counts from
            anywhere: then the gateway works out what it means.
    """

    session: _Word
    kind: SignalKind
    unit: _Word
    channels: _Channels
    sample_rate_hz: _Rate
    subject: Annotated[str, msgspec.Meta(max_length=128)] = ""
    clock: Literal["device", "utc"] = "device"

    def __post_init__(self) -> None:
        if self.kind != "accelerometer" and len(self.channels) != 1:
            raise ValueError(f"a stream of {self.kind} has one channel: publish several streams")

    @property
    def format(self) -> SignalFormat:
        """What the samples mean."""
        return SignalFormat(kind=self.kind, unit=self.unit, channels=self.channels, sample_rate_hz=self.sample_rate_hz)


class Samples(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="samples"):
    """Consecutive samples.

    Attributes:
        seq: Number of this message, one more than the one before.
        index: Samples of this session before the first of these.
        samples: Little-endian numbers, sample by sample, and of each sample channel by channel.
        encoding: ``int16``, where -32768 is a missing sample, or ``float32``, where NaN is.
        factor: Unit per step of int16.
        time_ns: The wearable's time of the first sample; without it, the index tells the time.
    """

    seq: _Count
    index: _Count
    samples: bytes
    encoding: Literal["int16", "float32"] = "int16"
    factor: float = 1.0
    time_ns: _TimeNs | None = None

    def __post_init__(self) -> None:
        if not 0 < self.factor < math.inf:
            raise ValueError("a factor must be above 0")

    def values(self, start: Start) -> FloatArray:
        """Return the samples in the stream's unit, shape (n, channels), NaN where missing.

        Raises:
            MessageError: They are none, too many, or do not come out even.
        """
        width = (2 if self.encoding == "int16" else 4) * len(start.channels)
        count, rest = divmod(len(self.samples), width)
        if rest or not 0 < count <= max(1.0, _LONGEST_BLOCK_S * start.sample_rate_hz):
            raise MessageError(f"{len(self.samples)} bytes of samples of {width} bytes each")
        if self.encoding == "float32":
            floats = np.frombuffer(self.samples, "<f4").reshape(count, -1)
            return np.where(np.isfinite(floats), floats, np.float32(np.nan))
        stored = np.frombuffer(self.samples, "<i2").reshape(count, -1)
        with np.errstate(over="ignore"):
            scaled = (stored * self.factor).astype(np.float32)
        found: FloatArray = np.where((stored == _MISSING) | ~np.isfinite(scaled), np.float32(np.nan), scaled)
        return found


class End(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="end"):
    """The stream is over. Make it the wearable's last will, too."""

    reason: Annotated[str, msgspec.Meta(max_length=200)] = ""


Message = Union[Start, Samples, End]
_JSON, _MSGPACK = msgspec.json.Decoder(Message), msgspec.msgpack.Decoder(Message)


def decode(payload: bytes) -> Message:
    """Read one message; nothing at all, which clears what is retained, is an end.

    Raises:
        MessageError: It is not understood.
    """
    if not payload:
        return End(reason="its message was cleared")
    if len(payload) > MAX_MESSAGE_BYTES:
        raise MessageError(f"{len(payload)} bytes are more than {MAX_MESSAGE_BYTES}")
    decoder = _JSON if payload[:1] in b"{ \t\r\n" else _MSGPACK  # no MessagePack map begins with one of these
    try:
        message: Message = decoder.decode(payload)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise MessageError(f"not a message of a wearable ({error})") from error
    return message
