"""The conversion report: one HTML file with everything inside, for who must decide whether to use the model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from converters.calibration import WindowSet
from converters.figures import is_judged, losses
from converters.jobs import Trial
from converters.models import CompiledModel, VerifiedModel
from converters.report_classes import classes_context
from converters.report_pictures import trade_off
from converters.report_quantities import quantities_context
from converters.search import pareto
from edge_sdk.decisions import answer
from edge_sdk.files import write_atomic
from edge_sdk.manifest import Manifest
from edge_sdk.tensors import FloatArray

_TIMED_WINDOWS = 200


@dataclass(frozen=True, kw_only=True)
class Seal:
    """How the written bundle is recognized: its size and digest, and the fingerprint of the key that signed it."""

    bundle_bytes: int
    bundle_sha256: str
    signer: str


@dataclass(frozen=True, kw_only=True)
class Account:
    """Everything a report tells about one bundle.

    Attributes:
        model: What was verified.
        manifest: What was signed.
        evaluation: The windows it was verified on.
        expected: What the source framework answers for them, (n, width).
        seal: How the bundle is recognized.
        trials: What was tried before the choice; empty when a person chose.
        remarks: What the steps before had to say.
    """

    model: VerifiedModel
    manifest: Manifest
    evaluation: WindowSet
    expected: FloatArray
    seal: Seal
    trials: Sequence[Trial]
    remarks: Sequence[str]


def write_report(account: Account, path: Path) -> None:
    """Write a self-contained page about one bundle."""
    from jinja2 import Environment, PackageLoader, select_autoescape  # noqa: PLC0415  # not needed without a report

    manifest, compiled = account.manifest, account.model.compiled
    before = answer(account.expected, manifest.output)
    after = answer(compiled.predict(account.evaluation.inputs), manifest.output)
    describe = classes_context if manifest.output.labels else quantities_context
    pages = Environment(loader=PackageLoader("converters"), autoescape=select_autoescape(), trim_blocks=False)
    html = pages.get_template("report.html").render(
        manifest=manifest,
        report=manifest.verification,
        seal=account.seal,
        compiled=compiled,
        worst=max(((points, name) for points, _, name, _, _ in losses(manifest.verification)), default=(0.0, "")),
        unjudged=[found.label for found in manifest.verification.classes if not is_judged(found.windows)],
        source_bytes=compiled.source.source_bytes,
        model_bytes=len(compiled.data),
        latency_us=_latency_us(compiled, account.evaluation),
        remarks=(*account.remarks, *compiled.remarks),
        **_trials_context(account.trials),
        **describe(before, after, account.evaluation, manifest),
    )
    write_atomic(path, html.encode())


def _trials_context(trials: Sequence[Trial]) -> dict[str, Any]:
    timed = [trial for trial in trials if trial.latency_us]
    if not timed:
        return {"trials": trials, "best": [], "by_size": "", "by_time": ""}
    names, kept = [trial.recipe for trial in timed], [100 * trial.agreement for trial in timed]
    (chosen,) = (trial.recipe for trial in timed if trial.chosen)
    return {
        "trials": trials,
        "best": [trial.recipe for trial in pareto(trials)],
        "by_size": trade_off(names, [trial.model_bytes / 1024 for trial in timed], kept, chosen=chosen, unit="KiB"),
        "by_time": trade_off(names, [trial.latency_us for trial in timed], kept, chosen=chosen, unit="µs"),
    }


def _latency_us(compiled: CompiledModel, evaluation: WindowSet) -> float:
    """Return the median time of one window on this machine, one thread, with quantization of input and output."""
    durations_ns = []
    for index in range(min(_TIMED_WINDOWS, len(evaluation))):
        window = evaluation.take(np.array([index]))
        start_ns = time.perf_counter_ns()
        compiled.predict(window)
        durations_ns.append(time.perf_counter_ns() - start_ns)
    return float(np.median(durations_ns)) / 1000
