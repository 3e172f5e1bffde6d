"""Hardware profiles: each board as data, read from `hardware_profiles`."""

from __future__ import annotations

import difflib
import re
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from edge_sdk.errors import ProfileError
from edge_sdk.settings import load_toml

Backend = Literal["litert", "edgetpu", "tensorrt"]
DType = Literal["float32", "float16", "int8", "int16"]
Count = Annotated[int, msgspec.Meta(gt=0)]
_MAJOR_MINOR = re.compile(r"\d+\.\d+")


class Cpu(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The processor that runs Python and every operator nothing else takes."""

    model: str
    architecture: Literal["armv7l", "aarch64", "x86_64"]
    cores: Count
    clock_hz: Count


class Accelerator(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What computes beside the CPU."""

    kind: Literal["edgetpu", "cuda"]
    name: str
    count: Count
    memory_bytes: Count
    compute_capability: str = ""


class Runtime(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What runs compiled models there, and the numeric types it takes and is fast with.

    Attributes:
        backend: Which kind of compiled model it runs.
        packages: What to install.
        dtypes: Types it computes with.
        fast_dtypes: Those it is fast with.
        jetpack: For a Jetson, the TensorRT (``MAJOR.MINOR``) that each JetPack (``MAJOR.MINOR``) comes with.
    """

    backend: Backend
    packages: tuple[str, ...]
    dtypes: tuple[DType, ...]
    fast_dtypes: tuple[DType, ...]
    jetpack: dict[str, str] = {}

    def __post_init__(self) -> None:
        for version in (*self.jetpack, *self.jetpack.values()):
            if not _MAJOR_MINOR.fullmatch(version):
                raise ValueError(f"'{version}' is not a version like 10.3")
        if bool(self.jetpack) != (self.backend == "tensorrt"):
            raise ValueError("a board that runs tensorrt, and no other, says in [runtime.jetpack] which one it has")


class System(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Operating system and the Python versions it ships."""

    os: str
    python: tuple[str, ...]


class Power(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Power supply the vendor asks for."""

    supply_w: Annotated[float, msgspec.Meta(gt=0)]


class HardwareProfile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One board. Every number has its source: ``sources`` maps a dotted key to where it was read.

    A number that code reads and that is missing is an error, never a default.
    """

    slug: str
    name: str
    vendor: str
    memory_bytes: Count
    cpu: Cpu
    runtime: Runtime
    system: System
    power: Power
    sources: dict[str, str]
    accelerator: Accelerator | None = None
    notes: tuple[str, ...] = ()


def profile_slugs() -> tuple[str, ...]:
    """Return the names of the boards the SDK knows, sorted."""
    folder = resources.files("hardware_profiles")
    return tuple(sorted(item.name[:-5] for item in folder.iterdir() if item.name.endswith(".toml")))


def load_profile(slug: str) -> HardwareProfile:
    """Return a board's profile.

    Raises:
        ProfileError: No board of that name, or its file is wrong.
    """
    known = profile_slugs()
    if slug not in known:
        near = difflib.get_close_matches(slug, known, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise ProfileError(f"no hardware profile '{slug}'", remedy=f"{hint}known: {', '.join(known)}")
    with resources.as_file(resources.files("hardware_profiles") / f"{slug}.toml") as path:
        return read_profile(path)


def read_profile(path: Path) -> HardwareProfile:
    """Return the profile in a file, which must be named after its slug.

    Raises:
        ProfileError: Malformed, or named otherwise.
    """
    profile = load_toml(path, HardwareProfile, what="hardware profile", error=ProfileError)
    if profile.slug != path.stem:
        raise ProfileError(f"hardware profile {path} calls itself '{profile.slug}'", remedy="rename the file")
    return profile
