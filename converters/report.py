"""The conversion report: one HTML file with everything inside, for who must decide whether to use the model."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from converters.calibration import WindowSet
from converters.models import CompiledModel, VerifiedModel
from converters.report_pictures import curves, ranges, scatter
from converters.verification import is_gated
from edge_sdk.contracts import ModelInput, OutputContract
from edge_sdk.decisions import probabilities
from edge_sdk.files import write_atomic
from edge_sdk.manifest import ClassFigures, Manifest
from edge_sdk.tensors import FloatArray

_MOVED_MOST = 6
_SCATTERED = 500
_PER_CLASS = 30
_TELLING = 12
_TIMED_WINDOWS = 200

Counts = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Seal:
    """How the written bundle is recognized: its size and digest, and the fingerprint of the key that signed it."""

    bundle_bytes: int
    bundle_sha256: str
    signer: str


def write_report(model: VerifiedModel, manifest: Manifest, evaluation: WindowSet, seal: Seal, path: Path) -> None:
    """Write a self-contained page about one conversion."""
    from jinja2 import Environment, PackageLoader, select_autoescape  # noqa: PLC0415  # not needed without a report

    compiled, classes = model.compiled, manifest.output.labels
    before = probabilities(compiled.source.predict(evaluation.inputs), manifest.output)
    after = probabilities(compiled.predict(evaluation.inputs), manifest.output)
    first, second = before.argmax(axis=1), after.argmax(axis=1)
    truth = evaluation.labels if evaluation.labels is not None else first
    moved = np.abs(before - after).max(axis=1)
    decided = _counts(first, second, len(classes))
    taken = {wanted.takes: wanted for wanted in manifest.input.inputs}
    waveform = evaluation.inputs[taken["waveform"].name] if "waveform" in taken else None
    pages = Environment(loader=PackageLoader("converters"), autoescape=select_autoescape())
    html = pages.get_template("report.html").render(
        manifest=manifest,
        report=manifest.verification,
        seal=seal,
        worst=_worst_loss(manifest),
        ungated=[figures.label for figures in manifest.verification.classes if not is_gated(figures)],
        source_bytes=compiled.source.source_bytes,
        model_bytes=len(compiled.data),
        latency_us=_latency_us(compiled, evaluation),
        kept=_kept_shares(decided),
        decided=decided.tolist(),
        found=_counts(truth, second, len(classes)).tolist(),
        quantiles={share: float(np.quantile(moved, share)) for share in (0.5, 0.9, 0.99, 1.0)},
        scattered=_scattered(before, after, moved),
        scattered_windows=_SCATTERED,
        moved_most=[] if waveform is None else _moved_most(waveform, truth, before, after),
        examples=[] if waveform is None else _examples(waveform, truth, manifest),
        telling=_telling(evaluation, taken["features"], truth, manifest.output) if "features" in taken else [],
    )
    write_atomic(path, html.encode())


def _worst_loss(manifest: Manifest) -> tuple[float, str]:
    """Return the largest loss among the classes that count, in points, and where it is."""
    losses = [
        (100 * (before - after), f"{what} of {figures.label}")
        for figures in manifest.verification.classes
        if is_gated(figures)
        for what, before, after in _changes(figures)
    ]
    return max(losses, default=(0.0, "no class"))


def _changes(figures: ClassFigures) -> tuple[tuple[str, float, float], ...]:
    return (
        ("sensitivity", figures.sensitivity_float, figures.sensitivity_compiled),
        ("positive predictivity", figures.ppv_float, figures.ppv_compiled),
    )


def _counts(rows: NDArray[np.int64], columns: NDArray[np.int64], classes: int) -> Counts:
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (rows, columns), 1)
    return counts


def _kept_shares(decided: Counts) -> list[float | None]:
    """Return for each class the share of the float model's decisions that the compiled model repeats."""
    return [float(row[index] / row.sum()) if row.sum() else None for index, row in enumerate(decided)]


def _latency_us(compiled: CompiledModel, evaluation: WindowSet) -> float:
    """Return the median time of one window on this machine, one thread, with quantization of input and output."""
    durations_ns = []
    for index in range(min(_TIMED_WINDOWS, len(evaluation))):
        window = evaluation.take(np.array([index]))
        start_ns = time.perf_counter_ns()
        compiled.predict(window)
        durations_ns.append(time.perf_counter_ns() - start_ns)
    return float(np.median(durations_ns)) / 1000


def _scattered(before: FloatArray, after: FloatArray, moved: FloatArray) -> list[Markup]:
    """Return a picture for each class: its probability before and after, in the windows that moved most."""
    chosen = np.argsort(-moved, kind="stable")[:_SCATTERED]
    return [scatter(before[chosen, label], after[chosen, label]) for label in range(before.shape[1])]


def _moved_most(
    waveform: FloatArray, truth: NDArray[np.int64], before: FloatArray, after: FloatArray
) -> list[dict[str, Any]]:
    order = np.argsort(-np.abs(before - after).max(axis=1), kind="stable")[:_MOVED_MOST]
    return [
        {
            "number": int(index),
            "picture": curves(waveform[index].T),
            "truth": int(truth[index]),
            "before": (int(before[index].argmax()), float(before[index].max())),
            "after": (int(after[index].argmax()), float(after[index].max())),
        }
        for index in order
    ]


def _examples(waveform: FloatArray, truth: NDArray[np.int64], manifest: Manifest) -> list[dict[str, Any]]:
    chosen = [np.flatnonzero(truth == index)[:_PER_CLASS] for index in range(len(manifest.output.labels))]
    return [
        {"label": label, "count": len(members), "picture": curves(waveform[members][:, :, 0])}
        for label, members in zip(manifest.output.labels, chosen, strict=True)
        if len(members)
    ]


def _telling(
    evaluation: WindowSet, wanted: ModelInput, truth: NDArray[np.int64], output: OutputContract
) -> list[dict[str, Any]]:
    """Return the features that tell the classes apart best: the middle half of each class, and its median."""
    features = evaluation.inputs[wanted.name]
    present = np.unique(truth)
    # (class, quartile, feature)
    quartiles = np.stack([np.quantile(features[truth == label], (0.25, 0.5, 0.75), axis=0) for label in present])
    apart = np.ptp(quartiles[:, 1], axis=0) / (np.ptp(quartiles, axis=1).mean(axis=0) + np.finfo(np.float32).eps)
    return [
        {
            "name": wanted.features[index],
            "classes": [output.labels[label].name for label in present],
            "picture": ranges(quartiles[:, :, index].tolist()),
        }
        for index in np.argsort(-apart, kind="stable")[:_TELLING]
    ]
