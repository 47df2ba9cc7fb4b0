"""When the work of a ledger was done: how its calls fared over time, and when the rows of its largest mailboxes were settled.

A ledger keeps no record of each wait that Graph asked for. It keeps which rows each call asked for, and which call decided
each row. So the requests that Graph answered without deciding the row are known: it put them off, with a wait or with a
fault that passes. Their rows were sent again, or still wait to be.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from purgeengine.edges.ledger.store.database import snapshot
from purgeengine.edges.ledger.store.schema import OUTCOMES

_CALLS = """
SELECT max(ended_ms - ?1, 0) / ?2, count(*), count(*) FILTER (WHERE status IS NULL), sum(asked),
    coalesce(sum(asked - coalesce(decided.rows, 0)) FILTER (WHERE status IS NOT NULL), 0)
FROM (SELECT batch, sum(rows) AS asked FROM part GROUP BY batch) AS sent
CROSS JOIN batch ON batch.number = sent.batch
LEFT JOIN (SELECT batch, sum(rows) AS rows FROM outcome GROUP BY batch) AS decided ON decided.batch = sent.batch
WHERE ended_ms IS NOT NULL GROUP BY 1 ORDER BY 1
"""
_LARGEST = "SELECT number, user, first, rows, waits, closed_ms FROM mailbox ORDER BY rows DESC, number LIMIT ?"
_SETTLED = """
SELECT max(settled_ms - ?1, 0) / ?2, outcome, sum(rows), max(settled_ms) FROM outcome
WHERE first >= ?3 AND first < ?4 GROUP BY 1, 2
"""
_DECIDED = "SELECT batch, sum(rows) FROM outcome WHERE first >= ? AND first < ? GROUP BY batch ORDER BY batch"


class TimeGrid(NamedTuple):
    """Intervals of equal length, numbered from 0: when the first one begins (milliseconds since 1970), and their length."""

    first_ms: int
    interval_ms: int

    def number(self, at_ms: int) -> int:
        """Return the interval of a time. A time before the first interval belongs to it: a clock may be set back."""
        return max(at_ms - self.first_ms, 0) // self.interval_ms


class CallsInInterval(NamedTuple):
    """The calls that ended in an interval, and their requests for single rows.

    ``lost`` calls got no answer. ``put_off`` requests were answered with a wait or with a fault that passes.
    """

    calls: int = 0
    lost: int = 0
    requests: int = 0
    put_off: int = 0


class MailboxWork(NamedTuple):
    """When the rows of a mailbox were settled, by the number of the interval.

    ``well`` counts the rows that are gone, ``badly`` all others that have an outcome. ``sent_again`` counts the requests
    that were put off, or whose call was lost. ``first_sent_ms`` and ``last_settled_ms`` are None if there is no such time.
    """

    user: str
    rows: int
    waits: int
    closed_ms: int | None
    first_sent_ms: int | None
    last_settled_ms: int | None
    well: Mapping[int, int]
    badly: Mapping[int, int]
    sent_again: Mapping[int, int]


def calls_over_time(connection: sqlite3.Connection, grid: TimeGrid) -> dict[int, CallsInInterval]:
    """Return how the calls fared that ended in each interval. Intervals without such a call are left out."""
    with snapshot(connection):
        return {number: CallsInInterval(*counts) for number, *counts in connection.execute(_CALLS, grid)}


def work_of_largest(connection: sqlite3.Connection, grid: TimeGrid, most: int) -> list[MailboxWork]:
    """Return the ``most`` mailboxes with the most rows to send, largest first."""
    with snapshot(connection):
        largest = connection.execute(_LARGEST, (most,)).fetchall()
        ranges = {number: (first, first + rows) for number, _, first, rows, _, _ in largest}
        first_sent_ms, sent_again = _sent(connection, grid, ranges)
        found = []
        for number, user, _, rows, waits, closed_ms in largest:
            well, badly, last_ms = Counter[int](), Counter[int](), None
            for interval, code, settled, at_ms in connection.execute(_SETTLED, (*grid, *ranges[number])):
                (well if OUTCOMES[code].is_gone else badly)[interval] += settled
                last_ms = at_ms if last_ms is None else max(last_ms, at_ms)
            found.append(
                MailboxWork(
                    user, rows, waits, closed_ms, first_sent_ms.get(number), last_ms, well, badly, sent_again[number]
                )
            )
        return found


def _sent(
    connection: sqlite3.Connection, grid: TimeGrid, ranges: Mapping[int, tuple[int, int]]
) -> tuple[dict[int, int], dict[int, Counter[int]]]:
    """Return, for each mailbox, when it was first sent to, and the requests that were sent again, by interval.

    One pass over all mailbox shares, in the order of the batches, with the decided rows of each mailbox beside it in the
    same order. So memory does not grow with the rows, not even if one mailbox has them all.
    """
    decided = {number: _Decided(connection.execute(_DECIDED, bounds)) for number, bounds in ranges.items()}
    first_sent_ms: dict[int, int] = {}
    again: dict[int, Counter[int]] = {number: Counter() for number in ranges}
    query = (
        "SELECT mailbox, batch, rows, sent_ms, ended_ms FROM part CROSS JOIN batch ON number = batch "  # noqa: S608
        f"WHERE mailbox IN ({_places(ranges)}) ORDER BY batch"
    )
    for mailbox, batch, asked, sent_ms, ended_ms in connection.execute(query, list(ranges)):
        first_sent_ms[mailbox] = min(sent_ms, first_sent_ms.get(mailbox, sent_ms))
        left = asked - decided[mailbox].by(batch)
        if left > 0 and ended_ms is not None:
            again[mailbox][grid.number(ended_ms)] += left
    return first_sent_ms, again


def _places(values: Mapping[int, object]) -> str:
    return ", ".join("?" * len(values))


class _Decided:
    """How many rows of a mailbox each batch decided. The batches are asked for in ascending order."""

    def __init__(self, rows_by_batch: Iterator[Sequence[int]]) -> None:
        self._rows_by_batch = rows_by_batch
        self._batch, self._rows = -1, 0

    def by(self, batch: int) -> int:
        while self._batch < batch:
            self._batch, self._rows = next(self._rows_by_batch, (1 << 62, 0))
        return self._rows if self._batch == batch else 0
