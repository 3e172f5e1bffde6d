"""FHIR R4: observations as a hospital's systems read them (hl7.org/fhir/R4)."""

from __future__ import annotations

import math
import uuid
from datetime import datetime, timezone
from typing import Any

import msgspec
import numpy as np
import sqlalchemy as sa

from edge_sdk import __version__
from edge_sdk.codes import HEART_RATE, UCUM_SYSTEM
from hospital_hub.queries import sampled_data
from hospital_hub.store import Row, Store
from hospital_hub.tables import OBSERVATIONS

DEVICE_SYSTEM = "urn:wearable-edge-sdk:device"
SUBJECT_SYSTEM = "urn:wearable-edge-sdk:subject"
OBSERVATION_SYSTEM = "urn:wearable-edge-sdk:observation"
BEAT_SYSTEM = "urn:wearable-edge-sdk:ec57-class"
_CATEGORIES = "http://terminology.hl7.org/CodeSystem/observation-category"
_ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
_VITAL_SIGNS = "http://hl7.org/fhir/StructureDefinition/vitalsigns"
_HEART_RATE_PROFILE = "http://hl7.org/fhir/StructureDefinition/heartrate"
_BEAT_WORDS = {
    "N": "Normal or bundle branch block beat",
    "S": "Supraventricular ectopic beat",
    "V": "Ventricular ectopic beat",
    "F": "Fusion beat",
    "Q": "Paced or unclassifiable beat",
}
_NAMESPACE = uuid.UUID("6f1d2c3e-8a4b-5c6d-9e0f-1a2b3c4d5e6f")
PAGE_SIZE, LARGEST_PAGE = 50, 1000


def observation(row: Row) -> dict[str, Any]:
    """Return a stored observation as a FHIR R4 Observation."""
    resource = {
        "resourceType": "Observation",
        "id": resource_id(row),
        **_profile(row),
        "identifier": [{"system": OBSERVATION_SYSTEM, "value": _identity(row)}],
        "status": "final",
        "category": [_category(row)],
        "code": {"coding": [_coding(row["code_system"], row["code"], row["display"])], "text": row["display"]},
        "subject": {"identifier": {"system": SUBJECT_SYSTEM, "value": row["subject"]}},
        "effectiveDateTime": _instant(row["effective_time_ns"]),
        "issued": _instant(row["received_at_ns"]),
        "device": {"identifier": {"system": DEVICE_SYSTEM, "value": f"{row['site']}/{row['device']}"}},
        **_value(row),
    }
    if row["model_id"]:
        resource["method"] = {"text": f"{row['model_id']} {row['model_version']} on {row['runtime']}"}
    return resource


def resource_id(row: Row) -> str:
    """Return the id that this observation always has."""
    return str(uuid.uuid5(_NAMESPACE, _identity(row)))


def bundle(store: Store, parameters: dict[str, str], *, base: str) -> dict[str, Any]:
    """Answer a search as a searchset Bundle.

    Raises:
        ValueError: A parameter has a value that cannot be searched for.
    """
    count = min(int(parameters.get("_count", PAGE_SIZE)), LARGEST_PAGE)
    page = max(1, int(parameters.get("page", "1")))
    where = _conditions(parameters)
    total = store.read(sa.select(sa.func.count().label("n")).select_from(OBSERVATIONS).where(*where))[0]["n"]
    o = OBSERVATIONS.c
    query = sa.select(*o).where(*where).order_by(o.effective_time_ns.desc(), o.id.desc())
    rows = store.read(query.limit(count).offset((page - 1) * count))
    links = [{"relation": "self", "url": _link(base, parameters, page)}]
    if page * count < total:
        links.append({"relation": "next", "url": _link(base, parameters, page + 1)})
    entries = [{"fullUrl": f"urn:uuid:{resource_id(row)}", "resource": observation(row)} for row in rows]
    return {"resourceType": "Bundle", "type": "searchset", "total": total, "link": links, "entry": entries}


def one(store: Store, wanted: str) -> dict[str, Any] | None:
    """Return the observation of an id, or ``None``."""
    o = OBSERVATIONS.c
    for row in store.stream(sa.select(o.site, o.device, o.epoch, o.seq)):
        if resource_id(row) == wanted:
            keys = ("site", "device", "epoch", "seq")
            return observation(store.read(sa.select(*o).where(*(o[name] == row[name] for name in keys)))[0])
    return None


def capability_statement(base: str) -> dict[str, Any]:
    """Return what this server can do."""
    search = [("device", "token"), ("patient", "token"), ("code", "token"), ("date", "date")]
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-11-23",
        "kind": "instance",
        "software": {"name": "edge-hub", "version": __version__},
        "implementation": {"description": "Observations of wearables", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "rest": [
            {
                "mode": "server",
                "resource": [
                    {
                        "type": "Observation",
                        "interaction": [{"code": "read"}, {"code": "search-type"}],
                        "searchParam": [{"name": name, "type": kind} for name, kind in search],
                    }
                ],
            }
        ],
    }


def _conditions(parameters: dict[str, str]) -> list[sa.ColumnElement[bool]]:
    o = OBSERVATIONS.c
    conditions: list[sa.ColumnElement[bool]] = []
    if "device" in parameters:
        site, _, name = parameters["device"].rpartition("|")[2].partition("/")
        conditions += [o.site == site, o.device == name]
    if "patient" in parameters:
        conditions.append(o.subject == parameters["patient"].rpartition("|")[2])
    if "code" in parameters:
        conditions.append(o.code == parameters["code"].rpartition("|")[2])
    if "date" in parameters:
        conditions.append(_date_condition(parameters["date"]))
    return conditions


def _date_condition(text: str) -> sa.ColumnElement[bool]:
    prefixes = {"ge": "__ge__", "le": "__le__", "gt": "__gt__", "lt": "__lt__", "eq": "__eq__"}
    prefix, moment = (text[:2], text[2:]) if text[:2] in prefixes else ("eq", text)
    parsed = datetime.fromisoformat(moment.replace("Z", "+00:00"))
    at = parsed if parsed.tzinfo else parsed.replace(tzinfo=timezone.utc)
    condition: sa.ColumnElement[bool] = getattr(OBSERVATIONS.c.effective_time_ns, prefixes[prefix])(
        int(at.timestamp() * 1e9)
    )
    return condition


def _link(base: str, parameters: dict[str, str], page: int) -> str:
    kept = {**parameters, "page": str(page)}
    return f"{base}/Observation?" + "&".join(f"{name}={value}" for name, value in sorted(kept.items()))


def _identity(row: Row) -> str:
    return f"{row['site']}/{row['device']}/{row['epoch']}/{row['seq']}"


def _profile(row: Row) -> dict[str, Any]:
    return {"meta": {"profile": [_VITAL_SIGNS, _HEART_RATE_PROFILE]}} if row["code"] == HEART_RATE.code else {}


def _category(row: Row) -> dict[str, Any]:
    vital = row["code"] == HEART_RATE.code
    code, display = ("vital-signs", "Vital Signs") if vital else ("procedure", "Procedure")
    return {"coding": [_coding(_CATEGORIES, code, display)]}


def _coding(system: str, code: str, display: str) -> dict[str, str]:
    return {"system": system, "code": code, "display": display}


def _instant(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9, tz=timezone.utc).isoformat(timespec="milliseconds")


def _quantity(value: float, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": UCUM_SYSTEM, "code": unit}


def _value(row: Row) -> dict[str, Any]:
    if row["samples"] is not None:
        return {"valueSampledData": _sampled(row)}
    if row["label"] is not None:
        return {"valueCodeableConcept": _beat(row["label"]), "component": _chances(row)}
    if row["number"] is not None and math.isfinite(row["number"]):
        return {"valueQuantity": _quantity(row["number"], row["unit"])}
    reason = {"coding": [_coding(_ABSENT, "error", "Error")]}
    return {"dataAbsentReason": {**reason, "text": row["absent_reason"]} if row["absent_reason"] else reason}


def _beat(label: str) -> dict[str, Any]:
    return {"coding": [_coding(BEAT_SYSTEM, label, _BEAT_WORDS.get(label, label))]}


def _chances(row: Row) -> list[dict[str, Any]]:
    chances: dict[str, float] = msgspec.json.decode(row["probabilities"])
    return [
        {
            "code": {**_beat(label), "text": f"Probability of class {label}"},
            "valueQuantity": _quantity(value, "1"),
        }
        for label, value in chances.items()
    ]


def _sampled(row: Row) -> dict[str, Any]:
    """R4's SampledData: ``E`` marks a missing sample, ``period`` is in milliseconds."""
    strip = sampled_data(row)
    stored = np.frombuffer(strip.stored, "<i2")
    words = ["E" if missing else str(step) for step, missing in zip(stored, np.isnan(strip.values()), strict=True)]
    return {
        "origin": _quantity(0, row["unit"]),
        "period": round(1000 / row["sample_rate_hz"], 6),
        "factor": row["factor"],
        "dimensions": 1,
        "data": " ".join(words),
    }
