"""Tests of the circuit breaker: when it holds calls, when it lets one try, and what counts as an outage."""

from __future__ import annotations

from random import Random

from purgeengine.core.limits.backoff import Backoff
from purgeengine.core.limits.circuit_breaker import FAILURES_TO_OPEN, TRYING_S_MAX, CircuitBreaker
from purgeengine.core.limits.concurrency_limit import ConcurrencyLimit
from purgeengine.core.model import Reply
from purgeengine.run_limits import Limits

FAILED = Reply(503)
THROTTLED = Reply(429)


def a_breaker(connections: int = 16) -> CircuitBreaker:
    return CircuitBreaker(Backoff(Limits(), Random(1)), ConcurrencyLimit(connections))


def test_the_breaker_opens_at_the_fifth_failure_in_a_row_and_lets_one_probe_through() -> None:
    """After five failures in a row the circuit breaker holds all calls, and then lets one batch at a time try."""
    breaker = a_breaker()
    for _ in range(FAILURES_TO_OPEN - 1):
        breaker.failed(10.0, FAILED)
    assert (breaker.probing, breaker.places(3, 10.0)) == (False, 13)
    breaker.failed(10.0, FAILED)
    assert (breaker.probing, breaker.places(0, 10.0)) == (True, 0)
    assert breaker.calls_again_at > 10.0
    assert breaker.places(0, breaker.calls_again_at) == 1
    assert breaker.places(1, breaker.calls_again_at) == 0
    breaker.answered()
    assert (breaker.probing, breaker.places(0, 10.0), breaker.failing_s) == (False, 16, 0.0)
    for _ in range(FAILURES_TO_OPEN - 1):
        breaker.failed(20.0, FAILED)
    assert not breaker.probing


def test_each_probe_that_fails_opens_the_breaker_for_twice_as_long() -> None:
    """Each failed trial call makes the circuit breaker hold the calls twice as long, from 0.5 to 1 s on."""
    breaker = a_breaker()
    for _ in range(FAILURES_TO_OPEN - 1):
        breaker.failed(10.0, FAILED)
    now = 10.0
    for shortest_s in (0.5, 1.0, 2.0, 4.0):
        breaker.failed(now, FAILED)
        assert shortest_s <= breaker.calls_again_at - now <= 2 * shortest_s
        now = breaker.calls_again_at


def test_failures_of_calls_sent_before_the_breaker_opened_change_nothing() -> None:
    """Failures of batches that left before the circuit breaker held the calls change only the time of the outage."""
    breaker, other = a_breaker(), a_breaker()
    for _ in range(FAILURES_TO_OPEN):
        breaker.failed(10.0, FAILED)
        other.failed(10.0, FAILED)
    for _ in range(11):
        breaker.failed(10.0, FAILED)
    assert breaker.calls_again_at == other.calls_again_at
    breaker.failed(70.0, FAILED)
    assert breaker.failing_s == 60.0


def test_only_time_spent_trying_counts_as_an_outage() -> None:
    """At most three minutes between two failures count as time of an outage: the machine may have slept."""
    breaker = a_breaker()
    breaker.failed(10.0, FAILED)
    breaker.failed(86_410.0, FAILED)
    assert breaker.failing_s == TRYING_S_MAX
    breaker.failed(86_420.0, FAILED)
    assert breaker.failing_s == TRYING_S_MAX + 10.0


def test_a_pause_with_nothing_to_send_is_no_outage() -> None:
    """A pause with nothing to send resets the time of the outage."""
    breaker = a_breaker()
    breaker.failed(10.0, FAILED)
    breaker.failed(40.0, FAILED)
    breaker.rested()
    assert breaker.failing_s == 0.0
    breaker.failed(100.0, FAILED)
    assert breaker.failing_s == 0.0
    breaker.failed(120.0, FAILED)
    assert breaker.failing_s == 20.0


def test_four_calls_that_are_too_fast_are_no_outage() -> None:
    """Four throttled calls one after the other are no outage, and with the fifth one batch at a time tries the service."""
    breaker = a_breaker()
    for _ in range(FAILURES_TO_OPEN - 1):
        breaker.throttled(0.0, THROTTLED)
    assert not breaker.probing
    breaker.throttled(0.0, THROTTLED)
    assert breaker.probing


def test_a_call_that_is_too_fast_counts_as_a_failure_and_waits_as_told() -> None:
    """A throttled call counts as a failure and waits as Graph asks, or longer each time without a Retry-After."""
    breaker = a_breaker()
    assert breaker.throttled(0.0, Reply(429, retry_after_s=7.0)) >= 7.0
    assert breaker.places(0, 6.9) == 0
    waits = [breaker.throttled(0.0, THROTTLED) for _ in range(4)]
    assert breaker.probing
    assert waits[-1] > waits[0]
    breaker.answered()
    assert breaker.calls_again_at >= 7.0  # Graph's wait holds, whatever went well meanwhile
