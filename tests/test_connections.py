"""How many batches may be in flight: it grows while answers come as quickly as before, and falls at signs of load only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purgeengine.core.connections import CALLS_TO_COMPARE, START, Connections, rounds_to_grow

EXPECTED_S = 0.9


class Service:
    """Answers calls in rounds, each as many as are allowed."""

    def __init__(self, most: int) -> None:
        self.connections = Connections(most)
        self.now = 0.0

    def round(self, *, slower: float = 1.0, in_flight: int | None = None) -> int:
        """All calls in flight are sent now and answered together; answers the limit after it."""
        sent_at, limit = self.now, self.connections.limit
        self.now += EXPECTED_S * slower
        for _ in range(limit):
            self.connections.answered(
                self.now, sent_at, expected_s=EXPECTED_S, in_flight=limit if in_flight is None else in_flight
            )
        return self.connections.limit

    def refuse(self, status: int = 429, *, age_s: float = 0.0) -> int:
        """A call is refused that was sent so long ago."""
        self.connections.refused(self.now, self.now - age_s, status)
        return self.connections.limit


def test_it_starts_with_what_a_careful_person_would_allow_and_doubles() -> None:
    """16, 32, 64, 100, and no further."""
    service = Service(100)
    assert service.connections.limit == START == 16
    assert [service.round() for _ in range(4)] == [32, 64, 100, 100]
    assert Connections(4).limit == 4


def test_growing_costs_what_the_missing_calls_of_each_round_would_have_carried() -> None:
    """To 64: three quarters of the first round and half of the second. To 16 or fewer: nothing."""
    assert [rounds_to_grow(most) for most in (1, 16, 32, 64, 100)] == [
        0.0,
        0.0,
        0.5,
        1.25,
        pytest.approx(0.84 + 0.68 + 0.36),
    ]


def test_a_limit_that_is_not_reached_is_not_raised() -> None:
    """Where few mailboxes are left, nothing is learned about more connections."""
    service = Service(64)
    assert service.round(in_flight=15) == 16
    assert service.round(in_flight=16) == 32


@pytest.mark.parametrize("status", [429, 503, 504])
def test_a_refused_call_cuts_it_and_growth_is_slow_from_then_on(status: int) -> None:
    """64, then 44, then one sixteenth more a round."""
    service = Service(64)
    for _ in range(2):
        service.round()
    assert service.refuse(status) == 44
    service.now += 1.0
    assert [service.round() for _ in range(2)] == [46, 48]


@pytest.mark.parametrize("status", [400, 401, 403, 500, 502])
def test_trouble_of_another_kind_does_not_cut_it(status: int) -> None:
    """A failed call may be anything; only what speaks of load counts."""
    assert Service(64).refuse(status) == 16


def test_calls_sent_before_a_cut_do_not_cut_again() -> None:
    """All calls in flight may be refused at once, which is one sign and not many."""
    service = Service(64)
    service.round()
    assert service.refuse(age_s=0.5) == 22
    assert service.refuse(age_s=0.5) == 22
    service.now += 1.0
    assert service.refuse(age_s=0.5) == 15


def test_refusals_bring_it_down_to_one_and_no_further() -> None:
    """A service that allowed an app four calls in all would be met."""
    service = Service(64)
    limits = []
    for _ in range(12):
        service.now += 1.0
        limits.append(service.refuse())
    assert limits[-1] == 1
    assert [service.round() for _ in range(3)] == [2, 3, 4]


def test_slow_answers_stop_growth_and_then_cut_it_but_not_below_the_start() -> None:
    """From 1.25 times as slow as at best it stays, from 1.5 times it falls; 16 connections are not what makes a service slow."""
    service = Service(200)
    for _ in range(3):
        service.round()  # 16 + 32 + 64 calls: enough to compare with
    assert service.connections.limit == 128
    while service.connections.limit == 128 and service.now < 60:
        service.round(slower=2.0)
    assert service.connections.limit < 128
    for _ in range(60):
        service.round(slower=2.0)
    assert service.connections.limit == START


def test_a_few_slow_answers_prove_nothing() -> None:
    """Before there are enough to compare, and where only the kind of call has changed."""
    service = Service(64)
    assert service.round(slower=3.0) == 32
    assert CALLS_TO_COMPARE > 16 + 32
    for _ in range(10):
        service.round()
    service.connections.compare_anew()
    limit = service.connections.limit
    service.round(slower=2.0)
    assert service.connections.limit >= limit


def test_what_was_best_is_forgotten_in_time() -> None:
    """A service twice as slow as it was half an hour ago is as it is now, and may be asked for more."""
    service = Service(64)
    for _ in range(6):
        service.round()
    for _ in range(40):
        service.round(slower=2.0)
    assert service.connections.limit == START
    service.now += 3600.0
    for _ in range(60):
        service.round(slower=2.0)
    assert service.connections.limit == 64
    service.now += 1e12  # a machine that slept for ages
    service.round()


def test_until_a_sign_comes_all_are_expected() -> None:
    """The plan counts on what will be there, not on what is there in the first second."""
    service = Service(64)
    assert service.connections.expected == 64
    service.refuse()
    assert service.connections.expected == service.connections.limit == 11


@given(
    most=st.integers(1, 512),
    events=st.lists(
        st.tuples(
            st.sampled_from(["answered", "refused", "anew"]), st.floats(0, 1e4), st.floats(0, 1e4), st.integers(0, 512)
        )
    ),
)
def test_whatever_happens_it_stays_between_one_and_the_most(
    most: int, events: list[tuple[str, float, float, int]]
) -> None:
    """Any times, any number in flight."""
    connections, now = Connections(most), 0.0
    for what, step_s, took_s, in_flight in events:
        now += step_s
        if what == "answered":
            connections.answered(now, now - took_s, expected_s=EXPECTED_S, in_flight=in_flight)
        elif what == "refused":
            connections.refused(now, now - took_s, 429)
        else:
            connections.compare_anew()
        assert 1 <= connections.limit <= most
        assert connections.limit <= connections.expected <= most


def test_a_clock_that_stands_still_proves_nothing() -> None:
    """Answers in no time at all, then usual ones."""
    service = Service(64)
    for _ in range(4):
        service.round(slower=0.0)
    assert START <= service.round() <= 64
