"""Tests of the concurrency limit: it grows while answers stay quick, and falls only at signs of load."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purgeengine.core.limits.concurrency_limit import CALLS_TO_COMPARE, START, ConcurrencyLimit, rounds_to_grow

EXPECTED_S = 0.9
TAKEN_FOR_CHANCE = 9
"""Refused calls in a row, after none was refused, that are less than a quarter of the calls of late."""


class Service:
    """A service that answers calls in rounds, each with as many calls as are allowed."""

    def __init__(self, most: int) -> None:
        self.connections = ConcurrencyLimit(most)
        self.now = 0.0

    def round(self, *, slower: float = 1.0, in_flight: int | None = None) -> int:
        """Send and answer all calls of one round, and return the limit after it."""
        sent_at, limit = self.now, self.connections.limit
        self.now += EXPECTED_S * slower
        for _ in range(limit):
            self.connections.answered(
                self.now, sent_at, expected_s=EXPECTED_S, in_flight=limit if in_flight is None else in_flight
            )
        return self.connections.limit

    def refuse(self, status: int = 429, *, age_s: float = 0.0) -> int:
        """Refuse a call that was sent this long ago, and return the limit after it."""
        self.connections.refused(self.now, self.now - age_s, status)
        return self.connections.limit

    def refuse_many(self) -> None:
        """Refuse as many calls as are still taken for chance, so that the next refusal cuts."""
        limit = self.connections.limit
        for _ in range(TAKEN_FOR_CHANCE):
            assert self.refuse() == limit


def test_it_starts_with_what_a_careful_person_would_allow_and_doubles() -> None:
    """The limit starts at 16 and doubles each round up to the most."""
    service = Service(100)
    assert service.connections.limit == START == 16
    assert [service.round() for _ in range(4)] == [32, 64, 100, 100]
    assert ConcurrencyLimit(4).limit == 4


def test_growing_costs_what_the_missing_calls_of_each_round_would_have_carried() -> None:
    """Growing to 64 costs three quarters of a round and half of one; growing to 16 or fewer costs nothing."""
    assert [rounds_to_grow(most) for most in (1, 16, 32, 64, 100)] == [
        0.0,
        0.0,
        0.5,
        1.25,
        pytest.approx(0.84 + 0.68 + 0.36),
    ]


def test_a_limit_that_is_not_reached_is_not_raised() -> None:
    """A limit that the calls in flight do not reach is not raised."""
    service = Service(64)
    assert service.round(in_flight=15) == 16
    assert service.round(in_flight=16) == 32


def test_a_round_has_as_many_answers_as_calls_may_be_in_flight() -> None:
    """A round has as many answers as the limit, and raises it if the limit was reached at least once in it."""
    connections = ConcurrencyLimit(64)

    def answers_until(limit: int, in_flight: int) -> int:
        for count in range(1, 200):
            connections.answered(1.0, 0.0, expected_s=1.0, in_flight=in_flight)
            if connections.limit == limit:
                return count
        return 0

    assert answers_until(32, 16) == 16
    assert answers_until(64, 32) == 32
    connections = ConcurrencyLimit(64)
    connections.answered(1.0, 0.0, expected_s=1.0, in_flight=16)  # once in a round is enough
    assert answers_until(32, 1) == 15
    assert answers_until(64, 31) == 0


def test_after_a_cut_a_round_begins_anew() -> None:
    """After a cut a new round begins, and earlier answers do not count."""
    connections = ConcurrencyLimit(64)
    for _ in range(10):
        connections.answered(1.0, 0.0, expected_s=1.0, in_flight=16)
    for _ in range(TAKEN_FOR_CHANCE + 1):
        connections.refused(1.0, 0.0, 429)
    assert connections.limit == 11
    for _ in range(11):
        connections.answered(2.0, 1.0, expected_s=1.0, in_flight=10)
    assert connections.limit == 11
    for _ in range(10):
        connections.answered(3.0, 2.0, expected_s=1.0, in_flight=11)
    assert connections.limit == 11
    connections.answered(3.0, 2.0, expected_s=1.0, in_flight=11)
    assert connections.limit == 12


def a_measure(*slowness: tuple[int, float]) -> ConcurrencyLimit:
    """Return a limit that stays at one, after calls that were this many times slower than expected."""
    connections = ConcurrencyLimit(1)
    for calls, slower in slowness:
        for _ in range(calls):
            connections._remember(0.0, 3.0 * slower, 3.0)
    return connections


def test_slowness_is_not_judged_by_fewer_than_64_calls() -> None:
    """Slowness is not judged by fewer than 64 calls; from then on later calls are compared with the least."""
    few, enough = a_measure((63, 1.0)), a_measure((64, 1.0))
    assert few._slower(0.0) == enough._slower(0.0) == 1.0
    for connections in (few, enough):
        for _ in range(192):
            connections._remember(0.0, 6.0, 3.0)
    assert few._slower(0.0) == 1.0
    assert enough._slower(0.0) > 1.8
    anew = a_measure((64, 1.0))
    anew.compare_anew()
    for _ in range(63):
        anew._remember(0.0, 3.0, 3.0)
    assert (anew._slower(0.0), anew._least) == (1.0, inf)


def test_older_calls_fade_from_what_is_compared() -> None:
    """Older calls lose weight: of the first 256 calls the n-th weighs n, and each later one takes a 256th of the whole."""
    connections = a_measure((64, 1.0))
    connections._slower(0.0)
    for _ in range(64):
        connections._remember(0.0, 6.0, 3.0)
    newer, whole = sum(range(65, 129)), sum(range(1, 129))
    assert connections._slower(0.0) == pytest.approx(1 + newer / whole)
    connections = a_measure((5_000, 1.0))
    connections._slower(0.0)
    for _ in range(100):
        connections._remember(0.0, 6.0, 3.0)
    assert connections._slower(0.0) == pytest.approx(2 - (255 / 256) ** 100)


def test_the_least_slowness_doubles_in_half_an_hour() -> None:
    """The least slowness doubles in half an hour, so that a lasting slowdown becomes the new normal."""
    connections = a_measure((1_000, 1.0))
    connections._slower(100.0)
    for _ in range(5_000):
        connections._remember(0.0, 6.0, 3.0)
    assert connections._slower(100.0) == pytest.approx(2.0)
    assert connections._slower(1_000.0) == pytest.approx(2**0.5)
    assert connections._slower(1_901.0) == 1.0
    assert connections._slower(3_701.0) == 1.0


def test_slower_answers_stay_the_growth_and_it_is_slow_from_then_on() -> None:
    """Slower answers stop the growth, and later growth is by a sixteenth each round."""
    service = Service(200)
    for _ in range(3):
        service.round()
    assert service.connections.limit == 128
    for _ in range(20):
        if service.connections.expected == service.connections.limit:
            break
        service.round(slower=1.35)
    limit = service.connections.limit
    assert service.connections.expected == limit
    service.connections.compare_anew()
    assert service.round() == min(200, limit + limit // 16)


def test_slow_answers_do_not_raise_what_refusals_brought_down() -> None:
    """Slow answers do not raise a limit that refusals brought below the start."""
    service = Service(64)
    service.refuse_many()
    for _ in range(4):
        service.now += 1.0
        service.refuse()
    for _ in range(30):
        service.round()
    service.now += 1.0
    while service.connections.limit > 4:
        service.now += 1.0
        service.refuse()
    for _ in range(60):
        assert service.round(slower=3.0) <= 8


@pytest.mark.parametrize("status", [429, 503, 504])
def test_a_refused_call_cuts_it_and_growth_is_slow_from_then_on(status: int) -> None:
    """A refused call after many others cuts the limit from 64 to 44, and growth is then by a sixteenth each round."""
    service = Service(64)
    for _ in range(2):
        service.round()
    service.refuse_many()
    assert service.refuse(status) == 44
    service.now += 1.0
    assert [service.round() for _ in range(2)] == [46, 48]


@pytest.mark.parametrize("status", [400, 401, 403, 500, 502])
def test_trouble_of_another_kind_does_not_cut_it(status: int) -> None:
    """Failed calls with another status do not cut the limit, because they are no sign of load."""
    service = Service(64)
    for _ in range(100):
        assert service.refuse(status) == 16


@pytest.mark.parametrize(("every", "limit"), [(5, 16), (3, 1)])
def test_refusals_cut_it_only_where_they_are_more_than_a_quarter_of_the_calls(every: int, limit: int) -> None:
    """Where every fifth call is refused, that is chance and the limit stays; where every third is, it falls to one."""
    service = Service(16)
    for _ in range(100):
        service.now += 1.0
        for _ in range(every - 1):
            service.connections.answered(service.now, service.now - 0.5, expected_s=0.5, in_flight=1)
        service.refuse()
    assert service.connections.limit == limit


def test_calls_sent_before_a_cut_do_not_cut_again() -> None:
    """Calls sent before a cut do not cut again, because all calls in flight may be refused for one reason."""
    service = Service(64)
    service.round()
    service.refuse_many()
    assert service.refuse(age_s=0.5) == 22
    assert service.refuse(age_s=0.5) == 22
    service.now += 1.0
    assert service.refuse(age_s=0.5) == 15
    assert service.refuse() == 10  # sent at the time of the cut


def test_refusals_bring_it_down_to_one_and_no_further() -> None:
    """Refusals bring the limit down to one and no further, and it grows again from there."""
    service = Service(64)
    service.refuse_many()
    limits = []
    for _ in range(12):
        service.now += 1.0
        limits.append(service.refuse())
    assert limits[-1] == 1
    assert [service.round() for _ in range(3)] == [2, 3, 4]


def test_slow_answers_stop_growth_and_then_cut_it_but_not_below_the_start() -> None:
    """Slow answers stop the growth and then cut the limit, but not below the start of 16."""
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
    """A few slow answers change nothing while there are too few to compare, or after the kind of call changed."""
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
    """The best slowness is forgotten with time, so that a service that stays twice as slow gets more calls again."""
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
    """Until the first sign of load the plan expects the most connections, and afterwards the present limit."""
    service = Service(64)
    service.refuse_many()
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
    """The limit stays between one and the most, for random times and numbers in flight."""
    connections, now = ConcurrencyLimit(most), 0.0
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
    """Answers that take no time, as with a clock that stands still, do not break the limit."""
    service = Service(64)
    for _ in range(4):
        service.round(slower=0.0)
    assert START <= service.round() <= 64


def test_a_share_bounds_the_limit_and_zero_allows_none() -> None:
    """A smaller share holds at once. None at all stays none, whatever is answered or cut, and a new share starts again."""
    service = Service(64)
    service.round()
    service.connections.share(5)
    assert service.connections.limit == 5
    service.connections.share(0)
    service.connections.cut_with(service.now)
    service.connections.answered(service.now, service.now, expected_s=EXPECTED_S, in_flight=1)
    assert service.connections.limit == 0
    service.connections.share(40)
    assert service.connections.limit == START
    for _ in range(4):
        service.round()
    assert service.connections.limit == 40
