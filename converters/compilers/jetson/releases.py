"""What the TensorRT of a board takes."""

from __future__ import annotations

from functools import cache
from importlib import resources

import msgspec

from edge_sdk.errors import ConversionError, ProfileError
from edge_sdk.profiles import HardwareProfile
from edge_sdk.settings import load_toml


class Release(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One release's ONNX parser.

    Attributes:
        version: Its first version, ``MAJOR.MINOR``.
        max_opset: Newest opset it reads.
        source: Where both are written.
        refused: Operators it does not read.
    """

    version: str
    max_opset: int
    source: str
    refused: tuple[str, ...]


class _Releases(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    releases: tuple[Release, ...]


def oldest_tensorrt(profile: HardwareProfile) -> str:
    """Return the oldest TensorRT, ``MAJOR.MINOR``, that the board's systems come with: what it takes they all take.

    Raises:
        ProfileError: The profile does not say.
    """
    if not profile.runtime.jetpack:
        raise ProfileError(
            f"hardware profile {profile.slug} does not say which TensorRT each JetPack has",
            remedy='add a table [runtime.jetpack], with lines like "6.1" = "10.3"',
        )
    return min(profile.runtime.jetpack.values(), key=_numbers)


def release_of(tensorrt: str) -> Release:
    """Return the limits of a TensorRT version, ``MAJOR.MINOR``.

    Raises:
        ConversionError: It is older than any we know.
    """
    known = [release for release in _known() if _numbers(release.version) <= _numbers(tensorrt)]
    if not known:
        raise ConversionError(
            f"TensorRT {tensorrt} is too old: it is not known what it takes", remedy="install a newer JetPack"
        )
    return max(known, key=lambda release: _numbers(release.version))


@cache
def _known() -> tuple[Release, ...]:
    with resources.as_file(resources.files("converters.compilers.jetson") / "tensorrt_limits.toml") as path:
        return load_toml(path, _Releases, what="table of TensorRT releases", error=ConversionError).releases


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
