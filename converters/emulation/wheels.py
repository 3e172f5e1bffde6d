"""Runtimes from the package index, for another machine's Python."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from edge_sdk.errors import ConfigError, EdgeError, MissingDependency, Unavailable

_PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
# The oldest that a wheel for aarch64 names (PEP 599's manylinux2014).
_OLDEST_GLIBC_MINOR = 17


def platform_options(*, python: str, glibc_minor: int) -> list[str]:
    """Return pip's options for an aarch64 Python, e.g. ``3.11``, on glibc 2.``glibc_minor``."""
    tags = [f"manylinux_2_{minor}_aarch64" for minor in range(glibc_minor, _OLDEST_GLIBC_MINOR - 1, -1)]
    platforms = [word for tag in (*tags, "manylinux2014_aarch64") for word in ("--platform", tag)]
    return [*platforms, "--implementation", "cp", "--python-version", python]


def install(folder: Path, requirements: Sequence[str], options: Sequence[str] = ()) -> None:
    """Install packages into a folder; without ``options``, for this Python.

    Raises:
        MissingDependency: pip is not installed.
        Unavailable: The package index does not answer.
        ConfigError: It has no such package for that Python.
    """
    if importlib.util.find_spec("pip") is None:
        raise MissingDependency("pip is not installed", remedy=f"run: {sys.executable} -m ensurepip")
    words = ["--quiet", "--no-compile", "--no-warn-conflicts", "--only-binary=:all:", "--target", str(folder)]
    done = subprocess.run(
        [*_PIP, "install", *words, *options, *requirements], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise _not_installed(requirements, done.stderr)


def _not_installed(requirements: Sequence[str], said: str) -> EdgeError:
    """Return whose fault it is; pip says at the end that there is no such package, even when no index answered."""
    faults = [line for line in said.splitlines() if line.startswith("ERROR")]
    last = faults[-1][:200] if faults else "pip said nothing"
    if "NewConnectionError" in said or "Retrying (" in said or not faults:
        return Unavailable(
            f"{requirements[0]} could not be fetched ({last})",
            remedy="check the network and pip's index, then try again",
        )
    return ConfigError(
        f"{requirements[0]} cannot be had for the emulated CPU ({last})",
        remedy="install a version of ai-edge-litert here that has an aarch64 wheel",
    )
