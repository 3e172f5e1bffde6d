"""What is different in a new configuration, and whether it can be taken up without a restart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from device_agents.config import AgentConfig, BrokerConfig, StreamConfig, load_config
from device_agents.source_configs import FeedConfig
from edge_sdk.errors import ConfigError
from edge_sdk.files import read_bytes, sha256_hex

# Everything else is built into what runs: identity, disk, hardware, keys.
_LIVE = frozenset(
    {"broker", "bundle", "models", "subject", "stream", "source", "streams", "feeds", "wearables", "alarms"}
)


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration, and what was in the files that it names.

    Attributes:
        config: What a person configured.
        files: Digests of bundles, password and certificates, by path.
    """

    config: AgentConfig
    files: Mapping[Path, str]


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What to do about a new configuration, in this order.

    Attributes:
        restart: Keys that need a restart; then nothing else may be done.
        ended: Streams to end: gone, changed, or read by a model that is.
        dropped_feeds: Places, among the old feeds, of those to end.
        dropped_models: Names of models that are gone or are another now.
        loaded_models: Names of models to load: new, or another now.
        begun: Streams to begin.
        added_feeds: Feeds to begin.
        alarms: Whether the rules are others; then every stream has ended, and begins again.
        wearables: Whether the Bluetooth wearables are others, or must begin again.
        broker: Whether to connect anew.
    """

    restart: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()
    dropped_feeds: tuple[int, ...] = ()
    dropped_models: tuple[str, ...] = ()
    loaded_models: tuple[str, ...] = ()
    begun: tuple[StreamConfig, ...] = ()
    added_feeds: tuple[FeedConfig, ...] = ()
    alarms: bool = False
    wearables: bool = False
    broker: bool = False

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return self != Changes()


def difference(before: Snapshot, after: Snapshot) -> Changes:
    """Return what is different."""
    old, new = before.config, after.config
    restart = tuple(key for key in AgentConfig.__struct_fields__ if key not in _LIVE and _differs(key, old, new))
    if restart:
        return Changes(restart=restart)
    was, now = _models(before), _models(after)
    changed = {name for name in {*was, *now} if was.get(name) != now.get(name)}
    alarms, broker = old.alarms != new.alarms, _login(before, old.broker) != _login(after, new.broker)
    # Whatever a feed brings is read by all models that can, and it may come through our own broker.
    all_anew = alarms or bool(changed)
    streams = {stream.name: stream for stream in new.configured_streams}
    kept = {
        stream.name
        for stream in old.configured_streams
        if streams.get(stream.name) == stream and not alarms and not _reads(stream, changed)
    }
    logins = [[_login(snapshot, feed) for feed in snapshot.config.feeds] for snapshot in (before, after)]
    feeds = [] if all_anew or broker else _common(*logins)
    return Changes(
        ended=tuple(stream.name for stream in old.configured_streams if stream.name not in kept),
        dropped_feeds=tuple(place for place in range(len(old.feeds)) if place not in {mine for mine, _ in feeds}),
        dropped_models=tuple(sorted(changed & was.keys())),
        loaded_models=tuple(sorted(changed & now.keys())),
        begun=tuple(stream for name, stream in streams.items() if name not in kept),
        added_feeds=tuple(feed for place, feed in enumerate(new.feeds) if place not in {yours for _, yours in feeds}),
        alarms=alarms,
        wearables=old.wearables != new.wearables or bool(all_anew and (old.wearables or new.wearables)),
        broker=broker,
    )


def take_snapshot(path: Path) -> Snapshot:
    """Read a configuration, and what is in the files that it names.

    Raises:
        ConfigError: Anything in it is wrong, or a file is not there.
        ProfileError: It names no known board.
    """
    config = load_config(path)
    return Snapshot(config=config, files={file: _digest(file) for file in _files(config)})


def check_live(changes: Changes) -> None:
    """Return if a new configuration can be taken up without a restart.

    Raises:
        ConfigError: It cannot.
    """
    if changes.restart:
        raise ConfigError(
            f"{', '.join(changes.restart)} cannot change while the agent runs",
            remedy="restart it: systemctl restart edge-agent; or take that change back",
        )


def _differs(key: str, old: AgentConfig, new: AgentConfig) -> bool:
    return bool(getattr(old, key) != getattr(new, key))


def _models(snapshot: Snapshot) -> dict[str, tuple[Path, str]]:
    return {name: (path, snapshot.files.get(path, "")) for name, path in snapshot.config.bundles.items()}


def _login(snapshot: Snapshot, used: BrokerConfig | FeedConfig) -> tuple[object, ...]:
    """Return how something is reached, and what was in the files that say so."""
    return (used, *(snapshot.files.get(file, "") for file in _secrets(used)))


def _reads(stream: StreamConfig, models: set[str]) -> bool:
    """Return whether a stream is read by one of these; naming none, it is read by all that can."""
    return bool(models) if not stream.models else not models.isdisjoint(stream.models)


def _common(old: Sequence[object], new: Sequence[object]) -> list[tuple[int, int]]:
    """Return the places, among the old and among the new, of what is the same."""
    free = list(range(len(new)))
    found = []
    for mine, each in enumerate(old):
        yours = next((place for place in free if new[place] == each), None)
        if yours is not None:
            free.remove(yours)
            found.append((mine, yours))
    return found


def _files(config: AgentConfig) -> Iterator[Path]:
    yield from config.bundles.values()
    for used in (config.broker, *config.feeds):
        yield from _secrets(used)


def _secrets(used: BrokerConfig | FeedConfig) -> list[Path]:
    """Return the files by which something logs in."""
    return [file for name in ("ca_file", "password_file") if (file := getattr(used, name, None))]


def _digest(path: Path) -> str:
    return sha256_hex(read_bytes(path, what="file"))
