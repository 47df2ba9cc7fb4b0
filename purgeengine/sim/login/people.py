"""People who sign in with a device code, and the refresh tokens that keep them signed in. Pure: ``now`` is given."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from purgeengine.sim.login.app import Refused

PERSON = "admin@simulated.example"
CODES_MAX = 100
"""Codes and refresh tokens remembered. The oldest are forgotten."""


@dataclass(slots=True)
class _Code:
    user_code: str
    audience: str
    expires_at: float
    user: str | None = None
    declined: bool = False


class People:
    """The codes that were given out, and who has signed in with them.

    ``interval_s`` is how often, in seconds, a client may ask; ``code_s`` is how many seconds a code is valid (the
    real service: 5 and 900).
    """

    def __init__(self, *, interval_s: int = 5, code_s: float = 900.0) -> None:
        self.interval_s = interval_s
        self.code_s = code_s
        self.sign_in_at_once = False
        """True if somebody signs in with every code as soon as it is given out."""
        self._codes: dict[str, _Code] = {}
        self._refresh: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"People(codes={len(self._codes)}, refresh_tokens={len(self._refresh)})"

    @property
    def waiting(self) -> list[str]:
        """The user codes with which nobody has signed in yet."""
        return [code.user_code for code in self._codes.values() if code.user is None and not code.declined]

    def give_code(self, now: float, audience: str, verification_uri: str) -> dict[str, Any]:
        """Return a new code for tokens of that audience, as the device authorization endpoint answers it."""
        device_code, user_code = secrets.token_urlsafe(48), secrets.token_hex(4).upper()
        self._codes[device_code] = _Code(
            user_code, audience, now + self.code_s, PERSON if self.sign_in_at_once else None
        )
        _bound(self._codes)
        return {
            "user_code": user_code,
            "device_code": device_code,
            "verification_uri": verification_uri,
            "expires_in": int(self.code_s),
            "interval": self.interval_s,
            "message": f"To sign in, open {verification_uri} and enter the code {user_code}.",
        }

    def sign_in(self, user_code: str, user: str = PERSON) -> bool:
        """Let somebody enter the code. True if it is a code."""
        found = [code for code in self._codes.values() if code.user_code == user_code.strip().upper()]
        for code in found:
            code.user = user
        return bool(found)

    def decline(self, user_code: str) -> None:
        """Let somebody enter the code and decline."""
        for code in self._codes.values():
            if code.user_code == user_code:
                code.declined = True

    def sign_out(self) -> None:
        """Revoke every refresh token."""
        self._refresh.clear()

    def of_code(self, form: Mapping[str, str], now: float) -> tuple[str, str]:
        """Return who signed in with the device code of a token request, and the audience of the code.

        Raises `Refused` while nobody has signed in, and for a bad code.
        """
        device_code = form.get("device_code", "")
        code = self._codes.get(device_code)
        if code is None:
            raise Refused(400, "bad_verification_code", 70018, "Bad verification code.")
        if now >= code.expires_at:
            raise Refused(400, "expired_token", 70020, "The provided value for the device code has expired.")
        if code.declined:
            raise Refused(400, "authorization_declined", 70042, "The user has declined.")
        if code.user is None:
            raise Refused(400, "authorization_pending", 70016, "OAuth 2.0 device flow error. Authorization is pending.")
        del self._codes[device_code]
        return code.user, code.audience

    def user_of_refresh(self, form: Mapping[str, str]) -> str:
        """Return the owner of a refresh token, which works once. Raises `Refused` if it is revoked or unknown."""
        user = self._refresh.pop(form.get("refresh_token", ""), None)
        if user is None:
            raise Refused(400, "invalid_grant", 50173, "The provided grant has expired due to it being revoked.")
        return user

    def refresh_token(self, user: str) -> str:
        """Return a new refresh token of a person."""
        token = secrets.token_urlsafe(48)
        self._refresh[token] = user
        _bound(self._refresh)
        return token


def _bound(known: dict[str, Any]) -> None:
    if len(known) > CODES_MAX:
        del known[next(iter(known))]
