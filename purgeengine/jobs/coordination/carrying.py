"""Carries ledgers between the head's machine and the disks of workers, in pieces. These functions wait for each piece."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from purgeengine.edges.cluster import CallFailed, WorkerCluster
from purgeengine.edges.ledger.sharding.worker_disk import PIECE_BYTES, CopyMade, files_of, sum_of
from purgeengine.jobs.coordination.worker_tasks import (
    ReceivedShard,
    complete_shard,
    make_copy,
    read_copy,
    received,
    take_piece,
)

CALL_S_MAX = 120.0
"""Seconds for one call on a worker: a piece over a link of half a megabit a second, or the copy of a large database."""


class WorkerLine:
    """The way to one worker."""

    def __init__(self, cluster: WorkerCluster, address: str) -> None:
        self._cluster = cluster
        self._address = address

    def has(self, name: str) -> ReceivedShard:
        """Return what the worker has of a shard. Raises `CallFailed` if it does not answer."""
        found: ReceivedShard = self._call(received, name)
        return found

    def send(self, name: str, folder: Path, has: ReceivedShard) -> None:
        """Send what the worker does not have of a shard. Raises `CallFailed` if it does not arrive whole."""
        files = {file: sum_of(folder / file) for file in files_of(folder)}
        for file, (size, _) in files.items():
            offset = has.files.get(file)
            if offset is not None and offset >= size:
                continue
            with (folder / file).open("rb") as source:
                source.seek(offset or 0)
                at = source.tell()
                while True:
                    piece = source.read(PIECE_BYTES)
                    if not piece and at:
                        break
                    self._call(take_piece, name, file, at, piece)
                    at += len(piece)
                    if not piece:
                        break
        if not self._call(complete_shard, name, files):
            raise CallFailed("what arrived is not what was sent")

    def bring(self, name: str, number: int, to: Path) -> CopyMade:
        """Bring a copy of a shard's database as it is now. Raises `CallFailed` if it does not arrive."""
        made: CopyMade = self._call(make_copy, name, number)
        with to.open("wb") as file:
            while file.tell() < made.size:
                piece = self._call(read_copy, name, number, file.tell())
                if not piece:
                    raise CallFailed("the copy is shorter than it was")
                file.write(piece)
        return made

    def _call(self, function: Any, *arguments: Any) -> Any:
        return self._cluster.call(function, *arguments, address=self._address, within_s=CALL_S_MAX)
