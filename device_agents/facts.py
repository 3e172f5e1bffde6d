"""Facts about a person, as someone types them or a program writes them."""

from __future__ import annotations

import json
from collections.abc import Iterable

import msgspec

from edge_sdk.errors import SignalError


def parse_facts(words: Iterable[str]) -> dict[str, float]:
    """Return facts from words like ``age=54``.

    Raises:
        SignalError: Not of that form, no number, or given twice.
    """
    return unique_facts((name, _number(name, value)) for name, _, value in (word.partition("=") for word in words))


def read_facts(data: bytes, *, origin: str) -> dict[str, float]:
    """Return facts from a JSON object of numbers.

    Args:
        data: JSON.
        origin: Where it comes from, for messages.

    Raises:
        SignalError: It is none.
    """
    try:
        msgspec.json.decode(data, type=dict[str, float])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise SignalError(
            f"{origin} is no JSON object of numbers ({error})", remedy='write it like {"age": 54, "sex": 1}'
        ) from error
    return unique_facts(json.loads(data, object_pairs_hook=list))  # which tells a name that comes twice


def unique_facts(facts: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return facts by name.

    Raises:
        SignalError: One is given twice.
    """
    found: dict[str, float] = {}
    for name, value in facts:
        if name in found:
            raise SignalError(f"'{name}' is given twice", remedy="give each fact once")
        found[name] = value
    return found


def _number(name: str, value: str) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise SignalError(
            f"'{name}' has the value '{value}', which is no number", remedy="write it like age=54"
        ) from error
