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

from purgeengine.core.graph.verdicts import may_still_run
from purgeengine.core.messages import MailboxOpened
from purgeengine.core.model import Attempt
from purgeengine.run_limits import Limits

PAGE = 512
"""Mailboxes read in one query. A long read would keep SQLite from emptying its write-ahead log."""

HEAVY_MAX = 1_000
"""Largest unfinished mailboxes, which are opened first.

No job takes longer if its 100 largest come first, and 1,000 are found fast.
"""
SLOTS = Limits().mailbox_concurrent_max
"""Requests that Graph runs at once for an app and a mailbox. So a lost call holds no more of them."""
QUARANTINE_S = Limits().quarantine_s

_MAY_STILL_RUN = ", ".join(str(status) for status in range(100, 1_000) if may_still_run(status))
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
# A batch that did not end has no status either. CROSS JOIN makes SQLite look up the parts of the few recent batches. It
# must not begin with the table of parts, which is several times as long.
_RECENT = f"""
SELECT mailbox, CASE WHEN at > :now THEN at ELSE at / 1000 END, max(at), sum(rows) FROM (
    SELECT mailbox, at, rows FROM (
        SELECT number, max(
            min(coalesce(ended_ms, sent_ms), :now),
            CASE WHEN status IS NULL OR status IN ({_MAY_STILL_RUN}) THEN max(
                min(sent_ms, :now) + :cooldown,
                coalesce(min(ended_ms, :now) + max(0, min(ended_ms - sent_ms, :quarantine)), 0)
            ) ELSE 0 END
        ) AS at
        FROM batch WHERE at > :since
    ) AS batch CROSS JOIN part ON part.batch = batch.number
    UNION ALL SELECT mailbox, min(at_ms, :now + max(:cooldown, :quarantine)) AS at, rows FROM seen
) WHERE at > :since GROUP BY 1, 2 ORDER BY 1, 2
"""  # noqa: S608 - nothing in it comes from outside


def unfinished_mailboxes(
    connection: sqlite3.Connection,
    now_utc_ms: int,
    cooldown_s: float,
    window_s: float,
    quarantine_s: float = QUARANTINE_S,
) -> Iterator[MailboxOpened]:
    """Yield the mailboxes with rows to send. Each is read when the caller asks for it.

    Waits, ages and lost slots hold at ``now_utc_ms`` (milliseconds since 1970). ``cooldown_s`` is how long the service
    may run a call whose answer was lost, counted from its sending. A call that was waited for longer may run for as
    long again after its end, at most ``quarantine_s``. ``window_s`` is the length of the request window. All are in
    seconds.

    The `HEAVY_MAX` largest mailboxes come first, because they decide when the run ends. The others come in the
    ledger's order, so that mailboxes that are open together are neighbours there.
    """
    recent = seen_lately(connection, now_utc_ms, cooldown_s, window_s, quarantine_s)
    for mailbox in _in_order_of_opening(connection):
        seen = recent.pop(mailbox.number, ())
        yield MailboxOpened(
            mailbox.number,
            index(mailbox.next),
            index(mailbox.end),
            unsettled(connection, mailbox.first, mailbox.end) if mailbox.has_attempts else (),
            rest_s(now_utc_ms, mailbox.blocked_until_ms, mailbox.blocked_set_ms),
            seen,
            index(mailbox.doubt_end),
            lost_slots(seen),
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
    connection: sqlite3.Connection, now_ms: int, cooldown_s: float, window_s: float, quarantine_s: float = QUARANTINE_S
) -> dict[int, tuple[tuple[float, int], ...]]:
    """Return what the service has seen of each mailbox lately, by mailbox number.

    The entries are (seconds ago, rows), oldest first. A batch counts from the latest instant at which the service can
    have run it: from its end, and if no answer came or the call failed as a whole (`may_still_run`), at least until
    the cooldown after its sending is over, and until it may have run for as long again as it was waited for. That may
    lie ahead, and only then the age is negative. The past is told by the second, the future to the millisecond. If the
    clock has been turned back, a time in the future counts as now.

    The arguments are those of `unfinished_mailboxes`.
    """
    cooldown, quarantine, window = (round(one * 1000) for one in (cooldown_s, quarantine_s, window_s))
    since = now_ms - window - max(cooldown, quarantine)
    values = {"now": now_ms, "cooldown": cooldown, "quarantine": quarantine, "since": since}
    found: dict[int, list[tuple[float, int]]] = {}
    for mailbox, _, at_ms, rows in connection.execute(_RECENT, values):
        found.setdefault(mailbox, []).append(((now_ms - at_ms) / 1000, index(rows)))
    return {mailbox: tuple(ages) for mailbox, ages in found.items()}


def lost_slots(seen: tuple[tuple[float, int], ...]) -> tuple[tuple[float, int], ...]:
    """Return the slots of a mailbox that lost calls may still hold, as (seconds from now, slots), the first to end first.

    ``seen`` are its entries from `seen_lately`. One with a negative age is a lost call that may run until then. It
    holds a slot for each row, at most four. All lost calls together hold at most four as well, because no mailbox is
    ever sent more at once. Those that end last count.
    """
    found: list[tuple[float, int]] = []
    free = SLOTS
    for age_s, rows in reversed(seen):
        if age_s >= 0 or not free:
            break
        found.append((-age_s, min(rows, free)))
        free -= found[-1][1]
    return tuple(reversed(found))
