"""What Python's ``csv`` with strict quoting reads: an independent oracle for the CSV reader."""

from __future__ import annotations

import csv
import io
from typing import NamedTuple

WHITESPACE = " \t\n\r\v\f"
"""The characters of a blank cell."""


class OracleRow(NamedTuple):
    """A row that has any text: the number of its first line, and its cells."""

    line: int
    cells: tuple[str, ...]


class Oracle(NamedTuple):
    """The rows up to the end of the text, or up to the place where the quoting is wrong, and whether it is wrong."""

    rows: list[OracleRow]
    wrong: bool


def oracle_of(text: str, delimiter: str, first_line: int = 1) -> Oracle:
    """Read text whose first line has the number ``first_line``. Rows of blank cells are left out."""
    csv.field_size_limit(1 << 30)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows = []
    while True:
        line = first_line + reader.line_num
        try:
            cells = next(reader, None)
        except csv.Error:
            return Oracle(rows, True)
        if cells is None:
            return Oracle(rows, False)
        if any(cell.strip(WHITESPACE) for cell in cells):
            rows.append(OracleRow(line, tuple(cells)))
