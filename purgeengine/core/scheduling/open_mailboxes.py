"""The mailboxes in memory. Each is ready to send, waiting for an instant, or in flight.

A mailbox enters when it is opened, and leaves when none of its rows is left. Its state can go stale (a wait grew, or the window
was used up), so it is checked again when the mailbox is taken out.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush
from itertools import islice
from math import inf

from purgeengine.core.forecast.census import Census
from purgeengine.core.scheduling.mailbox import Mailbox
from purgeengine.core.scheduling.packing import ReadyQueue
from purgeengine.run_limits import Limits

STALE_TIMERS_MAX = 64
"""Timers that no longer matter before they are removed, beside as many as there are mailboxes that wait."""


class OpenMailboxes:
    """Knows every open mailbox, and when it may next send. Instants are monotonic seconds."""

    def __init__(self, limits: Limits) -> None:
        self.ready = ReadyQueue()
        self._open: dict[int, Mailbox] = {}
        self._timers: list[tuple[float, int]] = []
        self._waiting: dict[int, float] = {}
        self._alone: deque[Mailbox] = deque()
        self._settled: Counter[int] = Counter()
        self.census = Census()
        """The rows left, for the forecast."""
        self._wanted = limits.open_per_connection * limits.connections
        self._open_max = limits.open_mailboxes_max

    def __len__(self) -> int:
        return len(self._open)

    def room(self, parked: int = 0) -> int:
        """Return how many more mailboxes may be opened.

        Mailboxes that wait, or that are ``parked``, do not count, up to the bound on memory.
        """
        return max(0, min(self._wanted + len(self._waiting) + parked, self._open_max) - len(self._open))

    @property
    def has_ready(self) -> bool:
        """True if some mailboxes may send, as far as is known."""
        return bool(len(self.ready) or self._alone)

    def next_timer_at(self) -> float:
        """Return when the next waiting mailbox may send; `inf` if none waits."""
        return self._timers[0][0] if self._timers else inf

    def __iter__(self) -> Iterator[Mailbox]:
        """Iterate over all open mailboxes."""
        return iter(self._open.values())

    @property
    def waits(self) -> int:
        """How many mailboxes wait for an instant."""
        return len(self._waiting)

    def some_waiting(self, most: int) -> list[Mailbox]:
        """Return at most so many of the mailboxes that wait for an instant."""
        return [self._open[number] for number in islice(self._waiting, most)]

    def throttled(self, now: float) -> int:
        """Return how many mailboxes wait because Graph throttled them."""
        return sum(1 for number in self._waiting if self._open[number].throttled_until > now)

    def settled(self) -> Counter[int]:
        """Return how many mailboxes had each number of rows settled. Open mailboxes are included."""
        found = Counter(self._settled)
        found.update(mailbox.rows - mailbox.remaining - mailbox.rows_in_flight for mailbox in self)
        del found[0]
        return found

    def open(self, mailbox: Mailbox, now: float) -> None:
        """Take in a mailbox that was opened."""
        assert mailbox.number not in self._open, f"mailbox {mailbox.number} was opened twice"
        self._open[mailbox.number] = mailbox
        mailbox.busy.totals = self.census.totals
        self.place(mailbox, now)

    def place_all(self, mailboxes: Iterable[Mailbox], now: float) -> None:
        """Call `place` for each of the mailboxes."""
        for mailbox in mailboxes:
            self.place(mailbox, now)

    def place(self, mailbox: Mailbox, now: float) -> None:
        """Put the mailbox where it belongs.

        It is ready if it may send now. It gets a timer if only time is missing. It leaves if none of its rows is left.
        """
        self.census.counts(mailbox)
        if not mailbox.remaining:
            if mailbox.in_flight:  # its rows may still be sent again
                return
            if self._open.pop(mailbox.number, None) is not None:
                self._leaves(mailbox, now)
            self._waiting.pop(mailbox.number, None)
            return
        at = mailbox.ready_at(now)
        if at <= now:
            self._waiting.pop(mailbox.number, None)
            if not mailbox.slots_taken:
                mailbox.busy.rests(now)
            self.ready.push(mailbox)
        else:  # never `inf` because of the window: requests in it have an end
            if not mailbox.slots_taken:
                mailbox.busy.pauses(now, held=bool(mailbox.lost_slots))
            self._wait(mailbox.number, at)

    def _leaves(self, mailbox: Mailbox, now: float) -> None:
        self._settled[mailbox.rows] += 1
        mailbox.busy.rests(now)
        self.census.leaves(mailbox)

    def wake(self, now: float) -> None:
        """Place the mailboxes whose instant has come."""
        while self._timers and self._timers[0][0] <= now:
            at, number = heappop(self._timers)
            if self._waiting.get(number) == at:  # else it was placed anew since
                del self._waiting[number]
                self.place(self._open[number], now)

    def reconsider(self, now: float) -> None:
        """Place all waiting mailboxes again, because their waits may have become shorter."""
        for number in list(self._waiting):
            self.place(self._open[number], now)

    def _wait(self, number: int, at: float) -> None:
        """Set a timer for ``at``. An earlier timer of the mailbox stays instead, because `wake` places the mailbox again."""
        if at >= self._waiting.get(number, inf):
            return
        self._waiting[number] = at
        heappush(self._timers, (at, number))
        if len(self._timers) > 2 * len(self._waiting) + STALE_TIMERS_MAX:
            self._timers = [(at, number) for number, at in self._waiting.items()]
            heapify(self._timers)

    def send_alone(self, mailbox: Mailbox, rows: int) -> None:
        """Record that ``rows`` rows of this mailbox must travel in batches of their own."""
        self._alone.extend([mailbox] * rows)

    def alone(self, now: float) -> Iterator[Mailbox]:
        """Yield each mailbox that may now send a row which needs a batch of its own, and take it out of the queue.

        Such a mailbox is ready at ``now`` (monotonic seconds) and has nothing in flight. The others stay in the queue, in their
        order.
        """
        for _ in range(len(self._alone)):
            mailbox = self._alone.popleft()
            if not mailbox.alone:
                continue
            if mailbox.ready_at(now) <= now and not mailbox.in_flight:
                yield mailbox
            else:
                self._alone.append(mailbox)
