"""This machine, as one that runs jobs: a child process, so that a native crash ends only the child."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from converters.probing.jobs import Answer, Job, died, read_answer, write_job


@dataclass(frozen=True, kw_only=True)
class ThisMachine:
    """The machine that this program runs on.

    Attributes:
        wheels: Folder of packages to prefer to the installed ones.
    """

    wheels: Path | None = None
    name: str = "this machine"

    def run(self, job: Job) -> Answer:
        """Run a job in a child process; raises as `Machine.run` does."""
        environment = {**os.environ}
        if self.wheels:
            environment["PYTHONPATH"] = str(self.wheels)
        return run_child([sys.executable], job, machine=self.name, environment=environment)


def run_child(python: Sequence[str], job: Job, *, machine: str, environment: Mapping[str, str]) -> Answer:
    """Run a job by a command that starts a Python; raises as `Machine.run` does."""
    with tempfile.TemporaryDirectory(prefix="edge-probe-") as folder:
        write_job(job, Path(folder))
        done = subprocess.run(
            [*python, str(Path(folder) / "probe.py"), folder],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    answer = read_answer(done.stdout, machine=machine)
    if answer is None:
        raise died(machine, exit_code=done.returncode, said=done.stderr)
    return answer
