"""Inputs for the tests of reading: a valid row, files, and the rows read from them as plain values."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from purgeengine.edges.source import Source, open_source
from purgeengine.edges.source.rows.notes import Noted, NoteKind, Notes

USER = "ann@contoso.example"
CONTACT = "AAMkAGI2TG93AAA="
FOLDER = "AQMkAGI2Folder-_="


class Row(NamedTuple):
    """The part of a row that most tests are about."""

    line: int
    user: str
    folder: str
    contact: str
    reason: str | None


def a_file(folder: Path, content: bytes | str, name: str = "input.csv") -> Path:
    """Write a file as it stands, and return its path."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def records(source: Source) -> list[dict[str, Any]]:
    """Return all rows with all columns."""
    return [record for batch in source.batches() for record in batch.to_pylist()]


def rows(path: Path, **options: Any) -> list[Row]:
    """Return line, roles and reason of every row of one input."""
    return [Row(*(record[name] for name in Row._fields)) for record in records(open_source([path], **options))]


def rows_of(folder: Path, content: bytes | str, **options: Any) -> list[Row]:
    """Return line, roles and reason of every row of a file with this content."""
    return rows(a_file(folder, content), **options)


def notes_of(source: Source) -> dict[NoteKind, Noted]:
    """Return what one reading notes, by kind: how often in all, with the first place."""
    notes = Notes()
    for number, table in enumerate(source._tables):
        for cells in table.cells():
            notes.add(number, cells.notes)
    return {kind: noted._replace(times=notes.counts[kind]) for kind, (_, noted) in notes.first.items()}
