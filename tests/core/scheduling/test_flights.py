"""Tests of the flights: which calls are given up and when, and how many late answers are waited for."""

from __future__ import annotations

from math import inf
from uuid import UUID

import pytest

from purgeengine.core.limits.adaptive_timeout import FIRST_S
from purgeengine.core.limits.lost_calls import LostCallCooldown
from purgeengine.core.limits.window import Window
from purgeengine.core.model import Batch, MailboxShare
from purgeengine.core.scheduling.flights import GRACE_S, STALLED_S, Flight, Flights
from purgeengine.core.scheduling.mailbox import Mailbox
from purgeengine.run_limits import Limits


def a_flight(number: int, *, lane: bool = False, now: float = 0.0) -> Flight:
    """Return a batch of one row that was decided on at ``now``."""
    mailbox = Mailbox(number, number, number + 1, Window(10, 600.0), LostCallCooldown(Limits()), limit_max=4)
    attempts = mailbox.draw(1, now)
    batch = Batch(number, str(UUID(int=number)), (MailboxShare(number, attempts),), lane)
    return Flight(batch, [(mailbox, attempts)], now, 0, 1)


def flying(*sent_at: float, lanes: tuple[int, ...] = (), late_max: int = 10) -> Flights:
    """Return flights that left at these instants, numbered from 1. Those with a number in ``lanes`` are lanes."""
    flights = Flights(late_max)
    for number, at in enumerate(sent_at, 1):
        flights.add(a_flight(number, lane=number in lanes))
        flights.leaves(number, at)
    return flights


def given_up(flights: Flights, now: float) -> list[tuple[int, float]]:
    """Give up what is overdue, and return the batches with their waits."""
    return [(flight.batch.number, wait_s) for flight, wait_s in flights.overdue(now)]


def teach(flights: Flights, took_s: float, *, lane: bool = False, answers: int = 1_000) -> None:
    """Let the flights know a service that answers within this time."""
    for _ in range(answers):
        flight = a_flight(999, lane=lane)
        flight.sent_at = 0.0
        flights.answered(flight, took_s)


# ----------------------------------------------------------------------------------------------------- what is overdue


def test_calls_are_given_up_in_the_order_of_leaving_when_their_wait_is_over() -> None:
    """Each call is given up thirty seconds after it left, in the order of leaving and not of the numbers."""
    flights = Flights(10)
    for number, at in ((2, 1.0), (1, 2.0), (3, 2.0)):
        flights.add(a_flight(number))
        flights.leaves(number, at)
    assert flights.overdue_at() == 1.0 + FIRST_S
    assert given_up(flights, 30.9) == []
    assert given_up(flights, 31.0) == [(2, FIRST_S)]
    assert len(flights) == 2
    assert 2 not in flights
    assert flights.overdue_at() == 62.0  # none was answered meanwhile: the wait was doubled
    assert given_up(flights, 62.0) == [(1, 60.0), (3, 60.0)]
    assert (len(flights), flights.overdue_at()) == (0, inf)


def test_the_first_call_given_up_lengthens_the_wait_of_those_in_flight() -> None:
    """If no call is answered, the first that is given up doubles the wait of all others: the service may only be slow."""
    flights = flying(0.0, 0.0, 5.0, 10.0)
    assert given_up(flights, FIRST_S) == [(1, FIRST_S)]
    assert flights.overdue_at() == 2 * FIRST_S
    assert given_up(flights, 60.0) == [(2, 60.0)]
    assert given_up(flights, 65.0) == [(3, 60.0)]
    assert given_up(flights, 70.0) == [(4, 60.0)]


def test_a_call_that_has_not_left_is_never_overdue() -> None:
    """The time of a batch runs from its leaving, however long its token was waited for."""
    flights = Flights(10)
    flights.add(a_flight(1))
    assert flights.overdue_at() == inf
    assert given_up(flights, 1_000.0) == []
    flights.leaves(1, 1_000.0)
    assert flights[1].sent_at == 1_000.0
    assert flights.overdue_at() == 1_000.0 + FIRST_S
    assert given_up(flights, 1_029.0) == []


def test_a_call_that_landed_is_not_overdue() -> None:
    """A call that was answered is not given up, and a batch that never left can land too."""
    flights = flying(0.0, 1.0)
    flights.add(a_flight(3))
    assert flights.land(1).batch.number == 1
    assert flights.land(3).batch.number == 3
    assert given_up(flights, 31.0) == [(2, FIRST_S)]


def test_lanes_and_batches_have_waits_of_their_own() -> None:
    """Quick answers to batches make batches overdue sooner, and lanes, which take longer, keep their own wait."""
    flights = flying(0.0, 0.0, lanes=(1,))
    teach(flights, 1.0)
    assert flights.overdue_at() == pytest.approx(1.51)
    assert given_up(flights, 1.6) == [(2, pytest.approx(1.51))]
    teach(flights, 4.0, lane=True)
    assert flights.overdue_at() == pytest.approx(6.04)
    assert given_up(flights, 6.0) == []
    assert given_up(flights, 6.1) == [(1, pytest.approx(6.04))]


def test_while_nothing_else_can_be_sent_calls_are_given_up_sooner() -> None:
    """The wait is shorter while connections are free and nothing else can be sent."""
    flights = flying(0.0)
    teach(flights, 2.0)
    assert flights.overdue_at() == pytest.approx(3.02)
    flights.idle = True
    assert flights.overdue_at() == pytest.approx(2.42)
    assert given_up(flights, 2.4) == []
    assert given_up(flights, 2.5) == [(1, pytest.approx(2.42))]


# ---------------------------------------------------------------------------------------------------- after a sleep


def test_after_a_sleep_of_the_machine_answers_that_lie_ready_are_read_first() -> None:
    """Calls found overdue by more than half a second get two seconds more. What is answered by then is not given up."""
    flights = flying(0.0, 0.0)
    woke_at = FIRST_S + STALLED_S + 0.1
    assert given_up(flights, woke_at) == []
    assert flights.overdue_at() == woke_at + GRACE_S
    assert given_up(flights, woke_at + GRACE_S - 0.01) == []
    flights.land(1)
    assert given_up(flights, woke_at + GRACE_S) == [(2, FIRST_S)]


def test_the_grace_is_given_anew_for_the_next_sleep() -> None:
    """A second sleep, after the first was dealt with, gets a grace too."""
    flights = flying(0.0)
    assert given_up(flights, 100.0) == []
    assert given_up(flights, 102.0) == [(1, FIRST_S)]
    flights.add(a_flight(2))
    flights.leaves(2, 102.0)
    assert given_up(flights, 500.0) == []
    assert given_up(flights, 502.0) == [(2, 60.0)]


def test_a_grace_ends_where_all_were_answered_in_it() -> None:
    """If every call was answered in the grace, later calls are given up as usual."""
    flights = flying(0.0)
    assert given_up(flights, 100.0) == []
    flights.land(1)
    assert flights.overdue_at() == inf
    flights.add(a_flight(2))
    flights.leaves(2, 101.0)
    assert flights.overdue_at() == 131.0
    assert given_up(flights, 131.0) == [(2, FIRST_S)]


@pytest.mark.parametrize("late_s", [0.0, STALLED_S])
def test_a_look_that_comes_a_little_late_is_no_sleep(late_s: float) -> None:
    """Half a second late is a busy machine, and the call is given up at once."""
    assert given_up(flying(0.0), FIRST_S + late_s) == [(1, FIRST_S)]


def test_a_wait_that_became_shorter_is_no_sleep() -> None:
    """A call that is overdue because the wait has just become shorter is given up at once."""
    flights = flying(0.0)
    assert given_up(flights, 6.0) == []
    teach(flights, 2.0)
    assert given_up(flights, 6.1) == [(1, pytest.approx(3.02))]
    flights = flying(0.0)
    teach(flights, 10.0)
    assert given_up(flights, 14.0) == []
    flights.idle = True
    assert given_up(flights, 14.1) == [(1, pytest.approx(12.1))]


# -------------------------------------------------------------------------------------------------------- late answers


def test_a_call_that_was_given_up_can_land_late_once() -> None:
    """A call that was given up is known until its answer comes, once."""
    flights = flying(0.0)
    assert flights.land_late(1) is None
    assert given_up(flights, FIRST_S) == [(1, FIRST_S)]
    late = flights.land_late(1)
    assert late is not None
    assert (late.batch.number, late.sent_at) == (1, 0.0)
    assert flights.land_late(1) is None


def test_of_too_many_late_calls_the_oldest_are_forgotten() -> None:
    """At most as many late calls are kept as allowed, and the numbers of the oldest are returned."""
    flights = flying(*[0.0] * 5, late_max=2)
    assert list(flights.too_many_late()) == []
    assert len(given_up(flights, FIRST_S)) == 1
    assert list(flights.too_many_late()) == []
    assert len(given_up(flights, 2 * FIRST_S)) == 4
    assert list(flights.too_many_late()) == [1, 2, 3]
    assert list(flights.too_many_late()) == []
    assert flights.land_late(3) is None
    assert flights.land_late(4) is not None


def test_the_first_lanes_are_waited_for_as_long_as_a_lane_is_planned_for() -> None:
    """A service that runs a batch all at once answers batches in half a second, and lanes in up to six: none is given up."""
    flights = flying(0.0, lanes=(1,))
    teach(flights, 0.5)
    assert given_up(flights, 9.9) == []
    assert [batch for batch, _ in given_up(flights, 10.0)] == [1]
