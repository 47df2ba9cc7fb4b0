"""Removes a ledger that was made a moment ago and from which nothing was sent.

Such a ledger must not stay behind when its purge was refused or not confirmed. A later command could run it without its input,
and so without the limits and filters that the refused command had.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from purgeengine.edges.ledger.store.storage import (
    DATABASE,
    DATABASE_NEW,
    INPUT,
    LIVE,
    LOCK,
    ORDER,
    README,
    RESERVE,
    UNFINISHED,
    WORK,
    cause_of,
    sync_folder,
)

if TYPE_CHECKING:
    from purgeengine.edges.ledger.store.lock import FolderLock

DATABASE_FILES = tuple(f"{name}{of}" for name in (DATABASE, DATABASE_NEW) for of in ("", "-wal", "-shm"))


def missing_folders(folder: Path) -> list[Path]:
    """Return the folder and those above it that do not exist yet, the innermost first."""
    folder = folder.absolute()
    return [path for path in (folder, *folder.parents) if not os.path.lexists(path)]


def remove_unsent(folder: Path, made: Sequence[Path], lock: FolderLock) -> str | None:
    """Remove the ledger's files, release its lock, and remove the folders in ``made`` that are empty then, the first one first.

    Only files that a ledger has are removed. Nothing may have been sent from the ledger, no file of it may be open, and the caller
    holds the lock. Returns None, or a sentence that says why the ledger is still there and what to do.
    """
    said = None
    try:
        _remove_files(folder)
        if os.name != "nt":  # an open file can be removed: whoever takes the lock next makes a new one
            (folder / LOCK).unlink(missing_ok=True)
    except OSError as error:
        said = (
            f"The new ledger in {folder} could not be removed: {cause_of(error)} Nothing was sent from it. Delete this folder, "
            "because a run over it would not know the limits and the filters of this one."
        )
    finally:
        lock.release()
    if said is None:
        with suppress(OSError):  # another process has taken the place, or put something there
            if os.name == "nt":  # a file that another process has opened cannot be removed
                (folder / LOCK).unlink(missing_ok=True)
            for path in made:
                path.rmdir()
    return said


def _remove_files(folder: Path) -> None:
    """Remove all but the lock. At every moment the folder is a whole ledger, an unfinished one or an empty place."""
    scratch = folder / UNFINISHED
    scratch.mkdir(exist_ok=True)  # the mark of an unfinished ledger goes last
    sync_folder(folder)
    for name in DATABASE_FILES:
        (folder / name).unlink(missing_ok=True)
    sync_folder(folder)
    for kind in (INPUT, WORK, ORDER):
        for path in (folder / kind).glob("part-*.parquet*"):
            path.unlink()
        with suppress(OSError):  # it was never made, or somebody keeps something there
            (folder / kind).rmdir()
    for name in (RESERVE, LIVE, README, f"{README}.new"):
        (folder / name).unlink(missing_ok=True)
    for path in scratch.iterdir():
        path.unlink()
    scratch.rmdir()
