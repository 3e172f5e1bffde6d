from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.messages import RawBatch, RawEntry, Status, encode_batch, encode_json, encode_observation
from edge_sdk.observation import Observation, SampledData
from edge_sdk.topics import DeviceTopics
from hospital_hub.decoding import read_messages
from tests.fakes.device import EPOCH, beat, heart_rate, observed, strip

DEVICE = DeviceTopics("ward", "gateway-1")


def raw_batch(*observations: bytes) -> bytes:
    entries = tuple(RawEntry(seq, msgspec.Raw(data)) for seq, data in enumerate(observations, start=1))
    return encode_batch(RawBatch(epoch=EPOCH, floor=1, entries=entries))


def long_rate() -> Observation:
    code = heart_rate(60).code
    data = SampledData(unit="mV", sample_rate_hz=1e-9, factor=1.0, stored=b"\0\0")
    return observed(data, code=code)


UNUSABLE = {
    "not an observation": msgspec.msgpack.encode({"code": "no"}),
    "a NUL character": encode_observation(msgspec.structs.replace(beat(), subject="bed\0")),
    "1000 characters": encode_observation(msgspec.structs.replace(beat(), stream="x" * 2000)),
    "not finite": encode_observation(msgspec.structs.replace(beat(), quality=float("nan"))),
    "out of bounds": encode_observation(long_rate()),
}


@pytest.mark.parametrize("data", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_one_bad_observation_does_not_spoil_its_batch(data: bytes) -> None:
    payload = raw_batch(encode_observation(beat()), data, encode_observation(strip()))

    delivery = read_messages([(DEVICE.observations, payload)])

    ((device, batch),) = delivery.batches
    assert device == DEVICE
    assert [entry.seq for entry in batch.entries] == [1, 3]
    assert [(grave.first_seq, grave.last_seq) for grave in batch.tombstones] == [(2, 2)]
    (bad,) = delivery.set_aside
    assert (bad.payload, bad.reason.startswith("observation 2: ")) == (data, True)


def test_the_newest_status_of_a_device_counts() -> None:
    messages = [(DEVICE.status, encode_json(Status(online=online))) for online in (False, True)]

    assert read_messages(messages).statuses == [(DEVICE, Status(online=True))]


@given(topic=st.sampled_from([DEVICE.observations, DEVICE.status, "edge/v2/what", ""]), payload=st.binary(max_size=200))
def test_whatever_the_broker_delivers_is_read_or_set_aside(topic: str, payload: bytes) -> None:
    delivery = read_messages([(topic, payload)])

    assert len(delivery.batches) + len(delivery.statuses) + len(delivery.set_aside) == 1


@given(flag=st.sampled_from([b"\0", b"\1"]), junk=st.binary(max_size=60), at=st.integers(0, 400))
def test_a_batch_damaged_anywhere_stops_nothing(flag: bytes, junk: bytes, at: int) -> None:
    good = flag + raw_batch(encode_observation(beat()), encode_observation(heart_rate(61)))[1:]

    delivery = read_messages([(DEVICE.observations, good[:at] + junk + good[at + len(junk) :])])

    assert delivery.batches or delivery.set_aside
