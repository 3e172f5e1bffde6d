"""What travels over MQTT, and what a hostile sender can do with it: nothing."""

import random
import zlib
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.errors import MessageError
from edge_sdk.messages import (
    MAX_MESSAGE_BYTES,
    MAX_SEQ,
    Ack,
    Batch,
    Entry,
    RawBatch,
    RawEntry,
    Status,
    Tombstone,
    decode_batch,
    decode_json,
    decode_observation,
    encode_batch,
    encode_json,
    encode_observation,
)
from edge_sdk.observation import Observation
from tests.contracts import samples

batches = st.builds(
    Batch,
    epoch=samples.epochs,
    floor=samples.seqs,
    entries=st.lists(samples.entries, max_size=6).map(tuple),
    tombstones=st.lists(samples.tombstones, max_size=3).map(tuple),
)


def plain(message: Any) -> bytes:
    return b"\x00" + msgspec.msgpack.encode(message)


def fields(**changed: Any) -> dict[str, Any]:
    """Return a batch as a map, with some fields changed."""
    entry = [1, msgspec.to_builtins(samples.observation())]
    return {"epoch": "e", "floor": 1, "entries": [entry], "tombstones": [], "schema_version": 1, **changed}


class TestRoundTrips:
    @given(batches)
    def test_a_batch_comes_back_as_it_was(self, batch: Batch):
        assert decode_batch(encode_batch(batch)) == batch

    @given(samples.observations)
    def test_an_observation_comes_back_as_it_was(self, observation: Observation):
        assert decode_observation(encode_observation(observation)) == observation

    @given(samples.observations)
    def test_an_alarm_in_json_comes_back_as_it_was(self, observation: Observation):
        assert decode_json(encode_json(observation), Observation) == observation

    @given(samples.acks)
    def test_an_acknowledgement_comes_back_as_it_was(self, ack: Ack):
        assert decode_json(encode_json(ack), Ack) == ack

    @given(samples.statuses)
    def test_a_status_comes_back_as_it_was(self, status: Status):
        assert decode_json(encode_json(status), Status) == status

    @given(st.lists(samples.entries, max_size=8), st.data())
    def test_entries_arrive_alike_however_they_are_split_into_batches(self, entries: list[Entry], data: st.DataObject):
        cuts = sorted(data.draw(st.lists(st.integers(0, len(entries)), max_size=4)))
        parts = [entries[start:end] for start, end in zip([0, *cuts], [*cuts, len(entries)], strict=True)]
        payloads = [encode_batch(Batch(epoch="e", floor=1, entries=tuple(part))) for part in parts]
        assert [entry for payload in payloads for entry in decode_batch(payload).entries] == entries

    @given(st.lists(samples.entries, max_size=6))
    def test_observations_kept_encoded_travel_like_any_others(self, entries: list[Entry]):
        raw = tuple(RawEntry(entry.seq, msgspec.Raw(encode_observation(entry.observation))) for entry in entries)
        sent = encode_batch(RawBatch(epoch="e", floor=1, entries=raw))
        assert decode_batch(sent) == Batch(epoch="e", floor=1, entries=tuple(entries))

    def test_a_long_batch_is_compressed_and_a_short_one_is_not(self):
        entries = tuple(Entry(seq, samples.observation()) for seq in range(1, 101))
        short, long = Batch(epoch="e", floor=1), Batch(epoch="e", floor=1, entries=entries)
        assert encode_batch(short) == plain(short)
        assert len(encode_batch(long)) < len(plain(long)) / 5

    def test_a_batch_that_deflate_would_lengthen_is_sent_plain(self):
        noise = random.Random(7).randbytes(1000).decode("latin-1")  # noqa: S311
        batch = Batch(epoch="e", floor=1, tombstones=(Tombstone(first_seq=1, last_seq=1, reason=noise),))
        assert decode_batch(encode_batch(batch)) == batch


class TestNewerMachines:
    def test_a_field_we_do_not_know_is_ignored(self):
        known = decode_batch(plain(fields()))
        assert decode_batch(plain(fields(colour="green"))) == known

    @pytest.mark.parametrize("version", [0, 2, -1, 2**40])
    def test_another_major_version_is_refused(self, version: int):
        with pytest.raises(MessageError, match="update the program"):
            decode_batch(plain(fields(schema_version=version)))

    @pytest.mark.parametrize("kind", [Ack, Status])
    def test_json_of_another_major_version_is_refused(self, kind: type[Ack | Status]):
        payload = b'{"epoch": "e", "watermark": 1, "online": true, "schema_version": 2}'
        with pytest.raises(MessageError, match="schema version 2"):
            decode_json(payload, kind)


class TestHostileSenders:
    @given(st.binary(max_size=300))
    def test_random_bytes_are_refused_or_are_a_message(self, payload: bytes):
        for decode in (decode_batch, decode_observation):
            with suppress(MessageError):
                decode(payload)

    @given(st.binary(max_size=200))
    def test_random_deflated_bytes_are_refused(self, body: bytes):
        for payload in (b"\x01" + body, b"\x01" + zlib.compress(body), b"\x00" + body):
            with pytest.raises(MessageError):
                decode_batch(payload)

    @given(st.text(max_size=200) | st.binary(max_size=200))
    def test_random_json_is_refused(self, payload: str | bytes):
        data = payload.encode() if isinstance(payload, str) else payload
        for kind in (Ack, Status, Observation):
            with pytest.raises(MessageError):
                decode_json(data, kind)

    @given(batches, st.data())
    def test_a_truncated_batch_is_refused(self, batch: Batch, data: st.DataObject):
        payload = encode_batch(batch)
        with pytest.raises(MessageError):
            decode_batch(payload[: data.draw(st.integers(0, len(payload) - 1))])

    @given(batches, st.binary(min_size=1, max_size=20))
    def test_a_batch_with_something_after_it_is_refused(self, batch: Batch, more: bytes):
        with pytest.raises(MessageError):
            decode_batch(encode_batch(batch) + more)

    @given(batches, st.data())
    def test_a_changed_byte_is_refused_or_gives_another_valid_batch(self, batch: Batch, data: st.DataObject):
        payload = bytearray(encode_batch(batch))
        payload[data.draw(st.integers(0, len(payload) - 1))] ^= data.draw(st.integers(1, 255))
        try:
            read = decode_batch(bytes(payload))
        except MessageError:
            return
        assert decode_batch(encode_batch(read)) == read

    def test_a_bomb_is_refused_without_being_inflated(self):
        bomb = b"\x01" + zlib.compress(bytes(100 * MAX_MESSAGE_BYTES // 16), 9)
        assert len(bomb) < MAX_MESSAGE_BYTES / 100
        with pytest.raises(MessageError, match="inflates beyond the limit"):
            decode_batch(bomb)

    @pytest.mark.parametrize("decode", [decode_batch, lambda payload: decode_json(payload, Ack)])
    def test_a_message_over_the_limit_is_refused_unread(self, decode: Any):
        with pytest.raises(MessageError, match="too large"):
            decode(b"\x00" * (MAX_MESSAGE_BYTES + 1))

    @pytest.mark.parametrize("depth", [100, 100_000])
    def test_deep_nesting_is_refused(self, depth: int):
        arrays, maps = b"\x91" * depth, b"\x81\xa1a" * depth
        ignored = b"\x82\xa5epoch" + arrays  # nested where a field is known, and where it is skipped
        for body in (arrays, maps, ignored, b"\x81\xa5other" + arrays):
            with pytest.raises(MessageError):
                decode_batch(b"\x00" + body)
        for text in (b"[" * depth, b'{"a":' * depth, b'{"other":' + b"[" * depth):
            with pytest.raises(MessageError):
                decode_json(text, Ack)

    def test_an_array_that_claims_four_billion_entries_is_refused(self):
        for body in (b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\x81\xa7entries\xdd\xff\xff\xff\xff"):
            with pytest.raises(MessageError):
                decode_batch(b"\x00" + body)


class TestMeaning:
    @pytest.mark.parametrize("seq", [0, -1, MAX_SEQ + 1, 2**64 - 1, 1.5, "1", None])
    def test_a_sequence_number_out_of_range_is_refused_wherever_it_stands(self, seq: Any):
        observation = fields()["entries"][0][1]
        for changed in (
            {"floor": seq},
            {"entries": [[seq, observation]]},
            {"tombstones": [{"first_seq": seq, "last_seq": MAX_SEQ, "reason": ""}]},
            {"tombstones": [{"first_seq": 1, "last_seq": seq, "reason": ""}]},
        ):
            with pytest.raises(MessageError):
                decode_batch(plain(fields(**changed)))

    @pytest.mark.parametrize("seq", [1, MAX_SEQ])
    def test_the_ends_of_the_range_are_in_it(self, seq: int):
        observation = fields()["entries"][0][1]
        assert decode_batch(plain(fields(floor=seq, entries=[[seq, observation]]))).entries[0].seq == seq

    def test_a_tombstone_that_runs_backwards_is_refused(self):
        with pytest.raises(MessageError, match="backwards"):
            decode_batch(plain(fields(tombstones=[{"first_seq": 9, "last_seq": 8, "reason": ""}])))

    @pytest.mark.parametrize("epoch", ["", "e" * 65, None, 7])
    def test_a_batch_without_a_usable_epoch_is_refused(self, epoch: Any):
        with pytest.raises(MessageError):
            decode_batch(plain(fields(epoch=epoch)))

    @pytest.mark.parametrize("watermark", ["-1", str(2**63), "1e3", "null", '"1"'])
    def test_an_acknowledgement_of_an_impossible_number_is_refused(self, watermark: str):
        with pytest.raises(MessageError):
            decode_json(b'{"epoch": "e", "watermark": %s}' % watermark.encode(), Ack)

    @pytest.mark.parametrize("time_ns", [2**63, -(2**63) - 1, 1.5])
    def test_a_time_that_no_database_can_hold_is_refused(self, time_ns: Any):
        observation = fields()["entries"][0][1] | {"effective_time_ns": time_ns}
        payload = msgspec.json.encode(observation)
        with pytest.raises(MessageError):
            decode_json(payload, Observation)

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
    def test_numbers_that_are_none_are_refused(self, value: float):
        for wrong in (
            {"type": "quantity", "value": value, "unit": "mV"},
            {"type": "class", "label": "N", "probabilities": {"N": value}},
            {"type": "sampled", "unit": "mV", "sample_rate_hz": value, "factor": 1.0, "stored": b""},
            {"type": "sampled", "unit": "mV", "sample_rate_hz": 1.0, "factor": value, "stored": b""},
        ):
            observation = fields()["entries"][0][1] | {"value": wrong}
            with pytest.raises(MessageError):
                decode_batch(plain(fields(entries=[[1, observation]])))

    def test_half_a_sample_is_refused(self):
        half = {"type": "sampled", "unit": "mV", "sample_rate_hz": 1.0, "factor": 1.0, "stored": b"\x00"}
        with pytest.raises(MessageError, match="int16"):
            decode_batch(plain(fields(entries=[[1, fields()["entries"][0][1] | {"value": half}]])))
