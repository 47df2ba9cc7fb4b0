"""Which mailboxes would end last, and how their rows travel faster.

An unordered batch holds the slots of its mailboxes until its slowest row is done. That is cheapest in connections, and so most rows
travel in full batches. A mailbox that would not be done at that pace when all others are is *critical*: it goes into smaller
batches, or into *serial lanes*, batches whose rows depend each on the one before, so that a lane holds one slot and wastes none of
it. Graph allows up to four of those at a mailbox at a time (throttling-outlook).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from math import inf
from random import Random

from purgeengine.core.forecast.bound import USUAL, Dispatch, Latency, Shape, connection_s_a_row, frontier
from purgeengine.core.scheduling.mailbox import Mailbox
from purgeengine.run_limits import Limits

REFRESH_S_MIN = 1.0
REFRESH_SHARE = 0.01
"""The end is estimated anew after so many seconds, or after this share of the time that is left, whichever is more."""
SEARCH_STEPS = 24
"""Halvings of the interval that holds the estimate: to a ten-millionth of it."""
TIMED_MAX = 500
"""Answers that a mean is made of; older ones fade."""
TIMED_BEFORE = 10
"""Answers that the figures assumed at the start are worth."""
LANE_S_MAX = 6.0
"""A lane is no longer than this is expected to take, far below the shortest wait for an answer."""


class CallTimes:
    """How long calls take: assumed at first, then as timed. What was not timed is taken to be as much slower as what was."""

    def __init__(self, latency: Latency, dispatch: Dispatch, items_max: int) -> None:
        self._overhead_s = latency.overhead_s
        self._items_max = items_max
        in_s = latency.in_fours_s if dispatch == "four" else latency.longest_of_s
        self._assumed_call_s = [0.0] + [latency.overhead_s + in_s(size) for size in range(1, items_max + 1)]
        self._assumed_item_s = latency.item_s
        self._calls = [Mean() for _ in range(items_max + 1)]
        self._lane_items = Mean()
        self._slower = Mean()

    def call_s(self, size: int) -> float:
        """Expected seconds of an unordered batch of so many rows."""
        return self._calls[size].after(self._assumed_call_s[size] * self._times_slower)

    def assumed_call_s(self, size: int) -> float:
        """The same as assumed at the start, whatever was timed since."""
        return self._assumed_call_s[size]

    def assumed_lane_s(self, rows: int) -> float:
        """Seconds of a lane of so many rows as assumed at the start."""
        return self._overhead_s + rows * self._assumed_item_s

    @property
    def lane_row_s(self) -> float:
        """Expected seconds of a lane for each of its rows; where batches are slow, lanes will be."""
        item_s = self._lane_items.after(self._assumed_item_s * max(1.0, self._times_slower))
        return item_s + self._overhead_s / self._items_max

    @property
    def _times_slower(self) -> float:
        """How many times as long as assumed unordered batches take."""
        return self._slower.after(1.0)

    def timed(self, size: int, duration_s: float) -> None:
        """An unordered batch of so many rows was answered."""
        self._calls[size].add(duration_s)
        self._slower.add(duration_s / self._assumed_call_s[size])

    def timed_lane(self, rows: int, duration_s: float) -> None:
        """A lane was answered, of which so many rows were tried."""
        self._lane_items.add(max(duration_s - self._overhead_s, 0.001) / rows)


class Mean:
    """Of the last figures, about `TIMED_MAX` of them."""

    __slots__ = ("_count", "_mean")

    def __init__(self) -> None:
        self._count = 0
        self._mean = 0.0

    def add(self, figure: float) -> None:
        """One more."""
        self._count = min(self._count + 1, TIMED_MAX)
        self._mean += (figure - self._mean) / self._count

    def after(self, assumed: float) -> float:
        """The mean, with what was assumed before counted as `TIMED_BEFORE` figures."""
        return assumed + (self._mean - assumed) * self._count / (TIMED_BEFORE + self._count)


class CriticalPlan:
    """Estimates when the run ends, and says of a mailbox how its rows should travel to be done by then."""

    def __init__(self, limits: Limits, rng: Random, latency: Latency = USUAL) -> None:
        self._limits = limits
        self._rng = rng
        self._paces = {
            width: CallTimes(
                latency, "four" if width > limits.mailbox_concurrent_max else "all", limits.batch_items_max
            )
            for width in (limits.mailbox_concurrent_max, limits.batch_items_max)
        }
        self._wide = False
        self._ends_at = inf
        self._refresh_at = -inf
        self._connections = self._in_lanes_max = limits.connections
        self._weigh_shapes()

    @property
    def pace(self) -> CallTimes:
        """The pace of batches as wide as they are now."""
        return self._paces[self._limits.batch_items_max if self._wide else self._limits.mailbox_concurrent_max]

    @property
    def lane_rows_max(self) -> int:
        """Rows of one lane."""
        return max(1, min(self._limits.batch_items_max, int(LANE_S_MAX / self.pace.lane_row_s)))

    def size_for(self, mailbox: Mailbox, now: float) -> int:
        """How many rows the next batch for this mailbox should have: all, fewer, or 0 for a serial lane.

        Between two shapes that are worth using, which one is drawn, so that the mixture is as quick as the mailbox needs.
        """
        slot_s = self._slot_s(mailbox.remaining + mailbox.rows_in_flight, now)
        if slot_s >= self._hull[-1].slot_s:
            return self._hull[-1].rows
        if self._wide or slot_s <= self._hull[0].slot_s:
            return 0
        for quick, slow in pairwise(self._hull):
            if slot_s < slow.slot_s:
                share = (slow.slot_s - slot_s) / (slow.slot_s - quick.slot_s)  # of rows, in the quicker one
                calls = share / max(quick.rows, self.lane_rows_max), (1 - share) / slow.rows
                return quick.rows if self._rng.random() * (calls[0] + calls[1]) < calls[0] else slow.rows
        raise AssertionError("no two shapes around a figure that lies between the first and the last")

    def is_critical(self, mailbox: Mailbox, now: float) -> bool:
        """Whether it would end last if it travelled in full batches."""
        return self._slot_s(mailbox.remaining + mailbox.rows_in_flight, now) < self._hull[-1].slot_s

    def may_have_lanes(self, mailbox: Mailbox, in_lanes: int) -> bool:
        """Whether connections suffice for this mailbox in lanes when ``in_lanes`` are: four each, and one for each critical other.

        Narrow batches need no such rule: there lanes and batches of one mailbox mix.
        """
        return not self._wide or mailbox.lanes > 0 or in_lanes < self._in_lanes_max

    def _slot_s(self, rows: int, now: float) -> float:
        """Slot-seconds that a row of a mailbox with so many may cost. Where full windows lie ahead, the last rows may decide."""
        if rows <= 1:
            return inf
        limits = self._limits
        left_s = self._ends_at - now
        windows, last = divmod(rows - 1, limits.mailbox_requests)
        last_s = left_s - windows * limits.mailbox_window_s
        return limits.mailbox_concurrent_max * min(left_s / rows, last_s / (last + 1))

    def refresh(self, mailboxes: Iterable[Mailbox], unread: int, width: int, connections: int, now: float) -> None:
        """Estimate the end anew if that is due.

        ``unread`` rows stand in mailboxes that are not open yet, none larger than those that are; ``width`` rows of one mailbox may
        share a batch, and so many ``connections`` will carry them.
        """
        limits = self._limits
        wide = width > limits.mailbox_concurrent_max
        if now < self._refresh_at and wide == self._wide:
            return
        self._connections = connections
        self._wide = wide
        self._weigh_shapes()
        sizes = Counter([mailbox.remaining + mailbox.rows_in_flight for mailbox in mailboxes])
        del sizes[0]
        largest, smallest = max(sizes, default=0), min(sizes, default=0)
        rows: Counter[int] = Counter()
        for size, count in sizes.items():
            rows[_rounded(size)] += size * count
        if unread:
            rows[max(1, smallest)] += unread
        left_s = max(self._coupled_s(rows), self._windows_s(largest), rows.total() / limits.requests_per_s)
        self._ends_at = now + max(left_s, self.pace.call_s(limits.batch_items_max))
        self._refresh_at = now + max(REFRESH_S_MIN, REFRESH_SHARE * left_s)
        critical = sum(count for size, count in sizes.items() if self._slot_s(size, now) < self._hull[-1].slot_s)
        self._in_lanes_max = max(1, (connections - critical) // (limits.mailbox_concurrent_max - 1))

    def _windows_s(self, rows: int) -> float:
        """What the requests in 10 minutes demand of the largest mailbox."""
        if not rows:
            return 0.0
        limits = self._limits
        windows, last = divmod(rows - 1, limits.mailbox_requests)
        return windows * limits.mailbox_window_s + (last + 1) * self.pace.lane_row_s / limits.mailbox_concurrent_max

    def _coupled_s(self, rows: Counter[int]) -> float:
        """The least time in which slots and connections together carry so many rows in mailboxes of about these sizes."""
        limits, hull = self._limits, self._hull

        def fits(left_s: float) -> bool:
            spent_s = 0.0
            for size, count in rows.items():
                spent_s += count * connection_s_a_row(hull, limits.mailbox_concurrent_max * left_s / size)
                if spent_s > self._connections * left_s:
                    return False
            return True

        low, high = 0.0, rows.total() * hull[0].connection_s + 1.0
        for _ in range(SEARCH_STEPS):
            middle = (low + high) / 2
            low, high = (low, middle) if fits(middle) else (middle, high)
        return high

    def _weigh_shapes(self) -> None:
        """Which shapes are worth using, by what calls have taken so far."""
        limits, pace = self._limits, self.pace
        items_max, slots = limits.batch_items_max, limits.mailbox_concurrent_max
        lane = Shape(0, pace.lane_row_s, pace.lane_row_s)
        if self._wide:
            call_s = pace.call_s(items_max)
            self._hull = frontier([lane, Shape(items_max, slots * call_s / items_max, call_s / items_max)])
        else:
            sizes = range(2, items_max + 1)
            self._hull = frontier([lane, *(Shape(n, pace.call_s(n), pace.call_s(n) / n) for n in sizes)])


def _rounded(rows: int) -> int:
    """To an eighth of its octave, so that mailboxes of about the same size count together."""
    bits = max(0, rows.bit_length() - 4)
    return rows >> bits << bits
