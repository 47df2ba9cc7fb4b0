"""The careful way through CSV: cell after cell, as RFC 4180 says and as Python's ``csv`` reads with strict quoting.

A quote opens a cell only as its first character. Two quotes inside a cell stand for one. A delimiter or a line end
follows the closing quote. Nothing is guessed: if the text is quoted in another way, or a quote is never closed,
nobody can tell where a cell ends, and the file is refused. Otherwise text inside a cell could become rows.

A cell may have any length. Only the beginning of a long cell is held, so that memory stays bounded.

This module knows bytes, quotes and lines. It does not know what the columns mean.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

from purgeengine.edges.source.rows.checked_rows import CELL_BYTES_MAX

KEPT_BYTES = CELL_BYTES_MAX + 8
"""Bytes kept of a long cell: enough to see that it is too long, even if a character is cut off at its end."""
RECORD_BYTES_MAX = 4 << 20
"""Bytes kept of all cells of a row together: more than a hundred long cells."""
CELLS_MAX = 4_096
"""Cells kept of a row. Further cells are only counted. No file may have as many columns."""

_LINE_END = re.compile(rb"\r\n|\r|\n")
_INSIDE = re.compile(rb'[^"]*+(?:""[^"]*+)*+')
"""Text inside quotes, up to the quote that closes it or to the end of the data."""
_QUOTE, _LF, _CR = b'"\n\r'


class Quoting(StrEnum):
    """What is wrong with the quoting of a file, as a part of a sentence that names the line."""

    NEVER_CLOSED = "a cell opens a quote that is never closed, so that all text after it may belong to that cell"
    BACKSLASH = 'a quote is escaped with a backslash (\\"), which is another kind of CSV'
    TEXT_AFTER = "text follows the closing quote of a cell"
    SPACES_BEFORE = "spaces stand between a delimiter and the quote that opens a cell"
    INSIDE = "a quote stands inside a cell that does not begin with one"
    TWO_READINGS = (
        'a backslash stands before a quote (\\"): the file can be read in two ways, and each gives different rows'
    )


_REMEDIES = {
    Quoting.NEVER_CLOSED: 'Close that quote, or write it twice ("") if it is part of the text',
    Quoting.BACKSLASH: 'Save the list again with such quotes written twice (""), as Export-Csv and Excel do',
    Quoting.TEXT_AFTER: 'Write each quote that is part of the text twice ("") and put the whole cell in quotes',
    Quoting.SPACES_BEFORE: "Remove these spaces",
    Quoting.TWO_READINGS: 'Save the list again with quotes written twice (""), as Export-Csv and Excel do',
    Quoting.INSIDE: 'Put the whole cell in quotes and write the quote inside it twice ("")',
}


class QuotingError(Exception):
    """The text cannot be split into cells with certainty. ``line`` is where that shows, ``opened`` where the cell begins."""

    def __init__(self, what: Quoting, line: int, opened: int) -> None:
        super().__init__(what)
        self.what, self.line, self.opened = what, line, opened

    def sentence(self) -> str:
        """Return the line, the problem and the remedy as a sentence, without the name of the file and without a full stop."""
        begins = f" (the cell begins in line {self.opened:,})" if self.opened != self.line else ""
        return f"in line {self.line:,} {self.what}{begins}. {_REMEDIES[self.what]}"


class CsvRecord(NamedTuple):
    """A row of a file: its cells without quotes, its number of cells, and its first line (from 1).

    ``has_hole`` is true if a cell whose end was not kept has two NULs in a row. ``too_long`` is true if some cells
    were not kept at all.
    """

    cells: list[bytes]
    cell_count: int
    line: int
    has_hole: bool = False
    too_long: bool = False

    @property
    def is_blank(self) -> bool:
        """True if all cells are empty or hold only spaces. Such a record is not a row."""
        return not self.too_long and self.cell_count == len(self.cells) and not any(map(bytes.strip, self.cells))


class _State(StrEnum):
    """Where in a record the scanner stands."""

    CELL_START = "cell start"
    UNQUOTED = "unquoted"
    QUOTED = "quoted"
    CLOSED = "closed"
    """After a quote in a quoted cell: it has closed the cell, or a second one follows."""


class Scanner:
    """Splits text into records, however the text is cut into blocks. ``line`` is the number of the next line.

    Blocks must not end between CR and LF.
    """

    def __init__(self, delimiter: bytes, line: int) -> None:
        self.line = line
        self._delimiter = delimiter
        self._begin()

    def _begin(self) -> None:
        self.open = False
        self._state = _State.CELL_START
        self._cells: list[bytes] = []
        self._count = self._kept = 0
        self._first = self._opened = 0
        self._has_hole = self._too_long = False
        self._escaped = 0
        self._begin_cell()

    def _begin_cell(self) -> None:
        self._state = _State.CELL_START
        self._parts: list[bytes] = []
        self._size = 0
        self._last = b""

    def read(self, data: bytes, at: int) -> tuple[CsvRecord | None, int]:
        """Read on from ``at`` to the end of a record. Return the record and the place after it.

        The record is None if the data ends before it does; then call again with the next block. Raises
        `QuotingError`.
        """
        end = len(data)
        if not self.open:
            line_end = _LINE_END.search(data, at)
            if line_end and (record := self._plain_line(data[at : line_end.start()])):
                return record, line_end.end()
            self._first = self._opened = self.line
        while at < end:
            self.open = True
            if self._state is _State.QUOTED:
                found = _INSIDE.match(data, at)
                assert found  # it matches an empty text too
                self._take_quoted(found[0])
                if found.end() == end:
                    return None, end
                self._state, at = _State.CLOSED, found.end() + 1
            elif self._state is _State.CLOSED:
                character = data[at]
                if self._last == b"\\":
                    self._escaped = self._escaped or self.line
                if character == _QUOTE:
                    self._take(b'"')
                    self._state, at = _State.QUOTED, at + 1
                elif character == self._delimiter[0]:
                    self._end_cell()
                    at += 1
                elif character in (_LF, _CR):
                    self._end_cell()
                    return self._ended(), at + 1 + data.startswith(b"\r\n", at)
                else:
                    raise self._wrong(Quoting.TEXT_AFTER)
            elif self._state is _State.CELL_START and data[at] == _QUOTE:
                self._state, self._opened, at = _State.QUOTED, self.line, at + 1
            else:
                record, at = self._unquoted(data, at)
                if record:
                    return record, at
        return None, end

    def _plain_line(self, text: bytes) -> CsvRecord | None:
        """The record that a short line without quotes is; None for any other line. Most lines of most files are such lines."""
        if len(text) > CELL_BYTES_MAX or b'"' in text:
            return None
        cells = text.split(self._delimiter)
        if len(cells) > CELLS_MAX:
            return None
        self.line += 1
        return CsvRecord(cells, len(cells), self.line - 1)

    def finish(self) -> None:
        """Declare that the text ends here, after a line end. Raises `QuotingError` if that line end lies in a quoted cell."""
        if self.open:
            raise self._wrong(Quoting.NEVER_CLOSED)

    def _unquoted(self, data: bytes, at: int) -> tuple[CsvRecord | None, int]:
        """Read up to the end of the line, the next quote, or the end of the data."""
        line_end = _LINE_END.search(data, at)
        stop = line_end.start() if line_end else len(data)
        quote = data.find(b'"', at, stop)
        if quote >= 0:
            before = data[at:quote]
            if not before.endswith(self._delimiter):
                raise self._wrong_inside(before.rpartition(self._delimiter))
            self._take_all(before[:-1].split(self._delimiter))
            self._end_cell()
            return None, quote
        self._take_all(data[at:stop].split(self._delimiter))
        if not line_end:
            return None, stop
        self._end_cell()
        return self._ended(), line_end.end()

    def _take_quoted(self, text: bytes) -> None:
        """Take text from inside quotes, where two quotes stand for one."""
        if b'"' in text:
            escaped = text.find(b'\\"')
            if escaped >= 0 and not self._escaped:
                self._escaped = self.line + _lines_in(text[:escaped])
            text = text.replace(b'""', b'"')
        self._take(text)

    def _take_all(self, cells: list[bytes]) -> None:
        """Take unquoted cells. The last one may continue."""
        size = sum(map(len, cells))
        if (
            len(cells) > 1 and self._kept + self._size + size <= CELL_BYTES_MAX
        ):  # nothing can be too long: the usual case
            self._take(cells[0])
            self._end_cell()
            self._add(cells[1:-1], size - len(cells[0]) - len(cells[-1]))
        else:
            kept = max(CELLS_MAX - len(self._cells), 1)  # the first cell may have begun in an earlier block
            for cell in cells[:-1][:kept]:
                self._take(cell)
                self._end_cell()
            self._count += max(len(cells) - 1 - kept, 0)
        if cells[-1]:
            self._state = _State.UNQUOTED
            self._take(cells[-1])

    def _take(self, part: bytes) -> None:
        """Add text to the present cell. Only the beginning of a long cell is kept."""
        if not part:
            return
        if self._state is _State.QUOTED:
            self.line += _lines_in(part)
        if self._size + len(part) > KEPT_BYTES:
            kept = max(KEPT_BYTES - self._size, 0)
            self._has_hole = self._has_hole or b"\0\0" in self._last + part
            if kept:
                self._parts.append(part[:kept])
        else:
            self._parts.append(part)
        self._size += len(part)
        self._last = part[-1:]

    def _end_cell(self) -> None:
        cell = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        if self._size > KEPT_BYTES:
            cell = _whole_characters(cell)
        self._add([cell], len(cell))
        self._begin_cell()

    def _add(self, cells: list[bytes], size: int) -> None:
        self._count += len(cells)
        if self._kept + size > RECORD_BYTES_MAX:
            self._too_long = True
            cells = [b""] * len(cells)
        else:
            self._kept += size
        self._cells += cells[: CELLS_MAX - len(self._cells)]

    def _ended(self) -> CsvRecord:
        record = CsvRecord(self._cells, self._count, self._first, self._has_hole, self._too_long)
        self.line += 1
        self._begin()
        return record

    def _wrong(self, what: Quoting) -> QuotingError:
        if self._escaped:
            return QuotingError(Quoting.BACKSLASH, self._escaped, self._escaped)
        return QuotingError(what, self._opened if what is Quoting.NEVER_CLOSED else self.line, self._opened)

    def _wrong_inside(self, split: tuple[bytes, bytes, bytes]) -> QuotingError:
        """Return the error for a quote in an unquoted cell. ``split`` is the text before it, split at its last delimiter."""
        _, delimiter, before = split
        cell = before if delimiter else b"".join(self._parts) + before
        self._opened = self.line
        if (before or self._last).endswith(b"\\"):
            self._escaped = self._escaped or self.line
        return self._wrong(Quoting.INSIDE if cell.strip() else Quoting.SPACES_BEFORE)


def _lines_in(text: bytes) -> int:
    return text.count(b"\n") + text.count(b"\r") - text.count(b"\r\n")


def _whole_characters(cut: bytes) -> bytes:
    """Drop the last character if its UTF-8 bytes may be incomplete."""
    for back in range(1, 5):
        if cut[-back] < 0x80:
            return cut[: len(cut) - back + 1]
        if cut[-back] >= 0xC0:
            return cut[:-back]
    return cut
