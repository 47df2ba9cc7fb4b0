"""The schedule plan: which mailboxes would end last, and how to send their rows faster.

An unordered batch holds the slots of its mailboxes until its slowest row is done. Full batches need the fewest connections, and
so most rows travel in them. A mailbox that would still have rows in full batches when all others are done is *critical*. Its rows
go into smaller batches or into *lanes*. In a lane each row depends on the row before, so that the lane holds one slot and wastes
none of it. Graph allows four requests at once for an app and a mailbox (throttling-outlook), so four lanes.
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
"""The end is estimated anew after `REFRESH_S_MIN` seconds, or after this share of the time left if that is longer."""
LANE_S_MAX = 6.0
"""The longest time in seconds that a lane is expected to take."""


class CriticalPlan:
    """Estimates when the run ends, and says how the rows of a mailbox should travel to be done by then."""

    def __init__(self, limits: Limits, rng: Random, times: CallTimes) -> None:
        self.dispatch: Dispatch = "all"
        """How the service is taken to run a batch: all rows at once, until a wide fanout is allowed."""
        self._limits = limits
        self._rng = rng
        self._times = times
        self._ends_at = inf
        self._refresh_at = -inf
        self._in_lanes_max = limits.connections
        self._hull = self._hull_now()

    @property
    def lane_rows_max(self) -> int:
        """The most rows of one lane."""
        return max(1, min(self._limits.batch_items_max, int(LANE_S_MAX / self._times.lane_row_s(self.dispatch))))

    def size_for(self, mailbox: Mailbox, now: float) -> int:
        """Return how many rows the next batch for this mailbox should have; 0 stands for a lane.

        If the mailbox needs a pace between two shapes, one of them is drawn at random, so that the mixture has that pace.
        """
        slot_s = self._slot_s_of(mailbox, now)
        if slot_s >= self._bulk_slot_s(mailbox, now):
            return self._hull[-1].rows
        if self.dispatch == "four" or slot_s <= self._hull[0].slot_s:
            return 0
        for quick, slow in pairwise(self._hull):
            if slot_s < slow.slot_s:
                share = (slow.slot_s - slot_s) / (
                    slow.slot_s - quick.slot_s
                )  # of the rows that travel in the quicker shape
                calls = share / max(quick.rows, self.lane_rows_max), (1 - share) / slow.rows
                return quick.rows if self._rng.random() * (calls[0] + calls[1]) < calls[0] else slow.rows
        raise AssertionError("no two shapes around a figure that lies between the first and the last")

    def is_critical(self, mailbox: Mailbox, now: float) -> bool:
        """Return True if the mailbox would end last if its rows travelled in full batches."""
        return self._slot_s_of(mailbox, now) < self._bulk_slot_s(mailbox, now)

    def ends_within(self, for_s: float, now: float) -> bool:
        """Return True if the run is expected to end within ``for_s`` seconds."""
        return self._ends_at <= now + for_s

    def may_be_spread(self, mailbox: Mailbox, now: float) -> bool:
        """Return True if the mailbox would not end last if each of its rows shared a full batch with other mailboxes."""
        return self._slot_s_of(mailbox, now) >= self._spread_slot_s

    def may_have_lanes(self, mailbox: Mailbox, in_lanes: int) -> bool:
        """Return True if there are connections for lanes of this mailbox, while ``in_lanes`` mailboxes have some already.

        A mailbox in lanes takes four connections, and each other critical mailbox takes one. With a narrow fanout there is no
        such limit, because lanes and batches of one mailbox mix.
        """
        return self.dispatch == "all" or mailbox.lanes > 0 or in_lanes < self._in_lanes_max

    def _bulk_slot_s(self, mailbox: Mailbox, now: float) -> float:
        """Return the slot-seconds that each row costs in full batches. They are few if the mailbox can fill a batch alone."""
        if self.dispatch == "four" and mailbox.lost_slots and mailbox.lost_slots.held(now):
            return self._spread_slot_s
        return self._hull[-1].slot_s

    @property
    def _spread_slot_s(self) -> float:
        """The slot-seconds of a row that shares a full batch with other mailboxes: it holds its slot for the whole call."""
        return self._times.batch_s(self._limits.batch_items_max, self.dispatch)

    def _slot_s_of(self, mailbox: Mailbox, now: float) -> float:
        held = mailbox.lost_slots.held(now) if mailbox.lost_slots else 0
        return self._slot_s(mailbox.remaining + mailbox.rows_in_flight, now, held)

    def _slot_s(self, rows: int, now: float, held: int = 0) -> float:
        """Return the slot-seconds that each row of a mailbox with ``rows`` rows may cost. Lost calls hold ``held`` of its slots.

        If full request windows lie ahead, the rows after the last of them may decide.
        """
        if rows <= 1:
            return inf
        limits = self._limits
        left_s = self._ends_at - now
        windows, last = divmod(rows - 1, limits.mailbox_requests)
        last_s = left_s - windows * limits.mailbox_window_s
        slots = max(1, limits.mailbox_concurrent_max - held)
        return slots * min(left_s / rows, last_s / (last + 1))

    def refresh(self, mailboxes: Iterable[Mailbox], unread: int, width: int, connections: int, now: float) -> None:
        """Estimate the end of the run anew, if that is due.

        ``unread`` rows stand in mailboxes that are not open yet; none of those is larger than the open ones. ``width`` rows of
        one mailbox may share a batch. ``connections`` batches may be in flight at once.
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
        """Return the shapes that are worth using, by the times that calls have taken so far."""
        return shape_menu(self._times, CallKinds(self.dispatch, lanes=True), self._limits).hull


def _rounded(rows: int) -> int:
    """Round down to four significant bits, so that mailboxes of about the same size count together."""
    bits = max(0, rows.bit_length() - 4)
    return rows >> bits << bits
