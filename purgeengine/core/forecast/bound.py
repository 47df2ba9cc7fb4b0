"""The least time that any schedule of a purge can take: no policy, however clever, ends sooner.

Four limits bound it from below, each alone: the four concurrent requests of the largest mailbox, its 10,000 requests in 10 minutes,
the connections, and the app's own rate. A fifth couples the first and the third: what is quick for a mailbox takes the connections
from the others (`purgeengine.core.forecast.shapes`). All times in seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from purgeengine.core.forecast.call_times import CallTimes
from purgeengine.core.forecast.latency import USUAL, Dispatch, Latency
from purgeengine.core.forecast.shapes import CallKinds, Shape, ShapeMenu, shape_menu
from purgeengine.run_limits import Limits

SEARCH_STEPS_MAX = 60
"""Most steps of the search. A few suffice; were it ever cut short, what it has found by then is a lower bound as well."""
SEARCH_PRECISION = 1e-12
"""Share of the connection-seconds by which rounding may miss."""


@dataclass(frozen=True, slots=True)
class Bound:
    """The bounds by what sets them, in seconds; ``least_s`` is the greatest."""

    slots_s: float
    window_s: float
    connections_s: float
    app_s: float
    coupled_s: float

    @property
    def least_s(self) -> float:
        """No schedule ends sooner."""
        return max(self.slots_s, self.window_s, self.connections_s, self.app_s, self.coupled_s)


def bound(
    mailboxes_by_rows: Mapping[int, int], limits: Limits, latency: Latency = USUAL, dispatch: Dispatch = "four"
) -> Bound:
    """Bounds for a job with so many mailboxes of so many rows each, where calls take as long as ``latency`` says."""
    times = CallTimes(limits.batch_items_max, latency)
    return bound_in(mailboxes_by_rows, limits, shape_menu(times, CallKinds(dispatch, lanes=True), limits))


def bound_in(mailboxes_by_rows: Mapping[int, int], limits: Limits, menu: ShapeMenu) -> Bound:
    """Bounds for a job with so many mailboxes of so many rows each, which travels in the shapes of the menu."""
    rows_by_size = {size: size * count for size, count in mailboxes_by_rows.items()}
    rows = sum(rows_by_size.values())
    if not rows:
        return Bound(0.0, 0.0, 0.0, 0.0, 0.0)
    largest = max(rows_by_size)
    return Bound(
        slots_s=largest * menu.item_s / limits.mailbox_concurrent_max,
        window_s=window_s(largest, limits, menu.item_s),
        connections_s=rows * menu.cheapest.connection_s / limits.connections,
        app_s=rows / limits.requests_per_s,
        coupled_s=coupled_s(rows_by_size, menu.hull, limits.connections, limits.mailbox_concurrent_max),
    )


def window_s(rows: int, limits: Limits, row_s: float) -> float:
    """The least time of a mailbox with so many rows, each of which takes a slot for ``row_s``: full windows, then the rest."""
    windows, last = divmod(rows - 1, limits.mailbox_requests)
    return windows * limits.mailbox_window_s + (last + 1) * row_s / limits.mailbox_concurrent_max


def coupled_s(rows_by_size: Mapping[int, int], hull: tuple[Shape, ...], connections: int, slots: int) -> float:
    """The least time in which the slots of the mailboxes and the connections together carry all rows.

    ``rows_by_size`` is how many rows lie in mailboxes of so many rows. In a time t, each row of a mailbox with n rows may cost
    ``slots * t / n`` slot-seconds, and then costs the connection-seconds that the hull says. Those of all rows must fit into
    ``connections * t``. What is missing falls as t grows, along a convex line of straight pieces. So Newton's method meets its
    zero from below after a few steps. It starts where the largest mailbox has time for nothing but the quickest shape.
    """
    sizes = sorted(rows_by_size.items(), reverse=True)
    if not sizes:
        return 0.0
    least_s = sizes[0][0] * hull[0].slot_s / slots
    total = sum(rows for _, rows in sizes)
    for _ in range(SEARCH_STEPS_MAX):
        needed_s, falls = _needed_s(sizes, total, hull, slots, least_s)
        missing_s = needed_s - connections * least_s
        if missing_s <= SEARCH_PRECISION * needed_s:
            break
        least_s += missing_s / (connections + falls)
    return least_s


def _needed_s(
    sizes: list[tuple[int, int]], total: int, hull: tuple[Shape, ...], slots: int, least_s: float
) -> tuple[float, float]:
    """The connection-seconds of all rows where mailboxes have so long, and how many fewer they are with a second more.

    ``sizes`` are the largest first: the longer a row may take, the further right on the hull it is.
    """
    needed_s = falls = 0.0
    others, right = total, 1
    for size, rows in sizes:
        slot_s = slots * least_s / size
        while right < len(hull) and slot_s >= hull[right].slot_s:
            right += 1
        if right == len(hull):  # this one and all that are smaller have time for the cheapest calls
            break
        quick, slow = hull[right - 1], hull[right]
        slope = (quick.connection_s - slow.connection_s) / (slow.slot_s - quick.slot_s)
        needed_s += rows * (quick.connection_s - slope * (slot_s - quick.slot_s))
        falls += rows * slope * slots / size
        others -= rows
    return needed_s + others * hull[-1].connection_s, falls


def by_rows(rows_by_mailbox: Iterable[int]) -> Counter[int]:
    """How many mailboxes have so many rows."""
    return Counter(rows_by_mailbox)
