r"""Detect CSV files that can be read in two ways: with quotes doubled, or with quotes escaped by a backslash.

Both kinds of CSV are common, and a file does not say which one it is. Nearly always only one reading is valid. If
both are valid and give different rows, text inside a cell in one reading is a row in the other (``"he said \"yes\"``
and a line break). Such a file is refused.

This module knows quotes and backslashes. It does not know which users and ids are allowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

from purgeengine.edges.source.formats.csv_lines import Blocks
from purgeengine.edges.source.formats.csv_records import CsvRecord, Quoting, QuotingError, Scanner

_ESCAPED_QUOTE = re.compile(rb'(?<!\\)((?:\\\\)*)\\"')
_HELD_BYTES_MAX = 1 << 16
"""Trailing backslashes that are held back until the next piece shows what follows them, in bytes. No text has so many."""


class BackslashDetector:
    """Passes the pieces of a stream on unchanged. ``seen`` is true if a backslash stood before a quote in any of them."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._last = b""
        self.seen = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        piece = next(self._pieces)
        self.seen = self.seen or b'\\"' in piece or (self._last == b"\\" and piece.startswith(b'"'))
        self._last = piece[-1:] or self._last
        return piece


def unquoted_text(text: bytes) -> bytes:
    """Replace each quote that a backslash escapes by an apostrophe.

    Read as usual, the result has the rows of the other kind of CSV.
    """
    return _ESCAPED_QUOTE.sub(rb"\1\\'", text)


def refuse_two_readings(
    as_written: Iterator[bytes],
    again: Iterator[bytes],
    header: bytes,
    delimiter: bytes,
    roles: Sequence[int],
    line: int,
) -> None:
    """Raise `QuotingError` if a backslash may escape quotes, and reading the file so is valid and gives different rows.

    ``as_written`` and ``again`` are two iterators over the same text, which is valid with doubled quotes. The
    ``header`` ends before ``line``. Rows differ if their number of cells differs, or a cell of the columns in
    ``roles``.
    """
    first = _records(as_written, header, delimiter, line)
    other = _records(_unquoted(again), unquoted_text(header), delimiter, line)
    differs_at: int | None = None
    try:
        for one, two in zip_longest(first, other):
            if differs_at is None and _rows_of(one, roles) != _rows_of(two, roles):
                differs_at = (one or two).line
    except QuotingError:
        return  # the other reading is not valid, so it is not meant
    if differs_at is not None:
        raise QuotingError(Quoting.TWO_READINGS, differs_at, differs_at)


def _rows_of(record: CsvRecord | None, roles: Sequence[int]) -> tuple[int | list[bytes], ...] | None:
    return None if record is None else (record.cell_count, *(record.cells[place : place + 1] for place in roles))


def _unquoted(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Apply `unquoted_text` to a stream, wherever its pieces end."""
    held = b""
    for piece in pieces:
        data = held + piece
        end = len(data.rstrip(b"\\")) if len(held) < _HELD_BYTES_MAX else len(data)
        held = data[end:]
        yield unquoted_text(data[:end])
    yield held


def _records(pieces: Iterator[bytes], header: bytes, delimiter: bytes, line: int) -> Iterator[CsvRecord]:
    """Yield all records after the header. Raises `QuotingError`, also if the header itself reads differently."""
    blocks, scanner = Blocks(pieces, len(header) + 1), Scanner(delimiter, line)
    data = blocks.take()
    while len(data) < len(header) and not blocks.ended:
        data += blocks.take()
    if not data.startswith(header):
        raise QuotingError(Quoting.BACKSLASH, 1, 1)
    data = data[len(header) :]
    while True:
        if blocks.ended and (data or scanner.open) and not data.endswith((b"\n", b"\r")):
            data += b"\n"
        at = 0
        while at < len(data):
            record, at = scanner.read(data, at)
            if record:
                yield record
        if blocks.ended:
            break
        data = blocks.take()
    scanner.finish()
