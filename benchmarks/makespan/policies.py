"""What others do, on the same service: first come first served, look-ahead, round robin, largest first.

The first policy knows no mailboxes and sends the next 20 rows. The other three are careful: a mailbox is in one call
at a time, with at most four rows, and waits if it is told to. None of them knows lanes, wide batches, or the request
window before it is used up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from math import inf

from benchmarks.makespan.service import Answered, Load, Service

ITEMS_MAX = 20
WIDTH = 4
LOOK_AHEAD_ROWS = 10_000
CALLS_MAX_TIMES = 25
"""A policy that needs this many times the calls of full batches is given up.

Its ratio is more than what it had reached by then.
"""

Ended = Callable[[Load, int, float, float], None]


class Naive:
    """First come, first served: the next 20 rows of the file, of any mailbox. Refused rows come again after their wait."""

    def __init__(self, job: list[int]) -> None:
        self._runs = deque((mailbox, rows) for mailbox, rows in enumerate(job))
        self._waiting: list[tuple[float, int, int]] = []

    def take(self, now: float) -> list[Load]:
        """Take rows for the next call."""
        while self._waiting and self._waiting[0][0] <= now:
            _, mailbox, rows = heappop(self._waiting)
            self._runs.append((mailbox, rows))
        loads: dict[int, int] = {}
        room = ITEMS_MAX
        while room and self._runs:
            mailbox, rows = self._runs.popleft()
            count = min(room, rows)
            loads[mailbox] = loads.get(mailbox, 0) + count
            room -= count
            if rows > count:
                self._runs.appendleft((mailbox, rows - count))
        return [Load(mailbox, rows) for mailbox, rows in loads.items()]

    def ended(self, load: Load, refused: int, wait_s: float, now: float) -> None:
        """Note that a call came back."""
        if refused:
            heappush(self._waiting, (now + wait_s, load.mailbox, refused))

    @property
    def wakes_at(self) -> float:
        """When the next waiting rows are due."""
        return self._waiting[0][0] if self._waiting else inf


class Careful:
    """One call at a time for each mailbox, with at most four of its rows. ``key`` is the rule that decides who comes first."""

    def __init__(self, job: list[int], key: str) -> None:
        self._key = key
        self._left = [0] * len(job)
        self._busy = [False] * len(job)
        self._ready: list[tuple[int, int]] = []
        self._timers: list[tuple[float, int]] = []
        self._turn = len(job)
        self._unread: Iterator[tuple[int, int]] = iter(enumerate(job))
        self._held = 0
        self._next: tuple[int, int] | None = next(self._unread, None)
        self._read()

    def take(self, now: float) -> list[Load]:
        """Take rows for the next call."""
        while self._timers and self._timers[0][0] <= now:
            self._free(heappop(self._timers)[1])
        loads = []
        room = ITEMS_MAX
        while room and self._ready:
            mailbox = heappop(self._ready)[1]
            count = min(WIDTH, room, self._left[mailbox])
            self._left[mailbox] -= count
            self._busy[mailbox] = True
            loads.append(Load(mailbox, count))
            room -= count
            self._held -= count
        self._read()
        return loads

    def ended(self, load: Load, refused: int, wait_s: float, now: float) -> None:
        """Note that a call came back."""
        self._left[load.mailbox] += refused
        self._held += refused
        if refused:
            heappush(self._timers, (now + wait_s, load.mailbox))
        else:
            self._free(load.mailbox)

    @property
    def wakes_at(self) -> float:
        """When the next waiting mailbox is due."""
        return self._timers[0][0] if self._timers else inf

    def _read(self) -> None:
        """Read the whole index, or as much of it as the look-ahead holds."""
        most = LOOK_AHEAD_ROWS if self._key == "look-ahead" else inf
        while self._next is not None and self._held < most:
            mailbox, rows = self._next
            count = int(min(rows, most - self._held))
            self._held += count
            new = not self._left[mailbox] and not self._busy[mailbox]
            self._left[mailbox] += count
            if new:
                self._push(mailbox)
            self._next = (mailbox, rows - count) if rows > count else next(self._unread, None)

    def _free(self, mailbox: int) -> None:
        self._busy[mailbox] = False
        if self._left[mailbox]:
            self._push(mailbox)

    def _push(self, mailbox: int) -> None:
        self._turn += 1
        first = {"look-ahead": mailbox, "round robin": self._turn, "largest first": -self._left[mailbox]}[self._key]
        heappush(self._ready, (first, mailbox))


POLICIES: dict[str, Callable[[list[int]], Naive | Careful]] = {
    "first come": Naive,
    "look-ahead": lambda job: Careful(job, "look-ahead"),
    "round robin": lambda job: Careful(job, "round robin"),
    "largest first": lambda job: Careful(job, "largest first"),
}


def run(policy: str, job: list[int], connections: int, service: Service) -> tuple[float, bool]:
    """Return the makespan in simulated seconds, and False if the policy was given up at that time."""
    client = POLICIES[policy](job)
    calls_max = CALLS_MAX_TIMES * (sum(job) // ITEMS_MAX + connections)
    flights: list[tuple[float, int, list[Load], Answered]] = []
    now = ended_at = 0.0
    while True:
        while len(flights) < connections and (loads := client.take(now)):
            answered = service.begin(loads, False, now)
            heappush(flights, (answered.at, service.calls, loads, answered))
        at = min(flights[0][0] if flights else inf, client.wakes_at if len(flights) < connections else inf)
        if at == inf or service.calls > calls_max:
            return ended_at, at == inf
        now = max(now, at)
        while flights and flights[0][0] <= now:
            ended_at, _, loads, answered = heappop(flights)
            service.end(answered.accepted(loads), False)
            for load, (rows, wait_s) in zip(loads, answered.refused, strict=True):
                client.ended(load, rows, wait_s, now)
