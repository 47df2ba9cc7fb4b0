"""The folder of a ledger: names, durable files, and sentences for what the operating system may refuse.

It must not know what stands in the files.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from purgeengine.errors import LedgerError

DATABASE = "ledger.sqlite"
LOCK = "lock"
RESERVE = "reserve"
README = "README.txt"
UNFINISHED = "staging"
"""Exists from the first moment of staging to its last: scratch space, and the sign of a ledger that is not whole yet."""
INPUT, WORK, ORDER = "input", "work", "order"

README_FIRST_LINE = "This folder is a ledger of purgeengine."
README_TEXT = (
    README_FIRST_LINE
    + """

It records which contacts were asked to be deleted and what became of each. Keep it together; do not edit it.

  ledger.sqlite   what was sent and what became of it (SQLite)
  input           the rows of the input, all of them, in input order (Parquet)
  work            the rows to purge, by mailbox (Parquet)
  order           where each row of the input stands in work (Parquet)
  lock            held by the process that is using the ledger
  reserve         room for answers in flight, while a run is going on

To look at it:            purgeengine status FOLDER
To have it as a table:    purgeengine export FOLDER result.csv
To resume the purge:      the same "purgeengine run" command again
To try what failed again: purgeengine retry FOLDER --ledger NEW-FOLDER
"""
)


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn what SQLite, pyarrow and the operating system raise into a `LedgerError` that names ``what`` could not be done."""
    try:
        yield
    except LedgerError:
        raise
    except (sqlite3.Error, OSError, ValueError, MemoryError) as error:  # pyarrow's errors are ValueErrors and OSErrors
        if not _is_of_storage(error):
            raise
        raise LedgerError(f"{what}: {cause_of(error)}") from error


def _is_of_storage(error: Exception) -> bool:
    """A plain ValueError is a mistake of ours; pyarrow derives its own."""
    return type(error) is not ValueError


def cause_of(error: BaseException) -> str:
    """What happened and what to do, in a sentence or two."""
    text = str(error).lower()
    number = getattr(error, "errno", None)
    if number == 28 or "disk is full" in text or "no space left" in text or number == 122:
        return "the disk is full. Free some space and give the same command again."
    if isinstance(error, sqlite3.IntegrityError):
        return (
            f"a row was settled twice ({error}). This is a mistake in purgeengine, not in your input: please report it."
        )
    if isinstance(error, PermissionError) or "readonly" in text or "read-only" in text or number == 30:
        return "it may not be written by this user. Check the permissions of the folder."
    if isinstance(error, FileNotFoundError):
        return f"{error.filename or 'a file'} is missing. Restore the folder from a copy, or use a new one."
    if isinstance(error, sqlite3.DatabaseError) and ("malformed" in text or "not a database" in text):
        return "the database is damaged. Restore the folder from a copy."
    if isinstance(error, sqlite3.OperationalError) and "locked" in text:
        return "another program keeps it locked. Close that program and give the same command again."
    if isinstance(error, sqlite3.OperationalError) and "unable to open" in text:
        return "the database cannot be opened. Check that the folder is there and its permissions."
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}."
    return f"{error}."


@contextmanager
def durable_file(path: Path) -> Iterator[BinaryIO]:
    """A new file that appears under its name only when it is whole and on the disk."""
    temporary = path.with_name(path.name + ".new")
    with temporary.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make names in the folder durable. Windows offers no such call; NTFS journals names by itself."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
