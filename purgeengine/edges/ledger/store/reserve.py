"""Room on the disk kept back for answers in flight: when the disk is full, it is given up, and they can still be written.

A file of the ledger's folder, as large as what a run may still have to record once it stops sending.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

from purgeengine.edges.ledger.store.storage import RESERVE, translated

BATCH_BYTES = 256 << 10
"""For each batch in flight: a turn of its own that touches 60 pages of 4 KiB, where most share a turn and touch five."""
BLOCK = bytes(1 << 20)


class Reserve:
    """Held from `hold` to `release`."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / RESERVE
        self.held = False
        """Whether there is room to give up."""

    def hold(self, batches: int) -> None:
        """Keep room for so many batches. Raises `LedgerError` when the disk has not that much."""
        size = len(BLOCK) + batches * BATCH_BYTES
        try:
            with translated(f"{size >> 20} MiB for answers in flight cannot be kept free in {self._path.parent}"):
                self._allocate(size)
        except BaseException:
            self.release()
            raise
        self.held = True

    def release(self) -> None:
        """Give the room up, or back. Safe to call twice; a file that cannot be removed is no worse than before."""
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
    """Whether a transaction failed for lack of space, and left nothing behind."""
    return isinstance(error, sqlite3.Error) and error.sqlite_errorcode in (
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR_SHMSIZE,
    )
