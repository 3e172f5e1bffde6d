"""What a report tells about a classifier: every class before and after, and the windows behind the figures."""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from converters.calibration import WindowSet
from converters.report_pictures import curves, ranges, reliability, scatter
from edge_sdk.contracts import ModelInput, OutputContract
from edge_sdk.manifest import Manifest
from edge_sdk.tensors import FloatArray

_MOVED_MOST = 6
_SCATTERED = 500
_PER_CLASS = 30
_TELLING = 12
_CONFIDENCE_BINS = 10

Counts = NDArray[np.int64]


def classes_context(before: FloatArray, after: FloatArray, evaluation: WindowSet, manifest: Manifest) -> dict[str, Any]:
    """Return what the page's template needs, for the probabilities of two models, each (n, labels)."""
    classes = manifest.output.labels
    first, second = before.argmax(axis=1), after.argmax(axis=1)
    truth = evaluation.labels if evaluation.labels is not None else first
    moved = np.abs(before - after).max(axis=1)
    decided = _counts(first, second, len(classes))
    taken = {wanted.takes: wanted for wanted in manifest.input.inputs}
    waveform = _as_curves(evaluation.inputs[taken["waveform"].name]) if "waveform" in taken else None
    return {
        "kept": _kept_shares(decided),
        "decided": decided.tolist(),
        "found": _counts(truth, second, len(classes)).tolist(),
        "quantiles": {share: float(np.quantile(moved, share)) for share in (0.5, 0.9, 0.99, 1.0)},
        "scattered": _scattered(before, after, moved),
        "scattered_windows": _SCATTERED,
        "honest": [_reliability(probabilities, truth) for probabilities in (before, after)],
        "moved_most": [] if waveform is None else _moved_most(waveform, truth, before, after),
        "examples": [] if waveform is None else _examples(waveform, truth, manifest),
        "telling": _telling(evaluation, taken["features"], truth, manifest.output) if "features" in taken else [],
    }


def _as_curves(waveform: FloatArray) -> FloatArray:
    """Return windows as (n, time, columns), whatever else their shape holds."""
    return waveform.reshape(len(waveform), waveform.shape[1], -1)


def _reliability(probabilities: FloatArray, truth: NDArray[np.int64]) -> Markup:
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    bins = np.minimum((confidence * _CONFIDENCE_BINS).astype(np.int64), _CONFIDENCE_BINS - 1)
    present = np.unique(bins)
    return reliability(
        [float(confidence[bins == index].mean()) for index in present],
        [float(right[bins == index].mean()) for index in present],
    )


def _counts(rows: NDArray[np.int64], columns: NDArray[np.int64], classes: int) -> Counts:
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (rows, columns), 1)
    return counts


def _kept_shares(decided: Counts) -> list[float | None]:
    """Return for each class the share of the float model's decisions that the compiled model repeats."""
    return [float(row[index] / row.sum()) if row.sum() else None for index, row in enumerate(decided)]


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
