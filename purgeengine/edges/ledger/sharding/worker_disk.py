"""The folder of a worker on its own disk: the ledgers of the shards that it was given, and a file that tells this disk from others.

A shard comes in pieces. It has its name only when all of it is there. What was received of it before an interruption is kept, and
the rest is sent behind it. A copy of its database goes home in pieces, too, while a run goes on.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import uuid
import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from purgeengine.edges.ledger.staging.folder import FolderState, state_of
from purgeengine.edges.ledger.store.database import connect_to_read
from purgeengine.edges.ledger.store.lock import FolderLock
from purgeengine.edges.ledger.store.storage import (
    DATABASE,
    LIVE,
    LOCK,
    RESERVE,
    appear,
    durable_file,
    make_folder,
    reading_records,
    sync_folder,
    translated,
)
from purgeengine.errors import LedgerError

VARIABLE = "PURGEENGINE_WORKER_FOLDER"
"""Environment variable of a worker that names this folder. Several workers of one machine may have one folder."""
USUAL = "purgeengine-shards"
"""The folder if the variable is not set, below the folder in which the worker was started."""
DISK_FILE = "disk-id"
PART, COPY = ".part", ".copy"
PIECE_BYTES = 4 * 1024 * 1024
"""Bytes of a piece. It is in the memory of the coordinator, the scheduler and the worker at once."""
NOT_CARRIED = frozenset({LOCK, LIVE, RESERVE, f"{DATABASE}-wal", f"{DATABASE}-shm"})
"""Files of a ledger that belong to the process that has it open. A shard that is staged, and a copy, need none of them."""


@dataclass(frozen=True, slots=True)
class CopyMade:
    """A copy of a shard's database that waits to be read: its size in bytes, and its CRC-32."""

    size: int
    crc: int


class WorkerDisk:
    """The folder of this worker. Every method may be called in any thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def here(cls, environment: Mapping[str, str] = os.environ) -> WorkerDisk:
        """Return that of this process."""
        return cls(Path(environment.get(VARIABLE) or USUAL).absolute())

    @property
    def id(self) -> str:
        """What tells this disk from others. It is drawn when it is first asked for. Raises `LedgerError` if it cannot be kept."""
        file = self.folder / DISK_FILE
        with translated(f"The folder {self.folder} of this worker cannot be used"):
            make_folder(self.folder)
            if not file.exists():
                drawn = self.folder / f"{DISK_FILE}.{os.getpid()}"
                with durable_file(drawn) as out:
                    out.write(uuid.uuid4().hex.encode())
                try:
                    os.link(drawn, file)  # the first of several processes wins
                except FileExistsError:
                    pass
                except OSError:  # a file system without links
                    drawn.replace(file)
                drawn.unlink(missing_ok=True)
                sync_folder(self.folder)
            return file.read_text(encoding="ascii")

    def shard(self, name: str) -> Path:
        """Return the folder of a shard's ledger."""
        return self.folder / name

    def has(self, name: str) -> bool:
        """Return True if all of the shard is here."""
        return state_of(self.shard(name)) is FolderState.STAGED

    # ------------------------------------------------------------------------------------------------------ receiving

    def received(self, name: str) -> dict[str, int]:
        """Return the bytes of each file of the shard that were received so far, by name."""
        part = self.folder / f"{name}{PART}"
        return {file: (part / file).stat().st_size for file in files_of(part)} if part.exists() else {}

    def take(self, name: str, file: str, offset: int, piece: bytes) -> None:
        """Write a piece of a file. Raises `LedgerError` if it cannot be written, or does not follow what is there."""
        path = self.folder / f"{name}{PART}" / file
        with translated(f"The shard in {self.folder} cannot be received"):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as out:
                if out.tell() != offset:
                    raise LedgerError(f"A piece of {path} does not follow what was received before. It is sent again.")
                out.write(piece)
                out.flush()
                os.fsync(out.fileno())

    def complete(self, name: str, files: Mapping[str, tuple[int, int]]) -> bool:
        """Give the shard its name if each file has its size and CRC-32. Return False, and forget what was received, if not."""
        part = self.folder / f"{name}{PART}"
        with translated(f"The shard in {self.folder} cannot be received"):
            if self.has(name):
                return True
            if {file: sum_of(part / file) for file in files_of(part)} != dict(files):
                shutil.rmtree(part, ignore_errors=True)
                return False
            for folder in {path.parent for path in part.rglob("*")}:
                sync_folder(folder)
            part.rename(self.shard(name))
            sync_folder(self.folder)
        return True

    def drop(self, name: str) -> None:
        """Delete a shard whose records are in the head. One that is in use stays."""
        place = self.shard(name)
        if not place.exists():
            return
        lock = FolderLock(place)
        lock.acquire()
        lock.release()
        shutil.rmtree(place, ignore_errors=True)
        for left in self.folder.glob(f"{name}{COPY}-*"):  # what was not read to its end
            left.unlink(missing_ok=True)

    # --------------------------------------------------------------------------------------------------------- copies

    def make_copy(self, name: str, number: int) -> CopyMade:
        """Copy the database of a shard as it is now, while a run may go on. ``number`` tells this copy from others.

        Raises `LedgerError` if it cannot be read or copied.
        """
        place, copy = self.shard(name), self._copy(name, number)
        with translated(f"The ledger in {place} cannot be copied"), reading_records(place):
            copy.unlink(missing_ok=True)
            with closing(connect_to_read(place)) as source, closing(sqlite3.connect(copy)) as target:
                source.backup(target)
        return CopyMade(*sum_of(copy))

    def read_copy(self, name: str, number: int, offset: int) -> bytes:
        """Return a piece of a copy. After the last one, the copy is deleted."""
        copy = self._copy(name, number)
        with translated(f"The copy of {name} cannot be read"):
            with copy.open("rb") as file:
                file.seek(offset)
                piece = file.read(PIECE_BYTES)
                is_last = file.tell() >= copy.stat().st_size
            if is_last:
                copy.unlink()
        return piece

    def _copy(self, name: str, number: int) -> Path:
        return self.folder / f"{name}{COPY}-{number}"


def files_of(folder: Path) -> Iterator[str]:
    """Yield the names of the files of a shard that are carried, below its folder, with forward slashes."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in NOT_CARRIED:
            yield path.relative_to(folder).as_posix()


def sum_of(path: Path) -> tuple[int, int]:
    """Return the size of a file in bytes, and its CRC-32."""
    size = crc = 0
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            size, crc = size + len(piece), zlib.crc32(piece, crc)
    return size, crc


def install_copy(copy: Path, made: CopyMade, shard: Path) -> bool:
    """Let a copy that has arrived replace the database of a shard's folder at home. Return False if it is not whole."""
    if sum_of(copy) != (made.size, made.crc):
        return False
    with translated(f"The copy of the shard in {shard} cannot be kept"):
        for ending in ("-wal", "-shm"):
            (shard / f"{DATABASE}{ending}").unlink(missing_ok=True)
        appear(copy, shard / DATABASE)
    return True
