"""How long a bundle's model takes on a machine, and how much memory: measured there, and said where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any

import numpy as np

from converters.parity import check, judge
from converters.probing.jobs import Answer, Job, Machine, litert_artifact, stored_inputs
from edge_sdk.bundle import Bundle

# Caches, branch predictors and clocks settle within some tens of runs; this is ample and takes milliseconds.
_WARM_UP_RUNS = 100


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One bundle on one machine with a number of threads.

    Attributes:
        bundle: Model id and version.
        sha256: Digest of the bundle.
        recipe: How the model was made compact.
        runtime: What ran it.
        runtime_version: Of the runtime.
        threads: Given to the runtime.
        runs: Inferences timed, one window each: set inputs, invoke, get outputs.
        median_us: Half took no longer, microseconds.
        p95_us: 95 of a hundred took no longer.
        p99_us: 99 of a hundred took no longer.
        load_ms: To load the model, milliseconds.
        peak_memory_bytes: The most that the process had resident, Python and numpy included.
        where: The machine: host, board, cpu, machine, cores, governor, os, python, numpy.
        date: When, UTC, ISO 8601.
    """

    bundle: str
    sha256: str
    recipe: str
    runtime: str
    runtime_version: str
    threads: int
    runs: int
    median_us: float
    p95_us: float
    p99_us: float
    load_ms: float
    peak_memory_bytes: int
    where: dict[str, Any]
    date: str


def benchmark(bundle: Bundle, machine: Machine, *, runs: int, threads: int, now: datetime) -> Measurement:
    """Measure a bundle on the windows of its self-test, in a fresh process.

    Raises:
        VerificationError: Its answers there are not the signed ones; a wrong answer's time says nothing.
        EdgeError: As `Machine.run`.
    """
    artifact, test = litert_artifact(bundle), bundle.self_test
    job = Job(
        model=bundle.members[artifact.path],
        inputs=stored_inputs(test, artifact.inputs),
        runtime="auto",
        threads=threads,
        runs=runs,
        warm_up=_WARM_UP_RUNS,
    )
    answer = machine.run(job)
    check([judge(answer, None, test, artifact, machine=machine.name)])
    return measured(bundle, answer, threads=threads, now=now)


def measured(bundle: Bundle, answer: Answer, *, threads: int, now: datetime) -> Measurement:
    """Return an answer's figures."""
    median_us, p95_us, p99_us = (float(value) for value in np.percentile(answer.times_us, (50, 95, 99)))
    return Measurement(
        bundle=f"{bundle.manifest.model_id} {bundle.manifest.model_version}",
        sha256=bundle.sha256,
        recipe=bundle.manifest.recipe,
        runtime=answer.runtime,
        runtime_version=answer.version,
        threads=threads,
        runs=len(answer.times_us),
        median_us=median_us,
        p95_us=p95_us,
        p99_us=p99_us,
        load_ms=answer.load_s * 1000,
        peak_memory_bytes=answer.peak_memory_bytes,
        where=dict(answer.where),
        date=now.astimezone(timezone.utc).isoformat(timespec="seconds"),
    )


def ratios(measurements: Sequence[Measurement]) -> list[float]:
    """Return each median as a multiple of the first's."""
    return [measurement.median_us / measurements[0].median_us for measurement in measurements]


def place(measurement: Measurement) -> str:
    """Return where a figure was measured, for a person."""
    where = measurement.where
    board = f"{where['board']}, " if where["board"] else ""
    governor = f", governor {where['governor']}" if where["governor"] else ""
    return (
        f"{where['host']}: {board}{where['cpu']}, {where['machine']}, {where['cores']} cores{governor}; "
        f"{where['os']}; Python {where['python']}, numpy {where['numpy']}"
    )


def as_figures(measurements: Sequence[Measurement]) -> list[dict[str, Any]]:
    """Return figures under the names that are promised to scripts."""
    return [
        {**asdict(measurement), "ratio_to_first": ratio}
        for measurement, ratio in zip(measurements, ratios(measurements), strict=True)
    ]
