"""What travels over MQTT, and its encoding. Strict about meaning, tolerant of fields a newer machine adds."""

from __future__ import annotations

import zlib
from typing import TypeVar

import msgspec

from edge_sdk.errors import MessageError
from edge_sdk.observation import Observation

SCHEMA_VERSION = 1
MAX_SEQ = 2**63 - 1
# Larger than any batch an agent sends, small enough that a hostile one cannot exhaust a hub.
MAX_MESSAGE_BYTES = 8 * 1024 * 1024
_COMPRESSED, _PLAIN = b"\x01", b"\x00"
_COMPRESS_FROM_BYTES = 512

T = TypeVar("T")


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One observation with its number, which is unique within (device, epoch) and starts at 1."""

    seq: int
    observation: Observation


class RawEntry(msgspec.Struct, frozen=True, array_like=True):
    """An `Entry` whose observation is already MessagePack, as the outbox keeps it."""

    seq: int
    observation: msgspec.Raw


class Tombstone(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers that will never come, and why (both ends inclusive)."""

    first_seq: int
    last_seq: int
    reason: str


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Observations of one device and epoch.

    Attributes:
        epoch: Names the outbox they come from; a re-imaged device starts a new one.
        floor: Lowest number the device may still send; everything below is settled.
        entries: In any order.
        tombstones: What the device had to give up.
        schema_version: Version of this message's meaning.
    """

    epoch: str
    floor: int
    entries: tuple[Entry, ...] = ()
    tombstones: tuple[Tombstone, ...] = ()
    schema_version: int = SCHEMA_VERSION


class RawBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A `Batch` to send, its observations already encoded."""

    epoch: str
    floor: int
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

    epoch: str
    watermark: int
    ranges: tuple[tuple[int, int], ...] = ()
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
    backlog: int = 0
    windows: int = 0
    rejected_windows: int = 0
    resident_bytes: int = 0
    inference_us_p50: float = 0.0
    at_ns: int = 0
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
    if batch.schema_version != SCHEMA_VERSION:
        raise MessageError(f"batch has schema version {batch.schema_version}", remedy="update the hub")
    for entry in batch.entries:
        _check_seq(entry.seq)
    for tombstone in batch.tombstones:
        _check_seq(tombstone.first_seq)
        _check_seq(tombstone.last_seq)
        if tombstone.first_seq > tombstone.last_seq:
            raise MessageError(f"tombstone {tombstone.first_seq}..{tombstone.last_seq} runs backwards")
    _check_seq(batch.floor)
    if not 1 <= len(batch.epoch) <= 64:  # noqa: PLR2004
        raise MessageError("batch has no usable epoch")
    return batch


def encode_json(message: Ack | Status | Latest | Observation) -> bytes:
    """Return a small message as JSON."""
    return msgspec.json.encode(message)


def decode_json(payload: bytes, kind: type[T]) -> T:
    """Read a small JSON message.

    Raises:
        MessageError: Not JSON of that kind.
    """
    if len(payload) > MAX_MESSAGE_BYTES:
        raise MessageError(f"message of {len(payload)} bytes is too large")
    try:
        return msgspec.json.decode(payload, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MessageError(f"message is not {kind.__name__} JSON ({error})") from error


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
    if not inflater.eof:
        raise MessageError("batch is truncated or inflates beyond the limit")
    return plain


def _decoded(data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MessageError(f"message is not a {kind.__name__} ({error})") from error


def _check_seq(seq: int) -> None:
    if not 1 <= seq <= MAX_SEQ:
        raise MessageError(f"sequence number {seq} is out of range")
