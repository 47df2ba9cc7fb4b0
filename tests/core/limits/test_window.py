"""Tests of the request window of a mailbox."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purgeengine.core.limits.window import Window


def test_it_spends_the_whole_limit_and_not_one_more() -> None:
    """With a limit of ten, ten requests leave at once and the eleventh waits for an answer."""
    window = Window(10, 600.0)
    window.sent(10)
    assert window.room(now=0.0) == 0
    assert window.opens_at(now=0.0) == float("inf")


def test_the_time_of_a_request_starts_with_its_answer() -> None:
    """A request counts from its answer: one answered at 30.5 s leaves the window of 600 s at 631 s."""
    window = Window(1, 600.0)
    window.sent(1)
    window.answered(1, 30.5)
    assert window.opens_at(now=31.0) == 631.0
    assert window.room(now=630.9) == 0
    assert window.room(now=631.0) == 1


def test_requests_that_never_arrived_are_given_back() -> None:
    """A request that never arrived is given back to the window."""
    window = Window(4, 600.0)
    window.sent(4)
    window.never_arrived(4)
    assert window.room(now=0.0) == 4


def test_answers_of_one_second_leave_together_and_later_ones_later() -> None:
    """Answers of the same second leave the window together, each after its whole length."""
    window = Window(20, 600.0)
    for requests, at in ((3, 5.2), (4, 5.7), (5, 8.0)):
        window.sent(requests)
        window.answered(requests, at)
    assert [window.room(now) for now in (605.9, 606.0, 608.9, 609.0)] == [8, 15, 15, 20]


def test_more_answers_than_requests_are_a_mistake_of_ours() -> None:
    """More answers than requests are refused as our mistake."""
    window = Window(20, 600.0)
    window.sent(2)
    window.sent(3)
    window.answered(5, 1.0)
    with pytest.raises(AssertionError):
        window.answered(1, 2.0)


def test_requests_of_an_earlier_process_count() -> None:
    """After a restart the window counts the requests of earlier runs, and may be over its limit."""
    window = Window(5, 600.0)
    window.restore(6, -100.0)
    assert window.room(now=0.0) == -1
    assert window.room(now=501.0) == 5
    window.restore(1, 500.0)
    window.restore(2, 501.0)
    assert window.room(now=502.0) == 2


@given(
    st.lists(st.tuples(st.floats(0, 30), st.integers(1, 5), st.floats(0, 8)), max_size=60),
    st.integers(5, 20),
)
def test_no_stretch_of_the_length_sees_more_than_the_limit(steps: list[tuple[float, int, float]], limit: int) -> None:
    """In any period of the window's length, the service sees at most the limit, wherever requests arrive before their answers."""
    window, now, arrivals = Window(limit, 60.0), 0.0, []
    for pause, wanted, takes in steps:
        now += pause
        count = min(wanted, max(0, window.room(now)))
        if count:
            window.sent(count)
            arrivals += [now, *[now + takes] * (count - 1)]
            now += takes
            window.answered(count, now)
    for start in arrivals:
        assert sum(start <= at < start + 60.0 for at in arrivals) <= limit
