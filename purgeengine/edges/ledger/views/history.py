"""When the work of a ledger was done, and how: runs, calls, waits, and rows settled over time. Each is read in one query."""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from purgeengine.core.model import Outcome
from purgeengine.edges.ledger.running.app_limit import without_app_limit
from purgeengine.edges.ledger.running.shard_events import without_events
from purgeengine.edges.ledger.store.database import snapshot
from purgeengine.edges.ledger.store.schema import OUTCOMES


class Run(NamedTuple):
    """One start of the run command: when (milliseconds since 1970), and with which options."""

    at_ms: int
    options: Mapping[str, Any]


class Traffic(NamedTuple):
    """What was asked of Graph: requests for single rows, rows that needed more than one, waits, and the mailboxes that waited."""

    requests: int
    rows_sent_again: int
    waits: int
    mailboxes_that_waited: int
    calls_refused: Mapping[int, int]
    """Calls that Graph refused as a whole, by status."""


class Bucket(NamedTuple):
    """Rows settled in the interval that begins at ``at_ms``, by outcome."""

    at_ms: int
    rows: Mapping[Outcome, int]


class Timeline(NamedTuple):
    """Rows settled over time. Intervals in which no row was settled are left out."""

    bucket_ms: int
    buckets: Sequence[Bucket]


class History(NamedTuple):
    """All facts of this module but the closed mailboxes, as of one moment."""

    runs: Sequence[Run]
    traffic: Traffic
    first_sent_ms: int | None
    last_settled_ms: int | None
    timeline: Timeline
    at_work_ms: int
    """Milliseconds in which runs were at work, see `at_work_ms`."""


class ClosedMailbox(NamedTuple):
    """A mailbox that was closed, the reply that closed it, and how many of its rows were therefore never sent."""

    user: str
    status: int
    code: str
    message: str
    skipped: int


def history_of(connection: sqlite3.Connection, buckets_max: int) -> History:
    """Read everything but the closed mailboxes. ``buckets_max`` limits, roughly, the intervals of the timeline."""
    with snapshot(connection):
        started = runs(connection)
        return History(
            started,
            traffic(connection),
            *span(connection),
            timeline(connection, buckets_max),
            at_work_ms(connection, [run.at_ms for run in started]),
        )


def runs(connection: sqlite3.Connection) -> list[Run]:
    """Return every start of a run that had something to do, in order."""
    found = connection.execute("SELECT at_ms, options FROM start ORDER BY rowid").fetchall()
    return [Run(at_ms, without_app_limit(options)) for at_ms, options in without_events(found)]


def traffic(connection: sqlite3.Connection) -> Traffic:
    """Count the requests, waits and refused calls."""
    (requests,) = connection.execute("SELECT coalesce(sum(rows), 0) FROM part").fetchone()
    (again,) = connection.execute("SELECT coalesce(sum(rows) FILTER (WHERE attempts > 1), 0) FROM outcome").fetchone()
    waits, mailboxes = connection.execute(
        "SELECT coalesce(sum(waits), 0), count(*) FILTER (WHERE waits > 0) FROM mailbox"
    ).fetchone()
    refused = connection.execute("SELECT status, count(*) FROM batch WHERE status >= 400 GROUP BY 1 ORDER BY 1")
    return Traffic(requests, again, waits, mailboxes, dict(refused))


def span(connection: sqlite3.Connection) -> tuple[int | None, int | None]:
    """Return when the first batch was sent and when the last row was settled, in milliseconds since 1970. None if never."""
    (first,) = connection.execute("SELECT min(sent_ms) FROM batch").fetchone()
    (last,) = connection.execute("SELECT max(settled_ms) FROM outcome").fetchone()
    return first, last


def at_work_ms(connection: sqlite3.Connection, started_ms: Sequence[int]) -> int:
    """Return for how many milliseconds the runs that began at these times were at work.

    Each is counted from its first call to the end of its last, waits between them included. What passed between the end of
    one run and the start of the next is left out. One pass over the calls, in constant memory.
    """
    starts = sorted(started_ms)
    periods: dict[int, tuple[int, int]] = {}
    for sent_ms, ended_ms in connection.execute("SELECT sent_ms, coalesce(ended_ms, sent_ms) FROM batch"):
        run = bisect_right(starts, sent_ms)
        first, last = periods.get(run, (sent_ms, ended_ms))
        periods[run] = min(first, sent_ms), max(last, ended_ms)
    return sum(max(0, last - first) for first, last in periods.values())


def average_work(connection: sqlite3.Connection) -> tuple[int, float]:
    """Return the rows that have an outcome of their own, and the seconds in which runs were at work (see `at_work_ms`)."""
    with snapshot(connection):
        (rows,) = connection.execute("SELECT coalesce(sum(rows), 0) FROM outcome WHERE batch > 0").fetchone()
        return rows, at_work_ms(connection, [run.at_ms for run in runs(connection)]) / 1000


def timeline(connection: sqlite3.Connection, buckets_max: int) -> Timeline:
    """Return the rows settled over time, in at most about ``buckets_max`` intervals of equal length (whole seconds).

    The intervals reach to the last outcome or to the end of the last call: a service may be out of order for hours.
    """
    first, last_settled = span(connection)
    (last_ended,) = connection.execute("SELECT max(ended_ms) FROM batch").fetchone()
    last = max((at_ms for at_ms in (last_settled, last_ended) if at_ms is not None), default=None)
    if first is None or last is None:
        return Timeline(1_000, [])
    bucket_ms = max(1, -((first - last) // (buckets_max * 1_000))) * 1_000
    found: dict[int, dict[Outcome, int]] = {}
    query = "SELECT max(settled_ms - ?1, 0) / ?2, outcome, sum(rows) FROM outcome GROUP BY 1, 2 ORDER BY 1"
    for number, code, rows in connection.execute(query, (first, bucket_ms)):
        found.setdefault(number, {})[OUTCOMES[code]] = rows
    return Timeline(bucket_ms, [Bucket(first + number * bucket_ms, rows) for number, rows in found.items()])


def closed_mailboxes(connection: sqlite3.Connection, most: int) -> tuple[int, list[ClosedMailbox]]:
    """Return the number of closed mailboxes, and the ``most`` of them with the most skipped rows."""
    query = (
        "SELECT user, coalesce(status, 0), coalesce(code, ''), coalesce(message, ''), end - next FROM progress "
        "LEFT JOIN detail ON id = detail WHERE closed_ms IS NOT NULL"
    )
    closed = [ClosedMailbox(*row) for row in connection.execute(query)]
    closed.sort(key=lambda mailbox: (-mailbox.skipped, mailbox.user))
    return len(closed), closed[:most]
