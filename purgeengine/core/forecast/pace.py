"""How fast rows were settled of late, and which part of that time was a wait that Graph asked of the whole app.

Time in which the run had nothing to do does not count: hours without sending, an outage, and time in which every mailbox waited.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

LATELY_SHARE = 0.6
"""The share of the working time so far over which the pace is taken. The beginning of a run soon stops to matter, and
the more of the run is left, the less is chance."""
LATELY_S_MIN, LATELY_S_MAX = 15.0, 600.0
"""The fewest and the most seconds of working time over which the pace is taken."""
RECOVERS_S = 8.0
"""Seconds of work after an outage in which the pace says nothing, because it grows."""
MARK_EVERY_S = 1.0
"""Seconds of working time between two marks, which bounds their number."""


class PaceMark(NamedTuple):
    """What had happened at one moment since the run began, or what happened between two moments."""

    worked_s: float = 0.0
    """Seconds in which the run had something to do."""
    settled: int = 0
    returned: int = 0
    """Rows that were settled, and sendings after which a row had to be sent again."""
    answered: int = 0
    lost: int = 0
    """Calls that were answered, and calls whose answer was lost."""
    lost_after_s: float = 0.0
    """Seconds from the sending of the lost calls to the moment when they were known to be lost, all together."""
    waited_s: float = 0.0
    """Seconds of waits of the whole app."""
    paused_s: float = 0.0
    pauses_squared: float = 0.0
    """Seconds in which mailboxes had to wait with nothing in flight, and the sum of the squares of these pauses."""

    def since(self, earlier: PaceMark) -> PaceMark:
        """Return what happened since then."""
        return PaceMark._make(after - before for after, before in zip(self, earlier, strict=True))


class Pace:
    """Remembers marks. The time without work is counted by the turns of the scheduler. Instants are monotonic seconds."""

    def __init__(self, now: float) -> None:
        self._started_at = now
        self._rested_s = 0.0
        self._rests_since: float | None = None
        self._marks = [PaceMark()]
        self._begun_s = 0.0

    def turned(self, now: float, *, works: bool) -> None:
        """Record whether the run has something to do from ``now`` on: calls in flight, or a wait that holds all of them back."""
        if works:
            if self._rests_since is not None:
                self._rested_s += now - self._rests_since
                self._rests_since = None
        elif self._rests_since is None:
            self._rests_since = now

    def worked_s(self, now: float) -> float:
        """Return the seconds until ``now`` in which the run had something to do."""
        resting_s = 0.0 if self._rests_since is None else now - self._rests_since
        return max(0.0, now - self._started_at - self._rested_s - resting_s)

    def lately(self, here: PaceMark) -> PaceMark:
        """Return what happened within the last part of the run, and remember how things stand: ``here``."""
        if self._begun_s and here.worked_s < self._begun_s + RECOVERS_S:
            self._marks = [here]
        marks = self._marks
        lately_s = min(LATELY_S_MAX, max(LATELY_S_MIN, LATELY_SHARE * (here.worked_s - self._begun_s)))
        first = max(0, bisect_right(marks, here.worked_s - lately_s, key=lambda mark: mark.worked_s) - 1)
        since = marks[first]
        if first:
            del marks[:first]
        if here.worked_s >= marks[-1].worked_s + MARK_EVERY_S:
            marks.append(here)
        return here.since(since)

    def begin_anew(self, here: PaceMark) -> None:
        """Forget what was before, because an outage says nothing about the rows after it."""
        self._marks = [here]
        self._begun_s = here.worked_s
