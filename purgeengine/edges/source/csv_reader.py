r"""A CSV file as columns: blocks of rows, by pyarrow where a block is plain and carefully where it is not.

A block that pyarrow is given consists of whole lines, holds text without NUL and overlong lines, and must come out with as
many rows as it has lines: every row takes at least one, so that each line was one row of the right number of columns, and line
numbers are known without looking. Anything else (a bad row, a field that spans lines, an empty line) is read again by
`csv_records`, to the same result.

It knows blocks and rows. It must not know which users and ids are allowed.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from purgeengine.edges.source.columns import Layout, is_export, layout_of
from purgeengine.edges.source.csv_header import Header, read_header
from purgeengine.edges.source.csv_lines import LineBlocks
from purgeengine.edges.source.csv_records import OF_EXPORT, USUAL, Bounds, Record, split_records
from purgeengine.edges.source.files import Kind, size_of
from purgeengine.edges.source.rows import CELL_BYTES_MAX, Cells, Numbers, Text, bytes_problem, text_of
from purgeengine.edges.source.streams import is_utf16, text_pieces
from purgeengine.errors import InputError

_NEUTRALISED = r"^'([=+\-@\t\r'])"
"""How an export begins a cell that a spreadsheet would run as a formula: with an apostrophe that is not part of the value."""

Columns: TypeAlias = Mapping[int, Text]
"""Cells by the position of their column in the file."""


class _Part(NamedTuple):
    """What was made of the beginning of a block: columns, line numbers and problems as in `Cells`, and how far it reaches."""

    columns: Columns
    line: int | Numbers
    problems: Mapping[int, str] | None
    rows: int
    lines_used: int
    bytes_used: int


@dataclass(frozen=True, slots=True)
class CsvTable:
    """A CSV file whose header has been read and understood. ``rows_estimate`` is None where the lines tell too little."""

    path: Path
    layout: Layout
    rows_estimate: int | None
    _kind: Kind
    _header: Header
    _block_bytes: int

    @classmethod
    def opened(cls, path: Path, kind: Kind, override: Mapping[str, str], block_bytes: int) -> CsvTable:
        """Read the header. Raises `InputError` when there is none, or it lacks a column, or the file cannot be read."""
        blocks = LineBlocks(text_pieces(path, kind, block_bytes), block_bytes)
        header = read_header(path, blocks, override)
        estimate = _rows_estimate(path, kind, header, blocks.ended)
        names = [_plain_again(name) for name in header.names] if is_export(header.names) else header.names
        layout = layout_of(path, names, override)
        return cls(path, layout, estimate, kind, header._replace(rest=b""), block_bytes)

    def cells(self) -> Iterator[Cells]:
        """Yield all rows in order. Raises `InputError` where the file breaks off, after the rows before that place."""
        pieces = text_pieces(self.path, self._kind, self._block_bytes)
        blocks = LineBlocks(pieces, self._block_bytes, self._bounds.line_bytes)
        data, line = self._without_header(blocks), self._header.lines + 1
        while data or not blocks.ended:
            part = self._plain(data, line) or self._careful(data, line, blocks.ended and not blocks.failure)
            if part.rows:
                yield self._cells(part)
            data, line = data[part.bytes_used :], line + part.lines_used
            if not blocks.ended:
                data = blocks.take(data)
            elif not part.bytes_used:
                break
        if blocks.failure:
            raise InputError(f"{blocks.failure} It was readable up to line {line - 1:,}.") from blocks.failure

    @property
    def _bounds(self) -> Bounds:
        return OF_EXPORT if self.layout.is_export else USUAL

    def _without_header(self, blocks: LineBlocks) -> bytes:
        head = self._header.text
        data = blocks.take(b"")
        while len(data) < len(head) and not blocks.ended:
            data = blocks.take(data)
        if blocks.failure and len(data) < len(head):
            raise blocks.failure
        if not data.startswith(head):
            raise InputError(
                f"{self.path} has changed since it was opened. Start again with a file that nothing writes to."
            )
        return data[len(head) :]

    def _plain(self, data: bytes, line: int) -> _Part | None:
        """The quick way, or None when the block needs care."""
        if not _looks_plain(data):
            return None
        lines = _count_lines(data)
        columns = _parsed(data, self._header.delimiter, len(self.layout.names), self.layout.wanted)
        if columns is None or any(len(column) != lines + 1 for column in columns.values()):
            return None
        return _Part({place: column[:lines] for place, column in columns.items()}, line, None, lines, lines, len(data))

    def _careful(self, data: bytes, line: int, final: bool) -> _Part:
        lines = data.splitlines(keepends=True)
        records, used = split_records(lines, self._header.delimiter, final=final, bounds=self._bounds)
        problems = _problems(records, len(self.layout.names), bytes_problem(data) is None)
        columns = _transposed(records, problems, self.layout)
        numbers = pa.array([line + record.line for record in records], pa.int64())
        return _Part(columns, numbers, problems, len(records), used, sum(map(len, lines[:used])))

    def _cells(self, part: _Part) -> Cells:
        columns, layout = part.columns, self.layout
        if layout.is_export:
            columns = {place: _as_it_was(column) for place, column in columns.items()}
        folder = columns[layout.folder] if layout.folder is not None else None
        extras = {name: columns[place] for place, name in layout.extras}
        in_doubt = columns[layout.in_doubt] if layout.in_doubt is not None else None
        return Cells(columns[layout.user], folder, columns[layout.contact], extras, part.line, part.problems, in_doubt)


def _rows_estimate(path: Path, kind: Kind, header: Header, whole: bool) -> int | None:
    """Lines after the header, counted where all were read, otherwise judged by the size of the file."""
    lines = header.rest.count(b"\n")
    if whole:
        return lines
    if kind is not Kind.PLAIN or is_utf16(path) or not header.rest:
        return None
    return round(lines * (size_of(path) - len(header.text)) / len(header.rest))


def _looks_plain(data: bytes) -> bool:
    """Whether pyarrow may try: LF at the end, no NUL, nothing but UTF-8, no cell too long, no mark that pyarrow would skip."""
    if not data.endswith(b"\n") or b"\0" in data or data.startswith(codecs.BOM_UTF8):
        return False
    half = CELL_BYTES_MAX // 2  # a line with a cell that is too long covers one of these stretches
    if any(data.find(b"\n", start, start + half) < 0 for start in range(0, len(data) - half + 1, half)):
        return False
    return data.isascii() or bytes_problem(data) is None


def _count_lines(data: bytes) -> int:
    """Lines as `csv_records` counts them. Without CRs, what is removed with the LFs is counted five times as fast."""
    return len(data.splitlines()) if b"\r" in data else len(data) - len(data.replace(b"\n", b""))


def _parsed(data: bytes, delimiter: bytes, width: int, wanted: Sequence[int]) -> Columns | None:
    """Let pyarrow split the block, with a line of empty cells at its end; None when a row has the wrong number of cells.

    A quote left open swallows that last line, so that the number of rows tells of it.
    """
    guarded = data + delimiter * (width - 1) + b"\n"
    source: Any = pa.BufferReader(guarded)
    names = [str(place) for place in range(width)]
    kept = [names[place] for place in wanted]
    try:
        table = csv.read_csv(
            source,
            read_options=csv.ReadOptions(use_threads=False, block_size=len(guarded) + 1, column_names=names),
            parse_options=csv.ParseOptions(delimiter=delimiter.decode(), newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(kept, pa.string()), include_columns=kept, check_utf8=False, null_values=[]
            ),
        )
    except pa.ArrowInvalid:
        return None
    return {place: table.column(name).combine_chunks() for place, name in zip(wanted, kept, strict=True)}


def _problems(records: Sequence[Record], width: int, clean: bool) -> dict[int, str]:
    """What is wrong with the shape of which record. ``clean`` says that the bytes of all of them are text."""
    problems = {}
    for index, record in enumerate(records):
        problem = record.problem or (None if clean else bytes_problem(b"\n".join(record.fields)))
        if problem is None and len(record.fields) != width:
            cells = "1 cell" if len(record.fields) == 1 else f"{len(record.fields)} cells"
            problem = f"the row has {cells} where the header has {width}"
        if problem is not None:
            problems[index] = problem
    return problems


def _transposed(records: Sequence[Record], problems: Mapping[int, str], layout: Layout) -> Columns:
    """Columns of the records; a bad one shows the cells it has, so that it can be recognised.

    Without its contact where cells are missing or too many: what stands in that column may belong to another, and an export of the
    row, given as input again, would have the right number of cells.
    """
    width = len(layout.names)
    rows: list[Sequence[bytes | str | None]] = [record.fields for record in records]
    for index in problems:
        fields = records[index].fields
        shown: list[str | None] = [text_of(field) for field in fields[:width]] + [None] * (width - len(fields))
        if len(fields) != width:
            shown[layout.contact] = None
        rows[index] = shown
    roles = (layout.user, layout.folder, layout.contact)
    columns = {}
    for place in layout.wanted:
        column = pa.array([row[place] for row in rows], pa.binary()).cast(pa.string())
        columns[place] = column.fill_null("") if place in roles else column
    return columns


def _as_it_was(column: Text) -> Text:
    return pc.replace_substring_regex(column, _NEUTRALISED, r"\1")


def _plain_again(name: str) -> str:
    """The same for the name of a column."""
    return re.sub(_NEUTRALISED, r"\1", name)
