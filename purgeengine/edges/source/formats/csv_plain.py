"""The quick way through CSV: pyarrow splits a block of whole lines, each of which is one row.

pyarrow is lenient: it reads on after a closing quote, and takes a quote inside a cell as text. Its result is used
only if every quote stands where `csv_records` expects it, and if it finds as many rows as there are lines. Every row
takes at least one line, so each line is then one row with the right number of cells. Every other block is read in the
careful way.

This module knows bytes, lines and quotes. It does not know what the columns mean.
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import pyarrow as pa
from pyarrow import csv

from purgeengine.edges.source.rows.checked_rows import CELL_BYTES_MAX, Text, bytes_problem

Columns: TypeAlias = Mapping[int, Text]
"""Cells by the position of their column in the file."""


def plain_columns(data: bytes, delimiter: bytes, width: int, wanted: Sequence[int]) -> tuple[Columns, int] | None:
    """Return the ``wanted`` columns of whole lines and the number of rows.

    None if the block must be read in the careful way.
    """
    if not _looks_plain(data) or not _quotes_are_right(data, delimiter):
        return None
    lines = _count_lines(data)
    columns = _parsed(data, delimiter, width, wanted)
    if columns is None or any(len(column) != lines + 1 for column in columns.values()):
        return None
    return {place: column[:lines] for place, column in columns.items()}, lines


def _looks_plain(data: bytes) -> bool:
    """True if pyarrow may try: LF at the end, no NUL, valid UTF-8, no cell too long, no byte order mark that pyarrow would skip."""
    if not data.endswith(b"\n") or b"\0" in data or data.startswith(codecs.BOM_UTF8):
        return False
    half = CELL_BYTES_MAX // 2  # a line whose cell is too long covers at least one of these pieces completely
    if any(data.find(b"\n", start, start + half) < 0 for start in range(0, len(data) - half + 1, half)):
        return False
    return data.isascii() or bytes_problem(data) is None


def _quotes_are_right(data: bytes, delimiter: bytes) -> bool:
    """True if each quote opens or closes a cell, or is one of two inside a cell.

    Text outside of quotes must end with a delimiter or line end before a quote opens, and must begin with one after a
    quote has closed. If there is no text between two quotes, they are a doubled quote in a cell.
    """
    if b'"' not in data or _all_are_quoted(data, delimiter):
        return True
    parts = data.split(b'"')
    if len(parts) % 2 == 0:
        return False
    borders = (delimiter, b"\n", b"\r")
    first, last = parts[0], parts[-1]
    between = set(parts[2:-1:2])  # if all cells are quoted, few of these differ
    between.discard(b"")
    return (
        (not first or first.endswith(borders))
        and last.startswith(borders)
        and all(part.startswith(borders) and part.endswith(borders) for part in between)
    )


def _all_are_quoted(data: bytes, delimiter: bytes) -> bool:
    """True if each quote but the first and last is one of two around a delimiter or line end. Takes a third of the time.

    Then quotes close and open cells in turn. False if two such pairs may share a quote, or if a cell has a doubled
    quote.
    """
    end = b"\r\n" if data.endswith(b"\r\n") else b"\n"
    if not (data.startswith(b'"') and data.endswith(b'"' + end)):
        return False
    between, over = b'"' + delimiter + b'"', b'"' + end + b'"'
    if between + over[1:] in data or over + between[1:] in data:
        return False
    quotes = len(data) - len(data.replace(b'"', b""))  # takes two thirds of the time of counting
    return 2 * (data.count(between) + data.count(over)) + 2 == quotes


def _count_lines(data: bytes) -> int:
    """Count lines as `csv_records` does. If there is no CR, removing the LFs is five times as fast as splitting."""
    return len(data.splitlines()) if b"\r" in data else len(data) - len(data.replace(b"\n", b""))


def _parsed(data: bytes, delimiter: bytes, width: int, wanted: Sequence[int]) -> Columns | None:
    """Let pyarrow split the block, with a line of empty cells added. None if a row has the wrong number of cells.

    A quote that is never closed swallows the added line, so the number of rows shows it.
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
