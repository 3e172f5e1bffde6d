"""Devices, observations, what is missing, and what could not be read."""

from __future__ import annotations

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _keys(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def _serial() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True)


def upgrade() -> None:
    """Create the first tables."""
    identity = op.create_table("identity", *_keys("hub"), sa.PrimaryKeyConstraint("hub"))
    op.bulk_insert(identity, [{"hub": uuid.uuid4().hex}])
    op.create_table(
        "devices",
        *_keys("site", "device"),
        sa.Column("online", sa.Boolean, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        _number("heard_at_ns"),
        sa.PrimaryKeyConstraint("site", "device"),
    )
    _create_observations()
    op.create_table(
        "tallies",
        *_keys("site", "device", "epoch", "code", "label"),
        _number("n"),
        sa.PrimaryKeyConstraint("site", "device", "epoch", "code", "label"),
    )
    op.create_table(
        "epochs",
        *_keys("site", "device", "epoch", "digest"),
        *map(_number, ("base", "watermark", "duplicates_refused", "heard_at_ns")),
        sa.PrimaryKeyConstraint("site", "device", "epoch"),
        sa.UniqueConstraint("digest"),
    )
    op.create_table(
        "tombstones",
        *_keys("site", "device", "epoch"),
        *map(_number, ("first_seq", "last_seq")),
        *_keys("reason"),
        sa.PrimaryKeyConstraint("site", "device", "epoch", "first_seq", "last_seq"),
    )
    op.create_table(
        "quarantine",
        _serial(),
        *_keys("topic", "sha256"),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        *_keys("reason"),
        *map(_number, ("times", "first_at_ns", "last_at_ns")),
        sa.UniqueConstraint("topic", "sha256"),
    )


def _create_observations() -> None:
    op.create_table(
        "observations",
        _serial(),
        *_keys("site", "device", "epoch"),
        _number("seq"),
        *_keys("code_system", "code", "display"),
        *map(_number, ("effective_time_ns", "received_at_ns")),
        *_keys("stream", "subject", "clock", "priority"),
        sa.Column("quality", sa.Float),
        sa.Column("number", sa.Float),
        sa.Column("unit", sa.Text),
        sa.Column("label", sa.Text),
        sa.Column("probabilities", sa.Text),
        sa.Column("samples", sa.LargeBinary),
        sa.Column("sample_rate_hz", sa.Float),
        sa.Column("factor", sa.Float),
        sa.Column("anchor_s", sa.Float),
        *_keys("absent_reason"),
        sa.Column("model_id", sa.Text),
        sa.Column("model_version", sa.Text),
        sa.Column("bundle_sha256", sa.Text),
        sa.Column("runtime", sa.Text),
        sa.UniqueConstraint("site", "device", "epoch", "seq"),
    )
    op.create_index("observations_by_code", "observations", ["site", "device", "epoch", "code", "seq"])
    op.create_index("observations_by_time", "observations", ["effective_time_ns", "id"])
    for name, condition in (("alarms", "priority = 'alarm'"), ("strips", "sample_rate_hz IS NOT NULL")):
        where = sa.text(condition)
        keys = ["site", "device", "epoch", "seq"]
        op.create_index(name, "observations", keys, sqlite_where=where, postgresql_where=where)
