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

from purgeengine.core.forecast.bound import coupled_s, window_s
from purgeengine.core.forecast.call_times import CallTimes
from purgeengine.core.forecast.latency import Dispatch
from purgeengine.core.forecast.shapes import CallKinds, Shape, shape_menu
from purgeengine.core.scheduling.mailbox import Mailbox
from purgeengine.run_limits import Limits

REFRESH_S_MIN = 1.0
REFRESH_SHARE = 0.01
"""The end is estimated anew after so many seconds, or after this share of the time that is left, whichever is more."""
LANE_S_MAX = 6.0
"""A lane is no longer than this is expected to take, far below the shortest wait for an answer."""


class CriticalPlan:
    """Estimates when the run ends, and says of a mailbox how its rows should travel to be done by then."""

    def __init__(self, limits: Limits, rng: Random, times: CallTimes) -> None:
        self.dispatch: Dispatch = "all"
        """How the service is taken to run a batch: all at once until wide batches are allowed."""
        self._limits = limits
        self._rng = rng
        self._times = times
        self._ends_at = inf
        self._refresh_at = -inf
        self._in_lanes_max = limits.connections
        self._hull = self._hull_now()

    @property
    def lane_rows_max(self) -> int:
        """Rows of one lane."""
        return max(1, min(self._limits.batch_items_max, int(LANE_S_MAX / self._times.lane_row_s(self.dispatch))))

    def size_for(self, mailbox: Mailbox, now: float) -> int:
        """How many rows the next batch for this mailbox should have: all, fewer, or 0 for a serial lane.

        Between two shapes that are worth using, which one is drawn, so that the mixture is as quick as the mailbox needs.
        """
        slot_s = self._slot_s(mailbox.remaining + mailbox.rows_in_flight, now)
        if slot_s >= self._hull[-1].slot_s:
            return self._hull[-1].rows
        if self.dispatch == "four" or slot_s <= self._hull[0].slot_s:
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
        return self.dispatch == "all" or mailbox.lanes > 0 or in_lanes < self._in_lanes_max

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
        dispatch: Dispatch = "four" if width > limits.mailbox_concurrent_max else "all"
        if now < self._refresh_at and dispatch == self.dispatch:
            return
        self.dispatch = dispatch
        self._hull = self._hull_now()
        sizes = Counter([mailbox.remaining + mailbox.rows_in_flight for mailbox in mailboxes])
        del sizes[0]
        largest, smallest = max(sizes, default=0), min(sizes, default=0)
        rows: Counter[int] = Counter()
        for size, count in sizes.items():
            rows[_rounded(size)] += size * count
        if unread:
            rows[max(1, smallest)] += unread
        left_s = max(
            coupled_s(rows, self._hull, connections, limits.mailbox_concurrent_max),
            window_s(largest, limits, self._times.lane_row_s(dispatch)) if largest else 0.0,
            rows.total() / limits.requests_per_s,
        )
        self._ends_at = now + max(left_s, self._times.batch_s(limits.batch_items_max, dispatch))
        self._refresh_at = now + max(REFRESH_S_MIN, REFRESH_SHARE * left_s)
        critical = sum(count for size, count in sizes.items() if self._slot_s(size, now) < self._hull[-1].slot_s)
        self._in_lanes_max = max(1, (connections - critical) // (limits.mailbox_concurrent_max - 1))

    def _hull_now(self) -> tuple[Shape, ...]:
        """The shapes worth using, by what calls have taken so far."""
        return shape_menu(self._times, CallKinds(self.dispatch, lanes=True), self._limits).hull


def _rounded(rows: int) -> int:
    """To an eighth of its octave, so that mailboxes of about the same size count together."""
    bits = max(0, rows.bit_length() - 4)
    return rows >> bits << bits
