"""Collect shards into the ledger that was cut: each once, in one transaction, so that a crash leaves it collected or untouched.

A shard that is not finished can be collected as well. It is closed first, durably, so that no run sends its rows any more; then the
head has those rows back. A crash in between leaves a closed shard, which the same call collects.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from purgeengine.edges.ledger.reader import LedgerReader
from purgeengine.edges.ledger.running.journal import adopt_lost_rows
from purgeengine.edges.ledger.running.shard_events import (
    CollectedShard,
    Cut,
    ShardMark,
    collected_into,
    cuts_of,
    is_lent,
    keep_closed,
    keep_collected,
    sharding_of,
)
from purgeengine.edges.ledger.sharding.head import HeadLedger
from purgeengine.edges.ledger.sharding.merging import Merge
from purgeengine.edges.ledger.sharding.place_map import place_map
from purgeengine.edges.ledger.staging.folder import FolderState, state_of
from purgeengine.edges.ledger.store.database import connect_to_read, connect_to_write, snapshot, transaction
from purgeengine.edges.ledger.store.lock import FolderLock
from purgeengine.edges.ledger.store.storage import reading_records, translated
from purgeengine.errors import LedgerError, LedgerMismatch, UsageProblem
from purgeengine.words import counted, number


@dataclass(frozen=True, slots=True)
class ShardResult:
    """What became of one folder of a call."""

    folder: Path
    number: int
    rows: int
    left: int
    """Its rows without an outcome, which the head has back."""
    before: bool
    """True if an earlier call had collected it."""


def collect(
    head: HeadLedger,
    folder: Path,
    *,
    unfinished: bool = False,
    utc: Callable[[], float] = time.time,
) -> ShardResult:
    """Collect the shard in ``folder``, unless it was collected before.

    ``unfinished`` accepts a shard with rows that have no outcome. Raises `LedgerMismatch` if the folder holds no shard of this
    head, `UsageProblem` if the shard is unfinished and may not be, and `LedgerError` if it is in use, damaged, or cannot be read.
    """
    folder = Path(folder)
    cut, mark = mark_for(head, folder)
    if mark.number in cut.collected:
        planned, known = cut.planned[mark.number], cut.collected[mark.number]
        return ShardResult(folder, mark.number, planned.rows, known.left, before=True)
    with _locked(folder):
        left = _left_of(folder, mark, utc, unfinished=unfinished)
        with (
            reading_records(folder),
            closing(connect_to_read(folder)) as shard,
            snapshot(shard),
            translated(f"The ledger in {head.folder} cannot be written"),
            transaction(head.connection),
        ):
            planned = cut.planned[mark.number]
            places = place_map(head.connection, shard, planned, folder)
            Merge(head.connection, shard, places).run()
            keep_collected(head.connection, cut, CollectedShard(mark.number, left, round(utc() * 1000)))
    return ShardResult(folder, mark.number, planned.rows, left, before=False)


def mark_for(head: HeadLedger | LedgerReader, folder: Path) -> tuple[Cut, ShardMark]:
    """Return the head's cut, and which shard of it lies in ``folder``.

    Raises `LedgerMismatch` if the head was never cut, if the folder holds no shard, or if the shard belongs to another ledger or to
    an earlier cut of this one.
    """
    cut = head.cut()
    if cut is None:
        raise LedgerMismatch(
            f"The ledger in {head.folder} was never cut into shards. Name the ledger that was cut first."
        )
    if state_of(folder) is not FolderState.STAGED:
        LedgerReader.open(folder).close()  # says what the folder is instead
    mark = sharding_of(folder).mark
    if mark is None:
        raise LedgerMismatch(
            f"The ledger in {folder} is no shard. Name the folders of shards behind the ledger that was cut."
        )
    if mark.cut != cut.id:
        with reading_records(head.folder), closing(connect_to_read(head.folder)) as connection:
            earlier = mark.cut in cuts_of(connection)
        whose = "an earlier cut of this ledger" if earlier else f"another ledger, {mark.head_name}"
        raise LedgerMismatch(
            f"The shard in {folder} belongs to {whose}. Nothing of it was collected into {head.folder}."
        )
    if mark.generation != cut.generation(mark.number):
        raise LedgerMismatch(
            f"The disk of the shard in {folder} was taken for lost, and its rows were run again elsewhere. What it recorded since "
            f"its last copy is of no account, and nothing of it was collected into {head.folder}. Delete the folder."
        )
    return cut, mark


def refuse_twice(head: HeadLedger, folders: Sequence[Path]) -> None:
    """Raise `UsageProblem` if two of the folders are one, or are copies of one shard."""
    seen: dict[int, Path] = {}
    for folder in folders:
        try:
            _, mark = mark_for(head, folder)
        except (LedgerError, LedgerMismatch):
            continue  # `collect` says so
        if mark.number in seen:
            raise UsageProblem(
                f"{seen[mark.number]} and {folder} are both shard {mark.number}. Name each shard once, and of copies the "
                "one that was run last. Nothing was collected."
            )
        seen[mark.number] = folder


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep runs away from the shard. A folder that cannot be written cannot be run either."""
    with ExitStack() as held:
        if os.access(folder, os.W_OK):
            lock = FolderLock(folder)
            try:
                lock.acquire()
            except LedgerError as error:
                raise LedgerError(f"The shard in {folder} is not collected: {error}") from error
            held.callback(lock.release)
        yield


def _left_of(folder: Path, mark: ShardMark, utc: Callable[[], float], *, unfinished: bool) -> int:
    """Return how many rows the shard leaves without an outcome. If there are any, close it."""
    with LedgerReader.open(folder) as reader:
        counts = reader.counts()
    left = counts.waiting + counts.in_doubt
    if not left:
        return 0
    if not unfinished:
        raise UsageProblem(
            f"The shard in {folder} is not finished: {counted(left, 'row')} of {number(counts.rows)} "
            f"{'has' if left == 1 else 'have'} no outcome. Finish it first (purgeengine run --ledger), or add --unfinished to take "
            "these rows back."
        )
    if is_lent(folder, mark):
        raise UsageProblem(
            f"The shard in {folder} is a copy, and its rows cannot be taken back: its ledger is on the disk of a worker, which may "
            f"be sending from it. Give the command for {mark.head_name} again, with --scheduler; --lost-after says when that disk "
            "counts as lost."
        )
    with (
        translated(f"The shard in {folder} cannot be closed"),
        reading_records(folder),
        closing(connect_to_write(folder)) as connection,
        transaction(connection),
    ):
        adopt_lost_rows(connection)
        if collected_into(connection) is None:
            keep_closed(connection, mark, round(utc() * 1000))
    return left
