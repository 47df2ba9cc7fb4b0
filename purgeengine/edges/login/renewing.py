"""Keep a current token ready: renew it before it expires, once for all who wait, and keep trying while the login is down.

This module knows when to ask; a `LoginMethod` knows how. Here a call may simply wait, so tenacity does the waiting
and the giving up.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    wait_exponential,
)

from purgeengine import log_events, logs
from purgeengine.edges.clock import SystemClock
from purgeengine.edges.login.identity import Identity, described
from purgeengine.edges.threads import beside_the_loop
from purgeengine.engine.ports import Clock
from purgeengine.errors import LoginUnreachable

RENEW_WITH_LEFT_S = 300.0
"""A token is renewed when fewer seconds than this are left.

A token that lives less than ten minutes is renewed at half its life.
"""
PAUSE_S = 30.0
"""Seconds after a failed renewal until the next one, while the old token is still valid."""
START_PATIENCE_S = 30.0
"""Seconds that the first token is tried for while the login is down: something is usually wrong that a person must mend."""
RUN_PATIENCE_S = 900.0
"""Seconds that a later token is tried for: a run can wait for an incident to end."""
TRIES_MAX = 200
"""Most tries of one renewal, whatever the clock says. With waits of up to 30 s, the time limits end it much earlier."""
_wait_between_tries = wait_exponential(multiplier=1.0, max=30.0)


class LoginUnavailable(Exception):
    """The login could not be reached, or was too busy, so another try may help. The text is half a sentence for people.

    ``retry_after_s`` is the wait in seconds that the login asked for, or None. ``unreached`` is true if no answer came at all.
    """

    def __init__(self, reason: str, retry_after_s: float | None = None, *, unreached: bool = False) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s
        self.unreached = unreached


class LoginPending(Exception):
    """A person has not signed in yet. Ask again after ``again_after_s`` seconds, for as long as the login accepts the code."""

    def __init__(self, again_after_s: float) -> None:
        super().__init__("nobody has signed in yet")
        self.again_after_s = again_after_s


@dataclass(frozen=True, slots=True)
class Issued:
    """A fresh token, and the seconds that it lives."""

    token: str = field(repr=False)
    life_s: float


class LoginMethod(Protocol):
    """A kind of sign-in. ``tenant_id`` and ``client_id`` are empty if only the token knows them."""

    method: str
    """The name of this kind of sign-in, for people."""
    remedy: str
    """What a person can do if the login stays down."""
    tenant_id: str
    client_id: str
    claims: str
    """What Graph wants of the next token (a claims challenge, JSON), or empty. Set it before `acquire`."""

    @property
    def credential(self) -> str:
        """What may be shown of the credential."""

    @property
    def skew_s(self) -> float | None:
        """Seconds that our clock is ahead of the login's. None until an answer has shown it."""

    def acquire(self) -> Issued:
        """Get a fresh token, never a cached one. Runs in a thread, and may block for as long as its time limits allow.

        Raises `LoginUnavailable` if another try may help, `LoginPending` while a person must act first, and
        `TokenError` if neither helps. A login that waits for a person gives up within a bounded time.
        """


@dataclass(frozen=True, slots=True)
class _Held:
    """A token, and when it was asked for by both clocks: the monotonic one may stand still while the machine sleeps."""

    issued: Issued = field(repr=False)
    at: float
    at_utc: float

    def left_s(self, clock: Clock) -> float:
        return self.issued.life_s - max(clock.monotonic() - self.at, clock.utc() - self.at_utc)

    @property
    def renew_with_left_s(self) -> float:
        return min(RENEW_WITH_LEFT_S, self.issued.life_s / 2)

    @property
    def use_with_left_s(self) -> float:
        """Seconds that must be left to use the token. With less, a call might arrive too late."""
        return min(60.0, self.issued.life_s / 10)


class RenewingTokens:
    """Tokens of a `LoginMethod`. All methods belong to one event loop at a time.

    ``start_patience_s`` limits the seconds that the first token is tried for while the login is down,
    ``run_patience_s`` those for a later one. ``chosen_because`` tells people why this login was chosen.
    """

    def __init__(
        self,
        login: LoginMethod,
        *,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        start_patience_s: float = START_PATIENCE_S,
        run_patience_s: float = RUN_PATIENCE_S,
        chosen_because: str = "",
    ) -> None:
        self._login = login
        self._clock = clock or SystemClock()
        self._rng = rng or random.Random()
        self._sleep = sleep
        self._start_patience_s = start_patience_s
        self._run_patience_s = run_patience_s
        self._chosen_because = chosen_because
        self._held: _Held | None = None
        self._renewal: asyncio.Task[str] | None = None
        self._pause_until = 0.0
        self._hasty = False
        self._heard_at = 0.0
        """When the renewal under way began, or when the login last answered that a person has not signed in yet."""

    def __repr__(self) -> str:
        left = f"{self._held.left_s(self._clock):.0f}" if self._held else "none"
        return f"RenewingTokens({self._login.method}, left_s={left})"

    def give_up_unreached(self) -> None:
        """From now on, a login that cannot be reached is not asked again: a person waits for the answer, and can mend the cause."""
        self._hasty = True

    async def token(self) -> str:
        """Return the current token.

        If enough time is left, return it at once. If it is due for renewal, start that in the background and return
        it. If it has expired, wait for the renewal. Raises `TokenError` if no token can be had.
        """
        held = self._held
        if held is None:
            return await self._renewed()
        left_s = held.left_s(self._clock)
        if left_s > held.renew_with_left_s:
            return held.issued.token
        if left_s > held.use_with_left_s:
            if self._clock.monotonic() >= self._pause_until:
                self._under_way()
            return held.issued.token
        return await self._renewed()

    async def renew(self, stale: str, claims: str = "") -> str:
        """Return a token other than ``stale``, which Graph refused. ``claims`` is what Graph wants of the next one, or empty.

        Raises `TokenError` if no token can be had.
        """
        if self._held is not None and self._held.issued.token != stale:
            return await self.token()
        if claims and (self._renewal is None or self._renewal.done()):
            self._login.claims = claims
        return await self._renewed()

    def describe(self) -> Identity:
        """Return the identity. Roles and expiry are known once there is a token."""
        login, held = self._login, self._held
        identity = Identity(login.tenant_id, login.client_id, login.method)
        if held is not None:
            identity = described(held.issued.token, login.method, login.tenant_id, login.client_id)
            identity = replace(identity, expires_utc=held.at_utc + held.issued.life_s, issued_utc=held.at_utc)
        return replace(
            identity, chosen_because=self._chosen_because, credential=login.credential, clock_skew_s=login.skew_s
        )

    # ------------------------------------------------------------------------------------------------------- renewal

    async def _renewed(self) -> str:
        """Wait for the one renewal. It continues for the others if this caller gives up."""
        return await asyncio.shield(self._under_way())

    def _under_way(self) -> asyncio.Task[str]:
        """Return the renewal under way, or start one."""
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.ensure_future(self._fetch())
            self._renewal.add_done_callback(self._ended)
        return self._renewal

    def _ended(self, renewal: asyncio.Task[str]) -> None:
        if renewal.cancelled() or (error := renewal.exception()) is None:
            return
        self._pause_until = self._clock.monotonic() + PAUSE_S
        if self._held is not None:
            logs.get_logger().warning(log_events.TOKEN_DELAYED, reason=str(error))

    async def _fetch(self) -> str:
        patience_s = self._start_patience_s if self._held is None else self._run_patience_s
        self._heard_at = self._clock.monotonic()

        def patience_ends(state: RetryCallState) -> bool:
            waited_s = self._clock.monotonic() - self._heard_at
            return waited_s + state.upcoming_sleep > patience_s or state.attempt_number >= TRIES_MAX

        retrying = AsyncRetrying(
            retry=retry_if_exception(self._may_pass),
            wait=self._wait_s,
            stop=patience_ends,
            before_sleep=lambda state: _tell(state, patience_s),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            held: _Held = await retrying(self._ask)
        except LoginUnavailable as error:
            asked = f" and asks to wait {error.retry_after_s:g} s" if error.retry_after_s else ""
            within = "" if not self._may_pass(error) else f" within {patience_s:g} s"
            raise LoginUnreachable(f"No token was to be had{within}: {error}{asked}. {self._login.remedy}") from error
        self._held = held
        self._login.claims = ""  # the login has answered them, and a later token is never older than this one
        return held.issued.token

    async def _ask(self) -> _Held:
        while True:  # the login ends this loop: its codes are valid for some minutes
            at, at_utc = self._clock.monotonic(), self._clock.utc()
            try:
                return _Held(await beside_the_loop(self._login.acquire), at, at_utc)
            except LoginPending as pending:
                await self._sleep(pending.again_after_s)
                self._heard_at = self._clock.monotonic()

    def _may_pass(self, error: BaseException) -> bool:
        """Return whether the login is asked again after this error."""
        return isinstance(error, LoginUnavailable) and not (self._hasty and error.unreached)

    def _wait_s(self, state: RetryCallState) -> float:
        """Return the wait that the login asks for, or a growing one, with jitter so that many machines do not return at once."""
        error = _error_of(state)
        asked_s = error.retry_after_s if isinstance(error, LoginUnavailable) else None
        return max(asked_s or 0.0, _wait_between_tries(state) * self._rng.uniform(0.5, 1.0))


def _error_of(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _tell(state: RetryCallState, patience_s: float) -> None:
    """Log once in a renewal that it has to wait."""
    if state.attempt_number == 1:
        logs.get_logger().warning(log_events.TOKEN_DELAYED, reason=str(_error_of(state)), patience_s=patience_s)
