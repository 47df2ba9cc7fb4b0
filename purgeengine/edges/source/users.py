"""Lists of users: one on each line, or the user column of a CSV file, in every encoding that an input may have."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from purgeengine.core.graph.text import printable
from purgeengine.core.policy.filters import entry_problem
from purgeengine.edges.source.files.found_files import Kind, kind_of, refuse_streams, size_of, unreadable
from purgeengine.edges.source.files.streams import text_pieces
from purgeengine.edges.source.formats.csv_dialect import unquoted_text
from purgeengine.edges.source.formats.csv_records import CsvRecord, Quoting, QuotingError, Scanner
from purgeengine.edges.source.rows.column_names import name_key, plain_name
from purgeengine.edges.source.rows.columns import ALIASES
from purgeengine.errors import InputError

LIST_BYTES_MAX = 64 << 20
"""Longest list in bytes: more than a million users. The list is held in memory."""
_DELIMITERS = (b",", b";", b"\t")
_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n)?")
_USER_NAMES = {name_key(alias) for alias in ALIASES["user"]}


def read_users(path: str | Path) -> list[str]:
    """Return the users that the file lists, as spelt there. Empty lines and lines that begin with ``#`` do not count.

    Raises `InputError` if the file cannot be read, lists nobody, or has a line that names no user: a filter that is
    only partly understood protects nobody.
    """
    path = Path(path)
    refuse_streams(path)
    text = _text(path).encode()
    try:
        users = _users_of(path, _records(text))
        if b'\\"' in text and _reads_otherwise(path, text, users):
            line = text.count(b"\n", 0, text.index(b'\\"')) + 1
            raise QuotingError(Quoting.TWO_READINGS, line, line)
    except QuotingError as error:
        raise InputError(f"{path} cannot be read with certainty: {error.sentence()}.") from error
    return users


def _reads_otherwise(path: Path, text: bytes, users: list[str]) -> bool:
    """True if the list is also valid when a backslash escapes a quote, and then names other users."""
    try:
        return _users_of(path, _records(unquoted_text(text))) != users
    except QuotingError:
        return False  # the other reading is not valid, so it is not meant
    except InputError:
        return True


def _users_of(path: Path, records: list[CsvRecord]) -> list[str]:
    """Return the users in these rows. Raises `InputError` if a row names none."""
    column, names = 0, 1
    if records:
        header = [name_key(plain_name(cell)) for cell in _texts(records[0])]
        named = [place for place, name in enumerate(header) if name in _USER_NAMES]
        if named:
            column, names, records = named[0], records[0].cell_count, records[1:]
        elif len(header) > 1:
            raise InputError(
                f"{path} has several columns and none for the user. Name one of them {', '.join(ALIASES['user'])}, "
                "or list one user a line."
            )
    users = []
    for record in records:
        cells = _texts(record)
        user = cells[column].strip() if column < len(cells) else ""
        problem = "the line has no user" if not user else entry_problem(user)
        if problem is None and record.cell_count != names:
            problem = f"the line has {record.cell_count:,} cells, and the first line has {names:,}"
        if problem:
            raise InputError(f"Line {record.line} of {path} names no user ({printable(user, 100)!r}): {problem}.")
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


def _records(text: bytes) -> list[CsvRecord]:
    """Return the rows of the list. A cell of several lines is one cell. Raises `QuotingError` if the quoting is not valid."""
    text = text.removeprefix(codecs.BOM_UTF8)
    if text and not text.endswith((b"\n", b"\r")):
        text += b"\n"
    found, at = [], 0
    scanner: Scanner | None = None
    line = 1
    while at < len(text):
        end = _LINE.match(text, at)
        assert end  # it matches an empty line too
        if text[at : at + 1] == b"#" or not end[0].strip():
            at, line = end.end(), line + 1
            continue
        if scanner is None:
            scanner = Scanner(max(_DELIMITERS, key=end[0].count), line)
        scanner.line = line
        record, at = scanner.read(text, at)
        if record is None:
            scanner.finish()
            break
        line = scanner.line
        if not record.is_blank or record.cell_count > 1:
            found.append(record)
    return found


def _texts(record: CsvRecord) -> list[str]:
    return [cell.decode("utf-8", "replace") for cell in record.cells]
