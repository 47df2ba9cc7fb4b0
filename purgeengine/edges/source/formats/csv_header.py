"""The beginning of a CSV file: the delimiter, the column names, and what may stand above them.

This module knows headers, and the lines that programs and people write before one. It does not know rows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from purgeengine.core.graph.text import printable
from purgeengine.edges.source.formats.csv_lines import Blocks
from purgeengine.edges.source.formats.csv_records import CsvRecord, QuotingError, Scanner
from purgeengine.edges.source.rows.checked_rows import ROW_BYTES_MAX, bytes_problem, text_of
from purgeengine.edges.source.rows.column_names import name_key, plain_name
from purgeengine.edges.source.rows.columns import ALIASES, recognised
from purgeengine.edges.source.rows.notes import Noted, NoteKind
from purgeengine.errors import InputError

DELIMITERS = (b",", b";", b"\t")
"""Delimiters that are recognised. The header tells which one it is, or a line ``sep=`` does."""
HEAD_BYTES_MAX = 2 * ROW_BYTES_MAX
"""How many bytes are searched for the header. All names together may have 64 KiB, and titles may stand above them."""
TITLE_ROWS_MAX = 20
"""Rows above the header that are skipped as titles. A report has fewer."""
EXAMPLE_CHARS = 60
"""Characters shown of a title or of a cell in a note."""

_SEP = re.compile(rb'(?:\xef\xbb\xbf)*"?sep=([^\r\n]?)"?[,;\t]*', re.IGNORECASE)
_NO_DELIMITERS = frozenset(b"\"'@.-_=+/\\ ")
"""Printable characters that occur in addresses, in ids or around cells, so that they cannot separate cells."""
_LINE = re.compile(rb"([^\r\n]*)(?:\r\n|\r|\n)?")
_ALIAS_KEYS = {role: frozenset(map(name_key, names)) for role, names in ALIASES.items()}


class Header(NamedTuple):
    """The column names, the delimiter, all ``text`` before the first row, its number of ``lines``, and what was read beyond it.

    ``titles`` are the rows above the header that are not part of the table. ``notes`` mention them, and a line
    ``sep=``.
    """

    names: tuple[str, ...]
    delimiter: bytes
    text: bytes
    lines: int
    rest: bytes
    titles: tuple[CsvRecord, ...] = ()
    notes: Mapping[NoteKind, Noted] = {}


class _Lead(NamedTuple):
    """What stands before the first row: where the next line begins, its number, and the delimiter of a line ``sep=``, if any."""

    end: int
    line: int
    delimiter: bytes | None
    notes: dict[NoteKind, Noted]


class _Candidate(NamedTuple):
    """The header as one delimiter splits it: its names, what is wrong with it, where it ends, and the rows above it."""

    delimiter: bytes
    names: tuple[str, ...]
    problem: str | None
    end: int
    lines: int
    titles: tuple[CsvRecord, ...]
    complete: bool
    """True if the names include a user and a contact."""


def read_header(path: Path, blocks: Blocks, override: Mapping[str, str]) -> Header:
    """Read up to the end of the header. Raises `InputError` if there is no header, or if the file is not text."""
    data = blocks.take()
    while len(data) < HEAD_BYTES_MAX and not blocks.ended:
        data += blocks.take()
    head = data[:HEAD_BYTES_MAX]
    is_whole = blocks.ended and len(head) == len(data)
    if is_whole and not blocks.failure and not head.endswith((b"\n", b"\r")):
        head += b"\n"  # the last line may have no line end
    lead = _lead(path, head)
    delimiters = DELIMITERS if lead.delimiter is None else (lead.delimiter,)
    found = _best([_candidate(head, lead, delimiter, override, is_whole) for delimiter in delimiters], override)
    if found is None or (found.problem and not found.names and blocks.failure):
        raise blocks.failure or InputError(f"{path} holds no header line. It needs one with at least user and contact.")
    if found.problem:
        raise InputError(f"{path} does not begin with a CSV header: {found.problem}. {_advice(data)}")
    notes = dict(lead.notes)
    if found.titles:
        titles = [title for title in found.titles if not title.is_blank]
        shown = printable(" ".join(filter(None, map(text_of, titles[0].cells))), EXAMPLE_CHARS)
        notes[NoteKind.TITLE_LINES] = Noted(len(titles), titles[0].line, shown)
    return Header(found.names, found.delimiter, data[: found.end], found.lines, data[found.end :], found.titles, notes)


def has_roles(names: Sequence[str], override: Mapping[str, str]) -> bool:
    """True if these are column names, and one for the user and one for the contact are among them."""
    keys = set(map(name_key, names))
    return all(
        not keys.isdisjoint((name_key(override[role]),) if role in override else _ALIAS_KEYS[role])
        for role in ("user", "contact")
    )


def names_of(record: CsvRecord) -> tuple[str, ...]:
    """Return the cells as names: on one line, without surrounding spaces, and without a byte order mark from a pasted file."""
    return tuple(plain_name(cell.decode("utf-8", "replace")) for cell in record.cells)


def _lead(path: Path, data: bytes) -> _Lead:
    """Skip empty lines, the ``#TYPE`` line of PowerShell's Export-Csv, and the line ``sep=;`` that is written for Excel."""
    at, line = 0, 1
    delimiter: bytes | None = None
    notes: dict[NoteKind, Noted] = {}
    seen_type = False
    while at < len(data):
        match = _LINE.match(data, at)
        assert match  # it matches an empty line too
        text = match[1]
        sep = None if notes else _SEP.fullmatch(text.rstrip(b" "))
        if sep:
            delimiter = _named_delimiter(path, sep[1], text)
            notes[NoteKind.SEP_LINE] = Noted(1, line, printable(text_of(text), EXAMPLE_CHARS))
        elif text.removeprefix(b"\xef\xbb\xbf").startswith(b"#TYPE") and not seen_type:
            seen_type = True
        elif text.strip():
            break
        at, line = match.end(), line + 1
    return _Lead(at, line, delimiter, notes)


def _named_delimiter(path: Path, named: bytes, text: bytes) -> bytes | None:
    """Return the delimiter that a line ``sep=`` names.

    None if it names none. Raises `InputError` if it cannot separate cells.
    """
    if named in (b"", *DELIMITERS):
        return named or None
    if not 32 < named[0] < 127 or named.isalnum() or named[0] in _NO_DELIMITERS:
        raise InputError(
            f"{path} begins with the line {printable(text_of(text), EXAMPLE_CHARS)!r}, which names a delimiter that cannot "
            "separate addresses and ids. Save the list with a comma, a semicolon or a tab between the cells."
        )
    return named


def _candidate(
    data: bytes, lead: _Lead, delimiter: bytes, override: Mapping[str, str], is_whole: bool
) -> _Candidate | None:
    """Split the first rows, up to the first one that names user and contact.

    If none does, the first row counts as the header.
    """
    scanner, at = Scanner(delimiter, lead.line), lead.end
    first: _Candidate | None = None
    titles: list[CsvRecord] = []
    while len(titles) <= TITLE_ROWS_MAX:
        try:
            record, at = scanner.read(data, at)
            if record is None and is_whole:
                scanner.finish()
        except QuotingError as error:
            return first or _Candidate(delimiter, (), error.sentence(), at, 0, (), False)
        if record is None:
            long = f"the row is longer than {HEAD_BYTES_MAX // 1024} KiB"
            return first or (_Candidate(delimiter, (), long, at, 0, (), False) if scanner.open else None)
        if not record.is_blank:
            names = names_of(record)
            complete = has_roles(names, override)
            found = _Candidate(delimiter, names, _problem(record, names), at, scanner.line - 1, tuple(titles), complete)
            if complete or (first is None and recognised(names, override)):
                return found
            first = first or found
        titles.append(record)
    return first


def _problem(record: CsvRecord, names: Sequence[str]) -> str | None:
    problem = bytes_problem(b"\n".join(record.cells))
    if problem is None and record.cell_count > len(record.cells):
        problem = f"the row has {record.cell_count:,} cells"
    if problem is None and any(ord(character) < 32 or ord(character) == 127 for name in names for character in name):
        problem = "the row holds control characters"
    return problem


def _best(candidates: Sequence[_Candidate | None], override: Mapping[str, str]) -> _Candidate | None:
    """Choose the candidate that has user and contact and the fewest rows above; then by most known names, then by most names."""
    return max(
        filter(None, candidates),
        key=lambda candidate: (
            candidate.complete,
            -len(candidate.titles),
            recognised(candidate.names, override),
            len(candidate.names),
            not candidate.problem,
        ),
        default=None,
    )


def _advice(data: bytes) -> str:
    if b"\0" in data[:4096]:
        return "If it is UTF-16 text without a byte order mark, save it as UTF-8; otherwise it is no text at all."
    return "Save it as CSV in UTF-8, with the column names in the first line."
