"""The least time that any schedule can take: what sets it, and that what it is made of is right."""

from __future__ import annotations

import random
from itertools import pairwise
from math import exp, inf, log

import pytest

from purgeengine.config import Limits
from purgeengine.core.bound import (
    USUAL,
    Latency,
    Shape,
    bound,
    by_rows,
    connection_s_a_row,
    drawn_in_fours_s,
    frontier,
    shapes,
)

SIXTEEN = Limits(connections=16)


@pytest.mark.parametrize(("items", "seconds"), [(1, 0.132), (4, 0.291), (20, 0.602)])
def test_the_slowest_of_several_items_takes_as_long_as_drawn_ones(items: int, seconds: float) -> None:
    """The integral agrees with draws from the distribution, to two per cent."""
    rng = random.Random(items)
    drawn = [max(min(5.0, rng.lognormvariate(log(0.08), 1.0)) for _ in range(items)) for _ in range(20_000)]
    assert USUAL.longest_of_s(items) == pytest.approx(sum(drawn) / len(drawn), rel=0.02)
    assert USUAL.longest_of_s(items) == pytest.approx(seconds, rel=0.01)


def test_twenty_items_four_at_a_time_take_longer_than_all_at_once_and_less_than_in_turn() -> None:
    """0.88 s at usual latency, and for up to four nothing changes."""
    assert USUAL.in_fours_s(20) == pytest.approx(0.878, rel=0.02)
    assert USUAL.longest_of_s(20) < USUAL.in_fours_s(20) < 20 * USUAL.item_s
    assert USUAL.in_fours_s(4) == USUAL.longest_of_s(4)


def test_only_shapes_that_no_mixture_beats_are_on_the_frontier() -> None:
    """On a service that runs all at once: the lane first, then batches from six rows on; single rows are never worth a call."""
    hull = frontier(shapes(USUAL, "all"))
    assert [shape.rows for shape in hull][:2] == [0, 6]
    assert hull[-1].rows == 20
    for left, right in pairwise(hull):
        assert left.slot_s < right.slot_s
        assert left.connection_s > right.connection_s


def test_between_two_shapes_lies_their_mixture() -> None:
    """Half way in slot-seconds is half way in connection-seconds; quicker than the quickest cannot be had."""
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
    """One large mailbox, one over its window, many small ones, a slow app, and few mailboxes on few connections."""
    bounds = bound(by_rows(job), limits, USUAL, "all")
    assert getattr(bounds, which) == pytest.approx(bounds.least_s, rel=0.03)


def test_more_connections_never_make_a_job_longer_nor_more_rows_shorter() -> None:
    """Over random jobs, on both services."""
    rng = random.Random(5)
    for _ in range(20):
        job = [round(exp(rng.uniform(0, 9))) for _ in range(rng.randint(1, 40))]
        for dispatch in ("four", "all"):
            least = [bound(by_rows(job), Limits(connections=c), USUAL, dispatch).least_s for c in (4, 16, 64)]  # type: ignore[arg-type]
            assert least == sorted(least, reverse=True)
            more = bound(by_rows([*job, 100]), Limits(connections=16), USUAL, dispatch).least_s  # type: ignore[arg-type]
            assert more >= least[1] * (1 - 1e-9)


def test_nothing_to_do_takes_no_time() -> None:
    """An empty job has no bound."""
    assert bound({}, Limits()).least_s == 0.0


def test_the_usual_times_of_calls_are_what_drawing_them_gives() -> None:
    """They stand in the code as figures, for 5 to 20 items; those of other latencies are drawn."""
    for items in (5, 12, 20):
        assert USUAL.in_fours_s(items) == pytest.approx(drawn_in_fours_s(USUAL, items), abs=0.00006)
    assert USUAL.in_fours_s(21) == drawn_in_fours_s(USUAL, 21)
    slower = Latency(item_median_s=0.16, item_s_max=10.0)
    assert slower.in_fours_s(20) == pytest.approx(2 * USUAL.in_fours_s(20), rel=0.02)
