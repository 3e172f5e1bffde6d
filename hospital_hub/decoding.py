"""From what the broker delivers to what is stored. Pure: bytes in, a delivery out; nothing stops it."""

from __future__ import annotations

from collections.abc import Iterable

from edge_sdk import topics
from edge_sdk.errors import MessageError
from edge_sdk.messages import (
    Batch,
    Entry,
    Status,
    Tombstone,
    decode_batch,
    decode_json,
    decode_observation,
    decode_raw_batch,
)
from edge_sdk.topics import DeviceTopics
from hospital_hub.rows import unusable
from hospital_hub.store import Delivery, SetAside

_UNREADABLE = "unreadable at the hub, which keeps it in quarantine"


def read_messages(messages: Iterable[tuple[str, bytes]]) -> Delivery:
    """Return what messages, given as topic and payload, ask to be stored.

    What nobody can read is set aside. When that is a single observation of a batch, a tombstone settles its number, so
    that its device does not send it for ever.
    """
    batches: list[tuple[DeviceTopics, Batch]] = []
    statuses: dict[DeviceTopics, Status] = {}
    set_aside: list[SetAside] = []
    for topic, payload in messages:
        try:
            device, leaf = topics.parse(topic)
            if leaf == "status":
                statuses[device] = decode_json(payload, Status)
            else:
                batch, bad = _read_batch(topic, payload)
                batches.append((device, batch))
                set_aside += bad
        except MessageError as error:
            set_aside.append(SetAside(topic=topic, payload=payload, reason=str(error)))
    return Delivery(batches=batches, statuses=list(statuses.items()), set_aside=set_aside)


def _read_batch(topic: str, payload: bytes) -> tuple[Batch, list[SetAside]]:
    try:
        batch = decode_batch(payload)
    except MessageError:
        return _read_piecemeal(topic, payload)
    if any(unusable(entry.observation) for entry in batch.entries):
        return _read_piecemeal(topic, payload)
    return batch, []


def _read_piecemeal(topic: str, payload: bytes) -> tuple[Batch, list[SetAside]]:
    raw = decode_raw_batch(payload)
    good, graves, bad = [], list(raw.tombstones), []
    for entry in raw.entries:
        data = bytes(entry.observation)
        try:
            observation = decode_observation(data)
            reason = unusable(observation)
        except MessageError as error:
            reason = str(error)
        if reason:
            bad.append(SetAside(topic=topic, payload=data, reason=f"observation {entry.seq}: {reason}"))
            graves.append(Tombstone(first_seq=entry.seq, last_seq=entry.seq, reason=_UNREADABLE))
        else:
            good.append(Entry(entry.seq, observation))
    batch = Batch(epoch=raw.epoch, floor=raw.floor, entries=tuple(good), tombstones=tuple(graves))
    return batch, bad
