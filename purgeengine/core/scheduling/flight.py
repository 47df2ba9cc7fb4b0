"""A batch on its way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from purgeengine.core.model import Attempt, Batch, FirstAttempts
from purgeengine.core.scheduling.mailbox import Mailbox


@dataclass(slots=True)
class Flight:
    """What the scheduler must remember of a batch until it ends: whose rows it carries, since when, with which token."""

    batch: Batch
    shares: list[tuple[Mailbox, Sequence[Attempt]]]
    """Its rows, by mailbox, in the order of the wire."""
    sent_at: float
    token_generation: int
    size: int
    """Rows in it."""


def runs_of(batch: Batch) -> Iterator[range]:
    """The positions of its rows, in the order of the wire; neighbours that were sent equally often are together."""
    return (range(first, first + rows) for share in batch.shares for first, rows, _ in neighbours(share.attempts))


def neighbours(attempts: Sequence[Attempt]) -> Iterator[tuple[int, int, int]]:
    """Neighbours that were sent equally often: (first position, rows, sendings)."""
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
