"""What the rest of the program knows of tokens: where they come from, and who we are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from purgeengine.core.graph.text import printable
from purgeengine.engine.ports import Tokens

TOKEN_LENGTH_MAX = 64 * 1024
"""Characters of the longest token that is used; those of Entra ID have a few thousand, and servers refuse headers of this size."""


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
    issued_utc: float | None = None
    """When the token was obtained, or else what it says of that itself, in seconds since 1970. None if unknown."""


class AccessTokens(Tokens, Protocol):
    """The engine's `Tokens`, which can also say whose they are."""

    def describe(self) -> Identity:
        """Return the identity. Most of it is known only after the first token."""


def is_token(text: str) -> bool:
    """True if the text can be sent in an Authorization header at all."""
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


def claims_of(token: str) -> dict[str, Any]:
    """What a token says of itself if it is a JWT. Empty for an opaque token, and for one that is longer than `TOKEN_LENGTH_MAX`.

    The signature is *not* verified: the claims are for people to read and for the expiry, never for a decision on trust.
    """
    if token.count(".") != 2 or len(token) > TOKEN_LENGTH_MAX:
        return {}
    import jwt  # takes a while, and most commands read no token

    try:
        return dict(jwt.decode(token, options={"verify_signature": False}))
    except (jwt.PyJWTError, ValueError, RecursionError):  # the last two come out of older versions
        return {}


def fault_of(token: str) -> str | None:
    """Why Graph can never accept this token, as half a sentence, or None where it may."""
    if len(token) > TOKEN_LENGTH_MAX:
        return f"is longer than the {TOKEN_LENGTH_MAX:,} characters that a token may have"
    if not is_token(token):
        return "is no token: it is empty, or holds a character that no token has"
    if token.count(".") != 2:
        return None
    import jwt

    try:
        algorithm = jwt.get_unverified_header(token).get("alg")
    except (jwt.PyJWTError, ValueError, RecursionError):
        return None
    unsigned = token.endswith(".") or str(algorithm).lower() == "none"
    return "is a token without a signature, and Graph accepts only signed ones" if unsigned else None


def described(token: str, method: str, tenant_id: str = "", client_id: str = "") -> Identity:
    """Return the identity that the token names, with the given values where it names none. The expiry is the token's own."""
    claims = claims_of(token)
    scopes = claims.get("scp")
    roles = claims.get("roles") or (scopes.split() if isinstance(scopes, str) else [])
    expires, issued = claims.get("exp"), claims.get("iat")
    return Identity(
        tenant_id=printable(claims.get("tid"), 100) or tenant_id,
        client_id=printable(claims.get("appid") or claims.get("azp"), 100) or client_id,
        method=method,
        roles=tuple(printable(role, 100) for role in roles[:100]) if isinstance(roles, list) else (),
        expires_utc=_as_utc(expires),
        issued_utc=_as_utc(issued),
        user=printable(claims.get("upn") or claims.get("preferred_username"), 200),
    )


def _as_utc(seconds: object) -> float | None:
    return float(seconds) if isinstance(seconds, int | float) and 0 < seconds < 1e11 else None
