"""What reading an input mended, passed over or took for something else: counted, with the first place of each kind.

Nothing of this makes a row invalid. It is told before the question, in ``--json`` and in the report, so that nobody has to guess
what became of a cell. It must not know how it is shown.
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
    """Rows of which every cell is empty: they are no rows."""
    HEADER_AGAIN = "header_again"
    """Rows that are the header once more, or a ``#TYPE`` line: files were put together. They are no rows."""
    CELLS_REPLACED = "cells_replaced"
    """Cells of other columns with bytes that are not UTF-8 text, or NUL: those bytes were replaced."""
    CELLS_CUT = "cells_cut"
    """Cells of other columns that are too long: their end was cut off."""
    MISSING_WORDS = "missing_words"
    """Words for a missing value in the folder column, such as ``NULL``: they were taken for empty."""
    CLEANED = "cleaned"
    """Names or ids that ``--clean`` mended."""
    APOSTROPHES = "apostrophes"
    """Users that begin with an apostrophe: it is allowed in a name, and it is also the mark of Excel for text."""
    INCOMPLETE_PAGE = "incomplete_page"
    """A page of Graph's that names a next one (``@odata.nextLink``): the contacts of that are not in the list."""


class Noted(NamedTuple):
    """How often something was noted, the first line of it (from 1), and what stood there, short and printable."""

    times: int
    line: int
    example: str = ""


@dataclass(slots=True)
class Notes:
    """What one reading of an input noted, by kind. The first place is kept, with the index of its file."""

    counts: dict[NoteKind, int] = field(default_factory=dict)
    first: dict[NoteKind, tuple[int, Noted]] = field(default_factory=dict)

    def add(self, source: int, noted: Mapping[NoteKind, Noted]) -> None:
        """Add what was noted in a part of the file with index ``source``."""
        for kind, one in noted.items():
            self.counts[kind] = self.counts.get(kind, 0) + one.times
            self.first.setdefault(kind, (source, one))
