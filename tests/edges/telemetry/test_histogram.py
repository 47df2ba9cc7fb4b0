"""Tests of counting values in buckets."""

from __future__ import annotations

import math

from purgeengine.edges.telemetry.histogram import Histogram


def test_values_on_a_bound_belong_to_the_bucket_below_it() -> None:
    """A histogram counts a value on a bound as at most that bound, and values above all bounds in the last bucket."""
    spread = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 2.5, math.inf):
        spread.add(value)
    assert spread.counts == [2, 2, 2]


def test_what_came_since_a_copy_of_a_histogram_is_the_difference() -> None:
    """A copy stays as it was, and what came after it has its own counts and sum."""
    spread = Histogram((1.0, 2.0))
    spread.add(0.5)
    before = spread.copy()
    spread.add(1.5)
    spread.add(0.25)
    assert (before.counts, before.total) == ([1, 0, 0], 0.5)
    since = spread.since(before)
    assert (since.counts, since.total) == ([1, 1, 0], 1.75)
