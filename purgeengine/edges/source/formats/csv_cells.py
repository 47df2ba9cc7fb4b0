"""Turn CSV records into columns: which records are rows, and which rows have a wrong shape or wrong bytes.

This module knows what a row must have and which columns are needed. It does not know quotes, nor which users and ids
are allowed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from purgeengine.core.graph.text import printable
from purgeengine.edges.source.formats.csv_header import EXAMPLE_CHARS, Header, has_roles, names_of
from purgeengine.edges.source.formats.csv_plain import Columns
from purgeengine.edges.source.formats.csv_records import CsvRecord
from purgeengine.edges.source.rows.checked_rows import HAS_NUL, NOT_TEXT, ROW_TOO_LONG, Numbers, bytes_problem, text_of
from purgeengine.edges.source.rows.column_names import name_key
from purgeengine.edges.source.rows.columns import Layout
from purgeengine.edges.source.rows.notes import Noted, NoteKind
from purgeengine.errors import InputError

COMMON_DELIMITERS = (b",", b";", b"\t", b"|")
"""Delimiters that programs write between cells. If no row fits the header, the rows are tried with each of them."""
LIKE_ANSI = f"{NOT_TEXT} but look like ANSI: save the list as CSV UTF-8"
"""The reason for a row with single bytes that are letters in Windows-1252."""

_ANSI_LETTERS = re.compile(rb"[\x8a\x8c\x8e\x9a\x9c\x9e\x9f\xc0-\xd6\xd8-\xf6\xf8-\xfe]")
_BEYOND_ASCII = re.compile(rb"[\x80-\xff]+")


class CsvTableRows(NamedTuple):
    """What all blocks of a file share: its path, header and columns, and the caller's own names for the roles."""

    path: Path
    header: Header
    layout: Layout
    override: Mapping[str, str]


class Rows(NamedTuple):
    """Some rows as columns, with their line numbers, problems and notes (see `Cells`)."""

    columns: Columns
    line: Numbers
    problems: Mapping[int, str]
    notes: Mapping[NoteKind, Noted]
    row_count: int


class Widths:
    """Counts how many rows have as many cells as the header has names. If no row has, the columns of the file are not known."""

    def __init__(self) -> None:
        self.fitting = 0
        self.others: dict[int, int] = {}
        """For a few numbers of cells, the first line of a row with so many cells."""
        self._misfits = 0
        self._delimiter = b""
        self._fitting_otherwise = dict.fromkeys(COMMON_DELIMITERS, 0)
        """How many of the rows that do not fit would fit if this delimiter stood between their cells."""

    def add(self, record: CsvRecord, width: int, delimiter: bytes) -> None:
        """Count a row. ``width`` is the number of names in the header, ``delimiter`` is what stands between them."""
        if record.cell_count == width:
            self.fitting += 1
            return
        self._misfits += 1
        if len(self.others) < 4:
            self.others.setdefault(record.cell_count, record.line)
        if not self.fitting:
            self._delimiter = delimiter
            line = delimiter.join(record.cells)
            for other in COMMON_DELIMITERS:
                self._fitting_otherwise[other] += other != delimiter and line.count(other) + 1 == width

    def check(self, path: Path, names: int) -> None:
        """Raise `InputError` if the file has rows and none of them fits."""
        if self.fitting or not self._misfits:
            return
        for other, rows in self._fitting_otherwise.items():
            if names > 1 and rows == self._misfits:
                raise InputError(
                    f"{path}: the header is separated by {_shown(self._delimiter)} and the rows by {_shown(other)}. Write both "
                    "with the same delimiter."
                )
        (cells, line), *more = self.others.items()
        text = f"{path}: the header has {names:,} name{'s' * (names != 1)}, "
        if more:
            text += f"but none of the {self._misfits:,} rows has {names:,} cell{'s' * (names != 1)}; "
            text += f"the one in line {line:,} has {cells:,}"
        else:
            said = "the only row" if self._misfits == 1 else f"each of the {self._misfits:,} rows"
            text += f"but {said} has {cells:,} cell{'s' * (cells > 1)}"
        if not more and cells == names + 1:
            text += ". The header is one name short: are there row names, or a delimiter at the end of each line"
            text += "? Remove these, or add the missing name"
        elif not more and cells == names - 1:
            text += ". The header is one name too long: does a delimiter stand at its end? Remove it"
        else:
            text += ". Save the list again: use one delimiter in the whole file, and put a cell that contains this delimiter "
            text += "in quotes"
        raise InputError(text + ". Each cell must stand under its name.")


def _shown(delimiter: bytes) -> str:
    return "tabs" if delimiter == b"\t" else f"'{delimiter.decode()}'"


def is_header(record: CsvRecord, override: Mapping[str, str]) -> bool:
    """True if the record holds column names: then two files were put together."""
    return has_roles(names_of(record), override)


def rows_of(records: Sequence[CsvRecord], table: CsvTableRows, widths: Widths, blank: Noted | None = None) -> Rows:
    """Sort out what is no row, and find what is wrong with the others. Raises `InputError` for a header of other columns.

    ``blank`` notes the rows of empty cells between these records that were passed over before.
    """
    layout, width = table.layout, len(table.layout.names)
    noted = _Noting()
    if blank:
        noted.notes[NoteKind.EMPTY_ROWS] = blank
    rows: list[Sequence[bytes | str | None]] = []
    lines: list[int] = []
    problems: dict[int, str] = {}
    for record in records:
        if record.is_blank:
            if record.cell_count > 1:
                noted.add(NoteKind.EMPTY_ROWS, record.line)
            continue
        if (record.cell_count != width or b"@" not in record.cells[layout.user]) and _is_header_again(record, table):
            noted.add(NoteKind.HEADER_AGAIN, record.line, record.cells[0])
            continue
        widths.add(record, width, table.header.delimiter)
        cells, problem = _checked(record, layout, noted)
        if problem is not None:
            problems[len(rows)] = problem
        rows.append(cells)
        lines.append(record.line)
    roles = (layout.user, layout.folder, layout.contact)
    columns = {}
    for place in layout.wanted:
        column = pa.array([row[place] for row in rows], pa.binary()).cast(pa.string())
        columns[place] = column.fill_null("") if place in roles else column
    return Rows(columns, pa.array(lines, pa.int64()), problems, noted.notes, len(rows))


class _Noting:
    """Counts notes, and keeps the first place of each kind."""

    def __init__(self) -> None:
        self.notes: dict[NoteKind, Noted] = {}

    def add(self, kind: NoteKind, line: int, example: bytes = b"") -> None:
        """Count one more note of this kind. ``line`` (from 1) and ``example`` are kept if it is the first one."""
        known = self.notes.get(kind)
        if known:
            self.notes[kind] = known._replace(times=known.times + 1, line=min(known.line, line))
        else:
            self.notes[kind] = Noted(1, line, printable(text_of(example), EXAMPLE_CHARS))


def _is_header_again(record: CsvRecord, table: CsvTableRows) -> bool:
    """True if the record repeats the header, or is a ``#TYPE`` line before it: then files were put together.

    Raises `InputError` for a header with other columns.
    """
    if record.cell_count == 1 and record.cells[0].startswith(b"#TYPE "):
        return True
    if not is_header(record, table.override):
        return False
    names = names_of(record)
    if list(map(name_key, names)) == list(map(name_key, table.header.names)):
        return True
    raise InputError(
        f"{table.path}: line {record.line:,} is a header again, with other columns than the first one. Two files were put together "
        "there. Give each as a file of its own."
    )


def _checked(record: CsvRecord, layout: Layout, noted: _Noting) -> tuple[Sequence[bytes | str | None], str | None]:
    """Return the cells of a row as they can be shown, and what is wrong with the row."""
    cells, width = record.cells, len(layout.names)
    joined = b"\n".join(cells)
    problem = bytes_problem(joined)
    if record.cell_count != width:
        count = "1 cell" if record.cell_count == 1 else f"{record.cell_count} cells"
        # The contact is left out. A cell in that column may belong to another column, and an export of this row, used
        # as input again, would have the right number of cells.
        shown: list[str | None] = [text_of(cell) for cell in cells[:width]] + [None] * (width - len(cells))
        shown[layout.contact] = None
        return shown, problem or f"the row has {count} where the header has {width}"
    if problem is None:
        return cells, ROW_TOO_LONG if record.too_long else HAS_NUL if record.has_hole else None
    if record.has_hole or b"\0\0" in joined:
        problem = HAS_NUL  # a hole in the file, as after a power failure: the lost bytes may have ended the row
    else:
        needed = b"\n".join(cells[place] for place in (layout.user, layout.folder, layout.contact) if place is not None)
        problem = ROW_TOO_LONG if record.too_long else bytes_problem(needed)
        if problem == NOT_TEXT and _is_like_ansi(joined):
            problem = LIKE_ANSI
    texts = [text_of(cell) for cell in cells]
    if problem is None:
        for place, _ in layout.extras:
            if texts[place].encode() != cells[place]:
                noted.add(NoteKind.CELLS_REPLACED, record.line, cells[place])
    return texts, problem


def _is_like_ansi(text: bytes) -> bool:
    """True if the bytes beyond ASCII are single letters of Windows-1252, as Excel's ``CSV`` writes them in western countries."""
    return all(len(found) <= 2 and not _ANSI_LETTERS.sub(b"", found) for found in _BEYOND_ASCII.findall(text))
