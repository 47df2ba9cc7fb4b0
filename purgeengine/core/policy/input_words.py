"""Sentences about what was used of an input, and what was ignored.

This module knows the plain values that `purgeengine.edges.source.looks` makes, from an input just read or from a
ledger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from purgeengine.core.command_words import CLEAN, JSON
from purgeengine.core.graph.text import printable
from purgeengine.core.graph.unlikely_ids import Unlikely

READING_KEYS = ("columns", "left_alone", "notes", "unlikely")
"""What every JSON tells about the input. Null if a ledger of an earlier version does not know it."""
NAMES_SHOWN = 5
LAYOUTS_SHOWN = 5

_NOTES = {
    "title_lines": ("line above the header was passed over", "lines above the header were passed over"),
    "sep_line": (
        "line that names the delimiter (sep=) was read as such",
        "lines that name the delimiter (sep=) were read as such",
    ),
    "header_again": ("line that repeats the header: no row", "lines that repeat the header: no rows"),
    "empty_rows": ("line without any value: no row", "lines without any value: no rows"),
    "cells_replaced": (
        "cell of another column with bytes that are no text: those were replaced",
        "cells of other columns with bytes that are no text: those were replaced",
    ),
    "cells_cut": (
        "cell of another column, longer than is kept: its end was cut off",
        "cells of other columns, longer than is kept: their ends were cut off",
    ),
    "missing_words": (
        "row with a word for a missing value in the folder column: taken for no folder",
        "rows with a word for a missing value in the folder column: taken for no folder",
    ),
    "cleaned": (f"row mended by {CLEAN}", f"rows mended by {CLEAN}"),
    "apostrophes": (
        "row has a user that begins with an apostrophe, as Excel marks text: it is part of the name, and sent as it stands. Remove "
        "it where the name has none",
        "rows have a user that begins with an apostrophe, as Excel marks text: it is part of the name, and sent as it stands. "
        "Remove it where the name has none",
    ),
    "incomplete_page": (
        "page of Graph's names a next one (@odata.nextLink): unless its contacts are in another file of the input, they are not "
        "in the list",
        "pages of Graph's name a next one (@odata.nextLink): unless their contacts are in another file of the input, they are "
        "not in the list",
    ),
}
"""The words after the number of times, for one and for any other number."""
_DOUBTFUL = ("incomplete_page", "apostrophes")
"""Notes that suggest that the list is not the one that was meant."""


def plain(reading: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return all keys of `READING_KEYS`, with null where a ledger of an earlier version knows nothing."""
    return {key: (reading or {}).get(key) for key in READING_KEYS}


def lines_of(reading: Mapping[str, Any] | None) -> list[str]:
    """Return lines about what was used, mended and skipped. Notes that raise doubts are in `warnings_of`."""
    reading = reading or {}
    groups: Sequence[Mapping[str, Any]] = reading.get("columns") or ()
    lines = [
        f"Columns{_of_files(group, groups)}: "
        + ", ".join(f"{role} = {_role(group.get(role))}" for role in ("user", "folder", "contact"))
        for group in groups[:LAYOUTS_SHOWN]
    ]
    if len(groups) > LAYOUTS_SHOWN:
        lines.append(f"  and {_counted(len(groups) - LAYOUTS_SHOWN, 'more choice')} of columns ({JSON} has them)")
    return lines + [_note(note) for note in reading.get("notes") or () if note["kind"] not in _DOUBTFUL]


def _of_files(group: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]) -> str:
    return f" of {_some(group['files'], group['files_in_all'])}" if len(groups) > 1 else ""


def _role(taken: Mapping[str, Any] | None) -> str:
    if taken is None:
        return "none"
    first = taken["first"]
    shown = "no row" if first is None else f"'{first}'" if first else "empty"
    return f"{taken['column']} ({shown})"


def _note(note: Mapping[str, Any]) -> str:
    one, several = _NOTES.get(note["kind"], (f"time: {note['kind']}", f"times: {note['kind']}"))
    example = f": {note['example']}" if note["example"] else ""
    times = f"{_number(note['times'])} {one if note['times'] == 1 else several}"
    return f"{times} (first: line {_number(note['line'])} of {note['file']}{example})"


def warnings_of(reading: Mapping[str, Any] | None) -> list[str]:
    """Return sentences about what suggests that this is not the list that was meant."""
    reading = reading or {}
    lines = [sentence for left in reading.get("left_alone") or () if (sentence := _left_alone(left))]
    lines += [f"{_note(note)}." for note in reading.get("notes") or () if note["kind"] in _DOUBTFUL]
    for found in reading.get("unlikely") or ():
        whose = (
            "The one contact"
            if found["of"] == 1
            else "Every contact"
            if found["rows"] == found["of"]
            else f"{_number(found['rows'])} of {_number(found['of'])} contacts"
        )
        meant = Unlikely(found["kind"]).sentence
        lines.append(
            f"{whose} of the list {'is' if found['rows'] in (1, found['of']) else 'are each'} {meant.rstrip('.')}"
            f"{'' if meant.endswith('?') else '.'} The first: '{found['example']}', line {_number(found['line'])} of "
            f"{found['file']}."
        )
    return [printable(line, 2_000) for line in lines]


def _left_alone(left: Mapping[str, Any]) -> str:
    if not left["entries"]:
        return ""
    hidden = f" ({_counted(left['hidden'], 'hidden file')} beside)" if left["hidden"] else ""
    entries = "1 entry" if left["entries"] == 1 else f"{_number(left['entries'])} entries"
    return (
        f"{entries} of {left['folder']} left alone, and not read: {_some(left['names'], left['entries'])}{hidden}. Name those "
        "that are wanted."
    )


def _some(names: Sequence[str], in_all: int) -> str:
    more = in_all - min(NAMES_SHOWN, len(names))
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {_number(more)} more" if more else "")


def _number(value: int) -> str:
    return f"{value:,}"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
