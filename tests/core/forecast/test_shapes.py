"""The shapes in which rows can travel: what each costs, and that those left out could never pay."""

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
    """The shapes worth using where nothing was timed."""
    limits = Limits(batch_items_max=items_max)
    return shape_menu(CallTimes(items_max, latency), CallKinds(dispatch, lanes), limits).hull


def test_where_batches_run_at_once_a_row_keeps_its_slot_as_long_as_the_call_lasts() -> None:
    """A call of n rows takes 0.06 + 0.1 * sqrt(n) seconds, and each row a share of the connection; a lane, 0.103 s of both."""
    lane, *batches = hull("all", Root())
    assert lane == LANE
    assert batches[-1].rows == 20
    for shape in batches:
        call_s = 0.06 + 0.1 * sqrt(shape.rows)
        assert shape[1:] == pytest.approx((call_s, call_s / shape.rows))


def test_where_four_rows_run_at_a_time_batches_are_full_of_one_mailbox() -> None:
    """Such a batch keeps all four slots until its twenty rows are done."""
    full = Shape(20, pytest.approx(4 * WIDE_CALL_S / 20), pytest.approx(WIDE_CALL_S / 20))
    assert hull("four", Root()) == (LANE, full)


@pytest.mark.parametrize("dispatch", ["four", "all"])
def test_without_lanes_all_batches_are_full(dispatch: Dispatch) -> None:
    """Of as many rows as a batch may have."""
    assert [shape.rows for shape in hull(dispatch, lanes=False)] == [20]
    assert [shape.rows for shape in hull(dispatch, lanes=False, items_max=8)] == [8]


def test_only_shapes_that_no_mixture_beats_are_on_the_frontier() -> None:
    """On a service that runs all at once: the lane first, then batches from six rows on."""
    shapes = hull("all")
    assert [shape.rows for shape in shapes] == [0, *range(6, 21)]
    for left, right in pairwise(shapes):
        assert left.slot_s < right.slot_s
        assert left.connection_s > right.connection_s


def simulated_s(rng: random.Random, items: int, sigma: float, calls: int = 1_500) -> float:
    """Mean seconds of calls whose items run four at a time, of a median of 80 ms: played, item by item."""
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
    """Played, with items as alike or as unlike as may be: a lane and a full batch, or a mixture of the two, cost less of both."""
    played = {
        items: overhead_s + simulated_s(random.Random(items), items, sigma) for items in (1, 2, 3, 4, 8, 12, 16, 20)
    }
    lane_s = played[1] - overhead_s + overhead_s / 20
    every = [Shape(items, min(items, 4) * call_s / items, call_s / items) for items, call_s in played.items()]
    assert {shape.rows for shape in frontier([Shape(0, lane_s, lane_s), *every])} == {0, 20}


def test_a_size_that_turns_out_to_be_quick_is_used() -> None:
    """Ten thousand batches of two in 0.02 s each, and as many full ones as long as usual: nothing is better than those of two."""
    times = CallTimes(20)
    for _ in range(10_000):
        times.batch_answered(20, USUAL.batch_s(20, "all"))
        times.batch_answered(2, 0.02)
    shapes = shape_menu(times, CallKinds("all", lanes=True), Limits()).hull
    assert shapes == (Shape(2, pytest.approx(0.02, rel=0.1), pytest.approx(0.01, rel=0.1)),)


def test_the_frontier_of_a_few_shapes() -> None:
    """In the order of slot-seconds whatever their rows; without those on or above the line of two others, or dear in both."""
    assert frontier([Shape(20, 0.1, 0.5), Shape(1, 0.3, 0.2)]) == (Shape(20, 0.1, 0.5), Shape(1, 0.3, 0.2))
    assert frontier([Shape(2, 0.1, 0.2), Shape(3, 0.2, 0.2)]) == (Shape(2, 0.1, 0.2),)
    assert frontier([Shape(1, 0.0, 2.0), Shape(2, 1.0, 1.0), Shape(3, 2.0, 0.0)]) == (
        Shape(1, 0.0, 2.0),
        Shape(3, 2.0, 0.0),
    )
    menu = [Shape(n, float(n), cost) for n, cost in enumerate((10.0, 6.0, 4.0, 3.5, 1.0))]
    assert [shape.rows for shape in frontier(menu)] == [0, 1, 2, 4]
