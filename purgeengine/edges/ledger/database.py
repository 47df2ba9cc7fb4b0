"""Connections to ``ledger.sqlite``: how durable, which version, what is refused. It must not know what the rows mean."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from purgeengine.edges.ledger.schema import APPLICATION_ID, SINCE_VERSION_2, TABLES, VERSION
from purgeengine.edges.ledger.storage import DATABASE, translated
from purgeengine.errors import LedgerError

LOCKED_S_MAX = 10.0
"""How long to wait for a program that holds the database for a moment, such as a backup."""
CHECKPOINT_PAGES = 4_000
"""Pages of 4 KiB that the write-ahead log gathers before they move into the database: fewer syncs than SQLite's 1,000."""
CACHE_KIB = 16_384
"""Pages kept in memory, where the rows of the mailboxes being purged are appended."""


def connect_to_write(folder: Path) -> sqlite3.Connection:
    """A connection whose commits survive a power loss: WAL, synchronous=FULL. The caller holds the ledger's lock."""
    connection = _connect(folder, "rw")
    try:
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",
            "fullfsync = 1",  # macOS: an ordinary fsync leaves data in the drive's cache
            "checkpoint_fullfsync = 1",
            f"wal_autocheckpoint = {CHECKPOINT_PAGES}",
            f"cache_size = -{CACHE_KIB}",
            "journal_size_limit = 67108864",
        ):
            connection.execute(f"PRAGMA {pragma}")
        _complete(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_to_read(folder: Path) -> sqlite3.Connection:
    """A connection that sees what was committed, also while another process writes."""
    connection = _connect(folder, "ro")
    try:
        connection.execute("SELECT 1 FROM sqlite_master").fetchall()
    except sqlite3.OperationalError:
        # Where nothing can be written, SQLite needs to be told that nobody writes.
        connection.close()
        log = folder / f"{DATABASE}-wal"
        if os.access(folder, os.W_OK) or (log.exists() and log.stat().st_size):
            raise
        connection = _connect(folder, "ro&immutable=1")
    _complete(connection)
    return connection


def _complete(connection: sqlite3.Connection) -> None:
    """Give an older ledger, for as long as it is open, the tables that it lacks; its file stays as it is."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == 1:
        for statement in filter(str.strip, SINCE_VERSION_2.split(";")):
            connection.execute(statement)


def _connect(folder: Path, mode: str) -> sqlite3.Connection:
    """Commits are ours (autocommit mode); one connection may be used by several threads, one at a time."""
    name = (folder / DATABASE).absolute().as_posix()
    uri = f"file://{'' if name.startswith('/') else '/'}{quote(name)}?mode={mode}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=LOCKED_S_MAX)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """Whatever is read inside belongs to one moment; inside another snapshot, to the moment of that one."""
    ours = not connection.in_transaction
    if ours:
        connection.execute("BEGIN")
    try:
        yield
    finally:
        if ours:
            connection.execute("ROLLBACK")


def create(
    folder: Path,
    meta: Mapping[str, Any],
    mailboxes: Iterable[tuple[int, str, str, int, int]],
    files: Iterable[tuple[str, int, int]],
    more: Iterable[tuple[str, Iterable[tuple[Any, ...]]]] = (),
) -> None:
    """Make the database in one transaction, so that it is there whole or not at all.

    ``mailboxes`` are (number, user, key, first position, rows), ``files`` (name, bytes, CRC-32 of the footer), ``more`` are
    statements with the rows that each is carried out for.
    """
    connection = _connect(folder, "rwc")
    try:
        connection.execute("PRAGMA fullfsync = 1")
        connection.execute("PRAGMA synchronous = FULL")
        with transaction(connection):
            for statement in filter(str.strip, TABLES.split(";")):
                connection.execute(statement)
            values = [(key, json.dumps(value)) for key, value in meta.items()]
            connection.executemany("INSERT INTO meta VALUES (?, ?)", values)
            connection.executemany("INSERT INTO file VALUES (?, ?, ?)", files)
            connection.executemany(
                "INSERT INTO mailbox (number, user, key, first, rows) VALUES (?, ?, ?, ?, ?)", mailboxes
            )
            for statement, rows in more:
                connection.executemany(statement, rows)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
    finally:
        connection.close()


def is_created(folder: Path) -> bool:
    """Whether the database holds a ledger. Raises `LedgerError` when it is damaged, foreign, or of a newer version."""
    if not (folder / DATABASE).exists():
        return False
    with translated(f"The ledger in {folder} cannot be read"):
        connection = connect_to_read(folder)
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        finally:
            connection.close()
    if version > VERSION and application == APPLICATION_ID:
        raise LedgerError(
            f"The ledger in {folder} was written by a newer purgeengine (version {version} of the format; this one "
            f"knows {VERSION}). Update purgeengine."
        )
    if tables and application != APPLICATION_ID:
        raise LedgerError(f"{folder / DATABASE} is not a database of purgeengine. Use another folder.")
    return bool(tables)


def read_meta(connection: sqlite3.Connection) -> dict[str, Any]:
    """What staging wrote down."""
    return {key: json.loads(value) for key, value in connection.execute("SELECT key, value FROM meta")}
