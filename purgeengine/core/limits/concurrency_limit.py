"""How many batches may be in flight at once: as many as the service takes without answering slower.

Graph does not say how much it takes from an app. The limit grows as long as answers come as quickly as before: it doubles at
first, and later grows by a sixteenth. It falls when whole calls are refused (429) or fail for lack of capacity (503, 504), and
when answers have become slow. Rows refused within a batch concern their mailbox and change nothing here.

A call takes as long as its slowest row, and a call of one row is answered sooner than a call of twenty. Therefore the *slowness*
is compared: the time that many calls took, divided by the time that calls of their kinds are expected to take.
"""

from __future__ import annotations

from math import inf

START = 16
"""Calls in flight at first: what a careful person would allow."""
GROWTH_SHARE = 16
"""Once the service has answered slower or refused a call, the limit grows by one sixteenth for each round of answers, at least by
one."""
CUT_REFUSED = 0.7
"""The share of the limit that is left after a refusal."""
CUT_SLOW = 0.85
"""The share of the limit that is left after a round of slow answers."""
CALLS_REMEMBERED = 256
"""Calls over which the present slowness is averaged. Older calls fade."""
CALLS_TO_COMPARE = 64
"""Calls before anything is concluded from the slowness, because times of single calls differ by a factor of ten."""
SLOWER_TO_STAY = 1.25
"""Ratio of the present slowness to the least slowness above which the limit stops growing."""
SLOWER_TO_CUT = 1.5
"""Ratio of the present slowness to the least slowness above which the limit is cut, but never below `START`: so few calls hardly
make a service slow."""
LEAST_DOUBLES_IN_S = 1800.0
"""Seconds in which the least slowness doubles. It is forgotten bit by bit, because a service may be slower in the afternoon than
at night."""
REFUSED_TO_CUT = 0.25
"""The limit is cut if more than this share of the latest calls was refused for lack of capacity. Fewer are chance, and less load
would not spare them."""
REFUSALS_FADE = 1 / 32
"""Weight of the latest call in that share."""
QUICKEST = 1e-6
"""The smallest slowness that is recorded, so that a clock that stands still does not make calls infinitely quick."""
DOUBLINGS_MAX = 20.0
"""The most doublings of the least slowness, however long the machine slept."""
NO_CAPACITY = frozenset({429, 503, 504})
"""Statuses of a whole call that mean too much load. Other failures are trouble of another kind."""


def rounds_to_grow(most: int) -> float:
    """Return how many rounds of ``most`` calls are missed while the limit doubles from `START` to ``most``."""
    missed, limit = 0.0, START
    while limit < most:
        missed += 1.0 - limit / most
        limit *= 2
    return missed


class ConcurrencyLimit:
    """The limit on batches in flight, between 1 and ``most``. It is 0 if `share` was given 0.

    A *round* is as many answers as the limit allows calls in flight.
    """

    def __init__(self, most: int) -> None:
        self.limit = min(START, most)
        self.most = most
        """The most that the limit may grow to."""
        self._doubling = True
        self._answers = 0
        """Answers in this round."""
        self._reached = False
        """True if as many calls as allowed were in flight at some time in this round. A limit that is not used is not raised."""
        self._cut_at = -inf
        self._refused = 0.0
        self._calls = 0
        self._took_s = 0.0
        self._expected_s = 0.0
        self._least = inf
        self._least_at = 0.0

    @property
    def expected(self) -> int:
        """The limit to plan with: ``most`` until the service has shown that it is too many, then the present limit."""
        return self.most if self._doubling else self.limit

    def answered(self, now: float, sent_at: float, *, expected_s: float, in_flight: int) -> None:
        """Record a call that was carried out. ``sent_at`` and ``now`` are monotonic seconds.

        ``expected_s`` is the assumed time of such a call in seconds, which must not change during a run. ``in_flight`` counts
        this call, too.
        """
        self._reached = self._reached or in_flight >= self.limit
        self._remember(now, now - sent_at, expected_s)
        self._refused *= 1 - REFUSALS_FADE
        self._answers += 1
        if self._answers < self.limit:
            return
        slower = self._slower(now)
        if slower > SLOWER_TO_CUT:
            self._cut(now, sent_at, CUT_SLOW, min(START, self.most))
        elif slower > SLOWER_TO_STAY:
            self._doubling = False
        elif self._reached:
            self._grow()
        self._answers = 0
        self._reached = False

    def refused(self, now: float, sent_at: float, status: int) -> None:
        """Record a whole call that was refused or failed. ``status`` is its HTTP status.

        A call that left before the last cut does not cut the limit again.
        """
        if status not in NO_CAPACITY:
            return
        self._refused += REFUSALS_FADE * (1.0 - self._refused)
        if self._refused > REFUSED_TO_CUT:
            self._cut(now, sent_at, CUT_REFUSED, 1)

    def _grow(self) -> None:
        more = self.limit if self._doubling else max(1, self.limit // GROWTH_SHARE)
        self.limit = min(self.most, self.limit + more)

    def share(self, most: int) -> None:
        """Allow at most ``most`` batches in flight from now on, because several runs share the app. 0 allows none.

        A limit that is lowered holds at once. A limit that is raised grows with the answers, as at the start of a run.
        """
        self.most = most
        self.limit = min(self.limit or START, most)

    def cut_with(self, now: float) -> None:
        """Lower the limit, because Graph refused the calls of another run of the same app."""
        if self.limit:
            self._cut(now, now, CUT_REFUSED, 1)

    def compare_anew(self) -> None:
        """Forget how long calls took, because expected times are measured in another way from now on."""
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
        """Return how many times slower answers are than at best; 1 while too few calls are known."""
        if self._calls < CALLS_TO_COMPARE:
            return 1.0
        slowness = max(self._took_s / self._expected_s, QUICKEST)
        forgotten: float = self._least * 2.0 ** min(DOUBLINGS_MAX, (now - self._least_at) / LEAST_DOUBLES_IN_S)
        if slowness < forgotten:
            self._least, self._least_at = slowness, now
            return 1.0
        return slowness / forgotten
