"""A CSV file as columns, read in blocks of rows: by pyarrow if a block is plain, in the careful way if not.

Both ways give the same rows: `csv_plain` leaves to `csv_records` every block that is not one well-quoted row on each
line. A file whose quoting is not valid is refused at that place, because nobody can tell which text after it is a
row.

This module knows blocks and rows. It does not know which users and ids are allowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute

from purgeengine.core.graph.identifiers import row_problem
from purgeengine.edges.source.files.found_files import Kind, size_of
from purgeengine.edges.source.files.streams import is_utf16, text_pieces
from purgeengine.edges.source.formats.csv_blank import blank_rows
from purgeengine.edges.source.formats.csv_cells import CsvTableRows, Rows, Widths, is_header, rows_of
from purgeengine.edges.source.formats.csv_dialect import BackslashDetector, refuse_two_readings
from purgeengine.edges.source.formats.csv_header import Header, read_header
from purgeengine.edges.source.formats.csv_hints import header_hint
from purgeengine.edges.source.formats.csv_lines import Blocks, after_last_line
from purgeengine.edges.source.formats.csv_plain import Columns, plain_columns
from purgeengine.edges.source.formats.csv_records import CsvRecord, QuotingError, Scanner
from purgeengine.edges.source.rows.checked_rows import ROW_BYTES_MAX, Cells, Numbers, Text, bounded, text_of
from purgeengine.edges.source.rows.column_names import is_export
from purgeengine.edges.source.rows.columns import LacksColumns, Layout, layout_of
from purgeengine.edges.source.rows.notes import Noted, NoteKind
from purgeengine.errors import InputError

pc: Any = pyarrow.compute

SUSPECTS_MAX = 1_000
"""Rows of a block whose user has no ``@`` and is no GUID. A block with more is read in the careful way."""
_GUID_CHARS = 36

_NEUTRALISED = r"^'([=+\-@\t\r'])"
"""How an export begins a cell that a spreadsheet would run as a formula: with an apostrophe that is not part of the value."""


@dataclass(frozen=True, slots=True)
class CsvTable:
    """A CSV file whose header was read and understood. ``rows_estimate`` is None if the first lines tell too little."""

    path: Path
    layout: Layout
    rows_estimate: int | None
    _kind: Kind
    _header: Header
    _override: Mapping[str, str]
    _block_bytes: int

    @classmethod
    def opened(cls, path: Path, kind: Kind, override: Mapping[str, str], block_bytes: int) -> CsvTable:
        """Read the header. Raises `InputError` if there is none, if a column is missing, or if the file cannot be read."""
        blocks = Blocks(text_pieces(path, kind, block_bytes), block_bytes)
        header = read_header(path, blocks, override)
        estimate = _rows_estimate(path, kind, header, blocks.ended)
        names = [_plain_again(name) for name in header.names] if is_export(header.names) else header.names
        try:
            layout = layout_of(path, names, override)
        except LacksColumns as error:
            if hint := header_hint(header, override):
                raise LacksColumns(f"{error} {hint}", error.lacking) from error
            raise
        _refuse_rows_above(path, header, layout)
        return cls(path, layout, estimate, kind, header._replace(rest=b""), override, block_bytes)

    def cells(self) -> Iterator[Cells]:
        """Yield all rows in order. Raises `InputError` if the file breaks off, after the rows before that place.

        Raises `InputError` also if rows cannot be told apart, or if no row fits the header. The caller must send
        nothing of the file then.
        """
        watched = BackslashDetector(self._pieces())
        blocks = Blocks(watched, self._block_bytes)
        scanner, widths = Scanner(self._header.delimiter, self._header.lines + 1), Widths()
        notes: Mapping[NoteKind, Noted] = self._header.notes
        data = self._without_header(blocks)
        try:
            while True:
                if blocks.ended and not blocks.failure and (data or scanner.open) and not data.endswith((b"\n", b"\r")):
                    data += b"\n"  # the last line may have no line end
                records, at = self._rest_of_record(data, scanner)
                end = after_last_line(data)
                plain = self._plain(data[at:end], scanner) if at < end and not scanner.open else None
                blank: Noted | None = None
                if plain is None:
                    at, blank = _take_records(data, at, end, scanner, records, self._header.delimiter)
                if records or notes or blank:
                    table = CsvTableRows(self.path, self._header, self.layout, self._override)
                    rows = rows_of(records, table, widths, blank)
                    if rows.row_count or rows.notes or notes:
                        yield self._careful_cells(rows, notes)
                    notes = {}
                if plain is not None:
                    columns, count = plain
                    yield self._cells(columns, scanner.line, None, {})
                    widths.fitting += count
                    scanner.line += count
                    at = end
                data = data[at:]
                if len(data) > ROW_BYTES_MAX:  # no line end in it: the row is too long to wait for its end
                    _, at = scanner.read(data, 0)
                    data = data[at:]
                if blocks.ended:
                    break
                data += blocks.take()
            if blocks.failure:
                raise InputError(
                    f"{blocks.failure} It was readable up to line {scanner.line - 1:,}."
                ) from blocks.failure
            scanner.finish()
            if watched.seen and not self.layout.is_export:  # an export was written by this program, in one kind of CSV
                self._refuse_two_readings()
        except QuotingError as error:
            raise InputError(
                f"{self.path} cannot be read with certainty: {error.sentence()}. Nothing of it is sent, for text inside a cell "
                "could be taken for rows."
            ) from error
        widths.check(self.path, len(self.layout.names))

    def _pieces(self) -> Iterator[bytes]:
        return text_pieces(self.path, self._kind, self._block_bytes)

    def _refuse_two_readings(self) -> None:
        header, layout = self._header, self.layout
        roles = [place for place in (layout.user, layout.folder, layout.contact) if place is not None]
        refuse_two_readings(self._pieces(), self._pieces(), header.text, header.delimiter, roles, header.lines + 1)

    def _without_header(self, blocks: Blocks) -> bytes:
        head = self._header.text
        data = blocks.take()
        while len(data) < len(head) and not blocks.ended:
            data += blocks.take()
        if blocks.failure and len(data) < len(head):
            raise blocks.failure
        if not data.startswith(head):
            raise InputError(
                f"{self.path} has changed since it was opened. Start again with a file that nothing writes to."
            )
        return data[len(head) :]

    def _rest_of_record(self, data: bytes, scanner: Scanner) -> tuple[list[CsvRecord], int]:
        """Read on in a record that an earlier block began."""
        if not scanner.open:
            return [], 0
        record, at = scanner.read(data, 0)
        return [record] if record else [], at

    def _plain(self, data: bytes, scanner: Scanner) -> tuple[Columns, int] | None:
        """Read whole lines in the quick way. None if they must be read in the careful way."""
        layout = self.layout
        found = plain_columns(data, self._header.delimiter, len(layout.names), layout.wanted)
        if found is None or _may_hold_no_rows(found[0], layout, self._override):
            return None
        return found

    def _careful_cells(self, rows: Rows, notes: Mapping[NoteKind, Noted]) -> Cells:
        return bounded(self._cells(rows.columns, rows.line, rows.problems, {**notes, **rows.notes}))

    def _cells(
        self,
        columns: Columns,
        line: int | Numbers,
        problems: Mapping[int, str] | None,
        notes: Mapping[NoteKind, Noted],
    ) -> Cells:
        layout = self.layout
        if layout.is_export:
            columns = {place: _as_it_was(column) for place, column in columns.items()}
        folder = columns[layout.folder] if layout.folder is not None else None
        extras = {name: columns[place] for place, name in layout.extras}
        in_doubt = columns[layout.in_doubt] if layout.in_doubt is not None else None
        return Cells(columns[layout.user], folder, columns[layout.contact], extras, line, problems, in_doubt, notes)


def _take_records(
    data: bytes, at: int, end: int, scanner: Scanner, records: list[CsvRecord], delimiter: bytes
) -> tuple[int, Noted | None]:
    """Take all records that begin before ``end``; the last one may reach beyond it, and beyond the data.

    Returns the place after them, and what is to be noted of blank rows that were passed over.
    """
    times, first = 0, 0
    may_begin_blank = frozenset(b' \t\v\f\r\n"' + delimiter)
    while at < end:
        if data[at] in may_begin_blank and not scanner.open and (blank := blank_rows(data, at, end, delimiter)):
            if blank.with_cells:
                first = first or scanner.line + blank.first_with_cells
                times += blank.with_cells
            scanner.line += blank.lines
            at = blank.end
            continue
        record, at = scanner.read(data, at)
        if record:
            records.append(record)
    return at, Noted(times, first) if times else None


def _may_hold_no_rows(columns: Columns, layout: Layout, override: Mapping[str, str]) -> bool:
    """True if some records may not be rows: records of empty cells, or a repeated header."""
    has_sign = pc.match_substring(columns[layout.user], "@")
    if has_sign.true_count == len(has_sign):
        return False
    without = pc.invert(has_sign)
    users, contacts = (column.filter(without) for column in (columns[layout.user], columns[layout.contact]))
    if pc.any(pc.and_(_is_blank(contacts), _is_blank(users))).as_py():
        return True
    names = pc.not_equal(pc.binary_length(users), _GUID_CHARS)
    if not names.true_count:
        return False
    if names.true_count > SUSPECTS_MAX or len(columns) < len(layout.names):
        return True
    rows = zip(*(column.filter(without).filter(names).to_pylist() for column in columns.values()), strict=True)
    return any(is_header(CsvRecord([cell.encode() for cell in row], len(row), 0), override) for row in rows)


def _is_blank(column: Text) -> Any:
    return pc.equal(pc.binary_length(pc.ascii_trim_whitespace(column)), 0)


def _refuse_rows_above(path: Path, header: Header, layout: Layout) -> None:
    """Raise `InputError` if a row above the header could be sent.

    Titles are skipped, but such a row makes the header doubtful.
    """
    for title in header.titles:
        if title.cell_count == len(layout.names):
            texts = [text_of(cell).strip() for cell in title.cells]
            folder = texts[layout.folder] if layout.folder is not None else ""
            if row_problem(texts[layout.user], folder, texts[layout.contact]) is None:
                raise InputError(
                    f"{path}: line {title.line:,} looks like a row of the list, and stands above the header in "
                    f"line {header.lines:,}. Put the header first."
                )


def _rows_estimate(path: Path, kind: Kind, header: Header, whole: bool) -> int | None:
    """Return the number of lines after the header: counted if the whole file was read, otherwise estimated from its size."""
    lines = header.rest.count(b"\n")
    if whole:
        return lines + bool(header.rest and not header.rest.endswith((b"\n", b"\r")))
    if kind is not Kind.PLAIN or is_utf16(path) or not header.rest:
        return None
    return round(lines * (size_of(path) - len(header.text)) / len(header.rest))


def _as_it_was(column: Text) -> Text:
    return pc.replace_substring_regex(column, _NEUTRALISED, r"\1")


def _plain_again(name: str) -> str:
    """Remove the apostrophe that an export puts before a column name."""
    return re.sub(_NEUTRALISED, r"\1", name)
