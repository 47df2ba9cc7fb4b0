"""Tests of the expected times of calls, against closed forms and against services that are played call by call."""

from __future__ import annotations

import random
from heapq import heapreplace
from math import exp, sqrt

import pytest

from purgeengine.core.forecast.call_times import CallTimes
from purgeengine.core.forecast.latency import USUAL, Dispatch, Latency
from tests.support.plain_times import Root

EVEN = Latency(overhead_s=0.1, item_median_s=0.2, item_sigma=1e-9)
"""Every row takes 0.2 s and every call 0.1 s. Twenty rows take 0.3 s at once, 1.1 s four at a time, and 4.1 s in a lane."""


def test_calls_take_what_is_assumed_until_they_are_timed() -> None:
    """Until a call is timed, every kind takes what is assumed, for both ways in which a service runs a batch."""
    times = CallTimes(20, Root())
    assert not times.timed
    for size in range(1, 21):
        in_s = 0.1 * sqrt(size) if size <= 4 else 0.1 * size / 4
        assert times.batch_s(size, "all") == pytest.approx(0.06 + 0.1 * sqrt(size))
        assert times.batch_s(size, "four") == pytest.approx(0.06 + in_s if size > 4 else 0.06 + 0.025 * size)
    for dispatch in ("all", "four"):
        assert times.lane_row_s(dispatch) == pytest.approx(0.1 + 0.06 / 20)
        assert times.item_s(dispatch) == pytest.approx(0.1)


@pytest.mark.parametrize("dispatch", ["all", "four"])
@pytest.mark.parametrize("slower", [0.3, 1.0, 5.0])
def test_a_service_that_is_so_many_times_slower_is_known_to_be_from_its_first_call(
    slower: float, dispatch: Dispatch
) -> None:
    """If a service is slower by one factor for all calls, the first call of any kind gives the right times of all kinds."""
    rng = random.Random(3)
    for calls in (1, 2, 50):
        times = CallTimes(20, EVEN, remembered=20)
        for _ in range(calls):
            rows = rng.choice((1, 4, 9, 20))
            if rng.random() < 0.5:
                times.lane_answered(rows, slower * (0.1 + 0.2 * rows))
            else:
                times.batch_answered(rows, slower * EVEN.batch_s(rows, dispatch))
        assert times.timed
        for rows in (1, 20):
            assert times.batch_s(rows, dispatch) == pytest.approx(slower * EVEN.batch_s(rows, dispatch), rel=1e-3)
        assert times.lane_row_s(dispatch) == pytest.approx(slower * 0.205, rel=1e-3)
        assert times.item_s(dispatch) == pytest.approx(slower * 0.2, rel=1e-3)


def test_a_kind_has_its_own_slowness_as_far_as_it_was_timed() -> None:
    """After forty calls, half of a kind's slowness is its own and half is that of all batches.

    Forty calls of 20 rows take what is assumed (0.56 s), and forty of 10 rows four times that (0.31 s assumed). All took (22.4 +
    49.6) / (22.4 + 12.4) = 60/29 as long as assumed.
    """
    times = CallTimes(20, Root())
    for _ in range(40):
        times.batch_answered(20, 0.56)
        times.batch_answered(10, 4 * 0.31)
    assert times.batch_s(20, "four") == pytest.approx(0.56 * (1 + 60 / 29) / 2)
    assert times.batch_s(10, "four") == pytest.approx(0.31 * (4 + 60 / 29) / 2)
    assert times.batch_s(15, "four") == pytest.approx(0.435 * 60 / 29)
    assert times.lane_row_s("four") == pytest.approx(0.103 * 60 / 29)


def test_lanes_are_timed_by_their_rows() -> None:
    """A lane that broke after its second row counts by two rows, and gives the same slowness as a full lane."""
    for lanes in ([20], [2], [20, 10, 2, 1]):
        times = CallTimes(20, EVEN)
        for rows in lanes:
            times.lane_answered(rows, 1.5 * (0.1 + rows * 0.2))
        assert times.lane_row_s("four") == pytest.approx(1.5 * 0.205, rel=1e-3)


def test_a_lane_counts_by_how_much_of_a_full_one_it_was() -> None:
    """Short lanes weigh by their share of a full lane: 200 of one row (0.16 s) weigh as much as 15.5 full ones (2.06 s)."""
    times = CallTimes(20, Root())
    for _ in range(100):
        times.batch_answered(20, 0.56)
    for _ in range(200):
        times.lane_answered(1, 2 * 0.16)
    full = 200 * 0.16 / 2.06
    assert times.lane_row_s("four") == pytest.approx(0.103 * (40 * 1 + 2 * full) / (40 + full))
    assert times.batch_s(20, "four") == pytest.approx(0.56)


def test_in_the_end_the_mean_of_a_kind_is_its_own() -> None:
    """After ten thousand calls, each size has its own mean: one twice as fast as assumed, the other three times slower."""
    times = CallTimes(20, Root())
    for _ in range(10_000):
        times.batch_answered(20, 0.28)
        times.batch_answered(10, 0.93)
    assert times.batch_s(20, "four") == pytest.approx(0.28, rel=1e-2)
    assert times.batch_s(10, "four") == pytest.approx(0.93, rel=1e-2)


def test_older_answers_fade() -> None:
    """With 500 answers remembered, 500 calls of 3 s leave 2,000 earlier ones of 1 s a share of 1 / e. Lanes fade alike."""
    old, new = exp(-1) * (1 - exp(-4)), 1 - exp(-1)
    mean = (old + 3 * new) / (old + new)
    batches, lanes, whole_run = CallTimes(20, EVEN, 500), CallTimes(20, EVEN, 500), CallTimes(20, EVEN)
    for duration_s, calls in ((1.0, 2_000), (3.0, 500)):
        for _ in range(calls):
            batches.batch_answered(20, duration_s)
            lanes.lane_answered(20, duration_s)
            whole_run.batch_answered(20, duration_s)
    assert batches.batch_s(20, "four") == pytest.approx(mean, rel=1e-3)
    assert batches.batch_s(7, "all") / EVEN.batch_s(7, "all") == pytest.approx(mean / 0.3, rel=1e-3)
    assert lanes.lane_row_s("four") == pytest.approx(mean / 20, rel=1e-3)
    assert whole_run.batch_s(20, "four") == pytest.approx((2_000 + 3 * 500) / 2_500)


def played_s(rng: random.Random, rows: int, at_once: int, median_s: float) -> float:
    """Return the seconds of one played call: 0.1 s and lognormal items, of which this many run at a time."""
    ends = [0.0] * min(at_once, rows)
    for _ in range(rows):
        heapreplace(ends, ends[0] + median_s * rng.lognormvariate(0.0, 1.0))
    return 0.1 + max(ends)


@pytest.mark.parametrize(("dispatch", "at_once"), [("four", 4), ("all", 20)])
def test_a_service_of_other_latencies_is_learned(dispatch: Dispatch, at_once: int) -> None:
    """Times of a service with a median of 0.2 s instead of 0.08 s are learned.

    A kind that was timed a thousand times is right to a twentieth, and all other kinds to a sixth. The truth is the mean of as
    many other played calls.
    """
    rng = random.Random(11)
    times = CallTimes(20)
    timed, others = (20, 12, 6), (3, 9, 16)
    for _ in range(1_000):
        for rows in timed:
            times.batch_answered(rows, played_s(rng, rows, at_once, 0.2))
        times.lane_answered(20, played_s(rng, 20, 1, 0.2))
    truth_s = {rows: sum(played_s(rng, rows, at_once, 0.2) for _ in range(1_500)) / 1_500 for rows in (*timed, *others)}
    lane_row_s = sum(played_s(rng, 20, 1, 0.2) for _ in range(1_500)) / 1_500 / 20
    for rows in timed:
        assert times.batch_s(rows, dispatch) == pytest.approx(truth_s[rows], rel=1 / 20)
    for rows in others:
        assert times.batch_s(rows, dispatch) == pytest.approx(truth_s[rows], rel=1 / 6)
    assert times.lane_row_s(dispatch) == pytest.approx(lane_row_s, rel=1 / 20)


def test_few_calls_of_a_size_are_not_believed_beyond_what_they_show() -> None:
    """If a service is well known, the time of a size with three calls has a third of the error of their own mean (150 trials)."""
    rng = random.Random(5)
    truth_s = USUAL.overhead_s + USUAL.longest_of_s(6)
    error = own_error = 0.0
    for _ in range(150):
        times, own_s = CallTimes(20), 0.0
        for _ in range(60):
            times.batch_answered(20, played_s(rng, 20, 20, 0.08) - 0.04)
        for _ in range(3):
            took_s = played_s(rng, 6, 20, 0.08) - 0.04
            own_s += took_s / 3
            times.batch_answered(6, took_s)
        error += (times.batch_s(6, "all") - truth_s) ** 2
        own_error += (own_s - truth_s) ** 2
    assert sqrt(error) < sqrt(own_error) / 3
