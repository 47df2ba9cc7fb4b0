"""Faults by name, each with a probability, all drawn with one seed: everything that goes wrong on purpose and by chance.

This module knows the faults and draws them. What a fault does to a call is in `purgeengine.sim.graph.tenant`. The
same seed and the same questions give the same draws.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, fields
from enum import StrEnum

from purgeengine.errors import UsageProblem
from purgeengine.sim.wire.answers import SubResponse, Wait, wait_of, wait_until_date


class CallFault(StrEnum):
    """A fault of a whole call. The values are names of probabilities in `Faults`."""

    UNREACHABLE = "unreachable"
    CALL_THROTTLED = "call_throttled"
    CALL_ERROR_BEFORE = "call_error_before"
    CALL_ERROR_AFTER = "call_error_after"
    RESET_BEFORE = "reset_before"
    RESET_AFTER = "reset_after"
    HANG_BEFORE = "hang_before"
    HANG_AFTER = "hang_after"
    HTML_PAGE = "html_page"
    EMPTY_BODY = "empty_body"
    TRUNCATED = "truncated"
    EXPIRED_TOKEN = "expired_token"  # noqa: S105 - the name of a fault


class ItemFault(StrEnum):
    """A fault of one sub-request. The values are names of probabilities in `Faults`."""

    THROTTLED_BEFORE = "item_throttled_before"
    THROTTLED_AFTER = "item_throttled_after"
    ERROR_BEFORE = "item_error_before"
    ERROR_AFTER = "item_error_after"
    NOT_ATTEMPTED = "item_not_attempted"
    UNAUTHORIZED = "item_unauthorized"
    BUSY = "item_busy"


@dataclass(frozen=True, slots=True)
class Faults:
    """The probability of each fault, from 0 (never, the default) to 1 (always). Raises `UsageProblem` outside of that range.

    *before* and *after* refer to the deletion. After it, the contacts are purged and the client does not learn it.
    """

    unreachable: float = 0.0
    """The connection cannot be made, so the call certainly did not arrive."""
    call_throttled: float = 0.0
    """Outer 429; nothing is carried out."""
    call_error_before: float = 0.0
    """Outer 500, 502, 503 or 504; nothing is carried out."""
    call_error_after: float = 0.0
    """Outer 500, 502, 503 or 504, but all sub-requests run. Half of the time they still run when the answer is given."""
    reset_before: float = 0.0
    """The connection is reset; nothing is carried out."""
    reset_after: float = 0.0
    """The connection is reset, and all sub-requests run. Half of the time they still run at the reset."""
    hang_before: float = 0.0
    """Nothing is carried out, and no answer comes until the client leaves."""
    hang_after: float = 0.0
    """Everything is carried out, and no answer comes until the client leaves."""
    html_page: float = 0.0
    """A 502 with an HTML page; carried out half of the time."""
    empty_body: float = 0.0
    """200 with an empty body; everything is carried out."""
    truncated: float = 0.0
    """A cut answer: complete HTTP with malformed JSON, or a connection that ends early, equally often.

    Everything is carried out.
    """
    expired_token: float = 0.0
    """The token of the call is refused from now on: outer 401.

    This happens only to tokens that have worked for 20 calls, so that a client that gets a new one can continue.
    """
    item_missing: float = 0.0
    """For each sub-response: it is missing from the answer."""
    item_repeated: float = 0.0
    """For each sub-response: its id occurs twice, equally often with the same reply and with another one (429 or 503)."""
    item_unknown: float = 0.0
    """For each answer: it also contains an id that nobody asked for."""
    item_throttled_before: float = 0.0
    """429 for the sub-request, not carried out. Its Retry-After is an integer, a decimal, an HTTP date or absent."""
    item_throttled_after: float = 0.0
    """429 for the sub-request, but carried out all the same, as users reported."""
    item_error_before: float = 0.0
    """500, 502, 503, 504 or 509 for the sub-request, not carried out."""
    item_error_after: float = 0.0
    """500, 502, 503, 504 or 509 for the sub-request, but carried out."""
    item_not_attempted: float = 0.0
    """424 for the sub-request, not carried out."""
    item_unauthorized: float = 0.0
    """401 for the sub-request, not carried out."""
    item_busy: float = 0.0
    """409, 412 or 423 for the sub-request, not carried out."""
    odd_body: float = 0.0
    """For each error: its body is null, absent or a base64 string, or its innerError is absent or spelt differently."""
    bare_item: float = 0.0
    """For each sub-response: it has no ``headers`` (except for a ``Retry-After``), and no ``body`` that says nothing."""
    outage: tuple[float, float] | None = None
    """From the first to the second tenant time, in seconds, every call answers 503 or is reset, and nothing is carried out."""
    retry_after_s_max: int = 2
    """The longest Retry-After, in seconds, that comes with a fault."""

    def __post_init__(self) -> None:
        for name in self.probabilities():
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise UsageProblem(
                    f"The fault {name} must have a probability between 0 and 1, not {getattr(self, name)}."
                )
        if self.retry_after_s_max < 1:
            raise UsageProblem(f"retry_after_s_max must be at least 1, not {self.retry_after_s_max}.")

    @classmethod
    def probabilities(cls) -> tuple[str, ...]:
        """Return the names of all probabilities."""
        return tuple(field.name for field in fields(cls) if field.name not in ("outage", "retry_after_s_max"))

    @classmethod
    def everything(cls, p: float, outage: tuple[float, float] | None = None) -> Faults:
        """Return every fault with the same probability ``p``.

        A call has 12 faults, so a share of 12 times ``p`` of the calls suffers.
        """
        return cls(**dict.fromkeys(cls.probabilities(), p), outage=outage)  # type: ignore[arg-type]


_CALL_ERRORS = (
    SubResponse(500, "InternalServerError", "The server was unable to process the request."),
    SubResponse(502, "BadGateway", "The gateway received an invalid answer."),
    SubResponse(503, "serviceNotAvailable", "The service is temporarily unavailable."),
    SubResponse(504, "GatewayTimeout", "The gateway did not get an answer in time."),
)
_ITEM_ERRORS = (
    SubResponse(500, "ErrorInternalServerError", "An internal server error occurred. The operation failed."),
    SubResponse(502, "UnknownError", ""),
    SubResponse(503, "ErrorServerBusy", "The server cannot service this request right now. Try again later."),
    SubResponse(504, "UnknownError", "The request timed out."),
    SubResponse(509, "ErrorBandwidthExceeded", "Bandwidth limit exceeded."),
)
_BUSY = (
    SubResponse(409, "ErrorIrresolvableConflict", "The send or update operation could not be performed."),
    SubResponse(412, "ErrorIrresolvableConflict", "The change key passed in the request does not match."),
    SubResponse(423, "locked", "The resource is locked."),
)
_THROTTLE_CODES = ("ApplicationThrottled", "TooManyRequests", "UnknownError")


class Chance:
    """Draws faults, latencies and orders from one seeded generator, and counts by name what it drew."""

    def __init__(self, faults: Faults, seed: int) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self._apart = random.Random(f"apart {seed}")
        self.drawn: Counter[str] = Counter()
        self.set_faults(faults)

    def __repr__(self) -> str:
        return f"Chance(seed={self.seed}, drawn={dict(self.drawn)})"

    def set_faults(self, faults: Faults) -> None:
        """Use these probabilities from now on, with the same generator."""
        self.faults = faults
        self._call = self._possible(CallFault)
        self._item = self._possible(ItemFault)
        self.mangles = any((faults.item_missing, faults.item_repeated, faults.item_unknown, faults.odd_body))
        """True if answers may be mangled at all. If not, no draws are made for that."""

    def call_fault(self, may_expire: bool = True) -> CallFault | None:
        """Draw the fault of the next call, or None. A token expires only if it ``may_expire``."""
        for name, p in self._call:
            if self.rng.random() < p and (may_expire or name != CallFault.EXPIRED_TOKEN):
                self.drawn[name] += 1
                return CallFault(name)
        return None

    def item_fault(self) -> ItemFault | None:
        """Draw the fault of the next sub-request, or None."""
        for name, p in self._item:
            if self.rng.random() < p:
                self.drawn[name] += 1
                return ItemFault(name)
        return None

    def happens(self, name: str) -> bool:
        """Draw whether the fault with this name happens now."""
        p: float = getattr(self.faults, name)
        if not p or self.rng.random() >= p:
            return False
        self.drawn[name] += 1
        return True

    def is_bare(self) -> bool:
        """Draw whether the next sub-response is bare. A separate generator keeps all other draws of the seed unchanged."""
        if not self.faults.bare_item or self._apart.random() >= self.faults.bare_item:
            return False
        self.drawn["bare_item"] += 1
        return True

    def evenly(self) -> bool:
        """Toss a fair coin."""
        return self.rng.random() < 0.5

    def call_error(self) -> SubResponse:
        """Return an outer 5xx. A 503 asks for a wait half of the time."""
        said = self.rng.choice(_CALL_ERRORS)
        return said._replace(wait=self._whole_wait()) if said.status == 503 and self.evenly() else said

    def item_error(self, fault: ItemFault, now: float, utc_at_zero_s: float) -> SubResponse:
        """Return the reply to a sub-request with this fault. 401 and 424 are not drawn, because each has one form only."""
        if fault is ItemFault.BUSY:
            return self.rng.choice(_BUSY)
        if fault in (ItemFault.ERROR_BEFORE, ItemFault.ERROR_AFTER):
            return self.rng.choice(_ITEM_ERRORS)
        return self.throttled(now, utc_at_zero_s)

    def throttled(self, now: float, utc_at_zero_s: float) -> SubResponse:
        """Return a 429 with any of its codes and any form of Retry-After, or none."""
        message = "Application is over its MailboxConcurrency limit."
        return SubResponse(429, self.rng.choice(_THROTTLE_CODES), message, self._wait(now, utc_at_zero_s))

    def _wait(self, now: float, utc_at_zero_s: float) -> Wait | None:
        form = self.rng.randrange(4)
        if form == 0:
            return self._whole_wait()
        if form == 1:
            return wait_of(0.249)
        return wait_until_date(now, self.rng.random(), utc_at_zero_s) if form == 2 else None

    def _whole_wait(self) -> Wait:
        return wait_of(self.rng.randint(1, self.faults.retry_after_s_max))

    def _possible(self, kind: type[CallFault] | type[ItemFault]) -> tuple[tuple[str, float], ...]:
        pairs = ((member.value, getattr(self.faults, member.value)) for member in kind)
        return tuple((name, p) for name, p in pairs if p > 0)
