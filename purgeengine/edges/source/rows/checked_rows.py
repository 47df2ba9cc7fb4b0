"""Turn the cells of a file into checked rows, in the schema that all later code reads.

This module applies the rules of `purgeengine.core.graph.identifiers` to whole columns. It does not know where cells
come from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute

from purgeengine.core.graph.identifier_causes import MISSING_WORD_CHARS_MAX, MISSING_WORDS
from purgeengine.core.graph.identifiers import (
    GUID_PATTERN,
    ID_PATTERN,
    UPN_PATTERN,
    USER_LENGTH_MAX,
    is_id,
    row_problem,
)
from purgeengine.core.graph.text import printable
from purgeengine.edges.source.rows.column_names import name_key
from purgeengine.edges.source.rows.notes import Noted, NoteKind

# pyarrow's type stubs lose the element type in most functions, so the aliases name it for people only.
pc: Any = pyarrow.compute
Text: TypeAlias = Any
"""An array of strings."""
Flags: TypeAlias = Any
"""An array of booleans."""
Numbers: TypeAlias = Any
"""An array of int64."""

IN_DOUBT = "in_doubt"
"""Column of rows of an export: true if an earlier ledger left open whether the contact was purged."""
BATCH_ROWS_MAX = 8_192
"""Rows of one record batch."""
CELL_BYTES_MAX = 32 * 1024
"""Longest cell in bytes: far longer than any id, name or address, and short enough that a block of rows fits in memory."""
CUT_CHARS = 1_000
"""Characters kept of a longer cell, so that people recognise the row."""
ROW_BYTES_MAX = 256 * 1024
"""Longest row in bytes that is passed on. In a longer row, the other columns are cut."""

CELL_TOO_LONG = f"the row has a cell of more than {CELL_BYTES_MAX // 1024} KiB"
ROW_TOO_LONG = f"the row is longer than {ROW_BYTES_MAX // 1024} KiB"
NOT_TEXT = "the row holds bytes that are not UTF-8 text"
HALF_PAIR = "the row holds half of a surrogate pair, which is no character"
HAS_NUL = "the row holds a NUL character"

_HALF_PAIR = re.compile(rb"\xed[\xa0-\xbf]")
_COUNT = pa.array(range(BATCH_ROWS_MAX), pa.int64())
_USER_RE2 = f"(?:{GUID_PATTERN})|(?:{UPN_PATTERN})"
_pattern = re.fullmatch(r"\^\[[^]]+\]\{1,(\d+)\}\$", ID_PATTERN)
assert _pattern, "an id is no longer some characters of one set"
# The rules themselves give the set of characters. Trimming by it takes a quarter of the time of RE2, which unrolls
# the length limit.
_ID_CHARACTERS = "".join(chr(code) for code in range(128) if is_id(chr(code)))
# pyarrow looks for pandas, which takes 100 µs, whenever a scalar is made without a type.
_ID_LENGTH_MAX = pa.scalar(int(_pattern[1]), pa.int32())
_USER_LENGTH_MAX = pa.scalar(USER_LENGTH_MAX, pa.int32())
_EMPTY = pa.scalar("", pa.string())
_MISSING_WORDS = pa.array(sorted(MISSING_WORDS), pa.string())
_MISSING_WORD_BYTES_MAX = pa.scalar(MISSING_WORD_CHARS_MAX, pa.int32())
_FALSE_WORDS = "false 0 no falsch faux falso onwaar falskt falsk usant fałsz nepravda hamis epätosi ложь yanlış"
_FALSE = pa.array(["", *_FALSE_WORDS.split()], pa.string())
"""Words for "false" in the languages of spreadsheets, and the empty cell."""


@dataclass(frozen=True, slots=True)
class Cells:
    """Columns of some rows of one file, all of the same length. User, folder and contact are text without nulls.

    - ``line`` is the number of each row's first line, or only that of the first row if each row is one line.
    - ``extras`` are the other columns, by their names in this file.
    - ``problems`` tells what is wrong with the shape of a row, by its index. None means that nothing is wrong and no
      cell is too long.
    - ``in_doubt`` is the text in an export's column of that name.
    - ``notes`` tell what reading these rows mended or skipped. There may be notes without rows.
    """

    user: Text
    folder: Text | None
    contact: Text
    extras: Mapping[str, Text]
    line: int | Numbers
    problems: Mapping[int, str] | None
    in_doubt: Text | None = None
    notes: Mapping[NoteKind, Noted] = field(default_factory=dict)


def schema_with(extra_columns: Sequence[str], *, with_doubt: bool = False) -> pa.Schema:
    """Return the schema of every batch of a source. ``with_doubt`` is true if one of its files is an export of a ledger."""
    fixed = [pa.field("row", pa.int64()), pa.field("line", pa.int64()), pa.field("source", pa.int32())]
    texts = ["user", "folder", "contact", "reason", *extra_columns]
    doubt = [pa.field(IN_DOUBT, pa.bool_())] if with_doubt else []
    return pa.schema(fixed + [pa.field(name, pa.string()) for name in texts] + doubt)


def batches_of(cells: Cells, schema: pa.Schema, source: int, first_row: int) -> Iterator[pa.RecordBatch]:
    """Check the rows and yield them in batches of at most `BATCH_ROWS_MAX`, numbered from ``first_row``."""
    cells = bounded(cells)
    total = len(cells.user)
    for start in range(0, total, BATCH_ROWS_MAX):
        count = min(BATCH_ROWS_MAX, total - start)
        yield _batch(cells, schema, source, first_row + start, start, count)


def _batch(cells: Cells, schema: pa.Schema, source: int, first_row: int, start: int, count: int) -> pa.RecordBatch:
    user, contact = cells.user.slice(start, count), cells.contact.slice(start, count)
    folder = cells.folder.slice(start, count) if cells.folder is not None else pa.repeat(_EMPTY, count)
    line = _numbers(cells.line + start, count) if isinstance(cells.line, int) else cells.line.slice(start, count)
    known = cells.problems or {}
    problems = {index - start: known[index] for index in range(start, start + count) if index in known} if known else {}
    if problems or _valid(user, folder, contact).true_count < count:
        user, folder, contact = (pc.utf8_trim_whitespace(column) for column in (user, folder, contact))
        reason = reasons(user, folder, contact, problems)
    else:  # the usual case; no valid cell has white space around it
        reason = pa.nulls(count, pa.string())
    columns = [
        _numbers(first_row, count),
        line,
        pa.repeat(pa.scalar(source, pa.int32()), count),
        user,
        folder,
        contact,
        reason,
    ]
    extras = {name_key(name): extra for name, extra in cells.extras.items()}
    for name in schema.names[len(columns) :]:
        if name == IN_DOUBT:
            columns.append(_doubts(cells.in_doubt, start, count))
            continue
        extra = extras.get(name_key(name))
        columns.append(pa.nulls(count, pa.string()) if extra is None else extra.slice(start, count))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _doubts(said: Text | None, start: int, count: int) -> Flags:
    """Return which rows are in doubt.

    Any word but a plain "false" counts as doubt, the safe reading: spreadsheets translate "true".
    """
    if said is None:
        return pa.repeat(pa.scalar(False), count)
    words = pc.utf8_lower(pc.utf8_trim_whitespace(said.slice(start, count).fill_null("")))
    return pc.invert(pc.is_in(words, _FALSE))


def bounded(cells: Cells) -> Cells:
    """Cut what is too long; nearly always nothing is. A row becomes invalid only if its user, folder or contact is too long.

    Other columns are cut and noted, also in a row that is too long as a whole. Cells that are bounded already stay as
    they are.
    """
    if cells.problems is None:
        return cells
    named = {
        "user": cells.user,
        "contact": cells.contact,
        **({"folder": cells.folder} if cells.folder is not None else {}),
    }
    longest = [pc.max(pc.binary_length(column)).as_py() or 0 for column in (*named.values(), *cells.extras.values())]
    if max(longest) <= CELL_BYTES_MAX and sum(longest) <= ROW_BYTES_MAX:
        return cells
    problems = dict(cells.problems)
    for column in named.values():
        for index in pc.indices_nonzero(_longer(column, CELL_BYTES_MAX)).to_pylist():
            problems.setdefault(index, CELL_TOO_LONG)
    roles = {name: _cut(column, _longer(column, CELL_BYTES_MAX)) for name, column in named.items()}
    extras = {name: _cut(column, _longer(column, CELL_BYTES_MAX)) for name, column in cells.extras.items()}
    too_long = _too_long_rows([*roles.values(), *extras.values()])
    if too_long.true_count:
        cut_bytes = len("…".encode()) + 4 * CUT_CHARS  # a cell that is cut already is not cut again
        extras = {name: _cut(column, pc.and_(too_long, _longer(column, cut_bytes))) for name, column in extras.items()}
        too_long = _too_long_rows([*roles.values(), *extras.values()])
        extras = {name: pc.if_else(too_long, pa.scalar(None, pa.string()), column) for name, column in extras.items()}
    notes = _with_cuts(cells, extras)
    return replace(cells, **roles, extras=extras, problems=problems, notes=notes)


def _longer(column: Text, most_bytes: int) -> Flags:
    return pc.greater(pc.binary_length(column), pa.scalar(most_bytes, pa.int32())).fill_null(False)


def _too_long_rows(columns: Sequence[Text]) -> Flags:
    total: Any = pa.repeat(pa.scalar(0, pa.int64()), len(columns[0]))
    for column in columns:
        total = pc.add(total, pc.binary_length(column).fill_null(0))
    return pc.greater(total, pa.scalar(ROW_BYTES_MAX, pa.int64()))


def _cut(column: Text, where: Flags) -> Text:
    if not where.true_count:
        return column
    beginning = pc.binary_join_element_wise(pc.utf8_slice_codeunits(column, 0, CUT_CHARS), "…", "")
    return pc.if_else(where, beginning, column)


def _with_cuts(cells: Cells, extras: Mapping[str, Text]) -> Mapping[NoteKind, Noted]:
    """Return the notes, with a note of the cells of other columns that were cut."""
    times, first, name_first = 0, None, ""
    for name, column in extras.items():
        places = pc.indices_nonzero(pc.not_equal(cells.extras[name], column.fill_null(""))).to_pylist()
        times += len(places)
        if places and (first is None or places[0] < first):
            first, name_first = places[0], name
    if first is None:
        return cells.notes
    line = cells.line + first if isinstance(cells.line, int) else cells.line[first].as_py()
    return {**cells.notes, NoteKind.CELLS_CUT: Noted(times, line, printable(name_first))}


def reasons(user: Text, folder: Text, contact: Text, problems: Mapping[int, str]) -> Text:
    """Return why each row cannot be sent; null if it can. ``problems`` are known already, by index, and take precedence."""
    suspects = pc.indices_nonzero(pc.invert(_valid(user, folder, contact)))
    found: list[str | None] = [None] * len(user)
    cells = (column.take(suspects).to_pylist() for column in (user, folder, contact))
    for index, *row in zip(suspects.to_pylist(), *cells, strict=True):
        if index not in problems:
            found[index] = row_problem(*row)
    for index, text in problems.items():
        found[index] = text
    return pa.array(found, pa.string())


def _valid(user: Text, folder: Text, contact: Text) -> Flags:
    sendable = pc.and_(_distinct(valid_users, user), _distinct(_valid_folders, folder))
    return pc.and_(sendable, valid_ids(contact))


def _distinct(check: Callable[[Text], Flags], column: Text) -> Flags:
    """Check each distinct value once: neighbouring rows often have the same user and folder."""
    encoded = column.dictionary_encode()
    return check(encoded.dictionary).take(encoded.indices)


def valid_users(users: Text) -> Flags:
    """Return which cells are users. A match is ASCII, so its length in bytes is its length in characters."""
    return pc.and_(pc.match_substring_regex(users, _USER_RE2), pc.less_equal(pc.binary_length(users), _USER_LENGTH_MAX))


def _valid_folders(folders: Text) -> Flags:
    """Return which cells are folder ids. An empty cell counts: the contact is then addressed through its mailbox alone."""
    only_right = pc.equal(pc.ascii_rtrim(folders, _ID_CHARACTERS), _EMPTY)
    right = pc.and_(only_right, pc.less_equal(pc.binary_length(folders), _ID_LENGTH_MAX))
    words = missing_words(folders)
    return right if words is None else pc.and_not(right, words)


def valid_ids(ids: Text) -> Flags:
    """Return which cells are ids. An empty cell is not."""
    return pc.and_(_valid_folders(ids), pc.not_equal(ids, _EMPTY))


def missing_words(column: Text) -> Flags | None:
    """Return which cells are words for a missing value. None if no cell is, as nearly always; the lengths show that quickly."""
    short = pc.less_equal(pc.binary_length(column), _MISSING_WORD_BYTES_MAX)
    if not pc.any(short).as_py():
        return None
    found = pc.is_in(pc.utf8_lower(column), _MISSING_WORDS)
    return found if pc.any(found).as_py() else None


def _numbers(first: int, count: int) -> Numbers:
    return pc.add(_COUNT.slice(0, count), pa.scalar(first, pa.int64()))


def text_of(raw: bytes) -> str:
    """Return bytes as text that can be shown. Bad bytes and NULs are replaced."""
    return raw.decode("utf-8", "replace").replace("\0", "\ufffd")


def bytes_problem(raw: bytes) -> str | None:
    """Return what is wrong with a row's bytes, whatever its columns mean, or None."""
    if b"\0" in raw:
        return HAS_NUL
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return HALF_PAIR if _HALF_PAIR.match(raw, error.start) else NOT_TEXT
    return None
