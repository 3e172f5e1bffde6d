"""Digests of models that are more than one file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from edge_sdk.errors import ConversionError


def digest_of_files(folder: Path, files: Sequence[Path]) -> str:
    """Return the SHA-256 of a model's files, as 64 hexadecimal digits.

    Of one file, its own. Of several, of a line for each, sorted by name: the file's digest, two spaces, and its name
    in the folder, as ``sha256sum`` writes them.
    """
    digests = {file.relative_to(folder).as_posix(): _digest(file) for file in files}
    if len(digests) == 1:
        return next(iter(digests.values()))
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def files_in(folder: Path) -> list[Path]:
    """Return the files of a model that is a folder.

    Raises:
        ConversionError: It has symbolic links, which could lead anywhere.
    """
    found = sorted(folder.rglob("*"))
    for path in found:
        if path.is_symlink():
            raise ConversionError(f"{path} is a symbolic link", remedy="copy the model as plain files")
    return [path for path in found if path.is_file()]


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        digest = hashlib.sha256()
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
