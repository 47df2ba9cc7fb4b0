"""A batch in flight, and the ranges of positions that it carries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from purgeengine.core.model import Attempt, Batch, FirstAttempts
from purgeengine.core.scheduling.mailbox import Mailbox


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
