"""Credentials of every kind for the simulated app, and the environment that offers them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from purgeengine.edges.login import AccessTokens, tokens_from_environment
from purgeengine.sim.graph.tenant import Tenant
from purgeengine.sim.login.credential_files import Issuer, KeyPair
from purgeengine.sim.login.identity_endpoints import SERVICE_PATH
from purgeengine.sim.login.login_endpoint import LoginEndpoint
from purgeengine.sim.server.background_server import in_background
from purgeengine.sim.server.http_server import SimulatedTenant
from purgeengine.sim.tenant_settings import TenantSettings

PASSWORD = "certificate~Pass.word"
NONE_SET = dict.fromkeys(
    (
        "AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH",
        "AZURE_CLIENT_CERTIFICATE_PASSWORD", "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN", "AZURE_FEDERATED_TOKEN_FILE",
        "PURGEENGINE_ACCESS_TOKEN", "PURGEENGINE_CERTIFICATE_SIGNATURE", "IDENTITY_ENDPOINT", "IDENTITY_HEADER",
        "IDENTITY_SERVER_THUMBPRINT", "MSI_ENDPOINT", "MSI_SECRET", "IMDS_ENDPOINT",
        "AZURE_POD_IDENTITY_AUTHORITY_HOST", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "https_proxy",
        "http_proxy", "all_proxy", "no_proxy",
    ),
    "",
)  # fmt: skip
"""Variables that the machine running the tests may have set, and that the tests must not see."""


@cache
def key_pair() -> KeyPair:
    """Return the app's certificate, made once because making one takes time."""
    return KeyPair.make()


@cache
def other_pair() -> KeyPair:
    """Return the certificate that replaces it."""
    return KeyPair.make()


@contextlib.contextmanager
def a_server(folder: Path, **options: Any) -> Iterator[SimulatedTenant]:
    """Run a tenant in which every contact exists, with all endpoints, inside the context."""
    tenant = Tenant(TenantSettings(latency_median_s=0.0, overhead_s=0.0, anything_exists=True))
    login = options.pop("login", None) or LoginEndpoint()
    login.people.interval_s = 1
    server = SimulatedTenant(tenant, login, identity_port=0, ca_file=folder / "ca.pem", **options)
    with in_background(server):
        yield server


def offered(endpoint: str, server: SimulatedTenant, folder: Path) -> dict[str, str]:
    """Return the environment for the sign-in named ``endpoint``. Register with the login what it must know."""
    login = server.login
    app = {"AZURE_TENANT_ID": login.app.tenant_id, "AZURE_CLIENT_ID": login.app.client_id}
    kind, _, form = endpoint.partition(" ")
    match kind:
        case "secret":
            return {**app, "AZURE_CLIENT_SECRET": login.app.client_secret}
        case "certificate":
            return {**app, **_certificate(form, login, folder)}
        case "federated":
            path = folder / "federated-token"
            path.write_text(Issuer(login).token(login.utc_s(server.tenant.now)) + "\n", encoding="ascii")
            return {**app, "AZURE_FEDERATED_TOKEN_FILE": str(path)}
        case "managed-identity":
            who = {"AZURE_CLIENT_ID": login.app.client_id} if "user" in form else {}
            if "machine" in form:
                return {**who, "AZURE_POD_IDENTITY_AUTHORITY_HOST": server.identity_url}
            service = {
                "IDENTITY_ENDPOINT": server.identity_url + SERVICE_PATH,
                "IDENTITY_HEADER": server.identity.header,
            }
            return {**who, **service}
        case "device-code":
            return app
        case "token":
            return {"PURGEENGINE_ACCESS_TOKEN": login.issue(server.tenant.now)}
    raise AssertionError(endpoint)


def _certificate(form: str, login: LoginEndpoint, folder: Path) -> dict[str, str]:
    login.assertions.certificates = [key_pair().certificate]
    password = PASSWORD if "password" in form else ""
    path = folder / ("app.pfx" if "pfx" in form else "app.pem")
    path.write_bytes(key_pair().pfx(password) if "pfx" in form else key_pair().pem(password))
    environment = {"AZURE_CLIENT_CERTIFICATE_PATH": str(path), "AZURE_CLIENT_CERTIFICATE_PASSWORD": password}
    if "RS256" in form:
        environment["PURGEENGINE_CERTIFICATE_SIGNATURE"] = "RS256"
    return environment


def tokens_by(
    endpoint: str, server: SimulatedTenant, folder: Path, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> AccessTokens:
    """Return tokens by that sign-in, in this process."""
    environment = {**NONE_SET, **offered(endpoint, server, folder)}
    for name, value in environment.items():  # MSAL reads the endpoints of managed identities from the process itself
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
    return tokens_from_environment(
        environment,
        authority_url=server.authority_url,
        graph_url=server.graph_url,
        ca_file=server.ca_file,
        auth=options.pop("auth", endpoint.partition(" ")[0]),
        **options,
    )
