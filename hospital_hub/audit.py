"""What has arrived of each device, and what is missing without a word."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from hospital_hub.rows import EPOCH_KEY, EpochKey, Row
from hospital_hub.store import Store, of_epoch
from hospital_hub.tables import EPOCHS, OBSERVATIONS, QUARANTINE, TOMBSTONES
from hospital_hub.watermark import Range, without


def audit(store: Store) -> dict[str, Any]:
    """Return, for every device and epoch, what is stored and what is missing without a tombstone."""
    epochs = store.read(sa.select(*EPOCHS.c).order_by(*(EPOCHS.c[name] for name in EPOCH_KEY)))
    quarantined = store.read(sa.select(sa.func.count().label("n")).select_from(QUARANTINE))[0]["n"]
    return {"epochs": [_audit_epoch(store, epoch) for epoch in epochs], "quarantined": quarantined}


def _audit_epoch(store: Store, epoch: Row) -> dict[str, Any]:
    key: EpochKey = (epoch["site"], epoch["device"], epoch["epoch"])
    buried = store.read(sa.select(*TOMBSTONES.c).where(*of_epoch(TOMBSTONES, key)).order_by(TOMBSTONES.c.first_seq))
    seq = OBSERVATIONS.c.seq
    summary = sa.select(
        sa.func.count().label("stored"),
        sa.func.count(seq.distinct()).label("distinct"),
        sa.func.min(seq).label("first_seq"),
        sa.func.max(seq).label("last_seq"),
    ).where(*of_epoch(OBSERVATIONS, key))
    graves = [(row["first_seq"], row["last_seq"]) for row in buried]
    return {
        **{name: epoch[name] for name in (*EPOCH_KEY, "watermark", "duplicates_refused")},
        **store.read(summary)[0],
        "missing": without(_holes(store, key, first=epoch["base"] + 1), graves),
        "tombstones": [{name: row[name] for name in ("first_seq", "last_seq", "reason")} for row in buried],
        "quarantined": _quarantined(store, key),
    }


def _holes(store: Store, key: EpochKey, *, first: int) -> list[Range]:
    """Return the ranges between stored numbers; the database finds them, so that millions of rows stay there."""
    seq = OBSERVATIONS.c.seq
    before = sa.func.lag(seq, 1, first - 1).over(order_by=seq).label("before")
    ordered = sa.select(seq, before).where(*of_epoch(OBSERVATIONS, key)).subquery()
    rows = store.read(sa.select(ordered).where(ordered.c.seq > ordered.c.before + 1).order_by(ordered.c.seq))
    return [(row["before"] + 1, row["seq"] - 1) for row in rows]


def _quarantined(store: Store, key: EpochKey) -> int:
    mine = QUARANTINE.c.topic.startswith(f"edge/v1/{key[0]}/{key[1]}/", autoescape=True)
    count: int = store.read(sa.select(sa.func.count().label("n")).select_from(QUARANTINE).where(mine))[0]["n"]
    return count
