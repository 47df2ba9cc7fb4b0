"""The shapes in which rows can travel, and which of them are worth using.

A call costs its mailboxes *slot-seconds*, for a slot is held until the whole call is answered, and the run *connection-seconds*.
What is cheap in one is dear in the other. All times in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from purgeengine.core.forecast.call_times import CallTimes
from purgeengine.core.forecast.latency import FOUR, Dispatch
from purgeengine.run_limits import Limits


class Shape(NamedTuple):
    """A kind of call, by what it costs for each row: seconds of one of a mailbox's slots, and seconds of a connection."""

    rows: int
    """Of an unordered batch; 0 is a serial lane."""
    slot_s: float
    connection_s: float


class CallKinds(NamedTuple):
    """The calls that a run may send."""

    dispatch: Dispatch
    """How the service is taken to run an unordered batch. Where it is four at a time, a batch may be full of one mailbox's rows."""
    lanes: bool
    """Whether serial lanes may be used, and smaller batches beside them."""


class ShapeMenu(NamedTuple):
    """The shapes that a run may use, and how long a row is at work."""

    hull: tuple[Shape, ...]
    """Those that no mixture of others beats, from the quickest for a mailbox to the cheapest in connections."""
    item_s: float
    """Seconds for which a row alone keeps a slot of its mailbox: no shape needs fewer."""

    @property
    def quickest(self) -> Shape:
        """The shape with the fewest slot-seconds a row."""
        return self.hull[0]

    @property
    def cheapest(self) -> Shape:
        """The shape with the fewest connection-seconds a row."""
        return self.hull[-1]


def shape_menu(times: CallTimes, kinds: CallKinds, limits: Limits) -> ShapeMenu:
    """The shapes for calls of these kinds, which take as long as ``times`` expects.

    Graph runs a lane one row at a time, and so it holds one slot. A batch whose rows all run at once holds a slot for each of them.
    Where four run at a time, it holds four, if all are of one mailbox. There a smaller batch costs more of both than a full one,
    for the overhead and the wait for the last row are shared among fewer rows. Nor does a batch of one row pay: a lane holds one
    slot as well, and shares the overhead.
    """
    dispatch, lanes = kinds
    items_max = limits.batch_items_max
    sizes = range(2, items_max) if lanes and dispatch == "all" else ()
    menu = []
    for size in (*sizes, items_max):
        call_s = times.batch_s(size, dispatch)
        at_once = min(size, FOUR) if dispatch == "four" else size
        menu.append(Shape(size, at_once * call_s / size, call_s / size))
    if lanes:
        row_s = times.lane_row_s(dispatch)
        menu.append(Shape(0, row_s, row_s))
    return ShapeMenu(frontier(menu), times.item_s(dispatch))


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
