"""Take a shard back into the ledger that was cut if the disk with its ledger is lost, and stage its open rows again.

Nobody knows what the lost ledger recorded after its last copy. So every row that is open in that copy may have been sent, every
mailbox may have been asked as often as Graph allows, and calls may still be running. All of that is written into the head, in one
transaction with what the copy knows. The next generation takes it over, as any shard takes over what the head knows.

A loss may be interrupted at any point, and the same call goes on with it:

1. The head has the copy, the doubt, and what is planned for the next generation.
2. The next generation is staged under a name that ends in ``.new``.
3. The copy gives up its name.
4. The next generation gets it.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from array import array
from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from purgeengine.core.coordination.lost_generation import LostGeneration
from purgeengine.edges.ledger.running.journal import adopt_lost_rows
from purgeengine.edges.ledger.running.shard_events import (
    CollectedShard,
    Cut,
    PlannedShard,
    keep_collected,
    keep_lost,
    sharding_of,
)
from purgeengine.edges.ledger.sharding.cutting import (
    UNRELEASED,
    Deal,
    planned_for,
    shard_name,
    stage_shards,
)
from purgeengine.edges.ledger.sharding.head import HeadLedger
from purgeengine.edges.ledger.sharding.merging import Merge
from purgeengine.edges.ledger.sharding.open_rows import open_mailboxes
from purgeengine.edges.ledger.sharding.place_map import place_map
from purgeengine.edges.ledger.staging.folder import FolderState, state_of
from purgeengine.edges.ledger.store.database import (
    connect_to_read,
    connect_to_write,
    crc_of_staged,
    snapshot,
    transaction,
)
from purgeengine.edges.ledger.store.storage import reading_records, sync_folder, translated
from purgeengine.run_limits import Limits

LOST = ".lost"
"""The end of the name of a copy that the next generation has replaced, until it is deleted."""
OTHERS = -1
"""Stands for the shards that are not lost."""


@dataclass(frozen=True, slots=True)
class LostShard:
    """What became of a lost generation: how many of its rows were kept, and how many are run again."""

    number: int
    kept: int
    again: int


def lose(
    head: HeadLedger,
    number: int,
    generation: int,
    folder: Path,
    lost: LostGeneration,
    limits: Limits,
    utc: Callable[[], float] = time.time,
) -> LostShard:
    """Take back this generation of a shard, and stage the next one below ``folder``, where the last copy of the lost one lies.

    Without a copy, all rows that no other shard has are taken back as if none of them had been settled. If no row is left, no
    generation is staged, and the shard counts as collected. Raises `LedgerError` and `LedgerMismatch` as collecting does.
    """
    known = head.cut()
    assert known is not None, "whoever lost a shard has cut it"
    before = known.planned[number].rows
    if known.generation(number) == generation and number not in known.collected:
        known = _taken_back(head, known, number, folder, lost, utc)
        before -= known.planned[number].rows
    else:
        before = 0
    if number not in known.collected:
        _stage_again(head, known, number, folder, limits, round(utc() * 1000))
    return LostShard(number, before, known.planned[number].rows)


def _taken_back(
    head: HeadLedger, known: Cut, number: int, folder: Path, lost: LostGeneration, utc: Callable[[], float]
) -> Cut:
    copy = folder / shard_name(number, known.shards)
    with translated(f"The ledger in {head.folder} cannot be written"), transaction(head.connection):
        ours = _mailboxes(head, known, number, folder)
        if state_of(copy) is FolderState.STAGED:
            _merge(head, known.planned[number], copy)
        for mailbox in ours:
            _doubt(head.connection, mailbox, lost)
        planned = planned_for(head.connection, _dealt(head.connection, ours, number).shard_of, (number,))[number]
        at_ms = round(utc() * 1000)
        keep_lost(head.connection, known, number, planned, at_ms)
        if not planned.rows:
            keep_collected(head.connection, known, CollectedShard(number, 0, at_ms))
        head.connection.execute("UPDATE meta SET value = ? WHERE key = 'crc'", (str(crc_of_staged(head.connection)),))
    found = head.cut()
    assert found is not None, "it was cut before"
    return found


def _mailboxes(head: HeadLedger, known: Cut, number: int, folder: Path) -> set[int]:
    """Return the head's numbers of the shard's mailboxes: those of its copy, or else all open ones that no other shard has.

    If several shards are missing without a copy, the first one that is taken for lost gets the rows of all.
    """
    copy = folder / shard_name(number, known.shards)
    if state_of(copy) is FolderState.STAGED:
        keys = _keys(copy)
        return {mailbox.number for mailbox in open_mailboxes(head.connection) if mailbox.key in keys}
    others = (folder / shard_name(other, known.shards) for other in known.out if other != number)
    taken = set(chain.from_iterable(_keys(place) for place in others if state_of(place) is FolderState.STAGED))
    return {mailbox.number for mailbox in open_mailboxes(head.connection) if mailbox.key not in taken}


def _keys(shard: Path) -> set[str]:
    with reading_records(shard), closing(connect_to_read(shard)) as connection:
        return {key for (key,) in connection.execute("SELECT key FROM mailbox")}


def _merge(head: HeadLedger, planned: PlannedShard, copy: Path) -> None:
    with reading_records(copy), closing(connect_to_write(copy)) as connection, transaction(connection):
        adopt_lost_rows(connection)
    with reading_records(copy), closing(connect_to_read(copy)) as shard, snapshot(shard):
        Merge(head.connection, shard, place_map(head.connection, shard, planned, copy)).run()


def _doubt(head: sqlite3.Connection, mailbox: int, lost: LostGeneration) -> None:
    """Record that every open row of a mailbox may have been sent, that its window is full, and that calls may still be running."""
    found = head.execute(
        "SELECT first, rows FROM mailbox WHERE number = ? AND closed_ms IS NULL", (mailbox,)
    ).fetchone()
    if found is None:
        return  # the copy knows that it was closed
    first, rows = found
    head.execute("INSERT OR REPLACE INTO doubt (mailbox, rows) VALUES (?, ?)", (mailbox, rows))
    head.execute("UPDATE attempt SET in_doubt = 1 WHERE position >= ? AND position < ?", (first, first + rows))
    head.execute("INSERT INTO seen (mailbox, at_ms, rows) VALUES (?, ?, ?)", (mailbox, *lost.seen))
    head.execute(
        "UPDATE mailbox SET blocked_until_ms = ?1, blocked_set_ms = ?2 WHERE number = ?3 AND coalesce(blocked_until_ms, 0) < ?1",
        (*lost.blocked, mailbox),
    )


def _dealt(connection: sqlite3.Connection, ours: Collection[int], number: int) -> Deal:
    """Return which of all open mailboxes go to this shard again."""
    numbers, shard_of = array("q"), array("q")
    for mailbox in open_mailboxes(connection):
        numbers.append(mailbox.number)
        shard_of.append(number if mailbox.number in ours else OTHERS)
    return Deal(numbers, shard_of, ())


def _stage_again(head: HeadLedger, known: Cut, number: int, folder: Path, limits: Limits, now_ms: int) -> None:
    name = shard_name(number, known.shards)
    place, staged, lost = folder / name, folder / f"{name}{UNRELEASED}", folder / f"{name}{LOST}"
    if not _is_next(place, known, number):
        if not _is_next(staged, known, number):
            dealt = _dealt(head.connection, _mailboxes(head, known, number, folder), number)
            stage_shards(head, known, dealt, (number,), folder, limits, now_ms)
        with translated(f"The shard in {place} cannot be replaced"):
            if place.exists():
                shutil.rmtree(lost, ignore_errors=True)
                place.rename(lost)
            staged.rename(place)
            sync_folder(folder)
    shutil.rmtree(lost, ignore_errors=True)


def _is_next(place: Path, known: Cut, number: int) -> bool:
    """Return True if the folder has the generation that is to be run, whole."""
    if state_of(place) is not FolderState.STAGED:
        return False
    mark = sharding_of(place).mark
    return mark is not None and (mark.cut, mark.number, mark.generation) == (known.id, number, known.generation(number))
