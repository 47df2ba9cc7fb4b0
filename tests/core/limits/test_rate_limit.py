"""Tests of the token bucket: when it covers a batch, and how much it holds."""

from __future__ import annotations

from math import inf

import pytest

from purgeengine.core.limits.rate_limit import TokenBucket


def test_the_bucket_says_when_it_covers_a_batch() -> None:
    """The token bucket gives the time at which it covers a batch, and never holds more than its burst."""
    bucket = TokenBucket(10.0, 5.0, now=100.0)
    assert bucket.covers(5)
    assert not bucket.covers(6)
    bucket.spend(5)
    assert bucket.covers_at(1) == pytest.approx(100.1)
    assert bucket.covers_at(5) == pytest.approx(100.5)
    bucket.refill(100.2)
    assert bucket.covers_at(2) == pytest.approx(100.2)
    assert bucket.covers_at(4) == pytest.approx(100.4)
    bucket.refill(900.0)
    assert bucket.covers(5)
    assert not bucket.covers(6)


def test_a_bucket_that_gains_nothing_covers_what_it_holds_and_nothing_more() -> None:
    """At a rate of 0 it never covers more, is never full for a while, and gains again at another rate."""
    bucket = TokenBucket(10.0, 20.0, 0.0)
    bucket.spend(15)
    bucket.change(0.0, 20.0)
    bucket.refill(1_000.0)
    assert bucket.covers_at(5) == 1_000.0
    assert bucket.covers_at(6) == inf
    assert bucket.idle_s(2_000.0) == 0.0
    bucket.change(10.0, 20.0)
    assert bucket.covers_at(15) == pytest.approx(1_001.0)
