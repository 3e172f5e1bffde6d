"""FHIR R4: one observation as a hospital's systems read it (hl7.org/fhir/R4/observation.html). Pure."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import msgspec
import numpy as np

from edge_sdk.codes import BEAT_CLASS, HEART_RATE, PER_MINUTE, SIGNAL_QUALITY, UCUM_SYSTEM
from edge_sdk.observation import ClockQuality, Priority
from hospital_hub.rows import EPOCH_KEY, Row, sampled_data
from hospital_hub.store import epoch_digest

DEVICE_SYSTEM = "urn:wearable-edge-sdk:device"
SUBJECT_SYSTEM = "urn:wearable-edge-sdk:subject"
OBSERVATION_SYSTEM = "urn:wearable-edge-sdk:observation"
EC57_SYSTEM = "urn:wearable-edge-sdk:ec57-class"
LABEL_SYSTEM = "urn:wearable-edge-sdk:label"
_CATEGORIES = "http://terminology.hl7.org/CodeSystem/observation-category"
_ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
_PROFILES = [
    "http://hl7.org/fhir/StructureDefinition/vitalsigns",
    "http://hl7.org/fhir/StructureDefinition/heartrate",
]
# The classes of ANSI/AAMI EC57:2012, table 1.
_EC57_WORDS = {
    "N": "Normal or bundle branch block beat",
    "S": "Supraventricular ectopic beat",
    "V": "Ventricular ectopic beat",
    "F": "Fusion of ventricular and normal beat",
    "Q": "Paced or unclassifiable beat",
}
_UNIT_WORDS = {PER_MINUTE: "beats/minute", "1": "1"}
# hl7.org/fhir/R4/codesystem-data-absent-reason.html, as far as a device can know.
_ABSENT_WORDS = {
    "unknown": "Unknown",
    "error": "Error",
    "not-performed": "Not Performed",
    "not-a-number": "Not a Number (NaN)",
    "temp-unknown": "Temporarily Unknown",
    "unsupported": "Unsupported",
}
_CLOCK_WORDS = {
    ClockQuality.CORRECTED.value: "The time was corrected after the device's clock had been set.",
    ClockQuality.UNSYNCHRONIZED.value: "The device's clock was not set: the time cannot be trusted.",
    ClockQuality.REPLAYED.value: "A recording was replayed: the time is the recording's.",
}

Resource = dict[str, Any]


def observation(row: Row) -> Resource:
    """Return a stored observation as a FHIR R4 Observation."""
    notes = [_CLOCK_WORDS[row["clock"]]] if row["clock"] in _CLOCK_WORDS else []
    notes += ["The device raised this as an alarm."] if row["priority"] == Priority.ALARM.value else []
    resource = {
        "resourceType": "Observation",
        "id": resource_id(row),
        "meta": {"profile": _PROFILES} if _is_heart_rate(row) else None,
        "identifier": [{"system": OBSERVATION_SYSTEM, "value": _identity(row)}],
        "status": "final",
        "category": [_concept(_CATEGORIES, *_category(row))],
        "code": _concept(row["code_system"], row["code"], row["display"], text=row["display"]),
        "subject": _reference("Patient", SUBJECT_SYSTEM, row["subject"]) if row["subject"] else None,
        **_effective(row),
        "issued": instant(row["received_at_ns"]),
        **_value(row),
        "note": [{"text": note} for note in notes],
        "method": {"text": _method(row)} if row["model_id"] else None,
        "device": _reference("Device", DEVICE_SYSTEM, f"{row['site']}/{row['device']}"),
        "component": _chances(row) + _quality(row),
    }
    return {name: part for name, part in resource.items() if part}  # FHIR knows no empty values


def resource_id(row: Row) -> str:
    """Return the id that this observation always has: its epoch's digest and its number."""
    site, device, epoch = (row[name] for name in EPOCH_KEY)
    return f"{epoch_digest((site, device, epoch))}-{row['seq']}"


def instant(time_ns: int) -> str:
    """Return a time in UTC to the millisecond, as FHIR writes it."""
    whole_s, rest_ns = divmod(time_ns, 10**9)
    moment = datetime.fromtimestamp(whole_s, tz=timezone.utc).replace(microsecond=rest_ns // 1000)
    return moment.isoformat(timespec="milliseconds")


def _identity(row: Row) -> str:
    return "/".join(str(row[name]) for name in (*EPOCH_KEY, "seq"))


def _is_heart_rate(row: Row) -> bool:
    return bool((row["code_system"], row["code"]) == (HEART_RATE.system, HEART_RATE.code))


def _category(row: Row) -> tuple[str, str]:
    return ("vital-signs", "Vital Signs") if _is_heart_rate(row) else ("procedure", "Procedure")


def _concept(system: str, code: str, display: str, *, text: str = "") -> Resource:
    coding = {"system": system, "code": code, "display": display}
    concept = {"coding": [{name: part for name, part in coding.items() if part}], "text": text or code or "unnamed"}
    return concept if code else {"text": concept["text"]}


def _reference(kind: str, system: str, value: str) -> Resource:
    return {"type": kind, "identifier": {"system": system, "value": value}}


def _method(row: Row) -> str:
    return f"{row['model_id']} {row['model_version']} (bundle {row['bundle_sha256']}) on {row['runtime']}"


def _quantity(value: float, unit: str) -> Resource:
    coded = {"unit": _UNIT_WORDS.get(unit, unit), "system": UCUM_SYSTEM, "code": unit} if unit else {}
    return {"value": value, **coded}


def _effective(row: Row) -> Resource:
    """A strip begins at its effective time and lasts."""
    begin_ns = row["effective_time_ns"]
    if row["samples"] is None:
        return {"effectiveDateTime": instant(begin_ns)}
    length_ns = round(len(row["samples"]) / 2 / row["sample_rate_hz"] * 1e9)
    return {"effectivePeriod": {"start": instant(begin_ns), "end": instant(begin_ns + length_ns)}}


def _value(row: Row) -> Resource:
    if row["samples"]:
        return {"valueSampledData": _sampled(row)}
    if row["label"] is not None:
        return {"valueCodeableConcept": _label(row, row["label"])}
    if row["number"] is not None:
        return {"valueQuantity": _quantity(row["number"], row["unit"])}
    reason = row["absent_reason"]
    code = reason if reason in _ABSENT_WORDS else "error"
    return {"dataAbsentReason": _concept(_ABSENT, code, _ABSENT_WORDS[code], text=reason or _ABSENT_WORDS[code])}


def _label(row: Row, label: str) -> Resource:
    if row["code"] == BEAT_CLASS.code:
        return _concept(EC57_SYSTEM, label, _EC57_WORDS.get(label, label), text=_EC57_WORDS.get(label, label))
    return _concept(f"{LABEL_SYSTEM}:{row['code']}", label, label)


def _chances(row: Row) -> list[Resource]:
    chances: dict[str, float] = msgspec.json.decode(row["probabilities"] or "{}")
    return [
        {
            "code": {**_label(row, label), "text": f"Probability of {label or 'unnamed'}"},
            "valueQuantity": _quantity(p, "1"),
        }
        for label, p in chances.items()
    ]


def _quality(row: Row) -> list[Resource]:
    if row["quality"] is None:
        return []
    code = SIGNAL_QUALITY
    return [{"code": _concept(code.system, code.code, code.display), "valueQuantity": _quantity(row["quality"], "1")}]


def _sampled(row: Row) -> Resource:
    """R4's SampledData: ``period`` is in milliseconds, ``E`` marks a missing sample."""
    data = sampled_data(row)
    stored = np.frombuffer(data.stored, "<i2").tolist()
    words = ["E" if missing else str(step) for step, missing in zip(stored, np.isnan(data.values()), strict=True)]
    return {
        "origin": _quantity(0, row["unit"]),
        "period": round(1000 / row["sample_rate_hz"], 6),
        "factor": row["factor"],
        "dimensions": 1,
        "data": " ".join(words),
    }
