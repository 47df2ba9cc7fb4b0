"""A batch in flight, the ranges of positions that it carries, and what its answer says about the rate of the whole app."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from purgeengine.core.limits.app_rate import AppRate
from purgeengine.core.model import Answer, Attempt, Batch, FirstAttempts
from purgeengine.core.scheduling.mailbox import Mailbox

TOO_FAST = 429
OWN_REFUSALS = 3
"""Refused answers in a row after which a mailbox has a cause of its own: other mailboxes went through meanwhile."""


@dataclass(slots=True)
class Flight:
    """What the scheduler remembers of a batch until it ends: whose rows it carries, since when, and with which token."""

    batch: Batch
    shares: list[tuple[Mailbox, Sequence[Attempt]]]
    """The rows by mailbox, in the order of the sub-requests."""
    sent_at: float
    """When the batch was sent, in monotonic seconds."""
    token_generation: int
    """The number of the token that it left with, as counted by `TokenWatch`."""
    size: int
    """Rows in the batch."""
    app_too_fast: bool = False
    """True once it is known that the rate of the whole app is to blame for its refused rows (429)."""


def ranges_of(batch: Batch) -> Iterator[range]:
    """Yield the positions of the batch's rows as ranges, in the order of the sub-requests.

    A range holds neighbours that were sent equally often.
    """
    return (range(first, first + rows) for share in batch.shares for first, rows, _ in neighbours(share.attempts))


def neighbours(attempts: Sequence[Attempt]) -> Iterator[tuple[int, int, int]]:
    """Yield each group of neighbouring rows that were sent equally often, as (first position, rows, sendings)."""
    if isinstance(attempts, FirstAttempts):
        yield attempts.rows.start, len(attempts), 1
        return
    first, sendings, _, _ = attempts[0]
    end = first
    for position, number, _, _ in attempts:
        if position != end or number != sendings:
            yield first, end - first, sendings
            first = end = position
            sendings = number
        end += 1
    yield first, end - first, sendings


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
