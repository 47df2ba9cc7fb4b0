"""What a folder is to us: a ledger, one whose staging was cut short, an empty place for one, or somebody else's folder."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from enum import Enum
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from purgeengine.core.graph.text import printable
from purgeengine.edges.ledger.store import database
from purgeengine.edges.ledger.store.storage import (
    DATABASE,
    DATABASE_NEW,
    INPUT,
    LOCK,
    ORDER,
    README,
    README_FIRST_LINE,
    README_TEXT,
    STOCK,
    UNFINISHED,
    WORK,
    durable_file,
    sync_folder,
    translated,
)
from purgeengine.edges.paths import GIVEN_ROWS, SCRATCH_PREFIX, SPOOLED, refuse_unspellable
from purgeengine.errors import LedgerError, LedgerMismatch

if TYPE_CHECKING:
    from purgeengine.edges.ledger.staging.survey import Input


class FolderState(Enum):
    """What `state_of` finds."""

    EMPTY = "empty"
    """The folder is missing, or holds nothing of value."""
    UNFINISHED = "unfinished"
    """A folder of ours whose staging was cut short: nothing was sent from it."""
    STAGED = "staged"
    """A ledger whose staging came to its end."""


def state_of(folder: Path) -> FolderState:
    """Look at a folder without changing it.

    Raises `LedgerMismatch` if the folder holds other things, and `LedgerError` if it holds a damaged ledger.
    """
    if "\0" in str(folder):
        raise LedgerError(f"{str(folder)!r} holds a NUL character, which no folder has in its name. Name another.")
    refuse_unspellable(folder)
    with translated(f"The folder {folder} cannot be read"):
        if folder.exists() and not folder.is_dir():
            raise LedgerError(f"{folder} is a file; a ledger is a folder. Name another.")
        names = {path.name for path in folder.iterdir()} if folder.exists() else set()
        if STOCK in names:
            raise LedgerError(
                f"{folder} holds an inventory, and not the ledger of a purge. The same inventory command goes on with it, and "
                "tells what it has read. A purge needs a folder of its own, and the list that the inventory wrote."
            )
        nothing_yet = {LOCK, UNFINISHED, f"{README}.new"}
        if names <= nothing_yet and not (UNFINISHED in names and any((folder / UNFINISHED).iterdir())):
            return FolderState.EMPTY
        ours = README in names and _begins_as_ours(folder / README)
    if DATABASE in names and database.is_created(folder):
        return FolderState.STAGED
    if ours and UNFINISHED in names and DATABASE not in names:
        return FolderState.UNFINISHED
    if ours:
        raise LedgerError(f"The ledger in {folder} has lost its {DATABASE}. Restore the folder from a copy.")
    raise LedgerMismatch(f"The folder {folder} is not empty and not a ledger. Name an empty or a new folder.")


def _begins_as_ours(readme: Path) -> bool:
    with readme.open("rb") as file:
        return file.read(len(README_FIRST_LINE)) == README_FIRST_LINE.encode()


def refuse_other_input(folder: Path, kept: Mapping[str, Any], source: Input, digest: str) -> None:
    """Raise `LedgerMismatch` if the ledger was not made from this input. ``kept`` is what the ledger recorded about itself."""
    if kept["digest"] != digest or kept["extra_columns"] != list(source.extra_columns):
        files = printable(", ".join(map(_told, kept["files"][:3])))
        raise LedgerMismatch(
            f"The ledger in {folder} was made from another input ({files}). Nothing was sent. Give the original input, unchanged "
            "and with the same columns, or none at all, to resume; or use another folder for this one."
        )


def _told(file: str) -> str:
    """Return the name of an input as the user knows it.

    The path of the copy of standard input is none that the user has seen.
    """
    path = PurePath(file)
    copied = path.name in (SPOOLED, GIVEN_ROWS) and path.parent.name.startswith(SCRATCH_PREFIX)
    return path.name if copied else file


def refuse_other_options(folder: Path, kept: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raise `LedgerMismatch` if the ledger's rows were made with another ``--user`` or ``--clean`` than the present one."""
    for name, none in (("user", ""), ("clean", False)):
        its, ours = kept.get(name) or none, given.get(name) or none
        if str(its).lower() == str(ours).lower():
            continue
        option = f"--{name} {its}".removesuffix(" True") if its else f"--{name}"
        cure = f"Leave {option} out"
        if its:
            cure = f"Give {option} instead of --{name} {ours}" if ours else f"Give {option} as well"
        raise LedgerMismatch(
            f"The ledger in {folder} was made {'with' if its else 'without'} {printable(option)}, and its rows stand as that made "
            f"them. Nothing was sent. {printable(cure)} to resume, or use another folder for this purge."
        )


def prepare(folder: Path) -> None:
    """Make room for staging. What an earlier, unfinished staging left is removed.

    The folder ``staging`` marks an unfinished ledger. It is made first and stays throughout, so that staging that is
    cut short can be told from a ledger that lost its database.
    """
    scratch = folder / UNFINISHED
    scratch.mkdir(exist_ok=True)
    sync_folder(folder)
    for name in (DATABASE_NEW, *(f"{name}{of}" for name in (DATABASE, DATABASE_NEW) for of in ("-wal", "-shm"))):
        (folder / name).unlink(missing_ok=True)
    for kind in (INPUT, WORK, ORDER):
        for path in (folder / kind).glob("part-*.parquet*"):
            path.unlink()
    for path in scratch.iterdir():
        path.unlink()
    with durable_file(folder / README) as file:
        file.write(README_TEXT.encode())
    sync_folder(folder)


def finish(folder: Path) -> None:
    """Remove the scratch space. That also removes the mark of an unfinished ledger."""
    if (folder / UNFINISHED).exists():
        shutil.rmtree(folder / UNFINISHED)
        sync_folder(folder)
