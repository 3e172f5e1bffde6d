"""A folder that is made once and kept: it appears whole, by one process at a time; a damaged one is made anew."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_sdk.errors import StorageUnavailable

_INVENTORY = "inventory.json"


def cache_folder() -> Path:
    """Return this person's folder for what can be made again."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG Base Directory Specification: a relative path must be ignored.
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "wearable-edge-sdk"


def kept(folder: Path, make: Callable[[Path], None]) -> bool:
    """Have a folder made unless it is there and whole.

    Args:
        folder: Where it is, or will be.
        make: Fills the empty folder that it is given, which is renamed when it is whole.

    Returns:
        Whether it had to be made.

    Raises:
        StorageUnavailable: The cache cannot be written.
    """
    if is_whole(folder):
        return False
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            if is_whole(folder):  # another process made it while this one waited
                return False
            _make(folder, make)
    except OSError as error:
        raise StorageUnavailable(
            f"{folder} cannot be written ({error.strerror})",
            remedy="check permissions and free space, or set XDG_CACHE_HOME to another folder",
        ) from error
    return True


def is_whole(folder: Path) -> bool:
    """Return whether every file that was made is there, in its size."""
    try:
        expected = json.loads((folder / _INVENTORY).read_text())
    except (OSError, ValueError):
        return False
    return bool(expected == _sizes(folder))


def _make(folder: Path, make: Callable[[Path], None]) -> None:
    partial, old = folder.with_name(f"{folder.name}.partial"), folder.with_name(f"{folder.name}.damaged")
    for leftover in (partial, old):
        shutil.rmtree(leftover, ignore_errors=True)
    partial.mkdir()
    try:
        make(partial)
        (partial / _INVENTORY).write_text(json.dumps(_sizes(partial)))
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if folder.exists():
        folder.rename(old)
    partial.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _sizes(folder: Path) -> dict[str, int]:
    """Return the size of every file but the inventory, by path; links are not followed."""
    found = {str(path.relative_to(folder)): path.lstat().st_size for path in _files(folder) if path.name != _INVENTORY}
    return dict(sorted(found.items()))


def _files(folder: Path) -> Iterator[Path]:
    for top, _, names in os.walk(folder):
        yield from (Path(top) / name for name in names)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process makes this folder; the lock goes with the process, however it ends."""
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
