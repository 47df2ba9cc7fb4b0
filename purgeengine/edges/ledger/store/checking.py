"""Check that the database of a ledger still holds what was written. A ledger is checked before anything in it is used.

SQLite's pages have no checksums. So SQLite checks its own structure, and this module checks the content: numbers by
the seal of their row (see `schema`), texts by CRC-32. Damage of a byte cannot change what the ledger tells about a
row unnoticed. The check takes about one second for 10 million rows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

from purgeengine.core.graph.text import printable
from purgeengine.edges.ledger.store.database import connect_to_read, crc_of_staged, snapshot
from purgeengine.edges.ledger.store.log_check import log_is_damaged
from purgeengine.edges.ledger.store.schema import SEALS, TABLES, crc_of
from purgeengine.edges.ledger.store.storage import DATABASE
from purgeengine.errors import LedgerError

PAGE_BYTES = 512
"""The smallest page size of SQLite in bytes. A whole database file is a multiple of it."""
OF_THE_SYSTEM = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}
"""SQLite's error codes that say nothing about the file. Any other error means damage."""


def check(folder: Path) -> None:
    """Raise `LedgerError` if the database or its write-ahead log is damaged."""
    if log_is_damaged(folder / f"{DATABASE}-wal"):
        raise _damaged(folder, f"{DATABASE}-wal was changed or cut, and what was recorded last is lost")
    log = folder / f"{DATABASE}-wal"
    if (folder / DATABASE).stat().st_size % PAGE_BYTES and not (log.exists() and log.stat().st_size):
        raise _damaged(folder, "it ends within a page")
    try:
        with closing(connect_to_read(folder)) as connection, snapshot(connection):
            for what in _damages(connection):
                raise _damaged(folder, what)
    except (UnicodeError, sqlite3.DatabaseError) as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in OF_THE_SYSTEM:
            raise
        raise _damaged(folder, str(error)) from error


def _damaged(folder: Path, what: str) -> LedgerError:
    return LedgerError(
        f"The database of the ledger in {folder} is damaged ({printable(what)}). Restore the folder from a copy."
    )


def _damages(connection: sqlite3.Connection) -> Iterator[str]:
    if _tables(connection) != _tables_as_made():
        yield "its tables are not as they were made"
    (said,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if said != "ok":
        yield " ".join(str(said).split())
    for table, seal in SEALS.items():
        if connection.execute(f"SELECT 1 FROM {table} WHERE seal IS NOT ({seal}) LIMIT 1").fetchone():  # noqa: S608
            yield f"a row of {table} was changed"
    for status, code, message, crc in connection.execute("SELECT status, code, message, crc FROM detail"):
        if crc != crc_of(status, code, message):
            yield "a row of detail was changed"
    for ours, theirs, crc in connection.execute("SELECT client_request_id, request_id, crc FROM batch"):
        if crc != crc_of(ours) + (0 if theirs is None else crc_of(theirs)):
            yield "a row of batch was changed"
    for options, crc in connection.execute("SELECT options, crc FROM start"):
        if crc != crc_of(options):
            yield "a row of start was changed"
    if connection.execute("SELECT value FROM meta WHERE key = 'crc'").fetchone() != (str(crc_of_staged(connection)),):
        yield "what was staged was changed"


def _tables(connection: sqlite3.Connection) -> list[Any]:
    return connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name").fetchall()


@cache
def _tables_as_made() -> list[Any]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(TABLES)
        return _tables(connection)
