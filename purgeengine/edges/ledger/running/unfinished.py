"""What a run must know of the runs before it: the unfinished mailboxes, and what the service may still do for them.

Graph's limits live in the service, not in our process. What an earlier process sent still counts in the request
window, a wait that it was told still holds, and what it had in flight when it died may still be running.

Numbers that count rows must be integers; `operator.index` refuses any other. SQLite keeps any value in any column,
and the scheduler trusts what it is given.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterator
from operator import index
from typing import NamedTuple

from purgeengine.core.messages import MailboxOpened
from purgeengine.core.model import Attempt

PAGE = 512
"""Mailboxes read in one query. A long read would keep SQLite from emptying its write-ahead log."""

HEAVY_MAX = 1_000
"""Largest unfinished mailboxes, which are opened first.

No job takes longer if its 100 largest come first, and 1,000 are found fast.
"""

_BY_SIZE = "SELECT number FROM mailbox WHERE closed_ms IS NULL ORDER BY rows DESC, number"
_MAILBOX = """
SELECT number, first, end, next, blocked_until_ms, blocked_set_ms,
    EXISTS (SELECT 1 FROM attempt WHERE position >= first AND position < end),
    coalesce(first + (SELECT rows FROM doubt WHERE mailbox = number), 0)
FROM progress WHERE closed_ms IS NULL AND
"""
_ONE_MAILBOX = _MAILBOX + "number = ?"
_PAGE_OF_MAILBOXES = _MAILBOX + "number > ? ORDER BY number LIMIT ?"
_UNSETTLED = """
SELECT position, attempt.number, failures, in_doubt OR ended_ms IS NULL
FROM attempt LEFT JOIN batch ON batch.number = attempt.batch WHERE position >= ? AND position < ? ORDER BY position
"""
_RECENT = """
SELECT mailbox, at / 1000, max(at), sum(rows) FROM (
    SELECT mailbox, at, rows FROM (
        SELECT number, min(coalesce(ended_ms, sent_ms), :now)
            + CASE WHEN ended_ms IS NULL OR status IS NULL OR status = 408 OR status >= 500 THEN :cooldown ELSE 0 END AS at
        FROM batch
    ) AS batch JOIN part ON part.batch = batch.number
    UNION ALL SELECT mailbox, min(at_ms, :now + :cooldown) AS at, rows FROM seen
) WHERE at > :since GROUP BY 1, 2 ORDER BY 1, 2
"""
_IN_FLIGHT = """
SELECT mailbox, max(min(sent_ms, :now)) FROM batch JOIN part ON part.batch = batch.number
WHERE ended_ms IS NULL AND sent_ms + :cooldown > :now GROUP BY mailbox
"""


def unfinished_mailboxes(
    connection: sqlite3.Connection, now_utc_ms: int, cooldown_s: float, window_s: float
) -> Iterator[MailboxOpened]:
    """Yield the mailboxes with rows to send. Each is read when the caller asks for it.

    Waits and ages hold at ``now_utc_ms`` (milliseconds since 1970). ``cooldown_s`` is the length of the cooldown
    after a lost answer, ``window_s`` that of the request window, both in seconds.

    The `HEAVY_MAX` largest mailboxes come first, because they decide when the run ends. The others come in the
    ledger's order, so that mailboxes that are open together are neighbours there.
    """
    cooldown_ms = round(cooldown_s * 1000)
    recent = seen_lately(connection, now_utc_ms, cooldown_ms, round(window_s * 1000))
    cooldowns = cooldowns_s(connection, now_utc_ms, cooldown_ms)
    for mailbox in _in_order_of_opening(connection):
        yield MailboxOpened(
            mailbox.number,
            index(mailbox.next),
            index(mailbox.end),
            unsettled(connection, mailbox.first, mailbox.end) if mailbox.has_attempts else (),
            max(
                rest_s(now_utc_ms, mailbox.blocked_until_ms, mailbox.blocked_set_ms),
                cooldowns.get(mailbox.number, 0.0),
            ),
            recent.pop(mailbox.number, ()),
            index(mailbox.doubt_end),
        )


class _UnfinishedMailbox(NamedTuple):
    number: int
    first: int
    end: int
    next: int
    blocked_until_ms: int | None
    blocked_set_ms: int | None
    has_attempts: int
    doubt_end: int

    @property
    def is_finished(self) -> bool:
        return self.next >= self.end and not self.has_attempts


def _in_order_of_opening(connection: sqlite3.Connection) -> Iterator[_UnfinishedMailbox]:
    """Yield every unfinished mailbox once, in the order in which a run opens them."""
    heavy: set[int] = set()
    for number in array("q", (number for (number,) in connection.execute(_BY_SIZE))):
        if len(heavy) == HEAVY_MAX:
            break
        found = connection.execute(_ONE_MAILBOX, (number,)).fetchone()  # None if it was closed meanwhile
        if found is not None and not (mailbox := _UnfinishedMailbox._make(found)).is_finished:
            heavy.add(number)
            yield mailbox
    after = -1
    while page := list(map(_UnfinishedMailbox._make, connection.execute(_PAGE_OF_MAILBOXES, (after, PAGE)))):
        after = page[-1].number
        yield from (mailbox for mailbox in page if mailbox.number not in heavy and not mailbox.is_finished)


def rest_s(now_utc_ms: int, until_ms: int | None, set_ms: int | None) -> float:
    """Return what is left of a wait, in seconds.

    If the clock has been turned back to before the wait was set, all of it is left.
    """
    if until_ms is None or set_ms is None:
        return 0.0
    return max(0, until_ms - max(now_utc_ms, set_ms)) / 1000


def unsettled(connection: sqlite3.Connection, first: int, end: int) -> tuple[Attempt, ...]:
    """Return the rows at ``first`` to ``end - 1`` that were sent before and have no outcome.

    A row is in doubt also if its latest batch never ended.
    """
    rows = connection.execute(_UNSETTLED, (first, end))
    return tuple(
        Attempt(position, index(number), index(failures), bool(doubt)) for position, number, failures, doubt in rows
    )


def seen_lately(
    connection: sqlite3.Connection, now_ms: int, cooldown_ms: int, window_ms: int
) -> dict[int, tuple[tuple[float, int], ...]]:
    """Return what the service has seen of each mailbox lately, by mailbox number.

    The entries are (seconds ago, rows), oldest first, by the second. The service may have worked on an unanswered
    batch until its cooldown ended. So such a batch counts from then on, which may lie ahead (a negative age). If the
    clock has been turned back, a time in the future counts as now.
    """
    values = {"now": now_ms, "cooldown": cooldown_ms, "since": now_ms - window_ms - cooldown_ms}
    found: dict[int, list[tuple[float, int]]] = {}
    for mailbox, _, at_ms, rows in connection.execute(_RECENT, values):
        found.setdefault(mailbox, []).append(((now_ms - at_ms) / 1000, index(rows)))
    return {mailbox: tuple(ages) for mailbox, ages in found.items()}


def cooldowns_s(connection: sqlite3.Connection, now_ms: int, cooldown_ms: int) -> dict[int, float]:
    """Return, for each mailbox, the seconds for which the service may still be running a batch that never ended (its cooldown)."""
    values = {"now": now_ms, "cooldown": cooldown_ms}
    return {
        mailbox: (sent_ms + cooldown_ms - now_ms) / 1000 for mailbox, sent_ms in connection.execute(_IN_FLIGHT, values)
    }
