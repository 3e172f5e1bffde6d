"""What people and programs ask of the store."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import numpy as np
import sqlalchemy as sa

from edge_sdk.codes import BEAT_CLASS, HEART_RATE
from edge_sdk.messages import Status
from edge_sdk.observation import SampledData
from hospital_hub.store import Row, Store
from hospital_hub.tables import DEVICES, EPOCHS, OBSERVATIONS, QUARANTINE, TOMBSTONES
from hospital_hub.watermark import as_ranges, gaps

# A value that nothing has confirmed for this long is not shown as current.
STALE_S = 15.0
_TREND_POINTS = 400
_BEATS = 400
_STRIPS = 6
_NEAR_NS = 20_000_000


def overview(store: Store) -> list[dict[str, Any]]:
    """Return every device with its newest values."""
    o = OBSERVATIONS.c
    known = store.read(
        sa.select(o.site, o.device, sa.func.max(o.received_at_ns).label("heard")).group_by(o.site, o.device)
    )
    devices = {(row["site"], row["device"]): row["heard"] for row in known}
    statuses = {(row["site"], row["device"]): row for row in store.read(sa.select(*DEVICES.c))}
    return [
        _tile(store, site, device, devices.get((site, device)), statuses.get((site, device)))
        for site, device in sorted({*devices, *statuses})
    ]


def device(store: Store, site: str, name: str) -> dict[str, Any] | None:
    """Return one device with its trend, its latest beats and the strips around abnormal ones."""
    found = [item for item in overview(store) if (item["site"], item["device"]) == (site, name)]
    if not found:
        return None
    return {
        **found[0],
        "trend": _trend(store, site, name),
        "beats": _beats(store, site, name),
        "strips": _strips(store, site, name),
    }


def audit(store: Store) -> dict[str, Any]:
    """Return, for every device and epoch, what is stored and what is missing without a tombstone."""
    return {
        "epochs": [_audit_epoch(store, row) for row in store.read(sa.select(*EPOCHS.c).order_by(*list(EPOCHS.c)[:3]))],
        "quarantined": store.read(sa.select(sa.func.count().label("n")).select_from(QUARANTINE))[0]["n"],
    }


def _audit_epoch(store: Store, epoch: Row) -> dict[str, Any]:
    def of(table: sa.TableClause) -> tuple[sa.ColumnElement[bool], ...]:
        return tuple(table.c[name] == epoch[name] for name in ("site", "device", "epoch"))

    seqs = [row["seq"] for row in store.read(sa.select(OBSERVATIONS.c.seq).where(*of(OBSERVATIONS)))]
    buried = store.read(sa.select(*TOMBSTONES.c).where(*of(TOMBSTONES)).order_by(TOMBSTONES.c.first_seq))
    settled = [*as_ranges(seqs), *((row["first_seq"], row["last_seq"]) for row in buried)]
    return {
        **{name: epoch[name] for name in ("site", "device", "epoch", "watermark", "duplicates_refused")},
        "stored": len(seqs),
        "distinct": len(set(seqs)),
        "first_seq": min(seqs, default=None),
        "last_seq": max(seqs, default=None),
        "missing": gaps(settled, first=epoch["base"] + 1),
        "tombstones": [{name: row[name] for name in ("first_seq", "last_seq", "reason")} for row in buried],
    }


def _of_device(site: str, name: str) -> tuple[sa.ColumnElement[bool], ...]:
    return OBSERVATIONS.c.site == site, OBSERVATIONS.c.device == name


def _latest(store: Store, site: str, name: str, code: str, limit: int = 1) -> list[Row]:
    o = OBSERVATIONS.c
    query = sa.select(*o).where(*_of_device(site, name), o.code == code).order_by(o.effective_time_ns.desc())
    return store.read(query.limit(limit))


def _tile(store: Store, site: str, name: str, heard_ns: int | None, status: Row | None) -> dict[str, Any]:
    rate = _latest(store, site, name, HEART_RATE.code)
    beat = _latest(store, site, name, BEAT_CLASS.code)
    said = msgspec.json.decode(status["status"], type=Status) if status else Status(online=False)
    age_s = (time.time_ns() - heard_ns) / 1e9 if heard_ns else None
    o = OBSERVATIONS.c
    counted = sa.select(o.label, sa.func.count().label("n")).where(*_of_device(site, name), o.code == BEAT_CLASS.code)
    return {
        "site": site,
        "device": name,
        "subject": next((row["subject"] for row in (*rate, *beat)), ""),
        "online": bool(said.online),
        "age_s": age_s,
        "stale": age_s is None or age_s > STALE_S or not said.online,
        "heart_rate": rate[0]["number"] if rate else None,
        "beat": beat[0]["label"] if beat else None,
        "quality": beat[0]["quality"] if beat else None,
        "effective_time_ns": str(max([row[0]["effective_time_ns"] for row in (rate, beat) if row], default="")),
        "counts": {row["label"]: row["n"] for row in store.read(counted.group_by(o.label))},
        "alarms": _alarms(store, site, name),
        "clock": beat[0]["clock"] if beat else "",
        "status": msgspec.to_builtins(said),
    }


def _alarms(store: Store, site: str, name: str) -> list[dict[str, Any]]:
    o = OBSERVATIONS.c
    query = sa.select(o.display, o.effective_time_ns).where(*_of_device(site, name), o.priority == "alarm")
    rows = store.read(query.order_by(o.effective_time_ns.desc()).limit(5))
    return [{"display": row["display"], "effective_time_ns": str(row["effective_time_ns"])} for row in rows]


def _trend(store: Store, site: str, name: str) -> list[list[float]]:
    """Return heart rates as (seconds since 1970, per minute), thinned evenly."""
    o = OBSERVATIONS.c
    query = sa.select(o.effective_time_ns, o.number).where(*_of_device(site, name), o.code == HEART_RATE.code)
    rows = store.read(query.order_by(o.effective_time_ns))
    kept = rows[:: max(1, len(rows) // _TREND_POINTS)]
    return [[row["effective_time_ns"] / 1e9, row["number"]] for row in kept]


def _beats(store: Store, site: str, name: str) -> list[list[Any]]:
    rows = _latest(store, site, name, BEAT_CLASS.code, _BEATS)
    return [[row["effective_time_ns"] / 1e9, row["label"]] for row in reversed(rows)]


def _strips(store: Store, site: str, name: str) -> list[dict[str, Any]]:
    o = OBSERVATIONS.c
    query = sa.select(*o).where(*_of_device(site, name), o.samples.is_not(None))
    rows = store.read(query.order_by(o.effective_time_ns.desc()).limit(_STRIPS))
    return [_strip(store, row) for row in rows]


def _strip(store: Store, row: Row) -> dict[str, Any]:
    o = OBSERVATIONS.c
    anchor_ns = row["effective_time_ns"] + round(row["anchor_s"] * 1e9)
    near = o.effective_time_ns.between(anchor_ns - _NEAR_NS, anchor_ns + _NEAR_NS)
    query = sa.select(*o).where(*_of_device(row["site"], row["device"]), o.code == BEAT_CLASS.code, near)
    beat = next(iter(store.read(query.limit(1))), None)
    values = sampled_data(row).values()
    return {
        "effective_time_ns": str(row["effective_time_ns"]),
        "display": row["display"],
        "unit": row["unit"],
        "sample_rate_hz": row["sample_rate_hz"],
        "anchor_s": row["anchor_s"],
        "values": [None if np.isnan(value) else round(float(value), 3) for value in values],
        "label": beat["label"] if beat else "",
        "probabilities": msgspec.json.decode(beat["probabilities"]) if beat else {},
        "model": f"{beat['model_id']} {beat['model_version']}" if beat else "",
    }


def sampled_data(row: Row) -> SampledData:
    """Return the strip that a row holds."""
    return SampledData(
        unit=row["unit"],
        sample_rate_hz=row["sample_rate_hz"],
        factor=row["factor"],
        stored=bytes(row["samples"]),
        anchor_s=row["anchor_s"],
    )
