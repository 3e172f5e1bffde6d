"""FHIR R4: searching, reading, and saying what this server can do (hl7.org/fhir/R4/http.html)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa

from edge_sdk import __version__
from edge_sdk.errors import MessageError
from hospital_hub.fhir import Resource, observation
from hospital_hub.rows import EPOCH_KEY
from hospital_hub.store import Store, of_epoch
from hospital_hub.tables import EPOCHS, OBSERVATIONS

Parameters = Sequence[tuple[str, str]]
_SEARCHES = {"_id": "token", "device": "token", "subject": "token", "patient": "token", "code": "token", "date": "date"}
_PAGING = ("_count", "page")
_PAGE, _LARGEST_PAGE, _LAST_PAGE = 50, 1000, 1_000_000
_LARGEST_SEQ = 2**63 - 1
_PREFIXES = ("eq", "ge", "le", "gt", "lt")
_RELEASED = "2026-11-23"


def search(store: Store, parameters: Parameters, *, base: str) -> Resource:
    """Answer a search as a searchset Bundle, newest first.

    Args:
        store: Where to look.
        parameters: Names and values; several of one name must all hold, values joined by a comma may.
        base: Address of this server.

    Raises:
        MessageError: A parameter is unknown, or its value cannot be searched for.
    """
    count = min(_natural(parameters, "_count", _PAGE), _LARGEST_PAGE)
    page = min(max(1, _natural(parameters, "page", 1)), _LAST_PAGE)
    where = [_condition(name, value) for name, value in parameters if name not in _PAGING and name != "_format"]
    o = OBSERVATIONS.c
    total = store.read(sa.select(sa.func.count().label("n")).select_from(OBSERVATIONS).where(*where))[0]["n"]
    newest = sa.select(*o).where(*where).order_by(o.effective_time_ns.desc(), o.id.desc())
    rows = store.read(newest.limit(count).offset((page - 1) * count))
    links = [{"relation": "self", "url": _link(base, parameters, page)}]
    if page * count < total and count:
        links.append({"relation": "next", "url": _link(base, parameters, page + 1)})
    return bundle([observation(row) for row in rows], base=base, kind="searchset", total=total, link=links)


def bundle(resources: Sequence[Resource], *, base: str, kind: str, **more: Any) -> Resource:
    """Return resources as a Bundle."""
    mode = {"search": {"mode": "match"}} if kind == "searchset" else {}
    entries = [{"fullUrl": f"{base}/Observation/{item['id']}", "resource": item, **mode} for item in resources]
    return {"resourceType": "Bundle", "type": kind, **more, **({"entry": entries} if entries else {})}


def read(store: Store, wanted: str) -> Resource | None:
    """Return the observation of an id, or ``None``."""
    digest, _, seq = wanted.partition("-")
    if not (seq.isascii() and seq.isdigit() and int(seq) <= _LARGEST_SEQ):
        return None
    for epoch in store.read(sa.select(*EPOCHS.c).where(EPOCHS.c.digest == digest)):
        site, device, name = (epoch[part] for part in EPOCH_KEY)
        mine = (*of_epoch(OBSERVATIONS, (site, device, name)), OBSERVATIONS.c.seq == int(seq))
        for row in store.read(sa.select(*OBSERVATIONS.c).where(*mine)):
            return observation(row)
    return None


def outcome(code: str, words: str) -> Resource:
    """Return what went wrong."""
    issue = {"severity": "error", "code": code, "diagnostics": words}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def capability_statement(base: str) -> Resource:
    """Return what this server can do."""
    resource = {
        "type": "Observation",
        "interaction": [{"code": "read"}, {"code": "search-type"}],
        "versioning": "no-version",
        "searchParam": [{"name": name, "type": kind} for name, kind in _SEARCHES.items()],
    }
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": _RELEASED,
        "kind": "instance",
        "software": {"name": "edge-hub", "version": __version__},
        "implementation": {"description": "Observations of wearables", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "rest": [{"mode": "server", "resource": [resource]}],
    }


def _natural(parameters: Parameters, name: str, otherwise: int) -> int:
    value = dict(parameters).get(name)
    if value is None:
        return otherwise
    if not (value.isascii() and value.isdigit()):
        raise MessageError(f"{name}={value} is not a number")
    return int(value[:9])


def _condition(name: str, value: str) -> sa.ColumnElement[bool]:
    if name not in _SEARCHES:
        raise MessageError(f"no search by '{name}'", remedy=f"use {', '.join([*_SEARCHES, *_PAGING])}")
    return sa.or_(*(_CONDITIONS[name](alternative) for alternative in value.split(",")))


def _by_id(value: str) -> sa.ColumnElement[bool]:
    digest, _, seq = value.partition("-")
    number = int(seq) if seq.isascii() and seq.isdigit() else 0
    o, e = OBSERVATIONS.c, EPOCHS.c
    same = (e.site == o.site, e.device == o.device, e.epoch == o.epoch, e.digest == digest)
    return sa.and_(o.seq == min(number, _LARGEST_SEQ), sa.exists().where(*same))


def _by_device(value: str) -> sa.ColumnElement[bool]:
    site, _, device = value.rpartition("|")[2].partition("/")
    return sa.and_(OBSERVATIONS.c.site == site, OBSERVATIONS.c.device == device)


def _by_subject(value: str) -> sa.ColumnElement[bool]:
    return OBSERVATIONS.c.subject == value.rpartition("|")[2]


def _by_code(value: str) -> sa.ColumnElement[bool]:
    system, bar, code = value.rpartition("|")
    condition = OBSERVATIONS.c.code == code
    return sa.and_(condition, OBSERVATIONS.c.code_system == system) if bar and system else condition


def _by_date(value: str) -> sa.ColumnElement[bool]:
    prefix, moment = (value[:2], value[2:]) if value[:2] in _PREFIXES else ("eq", value)
    begin_ns, end_ns = _span_ns(moment)
    time_ns = OBSERVATIONS.c.effective_time_ns
    return {
        "eq": sa.and_(time_ns >= begin_ns, time_ns < end_ns),
        "ge": time_ns >= begin_ns,
        "gt": time_ns >= end_ns,
        "lt": time_ns < begin_ns,
        "le": time_ns < end_ns,
    }[prefix]


def _span_ns(moment: str) -> tuple[int, int]:
    """Return begin and end of what a date means: a year, a month, a day, a second or a millisecond."""
    try:
        if len(moment) == len("2026"):
            begin = datetime(int(moment), 1, 1, tzinfo=timezone.utc)
            end = begin.replace(year=begin.year + 1)
        elif len(moment) == len("2026-11"):
            begin = datetime.strptime(moment, "%Y-%m").replace(tzinfo=timezone.utc)
            end = (begin + timedelta(days=31)).replace(day=1)
        else:
            begin = datetime.fromisoformat(moment.replace("Z", "+00:00").replace(" ", "+"))
            begin = begin if begin.tzinfo else begin.replace(tzinfo=timezone.utc)
            end = begin + _precision(moment)
    except (ValueError, OverflowError) as error:
        raise MessageError(f"date={moment} is not a date", remedy="write it like ge2026-11-23T10:00:00Z") from error
    return _nanoseconds(begin), _nanoseconds(end)


def _precision(moment: str) -> timedelta:
    if len(moment) == len("2026-11-23"):
        return timedelta(days=1)
    return timedelta(milliseconds=1) if "." in moment else timedelta(seconds=1)


def _nanoseconds(moment: datetime) -> int:
    since = moment - datetime(1970, 1, 1, tzinfo=timezone.utc)
    return max(-(2**63), min(2**63 - 1, since // timedelta(microseconds=1) * 1000))


def _link(base: str, parameters: Parameters, page: int) -> str:
    kept = [(name, value) for name, value in parameters if name != "page"]
    return f"{base}/Observation?{urlencode([*kept, ('page', str(page))])}"


_CONDITIONS = {
    "_id": _by_id,
    "device": _by_device,
    "subject": _by_subject,
    "patient": _by_subject,
    "code": _by_code,
    "date": _by_date,
}
