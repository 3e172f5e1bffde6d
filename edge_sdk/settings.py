"""Reading what a person typed: TOML into a typed value, strictly, with the nearest name for a wrong key."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args

import msgspec

from edge_sdk.errors import ConfigError, InvalidInput
from edge_sdk.files import read_bytes

T = TypeVar("T")
_MISSING_FIELD = re.compile(r"missing required field `(?P<key>[^`]+)`")
_UNKNOWN_FIELD = re.compile(r"unknown field `(?P<key>[^`]+)`")


def load_toml(path: Path, kind: type[T], *, what: str, error: type[InvalidInput] = ConfigError) -> T:
    """Read a TOML file into ``kind``, a msgspec structure; a key that none of its parts has is refused.

    Args:
        path: The file.
        kind: What it must hold.
        what: What it is to the person, for messages ("agent configuration").
        error: Which error a wrong content raises.

    Raises:
        InvalidInput: As given by ``error``: no TOML, an unknown key, a missing key, a wrong type.
    """
    data = read_bytes(path, what=what)
    try:
        typed, value = msgspec.toml.decode(data), msgspec.toml.decode(data, type=kind, dec_hook=_path)
    except msgspec.ValidationError as cause:
        raise error(f"{what} {path}: {cause}", remedy=_advice(str(cause), kind)) from cause
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as cause:
        raise error(f"{what} {path} is not TOML ({cause})", remedy="correct the line it names") from cause
    for key in _unknown_keys(typed, msgspec.to_builtins(value, enc_hook=str)):
        raise error(f"{what} {path}: unknown field `{key}`", remedy=_nearest(key, kind))
    return value


def _path(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise ValueError(f"expected {kind.__name__.lower()} in quotes")


def _unknown_keys(typed: Any, understood: Any) -> Iterator[str]:
    # Structures that messages use too ignore what they do not know; a person's slip must not be ignored.
    if isinstance(typed, dict):
        for key, part in typed.items():
            if key in understood:
                yield from _unknown_keys(part, understood[key])
            else:
                yield key
    elif isinstance(typed, list):
        for part, seen in zip(typed, understood, strict=False):
            yield from _unknown_keys(part, seen)


def _advice(message: str, kind: Any) -> str:
    missing = _MISSING_FIELD.search(message)
    if missing:
        return f"add '{missing['key']}'"
    unknown = _UNKNOWN_FIELD.search(message)
    return _nearest(unknown["key"], kind) if unknown else "correct that value"


def _nearest(key: str, kind: Any) -> str:
    near = difflib.get_close_matches(key, sorted(_field_names(kind)), n=1)
    return f"did you mean '{near[0]}'?" if near else "remove it"


def _field_names(kind: Any) -> set[str]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        fields = msgspec.structs.fields(kind)
        return {field.encode_name for field in fields}.union(*(_field_names(field.type) for field in fields))
    return set().union(*(_field_names(part) for part in get_args(kind)))
