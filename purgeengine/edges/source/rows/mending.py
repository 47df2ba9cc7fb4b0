"""What is put right in the cells of a file before they are checked. Every kind of change is counted.

Values for all rows of a file that no column holds (``--user``, a partition folder) are filled in. A word for a
missing value in the optional folder column counts as an empty folder. With ``--clean``, characters that certainly do
not belong to a name or id are removed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute

from purgeengine.core.graph.identifier_causes import mended
from purgeengine.core.graph.identifiers import is_id, is_user
from purgeengine.core.graph.text import EXAMPLE_CHARS_MAX, escaped
from purgeengine.edges.source.rows.checked_rows import Cells, Flags, Text, missing_words, valid_ids, valid_users
from purgeengine.edges.source.rows.columns import Layout
from purgeengine.edges.source.rows.notes import Noted, NoteKind

pc: Any = pyarrow.compute  # its type stubs are too narrow (see `checked_rows`)


_NONE = pa.scalar(0, pa.int32())
_SHORT_BYTES = pa.scalar(32, pa.int32())
"""Longest cell in bytes that can hold a word for a missing value, with spaces around it."""


@dataclass(frozen=True, slots=True)
class Mender:
    """Mends the cells of one file. ``clean`` is true for ``--clean``."""

    layout: Layout
    clean: bool

    def mend(self, cells: Cells) -> Cells:
        """Return the cells as they are meant. Their notes tell what was changed."""
        cells = self._completed(cells)
        notes = dict(cells.notes)
        if "user" not in self.layout.given:
            _tell_of_apostrophes(cells, notes)
        if cells.folder is not None:
            folder = self._without_words(cells, cells.folder, notes)
            if folder is not cells.folder:
                cells = replace(cells, folder=folder)
        if self.clean:
            cells = _cleaned(cells, notes)
        return replace(cells, notes=notes) if notes else cells

    def _completed(self, cells: Cells) -> Cells:
        layout, count = self.layout, len(cells.user)
        if layout.given:
            cells = replace(cells, **{role: _repeated(value, count) for role, value in layout.given.items()})
        if layout.constants:
            more = {name: _repeated(value or None, count) for name, value in layout.constants}
            cells = replace(cells, extras={**cells.extras, **more})
        return cells

    def _without_words(self, cells: Cells, folder: Text, notes: dict[NoteKind, Noted]) -> Text:
        lengths = pc.binary_length(folder)
        if not pc.any(pc.and_(pc.greater(lengths, _NONE), pc.less_equal(lengths, _SHORT_BYTES))).as_py():
            return folder
        words = missing_words(pc.utf8_trim_whitespace(folder))
        if words is None:
            return folder
        _note(notes, NoteKind.MISSING_WORDS, cells, words, lambda index: str(folder[index].as_py()))
        return pc.if_else(words, pa.scalar("", pa.string()), folder)


def _tell_of_apostrophes(cells: Cells, notes: dict[NoteKind, Noted]) -> None:
    """Note users that begin with an apostrophe and do not end with one. Users in quotes are invalid and reported as such."""
    marked = pc.starts_with(cells.user, "'")
    if pc.any(marked).as_py():
        marked = pc.and_not(marked, pc.ends_with(cells.user, "'"))
        if pc.any(marked).as_py():
            _note(notes, NoteKind.APOSTROPHES, cells, marked, lambda index: str(cells.user[index].as_py()))


def _cleaned(cells: Cells, notes: dict[NoteKind, Noted]) -> Cells:
    """Mend names and ids, but only where mending makes them valid. Nearly all are valid before."""
    changed: Any = pa.repeat(pa.scalar(False), len(cells.user))
    before: dict[int, tuple[str, str]] = {}
    done: dict[str, Text] = {}
    for role, column in (("user", cells.user), ("folder", cells.folder), ("contact", cells.contact)):
        if column is None:
            continue
        column = pc.utf8_trim_whitespace(column)
        right = valid_users(column) if role == "user" else valid_ids(column)
        wrong = pc.and_(pc.invert(right), pc.not_equal(column, pa.scalar("", pa.string())))
        places = pc.indices_nonzero(wrong).to_pylist()
        if not places:
            continue
        found = column.to_pylist()
        fits = is_user if role == "user" else is_id
        flags = bytearray(len(found))
        for place in places:
            text = mended(found[place], is_user=role == "user")
            if text != found[place] and fits(text):
                before.setdefault(place, (found[place], text))
                found[place], flags[place] = text, 1
        if any(flags):
            done[role] = pa.array(found, pa.string())
            changed = pc.or_(changed, pa.array(map(bool, flags), pa.bool_()))
    if not done:
        return cells
    _note(notes, NoteKind.CLEANED, cells, changed, lambda index: " -> ".join(map(escaped, before[index])))
    return replace(cells, **done)


def _note(
    notes: dict[NoteKind, Noted], kind: NoteKind, cells: Cells, where: Flags, example: Callable[[int], str]
) -> None:
    first = pc.index(where, True).as_py()
    line = cells.line + first if isinstance(cells.line, int) else cells.line[first].as_py()
    notes[kind] = Noted(where.true_count, line, escaped(example(first), 2 * EXAMPLE_CHARS_MAX + 4))


def _repeated(value: str | None, count: int) -> Text:
    return pa.repeat(pa.scalar(value, pa.string()), count)
