"""Taking the data along: CSV, NDJSON, FHIR."""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa

from edge_sdk.errors import ConfigError, StorageUnavailable
from hospital_hub import fhir
from hospital_hub.rows import Row
from hospital_hub.store import Store
from hospital_hub.tables import OBSERVATION_COLUMNS, OBSERVATIONS

_BINARY = ("samples",)
_PLAIN = tuple(name for name in OBSERVATION_COLUMNS if name not in _BINARY)


def export(store: Store, path: Path, *, kind: str, device: str = "", code: str = "") -> int:
    """Write observations to a file, whole or not at all; return how many.

    Args:
        store: Where they are.
        path: The file.
        kind: One of `FORMATS`.
        device: ``SITE/DEVICE``, or empty for all.
        code: Code, or empty for all.

    Raises:
        ConfigError: No such format.
        StorageUnavailable: The file cannot be written.
    """
    if kind not in FORMATS:
        raise ConfigError(f"no export format '{kind}'", remedy=f"choose one of {', '.join(FORMATS)}")
    rows = store.stream(_query(device, code))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as out:
            temporary = Path(out.name)
            try:
                count = FORMATS[kind](rows, out)
            except BaseException:
                temporary.unlink()
                raise
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise StorageUnavailable(f"{path} cannot be written ({error.strerror})", remedy="check its folder") from error
    return count


def _query(device: str, code: str) -> sa.Select[Any]:
    o = OBSERVATIONS.c
    query = sa.select(*o).order_by(o.site, o.device, o.epoch, o.seq)
    if device:
        site, _, name = device.partition("/")
        query = query.where(o.site == site, o.device == name)
    return query.where(o.code == code) if code else query


def _write_csv(rows: Iterator[Row], out: IO[str]) -> int:
    writer = csv.writer(out)
    writer.writerow(_PLAIN)
    count = 0
    for row in rows:
        writer.writerow([row[name] for name in _PLAIN])
        count += 1
    return count


def _write_ndjson(rows: Iterator[Row], out: IO[str]) -> int:
    return _write_lines(({name: row[name] for name in _PLAIN} for row in rows), out)


def _write_fhir(rows: Iterator[Row], out: IO[str]) -> int:
    return _write_lines(map(fhir.observation, rows), out)


def _write_lines(items: Iterator[dict[str, Any]], out: IO[str]) -> int:
    count = 0
    for item in items:
        out.write(json.dumps(item) + "\n")
        count += 1
    return count


FORMATS: dict[str, Callable[[Iterator[Row], IO[str]], int]] = {
    "csv": _write_csv,
    "ndjson": _write_ndjson,
    "fhir": _write_fhir,
}
