"""The local endpoints that issue tokens of a managed identity: instance metadata, and App Service's. Pure.

They behave as documented in how-to-use-vm-token, and in App Service's overview-managed-identity (REST endpoint
reference).
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping

from purgeengine.sim.login.app import LoginAnswer
from purgeengine.sim.login.login_endpoint import LoginEndpoint
from purgeengine.sim.wire.answers import encode

INSTANCE_PATH = "/metadata/identity/oauth2/token"
SERVICE_PATH = "/msi/token"


class ManagedIdentity:
    """A machine with a system-assigned identity, and a user-assigned one with the client id of the login's app."""

    def __init__(self, login: LoginEndpoint) -> None:
        self.login = login
        self.header = secrets.token_urlsafe(24)
        """The value that App Service expects in ``X-IDENTITY-HEADER``."""
        self.has_system_identity = True
        self.troubles: list[int] = []
        """Statuses that are answered first, one for each request."""
        self.asked = 0

    def answer(self, path: str, query: Mapping[str, str], headers: Mapping[str, str], now: float) -> LoginAnswer | None:
        """Answer a GET. None if the path is not one of these endpoints. ``headers`` must find names as they are documented."""
        if path not in (INSTANCE_PATH, SERVICE_PATH):
            return None
        self.asked += 1
        if self.troubles:
            return LoginAnswer(self.troubles.pop(0), encode({"error": "trouble", "error_description": "Try again."}))
        if path == INSTANCE_PATH:
            return self._instance(query, headers, now)
        return self._service(query, headers, now)

    def _instance(self, query: Mapping[str, str], headers: Mapping[str, str], now: float) -> LoginAnswer:
        if headers.get("Metadata") != "true" or headers.get("X-Forwarded-For"):
            return _instance_refusal("Required metadata header not specified")
        if not self._has(query.get("client_id")):
            return _instance_refusal("Identity not found")
        life_s, expires_on, token = self._token(query, now)
        return LoginAnswer(
            200,
            encode(
                {
                    "access_token": token, "client_id": query.get("client_id", ""), "expires_in": str(life_s),
                    "expires_on": str(expires_on), "resource": query["resource"], "token_type": "Bearer",
                }
            ),
        )  # fmt: skip

    def _service(self, query: Mapping[str, str], headers: Mapping[str, str], now: float) -> LoginAnswer:
        if not hmac.compare_digest(headers.get("X-IDENTITY-HEADER", "").encode(), self.header.encode()):
            return LoginAnswer(401, encode({"statusCode": 401, "message": "The identity header is wrong."}))
        if not self._has(query.get("client_id")):
            message = (
                "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId."
            )
            return LoginAnswer(400, encode({"statusCode": 400, "message": message}))
        _, expires_on, token = self._token(query, now)
        answer = {
            "access_token": token,
            "expires_on": str(expires_on),
            "resource": query["resource"],
            "token_type": "Bearer",
        }
        return LoginAnswer(200, encode(answer))

    def _has(self, client_id: str | None) -> bool:
        return self.has_system_identity if client_id is None else client_id.lower() == self.login.app.client_id

    def _token(self, query: Mapping[str, str], now: float) -> tuple[int, int, str]:
        token = self.login.issue(now, query.get("resource", ""))
        life_s = int(self.login.lifetime_s)
        return life_s, int(self.login.utc_s(now)) + life_s, token


def _instance_refusal(why: str) -> LoginAnswer:
    return LoginAnswer(400, encode({"error": "invalid_request", "error_description": why}))
