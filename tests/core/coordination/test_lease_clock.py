"""Tests of how long a lease lasts: by the clock that says least, and by the newest question only."""

from __future__ import annotations

from math import inf

from purgeengine.core.coordination.lease_clock import Instant, LeaseClock


def test_a_lease_begins_with_the_answer_and_counts_from_the_question() -> None:
    """Before any answer there is none; twelve seconds of the way are lost."""
    clock = LeaseClock(30.0)
    assert clock.left_s(Instant(0.0, 0.0)) == -inf
    number = clock.ask(Instant(100.0, 5_000.0))
    assert clock.left_s(Instant(101.0, 5_001.0)) == -inf
    assert clock.granted(number)
    assert clock.left_s(Instant(112.0, 5_012.0)) == 18.0


def test_the_clock_that_says_less_is_right() -> None:
    """A sleep that one clock does not show, and a wall clock that was set forward, end the lease; one set back extends nothing."""
    clock = LeaseClock(30.0)
    clock.granted(clock.ask(Instant(100.0, 5_000.0)))
    assert clock.left_s(Instant(101.0, 5_040.0)) == -10.0
    assert clock.left_s(Instant(140.0, 5_001.0)) == -10.0
    assert clock.left_s(Instant(120.0, 1_400.0)) == 10.0


def test_only_the_answer_to_the_newest_question_counts() -> None:
    """A delayed answer extends nothing: by then, the coordinator may have counted the lease as over."""
    clock = LeaseClock(30.0)
    first = clock.ask(Instant(0.0, 0.0))
    second = clock.ask(Instant(20.0, 20.0))
    assert not clock.granted(first)
    assert clock.left_s(Instant(21.0, 21.0)) == -inf
    assert clock.granted(second)
    assert clock.left_s(Instant(21.0, 21.0)) == 29.0


def test_a_lease_that_was_ended_is_not_extended_by_what_was_asked_before() -> None:
    """An answer that is still on its way counts no more."""
    clock = LeaseClock(30.0)
    number = clock.ask(Instant(0.0, 0.0))
    clock.end()
    assert not clock.granted(number)
    assert clock.left_s(Instant(0.0, 0.0)) == -inf
