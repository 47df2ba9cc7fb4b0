"""What reading an input mended, skipped or reinterpreted: counted by kind, with the first place of each.

No note makes a row invalid. Notes are shown before the question, in ``--json`` and in the report, so that nobody has
to guess what became of a cell. This module does not know how they are shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class NoteKind(StrEnum):
    """What was noted. The values are keys of ``--json``."""

    TITLE_LINES = "title_lines"
    """Lines above the header that are not part of the table."""
    SEP_LINE = "sep_line"
    """The line ``sep=;`` that Excel reads, which names the delimiter."""
    EMPTY_ROWS = "empty_rows"
    """Rows of which every cell is empty. They do not count as rows."""
    HEADER_AGAIN = "header_again"
    """Rows that repeat the header, or a ``#TYPE`` line: files were put together. They do not count as rows."""
    CELLS_REPLACED = "cells_replaced"
    """Cells of other columns with NULs or bytes that are not UTF-8 text. Those bytes were replaced."""
    CELLS_CUT = "cells_cut"
    """Cells of other columns that are too long. Their end was cut off."""
    MISSING_WORDS = "missing_words"
    """Words for a missing value in the folder column, such as ``NULL``. They count as empty."""
    CLEANED = "cleaned"
    """Names or ids that ``--clean`` mended."""
    APOSTROPHES = "apostrophes"
    """Users that begin with an apostrophe. It is allowed in a name, and it is also Excel's mark for text."""
    INCOMPLETE_PAGE = "incomplete_page"
    """A page of Graph that names a next page (``@odata.nextLink``). The contacts of that page are not in the list."""


class Noted(NamedTuple):
    """How often something was noted, its first line (from 1), and what stood there, short and printable."""

    times: int
    line: int
    example: str = ""


@dataclass(slots=True)
class Notes:
    """The notes of one reading of an input, by kind. The first place of each kind is kept, with the index of its file."""

    counts: dict[NoteKind, int] = field(default_factory=dict)
    first: dict[NoteKind, tuple[int, Noted]] = field(default_factory=dict)

    def add(self, source: int, noted: Mapping[NoteKind, Noted]) -> None:
        """Add notes about the file with index ``source``."""
        for kind, one in noted.items():
            self.counts[kind] = self.counts.get(kind, 0) + one.times
            self.first.setdefault(kind, (source, one))
