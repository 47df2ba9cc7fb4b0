"""Keeps a current token at hand: renews it ahead of its end, once for all who wait, and patiently when the login is out.

Knows when; a `LoginMethod` knows how. tenacity does the waiting between tries and gives up: here a call may simply wait.
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
    retry_if_exception_type,
    wait_exponential,
)

from purgeengine import logs
from purgeengine.edges.clock import SystemClock
from purgeengine.edges.login.identity import Identity, described
from purgeengine.edges.threads import beside_the_loop
from purgeengine.engine.ports import Clock
from purgeengine.errors import TokenError

RENEW_WITH_LEFT_S = 300.0
"""A token is renewed when less is left; of one that lives for less than ten minutes, at half its life."""
PAUSE_S = 30.0
"""After a renewal failed while the old token is still good, the next is tried so much later."""
START_PATIENCE_S = 30.0
"""How long the first token is tried for when the login is out: as a rule something is wrong that a person must mend."""
RUN_PATIENCE_S = 900.0
"""How long any later one is tried for, as long as a run waits for Graph: it can afford to wait out an incident."""
TRIES_MAX = 200
"""Bounds the tries of one renewal whatever the clock says; with waits of up to 30 s, patience ends long before."""
_wait_between_tries = wait_exponential(multiplier=1.0, max=30.0)


class LoginUnavailable(Exception):
    """The login could not be asked, or was too busy: worth another try. The text is half a sentence for people."""

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class LoginPending(Exception):
    """A person has still to sign in. Asked again after exactly so many seconds, for as long as the login itself thinks fit."""

    def __init__(self, again_after_s: float) -> None:
        super().__init__("nobody has signed in yet")
        self.again_after_s = again_after_s


@dataclass(frozen=True, slots=True)
class Issued:
    """A fresh token and how long it lives, in seconds."""

    token: str = field(repr=False)
    life_s: float


class LoginMethod(Protocol):
    """A way to sign in. ``tenant_id`` and ``client_id`` are empty where only the token knows them."""

    method: str
    """What it is called for people."""
    remedy: str
    """What a person can do when it stays out."""
    tenant_id: str
    client_id: str
    claims: str
    """What Graph wants of the next token (a claims challenge, JSON), or empty; set before it is asked for."""

    @property
    def credential(self) -> str:
        """What may be shown of what it signs in with."""

    @property
    def skew_s(self) -> float | None:
        """How far our clock is ahead of its, in seconds, where an answer has shown it."""

    def acquire(self) -> Issued:
        """Ask for a fresh token, never for a remembered one; runs in a thread and may block for as long as its timeouts let it.

        Raises `LoginUnavailable` when another try may help, `LoginPending` while a person has to act first, and `TokenError`
        when neither helps; within a bounded time where a person is waited for.
        """


@dataclass(frozen=True, slots=True)
class _Held:
    """A token and when it was asked for, on both clocks: the monotonic one may stand still while the machine sleeps."""

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
        """A call made with less left might arrive too late."""
        return min(60.0, self.issued.life_s / 10)


class RenewingTokens:
    """Tokens of a `LoginMethod`. All methods belong to one event loop at a time.

    ``start_patience_s`` bounds how long the first token is tried for when the login is out, ``run_patience_s`` how long any
    later one is. ``chosen_because`` says why this login and no other, for people.
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
        self._heard_at = 0.0
        """When the renewal under way began, or the login last answered that a person is still awaited."""

    def __repr__(self) -> str:
        left = f"{self._held.left_s(self._clock):.0f}" if self._held else "none"
        return f"RenewingTokens({self._login.method}, left_s={left})"

    async def token(self) -> str:
        """The current token. The cases: long enough left; due for renewal, which happens meanwhile; run out, so that all wait.

        Raises `TokenError` when none can be had.
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
        """A token other than ``stale``, which Graph refused; ``claims`` is what it wants of the next one, or empty.

        Raises `TokenError` when none can be had.
        """
        if self._held is not None and self._held.issued.token != stale:
            return await self.token()
        if claims and (self._renewal is None or self._renewal.done()):
            self._login.claims = claims
        return await self._renewed()

    def describe(self) -> Identity:
        """Who we are; roles and expiry once there is a token."""
        login, held = self._login, self._held
        identity = Identity(login.tenant_id, login.client_id, login.method)
        if held is not None:
            identity = described(held.issued.token, login.method, login.tenant_id, login.client_id)
            identity = replace(identity, expires_utc=held.at_utc + held.issued.life_s)
        return replace(
            identity, chosen_because=self._chosen_because, credential=login.credential, clock_skew_s=login.skew_s
        )

    # ------------------------------------------------------------------------------------------------------- renewal

    async def _renewed(self) -> str:
        """Wait for the one renewal, which goes on for the others when this waiter gives up."""
        return await asyncio.shield(self._under_way())

    def _under_way(self) -> asyncio.Task[str]:
        """The renewal under way, or a new one."""
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.ensure_future(self._fetch())
            self._renewal.add_done_callback(self._ended)
        return self._renewal

    def _ended(self, renewal: asyncio.Task[str]) -> None:
        if renewal.cancelled() or (error := renewal.exception()) is None:
            return
        self._pause_until = self._clock.monotonic() + PAUSE_S
        if self._held is not None:
            logs.get_logger().warning(logs.TOKEN_DELAYED, reason=str(error))

    async def _fetch(self) -> str:
        patience_s = self._start_patience_s if self._held is None else self._run_patience_s
        self._heard_at = self._clock.monotonic()

        def patience_ends(state: RetryCallState) -> bool:
            waited_s = self._clock.monotonic() - self._heard_at
            return waited_s + state.upcoming_sleep > patience_s or state.attempt_number >= TRIES_MAX

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(LoginUnavailable),
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
            raise TokenError(
                f"No token was to be had within {patience_s:g} s: {error}{asked}. {self._login.remedy}"
            ) from error
        self._held = held
        self._login.claims = ""  # they were answered; a later token must not be older than this one anyway
        return held.issued.token

    async def _ask(self) -> _Held:
        while True:  # ended by the login, whose codes are good for some minutes
            at, at_utc = self._clock.monotonic(), self._clock.utc()
            try:
                return _Held(await beside_the_loop(self._login.acquire), at, at_utc)
            except LoginPending as pending:
                await self._sleep(pending.again_after_s)
                self._heard_at = self._clock.monotonic()

    def _wait_s(self, state: RetryCallState) -> float:
        """As long as the login asks for, else longer each time, jittered so that many machines do not come back at once."""
        error = _error_of(state)
        asked_s = error.retry_after_s if isinstance(error, LoginUnavailable) else None
        return max(asked_s or 0.0, _wait_between_tries(state) * self._rng.uniform(0.5, 1.0))


def _error_of(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _tell(state: RetryCallState, patience_s: float) -> None:
    """Say once in a renewal that it has to wait."""
    if state.attempt_number == 1:
        logs.get_logger().warning(logs.TOKEN_DELAYED, reason=str(_error_of(state)), patience_s=patience_s)
