"""The shapes in which rows can travel, and which of them are worth using.

A call costs its mailboxes *slot-seconds*, because a slot is held until the whole call is answered. It costs the run
*connection-seconds*. A shape that costs little of one costs much of the other. All times are in seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from purgeengine.core.forecast.call_times import CallTimes
from purgeengine.core.forecast.latency import FOUR, Dispatch
from purgeengine.run_limits import Limits


class Shape(NamedTuple):
    """A kind of call with its cost for each row: seconds of a slot of the mailbox, and seconds of a connection."""

    rows: int
    """Rows of an unordered batch; 0 stands for a lane."""
    slot_s: float
    connection_s: float


class CallKinds(NamedTuple):
    """The kinds of calls that a run may send."""

    dispatch: Dispatch
    """How the service is taken to run an unordered batch. If it is four at a time, a batch may be full of rows of one mailbox."""
    lanes: bool
    """True if lanes, and smaller batches beside them, may be used."""


class ShapeMenu(NamedTuple):
    """The shapes that a run may use."""

    hull: tuple[Shape, ...]
    """The shapes worth using: no mixture of others costs fewer slot-seconds and no more connection-seconds. The first has the
    fewest slot-seconds, the last the fewest connection-seconds."""
    item_s: float
    """Seconds for which a row on its own holds a slot of its mailbox. No shape needs fewer."""

    @property
    def quickest(self) -> Shape:
        """The shape with the fewest slot-seconds a row."""
        return self.hull[0]

    @property
    def cheapest(self) -> Shape:
        """The shape with the fewest connection-seconds a row."""
        return self.hull[-1]


def shape_menu(times: CallTimes, kinds: CallKinds, limits: Limits) -> ShapeMenu:
    """Return the shapes for calls of these ``kinds``, which take as long as ``times`` expects.

    Graph runs the rows of a lane one at a time, so a lane holds one slot. A batch whose rows all run at once holds a slot for
    each row. If four rows run at a time, a batch of one mailbox's rows holds four slots. Then a smaller batch costs more of both
    than a full one, because fewer rows share the overhead and the wait for the last row. A batch of one row does not pay either:
    a lane holds one slot as well, and its rows share the overhead.
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
    """Return the shapes on the lower hull, from the fewest slot-seconds to the fewest connection-seconds.

    For any slot-seconds that a row may cost, a shape of the hull, or a mixture of two, costs the fewest connection-seconds.
    """
    hull: list[Shape] = []
    for shape in sorted(menu, key=lambda shape: (shape.slot_s, shape.connection_s)):
        if hull and shape.connection_s >= hull[-1].connection_s:
            continue
        while len(hull) >= 2 and _bends_up(hull[-2], hull[-1], shape):
            hull.pop()
        hull.append(shape)
    return tuple(hull)


def _bends_up(first: Shape, middle: Shape, last: Shape) -> bool:
    """Return True if the middle shape lies on or above the line from the first to the last."""
    to_middle = (middle.connection_s - first.connection_s) * (last.slot_s - first.slot_s)
    to_last = (last.connection_s - first.connection_s) * (middle.slot_s - first.slot_s)
    return to_middle >= to_last
