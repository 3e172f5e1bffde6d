"""Streams of one format through the same models, all of them at once."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from device_agents.findings import BankModel, Findings
from device_agents.sample_ring import SampleRing
from device_agents.telling import StreamFacts, Teller
from edge_sdk.alarm_rules import AlarmRule
from edge_sdk.errors import SignalError
from edge_sdk.lanes import hop_of
from edge_sdk.observation import Observation
from edge_sdk.signals import SampleBlock, SignalFormat
from edge_sdk.tensors import FloatArray, IntArray
from edge_sdk.windowing import channels_of

# A beat's window may come a time-out after the beat; a strip reaches 1.5 s further back.
_KEEP_S = 15.0
_AHEAD_S = 1.0
_LONGEST_GAP_S = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What one stream told in one step.

    Attributes:
        observations: In order.
        end_index: Samples of the stream that have been taken in.
    """

    observations: list[Observation]
    end_index: int


@dataclass(slots=True)
class _Piece:
    """Samples that wait: where the first belongs, counted from the lane's begin, and when it was taken."""

    index: int
    time_ns: int
    samples: FloatArray


@dataclass(frozen=True, slots=True)
class _Turn:
    """The samples before it are a stream's last; ``begins`` is the index of those after it, ``None`` for the end."""

    begins: int | None


@dataclass(slots=True)
class _Stream:
    facts: StreamFacts
    lane: int
    next_index: int = 0
    offset: int = 0
    silent: int = 0  # missing samples put in for a silence since the last block
    left_out: int = 0  # samples of silences that the source does not count
    next_ns: int = 0
    waiting: deque[_Piece | _Turn] = field(default_factory=deque)


class Bank:
    """Streams of one format that the same models read.

    What a stream tells depends on its samples and their times alone: not on the other streams, nor on how the samples
    were split into blocks.

    Args:
        format: Of every stream.
        models: Read every stream.
        alarms: Rules that a person configured.

    Attributes:
        findings: What was found, and how often.
        repeated: Samples that came twice and were left out.
        missing: Samples that never came.
    """

    def __init__(
        self,
        format: SignalFormat,  # noqa: A002  # the word
        models: Sequence[BankModel],
        *,
        alarms: Sequence[AlarmRule] = (),
    ) -> None:
        rate = format.sample_rate_hz
        self._rate_hz, self._hop, self._channels = rate, hop_of(rate), channels_of(format)
        self._ahead = max(self._hop, round(_AHEAD_S * rate))
        self._longest_gap = round(_LONGEST_GAP_S * rate)
        longest_s = max((model.reads.windows.duration_s for model in models), default=0.0)
        self._ring = SampleRing(
            hop=self._hop, keep=round(max(_KEEP_S, longest_s) * rate), ahead=self._ahead, channels=self._channels
        )
        self._teller = Teller(sample_rate_hz=rate)
        self.findings = Findings(format, models, alarms=alarms, ring=self._ring, teller=self._teller)
        self._streams: dict[str, _Stream] = {}
        self._by_lane: dict[int, _Stream] = {}
        self._free: list[int] = []
        self._fresh: list[_Stream] = []
        self.repeated = self.missing = 0

    def __len__(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    def open(self, facts: StreamFacts, start_time_ns: int = 0) -> None:
        """Begin a stream, whose first sample is expected at a UTC time."""
        if not self._free:
            self._grow()
        stream = _Stream(facts, self._free.pop(), next_ns=start_time_ns)
        self._streams[facts.name] = self._by_lane[stream.lane] = stream
        self._begin(stream.lane, facts)

    def push(self, name: str, block: SampleBlock) -> None:
        """Take a stream's next block.

        Raises:
            SignalError: It has not the format's channels.
        """
        stream, samples = self._streams[name], block.samples
        if samples.ndim == 1:
            samples = samples[:, np.newaxis]
        if samples.shape[1] != self._channels:
            raise SignalError(
                f"stream '{name}' brings {samples.shape[1]} channels where {self._channels} were announced",
                remedy="correct the source",
            )
        index, time_ns = block.start_index + stream.left_out, block.start_time_ns
        if stream.silent:
            index += self._uncounted(stream, index, time_ns)
        if index != stream.next_index:
            lacking = index - stream.next_index
            if lacking < 0:
                self.repeated += min(-lacking, len(samples))
                samples, index = samples[-lacking:], stream.next_index
                time_ns += round(-lacking * 1e9 / self._rate_hz)
            else:
                self._skip(stream, lacking, time_ns)
        if len(samples):
            self._wait(stream, samples, index, time_ns)

    def silence(self, name: str, seconds: float) -> None:
        """Take it that a stream's next samples are missing: nothing has come for so long.

        Should they come after all, they are left out as repeated.
        """
        stream, count = self._streams[name], round(seconds * self._rate_hz)
        stream.silent += count
        self.missing += count
        self._wait(stream, self._nothing(count), stream.next_index, stream.next_ns)

    def close(self, name: str) -> None:
        """End a stream; the next `step` says what was left."""
        stream = self._streams.pop(name)
        self._queue(stream, _Turn(None))

    def step(self) -> dict[str, Told]:
        """Process everything that waits, and return what the streams told."""
        touched, self._fresh = self._fresh, []
        busy = touched
        ended: list[_Stream] = []
        while busy:
            self._write(busy)
            while len(lanes := self._ring.ready()):
                self._hop_of(lanes)
            busy = [stream for stream in busy if self._turned(stream, ended)]
        observations = self._teller.taken()
        told: dict[str, Told] = {}
        for stream in touched:
            name, found = stream.facts.name, observations.pop(stream.lane, [])
            before = told[name].observations if name in told else []  # one of the same name that just ended
            told[name] = Told(observations=before + found, end_index=stream.next_index)
        for stream in ended:
            del self._by_lane[stream.lane]
            self._free.append(stream.lane)
        return told

    def _skip(self, stream: _Stream, lacking: int, time_ns: int) -> None:
        """Put missing samples in the place of those that never came; after a long gap begin anew."""
        self.missing += lacking
        if lacking > self._longest_gap:
            self._queue(stream, _Turn(stream.next_index + lacking))
            return
        begun_ns = time_ns - round(lacking * 1e9 / self._rate_hz)
        self._wait(stream, self._nothing(lacking), stream.next_index, begun_ns)

    def _nothing(self, count: int) -> FloatArray:
        return np.full((count, self._channels), np.nan, np.float32)

    def _uncounted(self, stream: _Stream, index: int, time_ns: int) -> int:
        """Return by how much a source's count lacks a silence: by their time its samples are new."""
        silent, stream.silent = stream.silent, 0
        late_ns = stream.next_ns - time_ns
        if index >= stream.next_index or late_ns > silent * 0.5e9 / self._rate_hz:
            return 0
        lacking = stream.next_index - index
        stream.left_out += lacking
        return lacking

    def _wait(self, stream: _Stream, samples: FloatArray, index: int, time_ns: int) -> None:
        stream.next_index = index + len(samples)
        stream.next_ns = time_ns + round(len(samples) * 1e9 / self._rate_hz)
        for at in range(0, len(samples), self._ahead):
            part_ns = time_ns + round(at * 1e9 / self._rate_hz) if at else time_ns
            self._queue(stream, _Piece(index + at, part_ns, samples[at : at + self._ahead]))

    def _queue(self, stream: _Stream, item: _Piece | _Turn) -> None:
        if not stream.waiting:
            self._fresh.append(stream)
        stream.waiting.append(item)

    def _write(self, busy: Iterable[_Stream]) -> None:
        """Move a piece of each stream into the ring, pieces of one length together."""
        by_length: defaultdict[int, list[tuple[_Stream, _Piece]]] = defaultdict(list)
        for stream in busy:
            piece = stream.waiting[0]
            if isinstance(piece, _Piece):
                by_length[len(piece.samples)].append((stream, piece))
                stream.waiting.popleft()
        for found in by_length.values():
            lanes = np.array([stream.lane for stream, _ in found])
            self._ring.write(lanes, np.stack([piece.samples for _, piece in found]))
            index = np.array([piece.index - stream.offset for stream, piece in found])
            self._teller.set_times(lanes, index, np.array([piece.time_ns for _, piece in found]))

    def _hop_of(self, lanes: IntArray) -> None:
        self.findings.step(lanes, self._ring.take(lanes))

    def _turned(self, stream: _Stream, ended: list[_Stream]) -> bool:
        """Act on what follows a stream's samples so far; return whether more waits."""
        while stream.waiting and isinstance(turn := stream.waiting[0], _Turn):
            stream.waiting.popleft()
            self._finish(stream.lane)
            if turn.begins is None:
                ended.append(stream)
                return False
            stream.offset = turn.begins
            self._begin(stream.lane, stream.facts)
        return bool(stream.waiting)

    def _finish(self, lane: int) -> None:
        """Complete the last hop with missing samples, and ask for what is left."""
        only = np.array([lane])
        received = int(self._ring.received[lane])
        rest = received % self._hop
        if rest:
            self._ring.write(only, np.full((1, self._hop - rest, self._channels), np.nan, np.float32))
            self._hop_of(only)
        self.findings.finish(lane, end_index=received)

    def _begin(self, lane: int, facts: StreamFacts) -> None:
        only = np.array([lane])
        self._ring.reset(only)
        self._teller.begin(lane, facts)
        self.findings.reset(only)

    def _grow(self) -> None:
        """Double the room."""
        size = len(self._ring.received)
        more = max(1, size)
        self._free += range(size + more - 1, size - 1, -1)
        for part in (self._ring, self._teller, self.findings):
            part.resize(size + more)
