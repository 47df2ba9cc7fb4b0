"""The least time that any schedule of a purge can take: no policy, however clever, ends sooner.

Four limits bound it from below, each alone: the four concurrent requests of the largest mailbox, its 10,000 requests in 10 minutes,
the connections, and the app's own rate. A fifth couples the first and the third: a call of some shape costs its mailboxes
*slot-seconds* (a slot is held until the whole call is answered) and the run *connection-seconds*, and what is cheap in one is dear
in the other. All times in seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from heapq import heapreplace
from itertools import pairwise
from math import erf, inf, log, sqrt
from random import Random
from typing import Literal, NamedTuple

from purgeengine.run_limits import Limits

Dispatch = Literal["four", "all"]
FOUR = 4
"""Sub-requests of an unordered batch that Graph forwards at a time (throttling-outlook)."""
INTEGRATION_STEPS = 1_000
SAMPLES = 4_000
"""Calls drawn to time one of a size, always the same ones: right to half a per cent."""
SEARCH_STEPS = 60
"""Halvings of the interval that holds the bound: to a millionth of a millionth of it."""


@dataclass(frozen=True, slots=True)
class Latency:
    """How long the service takes: ``overhead_s`` a call, and a lognormal time an item, cut off at ``item_s_max``."""

    overhead_s: float = 0.06
    item_median_s: float = 0.08
    item_sigma: float = 1.0
    item_s_max: float = 5.0

    def longest_of_s(self, items: int) -> float:
        """Expected seconds of the slowest of ``items`` that run at once: the integral of the chance that it is slower."""
        return _longest_of_s(self, items)

    @property
    def item_s(self) -> float:
        """Expected seconds of one item."""
        return self.longest_of_s(1)

    def in_fours_s(self, items: int) -> float:
        """Expected seconds of ``items`` of which four run at a time, the next as soon as one ends; no formula gives it."""
        if items <= FOUR:
            return self.longest_of_s(items)
        if self == USUAL and items - FOUR <= len(USUAL_IN_FOURS_S):
            return USUAL_IN_FOURS_S[items - FOUR - 1]
        return drawn_in_fours_s(self, items)


USUAL = Latency()
"""Assumed, not measured: a median of 80 ms an item, 60 ms a call."""
USUAL_IN_FOURS_S = (
    0.3308, 0.3703, 0.4099, 0.4538, 0.4864, 0.5181, 0.5606, 0.5981,
    0.6261, 0.6682, 0.7045, 0.7413, 0.7800, 0.8168, 0.8468, 0.8818,
)  # fmt: skip
"""What `drawn_in_fours_s` gives for 5 to 20 items: drawing it takes a second, which every run would wait for."""


class Shape(NamedTuple):
    """A kind of call, by what it costs for each row: seconds of one of a mailbox's slots, and seconds of a connection."""

    rows: int
    """Of an unordered batch; 0 is a serial lane."""
    slot_s: float
    connection_s: float


@lru_cache(maxsize=64)
def drawn_in_fours_s(latency: Latency, items: int) -> float:
    """The mean of calls drawn at random, four items of each running at a time."""
    rng, median = Random(items), log(latency.item_median_s)
    total = 0.0
    for _ in range(SAMPLES):
        ends = [0.0] * FOUR
        for _ in range(items):
            heapreplace(ends, ends[0] + min(latency.item_s_max, rng.lognormvariate(median, latency.item_sigma)))
        total += max(ends)
    return total / SAMPLES


@lru_cache(maxsize=256)
def _longest_of_s(latency: Latency, items: int) -> float:
    step = latency.item_s_max / INTEGRATION_STEPS
    return step * sum(1.0 - chance**items for chance in _chances_of_less(latency))


@lru_cache(maxsize=16)
def _chances_of_less(latency: Latency) -> tuple[float, ...]:
    """Of one item taking less than so many steps of the integration, and a half."""
    step = latency.item_s_max / INTEGRATION_STEPS
    scale = latency.item_sigma * sqrt(2.0)
    return tuple(
        0.5 * (1.0 + erf(log((number + 0.5) * step / latency.item_median_s) / scale))
        for number in range(INTEGRATION_STEPS)
    )


def shapes(latency: Latency, dispatch: Dispatch, items_max: int = 20) -> tuple[Shape, ...]:
    """The calls that are worth making, on a service that runs a batch four items at a time or all at once."""
    serial_s = latency.item_s + latency.overhead_s / items_max
    found = [Shape(0, serial_s, serial_s)]
    if dispatch == "four":
        call_s = latency.overhead_s + latency.in_fours_s(items_max)
        found.append(Shape(items_max, 4 * call_s / items_max, call_s / items_max))
        sizes: Iterable[int] = (1, 2, 4)
    else:
        sizes = range(1, items_max + 1)
    for size in sizes:
        call_s = latency.overhead_s + latency.longest_of_s(size)
        found.append(Shape(size, call_s, call_s / size))
    return tuple(found)


def frontier(menu: Iterable[Shape]) -> tuple[Shape, ...]:
    """The shapes on the lower hull: for any slot-seconds a row may cost, the fewest connection-seconds, mixtures included."""
    hull: list[Shape] = []
    for shape in sorted(menu, key=lambda shape: (shape.slot_s, shape.connection_s)):
        if hull and shape.connection_s >= hull[-1].connection_s:
            continue
        while len(hull) >= 2 and _bends_up(hull[-2], hull[-1], shape):
            hull.pop()
        hull.append(shape)
    return tuple(hull)


def _bends_up(first: Shape, middle: Shape, last: Shape) -> bool:
    """Whether the middle lies on or above the line from the first to the last."""
    to_middle = (middle.connection_s - first.connection_s) * (last.slot_s - first.slot_s)
    to_last = (last.connection_s - first.connection_s) * (middle.slot_s - first.slot_s)
    return to_middle >= to_last


def connection_s_a_row(hull: tuple[Shape, ...], slot_s: float) -> float:
    """The fewest connection-seconds for a row that may cost at most ``slot_s``; infinite where no shape is that quick."""
    if slot_s < hull[0].slot_s:
        return inf
    for left, right in pairwise(hull):
        if slot_s <= right.slot_s:
            share = (slot_s - left.slot_s) / (right.slot_s - left.slot_s)
            return left.connection_s + share * (right.connection_s - left.connection_s)
    return hull[-1].connection_s


class Ways(NamedTuple):
    """How rows may travel: the shapes that no mixture beats, and the seconds that a row alone keeps a slot of its mailbox."""

    hull: tuple[Shape, ...]
    item_s: float


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
    ways = Ways(frontier(shapes(latency, dispatch, limits.batch_items_max)), latency.item_s)
    return bound_in(mailboxes_by_rows, limits, ways)


def bound_in(mailboxes_by_rows: Mapping[int, int], limits: Limits, ways: Ways) -> Bound:
    """Bounds for a job with so many mailboxes of so many rows each, which travels in these ways."""
    hull, item_s = ways
    sizes = sorted(mailboxes_by_rows.items(), reverse=True)
    rows = sum(size * count for size, count in sizes)
    if not rows:
        return Bound(0.0, 0.0, 0.0, 0.0, 0.0)
    largest, cheapest = sizes[0][0], hull[-1]
    concurrent = limits.mailbox_concurrent_max
    windows, last = divmod(largest - 1, limits.mailbox_requests)
    slots_s = largest * item_s / concurrent
    window_s = windows * limits.mailbox_window_s + (last + 1) * item_s / concurrent
    connections_s = rows * cheapest.connection_s / limits.connections
    app_s = rows / limits.requests_per_s

    def fits(least_s: float) -> bool:
        spent_s, others = 0.0, rows
        for size, count in sizes:
            slot_s = concurrent * least_s / size
            if slot_s >= cheapest.slot_s:  # this one and all that are smaller have time for the cheapest calls
                break
            others -= size * count
            spent_s += size * count * connection_s_a_row(hull, slot_s)
            if spent_s > limits.connections * least_s:
                return False
        return spent_s + others * cheapest.connection_s <= limits.connections * least_s

    low, high = 0.0, largest * cheapest.slot_s / concurrent + connections_s  # in the cheapest calls alone
    for _ in range(SEARCH_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return Bound(slots_s, window_s, connections_s, app_s, high)


def by_rows(rows_by_mailbox: Iterable[int]) -> Counter[int]:
    """How many mailboxes have so many rows."""
    return Counter(rows_by_mailbox)
