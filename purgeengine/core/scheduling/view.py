"""How a run stands: what people and programs are shown of it. It decides nothing."""

from __future__ import annotations

from dataclasses import dataclass

from purgeengine.core.forecast.eta import Closeness, Eta
from purgeengine.core.limits.circuit_breaker import CircuitBreaker
from purgeengine.core.scheduling.batching import Batching
from purgeengine.core.scheduling.open_mailboxes import OpenMailboxes


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
    throttled: int
    """Sub-requests that Graph has refused as too fast so far."""
    rows_unanswered: int
    """Sub-requests whose call got no answer so far."""

    @property
    def blocked_for_s(self) -> float:
        """Seconds for which nothing may leave because of a wait or an outage; 0 while batches may leave."""
        return max(0.0, self.breaker.calls_again_at - self.now)

    @property
    def unanswered(self) -> bool:
        """True if nothing may leave because calls failed, and not because Graph asked for a wait."""
        return self.breaker.opened_by_failures

    @property
    def app_limit_per_s(self) -> float | None:
        """Requests a second that Graph takes from the whole app, as far as the run has found out; None if it knows no limit."""
        return self.batching.app_rate.per_s

    @property
    def held_for_s(self) -> float | None:
        """Seconds until sending is expected to be allowed again; None while it is allowed."""
        return None if self.held_until is None else max(0.0, self.held_until - self.now)

    @property
    def held_s(self) -> float:
        """Seconds in which sending was not allowed so far."""
        return self.eta.held_s(self.now)

    @property
    def ends_at(self) -> float:
        """When the run is likely to end, in monotonic seconds. Hours in which it may not send are not included."""
        settled = sum(rows * mailboxes for rows, mailboxes in self.open_mailboxes.settled().items())
        ends_at = self.eta.ends_at(
            self.open_mailboxes,
            self.batching.unread,
            settled,
            self.throttled + self.rows_unanswered,
            self.breaker.calls_again_at,
            self.now,
            self.batching.kinds,
        )
        if self.app_limit_per_s is None:
            return ends_at
        left = self.batching.unread + sum(mailbox.remaining for mailbox in self.open_mailboxes)
        return max(ends_at, self.now + left / self.app_limit_per_s)

    @property
    def closeness(self) -> Closeness:
        """The least time that the rows settled so far could have taken."""
        return self.eta.closeness(self.open_mailboxes.settled(), self.batching.kinds)

    def throttled_mailboxes(self) -> int:
        """Return how many open mailboxes wait because Graph throttled them."""
        return self.open_mailboxes.throttled(self.now)
