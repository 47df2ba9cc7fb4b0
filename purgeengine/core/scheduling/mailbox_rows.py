"""The rows of one mailbox that are still to be sent, and in which order they leave."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush

from purgeengine.core.model import Attempt, FirstAttempts


class MailboxRows:
    """Rows by position: those never sent are a range; those to be sent again are a heap, ordered by when they may be."""

    __slots__ = ("_retries", "alone", "doubt_end", "end", "next", "rows")

    def __init__(self, first: int, end: int, unsettled: Sequence[Attempt], doubt_end: int, now: float) -> None:
        self.next = first
        """The first position that was never sent."""
        self.end = end
        self.doubt_end = doubt_end
        """Rows before this position were left in doubt by an earlier ledger."""
        self._retries = [(now, attempt) for attempt in unsettled]
        heapify(self._retries)
        self.alone: list[Attempt] = []
        """Rows to be sent in a batch of their own: one of them spoilt a whole batch."""
        self.rows = self.remaining
        """Rows that it was opened with, without those that were given up."""

    @property
    def remaining(self) -> int:
        """Rows without an outcome that are not in flight."""
        return self.end - self.next + len(self._retries) + len(self.alone)

    def put_back(self, attempt: Attempt, at: float) -> None:
        """A row was not settled and may be sent again from ``at`` (monotonic seconds)."""
        heappush(self._retries, (at, attempt))

    def send_alone(self, attempts: Sequence[Attempt]) -> None:
        """Each of these rows travels in a batch of its own from now on."""
        self.alone.extend(attempts)

    def give_up(self) -> list[Attempt]:
        """Drop every row, and return those that were sent before."""
        self.rows -= self.remaining
        sent = [attempt for _, attempt in self._retries] + self.alone
        self._retries, self.alone = [], []
        self.next = self.end
        return sent

    def _draw_again(self, most: int, now: float) -> tuple[Attempt, ...]:
        """Take at most ``most`` rows that were sent before and may be sent again now, the longest due first."""
        drawn: list[Attempt] = []
        while self._retries and len(drawn) < most and self._retries[0][0] <= now:
            drawn.append(next_attempt(heappop(self._retries)[1]))
        return tuple(drawn)

    def _draw_failed_most(self, most: int) -> tuple[Attempt, ...]:
        """Take at most ``most`` rows that were sent before, those that failed most often first.

        A mailbox in trouble is asked with them. A row that needs three attempts gets them, and shows that the mailbox is back.
        Other rows would each fail once more, and the mailbox would be closed. Its own wait is as long as those of its rows.
        """
        due = sorted(self._retries, key=lambda one: (-one[1].failures, one))
        taken = {attempt.position for _, attempt in due[:most]}
        self._retries = [one for one in self._retries if one[1].position not in taken]
        heapify(self._retries)
        return tuple(next_attempt(attempt) for _, attempt in due[:most])

    def _draw_fresh(self, count: int) -> Sequence[Attempt]:
        """Take so many rows that were never sent, in order; those that an earlier ledger left in doubt come first."""
        rows = range(self.next, self.next + count)
        self.next += count
        assert self.next <= self.end, "more rows drawn than there are"
        if rows.start >= self.doubt_end:
            return FirstAttempts(rows)
        return tuple(Attempt(position, in_doubt=position < self.doubt_end) for position in rows)


def next_attempt(attempt: Attempt) -> Attempt:
    """The row is sent once more."""
    return attempt._replace(number=attempt.number + 1)
