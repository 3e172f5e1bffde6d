"""Whole files or no files: atomic writes and digests."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from edge_sdk.errors import ConfigError, StorageUnavailable


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write ``data`` so that a reader, or a power cut, sees the old file or the new one.

    Raises:
        StorageUnavailable: The folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise _cannot_write(path, error) from error
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise _cannot_write(path, error) from error


def read_bytes(path: Path, *, what: str) -> bytes:
    """Read a file that a person named.

    Args:
        path: The file.
        what: What it is to the person, for the message ("bundle", "signing key").

    Raises:
        ConfigError: There is no such file, or it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ConfigError(f"{what} {path} does not exist", remedy="check the path") from error
    except OSError as error:
        raise ConfigError(
            f"{what} {path} cannot be read ({error.strerror})", remedy="check its type and permissions"
        ) from error


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of ``data`` as 64 lowercase hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def _cannot_write(path: Path, error: OSError) -> StorageUnavailable:
    return StorageUnavailable(
        f"{path} cannot be written ({error.strerror})", remedy="check the folder's permissions and free space"
    )


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
