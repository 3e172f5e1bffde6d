"""A board over SSH, as a machine that runs jobs. Nothing is left on it, whatever happens."""

from __future__ import annotations

import io
import shlex
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from converters.probing.jobs import Answer, Job, died, read_answer, write_job
from edge_sdk.errors import ConfigError, EdgeError, MissingDependency, Unavailable

_CONNECT_TIMEOUT_S = 10
# sshd's and ssh's own: ssh(1) says "255 if an error occurred"; the others are POSIX sh's.
_SSH_FAILED, _NOT_FOUND, _NOT_EXECUTABLE = 255, 127, 126
# One connection brings the folder and takes the answer; the trap removes it even when the connection breaks.
_REMOTE = (
    "folder=$(mktemp -d) && trap 'rm -rf \"$folder\"' EXIT && trap 'exit 1' HUP INT TERM PIPE && "
    'tar -xf - -C "$folder" && {python} "$folder/probe.py" "$folder"'
)


@dataclass(frozen=True, kw_only=True)
class RemoteMachine:
    """A machine that ``ssh`` reaches without asking for a password.

    Attributes:
        destination: ``user@host``, or a name of ``~/.ssh/config``.
        python: The Python there that has the runtime.
        options: For ``ssh -o``.
    """

    destination: str
    python: str = "python3"
    options: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What a person calls it."""
        return self.destination

    def run(self, job: Job) -> Answer:
        """Run a job there; raises as `Machine.run` does."""
        if self.destination.startswith("-"):
            raise ConfigError(f"{self.destination!r} is no SSH destination", remedy="write it as user@host")
        if shutil.which("ssh") is None:
            raise MissingDependency("ssh is not installed", remedy="run: sudo apt-get install openssh-client")
        # Ours come first: ssh takes the first value of an option, and a person's own would make it wait for an answer.
        told = ("BatchMode=yes", f"ConnectTimeout={_CONNECT_TIMEOUT_S}", "ServerAliveInterval=15", *self.options)
        script = _REMOTE.format(python=shlex.quote(self.python))
        command = ["ssh", *(word for option in told for word in ("-o", option)), "--", self.destination]
        done = subprocess.run(
            [*command, f"exec sh -c {shlex.quote(script)}"], input=_packed(job), capture_output=True, check=False
        )
        answer = read_answer(done.stdout.decode(errors="replace"), machine=self.name)
        if answer is None:
            raise self._failed(done.returncode, done.stderr.decode(errors="replace"))
        return answer

    def _failed(self, exit_code: int, said: str) -> EdgeError:
        """Return whose fault a run without an answer is."""
        last = " ".join(said.split()) or "it says nothing"
        if exit_code == _SSH_FAILED:
            return Unavailable(
                f"{self.name} cannot be reached over SSH ({last[-200:]})",
                remedy=f"make 'ssh -o BatchMode=yes {self.name} true' work: name, network, host key, your key there",
            )
        if exit_code in (_NOT_FOUND, _NOT_EXECUTABLE):
            return MissingDependency(
                f"{self.name} lacks a program that is needed ({last[-200:]})",
                remedy="name the Python there that has the runtime with --ssh-python",
            )
        if "No module named 'numpy'" in said:
            return MissingDependency(
                f"{self.python} on {self.name} has no numpy",
                remedy="there, run: pip install ai-edge-litert; or name another Python with --ssh-python",
            )
        return died(self.name, exit_code=exit_code, said=said)


def _packed(job: Job) -> bytes:
    """Return a job's folder as a tar file."""
    with tempfile.TemporaryDirectory(prefix="edge-probe-") as folder:
        write_job(job, Path(folder))
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for path in sorted(Path(folder).iterdir()):
                archive.add(path, arcname=path.name)
    return buffer.getvalue()
