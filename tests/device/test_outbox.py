from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from device_agents.outbox import SYNC_INTERVAL_S, Outbox, Position
from edge_sdk.errors import StorageUnavailable
from edge_sdk.messages import Ack, decode_observation
from edge_sdk.observation import Observation
from tests.fakes.device import alarm, heart_rate

PLENTY = 1_000_000
FEW_ROWS = 12


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def everything(outbox: Outbox) -> dict[int, Observation]:
    """All that could be sent now, by number."""
    lanes = [
        outbox.pending(alarms=alarms, after_seq=0, limit=PLENTY, max_bytes=PLENTY * 1000) for alarms in (True, False)
    ]
    return {entry.seq: decode_observation(bytes(entry.observation)) for lane in lanes for entry in lane}


def given_up(outbox: Outbox) -> set[int]:
    stones = outbox.tombstones(limit=PLENTY)
    return {seq for stone in stones for seq in range(stone.first_seq, stone.last_seq + 1)}


class OutboxThroughCrashes(RuleBasedStateMachine):
    """The outbox against a dictionary, through crashes of the process and power cuts at any moment."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "outbox.db"
        self.clock, self.made = Clock(), 0
        self.kept: dict[int, Observation] = {}
        self.lost: set[int] = set()
        self.sent: set[int] = set()
        self.outbox = self.open()
        self.epoch = self.outbox.epoch

    def open(self) -> Outbox:
        return Outbox(self.path, max_rows=FEW_ROWS, max_bytes=PLENTY, clock=self.clock)

    def teardown(self) -> None:
        self.outbox.close()
        shutil.rmtree(self.folder)

    @rule(alarms=st.lists(st.booleans(), min_size=1, max_size=FEW_ROWS + 2), pause_s=st.sampled_from([0.0, 1.5]))
    def put(self, alarms: list[bool], pause_s: float) -> None:
        self.clock.now_s += pause_s
        observations = [
            alarm() if is_alarm else heart_rate(60, at_s=self.made + n) for n, is_alarm in enumerate(alarms)
        ]
        self.made += len(observations)
        before = self.outbox.last_seq
        seqs = self.outbox.put_many(observations, positions={"ecg": position(self.made)})
        assert seqs == list(range(before + 1, before + 1 + len(observations)))
        self.kept.update(zip(seqs, observations, strict=True))
        self.give_up_what_does_not_fit()

    def give_up_what_does_not_fit(self) -> None:
        order = sorted(self.kept, key=lambda seq: (self.kept[seq] == alarm(), seq))
        for seq in order[: max(0, len(order) - FEW_ROWS)]:
            del self.kept[seq]
            self.lost.add(seq)

    @rule()
    def sync(self) -> None:
        self.outbox.sync()

    @rule()
    def send(self) -> None:
        self.sent |= set(everything(self.outbox)) | given_up(self.outbox)

    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        durable = self.outbox.durable_seq
        watermark = data.draw(st.integers(0, durable))
        pairs = st.tuples(st.integers(1, max(1, durable)), st.integers(0, 5))
        drawn = data.draw(st.lists(pairs, max_size=3)) if durable else []
        ranges = tuple((first, min(durable, first + more)) for first, more in drawn)
        assert self.outbox.acknowledge(Ack(epoch=self.epoch, watermark=watermark, ranges=ranges))
        for seq in [seq for seq in {*self.kept, *self.lost} if settled(seq, watermark, ranges)]:
            self.kept.pop(seq, None)
            self.lost.discard(seq)

    @rule(beyond=st.integers(1, 5))
    def acknowledge_what_was_never_sent(self, beyond: int) -> None:
        assert not self.outbox.acknowledge(Ack(epoch=self.epoch, watermark=self.outbox.durable_seq + beyond))
        assert not self.outbox.acknowledge(Ack(epoch="another", watermark=self.outbox.durable_seq))

    @rule()
    def crash_of_the_process(self) -> None:
        """What the kernel holds survives: the files as they are, without a goodbye."""
        self.reopen_copy(torn_bytes=None)

    @precondition(lambda self: not self.unsynced())
    @rule(data=st.data())
    def power_cut_while_writing(self, data: st.DataObject) -> None:
        """What was put after the last sync is torn at any byte; what was synced is whole."""
        self.outbox.sync()
        whole = self.wal.stat().st_size
        kept, lost, made, last = dict(self.kept), set(self.lost), self.made, self.outbox.last_seq
        self.put([False, False], 0.0)
        grown = self.wal.stat().st_size
        if grown < whole or self.outbox.durable_seq > last:
            return  # the log was begun anew, or it was time to sync
        self.reopen_copy(torn_bytes=data.draw(st.integers(whole, grown)))
        if self.outbox.last_seq == last:  # the torn transaction is gone as a whole
            self.kept, self.lost, self.made = kept, lost, made

    def unsynced(self) -> bool:
        return self.outbox.durable_seq < self.outbox.last_seq

    @property
    def wal(self) -> Path:
        return self.path.with_name(self.path.name + "-wal")

    def reopen_copy(self, *, torn_bytes: int | None) -> None:
        aside = Path(tempfile.mkdtemp(dir=self.folder))
        for name in (self.path.name, self.wal.name):
            shutil.copy(self.path.parent / name, aside / name)
        self.outbox.close()
        self.path = aside / self.path.name
        if torn_bytes is not None:
            with self.wal.open("r+b") as log:
                log.truncate(torn_bytes)
        self.outbox = self.open()

    @invariant()
    def nothing_is_lost_and_nothing_comes_back(self) -> None:
        assert self.outbox.epoch == self.epoch
        durable = self.outbox.durable_seq
        assert everything(self.outbox) == {seq: item for seq, item in self.kept.items() if seq <= durable}
        assert given_up(self.outbox) == {seq for seq in self.lost if seq <= durable}

    @invariant()
    def the_floor_is_the_lowest_number_that_may_come(self) -> None:
        assert self.outbox.floor == min({*self.kept, *self.lost, self.outbox.last_seq + 1})

    @invariant()
    def no_number_that_was_sent_is_given_again(self) -> None:
        assert self.outbox.last_seq >= max(self.sent, default=0)

    @invariant()
    def how_far_the_stream_came_fits_what_is_kept(self) -> None:
        known = self.outbox.position("ecg")
        assert (known.produced if known else 0) == self.made == self.outbox.last_seq


def position(produced: int) -> Position:
    return Position(identity="recording", end_index=produced * 360, produced=produced, start_time_ns=0)


def settled(seq: int, watermark: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return seq <= watermark or any(first <= seq <= last for first, last in ranges)


TestOutboxThroughCrashes = OutboxThroughCrashes.TestCase
TestOutboxThroughCrashes.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outbox(tmp_path: Path, clock: Clock) -> Iterator[Outbox]:
    with closing(open_outbox(tmp_path, clock=clock)) as opened:
        yield opened


def open_outbox(folder: Path, **changes: Any) -> Outbox:
    return Outbox(folder / "outbox.db", **{"max_rows": PLENTY, "max_bytes": PLENTY * 1000, **changes})


def test_an_alarm_is_on_the_disk_at_once_and_takes_what_waited_with_it(outbox: Outbox) -> None:
    outbox.put(heart_rate(60))
    assert outbox.durable_seq == 0

    outbox.put(alarm())

    assert outbox.durable_seq == 2


def test_routine_observations_are_on_the_disk_within_the_interval(outbox: Outbox, clock: Clock) -> None:
    outbox.put(heart_rate(60))
    outbox.sync_if_due()
    assert outbox.durable_seq == 0

    clock.now_s += SYNC_INTERVAL_S
    outbox.sync_if_due()

    assert outbox.durable_seq == 1


def test_an_alarm_outlives_a_full_outbox(tmp_path: Path) -> None:
    with closing(open_outbox(tmp_path, max_rows=3)) as outbox:
        alarms = [outbox.put(alarm()) for _ in range(2)]
        outbox.put_many([heart_rate(60, at_s=second) for second in range(50)])
        outbox.sync()

        assert set(everything(outbox)) == {*alarms, outbox.last_seq}
        assert given_up(outbox) == set(range(3, outbox.last_seq))


def test_bytes_are_limited_as_rows_are(tmp_path: Path) -> None:
    with closing(open_outbox(tmp_path, max_bytes=1000)) as outbox:
        outbox.put_many([heart_rate(60, at_s=second) for second in range(50)])
        outbox.sync()

        sizes = [
            len(entry.observation) for entry in outbox.pending(alarms=False, after_seq=0, limit=99, max_bytes=9999)
        ]
        assert 0 < sum(sizes) <= 1000
        assert len(sizes) + len(given_up(outbox)) == 50


def test_a_batch_is_bounded_by_rows_and_by_bytes_but_never_empty(outbox: Outbox) -> None:
    outbox.put_many([heart_rate(60, at_s=second) for second in range(9)])
    outbox.sync()

    assert len(outbox.pending(alarms=False, after_seq=0, limit=4, max_bytes=PLENTY)) == 4
    assert [entry.seq for entry in outbox.pending(alarms=False, after_seq=7, limit=4, max_bytes=1)] == [8]


def test_a_failed_write_changes_nothing(tmp_path: Path) -> None:
    with closing(open_outbox(tmp_path)) as outbox:
        outbox.put(heart_rate(60))
        outbox.sync()
        pages = outbox._db.execute("PRAGMA page_count").fetchone()[0]
        outbox._db.execute(f"PRAGMA max_page_count = {pages}")  # a full disk

        with pytest.raises(StorageUnavailable, match="free space"):
            outbox.put_many([heart_rate(60, at_s=second) for second in range(1000)], positions={"ecg": position(7)})

        assert outbox.last_seq == outbox.backlog == len(everything(outbox)) == 1
        assert outbox.position("ecg") is None
        outbox._db.execute("PRAGMA max_page_count = 1000000")
        assert outbox.put(heart_rate(61)) == 2


def test_a_new_outbox_is_a_new_epoch(tmp_path: Path) -> None:
    epochs = set()
    for name in ("one", "two"):
        with closing(open_outbox(tmp_path / name)) as outbox:
            epochs.add(outbox.epoch)

    assert len(epochs) == 2


def test_a_damaged_outbox_is_moved_aside_and_a_new_epoch_begins(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(open_outbox(tmp_path)) as outbox:
        outbox.put(heart_rate(60))
        damaged_epoch = outbox.epoch
    path = tmp_path / "outbox.db"
    damaged = path.read_bytes()[:100] + b"\xff" * 5000
    path.write_bytes(damaged)

    with closing(open_outbox(tmp_path)) as outbox:
        assert outbox.epoch != damaged_epoch
        assert outbox.put(heart_rate(60)) == 1

    assert (tmp_path / "outbox.db.damaged-1").read_bytes() == damaged
    assert "is damaged" in caplog.text


def test_the_outbox_of_a_newer_agent_is_left_alone(tmp_path: Path) -> None:
    open_outbox(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "outbox.db")) as database:
        database.execute("PRAGMA user_version = 99")

    with pytest.raises(StorageUnavailable, match="has version 99; this agent knows 1: update the agent"):
        open_outbox(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["outbox.db"]
