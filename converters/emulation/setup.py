"""Setting the emulator up: once for each set of versions, then it is there at once."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from converters.emulation import debian
from converters.emulation.cache import cache_folder, kept
from converters.emulation.qemu import CPU, EmulatedMachine, describe_cpu, find_qemu, qemu_version, run_python
from converters.emulation.wheels import install, platform_options
from converters.probing.here import ThisMachine
from edge_sdk.errors import MissingDependency, Unavailable
from edge_sdk.files import read_bytes, sha256_hex

Progress = Callable[[str], None]
_FORM = 1  # raise it when what is made changes
_LITERT, _TFLITE = "litert", "tflite-runtime"
# The last release; wheels for Python up to 3.11, made for numpy 1.
_TFLITE_REQUIREMENTS = ("tflite-runtime==2.14.0", "numpy<2")
_NEWEST_FOR_TFLITE = (3, 11)
# Imported once at the end, which proves that they run, and leaves bytecode.
_MODULES = {_LITERT: "ai_edge_litert.interpreter", _TFLITE: "tflite_runtime.interpreter"}
_ASK = "import sys, platform; print(*sys.version_info[:2], platform.libc_ver()[1])"


@dataclass(frozen=True, kw_only=True)
class Emulator:
    """An emulated machine that is ready.

    Attributes:
        machines: The emulated machine with each runtime, by the runtime's name.
        here: This machine with the same runtimes, for comparison, by name; one without a wheel here is left out.
        python: The emulated Python's version.
        words: What emulates, for a person.
        was_made: Whether it had to be made just now.
    """

    machines: dict[str, EmulatedMachine]
    here: dict[str, ThisMachine]
    python: str
    words: str
    was_made: bool


def ready_emulator(*, sources: Path | None = None, progress: Progress = lambda _: None) -> Emulator:
    """Return the emulator, set up if it is not.

    Args:
        sources: apt sources with arm64 packages; this machine's own if left out.
        progress: Told what is being done.

    Raises:
        MissingDependency: qemu, apt, pip or LiteRT is not installed.
        Unavailable: The network does not answer, or the emulated Python does not run.
        ConfigError: What is needed is not in the sources or in the index.
        StorageUnavailable: The cache cannot be written.
    """
    qemu = find_qemu()
    litert = _installed_litert()
    content = read_bytes(sources, what="apt sources") if sources else b""
    key = sha256_hex(repr((_FORM, litert, _TFLITE_REQUIREMENTS, sys.version_info[:2], content)).encode())[:12]
    folder = cache_folder() / f"emulator-{key}"
    was_made = kept(folder, lambda place: _make(place, qemu, litert, sources, progress))
    return _described(folder, qemu, was_made=was_made)


def _installed_litert() -> str:
    try:
        return version("ai-edge-litert")
    except PackageNotFoundError as error:
        raise MissingDependency(
            "LiteRT is not installed", remedy="run: pip install 'wearable-edge-sdk[convert]'"
        ) from error


def _make(folder: Path, qemu: Path, litert: str, sources: Path | None, progress: Progress) -> None:
    root, workspace = folder / "root", folder / "workspace"
    progress("aarch64 Python")
    workspace.mkdir()
    debian.unpack_python(root, workspace=workspace, sources=sources)
    shutil.rmtree(workspace)
    describe_cpu(root)
    try:
        major, minor, glibc = run_python(qemu, root, ["-c", _ASK]).split()
        options = platform_options(python=f"{major}.{minor}", glibc_minor=int(glibc.split(".")[1]))
        progress(f"LiteRT {litert} for aarch64")
        install(folder / _LITERT, [f"ai-edge-litert=={litert}"], options)
        _try(folder, qemu, _LITERT)
        if (int(major), int(minor)) <= _NEWEST_FOR_TFLITE:
            progress("tflite-runtime for aarch64")
            install(folder / _TFLITE, _TFLITE_REQUIREMENTS, options)
            _try(folder, qemu, _TFLITE)
            if sys.version_info[:2] <= _NEWEST_FOR_TFLITE:
                install(folder / "here" / _TFLITE, _TFLITE_REQUIREMENTS)
    except subprocess.CalledProcessError as error:
        said = (error.stderr or "").strip().splitlines()[-1:]
        raise Unavailable(
            f"the emulated Python does not run ({' '.join(said) or error})",
            remedy="install a newer qemu-user-static, or give other sources with --apt-sources",
        ) from error
    (folder / "emulator.json").write_text(json.dumps({"python": f"{major}.{minor}"}))


def _try(folder: Path, qemu: Path, runtime: str) -> None:
    run_python(qemu, folder / "root", ["-c", f"import {_MODULES[runtime]}"], wheels=folder / runtime)


def _described(folder: Path, qemu: Path, *, was_made: bool) -> Emulator:
    machines = {
        name: EmulatedMachine(qemu=qemu, root=folder / "root", wheels=folder / name)
        for name in (_LITERT, _TFLITE)
        if (folder / name).is_dir()
    }
    here = {_LITERT: ThisMachine()}
    if (folder / "here" / _TFLITE).is_dir():
        here[_TFLITE] = ThisMachine(wheels=folder / "here" / _TFLITE)
    python = json.loads((folder / "emulator.json").read_text())["python"]
    words = f"{CPU} emulated by qemu {qemu_version(qemu)}"
    return Emulator(machines=machines, here=here, python=python, words=words, was_made=was_made)
