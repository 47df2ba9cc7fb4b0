"""Tests of the reference of docs/api.md: its tables agree with the fields, types, docstrings and defaults of the code."""

from __future__ import annotations

import dataclasses

import pytest

import purgeengine
from tests.support.api_reference import NAMES, PAGE, fields_of, renewed, rows_in, table_for, table_in

TEXT = PAGE.read_text(encoding="utf-8")
INTERNAL = {"spelling", "until_named"}
"""Fields for the command line, of no use to callers."""


@pytest.mark.parametrize("name", NAMES)
def test_the_table_of_a_class_agrees_with_the_code(name: str) -> None:
    """Fields, types, meanings and defaults are those of the class. `python -m tests.support.api_reference` mends the page."""
    assert table_in(TEXT, name) == table_for(name, TEXT)


@pytest.mark.parametrize("name", NAMES)
def test_every_field_has_a_meaning(name: str) -> None:
    """Every field of the class but internal ones is in the table, and no meaning is empty, also of fields without a docstring."""
    rows = rows_in(TEXT, name)
    named = {row[0].strip("`") for row in rows}
    assert {field.name for field in dataclasses.fields(getattr(purgeengine, name))} - named <= INTERNAL
    assert [row[0] for row in rows if len(row) != 4 or not row[2]] == []


def test_every_field_of_a_request_is_on_the_page() -> None:
    """The page names every field of `PurgeRequest`."""
    fields = [field.name for field in dataclasses.fields(purgeengine.PurgeRequest) if not field.name.startswith("_")]
    assert {name for name in fields if f"`{name}`" not in TEXT} <= INTERNAL


def test_a_wrong_table_is_noticed_and_mended() -> None:
    """A changed default, a missing row and a field that does not exist are noticed, and the script mends them."""
    row = next(line for line in table_in(TEXT, "Limits").splitlines(keepends=True) if line.startswith("| `sends_max`"))
    for wrong in (
        TEXT.replace(row, row.replace("`100`", "`99`")),
        TEXT.replace(row, ""),
        TEXT.replace(row, row + row.replace("sends_max", "sendings_max")),
    ):
        assert wrong != TEXT
        assert table_in(wrong, "Limits") != table_for("Limits", wrong)
        assert renewed(wrong) == TEXT


def test_fields_are_read_from_the_source() -> None:
    """Fields, properties, unions, defaults and docstrings of several lines are read as they stand."""
    found = {field.name: field for field in fields_of(purgeengine.PurgePreview)}
    assert (found["rows"].type, found["rows"].default) == ("`int`", "–")
    assert (found["refused"].type, found["refused"].default) == ("`str` or `None`", "`None`")
    assert found["invalid_by_reason"].default == "empty"
    assert found["to_purge"].default == "computed"
    fanout = next(field for field in fields_of(purgeengine.Limits) if field.name == "fanout")
    assert fanout.default == "`'auto'`"
    assert "\n" not in fanout.meaning
