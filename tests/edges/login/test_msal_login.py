"""Tests of MSAL against a scripted login over TLS: what it is asked for, and how refusals and outages are told apart."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import trustme

from purgeengine.edges.login import LoginPending, LoginUnavailable
from purgeengine.edges.login.app_login import AppLogin
from purgeengine.edges.login.credentials import ClientSecret
from purgeengine.edges.login.device_code import DeviceCodeLogin
from purgeengine.edges.login.managed_identity import ManagedIdentityLogin
from purgeengine.errors import TokenError, UsageProblem
from tests.support.https_server import (
    LOOPBACK,
    Request,
    Server,
    answering,
    proxying,
    server_thumbprint,
    serving,
    write_ca,
)

SECRET = "hunter2~Very.Secret"
TENANT = "11111111-2222-4333-8444-555555555555"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hides the proxy settings of the machine that runs the tests."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def ca_file(tmp_path: Path) -> Path:
    """Return a file with the CA that signs the certificates of these servers."""
    return write_ca(tmp_path)


class Endpoint:
    """A login endpoint.

    ``answers`` are (status, body, headers); the last one repeats. Discovery works unless it is set.
    """

    def __init__(self, *answers: tuple[int, Any, dict[str, str]]) -> None:
        self.answers = list(answers)
        self.forms: list[dict[str, str]] = []
        self.discovery: tuple[int, Any, dict[str, str]] | None = None
        self.token_endpoint = ""

    async def __call__(self, request: Request, writer: asyncio.StreamWriter) -> None:
        root = f"https://{request.headers['host']}/{TENANT}"
        if request.method == "GET":
            status, body, headers = self.discovery or (200, self._configuration(root), {})
        else:
            self.forms.append({name: values[0] for name, values in parse_qs(request.body.decode()).items()})
            status, body, headers = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(content)}", *(f"{n}: {v}" for n, v in headers.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode() + content)
        await writer.drain()

    def _configuration(self, root: str) -> dict[str, str]:
        return {
            "token_endpoint": self.token_endpoint or f"{root}/oauth2/v2.0/token",
            "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
            "device_authorization_endpoint": f"{root}/oauth2/v2.0/devicecode",
            "issuer": f"{root}/v2.0",
        }


def granted(token: str = "token-1", life_s: int = 3600) -> tuple[int, Any, dict[str, str]]:
    """Return an answer with a token."""
    return 200, {"token_type": "Bearer", "expires_in": life_s, "access_token": token}, {}


def refused(error: str, number: int, text: str = "Something.") -> tuple[int, Any, dict[str, str]]:
    """Return a refusal in the words of the real login."""
    description = f"AADSTS{number}: {text} Trace ID: 1 Correlation ID: 2 Timestamp: 2026-01-01 00:00:00Z"
    return 401 if error == "invalid_client" else 400, {"error": error, "error_description": description}, {}


@asynccontextmanager
async def a_login(endpoint: Endpoint, ca_file: Path | None, **options: Any) -> AsyncIterator[tuple[AppLogin, Server]]:
    """Start the endpoint, and make a login that asks it."""
    async with serving(endpoint) as server:
        yield the_login(options.pop("authority_url", server.url), ca_file, **options), server


def the_login(authority_url: str, ca_file: Path | None, **options: Any) -> AppLogin:
    """Make a login with a client secret."""
    return AppLogin(
        ClientSecret(SECRET),
        tenant_id=TENANT,
        client_id="client-1",
        authority_url=authority_url,
        scope="https://graph.microsoft.com/.default",
        ca_file=ca_file,
        **options,
    )


async def test_a_token_is_asked_for_as_the_app(ca_file: Path) -> None:
    """The app asks for a token with client credentials and Graph's default scope, and learns how long the token lives."""
    endpoint = Endpoint(granted("token-1", 299))
    async with a_login(endpoint, ca_file) as (login, server):
        issued = await asyncio.to_thread(login.acquire)
    assert (issued.token, issued.life_s) == ("token-1", 299.0)
    (form,) = endpoint.forms
    assert form["grant_type"] == "client_credentials"
    assert (form["client_id"], form["client_secret"]) == ("client-1", SECRET)
    assert form["scope"] == "https://graph.microsoft.com/.default"
    assert server.requests[0].target == f"/{TENANT}/v2.0/.well-known/openid-configuration"
    assert "token-1" not in repr(issued)


async def test_every_token_is_a_fresh_one(ca_file: Path) -> None:
    """Every request brings a new token: MSAL's cache would return the token that Graph has just refused."""
    endpoint = Endpoint(granted("token-1"), granted("token-2"))
    async with a_login(endpoint, ca_file) as (login, server):
        tokens = [(await asyncio.to_thread(login.acquire)).token for _ in range(2)]
    assert tokens == ["token-1", "token-2"]
    assert len(server.requests) == 3  # two tokens and one discovery


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
@pytest.mark.parametrize("body", [b"", b"<html>", {"error": "x"}])
async def test_a_busy_or_broken_login_is_worth_another_try(status: int, body: Any, ca_file: Path) -> None:
    """A login that answers 429 or 5xx raises `LoginUnavailable` with its Retry-After, which MSAL drops.

    The next try really reaches the login.
    """
    endpoint = Endpoint((status, body, {"Retry-After": "7"}), granted())
    async with a_login(endpoint, ca_file) as (login, _):
        with pytest.raises(LoginUnavailable, match=f"answered {status}") as caught:
            await asyncio.to_thread(login.acquire)
        assert (await asyncio.to_thread(login.acquire)).token == "token-1"
    assert caught.value.retry_after_s == 7.0


async def test_a_broken_discovery_is_worth_another_try(ca_file: Path) -> None:
    """A failed discovery raises `LoginUnavailable`, and the next try succeeds."""
    endpoint = Endpoint(granted())
    endpoint.discovery = (503, b"<html>", {})
    async with a_login(endpoint, ca_file) as (login, _):
        with pytest.raises(LoginUnavailable, match="answered 503"):
            await asyncio.to_thread(login.acquire)
        endpoint.discovery = None
        assert (await asyncio.to_thread(login.acquire)).token == "token-1"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            refused("invalid_client", 7000215),
            "AADSTS7000215, invalid_client): the client secret is wrong. Set AZURE_CLIENT",
        ),
        (refused("invalid_client", 7000222), "the client secret has expired"),
        (refused("unauthorized_client", 700016), f"the app client-1 is not known in tenant {TENANT}"),
        (refused("invalid_request", 90002), "is not known at 127.0.0.1. Check AZURE_TENANT_ID and --cloud"),
        (refused("invalid_client", 5), "(AADSTS5, invalid_client): the app's credential is not accepted"),
        (refused("odd", 6, f"It was\x1b[2J {SECRET}."), "(AADSTS6, odd): It was\ufffd[2J (redacted)."),
        ((400, {"error": "odd"}, {}), "(odd): check the app registration"),
        ((400, {"error": {"a": 1}, "error_description": ["x"]}, {}), "(no reason given)"),
        ((200, {"hello": "world"}, {}), "answered 200 and no token"),
        ((200, {"access_token": "a\r\nb", "expires_in": 1}, {}), "answered 200 and no token"),
        ((200, b"<html>Sign in to the hotel's network</html>", {}), "answered 200 and no token"),
        ((200, [1], {}), "answered 200 and no token"),
        ((302, b"", {"Location": "https://elsewhere.example"}), "answered 302 and no token"),
        ((404, b"", {}), "answered 404 and no token"),
    ],
)
async def test_a_refusal_is_a_sentence_with_a_remedy(
    answer: Any, message: str, ca_file: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """A refusal raises `TokenError` with the login's number and a remedy, and shows the secret nowhere."""
    with caplog.at_level(logging.DEBUG):
        async with a_login(Endpoint(answer), ca_file) as (login, _):
            with pytest.raises(TokenError) as caught:
                await asyncio.to_thread(login.acquire)
    assert message in str(caught.value)
    shown = "".join([str(caught.value), repr(caught.value.__cause__), repr(login), caplog.text, *capfd.readouterr()])
    assert SECRET not in shown
    assert "Traceback" not in shown


async def test_a_tenant_that_discovery_does_not_know(ca_file: Path) -> None:
    """A tenant that discovery does not know raises `TokenError`, because the real login refuses it there."""
    endpoint = Endpoint(granted())
    endpoint.discovery = refused("invalid_tenant", 90002)
    async with a_login(endpoint, ca_file) as (login, _):
        with pytest.raises(TokenError, match=f"AADSTS90002, invalid_tenant.: the tenant {TENANT} is not known"):
            await asyncio.to_thread(login.acquire)


async def test_a_transient_number_is_worth_another_try(ca_file: Path) -> None:
    """A refusal with a number that means trouble of the login itself raises `LoginUnavailable`."""
    async with a_login(Endpoint(refused("temporarily_unavailable", 90033)), ca_file) as (login, _):
        with pytest.raises(LoginUnavailable, match=r"has trouble \(temporarily_unavailable"):
            await asyncio.to_thread(login.acquire)


async def test_an_untrusted_certificate_needs_a_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ca_file: Path
) -> None:
    """A login with an untrusted certificate raises `TokenError`.

    The option --ca-file decides, whatever REQUESTS_CA_BUNDLE says.
    """
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ca_file))
    (tmp_path / "other").mkdir()
    other = write_ca(tmp_path / "other", trustme.CA())
    endpoint = Endpoint(granted())
    async with a_login(endpoint, other) as (login, _):
        with pytest.raises(TokenError, match=r"certificate of the login at 127\.0\.0\.1 is not trusted.* --ca-file"):
            await asyncio.to_thread(login.acquire)
    assert endpoint.forms == []


async def test_without_a_ca_file_the_systems_certificates_count(ca_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a CA file the system's certificates are trusted. Here the system's store is set to our CA."""
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
    async with a_login(Endpoint(granted()), None) as (login, _):
        assert (await asyncio.to_thread(login.acquire)).token == "token-1"


async def test_a_login_that_cannot_be_reached_is_worth_another_try(ca_file: Path) -> None:
    """A login that cannot be reached raises `LoginUnavailable`, because the network may come back."""
    async with serving(Endpoint(granted())) as server:
        port = server.port
    login = the_login(f"https://{LOOPBACK}:{port}", ca_file)
    with pytest.raises(
        LoginUnavailable, match=r"127\.0\.0\.1 could not be reached \(the connection was refused"
    ) as told:
        await asyncio.to_thread(login.acquire)
    assert told.value.unreached


async def test_a_login_that_resets_is_worth_another_try(ca_file: Path) -> None:
    """A login that resets the connection raises `LoginUnavailable`, because asking for a token twice does no harm."""

    async def reset(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with serving(reset) as server:
        with pytest.raises(LoginUnavailable):
            await asyncio.to_thread(the_login(server.url, ca_file).acquire)


async def test_the_proxy_of_the_environment_is_used(ca_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The login is asked through the environment's proxy with the proxy's credentials, as Graph is."""
    async with serving(Endpoint(granted())) as server, proxying(server.port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://ann:p%40ss@{LOOPBACK}:{proxy.port}")
        login = the_login("https://graph.test", ca_file)
        assert (await asyncio.to_thread(login.acquire)).token == "token-1"
    assert proxy.requests[0].target == "graph.test:443"
    assert proxy.requests[0].headers["proxy-authorization"] == "Basic YW5uOnBAc3M="


async def test_a_proxy_that_speaks_tls_is_trusted_by_the_same_certificates(
    ca_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that speaks TLS must have a certificate of the CA in --ca-file, else the login is not asked."""
    (tmp_path / "other").mkdir()
    async with serving(Endpoint(granted())) as server, proxying(server.port, tls=True) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"https://{LOOPBACK}:{proxy.port}")
        assert (await asyncio.to_thread(the_login("https://graph.test", ca_file).acquire)).token == "token-1"
        login = the_login("https://graph.test", write_ca(tmp_path / "other", trustme.CA()))
        with pytest.raises(TokenError, match="is not trusted"):
            await asyncio.to_thread(login.acquire)
    assert len(proxy.requests) == 1


async def test_a_redirect_is_not_followed(ca_file: Path) -> None:
    """A redirect is not followed, neither for discovery nor for a token, and its target gets no request."""
    endpoint = Endpoint(granted())
    async with serving(endpoint) as elsewhere:
        redirect = (307, b"", {"Location": f"{elsewhere.url}/{TENANT}/oauth2/v2.0/token"})
        async with a_login(Endpoint(redirect), ca_file) as (login, server):
            with pytest.raises(TokenError, match="answered 307 and no token"):
                await asyncio.to_thread(login.acquire)
            assert len(server.requests) == 2
        moved = Endpoint(granted())
        moved.discovery = (302, b"", {"Location": f"{elsewhere.url}/{TENANT}/v2.0/.well-known/openid-configuration"})
        async with a_login(moved, ca_file) as (login, _):
            with pytest.raises(TokenError, match="answered 302 and no token"):
                await asyncio.to_thread(login.acquire)
    assert elsewhere.connections == 0


async def test_only_the_certificates_that_were_named_are_trusted(ca_file: Path) -> None:
    """Only the certificates of the CA file are trusted: requests would add its own list of authorities."""
    async with a_login(Endpoint(granted()), ca_file) as (login, _):
        await asyncio.to_thread(login.acquire)
        context = login._http.get_adapter("https://x")._context
    assert [dict(pair[0] for pair in each["subject"])["organizationName"] for each in context.get_ca_certs()] == [
        "trustme v" + trustme.__version__
    ]


async def test_a_proxy_that_wants_a_password_needs_a_person(ca_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that asks for a password raises `TokenError`, and the message does not show the given password."""
    async with proxying(1, 407) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://ann:p455w0rd@{LOOPBACK}:{proxy.port}")
        with pytest.raises(TokenError, match=r"The proxy .* refused to connect to graph.test \(status 407\)") as caught:
            await asyncio.to_thread(the_login("https://graph.test", ca_file).acquire)
    assert "p455w0rd" not in str(caught.value) + repr(caught.value.__context__)


async def test_the_secret_goes_to_https_only(ca_file: Path) -> None:
    """The secret is sent to https only, whatever token endpoint the login names."""
    endpoint = Endpoint(granted())
    endpoint.token_endpoint = "http://login.example/token"
    async with a_login(endpoint, ca_file) as (login, _):
        with pytest.raises(TokenError, match=r"not https://; the secret was not sent|no token"):
            await asyncio.to_thread(login.acquire)
    assert endpoint.forms == []


async def test_a_netrc_does_not_meddle(ca_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The credentials for every host in a .netrc file are not sent to the login."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login ann password p455w0rd\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(netrc))
    async with a_login(Endpoint(granted()), ca_file) as (login, server):
        await asyncio.to_thread(login.acquire)
    assert all("authorization" not in request.headers for request in server.requests)


# --------------------------------------------------------------------------------------------------------- device codes


def a_code(**changes: Any) -> tuple[int, Any, dict[str, str]]:
    """Return an answer with a device code, as the login gives it."""
    code = {
        "user_code": "ABCD1234", "device_code": "device-1", "verification_uri": "https://login.example/device",
        "expires_in": 900, "interval": 5,
    }  # fmt: skip
    return 200, code | changes, {}


def the_device_login(authority_url: str, ca_file: Path, tell: Any) -> DeviceCodeLogin:
    """Make a device-code login that shows its codes to ``tell``."""
    return DeviceCodeLogin(
        tell,
        tenant_id=TENANT,
        client_id="client-1",
        authority_url=authority_url,
        scope="https://graph.microsoft.com/.default",
        ca_file=ca_file,
    )


@pytest.mark.parametrize(
    ("changes", "again_after_s", "minutes"),
    [
        ({}, 5, 15),
        ({"interval": 0}, 1, 15),
        ({"interval": "7"}, 7, 15),
        ({"interval": 10**9, "expires_in": 10**9}, 60, 15),
    ],
)
async def test_a_code_is_shown_and_waited_for_within_bounds(
    changes: dict[str, Any], again_after_s: int, minutes: int, ca_file: Path
) -> None:
    """A device code is shown once and asked about at intervals of 1 to 60 seconds, whatever the login names.

    MSAL would ask without end for an interval of 0.
    """
    told: list[str] = []
    async with serving(Endpoint(a_code(**changes), refused("authorization_pending", 70016), granted())) as server:
        login = the_device_login(server.url, ca_file, told.append)
        for _ in range(2):
            with pytest.raises(LoginPending) as pending:
                await asyncio.to_thread(login.acquire)
            assert pending.value.again_after_s == again_after_s
            login._flow["latest_attempt_at"] = 0  # type: ignore[index]  # MSAL warns whoever does not wait
        assert (await asyncio.to_thread(login.acquire)).token == "token-1"
    (sentence,) = told
    assert "open https://login.example/device in a browser on any device and enter the code ABCD1234." in sentence
    assert f"good for {minutes} min" in sentence
    assert "device-1" not in sentence + repr(login)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"verification_uri": "http://login.example/device"}, "answered 200 and no token"),
        ({"verification_uri": 7}, "answered 200 and no token"),
        ({"user_code": ""}, "answered 200 and no token"),
        ({"device_code": None}, "answered 200 and no token"),
    ],
)
async def test_a_code_that_makes_no_sense_is_not_shown(changes: dict[str, Any], message: str, ca_file: Path) -> None:
    """A device code with missing fields, or with a sign-in address without TLS, is not shown.

    A person would type a password there.
    """
    told: list[str] = []
    async with serving(Endpoint(a_code(**changes))) as server:
        with pytest.raises(TokenError, match=message):
            await asyncio.to_thread(the_device_login(server.url, ca_file, told.append).acquire)
    assert told == []


@pytest.mark.parametrize(
    "changes",
    [
        {"user_code": "A\x1b[2J"},
        {"user_code": "eyJhbGciOiJub25lIn0.eyJhIjoxfQ.abc"},
        {"verification_uri": "https://x\x1b]0;y"},
        {"verification_uri": "https://login.example/device?code=hunter2"},
    ],
)
async def test_a_hostile_code_is_never_shown(changes: dict[str, Any], ca_file: Path) -> None:
    """A device code or address with unusual characters is not shown, because the login may put any text there."""
    told: list[str] = []
    async with serving(Endpoint(a_code(**changes))) as server:
        with pytest.raises(TokenError) as caught:
            await asyncio.to_thread(the_device_login(server.url, ca_file, told.append).acquire)
    assert told == []
    assert not any(str(value) in str(caught.value) for value in changes.values())


# ----------------------------------------------------------------------------------------------------- managed identity


async def test_an_identity_header_goes_to_the_platform_only(ca_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The identity header is not sent by plain http to a public address.

    It also goes neither to the target of a redirect nor through a proxy.
    """
    async with serving(answering(200, b"{}"), tls=False) as elsewhere:
        location = f"Location: http://127.0.0.1:{elsewhere.port}/"
        async with serving(answering(307, b"", location), tls=False) as server:
            environment = {"IDENTITY_ENDPOINT": f"http://127.0.0.1:{server.port}/msi/token", "IDENTITY_HEADER": "h~1"}
            for name, value in environment.items():
                monkeypatch.setenv(name, value)
            monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{elsewhere.port}")
            login = ManagedIdentityLogin(environment, client_id="", scope="https://graph.microsoft.com/.default")
            with pytest.raises(TokenError, match="answered 307 and no token") as caught:
                await asyncio.to_thread(login.acquire)
            assert server.requests[0].headers["x-identity-header"] == "h~1"
    assert elsewhere.connections == 0
    assert "h~1" not in str(caught.value) + repr(login)
    with pytest.raises(UsageProblem, match="plain http to a public address"):
        ManagedIdentityLogin({**environment, "IDENTITY_ENDPOINT": "http://8.8.8.8/"}, client_id="", scope="x")
    fabric = {**environment, "IDENTITY_SERVER_THUMBPRINT": "x"}
    with pytest.raises(TokenError, match="IDENTITY_ENDPOINT of Service Fabric must begin with https://"):
        ManagedIdentityLogin(fabric, client_id="", scope="x")
    with pytest.raises(TokenError, match="is no SHA-1 thumbprint"):
        ManagedIdentityLogin({**fabric, "IDENTITY_ENDPOINT": "https://127.0.0.1:1/"}, client_id="", scope="x")


async def test_a_refusal_does_not_repeat_the_identity_header(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal of the platform that repeats the identity header is shown without it."""
    said = b'{"statusCode":400,"message":"The header h~1 is odd."}'
    async with serving(answering(400, said), tls=False) as server:
        environment = {"IDENTITY_ENDPOINT": f"http://127.0.0.1:{server.port}/msi/token", "IDENTITY_HEADER": "h~1"}
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        login = ManagedIdentityLogin(environment, client_id="", scope="https://graph.microsoft.com/.default")
        with pytest.raises(TokenError, match=r"refused a token: 400, The header \(redacted\) is odd\."):
            await asyncio.to_thread(login.acquire)


async def test_a_machine_without_an_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without an identity endpoint raises `LoginUnavailable`, because the service may be starting.

    The remedy asks whether this is an Azure machine.
    """
    async with serving(answering(), tls=False) as server:
        port = server.port
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", f"http://127.0.0.1:{port}")
    login = ManagedIdentityLogin(
        {"AZURE_POD_IDENTITY_AUTHORITY_HOST": f"http://127.0.0.1:{port}"}, client_id="", scope="x/.default"
    )
    with pytest.raises(LoginUnavailable, match=r"managed identity endpoint at 127\.0\.0\.1 could not be reached"):
        await asyncio.to_thread(login.acquire)
    assert "Is this an Azure machine" in login.remedy


@pytest.mark.parametrize("expires", [{"expires_in": "3600"}, {"expires_on": 99_999_999_999}])
async def test_cloud_shell_gives_a_token_of_whoever_signed_in(expires: dict[str, Any]) -> None:
    """Cloud Shell at MSI_ENDPOINT gives a token of the person who signed in, without a secret.

    Another identity cannot be chosen there.
    """
    granted_ = json.dumps({"access_token": "token-1", **expires}).encode()
    async with serving(answering(200, granted_), tls=False) as server:
        environment = {"MSI_ENDPOINT": f"http://127.0.0.1:{server.port}/oauth2/token"}
        login = ManagedIdentityLogin(environment, client_id="", scope="https://graph.microsoft.com/.default")
        assert (await asyncio.to_thread(login.acquire)).token == "token-1"
    (request,) = server.requests
    assert (request.method, request.target, request.headers["metadata"]) == ("POST", "/oauth2/token", "true")
    assert request.body == b"resource=https%3A%2F%2Fgraph.microsoft.com"
    with pytest.raises(
        TokenError, match=r"Cloud Shell gives no choice: the identity is a person's. Unset AZURE_CLIENT_ID"
    ):
        ManagedIdentityLogin(environment, client_id="client-1", scope="x")


async def test_service_fabric_is_believed_by_its_thumbprint_alone() -> None:
    """A Service Fabric endpoint is trusted by its thumbprint alone, because no authority signs its certificate.

    A token that Graph wants replaced is named by its hash.
    """
    granted_ = json.dumps({"access_token": "token-1", "expires_on": "99999999999"}).encode()
    async with serving(answering(200, granted_)) as server:
        environment = {
            "IDENTITY_ENDPOINT": f"{server.url}/msi",
            "IDENTITY_HEADER": "header~1",
            "IDENTITY_SERVER_THUMBPRINT": server_thumbprint().upper(),
        }
        login = ManagedIdentityLogin(environment, client_id="", scope="https://graph.microsoft.com/.default")
        assert (await asyncio.to_thread(login.acquire)).token == "token-1"
        login.claims = '{"access_token":{}}'
        await asyncio.to_thread(login.acquire)
        other = {**environment, "IDENTITY_SERVER_THUMBPRINT": "0" * 40}
        stranger = ManagedIdentityLogin(other, client_id="", scope="https://graph.microsoft.com/.default")
        with pytest.raises((TokenError, LoginUnavailable)):
            await asyncio.to_thread(stranger.acquire)
    first, second = server.requests
    assert first.headers["secret"] == "header~1"
    assert "token_sha256_to_refresh" not in first.target
    assert f"token_sha256_to_refresh={hashlib.sha256(b'token-1').hexdigest()}" in second.target
