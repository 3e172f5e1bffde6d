"""The same abilities from Python: models, contracts and windows in memory or in files."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Union

import numpy as np

from converters.jobs import Conversion, Job, Progress
from converters.pipeline import convert as convert_job
from converters.window_sources.raw import as_array
from edge_sdk.contracts import ModelContract
from edge_sdk.errors import ConversionError

Source = Union[str, Path, Mapping[str, Any]]


def convert(  # noqa: PLR0913  # the whole of what a conversion can be told, all by name
    *,
    model: Any,
    contract: str | Path | ModelContract,
    profiles: Sequence[str],
    evaluation: Source,
    key: str | Path,
    out: str | Path,
    recipe: str = "int8",
    calibration: Source | None = None,
    training: Source | None = None,
    probabilities: Source | None = None,
    budget_points: float = 0.5,
    report: str | Path | None = None,
    edgetpu_compiler: str | Path | None = None,
    progress: Progress = lambda _step, _done: None,
) -> Conversion:
    """Convert a trained model, prove it on real windows, and seal a bundle for each board.

    Args:
        model: A file, or the model itself: a Keras model, a PyTorch `torch.export.ExportedProgram`, or a fitted
            scikit-learn estimator.
        contract: What the model reads and means: a TOML file, or the contract itself.
        profiles: Boards, as ``edge-convert profiles`` lists them.
        evaluation: Held-out windows with their truth: a file, a folder of WFDB records, ``module:function``, or arrays
            by name as an ``.npz`` has them.
        key: The private key that seals.
        out: The bundle, ``.edge``, or a folder for several.
        recipe: A recipe's name, the path of one, or ``auto``.
        calibration: Windows for ranges of activations.
        training: Windows for recipes that train the model again.
        probabilities: Held-out windows with their truth, to fit the temperature of the probabilities on.
        budget_points: Loss allowed in any figure, percentage points.
        report: HTML page to write.
        edgetpu_compiler: Google's compiler, if it is not on PATH.
        progress: Told the step that begins, and which fraction of the whole is done.

    Returns:
        The bundles, their manifests with every figure, and what was tried.

    Raises:
        EdgeError: Whatever was wrong: what, where, and what to do. Nothing is written then.
    """
    with tempfile.TemporaryDirectory(prefix="edge-convert-") as folder:
        place = Path(folder)
        job = Job(
            model=_model_file(model, place),
            contract=contract if isinstance(contract, ModelContract) else Path(contract),
            profiles=tuple(profiles),
            recipe=recipe,
            evaluation=_windows_file(evaluation, place / "evaluation.npz"),
            calibration=None if calibration is None else _windows_file(calibration, place / "calibration.npz"),
            training=None if training is None else _windows_file(training, place / "training.npz"),
            probabilities=None if probabilities is None else _windows_file(probabilities, place / "probabilities.npz"),
            budget_points=budget_points,
            key=Path(key),
            out=Path(out),
            report=None if report is None else Path(report),
            edgetpu_compiler=None if edgetpu_compiler is None else Path(edgetpu_compiler),
        )
        return convert_job(job, progress=progress)


def _model_file(model: Any, folder: Path) -> Path:
    """Return the file of a model, having written it if it was in memory. Only the model's own library is imported."""
    if isinstance(model, (str, Path)):
        return Path(model)
    library = type(model).__module__.partition(".")[0]
    kinds = {base.__module__.partition(".")[0] for base in type(model).__mro__}
    if "keras" in kinds:
        path = folder / "model.keras"
        model.save(path)
    elif "torch" in kinds:
        path = folder / "model.pt2"
        _save_program(model, path)
    elif "sklearn" in kinds:
        import skops.io  # noqa: PLC0415  # only for these models

        path = folder / "model.skops"
        skops.io.dump(model, path)
    else:
        raise ConversionError(
            f"a {type(model).__name__} of {library} is no model that can be converted",
            remedy="give a file, or a model of Keras, PyTorch (an ExportedProgram) or scikit-learn",
        )
    return path


def _save_program(model: Any, path: Path) -> None:
    import torch  # noqa: PLC0415  # only for these models

    if not isinstance(model, torch.export.ExportedProgram):
        raise ConversionError(
            f"a {type(model).__name__} does not say with which inputs it is called",
            remedy="give torch.export.export(model.eval(), (example,))",
        )
    torch.export.save(model, path)


def _windows_file(source: Source, path: Path) -> str:
    if isinstance(source, Mapping):
        arrays: dict[str, Any] = {name: as_array(values) for name, values in source.items()}
        np.savez(path, **arrays)
        return str(path)
    return str(source)
