"""How the agent of a state folder is: from itself where it runs, from what it stored where it does not."""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import msgspec

from device_agents.health_socket import ask
from device_agents.metrics import Metrics
from edge_sdk.errors import StorageUnavailable

_MIB = 1024 * 1024


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent left on the disk.

    Attributes:
        outbox_bytes: Size of the outbox, with its log.
        epoch: Which outbox it is; empty where there is none.
        observations: That wait for the hospital.
        alarms: Of them.
        tombstones: That wait, each for observations that had to be given up.
        last_seq: The number given last.
        damaged: Outboxes that were moved aside.
    """

    outbox_bytes: int = 0
    epoch: str = ""
    observations: int = 0
    alarms: int = 0
    tombstones: int = 0
    last_seq: int = 0
    damaged: int = 0


class AgentStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How an agent is.

    Attributes:
        running: Whether a process holds its state folder.
        metrics: What it says; ``None`` where it does not run, or does not say yet.
        stored: What is on the disk.
    """

    running: bool
    metrics: Metrics | None
    stored: Stored


def look(folder: Path) -> AgentStatus:
    """Return how the agent of a state folder is.

    Raises:
        StorageUnavailable: The folder cannot be read, or the agent does not answer.
    """
    if not folder.is_dir():
        return AgentStatus(running=False, metrics=None, stored=Stored())
    said = ask(folder)
    try:
        metrics = msgspec.json.decode(said, type=Metrics) if said else None
    except msgspec.MsgspecError as error:
        raise StorageUnavailable(
            f"the agent of {folder} speaks another language ({error})", remedy="run 'edge-agent' of its version"
        ) from error
    return AgentStatus(running=is_held(folder), metrics=metrics, stored=stored(folder))


def is_held(folder: Path) -> bool:
    """Return whether an agent holds a state folder."""
    try:
        with (folder / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _unreadable(folder, error) from error
    return False


def stored(folder: Path) -> Stored:
    """Return what is on the disk.

    Raises:
        StorageUnavailable: The outbox cannot be read.
    """
    path = folder / "outbox.db"
    damaged = len(list(folder.glob("outbox.db.damaged-*[0-9]")))
    if not path.exists():
        return Stored(damaged=damaged)
    try:
        # Without a log nobody has it open: then SQLite must not begin one, which would stay.
        how = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "immutable=1"
        with closing(sqlite3.connect(f"file:{quote(str(path))}?{how}", uri=True)) as database:
            one = [database.execute(query).fetchone() for query in _QUERIES]
        files = [path.with_name(path.name + suffix) for suffix in ("", "-wal")]
        size_bytes = sum(file.stat().st_size for file in files if file.exists())
    except (sqlite3.Error, OSError) as error:
        raise _unreadable(path, error) from error
    epoch, observations, alarms, tombstones, last_seq = (row[0] if row else 0 for row in one)
    return Stored(
        outbox_bytes=size_bytes,
        epoch=str(epoch),
        observations=observations,
        alarms=alarms,
        tombstones=tombstones,
        last_seq=last_seq,
        damaged=damaged,
    )


_QUERIES = (
    "SELECT epoch FROM identity",
    "SELECT count(*) FROM observation",
    "SELECT count(*) FROM observation WHERE alarm = 1",
    "SELECT count(*) FROM tombstone",
    "SELECT seq FROM sqlite_sequence WHERE name = 'observation'",
)


def in_words(status: AgentStatus) -> Iterator[tuple[str, str]]:
    """Return what there is to say, as names and values."""
    yield "agent", "running" if status.running else "not running"
    if status.metrics:
        yield from _living(status.metrics)
    kept = status.stored
    yield "outbox", f"{kept.observations} observations wait, {kept.alarms} of them alarms; {_mib(kept.outbox_bytes)}"
    if kept.tombstones:
        yield "given up", f"{kept.tombstones} ranges of observations, which the hospital is to be told of"
    if kept.damaged:
        yield "damaged", f"{kept.damaged} earlier outboxes, moved aside in the state folder"


def _living(metrics: Metrics) -> Iterator[tuple[str, str]]:
    counted, health, wait = metrics.counted, metrics.health, metrics.wait
    yield "since", f"{_duration(metrics.uptime_s)}, version {metrics.agent_version} on {metrics.hardware}"
    for ref in counted.models:
        yield "model", f"{ref.id} {ref.version} on {ref.runtime} ({ref.bundle_sha256[:12]})"
    yield "broker", "connected" if counted.connected else "not connected"
    yield "streams", f"{counted.streams} open, {counted.refused_streams} left out so far"
    yield "windows", f"{metrics.windows_per_s:g} a second, {counted.windows} so far"
    for reason, count in sorted(counted.rejected.items(), key=lambda item: -item[1]):
        yield "", f"{count} without an answer: {reason}"
    yield "inference", f"{metrics.inference.p50_s * 1e6:.0f} us, {metrics.inference.p99_s * 1e6:.0f} us in 1 of 100"
    yield "to the outbox", f"{wait.p50_s * 1e3:.0f} ms, {wait.p99_s * 1e3:.0f} ms in 1 of 100"
    yield "samples", f"{counted.missing_samples} never came; {counted.dropped_blocks} blocks given up"
    yield "memory", _mib(health.resident_bytes)
    if health.temperature_c is not None:
        yield "temperature", f"{health.temperature_c:.0f} °C"
    if health.clock_synchronized is not None:
        yield "clock", "synchronized" if health.clock_synchronized else "not synchronized"


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / _MIB:.1f} MiB"


def _duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    days, hours = divmod(hours, 24)
    return f"{days} d {hours:02}:{rest // 60:02}:{rest % 60:02}"


def _unreadable(path: Path, error: Exception) -> StorageUnavailable:
    return StorageUnavailable(
        f"{path} cannot be read ({error})", remedy="ask as the user that the agent runs as, or as root"
    )
