"""Batches in flight: what they carry, and when they are overdue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from purgeengine.core.forecast.situation import InFlight, SlowCall
from purgeengine.core.limits.adaptive_timeout import AdaptiveTimeout
from purgeengine.core.model import Attempt, Batch, FirstAttempts
from purgeengine.core.scheduling.mailbox import Mailbox

STALLED_S = 0.5
"""A call that is overdue by more than this many seconds was not looked at in time: the process or its machine slept."""
LANE_WAIT_FACTOR = 3.0
"""Factor on the wait for batches. It gives the longest wait for a lane until enough lanes were answered."""
FIRST_LANE_S_MIN = 10.0
"""The shortest of these waits in seconds. A lane is planned for six seconds at most, by what is known of the service by then."""
LATE = 3.0
"""Times the usual length after which an answer counts as late in the forecast. Few answers take so long that still come."""
GRACE_S = 2.0
"""After a sleep of the process, answers are read for this many seconds before calls are given up."""


@dataclass(slots=True)
class Flight:
    """What the scheduler remembers of a batch until it ends: whose rows it carries, since when, and with which token."""

    batch: Batch
    shares: list[tuple[Mailbox, Sequence[Attempt]]]
    """The rows by mailbox, in the order of the sub-requests."""
    sent_at: float
    """When the batch was sent, in monotonic seconds."""
    token_generation: int
    """The number of the token that it left with, as counted by `TokenWatch`."""
    size: int
    """Rows in the batch."""
    app_wait_s: float | None = None
    """Seconds for which its refused mailboxes wait at least if the rate of the whole app is to blame for that; else None."""


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

    def share(self, late_max: int) -> None:
        """Wait for at most ``late_max`` answers of calls that were given up. Each keeps a connection open."""
        self._late_max = late_max

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
        """Remove a batch in flight, and return it. Raises KeyError if it is not in flight."""
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
        """Give up each call whose wait is over. Yield it with the wait in seconds.

        Yields nothing for `GRACE_S` seconds after a sleep of the process.
        """
        looked_at, self._looked_at = self._looked_at, now
        if now < self._grace_until:
            return
        for lane, left in self._left.items():
            timeout = self._timeouts[lane]
            while left:
                flight = next(iter(left.values()))
                wait_s = self._wait_s(lane)
                overdue_at = flight.sent_at + wait_s  # the very sum of `overdue_at`: another one may differ by rounding
                if overdue_at > now:
                    break
                # If the wait has become shorter since the last look, the call is overdue since then only.
                if now - max(overdue_at, looked_at) > STALLED_S and self._grace_until == -inf:
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
                at = min(at, next(iter(left.values())).sent_at + self._wait_s(lane))
        return max(at, self._grace_until)

    def awaited(self, usual_s: Mapping[bool, float], now: float) -> InFlight:
        """Return how the calls in flight stand, for the forecast.

        ``usual_s`` is the usual time of a batch in seconds, and of a lane (True).
        """
        overdue_at, slow = -inf, []
        for lane, left in self._left.items():
            if not left:
                continue
            wait_s, late_s = self._wait_s(lane), LATE * usual_s[lane]
            overdue_at = max(overdue_at, next(reversed(left.values())).sent_at + wait_s)
            for flight in left.values():  # the oldest first
                if flight.sent_at + late_s > now:
                    break
                slow.append(SlowCall(flight.size, max(now, flight.sent_at + wait_s)))
        rows = sum(flight.size for flight in self._all.values())
        return InFlight(len(self._all), rows, overdue_at, slow, self._timeouts[False].slowest_s)

    def _wait_s(self, lane: bool) -> float:
        timeout = self._timeouts[lane]
        wait_s = timeout.idle_s if self.idle else timeout.current_s
        if lane and not timeout.known:  # lanes may be used at the end only, where a hang counts most
            batches = self._timeouts[False]
            like_batches_s = LANE_WAIT_FACTOR * (batches.idle_s if self.idle else batches.current_s)
            wait_s = min(wait_s, max(FIRST_LANE_S_MIN, like_batches_s))
        return wait_s


def ranges_of(batch: Batch) -> Iterator[range]:
    """Yield the positions of the batch's rows as ranges, in the order of the sub-requests.

    A range holds neighbours that were sent equally often.
    """
    return (range(first, first + rows) for share in batch.shares for first, rows, _ in neighbours(share.attempts))


def neighbours(attempts: Sequence[Attempt]) -> Iterator[tuple[int, int, int]]:
    """Yield each group of neighbouring rows that were sent equally often, as (first position, rows, sendings)."""
    if isinstance(attempts, FirstAttempts):
        yield attempts.rows.start, len(attempts), 1
        return
    first, sendings, _, _ = attempts[0]
    end = first
    for position, number, _, _ in attempts:
        if position != end or number != sendings:
            yield first, end - first, sendings
            first = end = position
            sendings = number
        end += 1
    yield first, end - first, sendings
