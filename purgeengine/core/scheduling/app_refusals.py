"""Tells the rate of the whole app which rows of a batch were refused as too fast, without those that have another cause."""

from __future__ import annotations

from purgeengine.core.limits.app_rate import AppRate
from purgeengine.core.model import Answer, Reply
from purgeengine.core.scheduling.flights import Flight
from purgeengine.core.scheduling.mailbox import Mailbox

TOO_FAST = 429
OWN_REFUSALS = 3
"""A mailbox refused in so many answers in a row has a cause of its own."""


def tell_app_rate(rate: AppRate, flight: Flight, answer: Answer, now: float, fanout: int | None) -> float | None:
    """Tell the rate what the answer to a batch says.

    Returns None if the rate is not to blame for the refusals, else the seconds for which the refused mailboxes must wait at least.

    ``fanout`` is the one that is known, or None. Refusals of a mailbox that is at a limit of its own are left out: too many
    of its rows shared a batch, other software uses it, its request window is used up, or it alone is refused again and again.
    """
    replies = answer.replies or {}
    passed = sum(_passed(reply) for reply in replies.values() if reply is not None)
    refused: list[tuple[int, int]] = []
    waits: list[float] = []
    first = 0
    for mailbox, attempts in flight.shares:
        rows = len(attempts)
        numbers = range(first, first + rows)
        first = numbers.stop
        mine = [reply for number in numbers if (reply := replies.get(number)) and reply.status == TOO_FAST]
        if mine and not _has_own_cause(mailbox, flight, rows, len(mine), fanout, now):
            refused.append((mailbox.number, len(mine)))
            waits += [reply.retry_after_s or 0.0 for reply in mine]
    return rate.answered(passed, refused, min(waits, default=0.0), flight.sent_at, now)


def _passed(reply: Reply) -> bool:
    """Return True if the service had the time for the row, whatever it said."""
    return reply.status < 500 and reply.status not in (TOO_FAST, 401, 424)


def _has_own_cause(mailbox: Mailbox, flight: Flight, rows: int, refused: int, fanout: int | None, now: float) -> bool:
    excess = 0 if flight.batch.lane else rows - mailbox.limit_max
    too_many_shared = excess > 0 and (fanout is None or refused <= excess)
    return (
        too_many_shared
        or mailbox.limit < mailbox.limit_max
        or mailbox.refusals >= OWN_REFUSALS
        or not mailbox.window.room(now)
    )
