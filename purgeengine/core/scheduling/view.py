"""How a run stands: what people and programs are shown of it. It decides nothing."""

from __future__ import annotations

from dataclasses import dataclass

from purgeengine.core.forecast.census import WATCHED_MAX
from purgeengine.core.forecast.eta import Closeness, Eta
from purgeengine.core.forecast.situation import RunSituation
from purgeengine.core.forecast.time_left import TimeLeft
from purgeengine.core.limits.circuit_breaker import CircuitBreaker
from purgeengine.core.model import Reply
from purgeengine.core.scheduling.batch_results import BatchResults
from purgeengine.core.scheduling.batching import Batching
from purgeengine.core.scheduling.flights import Flights
from purgeengine.core.scheduling.open_mailboxes import OpenMailboxes

FAILING_S = 3.0
"""Seconds without an answer, while calls fail, from which nobody knows how long the outage lasts."""
FAILURES_MIN = 2
"""Failed calls in a row that an outage has shown by then. One may be a call that hung."""


@dataclass(frozen=True, slots=True)
class View:
    """The state of the scheduler at ``now``.

    Instants are monotonic seconds. ``held_until`` is when sending is expected to be allowed again; None while it is allowed.
    """

    now: float
    held_until: float | None
    breaker: CircuitBreaker
    eta: Eta
    open_mailboxes: OpenMailboxes
    batching: Batching
    results: BatchResults
    flights: Flights
    connections: int
    """Batches that may be in flight at once, as far as is known."""
    token_awaited: bool = False
    """True while another token is being fetched."""
    stopping: bool = False
    """True if nothing is sent any more."""

    @property
    def throttled(self) -> int:
        """Sub-requests that Graph has refused as too fast so far."""
        return self.results.throttled

    @property
    def blocked_for_s(self) -> float:
        """Seconds for which nothing may leave because of a wait or an outage; 0 while batches may leave."""
        return max(0.0, self.breaker.calls_again_at - self.now)

    @property
    def unanswered(self) -> bool:
        """True if nothing may leave because calls failed, and not because Graph asked for a wait."""
        return self.breaker.opened_by_failures

    @property
    def outage_reply(self) -> Reply | None:
        """What the latest failed call was told, while one call after another fails. None if calls go through."""
        return self.breaker.last_failure if self._is_failing(self.now) else None

    @property
    def app_limit_per_s(self) -> float | None:
        """Requests a second that Graph takes from the whole app, as far as the run has found out; None if it knows no limit."""
        return self.batching.app_rate.per_s

    @property
    def largest_left(self) -> int | None:
        """The rows left of the open mailbox with most of them. None if no mailbox is open that lets anything through."""
        return max((left for _, left in self.open_mailboxes.census.largest()), default=None)

    @property
    def held_for_s(self) -> float | None:
        """Seconds until sending is expected to be allowed again; None while it is allowed."""
        return None if self.held_until is None else max(0.0, self.held_until - self.now)

    @property
    def held_s(self) -> float:
        """Seconds in which sending was not allowed so far."""
        return self.eta.held_s(self.now)

    @property
    def rows_unanswered(self) -> int:
        """Sub-requests whose call got no answer so far."""
        return self.results.unanswered

    def time_left(self, now: float | None = None) -> TimeLeft:
        """Return the time that the run will still take from ``now`` on, or what is waited for.

        Hours in which it may not send are not included. Without ``now``, it is the time of this view.
        """
        now = self.now if now is None else max(self.now, now)
        batching, breaker, results = self.batching, self.breaker, self.results
        situation = RunSituation(
            handled_at=self.now,
            unread=batching.unread,
            calls=results.calls,
            in_flight=self.flights.awaited(self.eta.usual_s(batching.kinds), now),
            kinds=batching.kinds,
            cooldown_s=results.cooldown_s(lane=False),
            lane_cooldown_s=results.cooldown_s(lane=True),
            waiting=self.open_mailboxes.some_waiting(WATCHED_MAX),
            waits=self.open_mailboxes.waits,
            ready=self.open_mailboxes.has_ready,
            connections=self.connections,
            calls_again_at=breaker.calls_again_at,
            waited_s=breaker.asked_s,
            app_limit_per_s=self.app_limit_per_s,
            failing=self._is_failing(now),
            token_awaited=self.token_awaited,
            held=self.held_until is not None,
            stopping=self.stopping,
        )
        return self.eta.time_left(self.open_mailboxes.census, situation, now)

    def _is_failing(self, now: float) -> bool:
        """Return True while one call after another fails. A wait that Graph asked for is no outage."""
        breaker = self.breaker
        if breaker.probing and breaker.opened_by_failures:
            return True
        silent_s = now - max(self.results.answered_at, breaker.asked_until)
        return breaker.failures >= FAILURES_MIN and silent_s >= FAILING_S

    @property
    def closeness(self) -> Closeness:
        """The least time that the rows settled so far could have taken."""
        return self.eta.closeness(self.open_mailboxes.settled(), self.batching.kinds)

    def throttled_mailboxes(self) -> int:
        """Return how many open mailboxes wait because Graph throttled them."""
        return self.open_mailboxes.throttled(self.now)
