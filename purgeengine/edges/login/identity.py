"""What the rest of the program knows of tokens: an interface of three methods, and the identity behind a token."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from purgeengine.core.graph.text import printable


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity that asks Graph, as far as it is known. Unknown texts are empty; an unknown ``expires_utc`` is None.

    ``expires_utc`` is in seconds since 1970.
    """

    tenant_id: str
    client_id: str
    method: str
    """How we sign in.

    One of ``client secret``, ``certificate``, ``workload federation``, ``managed identity``, ``device code`` and
    ``ready token``.
    """
    roles: tuple[str, ...] = ()
    """What the token says the app may do: application roles, or the scopes of a delegated token."""
    expires_utc: float | None = None
    user: str = ""
    """The person in whose name we act (a user principal name). Empty if the app acts as itself."""
    chosen_because: str = ""
    """Why this kind of sign-in was chosen, for example ``AZURE_CLIENT_SECRET is set``."""
    credential: str = ""
    """What may be shown of the credential, for example a certificate's subject, thumbprint and end."""
    clock_skew_s: float | None = None
    """Seconds that this machine's clock is ahead of the login's. Negative if it is behind. None if unknown."""


class AccessTokens(Protocol):
    """Hands out the current token."""

    async def token(self) -> str:
        """Return a token that stays valid for a while. Raises `TokenError` if there is none."""

    async def renew(self, stale: str, claims: str = "") -> str:
        """Return another token, because Graph refused ``stale``. If the current token is another one already, return that.

        ``claims`` is what Graph wants of the token (a claims challenge, JSON), or empty. Raises `TokenError` if there
        is none.
        """

    def describe(self) -> Identity:
        """Return the identity. Most of it is known only after the first token."""


def is_token(text: str) -> bool:
    """True if the text can be sent in an Authorization header at all."""
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


def claims_of(token: str) -> dict[str, Any]:
    """Return the claims of a token that is a JWT, *unverified*: for people and for its expiry, never to decide on trust.

    Empty if the token is not a JWT.
    """
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = msgspec.json.decode(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError, msgspec.MsgspecError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def described(token: str, method: str, tenant_id: str = "", client_id: str = "") -> Identity:
    """Return the identity that the token names, with the given values where it names none. The expiry is the token's own."""
    claims = claims_of(token)
    scopes = claims.get("scp")
    roles = claims.get("roles") or (scopes.split() if isinstance(scopes, str) else [])
    expires = claims.get("exp")
    return Identity(
        tenant_id=printable(claims.get("tid"), 100) or tenant_id,
        client_id=printable(claims.get("appid") or claims.get("azp"), 100) or client_id,
        method=method,
        roles=tuple(printable(role, 100) for role in roles[:100]) if isinstance(roles, list) else (),
        expires_utc=float(expires) if isinstance(expires, int | float) and 0 < expires < 1e11 else None,
        user=printable(claims.get("upn") or claims.get("preferred_username"), 200),
    )
