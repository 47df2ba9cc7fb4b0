r"""Whether a CSV file can be read in two ways: with quotes written twice, or with quotes escaped by a backslash.

Both kinds of CSV are common, and a file does not say which it is. Nearly always only one reading holds together. Where both do and
give other rows, text inside a cell of the one is a row of the other: ``"he said \"yes\"`` and a line break. Such a file is refused.

It knows quotes and backslashes. It must not know which users and ids are allowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

from purgeengine.edges.source.formats.csv_lines import Blocks
from purgeengine.edges.source.formats.csv_records import CsvRecord, Quoting, QuotingError, Scanner

_ESCAPED_QUOTE = re.compile(rb'(?<!\\)((?:\\\\)*)\\"')
_HELD_BYTES_MAX = 1 << 16
"""Backslashes in a row that are kept until it is known what follows them; no text has so many."""


class Watched:
    r"""Pieces of a stream, passed on as they are. ``seen`` tells whether a backslash stood before a quote in any of them."""

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
    """The text with an apostrophe for each quote that a backslash escapes: read as usual, it is what the other kind of CSV says."""
    return _ESCAPED_QUOTE.sub(rb"\1\\'", text)


def refuse_two_readings(
    as_written: Iterator[bytes],
    again: Iterator[bytes],
    header: bytes,
    delimiter: bytes,
    roles: Sequence[int],
    line: int,
) -> None:
    """Raise `QuotingError` where a file has other rows if a backslash escapes a quote, and that reading is as sound as the first.

    ``as_written`` and ``again`` are two readings of the same text, which holds together with quotes written twice. The ``header``
    ends before ``line``. Rows are other ones if their number of cells differs, or a cell in ``roles``.
    """
    first = _records(as_written, header, delimiter, line)
    other = _records(_unquoted(again), unquoted_text(header), delimiter, line)
    differs_at: int | None = None
    try:
        for one, two in zip_longest(first, other):
            if differs_at is None and _rows_of(one, roles) != _rows_of(two, roles):
                differs_at = (one or two).line
    except QuotingError:
        return  # the other reading breaks off: it is not meant
    if differs_at is not None:
        raise QuotingError(Quoting.TWO_READINGS, differs_at, differs_at)


def _rows_of(record: CsvRecord | None, roles: Sequence[int]) -> tuple[int | list[bytes], ...] | None:
    return None if record is None else (record.cell_count, *(record.cells[place : place + 1] for place in roles))


def _unquoted(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """`unquoted_text` of a stream, wherever its pieces end."""
    held = b""
    for piece in pieces:
        data = held + piece
        end = len(data.rstrip(b"\\")) if len(held) < _HELD_BYTES_MAX else len(data)
        held = data[end:]
        yield unquoted_text(data[:end])
    yield held


def _records(pieces: Iterator[bytes], header: bytes, delimiter: bytes, line: int) -> Iterator[CsvRecord]:
    """All records behind the header. Raises `QuotingError`, also where the header itself reads otherwise."""
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
