"""Read the objects of a JSON file: one on each line, or the elements of arrays and of Graph's pages.

The first lines show whether each line is an object or the file is one document. An array is read element by element,
so its length does not matter; an object must fit into memory. Nested objects are never read as rows, except those in
a page's ``value``. After a broken line or document the file is refused, because nobody can tell where the next object
begins.

This module knows JSON. It does not know what the keys mean, except those of a page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from purgeengine.core.graph.text import printable
from purgeengine.edges.source.formats.json_cursor import OBJECT_CHARS_MAX, JsonCursor
from purgeengine.edges.source.formats.json_values import DECODER, kind_of_value
from purgeengine.edges.source.rows.column_names import name_key
from purgeengine.edges.source.rows.columns import ALIASES
from purgeengine.errors import InputError

ARRAYS_DEPTH_MAX = 2
"""How deep arrays may be nested whose elements are rows: gathered pages, each an array, make two levels."""
_NAMES = re.compile(r"\.(json|jsonl|ndjson)(\.(gz|zst|bz2|xz))?$", re.IGNORECASE)
_BEGINS = re.compile(rb"""\s*(\{\s*(["}]|$)|\[\s*([\[\]{"]|$))""")
_NEXT = ("@odata.nextLink", "odata.nextLink", "nextLink")
_ROLES = {name_key(alias) for role in ("user", "contact") for alias in ALIASES[role]}


class Element(NamedTuple):
    """What stands where a row is expected: an object, or what is wrong with it.

    ``number`` is its line, or its place among all elements.

    If ``next_link`` is not empty, the element is not a row: a page names a next page that does not follow in the
    file.
    """

    number: int
    fields: dict[str, Any] | None
    problem: str | None = None
    next_link: str = ""
    kind: str = ""
    """What the element is, in words, if it is a JSON value but not an object."""


def looks_like_json(path: Path, head: bytes) -> bool:
    """True if a file with this beginning is JSON: its name says so, or no header of a CSV file begins like this."""
    return _NAMES.search(path.name) is not None or _BEGINS.match(head) is not None


def elements(path: Path, pieces: Iterable[bytes]) -> Iterator[Element]:
    """Yield the elements of a file's text, given as UTF-8 in pieces. Raises `InputError` where it is not JSON, or ambiguous."""
    pieces = iter(pieces)
    head, first = bytearray(), list[bytes]()
    while len(first) < 2 and len(head) <= OBJECT_CHARS_MAX and not head.lstrip().startswith(b"["):
        piece = next(pieces, None)
        if piece is None:
            first = _first_lines(head, whole=True)
            break
        head += piece
        if b"\n" in piece:
            first = _first_lines(head)
    pages = _Pages(path)
    if _are_lines(first):
        yield from _of_lines(path, chain((bytes(head),), pieces), pages)
    else:
        yield from _of_documents(path, chain((bytes(head),), pieces), pages)
    yield from pages.end()


class _Pages:
    """Splits pages of Graph into rows, and notices a page whose next page does not follow in the same file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: tuple[int, str, str] | None = None

    def taken_apart(self, number: int, found: dict[str, Any]) -> list[Any] | None:
        """Return the rows of a page. None if the object is not a page. Raises `InputError` if that is not clear."""
        rows = found.get("value")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            return None
        if beside := [key for key in found if name_key(key) in _ROLES]:
            raise InputError(
                f"{self._path} is ambiguous at object {number:,}: it has the list 'value', as a page of Graph's has, and "
                f"{printable(beside[0], 50)!r} beside it, as a row has. Write one object for each contact."
            )
        return rows

    def begin(self, number: int, found: dict[str, Any]) -> Iterator[Element]:
        """Begin a page. The page before is complete if this one continues it."""
        context = str(found.get("@odata.context", ""))
        if self._open is not None and self._open[1] != context:
            yield from self.end()
        link = next((found[key] for key in _NEXT if isinstance(found.get(key), str) and found[key]), "")
        self._open = (number, context, link) if link else None

    def end(self) -> Iterator[Element]:
        """Declare that no page follows."""
        if self._open is not None:
            yield Element(self._open[0], None, None, self._open[2])
        self._open = None


# -------------------------------------------------------------------------------------------------------- one object a line


def _first_lines(head: bytearray, *, whole: bool = False) -> list[bytes]:
    """Return the first two lines that are not empty, if they are complete."""
    if not whole and b"\n" not in head:
        return []
    lines = bytes(head).split(b"\n")
    return [line.strip() for line in (lines if whole else lines[:-1]) if line.strip()][:2]


def _are_lines(first: list[bytes]) -> bool:
    """True if each line is an object of its own: the first line is one, or the second is and the first is a broken one."""
    if not first or not (first[0].startswith(b"{") and first[0].endswith(b"}")):
        return False
    return any(isinstance(_line(line)[0], dict) for line in first)


def _of_lines(path: Path, pieces: Iterator[bytes], pages: _Pages) -> Iterator[Element]:
    for number, raw in _lines(path, pieces):
        line = raw.strip()
        if not line:
            continue
        found, problem = _line(line)
        if problem is None and isinstance(found, dict):
            rows = pages.taken_apart(number, found)
            if rows is None:
                yield Element(number, found)
            else:
                yield from pages.begin(number, found)
                for row in rows:
                    yield Element(number, row)
            continue
        if problem is not None and not (line.startswith(b"{") and line.endswith(b"}")):
            raise InputError(
                f"{path}: line {number:,} is not a whole JSON object (it is cut off, or broken). None of the file is sent. Mend or "
                "remove that line."
            )
        if problem is not None:
            yield Element(number, None, problem)
        else:
            kind = kind_of_value(found)
            yield Element(number, None, f"the line holds {kind}, and a row is an object", kind=kind)


def _lines(path: Path, pieces: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
    number, rest = 1, b""
    for piece in pieces:
        lines = (rest + piece).split(b"\n")
        rest = lines.pop()
        yield from enumerate(lines, start=number)
        number += len(lines)
        if len(rest) > OBJECT_CHARS_MAX:
            raise InputError(
                f"Line {number:,} of {path} is longer than the {OBJECT_CHARS_MAX >> 20} MiB that an object may have. Write one "
                "contact a line."
            )
    yield number, rest


def _line(line: bytes) -> tuple[Any, str | None]:
    """Return the value of a line, and what is wrong with it."""
    try:
        return DECODER.decode(line.decode("utf-8", "surrogateescape")), None
    except RecursionError:
        return None, "the object is nested too deeply"
    except ValueError:
        return None, "the line is not a JSON object"


# ------------------------------------------------------------------------------------------------------- arrays and pages


def _of_documents(path: Path, pieces: Iterator[bytes], pages: _Pages) -> Iterator[Element]:
    """Yield the elements of JSON documents. They are numbered from 1 over the whole file."""
    text = JsonCursor(path, pieces)
    number, depth, expects_comma = 0, 0, False
    while character := text.peek():
        if depth and character == "]":
            text.skip()
            depth -= 1
            expects_comma = depth > 0
            continue
        if expects_comma:
            if character != ",":
                raise text.broken("a comma or ] is missing")
            text.skip()
            expects_comma = False
            if text.peek() in ("]", ""):
                raise text.broken("something must follow the comma")
            continue
        if character == "[" and depth < ARRAYS_DEPTH_MAX:
            text.skip()
            depth += 1
            continue
        found = text.value()
        expects_comma = depth > 0
        rows = pages.taken_apart(number + 1, found) if isinstance(found, dict) else None
        if rows is not None:
            yield from pages.begin(number + 1, found)
            for row in rows:
                number += 1
                yield Element(number, row)
            continue
        number += 1
        if isinstance(found, dict):
            yield Element(number, found)
        else:
            kind = kind_of_value(found)
            yield Element(number, None, f"the element is {kind}, and a row is an object", kind=kind)
    if depth:
        raise text.broken("it ends within an array, as a file that was cut short does")
