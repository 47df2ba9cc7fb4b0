"""Tests of the adaptive timeout: how long an answer is waited for."""

from __future__ import annotations

from purgeengine.core.limits.adaptive_timeout import QUICK_ANSWERS, AdaptiveTimeout


def test_a_wait_that_ran_out_doubles_the_next_up_to_a_bound() -> None:
    """A call that timed out doubles the next timeout up to the bound, and several that timed out together count once."""
    adaptive_timeout = AdaptiveTimeout(30.0, 120.0)
    for _ in range(16):
        adaptive_timeout.ran_out(0.0, 30.0)
    assert adaptive_timeout.current_s == 60.0
    adaptive_timeout.ran_out(30.0, 60.0)
    adaptive_timeout.ran_out(90.0, 120.0)
    assert adaptive_timeout.current_s == 120.0


def test_a_call_that_hung_while_others_were_answered_says_nothing() -> None:
    """A call that timed out changes nothing if another call was answered after it was sent."""
    adaptive_timeout = AdaptiveTimeout(30.0, 120.0)
    adaptive_timeout.answered(4.0, 5.0)
    adaptive_timeout.ran_out(0.0, 30.0)
    assert adaptive_timeout.current_s == 30.0
    adaptive_timeout.ran_out(6.0, 30.0)
    assert adaptive_timeout.current_s == 60.0


def test_quick_answers_in_a_row_halve_it_down_to_a_bound() -> None:
    """Quick answers in a row halve the timeout down to its lower bound."""
    adaptive_timeout = AdaptiveTimeout(30.0, 120.0)
    adaptive_timeout.ran_out(0.0, 30.0)
    for step in range(2 * QUICK_ANSWERS):
        adaptive_timeout.answered(40.0 + step, 41.0 + step)
    assert adaptive_timeout.current_s == 30.0


def test_a_slow_service_keeps_the_long_wait() -> None:
    """Answers after 65 s of 120 s keep the long timeout."""
    adaptive_timeout = AdaptiveTimeout(30.0, 120.0)
    adaptive_timeout.ran_out(0.0, 60.0)
    for step in range(100):
        adaptive_timeout.answered(65.0 * step, 65.0 * (step + 1))
    assert adaptive_timeout.current_s == 120.0
