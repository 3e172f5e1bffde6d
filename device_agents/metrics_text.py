"""An agent's figures as Prometheus reads them (text format 0.0.4).

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from device_agents.metrics import Meter, Metrics
from device_agents.metrics_spread import Histogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX = "edge_agent_"
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def prometheus(meter: Meter) -> str:
    """Return everything the meter knows."""
    lines = [*_figures(meter.latest)]
    lines += _histogram("inference_seconds", "Time in the runtime, a window.", meter.inference)
    lines += _histogram("wait_seconds", "From a block's arrival to its observations in the outbox.", meter.wait)
    return "\n".join(lines) + "\n"


def _figures(metrics: Metrics) -> Iterator[str]:
    counted, health = metrics.counted, metrics.health
    yield from _one(
        "info", "gauge", "What runs.", {_labels(version=metrics.agent_version, hardware=metrics.hardware): 1}
    )
    yield from _one(
        "model_info",
        "gauge",
        "Models that run.",
        {
            _labels(id=ref.id, version=ref.version, runtime=ref.runtime, bundle_sha256=ref.bundle_sha256): 1
            for ref in counted.models
        },
    )
    yield from _one("uptime_seconds", "gauge", "Since the start.", {"": metrics.uptime_s})
    yield from _one("streams", "gauge", "Streams that are open.", {"": counted.streams})
    yield from _one("refused_streams_total", "counter", "Streams left out.", {"": counted.refused_streams})
    yield from _one("samples_total", "counter", "Samples taken in.", {"": counted.samples})
    yield from _one("missing_samples_total", "counter", "Samples that never came.", {"": counted.missing_samples})
    yield from _one("windows_total", "counter", "Windows cut.", {"": counted.windows})
    yield from _one(
        "rejected_windows_total",
        "counter",
        "Windows without an answer.",
        {_labels(reason=reason): count for reason, count in sorted(counted.rejected.items())},
    )
    yield from _one("waiting_blocks", "gauge", "Blocks that wait to be processed.", {"": counted.waiting_blocks})
    yield from _one("dropped_blocks_total", "counter", "Blocks given up.", {"": counted.dropped_blocks})
    yield from _one("backlog", "gauge", "Observations that the hospital has not acknowledged.", {"": counted.backlog})
    yield from _one("broker_connected", "gauge", "Whether the broker is.", {"": int(counted.connected)})
    yield from _one("resident_bytes", "gauge", "Memory held.", {"": health.resident_bytes})
    yield from _one("cpu_seconds_total", "counter", "Processor time used.", {"": health.cpu_s})
    if health.temperature_c is not None:
        yield from _one("temperature_celsius", "gauge", "Hottest thermal zone.", {"": health.temperature_c})
    if health.clock_synchronized is not None:
        yield from _one(
            "clock_synchronized", "gauge", "Whether the clock is set.", {"": int(health.clock_synchronized)}
        )


def _one(name: str, kind: str, words: str, values: Mapping[str, float]) -> Iterator[str]:
    yield f"# HELP {_PREFIX}{name} {words}"
    yield f"# TYPE {_PREFIX}{name} {kind}"
    for labels, value in values.items():
        yield f"{_PREFIX}{name}{labels} {value!r}"


def _histogram(name: str, words: str, times: Histogram) -> Iterator[str]:
    yield f"# HELP {_PREFIX}{name} {words}"
    yield f"# TYPE {_PREFIX}{name} histogram"
    count = 0
    for bound_s, count in times.buckets():
        yield f"{_PREFIX}{name}_bucket{_labels(le='+Inf' if math.isinf(bound_s) else repr(bound_s))} {count}"
    yield f"{_PREFIX}{name}_sum {times.sum_s!r}"
    yield f"{_PREFIX}{name}_count {count}"


def _labels(**values: str) -> str:
    """Return labels, with what the format gives a meaning escaped."""
    told = (f'{name}="{value.translate(_ESCAPES)}"' for name, value in values.items())
    return "{" + ",".join(told) + "}"
