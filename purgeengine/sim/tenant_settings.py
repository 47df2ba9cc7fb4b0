"""How a simulated tenant behaves: frozen settings with units in their names, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from purgeengine.errors import UsageProblem

Dispatch = Literal["four", "all"]

UTC_AT_ZERO_S = 1_767_225_600.0
"""1 January 2026, where simulated time begins unless a server ties it to the real one."""


@dataclass(frozen=True, slots=True)
class TenantSettings:
    """The rules of a tenant. Raises `UsageProblem` where a value makes no sense.

    The defaults are Graph's documented limits (throttling-limits, Outlook) and a latency that was assumed, not measured:
    lognormal with a median of 80 ms, plus 60 ms for each call.
    """

    mailbox_concurrent_max: int = 4
    """Requests to one mailbox that run at once; one more is refused."""
    mailbox_requests: int | None = 10_000
    """Requests to one mailbox in any ``mailbox_window_s``, refused ones included; None for no such limit."""
    mailbox_window_s: float = 600.0
    """The sliding window of ``mailbox_requests``."""
    concurrency_retry_after_s: float = 1.0
    """The wait that goes with a refusal for concurrency; 1 s in the samples that users published."""
    dispatch: Dispatch = "four"
    """``four`` runs four sub-requests of an unordered batch at a time, whatever the mailboxes (documented since 2023);
    ``all`` runs all of them at once, as users saw before."""
    latency_median_s: float = 0.08
    """Median time of one sub-request; 0 for none at all."""
    latency_sigma: float = 1.0
    """Spread of the lognormal latency: the standard deviation of its logarithm."""
    latency_s_max: float = 5.0
    """Longest time of one sub-request, which bounds how long an abandoned batch runs on."""
    overhead_s: float = 0.06
    """Time of a call around its sub-requests, half before and half after them."""
    immutable_ids: bool = False
    """The contacts go by their immutable ids. Without ``Prefer: IdType="ImmutableId"`` such an id is malformed, as a default one is
    with it; and contacts already purged answer 403 ErrorCannotDeleteObject instead of 404."""
    directory: bool = True
    """The app may read users and the organization; else 403 Authorization_RequestDenied."""
    anything_exists: bool = False
    """Every well-formed contact of every user exists until it is purged; nothing needs seeding."""
    track: bool = True
    """Remember what was purged. False is for benchmarks with ``anything_exists``: contacts then exist for ever."""
    log: bool = True
    """Keep a log of every sub-request, about 50 bytes each besides the ids."""
    log_entries_max: int = 2_000_000
    """Entries kept in the log; later ones are only counted."""
    utc_at_zero_s: float = UTC_AT_ZERO_S
    """The wall-clock time, in seconds since 1970, at tenant time 0. A server replaces it by the real one."""

    def __post_init__(self) -> None:
        positive = (
            ("mailbox_concurrent_max", self.mailbox_concurrent_max),
            ("mailbox_requests", 1 if self.mailbox_requests is None else self.mailbox_requests),
            ("mailbox_window_s", self.mailbox_window_s),
        )
        for name, value in positive:
            if value <= 0:
                raise UsageProblem(f"The simulated tenant's {name} must be greater than zero, not {value}.")
        for name, value in (("latency_median_s", self.latency_median_s), ("overhead_s", self.overhead_s)):
            if value < 0:
                raise UsageProblem(f"The simulated tenant's {name} must not be negative, but is {value}.")
        if self.dispatch not in ("four", "all"):
            raise UsageProblem(f"The simulated tenant's dispatch must be four or all, not {self.dispatch}.")
        if not self.track and not self.anything_exists:
            raise UsageProblem("A tenant that does not track what was purged needs anything_exists=True.")
