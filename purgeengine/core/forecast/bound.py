"""A lower bound of the time that a purge takes: no schedule can finish faster. All times are in seconds.

Four limits give a bound each: the four concurrent requests of the largest mailbox, its 10,000 requests in 10 minutes, the
connections, and the rate of the app. A fifth bound combines the first and the third, because what is quick for one mailbox takes
connections from the others (`purgeengine.core.forecast.shapes`).
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
"""The most steps of the search. A few steps suffice. If the search were cut short, its result would still be a lower bound."""
SEARCH_PRECISION = 1e-12
"""The share of the connection-seconds that rounding may miss."""


@dataclass(frozen=True, slots=True)
class Bound:
    """The lower bound that each limit gives, in seconds. `least_s` is the greatest of them."""

    slots_s: float
    """From the four concurrent requests of the largest mailbox."""
    window_s: float
    """From the request window of the largest mailbox."""
    connections_s: float
    """From the batches in flight at once."""
    app_s: float
    """From the requests a second of the whole app."""
    coupled_s: float
    """From slots and connections together."""

    @property
    def least_s(self) -> float:
        """The lower bound of the whole purge: no schedule can finish faster."""
        return max(self.slots_s, self.window_s, self.connections_s, self.app_s, self.coupled_s)


def bound(
    mailboxes_by_rows: Mapping[int, int], limits: Limits, latency: Latency = USUAL, dispatch: Dispatch = "four"
) -> Bound:
    """Return the bounds for a purge, with calls that take as long as ``latency`` assumes.

    ``mailboxes_by_rows`` is the number of mailboxes for each number of rows.
    """
    times = CallTimes(limits.batch_items_max, latency)
    return bound_in(mailboxes_by_rows, limits, shape_menu(times, CallKinds(dispatch, lanes=True), limits))


def bound_in(mailboxes_by_rows: Mapping[int, int], limits: Limits, menu: ShapeMenu) -> Bound:
    """Return the bounds for a purge whose rows travel in the shapes of ``menu``.

    ``mailboxes_by_rows`` is the number of mailboxes for each number of rows.
    """
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
    """Return the least time of a mailbox with ``rows`` rows: full request windows, then the remaining rows.

    Each row holds a slot for ``row_s`` seconds.
    """
    windows, last = divmod(rows - 1, limits.mailbox_requests)
    return windows * limits.mailbox_window_s + (last + 1) * row_s / limits.mailbox_concurrent_max


def coupled_s(rows_by_size: Mapping[int, int], hull: tuple[Shape, ...], connections: int, slots: int) -> float:
    """Return the least time in which slots and connections together can carry all rows.

    ``rows_by_size`` is, for each size of a mailbox, the number of rows in mailboxes of that size. In a time t, each row of a
    mailbox with n rows may cost ``slots * t / n`` slot-seconds. The hull then gives the connection-seconds that it costs. The
    connection-seconds of all rows must fit into ``connections * t``. What is missing falls as t grows, along a convex line of
    straight pieces. Newton's method therefore reaches zero from below after a few steps. It starts where the largest mailbox has
    time for the quickest shape only.
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
    """Return the connection-seconds of all rows if the purge takes ``least_s``, and how many fewer they are with one more second.

    ``sizes`` begins with the largest. The longer a row may take, the further right it is on the hull.
    """
    needed_s = falls = 0.0
    others, right = total, 1
    for size, rows in sizes:
        slot_s = slots * least_s / size
        while right < len(hull) and slot_s >= hull[right].slot_s:
            right += 1
        if right == len(hull):  # mailboxes of this size and smaller have time for the cheapest calls
            break
        quick, slow = hull[right - 1], hull[right]
        slope = (quick.connection_s - slow.connection_s) / (slow.slot_s - quick.slot_s)
        needed_s += rows * (quick.connection_s - slope * (slot_s - quick.slot_s))
        falls += rows * slope * slots / size
        others -= rows
    return needed_s + others * hull[-1].connection_s, falls


def by_rows(rows_by_mailbox: Iterable[int]) -> Counter[int]:
    """Return the number of mailboxes for each number of rows."""
    return Counter(rows_by_mailbox)
