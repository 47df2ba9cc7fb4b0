"""The mailboxes in memory, each in its place: ready to send, waiting for an instant, or in flight.

A mailbox enters when it is opened and leaves when none of its rows is left. Places can go stale (a wait grew, the window was
spent), so they are checked again when a mailbox is taken out.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush
from math import inf

from purgeengine.core.scheduling.mailbox import Mailbox
from purgeengine.core.scheduling.packing import ReadyQueue
from purgeengine.run_limits import Limits

STALE_TIMERS_MAX = 64
"""Timers of instants that no longer matter, beside as many as there are others, before they are swept out."""


class OpenMailboxes:
    """Knows every open mailbox and when it next matters."""

    def __init__(self, limits: Limits) -> None:
        self.ready = ReadyQueue()
        self._open: dict[int, Mailbox] = {}
        self._timers: list[tuple[float, int]] = []
        self._waiting: dict[int, float] = {}
        self._alone: deque[Mailbox] = deque()
        self._settled: Counter[int] = Counter()
        self._wanted = limits.open_per_connection * limits.connections
        self._open_max = limits.open_mailboxes_max

    def __len__(self) -> int:
        return len(self._open)

    def room(self, parked: int = 0) -> int:
        """How many more may be opened; those that wait or are ``parked`` do not count, up to the bound on memory."""
        return max(0, min(self._wanted + len(self._waiting) + parked, self._open_max) - len(self._open))

    @property
    def has_ready(self) -> bool:
        """Whether some may send, as far as is known."""
        return bool(len(self.ready) or self._alone)

    def next_timer_at(self) -> float:
        """When the next waiting mailbox matters, or infinity."""
        return self._timers[0][0] if self._timers else inf

    def __iter__(self) -> Iterator[Mailbox]:
        """All that are open."""
        return iter(self._open.values())

    def throttled(self, now: float) -> int:
        """Mailboxes that Graph has told to wait."""
        return sum(1 for number in self._waiting if self._open[number].throttled_until > now)

    def settled(self) -> Counter[int]:
        """How many mailboxes had so many rows settled, those that are still open included."""
        found = Counter(self._settled)
        found.update(mailbox.rows - mailbox.remaining - mailbox.rows_in_flight for mailbox in self)
        del found[0]
        return found

    def open(self, mailbox: Mailbox, now: float) -> None:
        """Take it in."""
        assert mailbox.number not in self._open, f"mailbox {mailbox.number} was opened twice"
        self._open[mailbox.number] = mailbox
        self.place(mailbox, now)

    def place_all(self, mailboxes: Iterable[Mailbox], now: float) -> None:
        """Place each of them."""
        for mailbox in mailboxes:
            self.place(mailbox, now)

    def place(self, mailbox: Mailbox, now: float) -> None:
        """Among the ready if it may send now, onto a timer if only time is missing, away if nothing is left."""
        if not mailbox.remaining:
            if mailbox.in_flight:  # its rows may come back
                return
            if self._open.pop(mailbox.number, None) is not None:
                self._settled[mailbox.rows] += 1
            self._waiting.pop(mailbox.number, None)
            return
        at = mailbox.ready_at(now)
        if at <= now:
            self._waiting.pop(mailbox.number, None)
            self.ready.push(mailbox)
        else:  # an instant, for its window has seen whatever fills it
            self._wait(mailbox.number, at)

    def wake(self, now: float) -> None:
        """Place the mailboxes whose instant has come."""
        while self._timers and self._timers[0][0] <= now:
            at, number = heappop(self._timers)
            if self._waiting.get(number) == at:  # else it was placed anew since
                del self._waiting[number]
                self.place(self._open[number], now)

    def reconsider(self, now: float) -> None:
        """Place all that wait once more: their waits may have become shorter."""
        for number in list(self._waiting):
            self.place(self._open[number], now)

    def _wait(self, number: int, at: float) -> None:
        """Wake it at that instant, or at an earlier one that is set already: it is placed again then."""
        if at >= self._waiting.get(number, inf):
            return
        self._waiting[number] = at
        heappush(self._timers, (at, number))
        if len(self._timers) > 2 * len(self._waiting) + STALE_TIMERS_MAX:
            self._timers = [(at, number) for number, at in self._waiting.items()]
            heapify(self._timers)

    def send_alone(self, mailbox: Mailbox, rows: int) -> None:
        """So many rows of this mailbox must travel in batches of their own."""
        self._alone.extend([mailbox] * rows)

    def alone(self, now: float) -> Iterator[Mailbox]:
        """Yield each mailbox that may now send a row which needs a batch of its own, and take it out of the queue.

        Such a mailbox is ready at ``now`` (seconds) and has nothing in flight. The others stay in the queue, in their order.
        """
        for _ in range(len(self._alone)):
            mailbox = self._alone.popleft()
            if not mailbox.alone:
                continue
            if mailbox.ready_at(now) <= now and not mailbox.in_flight:
                yield mailbox
            else:
                self._alone.append(mailbox)
