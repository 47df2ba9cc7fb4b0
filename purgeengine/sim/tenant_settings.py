"""Frozen settings of a simulated tenant, with units in their names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from purgeengine.errors import UsageProblem

Dispatch = Literal["four", "all"]

UTC_AT_ZERO_S = 1_767_225_600.0
"""1 January 2026 in seconds since 1970, where simulated time begins unless a server ties it to the real time."""


@dataclass(frozen=True, slots=True)
class TenantSettings:
    """The rules of a tenant. Raises `UsageProblem` for a value that makes no sense.

    The defaults are Graph's documented limits (throttling-limits, Outlook) and a latency that was assumed, not
    measured: lognormal with a median of 80 ms, plus 60 ms for each call.
    """

    mailbox_concurrent_max: int = 4
    """Requests to one mailbox that run at once. One more is refused."""
    mailbox_requests: int | None = 10_000
    """Requests to one mailbox in any ``mailbox_window_s``, including refused ones. None for no such limit."""
    mailbox_window_s: float = 600.0
    """Length in seconds of the sliding window of ``mailbox_requests``."""
    concurrency_retry_after_s: float = 1.0
    """Seconds to wait after a refusal for concurrency: 1 s in the samples that users published."""
    app_requests: int | None = None
    """Requests of the app over all mailboxes in any ``app_window_s``, refused ones included. None for no such limit.

    One more is refused by itself (429), and the other requests of its batch go on.
    """
    app_window_s: float = 5.0
    """Length in seconds of the sliding window of ``app_requests``."""
    app_retry_after_s: float = 1.0
    """Seconds to wait after a refusal for the limit of the app."""
    dispatch: Dispatch = "four"
    """How the sub-requests of an unordered batch run.

    ``four`` runs four at a time, whatever their mailboxes (documented since 2023). ``all`` runs all of them at once,
    as users saw before.
    """
    latency_median_s: float = 0.08
    """Median time of one sub-request in seconds. 0 for none at all."""
    latency_sigma: float = 1.0
    """Spread of the lognormal latency: the standard deviation of its logarithm."""
    latency_s_max: float = 5.0
    """Longest time of one sub-request in seconds. It limits how long an abandoned batch continues."""
    overhead_s: float = 0.06
    """Seconds of a call around its sub-requests: half before and half after them."""
    immutable_ids: bool = False
    """True if contacts go by their immutable ids.

    Such an id is malformed without ``Prefer: IdType="ImmutableId"``, and a default id is malformed with it. Contacts
    that were purged already answer 403 ErrorCannotDeleteObject instead of 404.
    """
    directory: bool = True
    """True if the app may read users and the organization. Otherwise 403 Authorization_RequestDenied."""
    anything_exists: bool = False
    """True if every well-formed contact of every user exists until it is purged, so that none needs to be added."""
    track: bool = True
    """True to remember what was purged. False is for benchmarks with ``anything_exists``: contacts then exist for ever."""
    log: bool = True
    """True to keep a log of every sub-request, about 50 bytes each besides the ids."""
    log_entries_max: int = 2_000_000
    """Entries kept in the log. Later ones are only counted."""
    utc_at_zero_s: float = UTC_AT_ZERO_S
    """The wall-clock time at tenant time 0, in seconds since 1970. A server replaces it with the real one."""

    def __post_init__(self) -> None:
        positive = (
            ("mailbox_concurrent_max", self.mailbox_concurrent_max),
            ("mailbox_requests", 1 if self.mailbox_requests is None else self.mailbox_requests),
            ("mailbox_window_s", self.mailbox_window_s),
            ("app_requests", 1 if self.app_requests is None else self.app_requests),
            ("app_window_s", self.app_window_s),
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
