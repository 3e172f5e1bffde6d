"""Python for aarch64, unpacked from this distribution's packages. Needs no root, changes nothing outside its folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from edge_sdk.errors import ConfigError, EdgeError, MissingDependency, Unavailable

PACKAGES = ("python3", "libstdc++6")
_NO_SOURCES = "give a file of apt sources that have arm64, with --apt-sources; docs/verifying.md shows one for Ubuntu"
# What apt says when it could not reach a server, in the C locale.
_UNREACHED = ("Temporary failure resolving", "Could not connect", "Could not resolve", "Connection timed out")
_SETTINGS = """\
Dir::State "{state}";
Dir::State::status "{state}/status";
Dir::Cache "{cache}";
APT::Architecture "arm64";
APT::Architectures {{ "arm64"; }};
APT::Sandbox::User "";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::Retries "2";
"""
_OTHER_SOURCES = 'Dir::Etc::sourcelist "/dev/null";\nDir::Etc::sourceparts "{folder}";\n'


def unpack_python(root: Path, *, workspace: Path, sources: Path | None) -> None:
    """Download aarch64 Python and what it needs, check apt's signatures, and unpack it.

    Args:
        root: Folder that becomes the root of the aarch64 system.
        workspace: Empty folder for apt's state.
        sources: apt sources to use instead of this machine's (``.list`` or ``.sources``).

    Raises:
        MissingDependency: This machine has no apt.
        Unavailable: The network, or the mirror, does not answer.
        ConfigError: The sources have no arm64 packages.
    """
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise MissingDependency(
                f"this machine has no {program}",
                remedy="set the emulator up on Debian or Ubuntu, or in a container of one",
            )
    state, cache = workspace / "state", workspace / "cache"
    for folder in (state / "lists" / "partial", cache / "archives" / "partial"):
        folder.mkdir(parents=True)
    (state / "status").touch()
    settings = _SETTINGS.format(state=state, cache=cache) + _use(sources, workspace)
    (workspace / "apt.conf").write_text(settings)
    updated = _apt("update", workspace=workspace)
    fetched = _apt("install", "--download-only", "--yes", *PACKAGES, workspace=workspace)
    if fetched.returncode:
        raise _not_fetched(updated.stdout + fetched.stdout)
    for package in sorted((cache / "archives").glob("*.deb")):
        subprocess.run(["dpkg-deb", "--extract", package, root], check=True, capture_output=True)
    _merge(root)


def _use(sources: Path | None, workspace: Path) -> str:
    if sources is None:
        return ""
    if not sources.is_file() or sources.suffix not in {".list", ".sources"}:
        raise ConfigError(f"{sources} is no file of apt sources", remedy="name a file that ends in .list or .sources")
    folder = workspace / "sources"
    folder.mkdir()
    shutil.copy(sources, folder)
    return _OTHER_SOURCES.format(folder=folder)


def _apt(*words: str, workspace: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["apt-get", "--quiet", *words],
        env={**os.environ, "APT_CONFIG": str(workspace / "apt.conf"), "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def _not_fetched(said: str) -> EdgeError:
    """Return whose fault it is that apt did not bring the packages."""
    faults = [line for line in said.splitlines() if line.startswith(("E:", "W:", "Err:"))]
    unreached = [line for line in said.splitlines() if any(words in line for words in _UNREACHED)]
    if unreached:
        return Unavailable(
            f"the packages for aarch64 could not be fetched ({unreached[-1].strip()[:200]})",
            remedy="check the network, and that 'apt-get update' works, then try again",
        )
    last = f" ({faults[-1].strip()[:200]})" if faults else ""
    return ConfigError(f"apt's sources give no Python for arm64{last}", remedy=_NO_SOURCES)


def _merge(root: Path) -> None:
    """Link ``/lib`` to ``/usr/lib`` where the packages leave that to the distribution's base files."""
    if not (root / "lib").exists():
        (root / "lib").symlink_to("usr/lib")
