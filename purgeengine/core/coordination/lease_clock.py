"""How long a lease still lasts, by the clocks of the one who holds it.

The holder counts from the time before it asked, the coordinator from the time after it heard. So the holder's lease always ends
first, however long the messages took. The holder counts by two clocks, and the one that says less is right: a monotonic clock that
goes on while the machine sleeps, and the wall clock, which shows the sleep where the system has no such monotonic clock. If the
wall clock is set forward, the lease only seems to end earlier.
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple


class Instant(NamedTuple):
    """A moment by both clocks of a machine, in seconds."""

    boot: float
    """A monotonic clock that goes on while the machine sleeps, as far as the system has one."""
    wall: float
    """Since 1970."""


NEVER = Instant(-inf, -inf)


class LeaseClock:
    """Counts the lease of one holder. Questions are numbered from 1."""

    def __init__(self, lease_s: float) -> None:
        self._lease_s = lease_s
        self._asked_at = NEVER
        self._until = NEVER
        self.asked = 0
        """The number of the newest question."""

    def ask(self, at: Instant) -> int:
        """Note that a question is about to be sent. Return its number."""
        self.asked += 1
        self._asked_at = at
        return self.asked

    def granted(self, question: int) -> bool:
        """Extend the lease if this answers the newest question. Return False if it does not: a delayed answer extends nothing."""
        if question != self.asked:
            return False
        self._until = Instant(self._asked_at.boot + self._lease_s, self._asked_at.wall + self._lease_s)
        return True

    def end(self) -> None:
        """End the lease now, and for all questions asked so far."""
        self.asked += 1
        self._until = NEVER

    def left_s(self, now: Instant) -> float:
        """Return the seconds left, by the clock that says least. 0 or less if nothing may be sent."""
        return min(self._until.boot - now.boot, self._until.wall - now.wall)
