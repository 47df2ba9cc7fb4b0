"""The estimate before a run: its lower bound, its likely time, and the limit that decides.

It needs only the rows of each mailbox.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from math import ceil

from purgeengine.core.forecast.bound import Bound, bound_in, by_rows
from purgeengine.core.forecast.call_times import CallTimes
from purgeengine.core.forecast.latency import USUAL, Dispatch, Latency
from purgeengine.core.forecast.shapes import CallKinds, ShapeMenu, shape_menu
from purgeengine.core.limits.concurrency_limit import rounds_to_grow
from purgeengine.core.limits.window import BUCKET_S
from purgeengine.run_limits import Limits

CLOSE = 0.95
"""A limit decides if its own bound is at least this share of the lower bound."""
CALLS_TO_START_AND_END = 4
"""Calls, one after the other, that a run needs beyond the lower bound: some to find the fanout, and the last ones to be answered.
The makespan benchmark shows none to seven."""


class Decider(Enum):
    """The limit that decides how quick a run can be."""

    SLOTS = "slots"
    """The four concurrent requests that Graph allows for each mailbox, at the largest mailboxes."""
    WINDOW = "window"
    """The requests in 10 minutes that Graph allows for each mailbox, at the largest mailboxes."""
    CONNECTIONS = "connections"
    """The most batches in flight at once, as set by the user."""
    RATE = "rate"
    """The most rows a second over all mailboxes."""
    SLOTS_AND_CONNECTIONS = "slots and connections"
    """Slots and connections together: what is quick for the largest mailboxes takes connections from the others."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """How long a purge takes if calls take as long as ``latency`` assumes. All times are in seconds."""

    limits: Limits
    latency: Latency
    menu: ShapeMenu
    """The shapes in which the rows may travel."""
    calls: int
    """The fewest calls that the rows need: all of them full."""
    limits_s: float
    """The least time that Graph's request limits alone demand, however quick the answers are."""
    bound: Bound
    """The lower bounds."""
    expected_s: float
    """The likely time of a run that is never told to wait."""
    decider: Decider | None
    """The limit that decides; None if there are no rows."""
    deciding_rows: int
    """The rows of the smallest mailbox that decides; 0 if no mailbox decides, but all rows together."""
    deciding_mailboxes: int
    """The number of mailboxes with `deciding_rows` rows or more; 0 if no mailbox decides."""

    @property
    def least_s(self) -> float:
        """The lower bound: no run can finish faster."""
        return self.bound.least_s

    def of_a_mailbox_s(self, rows: int) -> float:
        """Return the lower bound for a mailbox with ``rows`` rows, if it were the only one."""
        return bound_in({rows: 1}, self.limits, self.menu).least_s


def estimate(rows_by_mailbox: Iterable[int], limits: Limits, latency: Latency = USUAL) -> Estimate:
    """Return the estimate for a purge. ``rows_by_mailbox`` is the number of rows of each mailbox (any order, read once)."""
    sizes = by_rows(rows for rows in rows_by_mailbox if rows)
    rows, largest = sum(size * count for size, count in sizes.items()), max(sizes, default=0)
    menu = assumed_menu(limits, latency)
    found = bound_in(sizes, limits, menu)
    full_windows = max(0, largest - 1) // limits.mailbox_requests
    # Each full window costs a little more: the clocks may differ, and requests are counted by the second.
    window_s = found.window_s + full_windows * (limits.window_slack_s + BUCKET_S)
    in_slots_s = largest * menu.quickest.slot_s / limits.mailbox_concurrent_max
    decider = _decider(found, in_slots_s) if rows else None
    deciding = _deciding_rows(sorted(sizes), limits, decider, found.least_s, menu)
    return Estimate(
        limits=limits,
        latency=latency,
        menu=menu,
        calls=ceil(rows / limits.batch_items_max),
        limits_s=max(full_windows * limits.mailbox_window_s, rows / limits.requests_per_s),
        bound=found,
        expected_s=max(found.least_s, window_s) + _to_start_and_end_s(rows, limits, latency),
        decider=decider,
        deciding_rows=deciding,
        deciding_mailboxes=sum(count for size, count in sizes.items() if size >= deciding) if deciding else 0,
    )


def assumed_menu(limits: Limits, latency: Latency) -> ShapeMenu:
    """Return the shapes for a run with these limits that has timed no call yet."""
    kinds = CallKinds(dispatch_of(limits), limits.lanes)
    return shape_menu(CallTimes(limits.batch_items_max, latency), kinds, limits)


def dispatch_of(limits: Limits) -> Dispatch:
    """Return how the service is taken to run a batch. Graph runs four rows at a time (throttling-outlook).

    With a fanout of 4, the user does not rely on that, and all rows are taken to run at once.
    """
    return "all" if limits.fanout == limits.mailbox_concurrent_max else "four"


def _to_start_and_end_s(rows: int, limits: Limits, latency: Latency) -> float:
    dispatch = dispatch_of(limits)
    if rows <= limits.batch_items_max:
        return latency.batch_s(rows, dispatch) if rows else 0.0
    return latency.batch_s(limits.batch_items_max, dispatch) * (
        CALLS_TO_START_AND_END + rounds_to_grow(limits.connections)
    )


def _decider(found: Bound, in_slots_s: float) -> Decider:
    """Return the limit that alone comes close to the lower bound, or slots and connections together if none does.

    Slots come before a window that is not full. ``in_slots_s`` is what the largest mailbox takes in the quickest calls.
    """
    alone = {
        Decider.SLOTS: max(found.slots_s, in_slots_s),
        Decider.WINDOW: found.window_s,
        Decider.CONNECTIONS: found.connections_s,
        Decider.RATE: found.app_s,
    }
    decider = max(alone, key=lambda which: alone[which])
    return decider if alone[decider] >= CLOSE * found.least_s else Decider.SLOTS_AND_CONNECTIONS


def _deciding_rows(sizes: list[int], limits: Limits, decider: Decider | None, least_s: float, menu: ShapeMenu) -> int:
    """Return the rows of the smallest mailbox that decides; 0 if none does.

    Such a mailbox takes about the whole time alone, or would end late if its rows travelled in full batches.
    """
    if decider is Decider.SLOTS or decider is Decider.WINDOW:
        at = bisect_left(sizes, CLOSE * least_s, key=lambda size: bound_in({size: 1}, limits, menu).least_s)
        return sizes[min(at, len(sizes) - 1)]
    if decider is Decider.SLOTS_AND_CONNECTIONS:
        return int(limits.mailbox_concurrent_max * least_s / menu.cheapest.slot_s) + 1
    return 0
