"""Keeps what an inventory has read: one row a mailbox in SQLite, and the rows of the list in Parquet parts.

A part is whole and on the disk before any mailbox of it counts as read. So a process that is killed loses the mailboxes that were
being read, and those of the last seconds, and nothing else; the same command reads these again.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, Self

import pyarrow as pa

from purgeengine.core.graph.identifiers import mailbox_key
from purgeengine.core.inventory.listed_rows import FolderFigures, ListedRow, MailboxOutcome
from purgeengine.core.model import Reply
from purgeengine.edges.inventory.stock_parts import PART_ROWS, StockParts
from purgeengine.edges.ledger.store.lock import FolderLock
from purgeengine.edges.ledger.store.storage import LOCK, STOCK, make_folder, translated
from purgeengine.errors import LedgerError, LedgerMismatch

BATCH_MAILBOXES = 1_000
"""Mailboxes that are read from the database at a time."""
_COUNTS = {"contacts": pa.int64(), "listed": pa.int64()}
COUNT_SCHEMA = pa.schema(
    [pa.field(name, _COUNTS.get(name, pa.string())) for name in ("user", "folder", "folder_path", *_COUNTS, "outcome")]
)
"""The columns of ``--counts``. There is none for contacts, so that no purge can take the file for a list."""
UNREAD_SCHEMA = pa.schema([(name, pa.string()) for name in ("user", "outcome", "status", "code", "message")])
_VERSION = 1
_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE mailbox (
    number INTEGER PRIMARY KEY, user TEXT NOT NULL, key TEXT NOT NULL UNIQUE, outcome TEXT, status INTEGER, code TEXT,
    message TEXT, contacts INTEGER, listed INTEGER, part INTEGER, first INTEGER, rows INTEGER, root TEXT
);
CREATE INDEX unfinished ON mailbox (number) WHERE outcome IS NULL;
CREATE TABLE folder (
    mailbox INTEGER NOT NULL, place INTEGER NOT NULL, folder TEXT NOT NULL, path TEXT NOT NULL, contacts INTEGER,
    listed INTEGER NOT NULL, PRIMARY KEY (mailbox, place)
) WITHOUT ROWID;
CREATE TABLE wait (key TEXT PRIMARY KEY, until_utc REAL NOT NULL) WITHOUT ROWID;
"""


class StoredMailbox(NamedTuple):
    """A mailbox that was read, or that could not be."""

    number: int
    outcome: MailboxOutcome
    reply: Reply
    rows: Sequence[ListedRow]
    folders: Sequence[FolderFigures]
    root: str
    """The id of its Contacts folder, which tells whether two names are of one mailbox. Empty if it is not known."""


class StockStore:
    """The state of one inventory. Close it, or use it as a context manager. One process at a time may open it."""

    def __init__(self, folder: Path) -> None:
        """Only `open` calls this."""
        self.folder = folder
        self._lock = FolderLock(folder)
        self._lock.acquire()
        try:
            # Another thread writes while the event loop goes on, never two at once.
            self._connection = sqlite3.connect(folder / STOCK, isolation_level=None, check_same_thread=False)
            for pragma in ("journal_mode = WAL", "synchronous = FULL", "fullfsync = 1"):
                self._connection.execute(f"PRAGMA {pragma}")
        except BaseException:
            self._lock.release()
            raise
        self._flushing = Lock()
        self._pending: list[StoredMailbox] = []
        self._pending_rows = 0
        self._waits: dict[str, float] = {}
        self._parts = StockParts(folder)

    @classmethod
    def open(cls, folder: Path, about: Mapping[str, Any]) -> Self:
        """Open the inventory in ``folder``, or begin one. ``about`` is what is asked, as plain values.

        Raises `LedgerMismatch` if the folder holds something else or an inventory of other mailboxes or filters, and `LedgerError`
        if it is in use, damaged, or cannot be written.
        """
        with translated(f"The inventory in {folder} cannot be opened"):
            if folder.exists() and not folder.is_dir():
                raise LedgerError(f"{folder} is a file; an inventory is a folder. Name another.")
            names = {path.name for path in folder.iterdir()} if folder.exists() else set()
            if STOCK not in names and names - {LOCK}:
                raise LedgerMismatch(
                    f"The folder {folder} is not empty and holds no inventory. Nothing was sent. Name an empty or a new folder."
                )
            make_folder(folder)
            store = cls(folder)
            try:
                store._begin_or_compare(json.dumps(about, sort_keys=True))
            except BaseException:
                store.close()
                raise
        return store

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files. What is pending is not written: see `flush`. Safe to call twice."""
        self._connection.close()
        self._lock.release()

    def _begin_or_compare(self, about: str) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            self._connection.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {_VERSION}; COMMIT")
        elif version != _VERSION:
            raise LedgerError(
                f"The inventory in {self.folder} was made by another version of purgeengine ({version}; this one writes "
                f"{_VERSION}). Use a new folder."
            )
        kept = self._meta("about")
        if kept is None:
            self._connection.execute("INSERT INTO meta VALUES ('about', ?)", (about,))
        elif kept != about:
            differs = sorted(name for name, value in json.loads(about).items() if json.loads(kept).get(name) != value)
            raise LedgerMismatch(
                f"The inventory in {self.folder} was begun with other options ({', '.join(differs)}). Nothing was sent. Give the "
                "same ones to go on with it, or use another folder."
            )
        parts = {row[0] for row in self._connection.execute("SELECT DISTINCT part FROM mailbox WHERE part IS NOT NULL")}
        self._parts.keep_only(parts)

    def _meta(self, key: str) -> str | None:
        row = self._connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    # ------------------------------------------------------------------------------------------------ mailboxes

    @property
    def has_users(self) -> bool:
        """Whether the mailboxes are known."""
        return self._meta("users") is not None

    def set_users(self, users: Iterable[str]) -> int:
        """Record the mailboxes, in their order and each once. Return how many names were there twice."""
        twice = 0
        with self._transaction():
            for user in users:
                done = self._connection.execute(
                    "INSERT OR IGNORE INTO mailbox (user, key) VALUES (?, ?)", (user, mailbox_key(user))
                )
                twice += not done.rowcount
            self._connection.execute("INSERT INTO meta VALUES ('users', 'set')")
        return twice

    def unread_again(self) -> int:
        """Let the mailboxes that could not be read, or not with certainty, be read again, and return their number."""
        with self._transaction():
            return self._connection.execute(
                "UPDATE mailbox SET outcome = NULL, part = NULL WHERE outcome NOT IN ('listed', 'duplicate')"
            ).rowcount

    def unfinished(self) -> Iterator[tuple[int, str]]:
        """Yield the mailboxes that were not read yet."""
        last = 0
        while True:
            found = self._connection.execute(
                "SELECT number, user FROM mailbox WHERE outcome IS NULL AND number > ? ORDER BY number LIMIT ?",
                (last, BATCH_MAILBOXES),
            ).fetchall()
            if not found:
                return
            yield from found
            last = found[-1][0]

    def outcomes(self) -> Counter[str]:
        """Return the number of mailboxes by outcome; the empty text stands for those that were not read yet."""
        return Counter(dict(self._connection.execute("SELECT coalesce(outcome, ''), count(*) FROM mailbox GROUP BY 1")))

    def figures(self) -> tuple[int, int]:
        """Return how many contacts were seen, and how many are in the list."""
        found = self._connection.execute(
            "SELECT coalesce(sum(contacts), 0), coalesce(sum(listed), 0) FROM mailbox"
        ).fetchone()
        return int(found[0]), int(found[1])

    def roots(self) -> dict[str, int]:
        """Return the mailboxes that were read, by the id of their Contacts folder."""
        return dict(
            self._connection.execute("SELECT root, number FROM mailbox WHERE root != '' AND outcome != 'duplicate'")
        )

    # ------------------------------------------------------------------------------------------------ writing

    def add(self, mailbox: StoredMailbox) -> None:
        """Take a mailbox. It counts as read after the next `flush`."""
        self._pending.append(mailbox)
        self._pending_rows += len(mailbox.rows)

    @property
    def is_full(self) -> bool:
        """Whether so much is pending that it should be written now."""
        return self._pending_rows >= PART_ROWS

    def wait_until(self, key: str, until_utc: float) -> None:
        """Take a wait of a mailbox, or of the whole app (an empty key), that must hold in the next process too."""
        self._waits[key] = max(until_utc, self._waits.get(key, 0.0))

    def waits(self) -> dict[str, float]:
        """Return the waits by key: until when, in seconds since 1970."""
        return dict(self._connection.execute("SELECT key, until_utc FROM wait"))

    def flush(self) -> None:
        """Write what is pending, so that it survives whatever comes. Raises `LedgerError` if that fails."""
        with self._flushing, translated(f"The inventory in {self.folder} cannot be written"):
            pending, self._pending, self._pending_rows = self._pending, [], 0
            waits, self._waits = self._waits, {}
            part, first = None, 0
            rows = [row for mailbox in pending for row in mailbox.rows]
            if rows:
                part = self._parts.write(rows)
            with self._transaction():
                for mailbox in pending:
                    self._settle(mailbox, part, first)
                    first += len(mailbox.rows)
                self._connection.executemany("REPLACE INTO wait VALUES (?, ?)", waits.items())

    def _settle(self, mailbox: StoredMailbox, part: int | None, first: int) -> None:
        reply = mailbox.reply
        contacts = sum(folder.contacts or 0 for folder in mailbox.folders)
        listed = sum(folder.listed for folder in mailbox.folders)
        self._connection.execute(
            "UPDATE mailbox SET outcome = ?, status = ?, code = ?, message = ?, contacts = ?, listed = ?, part = ?, first = ?, "
            "rows = ?, root = ? WHERE number = ?",
            (
                mailbox.outcome.value, reply.status, reply.code, reply.message, contacts, listed,
                part if mailbox.rows else None, first, len(mailbox.rows), mailbox.root, mailbox.number,
            ),
        )  # fmt: skip
        self._connection.execute("DELETE FROM folder WHERE mailbox = ?", (mailbox.number,))
        self._connection.executemany(
            "INSERT INTO folder VALUES (?, ?, ?, ?, ?, ?)",
            [(mailbox.number, place, *folder) for place, folder in enumerate(mailbox.folders)],
        )

    def _transaction(self) -> _Transaction:
        return _Transaction(self._connection)

    # ------------------------------------------------------------------------------------------------ reading

    def list_batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows of the list, by mailbox in the order of the mailboxes. Raises `LedgerError` if a part is damaged."""
        with translated(f"The inventory in {self.folder} cannot be read"):
            for part, first, rows in self._spans():
                yield from self._parts.batches(part, first, rows)
        self._parts.forget()

    def _spans(self) -> Iterator[tuple[int, int, int]]:
        """Yield where the rows are, as (part, first, rows). What is together in a part comes together."""
        span: tuple[int, int, int] | None = None
        query = "SELECT part, first, rows FROM mailbox WHERE part IS NOT NULL ORDER BY number"
        for part, first, rows in self._connection.execute(query):
            if span is not None and (part, first) == (span[0], span[1] + span[2]):
                span = (part, span[1], span[2] + rows)
                continue
            if span is not None:
                yield span
            span = (part, first, rows)
        if span is not None:
            yield span

    def count_batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the figures of every folder, and a row for every mailbox that could not be read."""
        query = (
            "SELECT user, coalesce(folder, ''), coalesce(path, ''), folder.contacts, coalesce(folder.listed, 0), outcome "
            "FROM mailbox LEFT JOIN folder ON mailbox = number ORDER BY number, place"
        )
        yield from self._batches(query, COUNT_SCHEMA)

    def unread_batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the mailboxes that could not be read, or not with certainty, with what Graph said last."""
        query = (
            "SELECT user, outcome, CASE status WHEN 0 THEN '' ELSE CAST(status AS TEXT) END, code, message FROM mailbox "
            "WHERE outcome NOT IN ('listed', 'duplicate') ORDER BY number"
        )
        yield from self._batches(query, UNREAD_SCHEMA)

    def _batches(self, query: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        with translated(f"The inventory in {self.folder} cannot be read"):
            cursor = self._connection.execute(query)
            while found := cursor.fetchmany(BATCH_MAILBOXES):
                columns: Any = zip(*found, strict=True)
                yield pa.RecordBatch.from_arrays(
                    [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
                )


class _Transaction:
    """Commits at the end, and rolls back after an error."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._connection.execute("COMMIT")
            return
        with suppress(sqlite3.Error):
            self._connection.execute("ROLLBACK")
