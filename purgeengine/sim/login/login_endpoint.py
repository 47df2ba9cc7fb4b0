"""A login endpoint like that of the Microsoft identity platform, for apps and for people with a device code.

Pure: ``now`` is given.

It knows tenants, apps, credentials and tokens. It does not know HTTP connections (see
`purgeengine.sim.server.http_server`) or Graph. Error bodies and their AADSTS numbers are those of the real service;
MSAL for Python accepts the answers.
"""

from __future__ import annotations

import hmac
import secrets
from collections import deque
from collections.abc import Mapping
from typing import Any

import jwt

from purgeengine.errors import UsageProblem
from purgeengine.sim.login.app import App, LoginAnswer, Refused, base64url
from purgeengine.sim.login.assertions import TOKEN_LENGTH_MAX, UNCHECKED_CLAIMS, Assertions
from purgeengine.sim.login.people import People
from purgeengine.sim.tenant_settings import UTC_AT_ZERO_S
from purgeengine.sim.wire.answers import BAD_TOKEN, FOREIGN_TOKEN, NO_JWT, NO_TOKEN, SubResponse, encode, http_date

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
DEVICE_PATH = "/devicelogin"
"""The page where people enter a device code."""
_ALGORITHM = "HS256"
"""How access tokens are signed. The real service uses RS256; nobody but the simulated Graph has to check these."""
_CHECKED_TOKENS_MAX = 64
"""Tokens whose signature was checked and need not be checked again. A client has one at a time."""


class LoginEndpoint:
    """Issues access tokens and knows which are valid. Tokens are JWTs, signed with a key that is made anew each time.

    ``lifetime_s`` is how many seconds a token lives (the real service: 60 to 90 minutes). Raises `UsageProblem` if it
    is not positive.
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
        """From the first to the second tenant time, in seconds, every request answers 503."""
        self.clock_ahead_s = 0.0
        """Seconds that the login's clock is ahead of the machine's, to try out wrong clocks."""
        self.assertions = Assertions()
        """Certificates and federated credentials of the app."""
        self.people = People()
        """People who sign in with a device code."""
        self.lifetime_s = lifetime_s
        self._scripted: deque[Refused] = deque()
        self._key = secrets.token_bytes(32)
        self._revoked_to = 0
        self._checked: dict[str, tuple[float, int, str | None]] = {}

    def __repr__(self) -> str:
        return f"Login(issued={self.issued}, refused={self.refused})"

    # ------------------------------------------------------------------------------------------------- tokens

    def utc_s(self, now: float) -> float:
        """Return the login's own time, in seconds since 1970."""
        return self.utc_at_zero_s + now + self.clock_ahead_s

    def issue(self, now: float, audience: str = "https://graph.microsoft.com", user: str | None = None) -> str:
        """Return a new access token for the app, or for a person who uses it, valid from now on. No two are equal."""
        self.issued += 1
        utc_s = self.utc_s(now)
        whose: dict[str, Any] = {"idtyp": "app", "roles": list(self.app.roles)}
        if user is not None:
            whose = {"idtyp": "user", "scp": " ".join(self.app.scopes), "upn": user}
        claims = {
            "aud": audience, "iss": f"https://sts.windows.net/{self.app.tenant_id}/", "tid": self.app.tenant_id,
            "appid": self.app.client_id, "app_displayname": "purgeengine simulation",
            **whose, "iat": int(utc_s), "nbf": int(utc_s), "exp": utc_s + self.lifetime_s,
            "uti": str(self.issued), "ver": "1.0",
        }  # fmt: skip
        return jwt.encode(claims, self._key, algorithm=_ALGORITHM)

    def accepts(self, token: str, now: float) -> bool:
        """True if this login issued the token, and it is neither expired nor revoked."""
        return self.refusal_of(token, now) is None

    def refusal_of(self, token: str, now: float) -> SubResponse | None:
        """Return Graph's reply to a call with this token. None if `accepts` accepts the token."""
        known = self._checked.get(token)
        if known is None:
            known = self._read(token)
            if known is None:
                return FOREIGN_TOKEN if "." in token else NO_JWT if token else NO_TOKEN
            self._checked[token] = known
            if len(self._checked) > _CHECKED_TOKENS_MAX:
                del self._checked[next(iter(self._checked))]
        expires_utc_s, number, _ = known
        return None if number > self._revoked_to and self.utc_s(now) < expires_utc_s else BAD_TOKEN

    def user_of(self, token: str) -> str | None:
        """Return the person in whose name an accepted token was issued. None if it is the app's own."""
        known = self._checked.get(token) or self._read(token)
        return known[2] if known is not None else None

    def revoke_all(self) -> None:
        """Refuse every token issued so far."""
        self._revoked_to = self.issued

    def refuse_next(
        self, number: int, error: str = "invalid_client", *, status: int = 401, text: str = "Refused.", times: int = 1
    ) -> None:
        """Refuse the next ``times`` requests for a token with this AADSTS number, whatever they contain."""
        self._scripted.extend(Refused(status, error, number, text) for _ in range(times))

    def _read(self, token: str) -> tuple[float, int, str | None] | None:
        """When the token expires (UTC seconds), its number and its person, or None when it is not this login's.

        Only signatures of our own algorithm count, so that ``alg: none`` is as good as a forged token.
        """
        if len(token) > TOKEN_LENGTH_MAX or not token.isascii():
            return None
        try:
            claims = jwt.decode(token, self._key, algorithms=[_ALGORITHM], options=UNCHECKED_CLAIMS)
        except (jwt.PyJWTError, ValueError, RecursionError):  # the last two come out of older versions
            return None
        return float(claims["exp"]), int(claims["uti"]), claims.get("upn")

    # ------------------------------------------------------------------------------------------------- endpoints

    def answer(self, method: str, path: str, form: Mapping[str, str], now: float, base_url: str) -> LoginAnswer | None:
        """Answer a request to the login host. None if the path is not one of the login's.

        ``path`` is decoded. ``form`` has the fields of the body. ``base_url`` is the beginning of the endpoints'
        URLs.
        """
        tenant, _, endpoint = path.strip("/").partition("/")
        if path == DEVICE_PATH:
            return self._device_page(form)
        if endpoint not in _ENDPOINTS:
            return None
        if self.outage is not None and self.outage[0] <= now < self.outage[1]:
            return LoginAnswer(503, b"<html><body>Service Unavailable</body></html>", (), "text/html")
        date = ("Date", http_date(self.utc_s(now)))
        try:
            self._check_tenant(tenant)
            if endpoint.endswith("openid-configuration"):
                return LoginAnswer(200, encode(self._configuration(tenant, base_url)), (date,))
            if method != "POST":
                raise Refused(400, "invalid_request", 900561, "The endpoint only accepts POST requests.")
            if endpoint.endswith("devicecode"):
                return LoginAnswer(200, encode(self._device_code(form, now, base_url)), (date,))
            answer = self._token_answer(form, now, f"{base_url}/{tenant}/oauth2/v2.0/token")
            return LoginAnswer(200, encode(answer), (("Cache-Control", "no-store, no-cache"), date))
        except Refused as problem:
            self.refused += 1
            return LoginAnswer(problem.status, encode(self._error(problem, now)), (date,))

    def _check_tenant(self, tenant: str) -> None:
        if tenant.lower() not in (self.app.tenant_id, "simulated.example"):
            raise Refused(400, "invalid_tenant", 90002, f"Tenant '{tenant[:100]}' not found. Check the tenant ID.")

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

    def _token_answer(self, form: Mapping[str, str], now: float, token_endpoint: str) -> dict[str, Any]:
        if self._scripted:
            raise self._scripted.popleft()
        grant = form.get("grant_type", "")
        if grant not in ("client_credentials", "refresh_token", _DEVICE_GRANT):
            raise Refused(400, "unsupported_grant_type", 70003, "The app requested an unsupported grant type.")
        self._check_client(form)
        if grant == "client_credentials":
            self._check_credential(form, now, token_endpoint)
            return self._granted(self.issue(now, _audience(form)))
        if grant == _DEVICE_GRANT:
            user, audience = self.people.of_code(form, now)
        else:
            user, audience = self.people.user_of_refresh(form), _audience(form)
        return self._granted(self.issue(now, audience, user)) | self._about(user, now)

    def _granted(self, token: str) -> dict[str, Any]:
        lifetime_s = int(self.lifetime_s)
        return {"token_type": "Bearer", "expires_in": lifetime_s, "ext_expires_in": lifetime_s, "access_token": token}

    def _about(self, user: str, now: float) -> dict[str, Any]:
        """Return what a client keeps about a person: a refresh token, and who it is."""
        client_info = {"uid": "5157a1ed-0000-4000-8000-000000000003", "utid": self.app.tenant_id}
        utc_s = int(self.utc_s(now))
        claims = {
            "aud": self.app.client_id, "tid": self.app.tenant_id, "sub": user, "preferred_username": user,
            "iss": f"https://login.simulated.example/{self.app.tenant_id}/v2.0", "iat": utc_s, "exp": utc_s + 3_600,
        }  # fmt: skip
        return {
            "refresh_token": self.people.refresh_token(user),
            "client_info": base64url(encode(client_info)),
            "id_token": jwt.encode(claims, "", algorithm="none"),
            "scope": " ".join(self.app.scopes),
        }

    def _check_client(self, form: Mapping[str, str]) -> None:
        if form.get("client_id", "").lower() != self.app.client_id:
            name = form.get("client_id", "")[:100]
            raise Refused(400, "unauthorized_client", 700016, f"Application with identifier '{name}' was not found.")

    def _check_credential(self, form: Mapping[str, str], now: float, token_endpoint: str) -> None:
        """Accept the app's secret, or an assertion that its certificate or a federated credential proves."""
        if "client_assertion" in form:
            if form.get("client_assertion_type") != _ASSERTION_TYPE:
                raise Refused(401, "invalid_client", 50027, "JWT token is invalid or malformed.")
            self.assertions.check(form["client_assertion"], self.app.client_id, token_endpoint, self.utc_s(now))
        elif not form.get("client_secret"):
            text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."
            raise Refused(401, "invalid_client", 7000218, text)
        elif not hmac.compare_digest(form["client_secret"].encode("utf-8"), self.app.client_secret.encode("utf-8")):
            raise Refused(401, "invalid_client", 7000215, "Invalid client secret provided.")

    def _device_code(self, form: Mapping[str, str], now: float, base_url: str) -> dict[str, Any]:
        self._check_client(form)
        if not self.app.public_flows:
            text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."
            raise Refused(401, "invalid_client", 7000218, text)
        return self.people.give_code(now, _audience(form), base_url + DEVICE_PATH)

    def _device_page(self, form: Mapping[str, str]) -> LoginAnswer:
        """Return the page for entering a code. Whoever enters a code has signed in."""
        said = ""
        if "user_code" in form:
            said = "Signed in." if self.people.sign_in(form["user_code"]) else "No such code."
        page = f"<html><body><p>{said}</p><form>Code: <input name=user_code><input type=submit></form></body></html>"
        return LoginAnswer(200, page.encode("ascii"), (), "text/html")

    def _error(self, problem: Refused, now: float) -> dict[str, Any]:
        return {
            "error": problem.error,
            "error_description": f"AADSTS{problem.number}: {problem}",
            "error_codes": [problem.number],
            "timestamp": http_date(self.utc_s(now)),
        }


_ENDPOINTS = frozenset(
    {
        "v2.0/.well-known/openid-configuration",
        ".well-known/openid-configuration",
        "oauth2/v2.0/token",
        "oauth2/v2.0/devicecode",
    }
)


def _audience(form: Mapping[str, str]) -> str:
    """Return what the token is for. Raises `Refused` if no scope ends in the default of an audience."""
    for scope in form.get("scope", "").split(" "):
        audience, slash, default = scope.rpartition("/")
        if audience and slash and default == ".default":
            return audience
    raise Refused(400, "invalid_scope", 1002012, "The provided value for scope is not valid; it must end in /.default.")
