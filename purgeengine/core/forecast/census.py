"""The rows that open mailboxes have left, by their number, kept up to date change by change.

So a look at the end of a run costs the same with a hundred open mailboxes and with a hundred thousand: it never asks each of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from purgeengine.core.forecast.busy_time import BusyTotals
from purgeengine.core.forecast.situation import OpenRows, PastRows, rows_left

LARGEST_MAX = 64
"""The most mailboxes that a look asks one by one, those with most rows left. Smaller ones are taken together."""
WATCHED_MAX = 256
"""The most mailboxes of each other kind that a look asks: that let nothing through, that Graph made wait, that wait now."""
NOT_COUNTED = (0, 0, 0)
WAITS_MIN = 3
"""Waits of a mailbox from which it may have a cause of its own."""


class Census:
    """Counts the rows left of the open mailboxes. Who changes a mailbox calls `counts` after it."""

    def __init__(self) -> None:
        self.totals = BusyTotals()
        self.stuck: dict[int, OpenRows] = {}
        """The mailboxes that let nothing through, by number."""
        self._waited: dict[int, OpenRows] = {}
        self._by_size: dict[int, dict[int, OpenRows]] = {}
        """The mailboxes with rows left, by this number, rounded down to four significant bits, and by their own number."""
        self._rows_by_size: dict[int, int] = {}
        self._counted: dict[int, tuple[int, int, int]] = {}
        """The rows of each open mailbox, those left, and those returned, as counted last."""
        self._opened = self._left = self._returned = 0

    @property
    def left(self) -> int:
        """The rows that open mailboxes have left."""
        return self._left

    @property
    def rows_by_size(self) -> Mapping[int, int]:
        """The rows left, by the rounded number of rows that their mailbox has left."""
        return self._rows_by_size

    def mailboxes_of(self, size: int) -> int:
        """Return how many mailboxes have this rounded number of rows left."""
        return len(self._by_size[size])

    def size_of(self, mailbox: OpenRows) -> int:
        """Return the rounded number of rows that the mailbox has left."""
        return rounded(self._counted[mailbox.number][1])

    def past(self, now: float) -> PastRows:
        """Return what became of the rows of all mailboxes so far."""
        totals = self.totals
        return PastRows(
            settled=self._opened - self._left,
            returned=self._returned,
            paused_s=totals.paused_s(now),
            pauses_squared=totals.pauses_squared,
            waits=totals.waits,
            asked_s=totals.asked_s,
            asked_squared=totals.asked_squared,
            holds=totals.holds,
        )

    def largest(self) -> Iterator[tuple[OpenRows, int]]:
        """Yield at most `LARGEST_MAX` of the mailboxes with most rows left that are not stuck, and what they have left."""
        missing = LARGEST_MAX
        for size in sorted(self._by_size, reverse=True):
            found = [mailbox for mailbox in islice(self._by_size[size].values(), missing) if not mailbox.stuck]
            yield from ((mailbox, rows_left(mailbox)) for mailbox in found)
            missing -= len(found)
            if missing <= 0:
                break

    def waited(self) -> Iterator[tuple[OpenRows, int]]:
        """Yield at most `WATCHED_MAX` mailboxes that Graph made wait again and again, and what they have left."""
        for mailbox in islice(self._waited.values(), WATCHED_MAX):
            if left := rows_left(mailbox):
                yield mailbox, left

    def counts(self, mailbox: OpenRows) -> None:
        """Take in what changed in a mailbox."""
        number, busy = mailbox.number, mailbox.busy
        before = self._counted.get(number, NOT_COUNTED)
        counted = (mailbox.rows, rows_left(mailbox), mailbox.returned)
        if counted != before:
            self._counted[number] = counted
            self._opened += counted[0] - before[0]
            self._left += counted[1] - before[1]
            self._returned += counted[2] - before[2]
            if counted[1] != before[1]:
                self._moves(mailbox, before[1], counted[1])
        if mailbox.stuck and counted[1]:
            self.stuck[number] = mailbox
        elif number in self.stuck:
            del self.stuck[number]
        if busy.waits >= WAITS_MIN:
            self._waited[number] = mailbox

    def leaves(self, mailbox: OpenRows) -> None:
        """Forget a mailbox that has no rows left. What became of its rows still counts."""
        self.counts(mailbox)
        self._waited.pop(mailbox.number, None)
        del self._counted[mailbox.number]

    def _moves(self, mailbox: OpenRows, left: int, left_now: int) -> None:
        size, size_now = rounded(left), rounded(left_now)
        if size == size_now:
            self._rows_by_size[size] += left_now - left
            return
        if size:
            among = self._by_size[size]
            del among[mailbox.number]
            self._rows_by_size[size] -= left
            if not among:
                del self._by_size[size], self._rows_by_size[size]
        if size_now:
            self._by_size.setdefault(size_now, {})[mailbox.number] = mailbox
            self._rows_by_size[size_now] = self._rows_by_size.get(size_now, 0) + left_now


def rounded(rows: int) -> int:
    """Round down to four significant bits, so that mailboxes of about the same size count together."""
    bits = max(0, rows.bit_length() - 4)
    return rows >> bits << bits
