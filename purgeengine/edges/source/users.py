"""Lists of users: one a line, or the user column of a CSV file, in every encoding that an input may have."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from purgeengine.core.filters import entry_problem
from purgeengine.core.foreign import printable
from purgeengine.edges.source.columns import ALIASES, name_key, plain_name
from purgeengine.edges.source.files import Kind, kind_of, refuse_streams, size_of, unreadable
from purgeengine.edges.source.streams import text_pieces
from purgeengine.errors import InputError

LIST_BYTES_MAX = 64 << 20
"""Longest list: more than a million users. It is held in memory."""
_DELIMITERS = ",;\t"
_USER_NAMES = {name_key(alias) for alias in ALIASES["user"]}


def read_users(path: str | Path) -> list[str]:
    """The users that the file lists, as spelt there; lines that begin with ``#`` and empty ones do not count.

    Raises `InputError` when the file cannot be read, lists nobody, or holds a line that names no user: a guard that is
    partly understood is none.
    """
    path = Path(path)
    refuse_streams(path)
    lines = _text(path).splitlines()
    kept = [(number, line) for number, line in enumerate(lines, start=1) if line.strip() and not line.startswith("#")]
    column, first = 0, 0
    delimiter = _delimiter(kept[0][1]) if kept else ","
    if kept:
        header = [name_key(plain_name(cell)) for cell in _cells(kept[0][1], delimiter)]
        named = [place for place, name in enumerate(header) if name in _USER_NAMES]
        if named:
            column, first = named[0], 1
        elif len(header) > 1:
            raise InputError(
                f"{path} has several columns and none for the user. Name one of them {', '.join(ALIASES['user'])}, "
                "or list one user a line."
            )
    users = []
    for number, line in kept[first:]:
        cells = _cells(line, delimiter)
        user = cells[column].strip() if column < len(cells) else ""
        problem = "the line has no user" if not user else entry_problem(user)
        if problem:
            raise InputError(f"Line {number} of {path} names no user ({printable(user, 100)!r}): {problem}.")
        users.append(user)
    if not users:
        raise InputError(f"{path} lists no user. Name at least one, or leave the option out.")
    return users


def _text(path: Path) -> str:
    try:
        if path.is_file() and not size_of(path):
            return ""
        kind = kind_of(path)
        if kind is Kind.PARQUET:
            raise InputError(f"{path} is a Parquet file. Save the list of users as text or CSV.")
        pieces, size = [], 0
        for piece in text_pieces(path, kind, 1 << 20):
            pieces.append(piece)
            size += len(piece)
            if size > LIST_BYTES_MAX:
                raise InputError(f"{path} is larger than {LIST_BYTES_MAX >> 20} MiB, too large for a list of users.")
        return b"".join(pieces).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text in UTF-8 or UTF-16. Save it as UTF-8.") from error
    except OSError as error:
        raise unreadable(path, error) from error


def _delimiter(line: str) -> str:
    return max(_DELIMITERS, key=line.count)


def _cells(line: str, delimiter: str) -> list[str]:
    return next(csv.reader(io.StringIO(line), delimiter=delimiter), [])
