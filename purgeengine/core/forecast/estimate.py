"""How long a purge takes at least, how long it is likely to take, and what decides that, from the rows of each mailbox alone."""

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
"""What comes to this share of the least time decides it: without it there would be hardly anything to wait for."""
CALLS_TO_START_AND_END = 4
"""Calls in turn that a run needs beside the least time: to find out how many rows of a mailbox may share a batch, and for the
last answers to come. The benchmark of the makespan sees none to seven."""


class Decider(Enum):
    """What a run cannot be quicker than."""

    SLOTS = "slots"
    """The four concurrent requests that Graph allows at the largest mailboxes."""
    WINDOW = "window"
    """The requests in 10 minutes that it allows at them."""
    CONNECTIONS = "connections"
    """The batches in flight at once that were asked for."""
    RATE = "rate"
    """The rows a second over all mailboxes."""
    SLOTS_AND_CONNECTIONS = "slots and connections"
    """What is quick for the largest mailboxes takes the connections from the others: neither alone."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """All times in seconds, at the latencies of ``latency``."""

    limits: Limits
    latency: Latency
    menu: ShapeMenu
    """The shapes in which its rows may travel."""
    calls: int
    """Fewest calls: all of them full."""
    limits_s: float
    """What Graph's limits on requests alone demand, however quick its answers are."""
    bound: Bound
    expected_s: float
    """What a run is likely to take that is never told to wait."""
    decider: Decider | None
    """None where there is nothing to do."""
    deciding_rows: int
    """Mailboxes with so many rows or more decide; 0 where no mailbox does, but all rows together."""
    deciding_mailboxes: int
    """How many those are."""

    @property
    def least_s(self) -> float:
        """No run ends sooner."""
        return self.bound.least_s

    def of_a_mailbox_s(self, rows: int) -> float:
        """The least time of a mailbox with so many rows, if it were the only one."""
        return bound_in({rows: 1}, self.limits, self.menu).least_s


def estimate(rows_by_mailbox: Iterable[int], limits: Limits, latency: Latency = USUAL) -> Estimate:
    """Estimate from the number of rows of each mailbox (any order, consumed once)."""
    sizes = by_rows(rows for rows in rows_by_mailbox if rows)
    rows, largest = sum(size * count for size, count in sizes.items()), max(sizes, default=0)
    menu = assumed_menu(limits, latency)
    found = bound_in(sizes, limits, menu)
    full_windows = max(0, largest - 1) // limits.mailbox_requests
    # A window is left a little after its time, for the clocks may differ and requests are counted by the second.
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
    """The shapes for a run with these limits that has timed nothing yet."""
    kinds = CallKinds(dispatch_of(limits), limits.serial_lanes)
    return shape_menu(CallTimes(limits.batch_items_max, latency), kinds, limits)


def dispatch_of(limits: Limits) -> Dispatch:
    """How the service is taken to run a batch: Graph is documented to run four rows at a time.

    Who asks for a fanout of 4 does not count on that.
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
    """The one that alone comes close to the least time; the slots are told before a window that is not full.

    ``in_slots_s`` is what the largest mailbox takes in the quickest calls that the run may make.
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
    """Rows of the smallest mailbox that decides: one that alone takes about as long, or that full batches would make late."""
    if decider is Decider.SLOTS or decider is Decider.WINDOW:
        at = bisect_left(sizes, CLOSE * least_s, key=lambda size: bound_in({size: 1}, limits, menu).least_s)
        return sizes[min(at, len(sizes) - 1)]
    if decider is Decider.SLOTS_AND_CONNECTIONS:
        return int(limits.mailbox_concurrent_max * least_s / menu.cheapest.slot_s) + 1
    return 0
