"""The rows of one mailbox that are still to be sent, and their order."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from math import inf

from purgeengine.core.model import Attempt, FirstAttempts

DOUBTFUL_IN_LANE = 2
"""The most doubtful rows at the end of a lane. Most of them are gone, and the first that is gone breaks the lane."""

FAILURES_IN_LANE = 2
"""Failures after which a doubtful row travels in unordered batches only. Most lanes with doubtful rows break before
their end. If the answer to a lane is lost, that counts as a failure of each of its rows, also of rows that Graph might not
have come to. A row may fail eight times only."""


class MailboxRows:
    """Rows by position. Rows never sent are a range; rows to be sent again are heaps, ordered by when they may be sent.

    *Doubtful* rows are those that an earlier attempt may have deleted. A row that is gone breaks its lane. Therefore doubtful rows
    travel at the end of lanes, a few at a time, or in unordered batches. Those that failed more than `FAILURES_IN_LANE` times are
    in a heap of their own.
    """

    __slots__ = ("_doubtful", "_failing", "_retries", "alone", "doubt_end", "end", "next", "returned", "rows")

    def __init__(self, first: int, end: int, unsettled: Sequence[Attempt], doubt_end: int, now: float) -> None:
        self.next = first
        """The first position that was never sent."""
        self.end = end
        self.doubt_end = doubt_end
        """Rows before this position were left in doubt by an earlier ledger."""
        self._retries: list[tuple[float, Attempt]] = []
        self._doubtful: list[tuple[float, Attempt]] = []
        self._failing: list[tuple[float, Attempt]] = []
        for attempt in unsettled:
            self._heap_for(attempt).append((now, attempt))
        for heap in self._heaps:
            heapify(heap)
        self.alone: list[Attempt] = []
        """Rows to be sent in batches of one row, because a batch with them was refused as a whole."""
        self.rows = self.remaining
        """Rows that the mailbox was opened with, without the rows that were given up."""
        self.returned = 0
        """Sendings after which a row had to be sent again, other than for a wait of the mailbox."""

    @property
    def remaining(self) -> int:
        """Rows without an outcome that are not in flight."""
        again = len(self._retries) + len(self._doubtful) + len(self._failing)
        return self.end - self.next + again + len(self.alone)

    @property
    def _heaps(self) -> tuple[list[tuple[float, Attempt]], ...]:
        return self._retries, self._doubtful, self._failing

    def _heap_for(self, attempt: Attempt) -> list[tuple[float, Attempt]]:
        if not attempt.in_doubt:
            return self._retries
        return self._doubtful if attempt.failures <= FAILURES_IN_LANE else self._failing

    @property
    def _again_at(self) -> float:
        """When the next row may be sent again; `inf` if there is none."""
        return min([heap[0][0] for heap in self._heaps if heap], default=inf)

    def _due_again(self, now: float) -> int:
        """Return how many rows may be sent again now."""
        return sum(1 for heap in self._heaps for at, _ in heap if at <= now)

    def has_lane_rows(self, now: float) -> bool:
        """Return True if a row may be sent now that is not doubtful, so that a lane is worth using."""
        return self.next < self.end or bool(self._retries and self._retries[0][0] <= now)

    def put_back(self, attempt: Attempt, at: float) -> None:
        """Take back a row that was not settled. It may be sent again from ``at`` on (monotonic seconds)."""
        self.returned += 1
        heappush(self._heap_for(attempt), (at, attempt))

    def take_back(self, position: int) -> Attempt | None:
        """Take out the row at this position if it waits to be sent again, and return its latest attempt; else None."""
        for heap in self._heaps:
            for index, (_, attempt) in enumerate(heap):
                if attempt.position == position:
                    del heap[index]
                    heapify(heap)
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
        sent = [attempt for heap in self._heaps for _, attempt in heap] + self.alone
        self._retries, self._doubtful, self._failing, self.alone = [], [], [], []
        self.next = self.end
        return sent

    def _draw_again(self, most: int, now: float) -> tuple[Attempt, ...]:
        """Take at most ``most`` rows that were sent before and may be sent again now. The longest due come first."""
        drawn: list[Attempt] = []
        while len(drawn) < most and self._again_at <= now:
            longest_due = min((heap for heap in self._heaps if heap), key=lambda heap: heap[0])
            drawn.append(next_attempt(heappop(longest_due)[1]))
        return tuple(drawn)

    def _draw_in_lane(self, most: int, lanes: int, now: float) -> Sequence[Attempt]:
        """Take at most ``most`` rows for a lane: rows never sent, or other rows that are not doubtful, then a few doubtful ones.

        The last rows are shared out over ``lanes`` lanes.
        """
        ending = _due(self._doubtful, min(most - 1, DOUBTFUL_IN_LANE, -(-len(self._doubtful) // lanes)), now)
        fresh = self.end - self.next
        count = min(most - len(ending), -(-(fresh or len(self._retries)) // lanes))
        drawn = self._draw_fresh(count) if fresh else _due(self._retries, count, now)
        return (*drawn, *ending) if ending else drawn

    def _draw_failed_most(self, most: int, now: float) -> tuple[Attempt, ...]:
        """Take at most ``most`` rows that were sent before and may be sent again now. Those that failed most often come first.

        They are used to try a mailbox in trouble. A row that needs three attempts gets them, and then shows that the mailbox is
        back. If other rows were sent instead, each would fail once more, and the mailbox would be closed.
        """
        due = [one for heap in self._heaps for one in heap if one[0] <= now]
        due = sorted(due, key=lambda one: (-one[1].failures, one))[:most]
        taken = {attempt.position for _, attempt in due}
        for heap in self._heaps:
            heap[:] = [one for one in heap if one[1].position not in taken]
            heapify(heap)
        return tuple(next_attempt(attempt) for _, attempt in due)

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


def _due(rows: list[tuple[float, Attempt]], most: int, now: float) -> tuple[Attempt, ...]:
    """Take at most ``most`` rows out of a heap that may be sent now."""
    drawn: list[Attempt] = []
    while rows and len(drawn) < most and rows[0][0] <= now:
        drawn.append(next_attempt(heappop(rows)[1]))
    return tuple(drawn)
