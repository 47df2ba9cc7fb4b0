"""Values of JSON as Python has them: keys that are repeated are remembered, and numbers of any length are read."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

_INT_CHARS_MAX = 4_000
"""Digits of an integer that Python reads. It refuses longer ones itself."""


class Repeating(dict[str, Any]):
    """An object that has a key more than once. ``repeated`` names such keys."""

    repeated: frozenset[str] = frozenset()


def kind_of_value(value: Any) -> str:
    """Return what a JSON value is, in words."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float() | Decimal():
            return "a number"
        case str():
            return "text"
        case list():
            return "an array"
        case _:
            return "an object"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    seen: set[str] = set()
    repeating = Repeating(found)
    repeating.repeated = frozenset(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return repeating


def _whole_number(text: str) -> int | Decimal:
    return int(text) if len(text) <= _INT_CHARS_MAX else Decimal(text)


DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_whole_number)
