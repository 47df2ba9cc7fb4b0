"""One process to a ledger. The operating system gives the lock back when the process dies, however it dies."""

from __future__ import annotations

import warnings
from pathlib import Path

import filelock

from purgeengine.edges.ledger.store.storage import LOCK, cause_of
from purgeengine.errors import LedgerError


class FolderLock:
    """Held from `acquire` to `release`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Not thread-local: whoever closes the ledger releases the lock.
        self._lock = filelock.FileLock(folder / LOCK, timeout=0, thread_local=False)

    def acquire(self) -> None:
        """Raises `LedgerError` when another process holds it, or the folder cannot be written."""
        try:
            with warnings.catch_warnings(action="ignore"):  # what it would say is said below
                self._lock.acquire()
        except filelock.Timeout as error:
            raise LedgerError(
                f"The ledger in {self._folder} is in use by another process. Wait until it has ended, or use another folder."
            ) from error
        except NotImplementedError as error:
            raise self._no_locks() from error
        except OSError as error:
            raise LedgerError(f"The ledger in {self._folder} cannot be locked: {cause_of(error)}") from error
        if isinstance(
            self._lock, filelock.SoftFileLock
        ):  # newer versions fall back to a file that a dead process leaves behind
            self._lock.release()
            raise self._no_locks()

    def release(self) -> None:
        """Safe to call twice."""
        self._lock.release()

    def _no_locks(self) -> LedgerError:
        return LedgerError(
            f"The file system of {self._folder} has no locks, so that two runs could not be kept apart. "
            "Put the ledger on a local disk."
        )
