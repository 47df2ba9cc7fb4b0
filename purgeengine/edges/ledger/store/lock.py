"""A lock that lets one process use a ledger. The operating system releases it when the process dies, for whatever reason."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import filelock

from purgeengine.edges.ledger.store.storage import LOCK, cause_of
from purgeengine.errors import LedgerError

TRIES_MAX = 20
"""How often a lock is tried, in a few milliseconds. `is_in_use` holds it for an instant, and that must not refuse a run."""

_held_here: dict[str, int] = {}
"""The folders whose lock this process holds, with its process id: a fork inherits the entries, and not the locks."""


def is_in_use(folder: Path) -> bool | None:
    """True if a process uses the ledger now, False if none does. None if that cannot be known: the lock cannot be tried."""
    if not (folder / LOCK).exists():
        return False
    lock = filelock.FileLock(folder / LOCK, timeout=0, thread_local=False)
    try:
        with warnings.catch_warnings(action="ignore"):
            lock.acquire()
    except filelock.Timeout:
        return None if isinstance(lock, filelock.SoftFileLock) else True  # a plain file may be left by a dead process
    except (NotImplementedError, OSError):
        return None
    lock.release()
    return False


def refuse_in_use(folder: Path) -> None:
    """Raise `LedgerError` if a process uses the ledger now, or if its lock cannot be tried. The lock is not kept."""
    if (folder / LOCK).exists():
        lock = FolderLock(folder)
        lock.acquire()
        lock.release()


class FolderLock:
    """The lock of a ledger's folder, held from `acquire` to `release`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # The lock is not tied to a thread: whichever thread closes the ledger releases it.
        self._lock = filelock.FileLock(folder / LOCK, timeout=0, thread_local=False)
        self._name = os.path.realpath(folder)

    def acquire(self) -> None:
        """Take the lock, without waiting for its holder.

        Raises `LedgerError` if another process holds it, or if the folder cannot be locked.
        """
        try:
            with warnings.catch_warnings(action="ignore"):  # the errors below say the same and more
                self._acquire()
            _held_here[self._name] = os.getpid()
        except filelock.Timeout as error:
            raise LedgerError(self._in_use()) from error
        except NotImplementedError as error:
            raise self._no_locks() from error
        except OSError as error:
            raise LedgerError(f"The ledger in {self._folder} cannot be locked: {cause_of(error)}") from error
        if isinstance(
            self._lock, filelock.SoftFileLock
        ):  # newer versions of filelock fall back to a plain file, which a dead process leaves behind
            self.release()
            raise self._no_locks()

    def _in_use(self) -> str:
        """Return a sentence on who uses the ledger: another process, or this one in another thread."""
        if _held_here.get(self._name) == os.getpid():
            return (
                f"The ledger in {self._folder} is in use by this process already: another thread works with it, or has not closed "
                "it. Wait until that has ended, or use another folder."
            )
        return f"The ledger in {self._folder} is in use by another process. Wait until it has ended, or use another folder."

    def _acquire(self) -> None:
        for left in reversed(range(TRIES_MAX)):
            try:
                self._lock.acquire()
            except filelock.Timeout:
                if not left:
                    raise
                continue
            if (self._folder / LOCK).exists() or not left:
                return
            self._lock.release()  # its holder has removed the ledger meanwhile, and the file that is locked now with it

    def release(self) -> None:
        """Give the lock back. Safe to call twice."""
        if self._lock.is_locked:
            _held_here.pop(self._name, None)
        self._lock.release()

    def _no_locks(self) -> LedgerError:
        return LedgerError(
            f"The file system of {self._folder} has no locks, so that two runs could not be kept apart. "
            "Put the ledger on a local disk."
        )
