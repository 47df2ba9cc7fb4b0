"""Judges what commands print with ``--json`` by the shipped schemas, with the library jsonschema.

It is stricter than the schemas: they allow further keys, so that later versions can add some, and the judge does not.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import jsonschema

from tests.support.json_schemas import FOLDER


@cache
def _validator(file: str, *, closed: bool) -> Any:
    schema = json.loads((FOLDER / file).read_text(encoding="utf-8"))
    if closed:
        for definition in schema["$defs"].values():
            definition["additionalProperties"] = False
    times = jsonschema.FormatChecker(formats=())
    times.checks("date-time", raises=ValueError)(_is_a_time_in_utc)
    return jsonschema.Draft202012Validator(schema, format_checker=times)


def _is_a_time_in_utc(text: object) -> bool:
    return not isinstance(text, str) or datetime.fromisoformat(text).utcoffset() == timedelta(0)


def judged(out: str, command: str | None) -> dict[str, Any]:
    """Return the one object in ``out``, which must be one line in ASCII and valid for the command."""
    assert out.isascii()
    assert out.count("\n") == 1, f"one line, not {out!r}"
    assert out.endswith("\n")
    found: dict[str, Any] = json.loads(out, parse_constant=_refuse)
    assert found["command"] == command
    check(found, f"{(command or 'run').replace(' ', '-')}.json")
    return found


def check(found: dict[str, Any], file: str, *, closed: bool = True) -> None:
    """Raise AssertionError with the best explanation if the object does not fit the schema in ``file``."""
    errors = list(_validator(file, closed=closed).iter_errors(found))
    if errors:
        best = jsonschema.exceptions.best_match(errors)
        raise AssertionError(f"{file}: {best.json_path}: {best.message[:1_000]}")


def _refuse(constant: str) -> Any:
    raise AssertionError(f"{constant} is no JSON")
