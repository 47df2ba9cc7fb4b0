"""Which tokens the tenant has accepted, and which it refuses from now on because chance let them expire."""

from __future__ import annotations

TOKENS_MAX = 64
"""Tokens remembered. A client has one at a time, and the oldest are forgotten."""
USES_BEFORE_EXPIRY_MIN = 20
"""Calls that a token works for before chance may let it expire. So a client that gets a new one can continue."""


class TokenUses:
    """Counts the calls that each token was accepted for. It never shows a token."""

    def __init__(self) -> None:
        self._uses: dict[str, int] = {}
        self._expired: dict[str, None] = {}

    def __repr__(self) -> str:
        return f"TokenUses(seen={len(self._uses)}, expired={len(self._expired)})"

    def count_use(self, token: str) -> None:
        """Note that the token was accepted for a call."""
        self._uses[token] = self._uses.pop(token, 0) + 1
        if len(self._uses) > TOKENS_MAX:
            del self._uses[next(iter(self._uses))]

    def may_expire(self, token: str) -> bool:
        """True if the token has worked long enough to expire, and has not expired yet."""
        return self._uses.get(token, 0) >= USES_BEFORE_EXPIRY_MIN and token not in self._expired

    def expire(self, token: str) -> None:
        """Refuse the token from now on."""
        self._expired[token] = None
        if len(self._expired) > TOKENS_MAX:
            del self._expired[next(iter(self._expired))]

    def is_expired(self, token: str) -> bool:
        """True if the token must be refused."""
        return token in self._expired
