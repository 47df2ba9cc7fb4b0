r"""Rows of a CSV file that hold nothing: empty lines, and rows of which every cell is empty.

They are no rows. A file may have millions of them in a row and still be small when it is compressed, so a run of them is passed
over at once.

It knows delimiters and lines. It must not know what the columns mean.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

_CELLS_MAX = 4_000
"""Cells of a row that is passed over here; a longer one is read as any other row, where the number of cells is limited."""
_CELL_BYTES_MAX = 1_000
"""Spaces in a cell of a row that is passed over here, for the same reason."""
_SPACES = b" \t\v\f"
"""What `bytes.strip` removes, without line ends."""


class BlankRows(NamedTuple):
    """A run of blank rows: where it ends, its lines, and those of them that have a delimiter, with the first line of those.

    ``first_with_cells`` counts from 0 at the beginning of the run; it is 0 where no line has a delimiter.
    """

    end: int
    lines: int
    with_cells: int
    first_with_cells: int


def blank_rows(data: bytes, at: int, end: int, delimiter: bytes) -> BlankRows | None:
    """The run of blank rows that begins at ``at``, where a record begins, up to ``end``; None where there is none."""
    found = _pattern(delimiter).match(data, at, end)
    if not found:
        return None
    text = found[0]
    if delimiter not in text:
        return BlankRows(found.end(), len(text.splitlines()), 0, 0)
    has_cells = [delimiter in line for line in text.splitlines()]
    return BlankRows(found.end(), len(has_cells), sum(has_cells), has_cells.index(True))


@lru_cache(maxsize=8)
def _pattern(delimiter: bytes) -> re.Pattern[bytes]:
    spaces = re.escape(_SPACES.replace(delimiter, b""))
    cell = rb'(?:""|[%b]{0,%d}+)' % (spaces, _CELL_BYTES_MAX)
    return re.compile(
        rb"(?:[\r\n]++|%b(?:%b%b){0,%d}+(?:\r\n|[\r\n]))++" % (cell, re.escape(delimiter), cell, _CELLS_MAX)
    )
