"""For how long a mailbox was busy, for how much of that time it had to wait, and how often Graph made it wait.

A mailbox is busy from its first row in flight until it could send again and is not chosen. So a mailbox that must stand back behind
larger ones is not slow, and one that waits for Graph or for lost calls is. Instants are monotonic seconds.
"""

from __future__ import annotations

from math import inf


class BusyTime:
    """Counts the busy seconds of one mailbox."""

    __slots__ = ("_busy_s", "_flies", "_paused_s", "_since", "_waits_until", "pauses_squared", "waits")

    def __init__(self) -> None:
        self._busy_s = 0.0
        self._paused_s = 0.0
        self._since: float | None = None
        """When the present stretch of time began: in flight, or a pause. None while it rests."""
        self._flies = False
        self._waits_until = -inf
        self.pauses_squared = 0.0
        """The sum of the squares of the pauses that are over."""
        self.waits = 0
        """How often Graph made the mailbox wait. Waits that overlap count once."""

    def begins(self, now: float) -> None:
        """Record that rows of the mailbox leave."""
        if not self._flies:
            self._turns(now)
            self._since, self._flies = now, True

    def pauses(self, now: float) -> None:
        """Record that the mailbox has nothing in flight and must wait before it may send."""
        if self._flies:
            self._turns(now)
            self._since, self._flies = now, False

    def rests(self, now: float) -> None:
        """Record that the mailbox could send and has nothing in flight."""
        self._turns(now)
        self._since, self._flies = None, False

    def told_to_wait(self, now: float, until: float) -> None:
        """Record that Graph made the mailbox wait from ``now`` until ``until``."""
        if until <= self._waits_until:
            return
        self.waits += now >= self._waits_until
        self._waits_until = until

    def busy_s(self, now: float) -> float:
        """Return the busy seconds until ``now``."""
        return self._busy_s + (0.0 if self._since is None else now - self._since)

    def paused_s(self, now: float) -> float:
        """Return the seconds among them in which nothing was in flight."""
        return self._paused_s + (0.0 if self._flies or self._since is None else now - self._since)

    def _turns(self, now: float) -> None:
        if self._since is not None:
            self._busy_s += now - self._since
            if not self._flies:
                pause_s = now - self._since
                self._paused_s += pause_s
                self.pauses_squared += pause_s * pause_s
