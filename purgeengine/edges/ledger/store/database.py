"""Connections to ``ledger.sqlite``: durability, version, and which files are refused.

This module does not know what the rows mean.
"""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict
from urllib.parse import quote

import msgspec

from purgeengine.core.graph.operations import Action, IdType, Operation, deletion_by
from purgeengine.edges.ledger.store.reserve import is_out_of_room
from purgeengine.edges.ledger.store.schema import APPLICATION_ID, TABLES, VERSION
from purgeengine.edges.ledger.store.storage import DATABASE, DATABASE_NEW, appear, translated
from purgeengine.errors import LedgerError

LOCKED_S_MAX = 10.0
"""Seconds to wait for another program that holds the database for a moment, such as a backup."""
CHECKPOINT_PAGES = 4_000
"""Pages of 4 KiB that the write-ahead log gathers before they move into the database. SQLite's own 1,000 would sync more often."""
CACHE_KIB = 16_384
"""KiB of pages kept in memory: those to which the rows of the open mailboxes are appended."""

UNCHANGING = (
    "SELECT key, value FROM meta WHERE key != 'crc' ORDER BY key",
    "SELECT name, bytes, footer_crc FROM file ORDER BY name",
    "SELECT number, user, key, first, rows FROM mailbox ORDER BY number",
    "SELECT key, object_id, upn FROM resolved ORDER BY key",
    "SELECT mailbox, rows FROM doubt ORDER BY mailbox",
    "SELECT mailbox, at_ms, rows FROM seen ORDER BY mailbox, at_ms",
)
"""Queries for everything that staging wrote. Nothing changes these values afterwards."""


def connect_to_write(folder: Path) -> sqlite3.Connection:
    """Open a connection whose commits survive a power loss (WAL, synchronous=FULL). The caller holds the ledger's lock."""
    connection = _connect(folder / DATABASE, "rw")
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
        # An earlier process may have died before its last frames were synced: they can be read and are still not on
        # the disk. Once they are in the database file, no later frame of the log depends on them.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except BaseException:
        connection.close()
        raise
    return connection


def connect_to_read(folder: Path) -> sqlite3.Connection:
    """Open a connection that sees all commits, also those that another process makes meanwhile.

    Raises `LedgerError` if the folder cannot be written and the write-ahead log is not empty: SQLite cannot read such
    a log there.
    """
    connection = _connect(folder / DATABASE, "ro")
    try:
        connection.execute("SELECT 1 FROM sqlite_master").fetchall()
    except sqlite3.OperationalError as error:
        connection.close()
        if os.access(folder, os.W_OK) and not is_out_of_room(error):
            raise
        # SQLite wants to write its shared memory file. Where nothing can be written, it must be told that nobody
        # writes.
        log = folder / f"{DATABASE}-wal"
        if log.exists() and log.stat().st_size:
            raise LedgerError(
                f"The ledger in {folder} was not closed in good order, and such a one cannot be read where nothing can be "
                "written. Copy the folder to a disk that can be written, and look at it there."
            ) from error
        connection = _connect(folder / DATABASE, "ro&immutable=1")
    return connection


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    """Open a connection in autocommit mode. Several threads may use it, one at a time.

    The path is passed as the bytes that the file system uses, because SQLite would take text as UTF-8.
    """
    name = path.absolute().as_posix()
    uri = f"file://{'' if name.startswith('/') else '/'}{quote(os.fsencode(name))}?mode={mode}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=LOCKED_S_MAX)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit everything inside, or nothing of it."""
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
    """Everything read inside belongs to one moment. Inside another snapshot, the outer snapshot's moment holds."""
    ours = not connection.in_transaction
    if ours:
        connection.execute("BEGIN")
    try:
        yield
    finally:
        if ours and connection.in_transaction:  # after a disk error, SQLite has rolled back by itself
            connection.execute("ROLLBACK")


def create(
    folder: Path,
    meta: Mapping[str, Any],
    mailboxes: Iterable[tuple[int, str, str, int, int]],
    files: Iterable[tuple[str, int, int]],
    more: Iterable[tuple[str, Iterable[tuple[Any, ...]]]] = (),
) -> None:
    """Make the database. It appears under its name only when it is whole and on the disk.

    - ``mailboxes`` are (number, user, key, first position, rows).
    - ``files`` are (name, size in bytes, CRC-32 of the footer).
    - ``more`` are SQL statements, each with the rows of values to run it for.
    """
    temporary = folder / DATABASE_NEW
    connection = _connect(temporary, "rwc")
    try:
        connection.execute("PRAGMA journal_mode = OFF")  # a database that is cut short is thrown away
        connection.execute("PRAGMA synchronous = OFF")
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
            connection.execute("INSERT INTO meta VALUES ('crc', ?)", (str(crc_of_staged(connection)),))
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()
    appear(temporary, folder / DATABASE)


def crc_of_staged(connection: sqlite3.Connection) -> int:
    """Return the CRC-32 of everything that staging wrote."""
    crc = 0
    for query in UNCHANGING:
        for row in connection.execute(query):
            crc = zlib.crc32(repr(row).encode(), crc)
    return crc


def is_created(folder: Path) -> bool:
    """True if the folder has a database that holds a ledger.

    Raises `LedgerError` if the database is damaged, is not one of purgeengine, or has a newer version of the format.
    """
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


class About(TypedDict):
    """What staging recorded about the purge: tenant, kind of deletion, input, and the number of rows of each kind.

    ``id`` is a random text, by which other ledgers know this one. ``given`` holds the options that changed the rows
    (``user``, ``clean``). ``reading`` tells what was used of the input and what was ignored. A ledger of an earlier
    version may have none of them. ``parent`` and ``root`` are the identities of the ledger that was retried, and of the
    first ledger of the chain. ``app_limit_per_s`` is what Graph took from the whole app in the ledger that was retried,
    as found at ``app_limit_at_ms``. ``shard`` tells which shard of which ledger this one is, if it is one.
    """

    tenant_id: str | None
    action: Action
    id_type: IdType
    resolve_users: bool
    files: list[str]
    extra_columns: list[str]
    digest: str
    rows: Annotated[int, msgspec.Meta(ge=0)]
    work_rows: Annotated[int, msgspec.Meta(ge=0)]
    invalid: Annotated[int, msgspec.Meta(ge=0)]
    duplicates: Annotated[int, msgspec.Meta(ge=0)]
    id: NotRequired[str]
    given: NotRequired[dict[str, Any]]
    reading: NotRequired[dict[str, Any]]
    parent: NotRequired[str]
    root: NotRequired[str]
    app_limit_per_s: NotRequired[float]
    app_limit_at_ms: NotRequired[int]
    shard: NotRequired[dict[str, Any]]


def read_meta(connection: sqlite3.Connection) -> About:
    """Return what staging recorded. Raises ValueError if somebody changed it (a missing or wrong value)."""
    found = {key: json.loads(value) for key, value in connection.execute("SELECT key, value FROM meta")}
    return msgspec.convert(found, About)


def deletion_of(about: About) -> Operation:
    """Return which kind of deletion the rows of a ledger get."""
    return deletion_by(about["action"], about["id_type"])
