"""Tests of the adaptive timeout: how long an answer is waited for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purgeengine.core.limits.adaptive_timeout import (
    ANSWERS_TO_TRUST,
    FIRST_S,
    LONGEST_S,
    QUICK_ANSWERS,
    REMEMBERED,
    SHORTEST_IDLE_S,
    SHORTEST_S,
    AdaptiveTimeout,
)


def answered(*took_s: float, timeout: AdaptiveTimeout | None = None, now: float = 0.0) -> AdaptiveTimeout:
    """Return a timeout that has learned from answers which took these times, one after the other from ``now`` on."""
    timeout = timeout or AdaptiveTimeout()
    for one_s in took_s:
        timeout.answered(now, now + one_s)
        now += one_s
    return timeout


def waits(timeout: AdaptiveTimeout) -> tuple[float, float]:
    return timeout.current_s, timeout.idle_s


# ------------------------------------------------------------------------------------------------ what answers show


def test_until_eight_answers_are_known_the_first_wait_holds() -> None:
    """With seven answers both waits are thirty seconds, and the eighth makes them follow the slowest answer."""
    assert waits(AdaptiveTimeout()) == (FIRST_S, FIRST_S) == (30.0, 30.0)
    assert waits(answered(*[1.0] * (ANSWERS_TO_TRUST - 1))) == (30.0, 30.0)
    assert waits(answered(*[1.0] * ANSWERS_TO_TRUST)) == pytest.approx((1.5 + 10 / 8, 1.2 + 10 / 8))


def test_the_slowest_answer_decides_and_the_margin_shrinks_with_their_number() -> None:
    """One answer of three seconds decides, and after a hundred answers a tenth is added to the factor of one and a half."""
    assert waits(answered(3.0, *[0.5] * 99)) == pytest.approx((3.0 * 1.6, 3.0 * 1.3))
    assert waits(answered(*[0.5] * 99, 3.0)) == pytest.approx((3.0 * 1.6, 3.0 * 1.3))


def test_many_answers_bring_the_wait_below_twice_the_slowest() -> None:
    """From twenty answers on, a call that hangs is given up within twice the slowest answer, and sooner when idle."""
    timeout = answered(*[2.0] * 20)
    assert timeout.idle_s < timeout.current_s <= 4.0


def test_quick_services_have_a_shortest_wait() -> None:
    """However quick the answers are, a call gets a second, and half a second while nothing else can be sent."""
    assert waits(answered(*[0.01] * 50)) == (SHORTEST_S, SHORTEST_IDLE_S) == (1.0, 0.5)


def test_slow_answers_bring_it_no_further_than_the_first_wait() -> None:
    """While answers come, the wait is never longer than the first one."""
    assert waits(answered(*[50.0] * 30)) == (FIRST_S, FIRST_S)


def test_the_slowest_answer_is_forgotten_after_many_others() -> None:
    """A slow answer counts for at least five hundred further ones, and no longer after a thousand."""
    timeout = answered(10.0, *[1.0] * (REMEMBERED + 400))
    assert timeout.current_s > 10.0
    answered(*[1.0] * REMEMBERED, timeout=timeout)
    assert timeout.current_s == pytest.approx(1.5, abs=0.02)


@pytest.mark.parametrize("before", [0, 1, REMEMBERED - 2, REMEMBERED - 1, REMEMBERED])
def test_a_slow_answer_is_remembered_for_as_many_as_promised(before: int) -> None:
    """Wherever in the count a slow answer comes, it decides for the next five hundred answers, less one."""
    timeout = answered(*[1.0] * before, 10.0)
    for _ in range(REMEMBERED - 1):
        answered(1.0, timeout=timeout)
        assert timeout.current_s >= 10.0


# -------------------------------------------------------------------------------------------- a service that slows down


def test_a_wait_that_ran_out_doubles_the_next_up_to_a_bound() -> None:
    """Calls that ran out of time double the wait once for all that left together, up to two minutes."""
    timeout = AdaptiveTimeout()
    for _ in range(16):
        timeout.ran_out(0.0, 30.0)
    assert waits(timeout) == (60.0, 60.0)
    timeout.ran_out(29.9, 59.9)  # it left before the wait was doubled
    assert timeout.current_s == 60.0
    for sent_at in (30.0, 90.0, 210.0, 330.0):
        timeout.ran_out(sent_at, sent_at + timeout.current_s)
    assert waits(timeout) == (LONGEST_S, LONGEST_S) == (120.0, 120.0)


def test_a_learned_wait_doubles_too() -> None:
    """A wait of about one and a half seconds is doubled until it suits a service that has become much slower."""
    timeout, now, seen = answered(*[1.0] * REMEMBERED), float(REMEMBERED), []
    for _ in range(8):
        seen.append(timeout.current_s)
        timeout.ran_out(now, now + timeout.current_s)
        now += seen[-1]
    assert seen == pytest.approx([min(120.0, 1.52 * 2**n) for n in range(8)])


def test_a_call_that_hung_while_others_were_answered_says_nothing() -> None:
    """A call that timed out changes nothing if another call was answered after it was sent."""
    timeout = AdaptiveTimeout()
    timeout.answered(4.0, 5.0)
    timeout.ran_out(0.0, 30.0)
    assert timeout.current_s == 30.0
    timeout.ran_out(6.0, 36.0)
    assert timeout.current_s == 60.0


def test_an_answer_at_the_very_moment_of_sending_does_not_excuse_a_hang() -> None:
    """A call that is sent at the very time of an answer and then times out doubles the wait."""
    timeout = AdaptiveTimeout()
    timeout.answered(0.0, 5.0)
    timeout.ran_out(5.0, 35.0)
    assert timeout.current_s == 60.0


def test_late_answers_teach_the_wait_what_the_service_needs() -> None:
    """After the answers of calls that were given up, the wait is long enough for calls as slow as those."""
    timeout = answered(*[1.0] * 100)
    timeout.ran_out(100.0, 100.0 + timeout.current_s)
    for _ in range(4):
        timeout.answered(100.0, 108.0)
    assert timeout.current_s > 8.0


# ------------------------------------------------------------------------------------------------------- and back again


def stretched() -> AdaptiveTimeout:
    """Return a timeout that was doubled twice: to two minutes."""
    timeout = AdaptiveTimeout()
    timeout.ran_out(0.0, 30.0)
    timeout.ran_out(30.0, 90.0)
    assert timeout.current_s == 120.0
    return timeout


def test_quick_answers_in_a_row_halve_a_doubled_wait_down_to_what_it_was() -> None:
    """Each two quick answers halve a doubled wait, and further ones do not make it shorter than before."""
    timeout, seen = stretched(), []
    for _ in range(3 * QUICK_ANSWERS):
        answered(0.5, timeout=timeout, now=90.0)
        seen.append(timeout.current_s)
    assert seen == [120.0, 60.0, 60.0, 30.0, 30.0, 30.0]


def test_quick_answers_in_a_row_are_counted_from_zero() -> None:
    """A slow answer between two quick ones, or another doubling, makes the count begin again."""
    timeout = stretched()
    for took_s in (1.0, 31.0, 1.0):
        answered(took_s, timeout=timeout, now=100.0)
    assert timeout.current_s == 120.0
    timeout.ran_out(200.0, 320.0)
    answered(1.0, timeout=timeout, now=320.0)
    assert timeout.current_s == 120.0


def test_a_slow_service_keeps_the_long_wait() -> None:
    """Answers that need more than a quarter of a doubled wait do not halve it."""
    timeout = stretched()
    answered(*[31.0] * 10, timeout=timeout, now=100.0)
    assert timeout.current_s == 120.0


def test_an_answer_in_a_quarter_of_the_wait_is_quick() -> None:
    """An answer in exactly a quarter of the wait counts as quick."""
    timeout = stretched()
    answered(30.0, 30.0, timeout=timeout, now=100.0)
    assert timeout.current_s == 60.0


@given(
    st.lists(
        st.tuples(st.booleans(), st.floats(0, 500, allow_nan=False), st.floats(0, 500, allow_nan=False)), max_size=60
    )
)
def test_whatever_happens_the_waits_keep_their_bounds(events: list[tuple[bool, float, float]]) -> None:
    """Both waits stay between the shortest and the longest, and the idle one is never the longer one."""
    timeout, now = AdaptiveTimeout(), 0.0
    for is_answer, step_s, took_s in events:
        now += step_s
        if is_answer:
            timeout.answered(now - took_s, now)
        else:
            timeout.ran_out(now - took_s, now)
        assert SHORTEST_S <= timeout.current_s <= LONGEST_S
        assert SHORTEST_IDLE_S <= timeout.idle_s <= timeout.current_s


def test_a_call_during_which_the_machine_slept_says_nothing() -> None:
    """An answer after an hour shows that the process or its machine slept, and not how long the service needs."""
    timeout = AdaptiveTimeout()
    for _ in range(100):
        timeout.answered(0.0, 1.0)
    before = timeout.current_s
    timeout.answered(0.0, 3_600.0)
    assert timeout.current_s == before
