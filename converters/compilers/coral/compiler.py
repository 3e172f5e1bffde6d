"""Calling Google's Edge TPU compiler, a program of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from converters.compilers.coral.log import CompilerLog, parse_log
from edge_sdk.errors import ConversionError, MissingDependency

PROGRAM = "edgetpu_compiler"
ENVIRONMENT = "EDGETPU_COMPILER"
# The compiler itself gives up a model after 180 s; it may try more than once.
TIMEOUT_S = 900.0
# https://coral.ai/docs/edgetpu/compiler/#download
HOW_TO_GET_IT = (
    "on x86-64 Debian or Ubuntu add Google's package source 'deb https://packages.cloud.google.com/apt "
    "coral-edgetpu-stable main' and its key https://packages.cloud.google.com/apt/doc/apt-key.gpg, then run: "
    "apt-get install edgetpu-compiler; on any other machine install it in an x86-64 Docker container and name a script "
    f"that calls it there in {ENVIRONMENT}"
)


@dataclass(frozen=True, kw_only=True)
class Compilation:
    """What the compiler wrote and said."""

    flatbuffer: bytes
    log: CompilerLog


def find_compiler(given: Path | None = None) -> Path:
    """Return the compiler: the one given, else the one that EDGETPU_COMPILER names, else the one on the PATH.

    Raises:
        MissingDependency: There is none; says how to get it.
    """
    named = str(given or os.environ.get(ENVIRONMENT) or PROGRAM)
    found = shutil.which(named)
    if not found:
        raise MissingDependency(f"the Edge TPU compiler ({named}) is not installed", remedy=HOW_TO_GET_IT)
    return Path(found)


def run_compiler(flatbuffer: bytes, compiler: Path, *, timeout_s: float = TIMEOUT_S) -> Compilation:
    """Compile a model for the Edge TPU.

    Raises:
        ConversionError: The compiler refuses it, in the compiler's words, or takes too long.
        MissingDependency: The program does not run on this machine.
    """
    with tempfile.TemporaryDirectory(prefix="edgetpu-") as folder:
        source, result = Path(folder) / "model.tflite", Path(folder) / "model_edgetpu.tflite"
        source.write_bytes(flatbuffer)
        said, exit_code = _run([str(compiler), "-s", "-o", folder, str(source)], timeout_s)
        log = parse_log(said)
        if exit_code or not result.is_file():
            raise _refused(log, said, exit_code)
        return Compilation(flatbuffer=result.read_bytes(), log=log)


def _run(command: list[str], timeout_s: float) -> tuple[str, int]:
    """Return what a program said and its exit code; one that is too slow is ended with all its children."""
    try:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise MissingDependency(
            f"the Edge TPU compiler at {command[0]} does not run here ({error.strerror})", remedy=HOW_TO_GET_IT
        ) from error
    with process:
        try:
            said, _ = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            os.killpg(process.pid, signal.SIGKILL)
            raise ConversionError(
                f"the Edge TPU compiler was still busy after {timeout_s:g} s", remedy="use a smaller model"
            ) from error
    return said, process.returncode


def _refused(log: CompilerLog, said: str, exit_code: int) -> ConversionError:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    words = "; ".join(log.complaints) or (lines[-1][:200] if lines else f"exit code {exit_code}, without a word")
    return ConversionError(
        f"the Edge TPU compiler refuses the model: {words}",
        remedy="run 'edge-convert coral-check' on the .tflite file: it names the operators and what to change",
    )
