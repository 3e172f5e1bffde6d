"""Devices, observations, what is missing, and what could not be read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _device_columns() -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in ("site", "device")]


def upgrade() -> None:
    """Create the first tables."""
    op.create_table(
        "devices",
        *_device_columns(),
        sa.Column("online", sa.Boolean, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("heard_at_ns", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("site", "device"),
    )
    op.create_table(
        "observations",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        *_device_columns(),
        sa.Column("epoch", sa.Text, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("code_system", sa.Text, nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("display", sa.Text, nullable=False),
        sa.Column("effective_time_ns", sa.BigInteger, nullable=False),
        sa.Column("received_at_ns", sa.BigInteger, nullable=False),
        sa.Column("stream", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("clock", sa.Text, nullable=False),
        sa.Column("priority", sa.Text, nullable=False),
        sa.Column("quality", sa.Float),
        sa.Column("number", sa.Float),
        sa.Column("unit", sa.Text),
        sa.Column("label", sa.Text),
        sa.Column("probabilities", sa.Text),
        sa.Column("samples", sa.LargeBinary),
        sa.Column("sample_rate_hz", sa.Float),
        sa.Column("factor", sa.Float),
        sa.Column("anchor_s", sa.Float),
        sa.Column("absent_reason", sa.Text, nullable=False),
        sa.Column("model_id", sa.Text),
        sa.Column("model_version", sa.Text),
        sa.Column("bundle_sha256", sa.Text),
        sa.Column("runtime", sa.Text),
        sa.UniqueConstraint("site", "device", "epoch", "seq"),
    )
    op.create_index("observations_by_code", "observations", ["site", "device", "code", "effective_time_ns"])
    op.create_table(
        "epochs",
        *_device_columns(),
        sa.Column("epoch", sa.Text, nullable=False),
        sa.Column("base", sa.BigInteger, nullable=False),
        sa.Column("watermark", sa.BigInteger, nullable=False),
        sa.Column("duplicates_refused", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("site", "device", "epoch"),
    )
    op.create_table(
        "tombstones",
        *_device_columns(),
        sa.Column("epoch", sa.Text, nullable=False),
        sa.Column("first_seq", sa.BigInteger, nullable=False),
        sa.Column("last_seq", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("site", "device", "epoch", "first_seq", "last_seq"),
    )
    op.create_table(
        "quarantine",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("received_at_ns", sa.BigInteger, nullable=False),
    )
