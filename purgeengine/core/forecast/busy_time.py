"""For how long a mailbox was busy, for how much of that time it had to wait, and how often Graph made it wait.

A mailbox is busy from its first row in flight until it could send again and is not chosen. So a mailbox that must stand back behind
larger ones is not slow, and one that waits for Graph or for lost calls is. Instants are monotonic seconds.
"""

from __future__ import annotations

from math import inf


class BusyTotals:
    """What all mailboxes together were busy. It is kept up to date change by change, so that nobody has to ask each mailbox."""

    __slots__ = (
        "_held_at",
        "_paused",
        "_paused_s",
        "_paused_since",
        "asked_s",
        "asked_squared",
        "holds",
        "pauses_squared",
        "waits",
    )

    def __init__(self) -> None:
        self.waits = 0
        """How often Graph made mailboxes wait."""
        self.asked_s = self.asked_squared = 0.0
        """Seconds of these waits, known as soon as Graph asked for them, and the sum of their squares."""
        self.holds = 0
        """How often lost calls left a mailbox no slot. Several mailboxes of one call count once."""
        self.pauses_squared = 0.0
        """The sum of the squares of the pauses that are over."""
        self._paused_s = 0.0
        self._paused = 0
        self._paused_since = 0.0
        """The mailboxes that pause now, and the sum of the instants at which these pauses began."""
        self._held_at = -inf

    def told_to_wait(self, for_s: float, instead_of_s: float, *, new: bool) -> None:
        """Record that Graph made a mailbox wait for ``for_s`` seconds from now on.

        A ``new`` wait replaces none, and ``instead_of_s`` is 0. Otherwise it makes the wait of the mailbox longer, of which
        ``instead_of_s`` seconds were still left: only the difference is added.
        """
        self.waits += new
        self.asked_s += for_s - instead_of_s
        self.asked_squared += for_s * for_s - instead_of_s * instead_of_s

    def paused_s(self, now: float) -> float:
        """Return the seconds of all pauses until ``now``."""
        return self._paused_s + self._paused * now - self._paused_since

    def pause_begins(self, now: float, *, held: bool) -> None:
        """Record that a mailbox begins to pause, and whether slots are ``held`` by lost calls."""
        self._paused += 1
        self._paused_since += now
        if held and now > self._held_at:
            self.holds += 1
            self._held_at = now

    def pause_ends(self, began_at: float, now: float) -> None:
        """Record that a pause is over."""
        self._paused -= 1
        self._paused_since -= began_at
        self._paused_s += now - began_at
        self.pauses_squared += (now - began_at) ** 2


class BusyTime:
    """Counts the busy seconds of one mailbox. ``totals`` are those of all mailboxes."""

    __slots__ = ("_busy_s", "_flies", "_paused_s", "_since", "_waits_until", "totals", "waits")

    def __init__(self) -> None:
        self._busy_s = 0.0
        self._paused_s = 0.0
        self._since: float | None = None
        """When the present stretch of time began: in flight, or a pause. None while it rests."""
        self._flies = False
        self._waits_until = -inf
        self.totals: BusyTotals | None = None
        self.waits = 0
        """How often Graph made the mailbox wait. Waits that overlap count once."""

    def begins(self, now: float) -> None:
        """Record that rows of the mailbox leave."""
        if not self._flies:
            self._turns(now)
            self._since, self._flies = now, True

    def pauses(self, now: float, *, held: bool = False) -> None:
        """Record that the mailbox has nothing in flight and must wait before it may send. ``held``: lost calls hold its slots."""
        if self._flies:
            self._turns(now)
            self._since, self._flies = now, False
            if self.totals is not None:
                self.totals.pause_begins(now, held=held)

    def rests(self, now: float) -> None:
        """Record that the mailbox could send and has nothing in flight, or that it has no rows left."""
        self._turns(now)
        self._since, self._flies = None, False

    def told_to_wait(self, now: float, until: float) -> None:
        """Record that Graph made the mailbox wait from ``now`` until ``until``."""
        if until <= self._waits_until:
            return
        new = now >= self._waits_until
        self.waits += new
        if self.totals is not None:
            self.totals.told_to_wait(until - now, 0.0 if new else self._waits_until - now, new=new)
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
                self._paused_s += now - self._since
                if self.totals is not None:
                    self.totals.pause_ends(self._since, now)
