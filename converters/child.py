"""Running a conversion in a child process: native converters can crash, and only a process ends at a crash."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from converters.jobs import LOAD, READ, Conversion, Job, Progress
from edge_sdk.errors import ConversionError, EdgeError, MissingDependency

_REMEDIES = {
    READ: "look at the function that gives the windows",
    LOAD: "check the model's file, or bring the model in another format",
}
Line = Callable[[Job, Path, Progress], Conversion]


class Crashed(ConversionError):
    """Native code took the child process down.

    Attributes:
        step: What it was doing.
    """

    def __init__(self, step: str, how: str, last: str) -> None:
        self.step = step
        super().__init__(
            f"the converter crashed in step '{step}' ({how}){last}",
            remedy=_REMEDIES.get(step, "try a recipe that keeps floats, or simplify the model"),
        )


def run_in_child(line: Line, job: Job, *, progress: Progress) -> Conversion:
    """Run a job in a child process and return its result.

    Raises:
        EdgeError: Whatever was wrong, as the child raised it.
        Crashed: The child died.
    """
    context = multiprocessing.get_context("spawn")
    parent_end, child_end = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory(prefix="edge-convert-") as folder:
        log = Path(folder) / "native.log"
        child = context.Process(target=_child, args=(line, job, Path(folder), log, child_end))
        child.start()
        child_end.close()
        try:
            outcome = _listen(parent_end, progress)
        except BaseException:  # an interrupt ends the work too
            child.terminate()
            raise
        finally:
            child.join()
        if isinstance(outcome, str):
            raise _crashed(outcome, child.exitcode or 0, log)
    if isinstance(outcome, EdgeError):
        raise outcome
    return outcome


def _listen(pipe: Connection, progress: Progress) -> Conversion | EdgeError | str:
    """Return what the child sent last: its result, its error, or the step it died in."""
    step = "start"
    while True:
        try:
            kind, content = pipe.recv()
        except EOFError:
            return step
        if kind == "step":
            step, done = content
            progress(step, done)
        elif kind == "error":
            family, problem, remedy = content
            error: EdgeError = family(problem, remedy=remedy)
            return error
        else:
            result: Conversion = content
            return result


def _crashed(step: str, exit_code: int, log: Path) -> Crashed:
    how = signal.Signals(-exit_code).name if exit_code < 0 else f"exit code {exit_code}"
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()] if log.exists() else []
    return Crashed(step, how, f"; it last said: {lines[-1].strip()[:200]}" if lines else "")


def _child(line: Line, job: Job, folder: Path, log: Path, pipe: Connection) -> None:
    _silence(log)
    try:
        pipe.send(("result", line(job, folder, lambda step, done: pipe.send(("step", (step, done))))))
    except EdgeError as error:
        pipe.send(("error", (type(error), error.problem, error.remedy)))
    except ImportError as error:
        remedy = "run: pip install 'wearable-edge-sdk[convert]'"
        pipe.send(("error", (MissingDependency, f"conversion needs {error.name}, which is not installed", remedy)))


def _silence(log: Path) -> None:
    """Send what native libraries print to a file; it is shown only if they crash."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
