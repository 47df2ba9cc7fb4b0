"""A ledger and its shards as one purge, before all of them are collected. Each row is counted once.

The rows of a shard that is not collected are open in the head, and the shard knows what became of them. The rows of a collected
shard are the head's. So sums are enough, and no row is read.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from purgeengine.core.model import Outcome
from purgeengine.edges.ledger.reader import LedgerReader
from purgeengine.edges.ledger.running.shard_events import Cut, PlannedShard, sharding_of
from purgeengine.edges.ledger.sharding.collecting import mark_for
from purgeengine.edges.ledger.sharding.place_map import place_map
from purgeengine.edges.ledger.staging.folder import FolderState, state_of
from purgeengine.edges.ledger.store.database import connect_to_read, snapshot
from purgeengine.edges.ledger.store.storage import reading_records
from purgeengine.edges.ledger.views.counts import Counts, skipped_ranges
from purgeengine.errors import LedgerMismatch, PurgeEngineError, UsageProblem

ShardState = Literal["collected", "finished", "running", "unfinished", "not_named"]


@dataclass(frozen=True, slots=True)
class ShardStanding:
    """A shard as it stands. ``counts`` are its own, or None if its folder was not named."""

    number: int
    folder: Path | None
    rows: int
    state: ShardState
    counts: Counts | None


class ShardedPurge:
    """A ledger that was cut, and those of its shards that were named. Close it, or use it as a context manager."""

    def __init__(self, head: LedgerReader, cut: Cut, shards: dict[int, LedgerReader], closing_: ExitStack) -> None:
        """Only `open` calls this."""
        self.head = head
        self.cut = cut
        self.shards = shards
        """The named shards that are not collected, by number."""
        self._closing = closing_
        self._folders: dict[int, Path] = {}

    @classmethod
    def open(cls, folders: Sequence[Path]) -> Self | None:
        """Open the ledgers in these folders, named in any order. None if they are no cut ledger and its shards.

        Raises `LedgerError` if one cannot be read, `UsageProblem` if a shard is named twice, and `LedgerMismatch` if there are
        shards among them, but not the ledger that was cut, or other ledgers as well.
        """
        if not any(map(_concerns_shards, folders)):
            return None
        with ExitStack() as stack:
            readers = [stack.enter_context(LedgerReader.open(folder)) for folder in folders]
            shards = [reader for reader in readers if reader.mark is not None]
            others = [reader for reader in readers if reader.mark is None]
            if not shards and not (len(others) == 1 and _has_shards_out(others[0])):
                return None
            if len(readers) == 1 and shards:
                return None
            if len(others) != 1:
                which = (
                    "none of them was cut" if not others else f"{others[0].folder} and {others[1].folder} are no shards"
                )
                raise LedgerMismatch(
                    f"These ledgers do not belong together: {which}. Name the ledger that was cut, then its shards, and no others."
                )
            (head,) = others
            found = cls._of(head, shards)
            found._closing = stack.pop_all()
            return found

    @classmethod
    def _of(cls, head: LedgerReader, shards: Iterable[LedgerReader]) -> Self:
        folders: dict[int, Path] = {}
        live: dict[int, LedgerReader] = {}
        cut = head.cut()
        for shard in shards:
            cut, mark = mark_for(head, shard.folder)
            if mark.number in folders:
                raise UsageProblem(
                    f"{folders[mark.number]} and {shard.folder} are both shard {mark.number}. Name each shard once."
                )
            folders[mark.number] = shard.folder
            if mark.number not in cut.collected:
                live[mark.number] = shard
        assert cut is not None, "a head without a cut was refused"
        found = cls(head, cut, live, ExitStack())
        found._folders = folders
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    def standings(self) -> list[ShardStanding]:
        """Return how each shard stands, by number."""
        found = []
        for number, planned in enumerate(self.cut.planned):
            reader = self.shards.get(number)
            counts = None if reader is None else reader.counts()
            state: ShardState = "collected" if number in self.cut.collected else "not_named"
            if reader is not None and counts is not None:
                open_rows = counts.waiting + counts.in_doubt
                state = "finished" if not open_rows else "running" if reader.live() is not None else "unfinished"
            found.append(ShardStanding(number, self._folders.get(number), planned.rows, state, counts))
        return found

    def counts(self, standings: Sequence[ShardStanding]) -> Counts:
        """Count the rows of the whole purge. They add up to the rows of the head."""
        found = self.head.counts()
        outcomes, waiting, in_doubt = Counter(found.outcomes), found.waiting, found.in_doubt
        for standing in standings:
            if standing.counts is None:
                continue
            planned = self.cut.planned[standing.number]
            outcomes.update(standing.counts.outcomes)
            waiting += standing.counts.waiting - (planned.rows - planned.in_doubt)
            in_doubt += standing.counts.in_doubt - planned.in_doubt
            ended = self._ended_with_mailbox(self.shards[standing.number], planned)
            outcomes[Outcome.SKIPPED] -= ended
            outcomes[Outcome.EXHAUSTED] += ended
        return Counts(found.rows, outcomes, waiting, in_doubt)

    def _ended_with_mailbox(self, shard: LedgerReader, planned: PlannedShard) -> int:
        """Count the rows that the shard skipped although the head had sent them before the cut. Collecting calls them exhausted."""
        with reading_records(self.head.folder), closing(connect_to_read(self.head.folder)) as head, snapshot(head):
            sent = [position for (position,) in head.execute("SELECT position FROM attempt ORDER BY position")]
            if not sent:
                return 0
            with reading_records(shard.folder), closing(connect_to_read(shard.folder)) as records, snapshot(records):
                return _sent_before(head, records, planned, sent, shard.folder)


def _sent_before(
    head: sqlite3.Connection, shard: sqlite3.Connection, planned: PlannedShard, sent: Sequence[int], folder: Path
) -> int:
    places = place_map(head, shard, planned, folder)
    ended = 0
    for first, end, _, _ in skipped_ranges(shard):
        for _, at, count in places.runs(first, end - first):
            ended += bisect_left(sent, at + count) - bisect_left(sent, at)
    return ended


def _concerns_shards(folder: Path) -> bool:
    """Return False for a ledger that has nothing to do with shards, after a quick look. Whoever opens it says what is wrong."""
    with suppress(PurgeEngineError):
        if state_of(folder) is FolderState.STAGED:
            found = sharding_of(folder)
            return found.mark is not None or (found.cut is not None and bool(found.cut.out))
    return False


def _has_shards_out(reader: LedgerReader) -> bool:
    cut = reader.cut()
    return cut is not None and bool(cut.out)
