"""A token that somebody else got and handed over. It works until it expires, and cannot be renewed."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

from purgeengine.core.graph.claims_challenge import in_words
from purgeengine.edges.clock import SystemClock
from purgeengine.edges.login.identity import Identity, described, fault_of
from purgeengine.engine.ports import Clock
from purgeengine.errors import TokenError

READY_METHOD = "ready token"
"""The name of this kind of sign-in."""
VARIABLE = "PURGEENGINE_ACCESS_TOKEN"
_REMEDY = (
    "Put a new token there, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and a credential such as AZURE_CLIENT_SECRET so that "
    "purgeengine can renew tokens by itself; then give the same command again."
)


class ReadyToken:
    """The token of ``PURGEENGINE_ACCESS_TOKEN``. Raises `TokenError` for text that is no token, or one that has run out.

    ``named`` is where the token was given, for sentences.
    """

    def __init__(
        self, token: str, clock: Clock | None = None, *, chosen_because: str = "", named: str = VARIABLE
    ) -> None:
        self._named = named
        token = re.sub(r"^Bearer(\s+|$)", "", token.strip())
        if (fault := fault_of(token)) is not None:
            raise TokenError(f"What {named} holds {fault}. {_REMEDY}")
        self._token = token
        self._clock = clock or SystemClock()
        self._identity = replace(described(token, READY_METHOD), chosen_because=chosen_because)
        self._check_expiry()

    def __repr__(self) -> str:
        return f"ReadyToken(expires_utc={self._identity.expires_utc})"

    async def token(self) -> str:
        """Return the token. Raises `TokenError` once the token's own expiry has passed."""
        self._check_expiry()
        return self._token

    async def renew(self, stale: str, claims: str = "") -> str:
        """Raise `TokenError` always: there is only one token, and no login to pass ``claims`` to."""
        wanted = in_words("", claims)
        challenge = f" Graph asks for another one by continuous access evaluation ({wanted})." if wanted else ""
        raise TokenError(f"Graph refused the token in {self._named}, and it cannot be renewed.{challenge} " + _REMEDY)

    def describe(self) -> Identity:
        """Return what the token says about itself, unverified."""
        return self._identity

    def _check_expiry(self) -> None:
        expires_utc = self._identity.expires_utc
        if expires_utc is not None and expires_utc <= self._clock.utc():
            when = datetime.fromtimestamp(expires_utc, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
            raise TokenError(f"The token in {self._named} expired at {when}. " + _REMEDY)
