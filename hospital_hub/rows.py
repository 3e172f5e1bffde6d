"""An observation as a row of the store, and whether it may become one. Pure."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import sqlalchemy as sa

from edge_sdk.observation import Classification, Observation, Quantity, SampledData
from hospital_hub.tables import VALUE_COLUMNS

Row = sa.RowMapping
EpochKey = tuple[str, str, str]
EPOCH_KEY = ("site", "device", "epoch")
_LONGEST_TEXT = 1000
_RATES_HZ, _FACTORS = (1e-3, 1e6), (1e-12, 1e12)


def as_row(key: EpochKey, seq: int, item: Observation, now_ns: int) -> dict[str, Any]:
    """Return an observation as the columns of its table."""
    model = item.model
    return {
        **dict(zip(EPOCH_KEY, key, strict=True)),
        "seq": seq,
        "code_system": item.code.system,
        "code": item.code.code,
        "display": item.code.display,
        "effective_time_ns": item.effective_time_ns,
        "received_at_ns": now_ns,
        "stream": item.stream,
        "subject": item.subject,
        "clock": item.clock.value,
        "priority": item.priority.value,
        "quality": item.quality,
        **dict.fromkeys(VALUE_COLUMNS),
        **_value_columns(item),
        "absent_reason": item.absent_reason,
        "model_id": model and model.id,
        "model_version": model and model.version,
        "bundle_sha256": model and model.bundle_sha256,
        "runtime": model and model.runtime,
    }


def unusable(item: Observation) -> str:
    """Return why an observation that could be decoded must not be stored; empty when it may.

    What every database holds, every browser draws and FHIR can say may be stored: one hostile observation must not
    blank the page of a ward.
    """
    if any("\0" in text or len(text) > _LONGEST_TEXT for text in _texts(item)):
        return f"a text has a NUL character, or more than {_LONGEST_TEXT} characters"
    if item.quality is not None and not math.isfinite(item.quality):
        return "the signal quality is not finite"
    value = item.value
    if isinstance(value, SampledData) and not (
        _RATES_HZ[0] <= value.sample_rate_hz <= _RATES_HZ[1]
        and _FACTORS[0] <= value.factor <= _FACTORS[1]
        and 0 <= value.anchor_s <= len(value.stored) / 2 / value.sample_rate_hz
    ):
        return "the strip's rate, factor or anchor is out of bounds"
    return ""


def sampled_data(row: Row) -> SampledData:
    """Return the strip that a row holds."""
    return SampledData(
        unit=row["unit"],
        sample_rate_hz=row["sample_rate_hz"],
        factor=row["factor"],
        stored=bytes(row["samples"]),
        anchor_s=row["anchor_s"],
    )


def _value_columns(item: Observation) -> dict[str, Any]:
    value = item.value
    if isinstance(value, Quantity):
        return {"number": value.value, "unit": value.unit}
    if isinstance(value, Classification):
        return {"label": value.label, "probabilities": msgspec.json.encode(value.probabilities).decode()}
    if isinstance(value, SampledData):
        return {
            "samples": value.stored,
            "unit": value.unit,
            "sample_rate_hz": value.sample_rate_hz,
            "factor": value.factor,
            "anchor_s": value.anchor_s,
        }
    return {}


def _texts(item: Observation) -> tuple[str, ...]:
    code, model, value = item.code, item.model, item.value
    texts: tuple[str, ...] = (code.system, code.code, code.display, item.stream, item.subject, item.absent_reason)
    if model is not None:
        texts += (model.id, model.version, model.bundle_sha256, model.runtime)
    if isinstance(value, Classification):
        return (*texts, value.label, *value.probabilities)
    return texts if value is None else (*texts, value.unit)
