"""The bundle, ``.edge``: one signed file with a model and all that is known about it.

A bundle is data. Nothing in it is executed or unpickled. Before the signature is verified only the zip directory, the
manifest's bytes and the signature's are read, each within a limit; the manifest is parsed after its signature, and a
member is handed out after its digest. The same inputs give the same bytes.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edge_sdk.errors import ManifestError, UntrustedBundle
from edge_sdk.files import read_bytes, sha256_hex, write_atomic
from edge_sdk.manifest import FileEntry, Manifest, decode_manifest, encode_manifest
from edge_sdk.selftest import SelfTest, decode_self_test

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

MANIFEST, SIGNATURE = "manifest.json", "signature"
# A model for these boards is a few MB at most; Coral's largest are about 70 MB.
MAX_BUNDLE_BYTES = 256 * 1024 * 1024
MAX_MANIFEST_BYTES = 4 * 1024 * 1024
MAX_MEMBERS = 64
_MAX_DIRECTORY_BYTES = 64 * 1024  # 1 KiB for each member; `zipfile` reads the directory whole
_SIGNATURE_BYTES = 64
_TIMESTAMP = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can hold
# Names that mean the same on every file system, and stay inside the folder they are written to.
_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# Takes a manifest's exact bytes and their signature; raises `UntrustedBundle` unless a trusted key made it of them.
SignatureCheck = Callable[[bytes, bytes], None]
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,  # cut off within a member
    OverflowError,  # an offset beyond any file
    RuntimeError,  # encrypted, or a feature of zip that Python does not know
    ValueError,  # an offset before the file, a name that is no text
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """A bundle whose signature and digests have been verified.

    Attributes:
        manifest: What it says about itself.
        members: Every listed file's bytes, by path.
        sha256: Digest of the whole file.
    """

    manifest: Manifest
    members: Mapping[str, bytes]
    sha256: str

    @property
    def self_test(self) -> SelfTest:
        """The signed self-test: real windows and the answers expected for them."""
        return decode_self_test(self.members[self.manifest.self_test])


def file_entries(members: Mapping[str, bytes]) -> tuple[FileEntry, ...]:
    """Return the manifest's list of files, sorted by path."""
    return tuple(
        FileEntry(path=path, sha256=sha256_hex(data), size_bytes=len(data)) for path, data in sorted(members.items())
    )


def write_bundle(path: Path, manifest: Manifest, members: Mapping[str, bytes], *, key: Ed25519PrivateKey) -> None:
    """Sign and write a bundle; it appears whole or not at all."""
    write_atomic(path, pack(manifest, members, key=key))


def pack(manifest: Manifest, members: Mapping[str, bytes], *, key: Ed25519PrivateKey) -> bytes:
    """Return a signed bundle's bytes.

    Raises:
        ManifestError: No program could open it: the manifest contradicts itself or the members.
    """
    signed = encode_manifest(manifest)
    decode_manifest(signed)
    if set(manifest.files) != set(file_entries(members)):
        raise ManifestError("manifest lists other files than the bundle holds", remedy="list them with file_entries()")
    ordered = {MANIFEST: signed, SIGNATURE: key.sign(signed), **dict(sorted(members.items()))}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in ordered.items():
            member = zipfile.ZipInfo(name, date_time=_TIMESTAMP)
            member.create_system = 3
            member.external_attr = 0o644 << 16
            archive.writestr(member, data)  # stored: deflate's bytes differ between zlib builds
    return buffer.getvalue()


def open_bundle(path: Path, *, trusted: Sequence[Ed25519PublicKey]) -> Bundle:
    """Read a bundle, refusing everything that is not exactly what a trusted key signed.

    Raises:
        ConfigError: No such file.
        UntrustedBundle: Not a bundle, truncated, altered, unsigned, or signed by a stranger.
        ManifestError: Genuine, but of a schema this program does not know.
    """
    return open_checked_bundle(path, check=_check_here(trusted))


def open_checked_bundle(path: Path, *, check: SignatureCheck) -> Bundle:
    """Read a bundle whose signature someone else checks. Raises like `open_bundle`, and what ``check`` raises."""
    if path.is_file():
        _check_size(path.stat().st_size)
    return _unpack(read_bytes(path, what="bundle"), check=check)


def unpack(data: bytes, *, trusted: Sequence[Ed25519PublicKey]) -> Bundle:
    """Verify a bundle's bytes, then parse them. Raises like `open_bundle`."""
    return _unpack(data, check=_check_here(trusted))


def _check_here(trusted: Sequence[Ed25519PublicKey]) -> SignatureCheck:
    from edge_sdk.signing import check_signature  # noqa: PLC0415  # 10 MB in memory, which a device can do without

    return partial(check_signature, trusted=trusted)


def _unpack(data: bytes, *, check: SignatureCheck) -> Bundle:
    _check_size(len(data))
    _check_directory_size(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _verified(archive, sha256=sha256_hex(data), check=check)
    except _UNREADABLE as error:
        raise _refused(f"is not a readable bundle ({error})") from error


def _verified(archive: zipfile.ZipFile, *, sha256: str, check: SignatureCheck) -> Bundle:
    infos = _listed(archive)
    for required in (MANIFEST, SIGNATURE):
        if required not in infos:
            raise _refused(f"has no {required}")
    signed = _read(archive, infos[MANIFEST], limit=MAX_MANIFEST_BYTES)
    signature = _read(archive, infos[SIGNATURE], limit=_SIGNATURE_BYTES)
    check(signed, signature)
    manifest = decode_manifest(signed)
    expected = {entry.path: entry for entry in manifest.files}
    if set(infos) != {MANIFEST, SIGNATURE, *expected}:
        raise _refused("holds other files than its manifest lists")
    _check_size(sum(entry.size_bytes for entry in manifest.files))
    members = {name: _member(archive, infos[name], entry) for name, entry in expected.items()}
    return Bundle(manifest=manifest, members=members, sha256=sha256)


def _check_size(size_bytes: int) -> None:
    if size_bytes > MAX_BUNDLE_BYTES:
        raise _refused(f"is {size_bytes} bytes; the limit is {MAX_BUNDLE_BYTES}")


def _check_directory_size(data: bytes) -> None:
    # A zip ends with a record of 22 bytes: its mark, the counts, then the directory's size at offset 12. Ours have no
    # comment after it and no 64-bit record (20 bytes, with a mark of its own) before it, which could name another size.
    end = data[-22:]
    plain = len(end) == 22 and end.startswith(b"PK\x05\x06") and not data[-42:].startswith(b"PK\x06\x07")  # noqa: PLR2004
    if not plain or int.from_bytes(end[12:16], "little") > _MAX_DIRECTORY_BYTES:
        raise _refused("is not a readable bundle (it has no plain directory at its end)")


def _listed(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    infos = archive.infolist()
    if len(infos) > MAX_MEMBERS:
        raise _refused(f"has {len(infos)} members; the limit is {MAX_MEMBERS}")
    named = {info.filename: info for info in infos}
    if len(named) != len(infos):
        raise _refused("names a member twice")
    for name, info in named.items():
        if not _SAFE_NAME.fullmatch(name):
            raise _refused(f"has a member with the unsafe name {name!r}")
        if info.compress_type not in _COMPRESSIONS:
            raise _refused(f"compresses {name} in an unknown way")
    return named


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, entry: FileEntry) -> bytes:
    data = _read(archive, info, limit=entry.size_bytes)
    if len(data) != entry.size_bytes or sha256_hex(data) != entry.sha256:
        raise _refused(f"has an altered {entry.path}")
    return data


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, *, limit: int) -> bytes:
    if info.file_size > limit:
        raise _refused(f"declares {info.file_size} bytes for {info.filename}; the limit is {limit}")
    with archive.open(info) as stream:
        return stream.read(limit + 1)  # one more than allowed, so that its end is reached and its checksum compared


def _refused(problem: str) -> UntrustedBundle:
    return UntrustedBundle(f"bundle {problem}", remedy="get it again from its maker")
