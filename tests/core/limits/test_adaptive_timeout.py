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


def test_quick_answers_in_a_row_are_counted_from_zero() -> None:
    """The adaptive timeout is halved by quick answers in a row; a slow answer or a time-out resets the count."""
    adaptive_timeout = AdaptiveTimeout(10.0, 80.0)
    adaptive_timeout.answered(0.0, 1.0)
    adaptive_timeout.ran_out(2.0, 40.0)
    assert adaptive_timeout.current_s == 80.0
    adaptive_timeout.answered(100.0, 120.0)
    assert adaptive_timeout.current_s == 80.0
    adaptive_timeout.answered(120.0, 141.0)
    adaptive_timeout.answered(141.0, 161.0)
    assert adaptive_timeout.current_s == 80.0
    adaptive_timeout.answered(161.0, 181.0)
    assert adaptive_timeout.current_s == 40.0
    adaptive_timeout.answered(181.0, 190.0)
    assert adaptive_timeout.current_s == 40.0
    adaptive_timeout.answered(190.0, 200.0)
    assert adaptive_timeout.current_s == 20.0


def test_an_answer_at_the_very_moment_of_sending_does_not_excuse_a_hang() -> None:
    """An answer at the moment when a call was sent does not excuse that call: if it hangs, the timeout is doubled."""
    adaptive_timeout = AdaptiveTimeout(10.0, 80.0)
    adaptive_timeout.answered(1.0, 5.0)
    adaptive_timeout.ran_out(5.0, 10.0)
    assert adaptive_timeout.current_s == 20.0
