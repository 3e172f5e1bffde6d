from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from device_agents.sources.serial_frames import decode_frame
from device_agents.sources.serial_lines import decode_line
from device_agents.sources.serial_port import TerminalPort
from device_agents.sources.serial_readers import FrameReader, LineReader, Reader
from device_agents.sources.serial_source import SerialSource, steady_utc_ns
from device_agents.sources.serial_stream import SerialStream
from edge_sdk.errors import ConfigError, SignalError, Unavailable
from edge_sdk.signals import SampleBlock, SignalFormat
from tests.checks.sources import CHECKS, SourceUnderTest
from tests.device.records import BASELINE, GAIN, in_mv, read_stored
from tests.fakes.firmware import ScriptedPort, Terminal, frame, frames, lines

RATE_HZ = 360
ECG = SignalFormat(kind="ecg", unit="mV", channels=("MLII",), sample_rate_hz=RATE_HZ)
AXES = SignalFormat(kind="accelerometer", unit="g", channels=("x", "y", "z"), sample_rate_hz=50)
PATIENCE_S = 5.0
SCALE = np.float32(0.005)

Steps = NDArray[np.int16]


@pytest.fixture(scope="module")
def steps(demo_record: Path) -> Steps:
    """Twenty real seconds, as an analog-to-digital converter of 200 steps per mV gives them, with two missing."""
    taken = (read_stored(demo_record, samples=20 * RATE_HZ)[:, :1] - BASELINE).astype(np.int16)
    taken[100:102] = -32768
    return taken


def meant(steps: Steps) -> NDArray[np.float32]:
    return np.where(steps == -32768, np.nan, steps * SCALE).astype(np.float32)


def nanoseconds(samples: int) -> int:
    return round((samples + 1) * 1e9 / RATE_HZ) - round(1e9 / RATE_HZ)


def scripted(script: Iterable[tuple[bytes, int] | None], reader: Reader | None = None) -> SerialSource:
    port = ScriptedPort(script)
    source = SerialSource(
        "a port",
        open_port=port.open,
        format=ECG,
        reader=reader or FrameReader(ECG),
        now_ns=port.time_ns,
        chance=lambda: 0.0,
    )
    port.at_end = source.close
    return source


def on_time(pieces: list[bytes], *, size: int) -> list[tuple[bytes, int]]:
    """Pieces of so many samples, each arriving when its last sample was taken."""
    ends = [round(size * (number + 1) * 1e9 / RATE_HZ) for number in range(len(pieces))]
    return [(piece, end - before) for piece, end, before in zip(pieces, ends, [0, *ends], strict=False)]


def in_frames(demo_record: Path) -> SourceUnderTest:
    taken = (read_stored(demo_record, samples=20 * RATE_HZ)[:, :1] - BASELINE).astype(np.int16)

    def opened(block_s: float) -> SerialSource:
        size = min(255, max(1, round(block_s * RATE_HZ)))
        return scripted(on_time(frames(taken, size=size), size=size))

    return SourceUnderTest(open=opened, expected=meant(taken)[:, 0])


def in_lines(demo_record: Path) -> SourceUnderTest:
    taken = read_stored(demo_record, samples=5 * RATE_HZ)[:, 0]

    def opened(block_s: float) -> SerialSource:
        size = max(1, round(block_s * RATE_HZ))
        first, *rest = lines(taken)
        grouped = [b"".join(rest[at : at + size]) for at in range(0, len(rest), size)]
        script = on_time(grouped, size=size)[: len(taken) // size]
        left = len(taken) % size
        script += [(grouped[-1], round(left * 1e9 / RATE_HZ))] if left else []
        return scripted([(first, 0), *script], LineReader(ECG, scale=1 / GAIN, baseline=BASELINE))

    return SourceUnderTest(open=opened, expected=in_mv(taken))


@pytest.mark.parametrize("make", [in_frames, in_lines])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_source(
    check: Callable[[SourceUnderTest], None], make: Callable[[Path], SourceUnderTest], demo_record: Path
) -> None:
    check(make(demo_record))


class Line:
    """What a stream makes of pieces, in order."""

    def __init__(self, format: SignalFormat = ECG, reader: Reader | None = None) -> None:  # noqa: A002
        self.rate_hz = format.sample_rate_hz
        self.stream = SerialStream(format, reader or FrameReader(format))
        self.blocks: list[SampleBlock] = []

    def push(self, data: bytes, at_s: float = 0.0) -> None:
        self.blocks += self.stream.push(data, 10**18 + round(at_s * 1e9))

    @property
    def samples(self) -> NDArray[np.float32]:
        ends = [0, *(block.end_index for block in self.blocks)]
        assert [block.start_index for block in self.blocks] == ends[:-1]
        return np.concatenate([block.samples for block in self.blocks])


def test_lost_frames_are_missing_samples_of_their_number(steps: Steps) -> None:
    sent = frames(steps, size=36)
    line = Line()

    line.push(b"".join(sent[:5] + sent[8:]))

    expected = meant(steps)
    expected[5 * 36 : 8 * 36] = np.nan
    np.testing.assert_array_equal(line.samples, expected)
    assert line.stream.counts.lost == 3 * 36


def test_repeats_are_left_out(steps: Steps) -> None:
    sent = frames(steps, size=36)
    line = Line()

    line.push(
        b"".join([*sent[:5], *sent[2:5], frame(steps[170:200], first=170), *frames(steps[200:], size=36, first=200)])
    )

    np.testing.assert_array_equal(line.samples, meant(steps))
    assert line.stream.counts.repeated == 3 * 36 + 10


def test_a_counter_that_begins_again_at_zero_goes_on(steps: Steps) -> None:
    line = Line()

    line.push(b"".join(frames(steps, size=36, first=2**32 - 100)))

    np.testing.assert_array_equal(line.samples, meant(steps))
    assert line.stream.counts.restarts == 0


@pytest.mark.parametrize(("session", "first"), [(2, 0), (2, 36), (1, 10**6)])
def test_a_wearable_that_began_anew_lacks_what_it_took_by_the_clock(steps: Steps, session: int, first: int) -> None:
    line = Line()

    line.push(frame(steps[:36], first=0), 0.1)
    line.push(frame(steps[36:72], first=first, session=session), 3.2)

    expected = np.concatenate([meant(steps[:36]), np.full((3 * RATE_HZ, 1), np.nan), meant(steps[36:72])])
    np.testing.assert_array_equal(line.samples, expected)
    assert line.stream.counts.restarts == 1
    assert line.blocks[-1].start_time_ns - line.blocks[0].start_time_ns == 3_100_000_000


def test_a_wearable_that_paused_without_counting_is_found_out_by_the_clock(steps: Steps) -> None:
    line = Line()
    sent = frames(steps, size=36)

    for number, piece in enumerate(sent[:100]):
        line.push(piece, 0.1 * number + (30 if number >= 20 else 0))

    assert line.stream.counts.restarts == 1
    assert line.stream.counts.lost == 30 * RATE_HZ
    late_s = (line.blocks[-1].start_time_ns - line.blocks[0].start_time_ns) / 1e9 - (9.9 + 30)
    assert abs(late_s) < 0.01


def test_a_fast_crystal_is_followed(steps: Steps) -> None:
    line = Line()
    sent = [frame(steps[:36], first=36 * number) for number in range(1200)]

    for number, piece in enumerate(sent):
        line.push(piece, 0.1 * number / (1 + 100e-6))

    late_s = (line.blocks[-1].start_time_ns - line.blocks[0].start_time_ns) / 1e9 - 119.9 / (1 + 100e-6)
    assert abs(late_s) < 0.001


def test_garbage_between_frames_is_passed_over_and_counted(steps: Steps) -> None:
    sent = frames(steps, size=36)
    line = Line()

    line.push(b"boot v1.2\r\n\0" + b"\0".join([sent[0][:-1], b"\xff\x13\x00", sent[1][:-1], b"x" * 300, b""]))
    line.push(b"z" * 5000)
    line.push(b"\0" + sent[2])

    np.testing.assert_array_equal(line.samples, meant(steps[: 3 * 36]))
    assert line.stream.counts.refused == 4


def test_samples_missing_on_the_wearable_are_missing_here(steps: Steps) -> None:
    taken = decode_frame(frame(steps[96:108], first=0)[:-1])

    assert np.flatnonzero(np.isnan(taken.samples[:, 0])).tolist() == [4, 5]


FAULTS = {
    "empty": (b"", "0 bytes are too few"),
    "cut": (b"\x05ab", "not COBS"),
    "another version": (frame(np.ones((2, 1), np.int16), first=0, version=2)[:-1], "version 2, and 1 is read here"),
    "another count": (frame(np.ones((2, 1), np.int16), first=0, count=3)[:-1], "not 3 samples of 1 channels"),
    "no samples": (frame(np.ones((0, 1), np.int16), first=0)[:-1], "not 0 samples"),
    "no scale": (frame(np.ones((2, 1), np.int16), first=0, scale=0.0)[:-1], r"scale is 0\.0"),
    "a scale that is no number": (frame(np.ones((2, 1), np.int16), first=0, scale=np.nan)[:-1], "scale is nan"),
}


@pytest.mark.parametrize(("piece", "words"), FAULTS.values(), ids=FAULTS)
def test_what_is_no_frame_says_why(piece: bytes, words: str) -> None:
    with pytest.raises(SignalError, match=words):
        decode_frame(piece)


def test_frames_of_other_channels_end_the_stream(steps: Steps) -> None:
    line = Line(AXES)

    with pytest.raises(SignalError, match="frames of 1 channels where 3 are configured"):
        line.push(frame(steps[:10], first=0))


def test_channels_come_side_by_side() -> None:
    taken = np.arange(30, dtype=np.int16).reshape(10, 3)
    line = Line(AXES)

    line.push(frame(taken, first=0, scale=1.0))

    np.testing.assert_array_equal(line.samples, taken)


@settings(max_examples=60, deadline=None)
@given(
    flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), max_size=6),
    cuts=st.lists(st.integers(0, 10**6), max_size=6),
)
def test_damaged_bytes_give_the_same_samples_or_missing_ones(flips: list[tuple[int, int]], cuts: list[int]) -> None:
    taken = np.arange(1, 401, dtype=np.int16)[:, np.newaxis] * 7
    first, last = frame(taken[:20], first=0), frame(taken[380:], first=380)
    middle = bytearray(b"".join(frames(taken[20:380], size=20, first=20)))
    for at, change in flips:
        middle[at % len(middle)] ^= change
    sent = first + bytes(middle) + b"\0" + last
    line, at = Line(), 0

    for cut in [*sorted(cut % len(sent) for cut in cuts), len(sent)]:
        line.push(sent[at:cut])
        at = cut

    got, expected = line.samples, meant(taken)
    assert len(got) == len(expected)
    whole = ~np.isnan(got[:, 0])
    np.testing.assert_array_equal(got[whole], expected[whole])
    assert np.count_nonzero(~whole) <= 2 * 20 * len(flips)
    assert line.stream.counts.lost == np.count_nonzero(~whole)


@settings(deadline=None)
@given(pieces=st.lists(st.binary(max_size=60), max_size=8), text=st.booleans())
def test_any_bytes_are_samples_or_passed_over(pieces: list[bytes], text: bool) -> None:  # noqa: FBT001
    line = Line(reader=LineReader(ECG) if text else None)

    for piece in pieces:
        line.push(piece)

    assert all(np.isfinite(block.samples[~np.isnan(block.samples)]).all() for block in line.blocks)


LINES = {
    "numbers": (b"512, -3.5,1e2\r", (512.0, -3.5, 100.0)),
    "tabs and spaces": (b" 1\t2  3", (1.0, 2.0, 3.0)),
    "semicolons": (b"1;2;.5", (1.0, 2.0, 0.5)),
    "labels of the plotter": (b"x:1,ax_y: 2,z:3.", (1.0, 2.0, 3.0)),
}


@pytest.mark.parametrize(("line", "numbers"), LINES.values(), ids=LINES)
def test_lines_are_read_as_sketches_print_them(line: bytes, numbers: tuple[float, ...]) -> None:
    assert decode_line(line, channels=3) == numbers


@pytest.mark.parametrize(
    "line", [b"", b"!", b"1,2", b"1,2,3,4", b"1,,3", b"1,2,inf", b"1,2,1_0", b"1,2,\xb2", b"1 2 x"]
)
def test_lines_that_are_no_numbers_are_refused(line: bytes) -> None:
    with pytest.raises(SignalError, match=r"numbers where 3|no numbers"):
        decode_line(line, channels=3)


def test_a_damaged_line_is_a_missing_sample_and_the_first_is_half_a_line() -> None:
    line = Line(reader=LineReader(ECG))

    line.push(b"12\nready\n512\n\n51q\n!\nnan\n51")
    line.push(b"7\r\n")

    np.testing.assert_array_equal(line.samples[:, 0], [512, np.nan, np.nan, np.nan, 517])
    assert line.stream.counts.refused == 3


def test_text_lacks_what_was_printed_while_the_port_was_away() -> None:
    line = Line(reader=LineReader(ECG))
    line.push(b"\n1\n2\n", 1.0)

    line.stream.interrupt()
    line.push(b"3\n4\n", 2.0)

    assert len(line.samples) == 2 + RATE_HZ
    assert line.samples[[0, 1, -1], 0].tolist() == [1, 2, 4]


def test_a_port_that_vanishes_is_opened_again_and_the_counter_tells_what_was_lost(
    steps: Steps, caplog: pytest.LogCaptureFixture
) -> None:
    sent = frames(steps, size=36)
    pieces = on_time(sent, size=36)
    source = scripted([*pieces[:5], (sent[5][:20], 0), None, None, (sent[5][20:], 10**8), *pieces[6:]])

    with caplog.at_level(logging.WARNING):
        samples = np.concatenate([block.samples for block in source.blocks()])

    expected = meant(steps)
    expected[5 * 36 : 6 * 36] = np.nan
    np.testing.assert_array_equal(samples, expected)
    assert (source.counts.lost, source.counts.refused, source.connected) == (36, 1, False)
    assert [record.message for record in caplog.records] == ["a port: the port is gone"]


def terminal_source(path: Path) -> SerialSource:
    return SerialSource(
        str(path),
        open_port=lambda: TerminalPort(path, speed=115200),
        format=ECG,
        reader=FrameReader(ECG),
        chance=lambda: 0.01,
    )


def test_real_samples_come_over_a_real_terminal(steps: Steps) -> None:
    terminal = Terminal()
    source = terminal_source(terminal.path)
    blocks = source.blocks()
    began_ns = time.time_ns()
    port_is_open = threading.Event()

    def write() -> None:
        assert port_is_open.wait(PATIENCE_S)
        terminal.write(b"".join([b"\0", *frames(steps, size=36)]))

    writer = threading.Thread(target=write)
    writer.start()
    threading.Thread(target=lambda: until_connected(source, port_is_open)).start()
    got: list[NDArray[np.float32]] = []
    while sum(map(len, got)) < len(steps):
        got.append(next(blocks).samples)
    writer.join()
    source.close()

    np.testing.assert_array_equal(np.concatenate(got), meant(steps))
    assert abs(source.start_time_ns - began_ns) < PATIENCE_S * 1e9
    assert list(blocks) == []
    terminal.unplug()


def until_connected(source: SerialSource, then: threading.Event) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not source.connected and time.monotonic() < deadline_s:
        time.sleep(0.002)
    then.set()


def test_a_terminal_that_is_unplugged_is_found_again(steps: Steps, tmp_path: Path) -> None:
    terminals = [Terminal(), Terminal()]
    port = tmp_path / "by-id"
    port.symlink_to(terminals[0].path)
    source = terminal_source(port)
    blocks = source.blocks()
    opened = threading.Event()
    threading.Thread(
        target=lambda: (until_connected(source, opened), terminals[0].write(frame(steps[:36], first=0)))
    ).start()
    first = next(blocks)

    def replug() -> None:
        port.unlink()
        terminals[0].unplug()
        port.symlink_to(terminals[1].path)
        again = threading.Event()
        time.sleep(0.05)
        until_connected(source, again)
        terminals[1].write(frame(steps[72:108], first=72))

    replugging = threading.Thread(target=replug)
    replugging.start()
    gap, back = next(blocks), next(blocks)
    replugging.join()
    source.close()

    assert (first.end_index, gap.end_index, back.end_index) == (36, 72, 108)
    assert np.isnan(gap.samples).all()
    np.testing.assert_array_equal(back.samples, meant(steps[72:108]))
    assert list(blocks) == []
    terminals[1].unplug()


def test_closing_ends_a_wait_for_the_wearable() -> None:
    terminal = Terminal()
    source = terminal_source(terminal.path)
    threading.Timer(0.05, source.close).start()
    began_s = time.monotonic()

    assert list(source.blocks()) == []
    assert time.monotonic() - began_s < 2
    terminal.unplug()


def test_closing_ends_a_wait_for_the_port(tmp_path: Path) -> None:
    source = SerialSource(
        "gone",
        open_port=lambda: TerminalPort(tmp_path / "none", speed=115200),
        format=ECG,
        reader=FrameReader(ECG),
        chance=lambda: 1.0,
    )
    threading.Timer(0.05, source.close).start()
    began_s = time.monotonic()

    assert list(source.blocks()) == []
    assert time.monotonic() - began_s < 2


def test_ports_that_cannot_be_had_say_why(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    with pytest.raises(Unavailable, match="cannot be opened: No such file or directory: plug it in"):
        TerminalPort(tmp_path / "none", speed=115200)
    with pytest.raises(ConfigError, match="is no serial port: Inappropriate ioctl"):
        TerminalPort(file, speed=115200)
    with pytest.raises(ConfigError, match="115201 bits a second is no speed"):
        TerminalPort(file, speed=115201)


def test_a_port_that_is_silent_gives_nothing_in_time() -> None:
    terminal = Terminal()
    port = TerminalPort(terminal.path, speed=921600)

    assert port.read(timeout_s=0.01) == b""
    terminal.write(b"\x00\x11\x13\x0d\x0a\xff")
    assert port.read(timeout_s=PATIENCE_S) == b"\x00\x11\x13\x0d\x0a\xff"

    port.close()
    port.close()
    terminal.unplug()


def test_the_steady_clock_shows_utc() -> None:
    now_ns = steady_utc_ns()

    assert abs(now_ns() - time.time_ns()) < 10**9
    assert now_ns() <= now_ns()
