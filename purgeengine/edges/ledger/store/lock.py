"""A lock that lets one process use a ledger. The operating system releases it when the process dies, for whatever reason."""

from __future__ import annotations

import warnings
from pathlib import Path

import filelock

from purgeengine.edges.ledger.store.storage import LOCK, cause_of
from purgeengine.errors import LedgerError


class FolderLock:
    """The lock of a ledger's folder, held from `acquire` to `release`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # The lock is not tied to a thread: whichever thread closes the ledger releases it.
        self._lock = filelock.FileLock(folder / LOCK, timeout=0, thread_local=False)

    def acquire(self) -> None:
        """Take the lock at once. Raises `LedgerError` if another process holds it, or if the folder cannot be locked."""
        try:
            with warnings.catch_warnings(action="ignore"):  # the errors below say the same and more
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
        ):  # newer versions of filelock fall back to a plain file, which a dead process leaves behind
            self._lock.release()
            raise self._no_locks()

    def release(self) -> None:
        """Give the lock back. Safe to call twice."""
        self._lock.release()

    def _no_locks(self) -> LedgerError:
        return LedgerError(
            f"The file system of {self._folder} has no locks, so that two runs could not be kept apart. "
            "Put the ledger on a local disk."
        )
