"""The tables as queries name them. The migrations in `hospital_hub.schema` define them."""

from __future__ import annotations

from sqlalchemy import column, table

_DEVICE = ("site", "device")
_EPOCH = (*_DEVICE, "epoch")

IDENTITY = table("identity", column("hub"))
DEVICES = table("devices", *map(column, (*_DEVICE, "online", "status", "heard_at_ns")))
VALUE_COLUMNS = (
    "number", "unit", "label", "probabilities", "samples", "sample_rate_hz", "factor", "anchor_s",
)  # fmt: skip
OBSERVATION_COLUMNS = (
    *_EPOCH, "seq", "code_system", "code", "display", "effective_time_ns", "received_at_ns", "stream",
    "subject", "clock", "priority", "quality", *VALUE_COLUMNS, "absent_reason", "model_id", "model_version",
    "bundle_sha256", "runtime",
)  # fmt: skip
OBSERVATIONS = table("observations", column("id"), *map(column, OBSERVATION_COLUMNS))
TALLIES = table("tallies", *map(column, (*_EPOCH, "code", "label", "n")))
EPOCHS = table("epochs", *map(column, (*_EPOCH, "digest", "base", "watermark", "duplicates_refused", "heard_at_ns")))
TOMBSTONES = table("tombstones", *map(column, (*_EPOCH, "first_seq", "last_seq", "reason")))
QUARANTINE = table(
    "quarantine", *map(column, ("topic", "sha256", "payload", "reason", "times", "first_at_ns", "last_at_ns"))
)
