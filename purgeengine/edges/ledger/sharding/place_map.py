"""Where the rows of a shard stand in the head: runs of neighbours in both, found from the records of the two ledgers."""

from __future__ import annotations

import sqlite3
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from purgeengine.edges.ledger.running.shard_events import PlannedShard
from purgeengine.edges.ledger.sharding.cutting import places_crc
from purgeengine.edges.ledger.sharding.open_rows import open_mailbox
from purgeengine.errors import LedgerMismatch


class HeadRun(NamedTuple):
    """Rows that are neighbours in the shard and in the head: the first position in each."""

    in_shard: int
    in_head: int
    rows: int


class PlaceMap:
    """The positions in the head of a shard's positions, and the numbers in the head of its mailboxes."""

    def __init__(self, mailboxes: dict[int, int]) -> None:
        self.mailboxes = mailboxes
        """The head's number of each mailbox of the shard, by the shard's number."""
        self._in_shard = array("q")
        self._in_head = array("q")
        self._rows = array("q")

    def add(self, run: HeadRun) -> None:
        """Add the next rows of the shard."""
        self._in_shard.append(run.in_shard)
        self._in_head.append(run.in_head)
        self._rows.append(run.rows)

    def runs(self, first: int, rows: int) -> Iterator[HeadRun]:
        """Yield where ``rows`` rows from the shard's position ``first`` on stand. Raises ValueError for rows that do not exist."""
        end = first + rows
        place = bisect_right(self._in_shard, first) - 1
        while first < end:
            if not 0 <= place < len(self._in_shard):
                raise ValueError(f"the shard has no row at position {first}")
            past = first - self._in_shard[place]
            count = min(end - first, self._rows[place] - past)
            if count <= 0:
                raise ValueError(f"the shard has no row at position {first}")
            yield HeadRun(first, self._in_head[place] + past, count)
            first, place = first + count, place + 1

    def position(self, in_shard: int) -> int:
        """Return the position in the head of one row of the shard."""
        return next(self.runs(in_shard, 1)).in_head


def place_map(head: sqlite3.Connection, shard: sqlite3.Connection, planned: PlannedShard, folder: Path) -> PlaceMap:
    """Compare the mailboxes of a shard with the head's open rows.

    Both list the mailboxes in the same order, so each is read once. Raises `LedgerMismatch` if the shard, in ``folder``, does not
    have exactly the rows that were planned for it: one of the two ledgers was replaced by another state of it.
    """
    found = PlaceMap({})
    heads = head.execute("SELECT number, key FROM mailbox ORDER BY number")
    crc = at = 0
    for number, key, first, rows in shard.execute("SELECT number, key, first, rows FROM mailbox ORDER BY number"):
        ours = next((number for number, its in heads if its == key), None)
        mailbox = None if ours is None else open_mailbox(head, ours)
        if mailbox is None or mailbox.rows != rows or first != at:
            raise _other_rows(folder)
        found.mailboxes[number] = mailbox.number
        crc = places_crc(crc, mailbox.number, mailbox.pieces)
        for piece in mailbox.pieces:
            found.add(HeadRun(at, piece.first, piece.rows))
            at += piece.rows
    if (at, crc) != (planned.rows, planned.places_crc):
        raise _other_rows(folder)
    return found


def _other_rows(folder: Path) -> LedgerMismatch:
    return LedgerMismatch(
        f"The shard in {folder} does not have the rows that the ledger has planned for it. One of the two was replaced by an older "
        "copy, or changed. Nothing of this shard was collected. Restore the ledger that was replaced, and give the command again."
    )
