"""The ledger that is cut, and into which shards are collected, open for writing. Nothing is sent from it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Self

from purgeengine.edges.ledger.reader import LedgerReader
from purgeengine.edges.ledger.running.journal import adopt_lost_rows
from purgeengine.edges.ledger.running.shard_events import Cut, cut_of
from purgeengine.edges.ledger.store.database import connect_to_write, transaction
from purgeengine.edges.ledger.store.lock import FolderLock
from purgeengine.edges.ledger.store.storage import reading_records, translated

CACHE_KIB = 98_304
"""KiB of pages kept in memory. The mailboxes of a shard lie all over the head, so collecting it touches most of its pages."""


class HeadLedger:
    """A ledger that is locked and checked. Close it, or use it as a context manager."""

    def __init__(self, reader: LedgerReader, connection: sqlite3.Connection, lock: FolderLock) -> None:
        """Only `open` calls this."""
        self.reader = reader
        """The ledger as others read it."""
        self.connection = connection
        """The one connection that writes."""
        self._lock = lock

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open and lock the ledger in ``folder``. Rows that were in flight when a process died are in doubt from then on.

        Raises `LedgerError` if there is none, or if it is in use, damaged, or cannot be written.
        """
        with LedgerReader.open(folder):
            pass  # says what is wrong before a lock appears in a folder that holds something else
        lock = FolderLock(folder)
        lock.acquire()
        try:
            with translated(f"The ledger in {folder} cannot be written"):
                connection = connect_to_write(folder)
                try:
                    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
                    with transaction(connection):
                        adopt_lost_rows(connection)
                    return cls(LedgerReader.open(folder), connection, lock)
                except BaseException:
                    connection.close()
                    raise
        except BaseException:
            lock.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections and release the lock."""
        self.reader.close()
        with closing(self.connection):
            pass
        self._lock.release()

    @property
    def folder(self) -> Path:
        """The ledger's folder."""
        return self.reader.folder

    def cut(self) -> Cut | None:
        """Return the latest cut, or None."""
        with reading_records(self.folder):
            return cut_of(self.connection)
