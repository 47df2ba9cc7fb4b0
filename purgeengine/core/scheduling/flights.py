"""The batches in flight, and those that were given up and whose answer may still come."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

from purgeengine.core.limits.adaptive_timeout import AdaptiveTimeout
from purgeengine.core.scheduling.flight import Flight

STALLED_S = 0.5
"""A call that is overdue by more than this many seconds was not looked at in time: the process or its machine slept."""
GRACE_S = 2.0
"""Seconds in which what arrived during such a sleep is read before calls are given up."""


class Flights:
    """Knows the batches in flight by number, and when each is overdue. Instants are monotonic seconds.

    Batches and lanes have a wait of their own, because the rows of a lane run one after the other.
    """

    def __init__(self, late_max: int) -> None:
        """``late_max`` is the most calls that are given up and still read, because each keeps a connection."""
        self._late_max = late_max
        self._all: dict[int, Flight] = {}
        self._left: dict[bool, dict[int, Flight]] = {False: {}, True: {}}
        """The flights that have left, in the order of leaving, by whether they are lanes."""
        self._late: dict[int, Flight] = {}
        self._timeouts = {False: AdaptiveTimeout(), True: AdaptiveTimeout()}
        self._grace_until = -inf
        self._looked_at = -inf
        self.idle = False
        """True while connections are free and nothing else can be sent, so that calls are given up sooner."""

    def __len__(self) -> int:
        return len(self._all)

    def __getitem__(self, batch: int) -> Flight:
        return self._all[batch]

    def __contains__(self, batch: int) -> bool:
        return batch in self._all

    def add(self, flight: Flight) -> None:
        """Take in a batch that was decided on. It has not left yet."""
        self._all[flight.batch.number] = flight

    def leaves(self, batch: int, now: float) -> None:
        """Record that the batch leaves now: its time runs."""
        flight = self._all[batch]
        flight.sent_at = now
        self._left[flight.batch.lane][batch] = flight

    def land(self, batch: int) -> Flight:
        """Remove a batch in flight, and return it."""
        flight = self._all.pop(batch)
        self._left[flight.batch.lane].pop(batch, None)
        return flight

    def land_late(self, batch: int) -> Flight | None:
        """Remove a batch that was given up, and return it; None if it is not known."""
        return self._late.pop(batch, None)

    def answered(self, flight: Flight, now: float) -> None:
        """Record that Graph answered the rows of a batch, in time or late."""
        self._timeouts[flight.batch.lane].answered(flight.sent_at, now)

    def overdue(self, now: float) -> Iterator[tuple[Flight, float]]:
        """Give up each call whose wait is over. Yield it with the wait in seconds."""
        looked_at, self._looked_at = self._looked_at, now
        if now < self._grace_until:
            return
        for lane, left in self._left.items():
            timeout = self._timeouts[lane]
            while left:
                flight = next(iter(left.values()))
                wait_s = timeout.idle_s if self.idle else timeout.current_s
                due_at = flight.sent_at + wait_s
                if now < due_at:
                    break
                # If the wait has become shorter since the last look, the call is overdue since then only.
                if now - max(due_at, looked_at) > STALLED_S and self._grace_until == -inf:
                    self._grace_until = now + GRACE_S
                    return
                self.land(flight.batch.number)
                self._late[flight.batch.number] = flight
                timeout.ran_out(flight.sent_at, now)
                yield flight, wait_s
        self._grace_until = -inf

    def too_many_late(self) -> Iterator[int]:
        """Forget the oldest calls that were given up, as far as there are too many, and yield the numbers of their batches."""
        while len(self._late) > self._late_max:
            batch = next(iter(self._late))
            del self._late[batch]
            yield batch

    def overdue_at(self) -> float:
        """Return when the next call is overdue; `inf` if none is in flight."""
        at = inf
        for lane, left in self._left.items():
            if left:
                timeout = self._timeouts[lane]
                at = min(at, next(iter(left.values())).sent_at + (timeout.idle_s if self.idle else timeout.current_s))
        return max(at, self._grace_until)
