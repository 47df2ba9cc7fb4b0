"""Tests of the assumed latencies, against draws from their distribution."""

from __future__ import annotations

import random
from math import log

import pytest

from purgeengine.core.forecast.latency import USUAL, Latency, drawn_in_fours_s


@pytest.mark.parametrize(("items", "seconds"), [(1, 0.132), (4, 0.291), (20, 0.602)])
def test_the_slowest_of_several_items_takes_as_long_as_drawn_ones(items: int, seconds: float) -> None:
    """The integral agrees with draws from the distribution, to two per cent."""
    rng = random.Random(items)
    drawn = [max(min(5.0, rng.lognormvariate(log(0.08), 1.0)) for _ in range(items)) for _ in range(20_000)]
    assert USUAL.longest_of_s(items) == pytest.approx(sum(drawn) / len(drawn), rel=0.02)
    assert USUAL.longest_of_s(items) == pytest.approx(seconds, rel=0.01)


def test_twenty_items_four_at_a_time_take_longer_than_all_at_once_and_less_than_in_turn() -> None:
    """Twenty items four at a time take 0.88 s at usual latency; for up to four items both ways take the same time."""
    assert USUAL.in_fours_s(20) == pytest.approx(0.878, rel=0.02)
    assert USUAL.longest_of_s(20) < USUAL.in_fours_s(20) < 20 * USUAL.item_s
    assert USUAL.in_fours_s(4) == USUAL.longest_of_s(4)


def test_the_usual_times_of_calls_are_what_drawing_them_gives() -> None:
    """The usual times for 5 to 20 items stand in the code as figures that drawing confirms; others are drawn."""
    for items in (5, 12, 20):
        assert USUAL.in_fours_s(items) == pytest.approx(drawn_in_fours_s(USUAL, items), abs=0.00006)
    assert USUAL.in_fours_s(21) == drawn_in_fours_s(USUAL, 21)
    slower = Latency(item_median_s=0.16, item_s_max=10.0)
    assert slower.in_fours_s(20) == pytest.approx(2 * USUAL.in_fours_s(20), rel=0.02)
    assert [USUAL.in_fours_s(items) for items in (5, 20)] == [
        0.3308,
        0.8818,
    ]  # exactly these figures, because they are not drawn


def test_a_call_takes_its_overhead_and_its_items_as_the_service_runs_them() -> None:
    """With 0.2 s an item and 0.1 s a call, twenty items take 0.3 s at once, 1.1 s in fours, and 4.1 s in a lane."""
    even = Latency(overhead_s=0.1, item_median_s=0.2, item_sigma=1e-9)
    found = even.batch_s(20, "all"), even.batch_s(20, "four"), even.lane_s(20)
    assert found == pytest.approx((0.3, 1.1, 4.1), rel=1e-3)
