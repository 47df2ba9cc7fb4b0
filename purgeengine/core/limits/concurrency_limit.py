"""How many batches may be in flight at once: as many as the service takes without answering slower.

Nobody is told how much Graph will take from an app. So the number grows as long as answers come as quickly as before, doubling at
first, by a sixteenth later; it falls when whole calls are refused (429) or fail for lack of capacity (503, 504), and when answers
have become slow. Single rows refused within a call belong to their mailbox and move nothing here.

Calls take as long as their slowest row, and a call of one row is answered sooner than one of twenty. What is compared is therefore
how long calls took over how long calls of their kinds are expected to take, summed over many of
them (`CALLS_REMEMBERED`), so that a single odd call decides nothing.
"""

from __future__ import annotations

from math import inf

START = 16
"""Calls in flight at first: what a careful person would allow."""
GROWTH_SHARE = 16
"""Once the limit has been felt, it grows by one in so many, at least by one, for each round of answers."""
CUT_REFUSED = 0.7
"""What is left of the limit after a refusal."""
CUT_SLOW = 0.85
"""What is left of the limit while answers are slow."""
CALLS_REMEMBERED = 256
"""Calls that the present slowness is made of; older ones fade."""
CALLS_TO_COMPARE = 64
"""Calls before anything is concluded from slowness: times of single calls differ by a factor of ten."""
SLOWER_TO_STAY = 1.25
"""Times the least slowness seen from which the limit grows no more."""
SLOWER_TO_CUT = 1.5
"""Times the least slowness seen from which the limit is cut, though not below `START`: few calls are hardly what makes it slow."""
LEAST_DOUBLES_IN_S = 1800.0
"""The least slowness seen is forgotten bit by bit: a service may be slower in the afternoon than it was at night."""
QUICKEST = 1e-6
"""Of slowness: a clock that stands still makes no call infinitely quick."""
DOUBLINGS_MAX = 20.0
"""Of what is forgotten, however long a machine slept."""
NO_CAPACITY = frozenset({429, 503, 504})
"""Statuses of a whole call that speak of load; other failures are trouble of another kind."""


def rounds_to_grow(most: int) -> float:
    """Rounds of ``most`` calls that could have been made while the limit doubles from `START` to that."""
    missed, limit = 0.0, START
    while limit < most:
        missed += 1.0 - limit / most
        limit *= 2
    return missed


class ConcurrencyLimit:
    """The limit, between one and ``most``. A *round* is as many answers as calls may be in flight."""

    def __init__(self, most: int) -> None:
        self.limit = min(START, most)
        self._most = most
        self._doubling = True
        self._answers = 0
        """Of this round."""
        self._reached = False
        """Whether all places were taken at some time in this round; a limit that is not used is not raised."""
        self._cut_at = -inf
        self._calls = 0
        self._took_s = 0.0
        self._expected_s = 0.0
        self._least = inf
        self._least_at = 0.0

    @property
    def expected(self) -> int:
        """What the limit is going to be, as far as is known: all of them until the service has shown that it is too many."""
        return self._most if self._doubling else self.limit

    def answered(self, now: float, sent_at: float, *, expected_s: float, in_flight: int) -> None:
        """A call was carried out; ``in_flight`` counts it. Such calls take ``expected_s``, by a measure that never changes."""
        self._reached = self._reached or in_flight >= self.limit
        self._remember(now, now - sent_at, expected_s)
        self._answers += 1
        if self._answers < self.limit:
            return
        slower = self._slower(now)
        if slower > SLOWER_TO_CUT:
            self._cut(now, sent_at, CUT_SLOW, min(START, self._most))
        elif slower > SLOWER_TO_STAY:
            self._doubling = False
        elif self._reached:
            self._grow()
        self._answers = 0
        self._reached = False

    def refused(self, now: float, sent_at: float, status: int) -> None:
        """A whole call was refused, or failed. Calls that were sent before the last cut say nothing of what came of it."""
        if status in NO_CAPACITY:
            self._cut(now, sent_at, CUT_REFUSED, 1)

    def _grow(self) -> None:
        more = self.limit if self._doubling else max(1, self.limit // GROWTH_SHARE)
        self.limit = min(self._most, self.limit + more)

    def compare_anew(self) -> None:
        """Forget how long calls took: what they are expected to take is measured in another way from now on."""
        self._calls = 0
        self._took_s = self._expected_s = 0.0
        self._least = inf

    def _cut(self, now: float, sent_at: float, left: float, least: int) -> None:
        if sent_at < self._cut_at:
            return
        self._doubling = False
        self.limit = min(self.limit, max(least, int(self.limit * left)))
        self._cut_at = now
        self._answers = 0
        self._reached = False

    def _remember(self, now: float, took_s: float, expected_s: float) -> None:
        self._calls += 1
        kept = 1.0 - 1.0 / min(self._calls, CALLS_REMEMBERED)
        self._took_s = self._took_s * kept + took_s
        self._expected_s = self._expected_s * kept + expected_s

    def _slower(self, now: float) -> float:
        """How many times slower answers are than they were at best; 1 while that cannot be known."""
        if self._calls < CALLS_TO_COMPARE:
            return 1.0
        slowness = max(self._took_s / self._expected_s, QUICKEST)
        forgotten: float = self._least * 2.0 ** min(DOUBLINGS_MAX, (now - self._least_at) / LEAST_DOUBLES_IN_S)
        if slowness < forgotten:
            self._least, self._least_at = slowness, now
            return 1.0
        return slowness / forgotten
