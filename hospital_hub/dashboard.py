"""What the pages show: every patient at a glance, and one patient closely."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import numpy as np
import sqlalchemy as sa

from edge_sdk.codes import BEAT_CLASS, HEART_RATE, SIGNAL_QUALITY
from edge_sdk.messages import Status
from edge_sdk.observation import ClockQuality
from edge_sdk.tensors import FloatArray
from edge_sdk.topics import DeviceTopics
from hospital_hub.freshness import CURRENT_S, connection_state, is_current
from hospital_hub.live import Heard, Live
from hospital_hub.rows import EpochKey, Row, sampled_data
from hospital_hub.store import Store, of_epoch
from hospital_hub.tables import DEVICES, EPOCHS, OBSERVATIONS, TALLIES

_TREND = 720  # an hour of a heart rate every five seconds
_BEATS = 400
_STRIPS = 6
_ALARMS = 5
_SHOWN = (HEART_RATE.code, BEAT_CLASS.code, SIGNAL_QUALITY.code)
# A new alarm stands out this long; then it is history. (Nobody can acknowledge alarms yet.)
_ALARM_NEW_S = 120.0
# A strip follows its beat within seconds, so the beat's number is one of the last before the strip's.
_BEATS_BEFORE_STRIP = 200
_NEAR_NS = 20_000_000
# What a strip shows before its beat. A gateway sends no sample twice, so some of it may be in the strip before.
_CONTEXT_S = 1.5
_SAME_CHANNEL = ("code", "stream", "unit", "sample_rate_hz")

Facts = dict[str, Any]


class Dashboard:
    """Asks the store and what is live.

    Args:
        store: What is kept.
        live: What comes again by itself.
    """

    def __init__(self, store: Store, live: Live) -> None:
        self._store, self._live = store, live

    def devices(self) -> list[Facts]:
        """Return every device with its newest values."""
        epochs: dict[tuple[str, str], Row] = {}
        for row in self._store.read(sa.select(*EPOCHS.c).order_by(EPOCHS.c.heard_at_ns)):
            epochs[row["site"], row["device"]] = row
        statuses = {(row["site"], row["device"]): row for row in self._store.read(sa.select(*DEVICES.c))}
        names = sorted({*epochs, *statuses})
        return [self._tile(*name, epochs.get(name), statuses.get(name)) for name in names]

    def device(self, site: str, name: str) -> Facts | None:
        """Return one device with its trend, its latest beats and the strips around abnormal ones."""
        mine = (EPOCHS.c.site == site, EPOCHS.c.device == name)
        epoch = next(
            iter(self._store.read(sa.select(*EPOCHS.c).where(*mine).order_by(EPOCHS.c.heard_at_ns.desc()).limit(1))),
            None,
        )
        said = self._store.read(sa.select(*DEVICES.c).where(DEVICES.c.site == site, DEVICES.c.device == name))
        if epoch is None and not said:
            return None
        tile = self._tile(site, name, epoch, said[0] if said else None)
        if epoch is None:
            return {**tile, "trend": [], "beats": [], "strips": []}
        key = _key(epoch)
        rates = self._latest(key, HEART_RATE.code, _TREND)
        beats = self._latest(key, BEAT_CLASS.code, _BEATS)
        return {
            **tile,
            "trend": [[_seconds(row), row["number"]] for row in reversed(rates) if row["number"] is not None],
            "beats": [[_seconds(row), row["label"]] for row in reversed(beats) if row["label"] is not None],
            "strips": self._strips(key),
        }

    def _tile(self, site: str, name: str, epoch: Row | None, said: Row | None) -> Facts:
        now_ns = time.time_ns()
        status = msgspec.json.decode(said["status"], type=Status) if said else Status(online=False)
        newest = {code: _shown(row) for code, row in self._newest(epoch).items()}
        for code, heard in self._live.values(DeviceTopics(site, name)).items():
            if code in _SHOWN and heard.received_at_ns:
                said_now = _announced(heard, newest.get(code))
                newest[code] = newer(newest.get(code), said_now, now_ns=now_ns) or said_now
        latest = newer(*newest.values(), now_ns=now_ns)
        received_ns = max([epoch["heard_at_ns"] if epoch else 0, *(v["received_at_ns"] for v in newest.values())])
        state = connection_state(
            now_ns=now_ns,
            online=status.online,
            received_at_ns=received_ns,
            effective_time_ns=latest["effective_time_ns"] if latest else None,
            clock=latest["clock"] if latest else "",
        )
        return {
            "site": site,
            "device": name,
            "subject": latest["subject"] if latest else "",
            "state": state,
            "age_s": (now_ns - received_ns) / 1e9 if received_ns else None,
            "effective_time_ns": str(latest["effective_time_ns"]) if latest else "",
            "clock": latest["clock"] if latest else "",
            "heart_rate": _value(newest.get(HEART_RATE.code), latest, state=state, now_ns=now_ns),
            "beat": _value(newest.get(BEAT_CLASS.code), latest, state=state, now_ns=now_ns),
            "quality": latest["quality"] if latest else None,
            "counts": self._counts(epoch),
            "alarms": self._alarms(epoch, now_ns),
            "status": msgspec.to_builtins(status),
        }

    def _newest(self, epoch: Row | None) -> dict[str, Row]:
        found = {} if epoch is None else {code: self._latest(_key(epoch), code, 1) for code in _SHOWN}
        return {code: rows[0] for code, rows in found.items() if rows}

    def _latest(self, key: EpochKey, code: str, limit: int) -> list[Row]:
        o = OBSERVATIONS.c
        mine = sa.select(*o).where(*of_epoch(OBSERVATIONS, key), o.code == code)
        return self._store.read(mine.order_by(o.seq.desc()).limit(limit))

    def _counts(self, epoch: Row | None) -> dict[str, int]:
        if epoch is None:
            return {}
        mine = (*of_epoch(TALLIES, _key(epoch)), TALLIES.c.code == BEAT_CLASS.code)
        return {row["label"]: row["n"] for row in self._store.read(sa.select(*TALLIES.c).where(*mine))}

    def _alarms(self, epoch: Row | None, now_ns: int) -> list[Facts]:
        if epoch is None:
            return []
        o = OBSERVATIONS.c
        # A literal, not a parameter: only so is the partial index on alarms used.
        urgent = o.priority == sa.literal_column("'alarm'")
        query = sa.select(*o).where(*of_epoch(OBSERVATIONS, _key(epoch)), urgent)
        rows = self._store.read(query.order_by(o.seq.desc()).limit(_ALARMS))
        return [
            {
                "display": row["display"],
                "effective_time_ns": str(row["effective_time_ns"]),
                "new": now_ns - row["received_at_ns"] <= _ALARM_NEW_S * 1e9,
            }
            for row in rows
        ]

    def _strips(self, key: EpochKey) -> list[Facts]:
        o = OBSERVATIONS.c
        query = sa.select(*o).where(*of_epoch(OBSERVATIONS, key), o.sample_rate_hz.is_not(None))
        rows = self._store.read(query.order_by(o.seq.desc()).limit(_STRIPS + 1))
        pairs = zip(rows, [*rows[1:], None], strict=True)
        return [strip(row, self._beat_of(key, row), before=before) for row, before in pairs][:_STRIPS]

    def _beat_of(self, key: EpochKey, row: Row) -> Row | None:
        o = OBSERVATIONS.c
        anchor_ns = row["effective_time_ns"] + round(row["anchor_s"] * 1e9)
        query = sa.select(*o).where(
            *of_epoch(OBSERVATIONS, key),
            o.seq.between(row["seq"] - _BEATS_BEFORE_STRIP, row["seq"]),
            o.code == BEAT_CLASS.code,
            o.effective_time_ns.between(anchor_ns - _NEAR_NS, anchor_ns + _NEAR_NS),
        )
        return next(iter(self._store.read(query.limit(1))), None)


def strip(row: Row, beat: Row | None, *, before: Row | None) -> Facts:
    """Return a strip as it is drawn, with what was said about the beat it shows, after the end of the one before."""
    led = _lead(row, before)
    lead_s = len(led) / row["sample_rate_hz"]
    values = np.concatenate([led, sampled_data(row).values()])
    return {
        "seq": str(row["seq"]),
        "effective_time_ns": str(row["effective_time_ns"] - round(lead_s * 1e9)),
        "display": row["display"],
        "unit": row["unit"],
        "sample_rate_hz": row["sample_rate_hz"],
        "anchor_s": row["anchor_s"] + lead_s,
        "values": [None if np.isnan(value) else float(f"{value:.4g}") for value in values.tolist()],
        "label": (beat["label"] or "") if beat else "",
        "probabilities": msgspec.json.decode(beat["probabilities"]) if beat and beat["probabilities"] else {},
        "model": f"{beat['model_id']} {beat['model_version']}" if beat and beat["model_id"] else "",
    }


def _lead(row: Row, before: Row | None) -> FloatArray:
    """Return the last samples of the strip before, as many as this one lacks, if it goes on where that one ended."""
    missing = round((_CONTEXT_S - row["anchor_s"]) * row["sample_rate_hz"])
    if before is None or missing <= 0 or any(before[name] != row[name] for name in _SAME_CHANNEL):
        return np.empty(0, np.float32)
    values = sampled_data(before).values()
    period_ns = 1e9 / row["sample_rate_hz"]
    apart_ns = row["effective_time_ns"] - before["effective_time_ns"] - len(values) * period_ns
    return values[-missing:] if abs(apart_ns) < period_ns / 2 else np.empty(0, np.float32)


def _key(epoch: Row) -> EpochKey:
    return epoch["site"], epoch["device"], epoch["epoch"]


def _seconds(row: Row) -> float:
    return float(row["effective_time_ns"] / 1e9)


def _shown(row: Row) -> Facts:
    names = ("effective_time_ns", "received_at_ns", "subject", "quality", "clock")
    return {"value": row["number"] if row["label"] is None else row["label"], **{name: row[name] for name in names}}


def _announced(heard: Heard, stored: Facts | None) -> Facts:
    latest = heard.latest
    return {
        "value": latest.value,
        "effective_time_ns": latest.effective_time_ns,
        "received_at_ns": heard.received_at_ns,
        "subject": latest.subject,
        "quality": latest.quality,
        "clock": stored["clock"] if stored else ClockQuality.UNSYNCHRONIZED.value,
    }


def newer(*values: Facts | None, now_ns: int) -> Facts | None:
    """Return the value of the latest time among those that came just now, or else among all.

    When a recording is replayed again, what came before is of a later time and yet is not the present.
    """

    def rank(value: Facts) -> tuple[bool, int]:
        return now_ns - value["received_at_ns"] <= CURRENT_S * 1e9, value["effective_time_ns"]

    return max((value for value in values if value is not None), key=rank, default=None)


def _value(value: Facts | None, latest: Facts | None, *, state: str, now_ns: int) -> Any:
    """Return a value to show as the present one, or ``None``."""
    if value is None or latest is None or state != "live":
        return None
    times = {name: value[name] for name in ("received_at_ns", "effective_time_ns")}
    return value["value"] if is_current(now_ns=now_ns, newest_ns=latest["effective_time_ns"], **times) else None
