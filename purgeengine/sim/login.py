"""A login endpoint as the Microsoft identity platform has it, as far as an app without a user needs it: pure, ``now`` given.

Knows tenants, apps, secrets and access tokens; knows nothing of HTTP connections (see `purgeengine.sim.server`) or of Graph.
Error bodies and their AADSTS numbers are those of the real service; MSAL for Python accepts the answers.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from purgeengine.errors import UsageProblem
from purgeengine.sim.answers import encode, http_date
from purgeengine.sim.settings import UTC_AT_ZERO_S

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_CHECKED_TOKENS_MAX = 64
"""Tokens whose signature has been checked and need not be again; a client has one at a time."""


@dataclass(frozen=True, slots=True)
class App:
    """An app registration of the simulated tenant. Its secret opens nothing but this simulation."""

    tenant_id: str = "5157a1ed-0000-4000-8000-000000000001"
    client_id: str = "5157a1ed-0000-4000-8000-000000000002"
    client_secret: str = "simulated-secret"  # noqa: S105 - opens nothing but a simulation on this machine
    roles: tuple[str, ...] = ("Contacts.ReadWrite",)


class LoginAnswer(NamedTuple):
    """An HTTP answer; the body is JSON unless ``content_type`` says otherwise."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json"


class _Refused(Exception):
    """A request for a token is refused with this status, error and AADSTS text."""

    def __init__(self, status: int, error: str, number: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.error = error
        self.number = number


class Login:
    """Issues access tokens and knows which are good. Tokens are JWTs signed with a key that is made anew each time.

    ``lifetime_s`` is how long a token lives (the real service: 60 to 90 minutes). Raises `UsageProblem` when it is not positive.
    """

    def __init__(
        self,
        app: App | None = None,
        *,
        lifetime_s: float = 3_600.0,
        utc_at_zero_s: float = UTC_AT_ZERO_S,
        outage: tuple[float, float] | None = None,
    ) -> None:
        if lifetime_s <= 0:
            raise UsageProblem(f"The simulated tenant's token lifetime must be greater than zero, not {lifetime_s}.")
        self.app = app or App()
        self.issued = 0
        """Tokens issued so far."""
        self.refused = 0
        """Requests for a token that were refused."""
        self.utc_at_zero_s = utc_at_zero_s
        self.outage = outage
        """From the first to the second tenant time in seconds every request answers 503."""
        self._lifetime_s = lifetime_s
        self._key = secrets.token_bytes(32)
        self._revoked_to = 0
        self._checked: dict[str, tuple[float, int]] = {}

    def __repr__(self) -> str:
        return f"Login(issued={self.issued}, refused={self.refused})"

    # ------------------------------------------------------------------------------------------------- tokens

    def issue(self, now: float, audience: str = "https://graph.microsoft.com") -> str:
        """A new access token for the app, good from now on. No two are alike."""
        self.issued += 1
        utc_s = self.utc_at_zero_s + now
        claims = {
            "aud": audience, "iss": f"https://sts.windows.net/{self.app.tenant_id}/", "tid": self.app.tenant_id,
            "appid": self.app.client_id, "app_displayname": "purgeengine simulation", "idtyp": "app",
            "roles": list(self.app.roles), "iat": int(utc_s), "nbf": int(utc_s), "exp": utc_s + self._lifetime_s,
            "uti": str(self.issued), "ver": "1.0",
        }  # fmt: skip
        signed = f"{_base64url(encode({'typ': 'JWT', 'alg': 'HS256'}))}.{_base64url(encode(claims))}"
        return f"{signed}.{self._signature(signed)}"

    def accepts(self, token: str, now: float) -> bool:
        """Whether the token is this login's, neither expired nor revoked."""
        known = self._checked.get(token)
        if known is None:
            known = self._read(token)
            if known is None:
                return False
            self._checked[token] = known
            if len(self._checked) > _CHECKED_TOKENS_MAX:
                del self._checked[next(iter(self._checked))]
        expires_utc_s, number = known
        return number > self._revoked_to and self.utc_at_zero_s + now < expires_utc_s

    def revoke_all(self) -> None:
        """Refuse every token issued so far."""
        self._revoked_to = self.issued

    def _read(self, token: str) -> tuple[float, int] | None:
        """When the token expires (UTC seconds) and its number, or None when it is not this login's."""
        signed, _, signature = token.rpartition(".")
        if not signed or not token.isascii() or not hmac.compare_digest(signature, self._signature(signed)):
            return None
        payload = signed.partition(".")[2]
        claims = msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(claims["exp"]), int(claims["uti"])

    def _signature(self, signed: str) -> str:
        return _base64url(hmac.digest(self._key, signed.encode("utf-8"), hashlib.sha256))

    # ------------------------------------------------------------------------------------------------- endpoints

    def answer(self, method: str, path: str, form: Mapping[str, str], now: float, base_url: str) -> LoginAnswer | None:
        """Answer a request to the login host, or None when the path is none of its.

        ``path`` is decoded, ``form`` holds the fields of the body, ``base_url`` is what the endpoints begin with.
        """
        tenant, _, endpoint = path.strip("/").partition("/")
        if endpoint not in _ENDPOINTS:
            return None
        if self.outage is not None and self.outage[0] <= now < self.outage[1]:
            return LoginAnswer(503, b"<html><body>Service Unavailable</body></html>", (), "text/html")
        try:
            self._check_tenant(tenant)
            if endpoint.endswith("openid-configuration"):
                return LoginAnswer(200, encode(self._configuration(tenant, base_url)))
            if method != "POST":
                raise _Refused(400, "invalid_request", 900561, "The endpoint only accepts POST requests.")
            return LoginAnswer(200, encode(self._token_answer(form, now)), (("Cache-Control", "no-store, no-cache"),))
        except _Refused as problem:
            self.refused += 1
            return LoginAnswer(problem.status, encode(self._error(problem, now)))

    def _check_tenant(self, tenant: str) -> None:
        if tenant.lower() not in (self.app.tenant_id, "simulated.example"):
            raise _Refused(400, "invalid_tenant", 90002, f"Tenant '{tenant[:100]}' not found. Check the tenant ID.")

    def _configuration(self, tenant: str, base_url: str) -> dict[str, Any]:
        root = f"{base_url}/{tenant}"
        return {
            "token_endpoint": f"{root}/oauth2/v2.0/token",
            "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
            "device_authorization_endpoint": f"{root}/oauth2/v2.0/devicecode",
            "issuer": f"{base_url}/{self.app.tenant_id}/v2.0",
            "jwks_uri": f"{root}/discovery/v2.0/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
            "response_types_supported": ["code"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def _token_answer(self, form: Mapping[str, str], now: float) -> dict[str, Any]:
        if form.get("grant_type") != "client_credentials":
            raise _Refused(400, "unsupported_grant_type", 70003, "The app requested an unsupported grant type.")
        if form.get("client_id", "").lower() != self.app.client_id:
            name = form.get("client_id", "")[:100]
            raise _Refused(400, "unauthorized_client", 700016, f"Application with identifier '{name}' was not found.")
        self._check_credential(form)
        audience, slash, default = form.get("scope", "").partition(" ")[0].rpartition("/")
        if not audience or not slash or default != ".default":
            raise _Refused(
                400, "invalid_scope", 1002012, "The provided value for scope is not valid; it must end in /.default."
            )
        lifetime_s = int(self._lifetime_s)
        token = self.issue(now, audience)
        return {"token_type": "Bearer", "expires_in": lifetime_s, "ext_expires_in": lifetime_s, "access_token": token}

    def _check_credential(self, form: Mapping[str, str]) -> None:
        """Accept the app's secret, or any JWT as an assertion: whose key signed it is not checked."""
        if "client_assertion" in form:
            if form.get("client_assertion_type") != _ASSERTION_TYPE or form["client_assertion"].count(".") != 2:
                raise _Refused(401, "invalid_client", 50027, "JWT token is invalid or malformed.")
        elif not form.get("client_secret"):
            text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."
            raise _Refused(401, "invalid_client", 7000218, text)
        elif not hmac.compare_digest(form["client_secret"].encode("utf-8"), self.app.client_secret.encode("utf-8")):
            raise _Refused(401, "invalid_client", 7000215, "Invalid client secret provided.")

    def _error(self, problem: _Refused, now: float) -> dict[str, Any]:
        return {
            "error": problem.error,
            "error_description": f"AADSTS{problem.number}: {problem}",
            "error_codes": [problem.number],
            "timestamp": http_date(self.utc_at_zero_s + now),
        }


_ENDPOINTS = frozenset(
    {"v2.0/.well-known/openid-configuration", ".well-known/openid-configuration", "oauth2/v2.0/token"}
)


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
