"""A JSON file as columns of text: every key of its objects is a column.

Objects need not have the same keys, so the file is read once to learn them. That reading also checks the file to its
end, so a broken file is refused before any row of it is used. This module does not know which users and ids are
allowed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from purgeengine.core.graph.text import escaped
from purgeengine.edges.source.files.found_files import Kind
from purgeengine.edges.source.files.streams import text_pieces
from purgeengine.edges.source.formats.json_text import Element, elements
from purgeengine.edges.source.formats.json_values import Repeating, kind_of_value
from purgeengine.edges.source.rows.checked_rows import HALF_PAIR, HAS_NUL, NOT_TEXT, Cells, Text
from purgeengine.edges.source.rows.column_names import COLUMNS_MAX, name_key, plain_name
from purgeengine.edges.source.rows.columns import Layout, Roles, layout_of
from purgeengine.edges.source.rows.notes import Noted, NoteKind
from purgeengine.errors import InputError

ROWS_AT_ONCE = 1_024
"""Objects held in memory at once: 3 MB with usual ones."""
CHARS_AT_ONCE = 4 << 20
"""Characters of text held in memory at once."""


@dataclass(frozen=True, slots=True)
class JsonTable:
    """A JSON file that was read to its end and understood. ``rows_estimate`` is exact."""

    path: Path
    layout: Layout
    rows_estimate: int
    _kind: Kind
    _piece_bytes: int
    _places: Mapping[str, int]
    """The column of each key, by the one spelling of its name."""

    @classmethod
    def opened(cls, path: Path, kind: Kind, override: Mapping[str, str], piece_bytes: int) -> JsonTable:
        """Read the whole file. Raises `InputError` if it is not JSON, is ambiguous, lacks a column, or cannot be read."""
        names: dict[str, str] = {}
        known: set[str] = set()
        rows, kinds = 0, set[str]()
        for element in elements(path, text_pieces(path, kind, piece_bytes)):
            rows += not element.next_link
            if element.kind:
                kinds.add(element.kind)
            for key in element.fields or ():
                if key not in known and len(names) <= 2 * COLUMNS_MAX:
                    known.add(key)
                    names.setdefault(_key_of(key), plain_name(_shown(key)))
        if kinds and not names:
            raise InputError(
                f"{path}: its elements are {' or '.join(sorted(kinds))}, not objects with a user and a contact. Write each row as "
                'an object, such as {"user": "ann@contoso.com", "contact": "..."}.'
            )
        if not rows and not names:
            names = _names_of_nothing(override)
        layout = layout_of(path, list(names.values()), override)
        places = {key: place for place, key in enumerate(names)}
        return cls(path, layout, rows, kind, piece_bytes, places)

    def cells(self) -> Iterator[Cells]:
        """Yield all rows in order. Raises `InputError` if the file has changed since it was opened, or cannot be read."""
        found = elements(self.path, text_pieces(self.path, self._kind, self._piece_bytes))
        while rows := list(islice(found, ROWS_AT_ONCE)):
            yield from self._some(rows)

    def _some(self, rows: Sequence[Element]) -> Iterator[Cells]:
        """Yield the rows in several pieces if the objects are large."""
        chunk, chars = _Chunk(self), 0
        for element in rows:
            chars += chunk.add(element)
            if chars > CHARS_AT_ONCE:
                yield chunk.cells()
                chunk, chars = _Chunk(self), 0
        if chunk.numbers or chunk.notes:
            yield chunk.cells()

    def place_of(self, key: str) -> int:
        """Return the column of a key. Raises `InputError` for a key that the file did not have when it was opened."""
        try:
            return self._places[_key_of(key)]
        except KeyError:
            raise InputError(
                f"{self.path} has changed since it was opened. Start again with a file that nothing writes to."
            ) from None


class _Chunk:
    """Rows that are being turned into columns."""

    def __init__(self, table: JsonTable) -> None:
        self._table = table
        layout = table.layout
        self._roles = {
            place: role
            for role, place in (("contact", layout.contact), ("user", layout.user), ("folder", layout.folder))
            if place is not None and role not in layout.given
        }
        self._columns: dict[int, list[str | None]] = {place: [] for place in layout.wanted}
        self.numbers: list[int] = []
        self.problems: dict[int, str] = {}
        self.notes: dict[NoteKind, Noted] = {}

    def add(self, element: Element) -> int:
        """Add a row. Return about how many characters it has."""
        if element.next_link:
            self._note(NoteKind.INCOMPLETE_PAGE, element.number, element.next_link)
            return 0
        index = len(self.numbers)
        self.numbers.append(element.number)
        row: dict[int, str | None] = {}
        if element.problem is not None:
            self.problems[index] = element.problem
        elif element.fields is not None:
            row = self._row(index, element.number, element.fields)
        for place, column in self._columns.items():
            cell = row.get(place)
            column.append("" if cell is None and place in self._roles else cell)
        return sum(len(cell) for cell in row.values() if cell is not None)

    def _row(self, index: int, number: int, fields: dict[str, Any]) -> dict[int, str | None]:
        row: dict[int, str | None] = {}
        repeated = fields.repeated if isinstance(fields, Repeating) else frozenset[str]()
        for key, value in fields.items():
            place = self._table.place_of(key)
            if place not in self._columns:
                continue
            role = self._roles.get(place)
            if role is not None and (place in row or key in repeated):
                self.problems.setdefault(index, f"the object has more than one key for the {role}")
            if role is not None and value is not None and not isinstance(value, str):
                self.problems.setdefault(index, f"the {role} is {kind_of_value(value)}, not text")
            text = _text_of(value)
            if text is not None and (problem := _bad_text(text)) is not None:
                text = _shown(text)
                if role is not None:
                    self.problems.setdefault(index, problem)
                else:
                    self._note(NoteKind.CELLS_REPLACED, number, escaped(text))
            row[place] = text
        return row

    def _note(self, kind: NoteKind, number: int, example: str) -> None:
        before = self.notes.get(kind)
        self.notes[kind] = before._replace(times=before.times + 1) if before else Noted(1, number, example)

    def cells(self) -> Cells:
        """Return the rows that were added."""
        layout = self._table.layout
        columns = {place: pa.array(cells, pa.string()) for place, cells in self._columns.items()}
        empty: Text = pa.repeat(pa.scalar("", pa.string()), len(self.numbers))

        def of(role: str, place: int) -> Text:
            return empty if role in layout.given else columns[place]

        return Cells(
            of("user", layout.user),
            columns[layout.folder] if layout.folder is not None else None,
            of("contact", layout.contact),
            {name: columns[place] for place, name in layout.extras},
            pa.array(self.numbers, pa.int64()),
            self.problems,
            columns[layout.in_doubt] if layout.in_doubt is not None else None,
            self.notes,
        )


def _names_of_nothing(override: Mapping[str, str]) -> dict[str, str]:
    """Return the needed columns, for a list without rows. An empty array or page is such a list, and has no keys."""
    user = override.user if isinstance(override, Roles) else None
    wanted = [override.get(role) or role for role in ("user", "contact") if role != "user" or user is None]
    if override.get("folder"):
        wanted.append(override["folder"])
    return {name_key(name): name for name in wanted}


def _key_of(key: str) -> str:
    return name_key(plain_name(_shown(key)))


def _text_of(value: Any) -> str | None:
    """Return a cell as text: numbers as JSON writes them, arrays and objects as JSON without spaces."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _bad_text(text: str) -> str | None:
    """Return what is wrong with the text, in the words used for bytes of other formats. None if nothing is wrong."""
    if "\0" in text:
        return HAS_NUL
    if text.isascii():
        return None
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return NOT_TEXT if 0xDC80 <= ord(text[error.start]) <= 0xDCFF else HALF_PAIR
    return None


def _shown(text: str) -> str:
    """Return the text as it can be shown and stored: lone surrogates and NULs are replaced."""
    if text.isascii() and "\0" not in text:
        return text
    return "".join("\ufffd" if c == "\0" or 0xD800 <= ord(c) <= 0xDFFF else c for c in text)
