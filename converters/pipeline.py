"""The line from a model file to a bundle, in a child process: native converters can crash."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from edge_sdk.contracts import ModelContract
from edge_sdk.errors import ConversionError, EdgeError, MissingDependency, StorageUnavailable
from edge_sdk.files import sha256_hex
from edge_sdk.manifest import Manifest
from edge_sdk.settings import load_toml

STEPS = ("load", "optimize", "compile", "verify", "seal", "report")
Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Job:
    """Everything a conversion needs; every path is absolute or relative to the current folder."""

    model: Path
    contract: Path
    target: str
    recipe: str
    calibration: Path | None
    evaluation: Path
    budget_points: float
    key: Path
    out: Path
    report: Path | None


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What came out."""

    manifest: Manifest
    bundle: Path
    model_bytes: int


def convert(job: Job, *, progress: Progress) -> Conversion:
    """Run a conversion in a child process and return its result.

    Raises:
        EdgeError: Whatever was wrong; a crash of native code is a `ConversionError` naming the step.
    """
    context = multiprocessing.get_context("spawn")
    parent_end, child_end = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory(prefix="edge-convert-") as folder:
        log = Path(folder) / "native.log"
        child = context.Process(target=_child, args=(job, Path(folder), log, child_end))
        child.start()
        child_end.close()
        outcome = _listen(parent_end, progress)
        child.join()
        if isinstance(outcome, str):
            raise _crashed(outcome, child.exitcode or 0, log)
    if isinstance(outcome, EdgeError):
        raise outcome
    return outcome


def _listen(pipe: Connection, progress: Progress) -> Conversion | EdgeError | str:
    """Return what the child sent last: its result, its error, or the step it died in."""
    step = STEPS[0]
    while True:
        try:
            kind, content = pipe.recv()
        except EOFError:
            return step
        if kind == "step":
            step = content
            progress(step)
        elif kind == "error":
            family, problem, remedy = content
            error: EdgeError = family(problem, remedy=remedy)
            return error
        else:
            result: Conversion = content
            return result


def _crashed(step: str, exit_code: int, log: Path) -> ConversionError:
    how = signal.Signals(-exit_code).name if exit_code < 0 else f"exit code {exit_code}"
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()] if log.exists() else []
    last = f"; it last said: {lines[-1].strip()[:200]}" if lines else ""
    return ConversionError(
        f"the converter crashed in step '{step}' ({how}){last}",
        remedy="try a recipe that keeps floats, or simplify the model",
    )


def _child(job: Job, folder: Path, log: Path, pipe: Connection) -> None:
    _silence(log)
    try:
        pipe.send(("result", _steps(job, folder, lambda step: pipe.send(("step", step)))))
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


def _steps(job: Job, folder: Path, progress: Progress) -> Conversion:
    from converters.calibration import read_windows  # noqa: PLC0415  # all of this belongs to the child alone
    from converters.compilers import compiler_for  # noqa: PLC0415
    from converters.importers import importer_for  # noqa: PLC0415
    from converters.optimizers.quantize import quantize_model  # noqa: PLC0415
    from converters.optimizers.recipe import load_recipe  # noqa: PLC0415
    from converters.report import Seal, write_report  # noqa: PLC0415
    from converters.sealing import seal  # noqa: PLC0415
    from converters.verification import verify  # noqa: PLC0415
    from edge_sdk.profiles import load_profile  # noqa: PLC0415
    from edge_sdk.signing import fingerprint, load_private_key  # noqa: PLC0415
    from edge_sdk.windowing import windower_for  # noqa: PLC0415

    for path in (job.out, job.report):
        _check_writable(path)
    contract = load_toml(job.contract, ModelContract, what="model contract")
    windower_for(contract.input)  # refuses what no device could give the model
    recipe, profile, key = load_recipe(job.recipe), load_profile(job.target), load_private_key(job.key)
    compiler, importer = compiler_for(profile), importer_for(job.model)
    calibration = read_windows(job.calibration, contract, labelled=False) if job.calibration else None
    evaluation = read_windows(job.evaluation, contract, labelled=True)

    progress("load")
    source = importer(job.model, contract, folder)
    progress("optimize")
    optimized = quantize_model(source, recipe, calibration)
    progress("compile")
    compiled = compiler(optimized, profile)
    progress("verify")
    verified = verify(compiled, evaluation, budget_points=job.budget_points)
    progress("seal")
    manifest = seal(verified, job.out, key=key)
    if job.report:
        progress("report")
        sealed, signer = job.out.read_bytes(), fingerprint(key.public_key())
        facts = Seal(bundle_bytes=len(sealed), bundle_sha256=sha256_hex(sealed), signer=signer)
        write_report(verified, manifest, evaluation, facts, job.report)
    return Conversion(manifest=manifest, bundle=job.out, model_bytes=len(compiled.data))


def _check_writable(path: Path | None) -> None:
    """Refuse an output that cannot be written now, not after the conversion."""
    if path is None:
        return
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise StorageUnavailable(f"{path} cannot be written", remedy="check the path and the folder's permissions")


def as_figures(conversion: Conversion) -> dict[str, Any]:
    """Return a conversion's figures under the names that are promised to scripts."""
    report = conversion.manifest.verification
    return {
        "agreement": report.agreement,
        "accuracy_float": report.accuracy_float,
        "accuracy_compiled": report.accuracy_compiled,
        "max_probability_error": report.max_probability_error,
        "windows": report.windows,
        "model_bytes": conversion.model_bytes,
        "bundle_bytes": conversion.bundle.stat().st_size,
        "recipe": conversion.manifest.recipe,
        "classes": {
            figures.label: {
                "windows": figures.windows,
                "sensitivity_float": figures.sensitivity_float,
                "sensitivity_compiled": figures.sensitivity_compiled,
                "ppv_float": figures.ppv_float,
                "ppv_compiled": figures.ppv_compiled,
            }
            for figures in report.classes
        },
    }
