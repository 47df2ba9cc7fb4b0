"""Managed identities of Service Fabric and Cloud Shell, which MSAL asks in special ways.

MSAL (seen in 1.39) asks Service Fabric through a session that ignores our time limits and bounds, and Cloud Shell
only at a fixed address and in an interactive call. Each takes one request, which is made here as documented
(how-to-managed-identity-service-fabric-app-code; Cloud Shell's ``MSI_ENDPOINT``).
"""

from __future__ import annotations

import hashlib
import json
import re
import ssl
import time
from collections.abc import Mapping
from typing import Any

from requests.adapters import HTTPAdapter

from purgeengine.edges.login.login_http import LoginHttp
from purgeengine.errors import TokenError

FABRIC_API_VERSION = "2019-07-01-preview"


def is_service_fabric(environment: Mapping[str, str]) -> bool:
    """True if the variables are those of a Service Fabric application with a managed identity."""
    return all(name in environment for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER", "IDENTITY_SERVER_THUMBPRINT"))


def is_cloud_shell(environment: Mapping[str, str]) -> bool:
    """True if the variables are those of Azure Cloud Shell. Machine Learning sets ``MSI_SECRET`` as well, and is not meant."""
    return "MSI_ENDPOINT" in environment and not any(
        name in environment for name in ("MSI_SECRET", "IDENTITY_ENDPOINT", "AZURE_POD_IDENTITY_AUTHORITY_HOST")
    )


def trust_service_fabric(http: LoginHttp, thumbprint: str) -> None:
    """Trust only the certificate with this thumbprint (SHA-1, as the platform gives it).

    Raises `TokenError` if the text is not a thumbprint.
    """
    plain = re.sub(r"[\s:]", "", thumbprint)
    if not re.fullmatch(r"[0-9A-Fa-f]{40}", plain):
        raise TokenError(
            "IDENTITY_SERVER_THUMBPRINT is no SHA-1 thumbprint, which has 40 hexadecimal digits. Check it."
        )
    http.mount("https://", _Pinned(plain.lower()))


def ask_service_fabric(
    http: LoginHttp, environment: Mapping[str, str], resource: str, *, refused_token: str = ""
) -> dict[str, Any]:
    """Return a token or an error, in OAuth's names. ``refused_token`` is a token that Graph wants replaced, or empty."""
    query = {"api-version": FABRIC_API_VERSION, "resource": resource}
    if refused_token:
        query |= {"token_sha256_to_refresh": hashlib.sha256(refused_token.encode("utf-8")).hexdigest(), "xms_cc": "CP1"}
    answer = http.get(
        environment["IDENTITY_ENDPOINT"], params=query, headers={"Secret": environment["IDENTITY_HEADER"]}
    )
    return _in_oauths_names(answer.text)


def ask_cloud_shell(http: LoginHttp, environment: Mapping[str, str], resource: str) -> dict[str, Any]:
    """Return a token of the person who is signed in to Cloud Shell, or an error, in OAuth's names."""
    answer = http.post(environment["MSI_ENDPOINT"], data={"resource": resource}, headers={"Metadata": "true"})
    return _in_oauths_names(answer.text)


def _in_oauths_names(text: str) -> dict[str, Any]:
    """Convert an answer to OAuth's names. Raises `ValueError` if the text is not a JSON object."""
    payload = json.loads(text)
    if not isinstance(payload, dict):
        raise ValueError("no object")
    if payload.get("access_token"):
        life_s = payload.get("expires_in") or int(payload.get("expires_on") or 0) - int(time.time())
        return {"access_token": payload["access_token"], "expires_in": life_s}
    error = payload.get("error")
    if isinstance(error, dict):
        return {"error": error.get("code") or "unknown", "error_description": error.get("message")}
    return {"error": error or "unknown", "error_description": payload.get("error_description")}


class _Pinned(HTTPAdapter):
    """Trusts one certificate by its thumbprint. The platform makes it itself, and no authority signs it."""

    def __init__(self, thumbprint: str) -> None:
        self._thumbprint = thumbprint
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # urllib3 compares the thumbprint before anything is sent
        super().init_poolmanager(*args, ssl_context=context, assert_fingerprint=self._thumbprint, **options)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Verify the thumbprint alone."""
        conn.cert_reqs, conn.assert_fingerprint = "CERT_NONE", self._thumbprint
