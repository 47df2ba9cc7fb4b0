"""Tells the app's rate which rows of an answer were refused as too fast (429), without those that have a cause of their own."""

from __future__ import annotations

from purgeengine.core.limits.app_rate import AppRate
from purgeengine.core.model import Answer
from purgeengine.core.scheduling.flight import Flight

TOO_FAST = 429
OWN_REFUSALS = 3
"""Refused answers in a row after which a mailbox has a cause of its own: other mailboxes went through meanwhile."""


def is_app_to_blame(rate: AppRate, flight: Flight, answer: Answer, now: float, fanout: int | None) -> bool:
    """Tell the rate what the answer to a batch says. Return True if the rate is to blame for the refusals.

    ``fanout`` is the one that is known, or None. Refusals of a mailbox that is at a limit of its own are left out: too many
    of its rows shared a batch, other software uses it, its request window is used up, or it alone is refused again and again.
    """
    replies = answer.replies or {}
    statuses = [reply.status for reply in replies.values() if reply is not None]
    throttled = statuses.count(TOO_FAST)
    passed = len(statuses) - throttled - statuses.count(424)
    if not throttled:
        rate.answered(passed, (), 0.0, flight.sent_at, now)
        return False
    refused: list[tuple[int, int]] = []
    waits: list[float] = []
    first = 0
    for mailbox, attempts in flight.shares:
        rows = len(attempts)
        mine = [
            reply for index in range(first, first + rows) if (reply := replies.get(index)) and reply.status == TOO_FAST
        ]
        first += rows
        excess = 0 if flight.batch.lane else rows - mailbox.limit_max
        own = excess > 0 and (fanout is None or len(mine) <= excess)
        if (
            not mine
            or own
            or mailbox.limit < mailbox.limit_max
            or mailbox.refusals >= OWN_REFUSALS
            or not mailbox.window.room(now)
        ):
            continue
        refused.append((mailbox.number, len(mine)))
        waits += [reply.retry_after_s or 0.0 for reply in mine]
    return rate.answered(passed, refused, min(waits, default=0.0), flight.sent_at, now)
