"""What travels over MQTT, and its encoding. Strict about meaning, tolerant of fields a newer machine adds."""

from __future__ import annotations

import zlib
from typing import Annotated, TypeVar

import msgspec

from edge_sdk.errors import MessageError
from edge_sdk.observation import Observation

SCHEMA_VERSION = 1
MAX_SEQ = 2**63 - 1  # the largest integer every database can hold
Seq = Annotated[int, msgspec.Meta(ge=1, le=MAX_SEQ)]
Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_SEQ)]
Epoch = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
# Larger than any batch an agent sends, small enough that a hostile one cannot exhaust a hub.
MAX_MESSAGE_BYTES = 8 * 1024 * 1024
_COMPRESSED, _PLAIN = b"\x01", b"\x00"
_COMPRESS_FROM_BYTES = 512

T = TypeVar("T")


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One observation with its number, which is unique within (device, epoch) and starts at 1."""

    seq: Seq
    observation: Observation


class RawEntry(msgspec.Struct, frozen=True, array_like=True):
    """An `Entry` whose observation is already MessagePack, as the outbox keeps it."""

    seq: Seq
    observation: msgspec.Raw


class Tombstone(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers that will never come, and why (both ends inclusive)."""

    first_seq: Seq
    last_seq: Seq
    reason: str

    def __post_init__(self) -> None:
        if self.first_seq > self.last_seq:
            raise ValueError(f"tombstone {self.first_seq}..{self.last_seq} runs backwards")


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Observations of one device and epoch.

    Attributes:
        epoch: Names the outbox they come from; a re-imaged device starts a new one.
        floor: Lowest number the device may still send; everything below is settled.
        entries: In any order.
        tombstones: What the device had to give up.
        schema_version: Version of this message's meaning.
    """

    epoch: Epoch
    floor: Seq
    entries: tuple[Entry, ...] = ()
    tombstones: tuple[Tombstone, ...] = ()
    schema_version: int = SCHEMA_VERSION


class RawBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A `Batch` whose observations are still, or already, encoded."""

    epoch: Epoch
    floor: Seq
    entries: tuple[RawEntry, ...] = ()
    tombstones: tuple[Tombstone, ...] = ()
    schema_version: int = SCHEMA_VERSION


class Ack(msgspec.Struct, frozen=True, kw_only=True):
    """What the hub has committed.

    Attributes:
        epoch: Which outbox this is about.
        watermark: Every number up to this one is stored or accounted for.
        ranges: Numbers above the watermark that are stored too, as inclusive pairs.
    """

    epoch: Epoch
    watermark: Count
    ranges: tuple[tuple[Seq, Seq], ...] = ()
    schema_version: int = SCHEMA_VERSION


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How a device is. Retained; the last will says ``online = False``."""

    online: bool
    epoch: str = ""
    agent_version: str = ""
    runtime: str = ""
    model_id: str = ""
    model_version: str = ""
    bundle_sha256: str = ""
    hardware: str = ""
    backlog: Count = 0
    windows: Count = 0
    rejected_windows: Count = 0
    resident_bytes: Count = 0
    inference_us_p50: float = 0.0
    at_ns: Count = 0
    schema_version: int = SCHEMA_VERSION


class Latest(msgspec.Struct, frozen=True, kw_only=True):
    """Newest value of one code, for dashboards of any make."""

    code: str
    display: str
    value: float | str | None
    unit: str
    effective_time_ns: int
    stream: str
    subject: str
    quality: float | None = None


def encode_observation(observation: Observation) -> bytes:
    """Return the observation as MessagePack, as it is kept and sent."""
    return msgspec.msgpack.encode(observation)


def decode_observation(data: bytes) -> Observation:
    """Undo `encode_observation`.

    Raises:
        MessageError: Not an observation.
    """
    return _decoded(data, Observation)


def encode_batch(batch: Batch | RawBatch) -> bytes:
    """Return a batch's payload: one flag byte, then MessagePack, deflated where that pays."""
    plain = msgspec.msgpack.encode(batch)
    if len(plain) >= _COMPRESS_FROM_BYTES:
        packed = zlib.compress(plain, 1)
        if len(packed) < len(plain):
            return _COMPRESSED + packed
    return _PLAIN + plain


def decode_batch(payload: bytes) -> Batch:
    """Undo `encode_batch`, however hostile the payload.

    Raises:
        MessageError: Not a batch, a batch from a newer major version, or one that grows beyond
            `MAX_MESSAGE_BYTES` when inflated.
    """
    batch = _decoded(_inflated(payload), Batch)
    _check_version(batch.schema_version)
    return batch


def decode_raw_batch(payload: bytes) -> RawBatch:
    """Undo `encode_batch` but for the observations, so that one bad one does not spoil the others.

    Raises:
        MessageError: As `decode_batch`, except for what the observations say.
    """
    batch = _decoded(_inflated(payload), RawBatch)
    _check_version(batch.schema_version)
    return batch


def encode_json(message: Ack | Status | Latest | Observation) -> bytes:
    """Return a small message as JSON."""
    return msgspec.json.encode(message)


def decode_json(payload: bytes, kind: type[T]) -> T:
    """Read a small JSON message.

    Raises:
        MessageError: Not JSON of that kind, or from a newer major version.
    """
    if len(payload) > MAX_MESSAGE_BYTES:
        raise MessageError(f"message of {len(payload)} bytes is too large")
    try:
        message = msgspec.json.decode(payload, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MessageError(f"message is not {kind.__name__} JSON ({error})") from error
    _check_version(getattr(message, "schema_version", SCHEMA_VERSION))
    return message


def _inflated(payload: bytes) -> bytes:
    if len(payload) > MAX_MESSAGE_BYTES:
        raise MessageError(f"message of {len(payload)} bytes is too large")
    flag, body = payload[:1], payload[1:]
    if flag == _PLAIN:
        return body
    if flag != _COMPRESSED:
        raise MessageError(f"batch starts with unknown flag {flag!r}")
    try:
        inflater = zlib.decompressobj()
        plain = inflater.decompress(body, MAX_MESSAGE_BYTES)
    except zlib.error as error:
        raise MessageError(f"batch cannot be inflated ({error})") from error
    if not inflater.eof or inflater.unused_data:
        raise MessageError("batch is truncated, inflates beyond the limit, or is followed by something else")
    return plain


def _decoded(data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MessageError(f"message is not a {kind.__name__} ({error})") from error


def _check_version(version: int) -> None:
    if version != SCHEMA_VERSION:
        raise MessageError(
            f"message has schema version {version}; this program reads {SCHEMA_VERSION}", remedy="update the program"
        )
