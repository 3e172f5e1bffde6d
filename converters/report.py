"""The conversion report: one HTML file with its pictures inside."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np

from converters.calibration import WindowSet
from converters.models import VerifiedModel
from edge_sdk.contracts import OutputContract
from edge_sdk.decisions import probabilities
from edge_sdk.files import write_atomic
from edge_sdk.manifest import Manifest
from edge_sdk.tensors import FloatArray

_FLOAT_COLOUR, _COMPILED_COLOUR = "#8aa4c8", "#0b6e6e"


def write_report(model: VerifiedModel, manifest: Manifest, evaluation: WindowSet, path: Path) -> None:
    """Write a self-contained page about one conversion."""
    from jinja2 import Environment, PackageLoader, select_autoescape  # noqa: PLC0415

    contract = manifest.output
    before = probabilities(model.compiled.source.predict(evaluation.inputs), contract)
    after = probabilities(model.compiled.predict(evaluation.inputs), contract)
    pictures = {
        "classes": _classes(manifest),
        "scatter": _scatter(before, after, contract),
        "confusion": _confusion(before, after, contract),
        "windows": _windows(evaluation, after, contract),
    }
    pages = Environment(loader=PackageLoader("converters"), autoescape=select_autoescape())
    html = pages.get_template("report.html").render(
        manifest=manifest, report=manifest.verification, pictures=pictures, model_bytes=len(model.compiled.data)
    )
    write_atomic(path, html.encode())


def _classes(manifest: Manifest) -> str:
    figure, axes = _figure(2)
    classes = manifest.verification.classes
    places = np.arange(len(classes))
    for axis, what, title in zip(axes, ("sensitivity", "ppv"), ("Sensitivity", "Positive predictivity"), strict=True):
        for offset, stage, colour in ((-0.2, "float", _FLOAT_COLOUR), (0.2, "compiled", _COMPILED_COLOUR)):
            heights = [100 * getattr(figures, f"{what}_{stage}") for figures in classes]
            axis.bar(places + offset, heights, width=0.38, color=colour, label=stage)
        axis.set_xticks(places, [figures.label for figures in classes])
        axis.set(title=title, ylabel="%", ylim=(0, 105))
    axes[0].legend(loc="lower right", frameon=False)
    return _svg(figure)


def _scatter(before: FloatArray, after: FloatArray, contract: OutputContract) -> str:
    figure, (axis, errors) = _figure(2)
    for index, label in enumerate(contract.labels):
        axis.scatter(before[:, index], after[:, index], s=4, alpha=0.4, label=label.name, rasterized=True)
    axis.plot([0, 1], [0, 1], color="#999", linewidth=0.8)
    axis.set(title="Probabilities", xlabel="float", ylabel="compiled")
    axis.legend(frameon=False, markerscale=3)
    errors.hist(np.abs(before - after).max(axis=1), bins=50, color=_COMPILED_COLOUR)
    errors.set(title="Largest difference per window", xlabel="probability", ylabel="windows", yscale="log")
    return _svg(figure)


def _confusion(before: FloatArray, after: FloatArray, contract: OutputContract) -> str:
    figure, (axis,) = _figure(1)
    size = len(contract.labels)
    counts = np.zeros((size, size), int)
    np.add.at(counts, (before.argmax(axis=1), after.argmax(axis=1)), 1)
    axis.imshow(np.log1p(counts), cmap="GnBu")
    for row, column in np.ndindex(size, size):
        shade = "white" if counts[row, column] > counts.max() / 4 else "#222"
        axis.text(column, row, str(counts[row, column]), ha="center", va="center", color=shade)
    names = [label.name for label in contract.labels]
    axis.set_xticks(range(size), names)
    axis.set_yticks(range(size), names)
    axis.set(title="Decisions", xlabel="compiled", ylabel="float")
    return _svg(figure)


def _windows(evaluation: WindowSet, after: FloatArray, contract: OutputContract) -> str:
    figure, axes = _figure(len(contract.labels), height=2.0)
    waveform = max(evaluation.inputs.values(), key=lambda values: values.ndim)
    truth = evaluation.labels if evaluation.labels is not None else after.argmax(axis=1)
    for index, (axis, label) in enumerate(zip(axes, contract.labels, strict=True)):
        members = np.flatnonzero(truth == index)[:30]
        if len(members):
            axis.plot(waveform[members].reshape(len(members), waveform.shape[1], -1)[:, :, 0].T, color="#0b6e6e30")
        axis.set(title=f"{label.name} {label.display}", xticks=[], yticks=[])
        axis.title.set_fontsize(8)
    return _svg(figure)


def _figure(columns: int, *, height: float = 3.2) -> tuple[Any, Any]:
    import matplotlib as mpl  # noqa: PLC0415  # drawn in the child process alone
    from matplotlib.figure import Figure  # noqa: PLC0415

    mpl.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "edge"})
    figure = Figure(figsize=(9, height), layout="constrained")
    return figure, np.atleast_1d(figure.subplots(1, columns))


def _svg(figure: Any) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None}, dpi=120)
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()
