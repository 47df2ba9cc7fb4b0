"""A reserve of disk space for the answers of batches in flight.

The reserve is a file in the ledger's folder, as large as what a run may still have to write after it stops sending.
When the disk is full, the run deletes the file, and the answers that still arrive can be recorded.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

from purgeengine.edges.ledger.store.storage import RESERVE, translated

BATCH_BYTES = 256 << 10
"""Bytes for each batch in flight: a turn of its own touches up to 60 pages of 4 KiB. Most batches share a turn and touch five."""
BLOCK = bytes(1 << 20)


class Reserve:
    """Disk space, kept from `hold` to `release`."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / RESERVE
        self.held = False
        """True while the reserve exists."""

    def hold(self, batches: int) -> None:
        """Reserve space for this many batches. Raises `LedgerError` if the disk has too little."""
        size = len(BLOCK) + batches * BATCH_BYTES
        try:
            with translated(f"{size >> 20} MiB for answers in flight cannot be kept free in {self._path.parent}"):
                self._allocate(size)
        except BaseException:
            self.release()
            raise
        self.held = True

    def release(self) -> None:
        """Delete the reserve.

        Safe to call twice. A file that cannot be deleted raises nothing: it does no more harm than before.
        """
        self.held = False
        try:
            self._path.unlink(missing_ok=True)
        except OSError:
            return

    def _allocate(self, size: int) -> None:
        with self._path.open("wb") as file:
            if hasattr(os, "posix_fallocate"):
                try:
                    os.posix_fallocate(file.fileno(), 0, size)
                    return
                except OSError as error:
                    if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                        raise
            for _ in range(0, size, len(BLOCK)):
                file.write(BLOCK)


def is_out_of_room(error: BaseException) -> bool:
    """True if a transaction failed for lack of disk space. SQLite has then written nothing of it."""
    return isinstance(error, sqlite3.Error) and error.sqlite_errorcode in (
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR_SHMSIZE,
    )
