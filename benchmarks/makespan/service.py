"""A service in simulated time, only as detailed as a schedule needs: calls, mailboxes, limits.

A call holds the slots of its mailboxes until it is answered, as far as a client can know. Rows beyond a mailbox's
four slots, or beyond its 10,000 requests in 10 minutes, are refused with the wait that Graph asks for. Refused rows
count in the request window, as Graph says.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapreplace
from typing import NamedTuple

from purgeengine.core.forecast.latency import FOUR, Dispatch, Latency

DRAWN = 1 << 18
"""Latencies drawn in advance, and used in turn."""
SLOTS = 4
CONCURRENCY_WAIT_S = 1.0
CALL_WAIT_S = 1.0


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many rows per second the service carries, before and after ``changes_at_s``.

    More rows wait in line, so answers become slower. A call that would wait longer than ``wait_s_max`` seconds is
    refused.
    """

    rows_s: float = math.inf
    rows_s_later: float = math.inf
    changes_at_s: float = math.inf
    wait_s_max: float = math.inf

    def rows_s_at(self, now: float) -> float:
        """Return the rows per second at this time."""
        return self.rows_s if now < self.changes_at_s else self.rows_s_later


AMPLE = Capacity()


class Load(NamedTuple):
    """Rows of one mailbox in a call."""

    mailbox: int
    rows: int


@dataclass(frozen=True, slots=True)
class Answered:
    """When a call is answered, and what was refused of each of its loads: (rows, wait in seconds)."""

    at: float
    refused: tuple[tuple[int, float], ...]
    turned_away: bool = False
    """True if the whole call was refused, for lack of capacity."""

    def accepted(self, loads: Sequence[Load]) -> list[Load]:
        """Return the loads without the refused rows."""
        return [Load(mailbox, rows - over) for (mailbox, rows), (over, _) in zip(loads, self.refused, strict=True)]


class Service:
    """Runs calls. They must begin in the order of time."""

    def __init__(
        self,
        latency: Latency,
        dispatch: Dispatch,
        *,
        window_requests: int,
        window_s: float,
        capacity: Capacity = AMPLE,
        seed: int = 1,
    ) -> None:
        rng, median = random.Random(seed), math.log(latency.item_median_s)
        self._pool = [min(latency.item_s_max, rng.lognormvariate(median, latency.item_sigma)) for _ in range(DRAWN)]
        self._next = 0
        self._overhead_s = latency.overhead_s
        self._dispatch = dispatch
        self._window_requests = window_requests
        self._window_s = window_s
        self._running: dict[int, int] = {}
        self._seen: dict[int, deque[tuple[float, int]]] = {}
        self._counts: dict[int, int] = {}
        self._capacity = capacity
        self._free_at = 0.0
        self.calls = 0
        self.turned_away = 0
        self.refused_concurrency = 0
        self.refused_rate = 0

    def begin(self, loads: Sequence[Load], sequential: bool, now: float) -> Answered:
        """Begin a call. When it is answered, `end` must get what was accepted of its loads."""
        self.calls += 1
        waits_s = max(0.0, self._free_at - now)
        if waits_s > self._capacity.wait_s_max:
            self.turned_away += 1
            return Answered(now + self._overhead_s, tuple((rows, 0.0) for _, rows in loads), turned_away=True)
        refused = []
        accepted = 0
        for mailbox, rows in loads:
            over, wait_s = self._turn_away(mailbox, rows, sequential, now)
            refused.append((over, wait_s))
            accepted += rows - over
        begins_at = max(self._free_at, now)
        self._free_at = begins_at + accepted / self._capacity.rows_s_at(begins_at)
        return Answered(now + waits_s + self._overhead_s + self._works_s(accepted, sequential), tuple(refused))

    def end(self, loads: Sequence[Load], sequential: bool) -> None:
        """Free the slots of these accepted rows, because the call was answered."""
        for mailbox, rows in loads:
            if rows:
                self._running[mailbox] -= self._slots(rows, sequential)

    def _slots(self, rows: int, sequential: bool) -> int:
        if sequential:
            return min(rows, 1)
        return min(rows, FOUR) if self._dispatch == "four" else rows

    def _turn_away(self, mailbox: int, rows: int, sequential: bool, now: float) -> tuple[int, float]:
        free = SLOTS - self._running.get(mailbox, 0)
        over = rows - min(rows, free) if self._slots(rows, sequential) > free else 0
        seen = self._seen.setdefault(mailbox, deque())
        count = self._counts.get(mailbox, 0)
        while seen and seen[0][0] <= now - self._window_s:
            count -= seen.popleft()[1]
        late = min(rows, max(0, count + rows - self._window_requests))
        seen.append((now, rows))
        self._counts[mailbox] = count + rows
        self.refused_concurrency += over
        self.refused_rate += late
        refused = max(over, late)
        self._running[mailbox] = SLOTS - free + self._slots(rows - refused, sequential)
        window_opens_s = seen[0][0] + self._window_s - now
        return refused, window_opens_s if late else CONCURRENCY_WAIT_S if over else 0.0

    def _works_s(self, items: int, sequential: bool) -> float:
        if not items:
            return 0.0
        if self._next + items > DRAWN:
            self._next = 0
        drawn = self._pool[self._next : self._next + items]
        self._next += items
        if sequential:
            return sum(drawn)
        if self._dispatch == "all" or items <= FOUR:
            return max(drawn)
        ends = [0.0] * FOUR
        for item_s in drawn:
            heapreplace(ends, ends[0] + item_s)
        return max(ends)
