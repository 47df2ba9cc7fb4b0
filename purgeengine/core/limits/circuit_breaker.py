"""The circuit breaker of the whole run: it lets calls through, holds all of them, or lets one batch at a time try.

As in the field, a *closed* breaker lets calls through and an *open* one holds them back. One failed call says little
about the service and opens nothing. Several failed calls in a row open the breaker, for a wait that grows. After each
wait one batch at a time tries the service, so that an outage does not use up the attempts of many rows.
"""

from __future__ import annotations

from math import inf

from purgeengine.core.limits.backoff import Backoff
from purgeengine.core.limits.concurrency_limit import ConcurrencyLimit
from purgeengine.core.model import Reply
from purgeengine.run_limits import Limits

FAILURES_TO_OPEN = 5
"""Failed calls in a row, without a success between them, that open the breaker. Five are an outage rather than bad luck."""
TRYING_S_MAX = 180.0
"""The most seconds between two failures that count as time spent trying. The breaker waits for a minute, and a call
takes two minutes at most. A longer gap was a wait that Graph asked for, or the sleep of a suspended machine, and
says nothing about the service."""


class CircuitBreaker:
    """Decides how many batches may be in flight over the whole run.

    Instants are monotonic seconds.
    """

    def __init__(self, backoff: Backoff, connections: ConcurrencyLimit) -> None:
        self._backoff = backoff
        self._connections = connections
        self._failures = 0
        self._asked_until = -inf
        self._asked_s = 0.0
        self._backoff_until = -inf
        self._throttled_at = -inf
        self._failed_at: float | None = None
        self.refused_in_a_row = 0
        """Calls refused as too fast (429), one after the other, without a success between them. Calls that left
        together count once."""
        self._heard = False
        """True once any answer of the run came from Graph."""
        self.last_failure = Reply(0)
        """What the latest failed call was answered; its status is 0 if no answer came."""
        self.failing_s = 0.0
        """Seconds of failing calls without a success: from the first failure to the latest, gaps cut at `TRYING_S_MAX`.
        """

    @property
    def calls_again_at(self) -> float:
        """The instant before which no batch may leave, in monotonic seconds; `-inf` if nothing holds calls back."""
        return max(self._asked_until, self._backoff_until)

    @property
    def failures(self) -> int:
        """Failed calls in a row, without a success between them."""
        return self._failures

    @property
    def asked_until(self) -> float:
        """The end of the last wait that Graph asked of the whole run; `-inf` if there was none."""
        return self._asked_until

    @property
    def asked_s(self) -> float:
        """Seconds of the waits that Graph asked of the whole run so far, including what is left of the last one."""
        return self._asked_s

    def asks_to_wait(self, now: float) -> bool:
        """Return True while a wait that Graph asked of the whole run is not over."""
        return now < self._asked_until

    @property
    def probing(self) -> bool:
        """True while the service is taken to be out and one batch at a time tries it.

        A failure then says nothing about the rows that met it.
        """
        return self._failures >= FAILURES_TO_OPEN

    @property
    def opened_by_failures(self) -> bool:
        """True if failed calls hold the run back for longer than Graph asked for."""
        return self._backoff_until > self._asked_until

    @property
    def walled_off(self) -> bool:
        """True if no answer of the run came from Graph, and something in between (a proxy) answered the latest failed call."""
        return not self._heard and not self.last_failure.from_graph

    def is_outage(self, limits: Limits) -> bool:
        """True if calls have failed for longer than the limits allow a run to go on trying."""
        allowed_s = limits.outage_s_max
        if not self._heard:
            allowed_s = min(allowed_s, limits.first_outage_s_max)
        if self.walled_off:
            allowed_s = min(allowed_s, limits.walled_off_s_max)
        return self.failing_s > allowed_s

    def heard(self) -> None:
        """Record that an answer came from Graph, whatever it says."""
        self._heard = True

    def places(self, in_flight: int, now: float) -> int:
        """Return how many more batches may leave now, beside the ``in_flight`` ones.

        The number is negative if more are in flight than the limit now allows.
        """
        if now < self.calls_again_at:
            return 0
        return (min(1, self._connections.limit) if self.probing else self._connections.limit) - in_flight

    def answered(self) -> None:
        """Record a success: the breaker closes. A wait that Graph asked for still holds."""
        self._heard = True
        self._failures = 0
        self.refused_in_a_row = 0
        self._backoff_until = -inf
        self._failed_at = None
        self.failing_s = 0.0

    def rested(self) -> None:
        """Record that sending was suspended for a while: the missing answers of that time are no outage."""
        self._failed_at = None
        self.failing_s = 0.0

    def failed(self, now: float, reply: Reply) -> None:
        """Record a failed call: no answer came, the service had trouble, or the answer was not Graph's."""
        self.last_failure = reply
        if self._failed_at is not None:
            self.failing_s += min(now - self._failed_at, TRYING_S_MAX)
        self._failed_at = now
        if reply.retry_after_s is not None:
            self.asked_to_wait(now, reply.retry_after_s)
        if now < self._backoff_until:
            return  # it left before the breaker opened, and shows nothing new
        self._failures += 1
        if self.probing:
            wait_s = self._backoff.call_wait_s(self._failures - FAILURES_TO_OPEN + 1, Reply(reply.status))
            self._backoff_until = now + wait_s

    def throttled(self, now: float, reply: Reply, sent_at: float = inf) -> float:
        """Record that the call sent at ``sent_at`` was refused as a whole as too fast (429).

        Returns the wait in seconds. Calls that left together are refused together. They lengthen the wait only once.
        """
        if sent_at >= self._throttled_at:
            self._failures += 1
            self.refused_in_a_row += 1
            self._throttled_at = now
        wait_s = self._backoff.call_wait_s(self.refused_in_a_row, reply)
        self.asked_to_wait(now, wait_s)
        return wait_s

    def asked_to_wait(self, now: float, for_s: float) -> None:
        """Hold all calls for ``for_s`` seconds, whatever is answered meanwhile.

        A shorter wait never replaces a longer one.
        """
        until = now + for_s
        if until > self._asked_until:
            self._asked_s += until - max(now, self._asked_until)
            self._asked_until = until
