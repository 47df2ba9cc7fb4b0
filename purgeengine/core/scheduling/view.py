"""How a run stands: what people and programs are shown of it. It decides nothing."""

from __future__ import annotations

from dataclasses import dataclass

from purgeengine.core.forecast.eta import Closeness, Eta
from purgeengine.core.limits.circuit_breaker import CircuitBreaker
from purgeengine.core.scheduling.batching import Batching
from purgeengine.core.scheduling.open_mailboxes import OpenMailboxes


@dataclass(frozen=True, slots=True)
class View:
    """A look at the scheduler's parts at ``now``; sending is expected to be allowed again at ``held_until``, if it is not now."""

    now: float
    held_until: float | None
    breaker: CircuitBreaker
    eta: Eta
    open_mailboxes: OpenMailboxes
    batching: Batching
    throttled: int
    """Sub-requests that Graph has refused as too fast so far."""
    rows_unanswered: int
    """Sub-requests whose call brought no answer to them so far."""

    @property
    def blocked_for_s(self) -> float:
        """Seconds for which nothing may leave; 0 while batches may."""
        return max(0.0, self.breaker.calls_again_at - self.now)

    @property
    def unanswered(self) -> bool:
        """True if nothing may leave because calls failed, and not because Graph asked for a wait."""
        return self.breaker.opened_by_failures

    @property
    def held_for_s(self) -> float | None:
        """Seconds until sending is expected to be allowed again; None while it is."""
        return None if self.held_until is None else max(0.0, self.held_until - self.now)

    @property
    def held_s(self) -> float:
        """Seconds in which sending was not allowed, so far."""
        return self.eta.held_s(self.now)

    @property
    def ends_at(self) -> float:
        """When the run is likely to end by what is left; hours in which it may not send come on top."""
        settled = sum(rows * mailboxes for rows, mailboxes in self.open_mailboxes.settled().items())
        return self.eta.ends_at(
            self.open_mailboxes,
            self.batching.unread,
            settled,
            self.throttled + self.rows_unanswered,
            self.breaker.calls_again_at,
            self.now,
            self.batching.kinds,
        )

    @property
    def closeness(self) -> Closeness:
        """The least time that the rows settled so far could have taken."""
        return self.eta.closeness(self.open_mailboxes.settled(), self.batching.kinds)

    def throttled_mailboxes(self) -> int:
        """Open mailboxes that Graph has told to wait."""
        return self.open_mailboxes.throttled(self.now)
