"""The circuit breaker of the whole run: everything may leave, nothing for a while, or one batch that tries the service.

A single failed call says little about the service and stops nobody else. Several in a row do: then the breaker closes the way with
growing waits, and one batch at a time probes, so that an outage does not use up the attempts of many rows.
"""

from __future__ import annotations

from math import inf

from purgeengine.core.limits.backoff import Backoff
from purgeengine.core.limits.concurrency_limit import ConcurrencyLimit
from purgeengine.core.model import Reply
from purgeengine.run_limits import Limits

FAILURES_TO_CLOSE = 5
"""Failed calls in a row, no success between, that speak of an outage rather than of bad luck."""
TRYING_S_MAX = 180.0
"""Longest time from one failure to the next that was spent trying: the breaker waits for a minute, and a call takes two at most.
What is longer was a wait that Graph asked for, or the sleep of a suspended machine, and says nothing about the service."""


class CircuitBreaker:
    """Decides how many batches may be in flight over the whole run."""

    def __init__(self, backoff: Backoff, connections: ConcurrencyLimit) -> None:
        self._backoff = backoff
        self._connections = connections
        self._failures = 0
        self._asked_until = -inf
        self._backoff_until = -inf
        self._throttled_at = -inf
        self._failed_at: float | None = None
        self.refused_in_a_row = 0
        """Times that calls were refused as too fast, one after the other, without a success in between."""
        self._heard = False
        """Whether any answer of the run was Graph's."""
        self.last_failure = Reply(0)
        """What the latest failed call was told, with status 0 where no answer came."""
        self.failing_s = 0.0
        """Seconds from the first failure that no success has followed to the latest, as far as they were spent trying."""

    @property
    def opens_at(self) -> float:
        """The instant before which nothing may leave, in monotonic seconds."""
        return max(self._asked_until, self._backoff_until)

    @property
    def probing(self) -> bool:
        """Whether the service is thought to be out, so that a failure says nothing about the rows that met it."""
        return self._failures >= FAILURES_TO_CLOSE

    @property
    def on_its_own(self) -> bool:
        """Whether it is closed because calls failed, for longer than Graph asked for."""
        return self._backoff_until > self._asked_until

    @property
    def walled_off(self) -> bool:
        """True if not one answer was Graph's, and the latest call was answered by somebody in between."""
        return not self._heard and not self.last_failure.from_graph

    def is_outage(self, limits: Limits) -> bool:
        """Whether calls have failed for longer than a run goes on trying."""
        allowed_s = limits.outage_s_max
        if not self._heard:
            allowed_s = min(allowed_s, limits.first_outage_s_max)
        if self.walled_off:
            allowed_s = min(allowed_s, limits.walled_off_s_max)
        return self.failing_s > allowed_s

    def heard(self) -> None:
        """An answer was Graph's, whatever it says."""
        self._heard = True

    def places(self, in_flight: int, now: float) -> int:
        """Batches that may leave now."""
        if now < self.opens_at:
            return 0
        return (1 if self.probing else self._connections.limit) - in_flight

    def answered(self) -> None:
        """The service does its work. A wait that it asked for still holds."""
        self._heard = True
        self._failures = 0
        self.refused_in_a_row = 0
        self._backoff_until = -inf
        self._failed_at = None
        self.failing_s = 0.0

    def rested(self) -> None:
        """Nothing was to be sent for a while: that nothing was answered meanwhile is no outage."""
        self._failed_at = None
        self.failing_s = 0.0

    def failed(self, now: float, reply: Reply) -> None:
        """A call failed: no answer, the service's trouble, or an answer that is not the service's."""
        self.last_failure = reply
        if self._failed_at is not None:
            self.failing_s += min(now - self._failed_at, TRYING_S_MAX)
        self._failed_at = now
        if reply.retry_after_s is not None:
            self.asked_to_wait(now, reply.retry_after_s)
        if now < self._backoff_until:
            return  # it left before the way was closed, and tells nothing new
        self._failures += 1
        if self.probing:
            wait_s = self._backoff.call_wait_s(self._failures - FAILURES_TO_CLOSE + 1, Reply(reply.status))
            self._backoff_until = now + wait_s

    def throttled(self, now: float, reply: Reply, sent_at: float = inf) -> float:
        """A whole call that was sent at ``sent_at`` was refused as too fast; answers the wait in seconds.

        Calls that left together are refused together, and lengthen the wait once.
        """
        if sent_at >= self._throttled_at:
            self._failures += 1
            self.refused_in_a_row += 1
            self._throttled_at = now
        wait_s = self._backoff.call_wait_s(self.refused_in_a_row, reply)
        self.asked_to_wait(now, wait_s)
        return wait_s

    def asked_to_wait(self, now: float, for_s: float) -> None:
        """Nothing leaves for so long, whatever happens in between."""
        self._asked_until = max(self._asked_until, now + for_s)
