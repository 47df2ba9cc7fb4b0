"""Tests of the shapes in which rows can travel: what each costs, and that those left out never pay."""

from __future__ import annotations

import random
from heapq import heapreplace
from itertools import pairwise
from math import sqrt

import pytest

from purgeengine.core.forecast.call_times import CallTimes
from purgeengine.core.forecast.latency import USUAL, Dispatch, Latency
from purgeengine.core.forecast.shapes import CallKinds, Shape, frontier, shape_menu
from purgeengine.run_limits import Limits
from tests.support.plain_times import LANE_ROW_S, WIDE_CALL_S, Root

LANE = Shape(0, pytest.approx(LANE_ROW_S), pytest.approx(LANE_ROW_S))


def hull(dispatch: Dispatch, latency: Latency = USUAL, *, lanes: bool = True, items_max: int = 20) -> tuple[Shape, ...]:
    """Return the shapes that are worth using before any call is timed."""
    limits = Limits(batch_items_max=items_max)
    return shape_menu(CallTimes(items_max, latency), CallKinds(dispatch, lanes), limits).hull


def test_where_batches_run_at_once_a_row_keeps_its_slot_as_long_as_the_call_lasts() -> None:
    """If all rows run at once, a call of n rows takes 0.06 + 0.1 * sqrt(n) s, and each row holds its slot for all of it."""
    lane, *batches = hull("all", Root())
    assert lane == LANE
    assert batches[-1].rows == 20
    for shape in batches:
        call_s = 0.06 + 0.1 * sqrt(shape.rows)
        assert shape[1:] == pytest.approx((call_s, call_s / shape.rows))


def test_where_four_rows_run_at_a_time_batches_are_full_of_one_mailbox() -> None:
    """If four rows run at a time, batches are full of one mailbox, and hold all four slots until their twenty rows are done."""
    full = Shape(20, pytest.approx(4 * WIDE_CALL_S / 20), pytest.approx(WIDE_CALL_S / 20))
    assert hull("four", Root()) == (LANE, full)


@pytest.mark.parametrize("dispatch", ["four", "all"])
def test_without_lanes_all_batches_are_full(dispatch: Dispatch) -> None:
    """Without lanes, the only shape is a full batch."""
    assert [shape.rows for shape in hull(dispatch, lanes=False)] == [20]
    assert [shape.rows for shape in hull(dispatch, lanes=False, items_max=8)] == [8]


def test_only_shapes_that_no_mixture_beats_are_on_the_frontier() -> None:
    """On a service that runs all rows at once, the frontier is the lane, and then batches from six rows on."""
    shapes = hull("all")
    assert [shape.rows for shape in shapes] == [0, *range(6, 21)]
    for left, right in pairwise(shapes):
        assert left.slot_s < right.slot_s
        assert left.connection_s > right.connection_s


def simulated_s(rng: random.Random, items: int, sigma: float, calls: int = 1_500) -> float:
    """Return the mean seconds of played calls whose items run four at a time, with a median of 80 ms."""
    total = 0.0
    for _ in range(calls):
        ends = [0.0] * 4
        for _ in range(items):
            heapreplace(ends, ends[0] + 0.08 * rng.lognormvariate(0.0, sigma))
        total += max(ends)
    return total / calls


@pytest.mark.parametrize("sigma", [0.1, 1.0, 1.6])
@pytest.mark.parametrize("overhead_s", [0.01, 0.06, 0.5])
def test_where_four_rows_run_at_a_time_no_smaller_batch_would_pay(sigma: float, overhead_s: float) -> None:
    """If four rows run at a time, a lane, a full batch or a mixture of both costs less than any smaller batch."""
    played = {
        items: overhead_s + simulated_s(random.Random(items), items, sigma) for items in (1, 2, 3, 4, 8, 12, 16, 20)
    }
    lane_s = played[1] - overhead_s + overhead_s / 20
    every = [Shape(items, min(items, 4) * call_s / items, call_s / items) for items, call_s in played.items()]
    assert {shape.rows for shape in frontier([Shape(0, lane_s, lane_s), *every])} == {0, 20}


def test_a_size_that_turns_out_to_be_quick_is_used() -> None:
    """If batches of two take 0.02 s after ten thousand calls, they are the only shape worth using."""
    times = CallTimes(20)
    for _ in range(10_000):
        times.batch_answered(20, USUAL.batch_s(20, "all"))
        times.batch_answered(2, 0.02)
    shapes = shape_menu(times, CallKinds("all", lanes=True), Limits()).hull
    assert shapes == (Shape(2, pytest.approx(0.02, rel=0.1), pytest.approx(0.01, rel=0.1)),)


def test_the_frontier_of_a_few_shapes() -> None:
    """The frontier is ordered by slot-seconds, without shapes on or above the line between two others."""
    assert frontier([Shape(20, 0.1, 0.5), Shape(1, 0.3, 0.2)]) == (Shape(20, 0.1, 0.5), Shape(1, 0.3, 0.2))
    assert frontier([Shape(2, 0.1, 0.2), Shape(3, 0.2, 0.2)]) == (Shape(2, 0.1, 0.2),)
    assert frontier([Shape(1, 0.0, 2.0), Shape(2, 1.0, 1.0), Shape(3, 2.0, 0.0)]) == (
        Shape(1, 0.0, 2.0),
        Shape(3, 2.0, 0.0),
    )
    menu = [Shape(n, float(n), cost) for n, cost in enumerate((10.0, 6.0, 4.0, 3.5, 1.0))]
    assert [shape.rows for shape in frontier(menu)] == [0, 1, 2, 4]
