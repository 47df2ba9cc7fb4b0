r"""The careful way through CSV: one record after the other, each either right or named for what is wrong with it.

Quoting is that of RFC 4180, read as Python's ``csv`` and pyarrow read it: a quote opens a field only as its first character, two
inside stand for one, and what follows the closing quote on the same line belongs to the cell. One thing is stricter. A quoted field
that spans lines has to be followed by a delimiter or a line end; otherwise the quote that closes it is most likely the *opening*
one of a later row, and the row put together from both would pair the mailbox of one with the contact of the other.

It knows bytes, quotes and lines. It must not know what the columns mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from purgeengine.edges.source.csv_lines import LINE_BYTES_MAX
from purgeengine.edges.source.rows import CELL_BYTES_MAX, ROW_TOO_LONG

QUOTED_LINES_MAX = 64
"""Most lines of one quoted field: an address or a note has fewer, and a quote that is never closed costs only itself."""
QUOTED_BYTES_MAX = 256 * 1024
"""Most bytes of one quoted field, for the same reason."""

CLOSED_LATE = "the row opens a quote that is closed in the middle of a later line"


class Bounds(NamedTuple):
    """How long a line, and how many lines of a quoted field, may be before the row counts as broken."""

    line_bytes: int = LINE_BYTES_MAX
    quoted_lines: int = QUOTED_LINES_MAX


USUAL = Bounds()
OF_EXPORT = Bounds(4 * LINE_BYTES_MAX, CELL_BYTES_MAX)
"""An export is quoted throughout and by ourselves: there, any row that came from Parquet has to pass, with every quote doubled."""


class Record(NamedTuple):
    """A row of a file: its cells without quotes, its first line's index, and what is wrong with its shape, or None."""

    fields: list[bytes]
    line: int
    problem: str | None = None


class Split(NamedTuple):
    """The records of some lines, and how many of the lines they take; the others begin a record that goes on after them."""

    records: list[Record]
    lines_used: int


class _Scanned(NamedTuple):
    """A record with quotes, and the index of the line after it; None where it goes on after the lines at hand."""

    record: Record
    next_line: int | None


def split_records(lines: Sequence[bytes], delimiter: bytes, *, final: bool, bounds: Bounds = USUAL) -> Split:
    """Split whole lines, with their ends, into records. Empty lines are no records. ``final`` says that no line follows."""
    records: list[Record] = []
    at = 0
    while at < len(lines):
        content = lines[at].rstrip(b"\r\n")
        if len(content) > bounds.line_bytes:
            records.append(Record([], at, ROW_TOO_LONG))
        elif b'"' in content:
            record, following = _scan(lines, at, delimiter, final, bounds)
            if following is None:
                return Split(records, at)
            records.append(record)
            at = following
            continue
        elif content.strip(b" "):
            records.append(Record(content.split(delimiter), at))
        at += 1
    return Split(records, at)


def _scan(lines: Sequence[bytes], first: int, delimiter: bytes, final: bool, bounds: Bounds) -> _Scanned:
    """Read one record, field by field. A broken one ends with the line in which its last quote was opened."""
    fields: list[bytes] = []
    at, start = first, 0
    while True:
        opened, begins, cell = at, start, b""
        if lines[at].startswith(b'"', start):
            quoted = _quoted(lines, at, start + 1, final, bounds.quoted_lines)
            if quoted is None:
                return _Scanned(Record(fields, first), None)
            if isinstance(quoted, str):
                return _broken(fields, lines[opened][begins:], first, quoted, opened)
            cell, at, start = quoted
        end, ends_record = _field_end(lines[at], start, delimiter)
        if at > opened and end > start:
            return _broken(fields, lines[opened][begins:], first, CLOSED_LATE, opened)
        fields.append(cell + lines[at][start:end])
        if ends_record:
            return _Scanned(Record(fields, first), at + 1)
        start = end + 1


def _broken(fields: Sequence[bytes], rest: bytes, first: int, problem: str, opened: int) -> _Scanned:
    """A record that cannot be read beyond the line in which a quote was ``opened``; the ``rest`` of that line is shown."""
    return _Scanned(Record([*fields, rest.rstrip(b"\r\n")], first, problem), opened + 1)


def _quoted(
    lines: Sequence[bytes], at: int, start: int, final: bool, lines_max: int
) -> tuple[bytes, int, int] | str | None:
    """Read to the closing quote: the text, and the line and place after the quote.

    A string says why there is none that could be meant; None that the lines at hand do not tell.
    """
    parts: list[bytes] = []
    opened, size = at, 0
    while True:
        quote = lines[at].find(b'"', start)
        if quote < 0:
            parts.append(lines[at][start:])
            size += len(parts[-1])
            at, start = at + 1, 0
            if at - opened >= lines_max or size > QUOTED_BYTES_MAX or (final and at == len(lines)):
                return f"the row opens a quote that is not closed within {lines_max} lines"
            if at == len(lines):
                return None
        elif lines[at].startswith(b'"', quote + 1):
            parts.append(lines[at][start : quote + 1])
            start = quote + 2
        else:
            parts.append(lines[at][start:quote])
            return b"".join(parts), at, quote + 1


def _field_end(line: bytes, start: int, delimiter: bytes) -> tuple[int, bool]:
    """Where the field ends that goes on at ``start``, and whether the record ends there too."""
    end = line.find(delimiter, start)
    return (end, False) if end >= 0 else (len(line.rstrip(b"\r\n")), True)
