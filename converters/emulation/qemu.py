"""qemu's user-mode emulation: one aarch64 program runs here as if on that CPU."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from converters.probing.here import run_child
from converters.probing.jobs import Answer, Job
from edge_sdk.errors import MissingDependency

# Debian 12 and Ubuntu up to 24.04 call it by the first name, later ones by the second.
_NAMES = ("qemu-aarch64-static", "qemu-aarch64")
CPU = "Cortex-A72"
# What a Cortex-A72 tells of itself (Arm's Technical Reference Manual, MIDR_EL1: implementer 0x41, part 0xd08, r0p3).
# Without it LiteRT from 2.2 on reads the host's, finds no Arm CPU there, and crashes.
_CPUINFO = """\
processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3
"""
# A run must not change the cached folder; the set-up does write bytecode, which halves the time of every run.
_WRITE_NO_BYTECODE = "-B"
_ONE_CPU = {"possible": "0\n", "present": "0\n", "kernel_max": "0\n"}


def find_qemu() -> Path:
    """Return the emulator's path.

    Raises:
        MissingDependency: It is not installed.
    """
    for name in _NAMES:
        if found := shutil.which(name):
            return Path(found)
    raise MissingDependency(
        "qemu's aarch64 emulator is not installed", remedy="run: sudo apt-get install qemu-user-static"
    )


def qemu_version(qemu: Path) -> str:
    """Return the emulator's version, e.g. ``7.2.22``."""
    said = subprocess.run([qemu, "--version"], capture_output=True, text=True, check=True).stdout
    return said.split()[2]


def describe_cpu(root: Path) -> None:
    """Write what the kernel of a board with this CPU would say, where the emulated programs look first."""
    cpus = root / "sys" / "devices" / "system" / "cpu"
    for folder in (cpus, root / "proc"):
        folder.mkdir(parents=True, exist_ok=True)
    (root / "proc" / "cpuinfo").write_text(_CPUINFO)
    for name, content in _ONE_CPU.items():
        (cpus / name).write_text(content)


def python_command(qemu: Path, root: Path) -> list[str]:
    """Return the command that starts the emulated Python."""
    return [str(qemu), "-cpu", CPU.lower(), "-L", str(root), str(root / "usr" / "bin" / "python3")]


def environment(wheels: Path | None) -> dict[str, str]:
    """Return the emulated Python's whole environment; nothing of this machine's Python is in it."""
    path = {"PYTHONPATH": str(wheels)} if wheels else {}
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", **path}


def run_python(qemu: Path, root: Path, words: Sequence[str], *, wheels: Path | None = None) -> str:
    """Run the emulated Python and return what it printed.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    command = [*python_command(qemu, root), *words]
    return subprocess.run(command, env=environment(wheels), capture_output=True, text=True, check=True).stdout


@dataclass(frozen=True, kw_only=True)
class EmulatedMachine:
    """An aarch64 CPU that qemu emulates, as a machine that runs jobs.

    Attributes:
        qemu: The emulator.
        root: The aarch64 system.
        wheels: The aarch64 packages.
    """

    qemu: Path
    root: Path
    wheels: Path
    name: str = f"an emulated {CPU}"

    def run(self, job: Job) -> Answer:
        """Run a job there; raises as `Machine.run` does."""
        return run_child(
            [*python_command(self.qemu, self.root), _WRITE_NO_BYTECODE],
            job,
            machine=self.name,
            environment=environment(self.wheels),
        )
