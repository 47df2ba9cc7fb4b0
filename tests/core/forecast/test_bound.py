"""Tests of the lower bound: which limit sets it, and that the figures that it is made of are right."""

from __future__ import annotations

import random
from itertools import pairwise
from math import exp, inf, log, sqrt

import pytest

from purgeengine.core.forecast.bound import (
    USUAL,
    Bound,
    Dispatch,
    Latency,
    Shape,
    bound,
    by_rows,
    connection_s_a_row,
    drawn_in_fours_s,
    frontier,
    shapes,
)
from purgeengine.run_limits import Limits
from tests.support.plain_times import FULL_CALL_S, LANE_ROW_S, WIDE_CALL_S, Root

SIXTEEN = Limits(connections=16)


@pytest.mark.parametrize(("items", "seconds"), [(1, 0.132), (4, 0.291), (20, 0.602)])
def test_the_slowest_of_several_items_takes_as_long_as_drawn_ones(items: int, seconds: float) -> None:
    """The expected time of the slowest of several items agrees with random draws to two per cent."""
    rng = random.Random(items)
    drawn = [max(min(5.0, rng.lognormvariate(log(0.08), 1.0)) for _ in range(items)) for _ in range(20_000)]
    assert USUAL.longest_of_s(items) == pytest.approx(sum(drawn) / len(drawn), rel=0.02)
    assert USUAL.longest_of_s(items) == pytest.approx(seconds, rel=0.01)


def test_twenty_items_four_at_a_time_take_longer_than_all_at_once_and_less_than_in_turn() -> None:
    """Twenty items, four at a time, take longer than all at once and less than one by one.

    For up to four there is no difference.
    """
    assert USUAL.in_fours_s(20) == pytest.approx(0.878, rel=0.02)
    assert USUAL.longest_of_s(20) < USUAL.in_fours_s(20) < 20 * USUAL.item_s
    assert USUAL.in_fours_s(4) == USUAL.longest_of_s(4)


def test_only_shapes_that_no_mixture_beats_are_on_the_frontier() -> None:
    """On a service that runs whole batches at once, the frontier has the lane and then batches of six or more rows."""
    hull = frontier(shapes(USUAL, "all"))
    assert [shape.rows for shape in hull][:2] == [0, 6]
    assert hull[-1].rows == 20
    for left, right in pairwise(hull):
        assert left.slot_s < right.slot_s
        assert left.connection_s > right.connection_s


def test_between_two_shapes_lies_their_mixture() -> None:
    """The cost between two shapes is that of their mixture, and nothing is quicker than the quickest shape."""
    hull = (Shape(0, 0.2, 0.2), Shape(20, 0.6, 0.1))
    assert connection_s_a_row(hull, 0.4) == pytest.approx(0.15)
    assert connection_s_a_row(hull, 9.0) == 0.1
    assert connection_s_a_row(hull, 0.1) == inf


@pytest.mark.parametrize(
    ("job", "limits", "which"),
    [
        ([2_000], SIXTEEN, "slots_s"),
        ([50_000], SIXTEEN, "window_s"),
        ([10] * 100_000, SIXTEEN, "connections_s"),
        ([10] * 100_000, Limits(connections=512, requests_per_s=2_000), "app_s"),
        ([5_000] * 20, SIXTEEN, "coupled_s"),
    ],
)
def test_each_limit_decides_some_job(job: list[int], limits: Limits, which: str) -> None:
    """Each limit decides one kind of job: a large mailbox, one over its window, many small ones, a slow app, few mailboxes."""
    bounds = bound(by_rows(job), limits, USUAL, "all")
    assert getattr(bounds, which) == pytest.approx(bounds.least_s, rel=0.03)


def test_more_connections_never_make_a_job_longer_nor_more_rows_shorter() -> None:
    """More connections never make a random job longer, and more rows never make it shorter."""
    rng = random.Random(5)
    for _ in range(20):
        job = [round(exp(rng.uniform(0, 9))) for _ in range(rng.randint(1, 40))]
        for dispatch in ("four", "all"):
            least = [bound(by_rows(job), Limits(connections=c), USUAL, dispatch).least_s for c in (4, 16, 64)]
            assert least == sorted(least, reverse=True)
            more = bound(by_rows([*job, 100]), Limits(connections=16), USUAL, dispatch).least_s
            assert more >= least[1] * (1 - 1e-9)


def test_nothing_to_do_takes_no_time() -> None:
    """An empty job has a bound of 0 s."""
    assert bound({}, Limits()).least_s == 0.0


def test_the_usual_times_of_calls_are_what_drawing_them_gives() -> None:
    """The stored times of calls of 5 to 20 items equal drawn ones; those of other latencies are drawn."""
    for items in (5, 12, 20):
        assert USUAL.in_fours_s(items) == pytest.approx(drawn_in_fours_s(USUAL, items), abs=0.00006)
    assert USUAL.in_fours_s(21) == drawn_in_fours_s(USUAL, 21)
    slower = Latency(item_median_s=0.16, item_s_max=10.0)
    assert slower.in_fours_s(20) == pytest.approx(2 * USUAL.in_fours_s(20), rel=0.02)
    assert [USUAL.in_fours_s(items) for items in (5, 20)] == [0.3308, 0.8818]  # to the last digit: stored and not drawn


def test_the_calls_worth_making_on_either_service() -> None:
    """The shapes on a service that runs whole batches are a lane and batches of any size.

    Where four rows run at a time, they are a lane, a full batch that holds all slots, and batches of one, two or four
    rows.
    """
    lane = Shape(0, LANE_ROW_S, LANE_ROW_S)
    singly = [Shape(n, 0.06 + 0.1 * sqrt(n), (0.06 + 0.1 * sqrt(n)) / n) for n in range(1, 21)]
    assert shapes(Root(), "all") == (lane, *singly)
    assert shapes(Root(), "all", items_max=2) == (Shape(0, 0.1 + 0.03, 0.1 + 0.03), *singly[:2])
    assert shapes(Root(), "four") == (
        lane,
        Shape(20, 4 * WIDE_CALL_S / 20, WIDE_CALL_S / 20),
        *(singly[n - 1] for n in (1, 2, 4)),
    )


def test_the_frontier_of_a_few_shapes() -> None:
    """The frontier orders shapes by slot-seconds, and leaves out those on or above the line between two others."""
    assert frontier([Shape(20, 0.1, 0.5), Shape(1, 0.3, 0.2)]) == (Shape(20, 0.1, 0.5), Shape(1, 0.3, 0.2))
    assert frontier([Shape(2, 0.1, 0.2), Shape(3, 0.2, 0.2)]) == (Shape(2, 0.1, 0.2),)
    assert frontier([Shape(1, 0.0, 2.0), Shape(2, 1.0, 1.0), Shape(3, 2.0, 0.0)]) == (
        Shape(1, 0.0, 2.0),
        Shape(3, 2.0, 0.0),
    )
    menu = [Shape(n, float(n), cost) for n, cost in enumerate((10.0, 6.0, 4.0, 3.5, 1.0))]
    assert [shape.rows for shape in frontier(menu)] == [0, 1, 2, 4]
    assert connection_s_a_row(frontier(menu), 0.0) == 10.0
    assert connection_s_a_row(frontier(menu), 1.0) == 6.0


@pytest.mark.parametrize(
    ("largest", "window_s"),
    [(1, 0.025), (10_000, 250.0), (10_001, 600.025), (20_000, 850.0), (20_001, 1_200.025)],
)
def test_the_bounds_of_a_job(largest: int, window_s: float) -> None:
    """Each part of the bound equals its calculation by hand: slots, request windows, connections and the app's rate."""
    bounds = bound(by_rows([largest, *[1] * 999]), Limits(connections=16, requests_per_s=500), Root(), "all")
    rows = largest + 999
    assert bounds.slots_s == pytest.approx(largest * 0.1 / 4)
    assert bounds.window_s == pytest.approx(window_s)
    assert bounds.connections_s == pytest.approx(rows * FULL_CALL_S / 20 / 16)
    assert bounds.app_s == pytest.approx(rows / 500)


@pytest.mark.parametrize("dispatch", ["all", "four"])
@pytest.mark.parametrize(
    "job", [{1: 1}, {2_000: 1}, {5_000: 20}, {10: 3_000, 5_000: 20, 9_000: 2}, {19: 1, 20: 1, 21: 1}]
)
@pytest.mark.parametrize("items_max", [20, 8])
def test_connections_just_suffice_for_the_coupled_bound(
    job: dict[int, int], dispatch: Dispatch, items_max: int
) -> None:
    """In the coupled bound's time the connection-seconds just suffice, and in a millionth less they do not."""
    limits = Limits(connections=16, batch_items_max=items_max)
    hull = frontier(shapes(Root(), dispatch, items_max))
    coupled_s = bound(job, limits, Root(), dispatch).coupled_s

    def needed(least_s: float) -> float:
        return sum(size * count * connection_s_a_row(hull, 4 * least_s / size) for size, count in job.items())

    assert needed(coupled_s * (1 + 1e-9)) <= 16 * coupled_s * (1 + 1e-9)
    assert needed(coupled_s * (1 - 1e-6)) > 16 * coupled_s * (1 - 1e-6)


def test_the_least_time_is_the_greatest_bound() -> None:
    """The least time is the greatest of the five bounds."""
    for place in range(5):
        assert Bound(*(9.0 if n == place else 1.0 for n in range(5))).least_s == 9.0
