"""Tests of the lower bound: which limit sets it, and that no schedule of the model is faster."""

from __future__ import annotations

import random
from itertools import combinations
from math import exp, inf, sqrt

import pytest

from purgeengine.core.forecast.bound import Bound, bound, by_rows, coupled_s
from purgeengine.core.forecast.latency import USUAL, Dispatch
from purgeengine.core.forecast.shapes import Shape
from purgeengine.run_limits import Limits
from tests.support.plain_times import FULL_CALL_S, LANE_ROW_S, Root

SIXTEEN = Limits(connections=16)


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
    """Each limit sets the bound of some job, such as one large mailbox, many small ones, or a slow app."""
    bounds = bound(by_rows(job), limits, USUAL, "all")
    assert getattr(bounds, which) == pytest.approx(bounds.least_s, rel=0.03)


def test_more_connections_never_make_a_job_longer_nor_more_rows_shorter() -> None:
    """Over random jobs, more connections never raise the bound, and more rows never lower it."""
    rng = random.Random(5)
    for _ in range(20):
        job = [round(exp(rng.uniform(0, 9))) for _ in range(rng.randint(1, 40))]
        for dispatch in ("four", "all"):
            least = [bound(by_rows(job), Limits(connections=c), USUAL, dispatch).least_s for c in (4, 16, 64)]
            assert least == sorted(least, reverse=True)
            more = bound(by_rows([*job, 100]), Limits(connections=16), USUAL, dispatch).least_s
            assert more >= least[1] * (1 - 1e-9)


def test_nothing_to_do_takes_no_time() -> None:
    """An empty job has no bound."""
    assert bound({}, Limits()).least_s == 0.0


@pytest.mark.parametrize(
    ("largest", "window_s"),
    [(1, 0.025), (10_000, 250.0), (10_001, 600.025), (20_000, 850.0), (20_001, 1_200.025)],
)
def test_the_bounds_of_a_job(largest: int, window_s: float) -> None:
    """Each bound equals a value worked out by hand: slots, request window, connections, and the rate of the app."""
    bounds = bound(by_rows([largest, *[1] * 999]), Limits(connections=16, requests_per_s=500), Root(), "all")
    rows = largest + 999
    assert bounds.slots_s == pytest.approx(largest * 0.1 / 4)
    assert bounds.window_s == pytest.approx(window_s)
    assert bounds.connections_s == pytest.approx(rows * FULL_CALL_S / 20 / 16)
    assert bounds.app_s == pytest.approx(rows / 500)


def least_connection_s(menu: list[Shape], slot_s: float) -> float:
    """Return the fewest connection-seconds of a row with this many slot-seconds, by trying all shapes and mixtures of two."""
    quick = [shape for shape in menu if shape.slot_s <= slot_s * (1 + 1e-12)]
    found = [shape.connection_s for shape in quick]
    for one, other in combinations(menu, 2):
        if one.slot_s != other.slot_s and 0 <= (share := (slot_s - one.slot_s) / (other.slot_s - one.slot_s)) <= 1:
            found.append(one.connection_s + share * (other.connection_s - one.connection_s))
    return min(found, default=inf)


def halved_s(rows_by_size: dict[int, int], menu: list[Shape], connections: int) -> float:
    """Return the time in which the connection-seconds just fit, found by halving an interval."""
    low, high = 0.0, 1e6
    for _ in range(80):
        middle = (low + high) / 2
        needed_s = sum(rows * least_connection_s(menu, 4 * middle / size) for size, rows in rows_by_size.items())
        low, high = (low, middle) if needed_s <= connections * middle else (middle, high)
    return high


@pytest.mark.parametrize("dispatch", ["all", "four"])
@pytest.mark.parametrize(
    "job", [{1: 1}, {2_000: 1}, {5_000: 20}, {10: 3_000, 5_000: 20, 9_000: 2}, {19: 1, 20: 1, 21: 1}]
)
@pytest.mark.parametrize("items_max", [20, 8])
def test_connections_just_suffice_for_the_coupled_bound(
    job: dict[int, int], dispatch: Dispatch, items_max: int
) -> None:
    """The coupled bound is the time found by trying every shape and every mixture of two, and halving an interval."""
    limits = Limits(connections=16, batch_items_max=items_max)
    lane_row_s = 0.1 + 0.06 / items_max
    menu = [Shape(0, lane_row_s, lane_row_s)]
    for rows in range(1, items_max + 1):
        call_s = 0.06 + (0.1 * sqrt(rows) if dispatch == "all" or rows <= 4 else 0.1 * rows / 4)
        at_once = rows if dispatch == "all" else min(rows, 4)
        menu.append(Shape(rows, at_once * call_s / rows, call_s / rows))
    rows_by_size = {size: size * count for size, count in job.items()}
    assert bound(job, limits, Root(), dispatch).coupled_s == pytest.approx(halved_s(rows_by_size, menu, 16), rel=1e-9)


def test_random_jobs_on_random_hulls_take_as_long_as_halving_an_interval_finds() -> None:
    """For a hundred random jobs on random hulls, the coupled bound is the time found by halving an interval."""
    rng = random.Random(9)
    for _ in range(100):
        slot_s, slope, connection_s = rng.uniform(0.05, 0.5), rng.uniform(0.5, 2.0), 5.0
        hull = []
        for rows in range(rng.randint(1, 8)):
            hull.append(Shape(rows, slot_s, connection_s))
            step_s = rng.uniform(0.01, 0.3)
            slot_s, connection_s = slot_s + step_s, connection_s - step_s * slope
            slope *= rng.uniform(0.3, 0.99)
        job = {rng.randint(1, 20_000): rng.randint(1, 50_000) for _ in range(rng.randint(1, 10))}
        connections = rng.randint(1, 64)
        assert coupled_s(job, tuple(hull), connections, 4) == pytest.approx(halved_s(job, hull, connections), rel=1e-9)


def test_nothing_takes_no_time_whatever_carries_it() -> None:
    """Without rows the coupled bound is 0."""
    assert coupled_s({}, (Shape(0, LANE_ROW_S, LANE_ROW_S),), 16, 4) == 0.0


def test_the_least_time_is_the_greatest_bound() -> None:
    """The lower bound is the greatest of the bounds, whichever that is."""
    for place in range(5):
        assert Bound(*(9.0 if n == place else 1.0 for n in range(5))).least_s == 9.0
