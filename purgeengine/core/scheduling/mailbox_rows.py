"""The rows of one mailbox that are still to be sent, and their order."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush

from purgeengine.core.model import Attempt, FirstAttempts


class MailboxRows:
    """Rows by position. Rows never sent are a range; rows to be sent again are a heap, ordered by when they may be sent."""

    __slots__ = ("_retries", "alone", "doubt_end", "end", "next", "returned", "rows")

    def __init__(self, first: int, end: int, unsettled: Sequence[Attempt], doubt_end: int, now: float) -> None:
        self.next = first
        """The first position that was never sent."""
        self.end = end
        self.doubt_end = doubt_end
        """Rows before this position were left in doubt by an earlier ledger."""
        self._retries = [(now, attempt) for attempt in unsettled]
        heapify(self._retries)
        self.alone: list[Attempt] = []
        """Rows to be sent in batches of one row, because a batch with them was refused as a whole."""
        self.rows = self.remaining
        """Rows that the mailbox was opened with, without the rows that were given up."""
        self.returned = 0
        """Sendings after which a row had to be sent again, other than for a wait of the mailbox."""

    @property
    def remaining(self) -> int:
        """Rows without an outcome that are not in flight."""
        return self.end - self.next + len(self._retries) + len(self.alone)

    def put_back(self, attempt: Attempt, at: float) -> None:
        """Take back a row that was not settled. It may be sent again from ``at`` on (monotonic seconds)."""
        self.returned += 1
        heappush(self._retries, (at, attempt))

    def take_back(self, position: int) -> Attempt | None:
        """Take out the row at this position if it waits to be sent again, and return its latest attempt; else None."""
        for index, (_, attempt) in enumerate(self._retries):
            if attempt.position == position:
                del self._retries[index]
                heapify(self._retries)
                return attempt
        for attempt in self.alone:
            if attempt.position == position:
                self.alone.remove(attempt)
                return attempt
        return None

    def send_alone(self, attempts: Sequence[Attempt]) -> None:
        """Take back these rows. From now on each of them travels in a batch of its own."""
        self.returned += len(attempts)
        self.alone.extend(attempts)

    def give_up(self) -> list[Attempt]:
        """Drop every row, and return the attempts of those that were sent before."""
        self.rows -= self.remaining
        sent = [attempt for _, attempt in self._retries] + self.alone
        self._retries, self.alone = [], []
        self.next = self.end
        return sent

    def _draw_again(self, most: int, now: float) -> tuple[Attempt, ...]:
        """Take at most ``most`` rows that were sent before and may be sent again now. The longest due come first."""
        drawn: list[Attempt] = []
        while self._retries and len(drawn) < most and self._retries[0][0] <= now:
            drawn.append(next_attempt(heappop(self._retries)[1]))
        return tuple(drawn)

    def _draw_failed_most(self, most: int, now: float) -> tuple[Attempt, ...]:
        """Take at most ``most`` rows that were sent before and may be sent again now. Those that failed most often come first.

        They are used to try a mailbox in trouble. A row that needs three attempts gets them, and then shows that the mailbox is
        back. If other rows were sent instead, each would fail once more, and the mailbox would be closed.
        """
        due = sorted((one for one in self._retries if one[0] <= now), key=lambda one: (-one[1].failures, one))
        taken = {attempt.position for _, attempt in due[:most]}
        self._retries = [one for one in self._retries if one[1].position not in taken]
        heapify(self._retries)
        return tuple(next_attempt(attempt) for _, attempt in due[:most])

    def _draw_fresh(self, count: int) -> Sequence[Attempt]:
        """Take ``count`` rows that were never sent, in order. Rows left in doubt by an earlier ledger come first."""
        rows = range(self.next, self.next + count)
        self.next += count
        assert self.next <= self.end, "more rows drawn than there are"
        if rows.start >= self.doubt_end:
            return FirstAttempts(rows)
        return tuple(Attempt(position, in_doubt=position < self.doubt_end) for position in rows)


def next_attempt(attempt: Attempt) -> Attempt:
    """Return the attempt for one more sending of the row."""
    return attempt._replace(number=attempt.number + 1)
