"""The folder of a ledger: file names, durable files, and sentences for errors of the operating system.

This module does not know what the files contain.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from purgeengine.core.graph.text import printable
from purgeengine.errors import LedgerError
from purgeengine.shortages import shortage

if sys.platform == "darwin":
    import fcntl

DATABASE = "ledger.sqlite"
DATABASE_NEW = f"{DATABASE}.new"
STOCK = "inventory.sqlite"
"""The state of an inventory, which is no ledger of a purge and has a folder of its own."""
LOCK = "lock"
RESERVE = "reserve"
LIVE = "live.json"
README = "README.txt"
UNFINISHED = "staging"
"""Folder of scratch space that exists from the first moment of staging to the last. It marks a ledger that is not whole yet."""
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
  live.json       what the run that is going on says about its time left

To look at it:            purgeengine status FOLDER
To have it as a table:    purgeengine export FOLDER result.csv
To resume the purge:      the same "purgeengine run" command again
To try what failed again: purgeengine retry FOLDER --ledger NEW-FOLDER
"""
)


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn errors of SQLite, pyarrow and the operating system into a `LedgerError` that begins with ``what``."""
    try:
        yield
    except LedgerError:
        raise
    except (sqlite3.Error, OSError, ValueError, MemoryError) as error:  # pyarrow's errors are ValueErrors and OSErrors
        if not _is_of_storage(error):
            raise
        raise LedgerError(f"{what}: {cause_of(error)}") from error


@contextmanager
def reading_records(folder: Path) -> Iterator[None]:
    """Turn every error of reading a ledger into a `LedgerError`, also those that damaged or changed records cause.

    Such a record holds a null, or a text instead of a number. SQLite keeps no checksums, so it is met only where it
    is used.
    """
    with translated(f"The ledger in {folder} cannot be read"):
        try:
            yield
        except (LookupError, TypeError, AttributeError, ValueError, OverflowError) as error:
            said = printable(str(error), 100)
            raise LedgerError(
                f"The ledger in {folder} cannot be read: its records contradict each other ({type(error).__name__}: {said}). "
                "It was damaged or changed; restore the folder from a copy."
            ) from error


def _is_of_storage(error: Exception) -> bool:
    """False for a plain ValueError, which is a mistake of ours. pyarrow raises subclasses of it."""
    return type(error) is not ValueError


def cause_of(error: BaseException) -> str:
    """Return what happened and what to do, in one or two sentences."""
    text = str(error).lower()
    number = getattr(error, "errno", None)
    if (short := shortage(error)) is not None:
        return short[0].lower() + short[1:]
    if number == errno.EFBIG:
        return "a file would be larger than a limit allows. Raise it (ulimit -f) and give the same command again."
    if number in (errno.ENOSPC, errno.EDQUOT) or "disk is full" in text or "no space left" in text:
        return "the disk is full. Free some space and give the same command again."
    if isinstance(error, sqlite3.IntegrityError):
        return (
            f"a row was settled twice ({error}). This is a mistake in purgeengine, not in your input: please report it."
        )
    if isinstance(error, PermissionError) or "readonly" in text or "read-only" in text or number == errno.EROFS:
        return "it may not be written by this user. Check the permissions of the folder."
    if isinstance(error, FileNotFoundError):
        return f"{error.filename or 'a file'} is missing. Restore the folder from a copy, or use a new one."
    if isinstance(error, UnicodeError) or (  # SQLite quotes bytes of a broken table, and these may not be UTF-8
        isinstance(error, sqlite3.DatabaseError) and ("malformed" in text or "not a database" in text)
    ):
        return "the database is damaged. Restore the folder from a copy."
    if isinstance(error, sqlite3.OperationalError) and "locked" in text:
        return "another program keeps it locked. Close that program and give the same command again."
    if isinstance(error, sqlite3.OperationalError) and "unable to open" in text:
        return "the database cannot be opened. Check that the folder is there and its permissions."
    if number == errno.EIO or "disk i/o error" in text:
        return "the disk reported an error. Check the disk and the system's log, then give the same command again."
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}."
    return f"{printable(str(error))}."  # SQLite and pyarrow quote the input


@contextmanager
def durable_file(path: Path) -> Iterator[BinaryIO]:
    """Open a new file that appears under its name only when it is whole and on the disk."""
    temporary = path.with_name(path.name + ".new")
    with temporary.open("wb") as file:
        yield file
    appear(temporary, path)


def appear(temporary: Path, path: Path) -> None:
    """Sync a finished file, rename it to ``path``, and sync the folder."""
    _sync(temporary, os.O_RDWR)
    temporary.replace(path)
    sync_folder(path.parent)


def make_folder(folder: Path) -> None:
    """Make a folder and its parents durably, so that a power loss cannot take the ledger's folder away.

    Raises `LedgerError` if no folder can be made at that place.
    """
    above = [path for path in folder.absolute().parents if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:  # a place like /proc, where only the system makes folders
        raise LedgerError(f"The folder {folder} cannot be made there. Name one in another place.") from error
    for path in (folder.absolute(), *above):
        with suppress(PermissionError):  # a user who may not read a folder may not sync it either
            sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable. Windows has no such call; NTFS journals names by itself."""
    if os.name != "nt":
        _sync(folder, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
        if (
            sys.platform == "darwin"
        ):  # macOS: an ordinary fsync leaves data in the drive's cache. Not every file system has F_FULLFSYNC
            with suppress(OSError):
                fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    finally:
        os.close(descriptor)
