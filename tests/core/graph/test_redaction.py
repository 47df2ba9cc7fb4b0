"""Tests of redaction: a token in any field of an answer of a login or metadata endpoint is shown nowhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from purgeengine.core.graph.redaction import REDACTED, told, told_name
from purgeengine.edges.login import renewing
from purgeengine.sim.login.credential_files import KeyPair
from tests.support.cli_fixtures import Ended
from tests.support.https_server import Behaviour, Request, answering, server_thumbprint, write_ca
from tests.support.process_fixtures import a_jwt, a_list, command_here, served

JWT = a_jwt(planted=True)
OPAQUE = "q7F3kPq9ZxW2mN8vB4cR6tY1uL5sD0"
PLANTED = (JWT, OPAQUE)
FIELDS = (
    "error", "error_description", "suberror", "claims", "correlation_id", "trace_id", "timestamp", "error_uri", "message",
    "unknown_field", "id_token", "refresh_token", "user_code", "verification_uri", "statusCode", "token_type",
)  # fmt: skip
HEADERS = ("Server", "WWW-Authenticate", "Set-Cookie", "x-ms-request-id", "x-ms-clitelem")
OF_LOGIN = ("secret", "certificate", "federated", "device-code")
OF_PLATFORM = ("instance", "app service", "arc", "machine learning", "cloud shell", "service fabric")


def answers_with(token: str, *, each: bool) -> Iterator[tuple[int, bytes, tuple[str, ...]]]:
    """Yield answers that hold the token in all fields, in three forms. With ``each``, also in one field alone."""
    base = {"error": "invalid_request", "error_description": "AADSTS1: No."}
    kind = ("Content-Type: application/json",)
    for shape in (token, {"code": token, "message": f"token {token}"}, [token]):
        yield 400, json.dumps(dict.fromkeys(FIELDS, shape)).encode(), kind
        for field in FIELDS if each else ():
            yield 400, json.dumps({**base, field: shape}).encode(), kind
    yield 200, json.dumps({"access_token": f"two words {token}", "expires_in": 1, "expires_on": 1}).encode(), kind
    yield 403, json.dumps({"statusCode": 403, "message": f"header {token}"}).encode(), kind
    yield 403, f"<html><title>{token}</title><body>{token}</body></html>".encode(), ("Content-Type: text/html",)
    yield 403, token.encode(), ("Content-Type: text/plain",)
    yield 403, json.dumps(token).encode(), kind
    yield 503, f"<html><title>{token}</title></html>".encode(), ("Content-Type: text/html", f"Retry-After: {token}")
    yield 302, b"", (f"Location: https://{token.replace('.', '-')[:60]}.example/{token}?code={token}",)
    yield 403, b"<html></html>", tuple(f"{header}: {token}" for header in HEADERS)
    yield 400, b"{}", (f"Content-Type: application/{token}",)


def a_login(answer: tuple[int, bytes, tuple[str, ...]], at: str) -> Behaviour:
    """Return a login that gives this answer to one kind of request and correct answers to the others."""

    async def behave(request: Request, writer: asyncio.StreamWriter) -> None:
        root = f"https://{request.headers['host']}/contoso.example"
        places = {
            "token_endpoint": f"{root}/oauth2/v2.0/token",
            "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
            "device_authorization_endpoint": f"{root}/oauth2/v2.0/devicecode",
            "issuer": f"{root}/v2.0",
        }
        kind = request.target.partition("?")[0].rpartition("/")[2]
        status, body, headers = answer
        if kind != at:
            code = {"device_code": "d", "user_code": "ABCD", "verification_uri": "https://login.example"}
            usual = places if kind == "openid-configuration" else {**code, "interval": 1, "expires_in": 9}
            status, body, headers = 200, json.dumps(usual).encode(), ("Content-Type: application/json",)
        await answering(status, body, *headers)(request, writer)

    return behave


def offered(flow: str, url: str, folder: Path) -> dict[str, str]:
    """Return the environment that chooses this way to sign in."""
    app = {"AZURE_TENANT_ID": "contoso.example", "AZURE_CLIENT_ID": "client-1"}
    match flow:
        case "secret":
            return {**app, "AZURE_CLIENT_SECRET": "secret~1"}
        case "certificate":
            path = folder / "app.pem"
            if not path.exists():
                path.write_bytes(KeyPair.make().pem(""))
            return {**app, "AZURE_CLIENT_CERTIFICATE_PATH": str(path)}
        case "federated":
            (folder / "federated").write_text("a.b.c", encoding="ascii")
            return {**app, "AZURE_FEDERATED_TOKEN_FILE": str(folder / "federated")}
        case "device-code":
            return app
        case "instance":
            return {"AZURE_POD_IDENTITY_AUTHORITY_HOST": url}
        case "app service":
            return {"IDENTITY_ENDPOINT": f"{url}/msi/token", "IDENTITY_HEADER": "header~1"}
        case "arc":
            return {"IDENTITY_ENDPOINT": f"{url}/metadata/identity/oauth2/token", "IMDS_ENDPOINT": url}
        case "machine learning":
            return {"MSI_ENDPOINT": f"{url}/msi/token", "MSI_SECRET": "secret~2"}
        case "cloud shell":
            return {"MSI_ENDPOINT": f"{url}/oauth2/token"}
        case "service fabric":
            thumbprint = {"IDENTITY_SERVER_THUMBPRINT": server_thumbprint()}
            return {"IDENTITY_ENDPOINT": f"{url}/msi", "IDENTITY_HEADER": "header~3", **thumbprint}
    raise AssertionError(flow)


def check(flow: str, url: str, folder: Path) -> Ended:
    """Call ``check`` with this way to sign in, in this process."""
    auth = "managed-identity" if flow in OF_PLATFORM else flow
    endpoint = [
        "--authority",
        url if url.startswith("https") else "https://127.0.0.1:1",
        "--graph-url",
        "https://127.0.0.1:1",
    ]
    arguments = ["check", "--auth", auth, *endpoint, "--ca-file", str(write_ca(folder))]
    return command_here(*arguments, **offered(flow, url, folder))


def assert_silent(ended: Ended, token: str, answer: object) -> None:
    """Check that neither the token nor a part of it is in the output."""
    said = ended.out + ended.err
    assert ended.code == 3, (answer, said)
    for part in {token, token[:20], token[-20:], *token.split(".")}:
        assert part not in said, (answer, said)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes a login that is out be asked once only."""
    monkeypatch.setattr(renewing, "TRIES_MAX", 1)


@pytest.mark.parametrize("token", PLANTED, ids=["jwt", "opaque"])
@pytest.mark.parametrize("flow", OF_LOGIN)
def test_no_token_of_a_logins_answer_is_shown(flow: str, token: str, tmp_path: Path) -> None:
    """A token in any field, page or header of a login's answer is not shown, for discovery, device codes and tokens."""
    places = (
        ["token", "openid-configuration"]
        if flow == "secret"
        else ["devicecode"]
        if flow == "device-code"
        else ["token"]
    )
    for place in places:
        answer: list[Any] = [None]

        async def behave(
            request: Request, writer: asyncio.StreamWriter, place: str = place, answer: list[Any] = answer
        ) -> None:
            await a_login(answer[0], place)(request, writer)

        with served(behave) as login:
            for answer[0] in answers_with(token, each=flow == "secret" and place == "token"):
                assert_silent(check(flow, login.url, tmp_path), token, answer[0])
            assert login.requests


@pytest.mark.parametrize("token", PLANTED, ids=["jwt", "opaque"])
@pytest.mark.parametrize("flow", OF_PLATFORM)
def test_no_token_of_a_metadata_answer_is_shown(flow: str, token: str, tmp_path: Path) -> None:
    """A token in a metadata endpoint's answer is not shown, for every platform, including those asked without MSAL."""
    answer: list[Any] = [None]

    async def behave(request: Request, writer: asyncio.StreamWriter) -> None:
        await answering(*answer[0][:2], *answer[0][2])(request, writer)

    tls = flow == "service fabric"
    with served(behave, tls=tls) as platform:
        url = platform.url if tls else platform.url.replace("https:", "http:")
        for answer[0] in answers_with(token, each=flow == "app service"):
            assert_silent(check(flow, url, tmp_path), token, answer[0])
        assert platform.requests


@pytest.mark.parametrize("form", ["console", "json"])
def test_no_token_of_a_renewal_reaches_log_ledger_or_report(form: str, tmp_path: Path) -> None:
    """A token in the answer to a renewal during a run is in neither log, ledger nor report."""
    good, asked = a_jwt(n=1), [0]

    async def behave(request: Request, writer: asyncio.StreamWriter) -> None:
        asked[0] += request.method == "POST"
        granted = {"access_token": good, "expires_in": 3600, "token_type": "Bearer"}
        fields = {field: f"{field} {JWT} {OPAQUE}" for field in FIELDS}
        fine = request.method == "GET" or asked[0] == 1
        status, body = (200, granted) if fine else (400, fields)
        await a_login((status, json.dumps(body).encode(), ("Content-Type: application/json",)), "token")(
            request, writer
        )

    refusal = json.dumps(
        {"error": {"code": "InvalidAuthenticationToken", "message": f"The token {JWT} is bad."}}
    ).encode()
    ledger = tmp_path / "ledger"
    with served(behave) as login, served(answering(401, refusal, f"WWW-Authenticate: Bearer claims={OPAQUE}")) as graph:
        endpoint = ["--authority", login.url, "--graph-url", graph.url, "--ca-file", str(write_ca(tmp_path))]
        told_ = ["--log-format", form, "--verbose", "--yes"]
        ended = command_here(
            "run",
            str(a_list(tmp_path)),
            "--ledger",
            str(ledger),
            *told_,
            *endpoint,
            **offered("secret", login.url, tmp_path),
        )
    assert_silent(ended, JWT, "renewal")
    assert_silent(ended, OPAQUE, "renewal")
    report = tmp_path / "report.html"
    assert command_here("report", str(ledger), "-o", str(report)).code == 0
    for path in [report, *(path for path in ledger.rglob("*") if path.is_file())]:
        content = path.read_bytes()
        assert not any(token.encode() in content for token in (*PLANTED, good)), path


# ----------------------------------------------------------------------------------------------------- redaction of texts


@pytest.mark.parametrize(
    "text",
    [
        "Application with identifier '33333333-3333-4333-8333-333333333333' was not found in the directory 'contoso'.",
        "GET /metadata/identity/oauth2/token failed",
        "The managed_identity_endpoint_not_found error means api://AzureADTokenExchange is missing",
        "TokenCreatedWithOutdatedPolicies",
        "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.",
        "access_token is missing from the request",
    ],
)
def test_words_and_ids_pass_the_door(text: str) -> None:
    """Words and ids that a person needs are not redacted."""
    assert told(text) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"Bearer {JWT}", f"Bearer {REDACTED}"),
        (f"client_secret={OPAQUE}&x=1", f"client_secret={REDACTED}&x=1"),
        ('{"access_token": "short", "a": 1}', '{"access_token": "' + REDACTED + '", "a": 1}'),
        ("{'refresh_token': 'short'}", "{'refresh_token': '" + REDACTED + "'}"),
        ("Cookie: a=b", f"Cookie: {REDACTED}"),
        ("http://ann:hunter2@proxy.example:8080", f"http://{REDACTED}@proxy.example:8080"),
        ("see \x1b[2Jhere\r\n", "see \ufffd[2Jhere"),
    ],
)
def test_secrets_do_not_pass_the_door(text: str, said: str) -> None:
    """A secret is redacted by its shape, its scheme or its name, and the result is printable."""
    assert told(text) == said


def test_the_door_is_bounded_and_knows_our_own_secrets() -> None:
    """Redacted text is cut to 300 characters, and a value that is not text gives none.

    Our own secrets are removed whatever their shape.
    """
    assert len(told("word " * 100_000)) <= 300
    assert told({"a": 1}) == told(None) == ""
    assert told("The value h~1 is odd.", secrets=("h~1", "")) == f"The value {REDACTED} is odd."


@pytest.mark.parametrize("name", ["invalid_client", "interaction_required", "ManagedIdentityNotFound", "odd"])
def test_names_of_errors_pass(name: str) -> None:
    """Known names of errors of OAuth and the platforms are shown."""
    assert told_name(name) == name


@pytest.mark.parametrize("name", [*PLANTED, "", None, 7, "a" * 61, "q7f3", "two\nlines", {"code": "x"}])
def test_what_is_no_name_of_an_error_does_not(name: object) -> None:
    """A value that is not like the name of an error is not shown."""
    assert told_name(name) == ""
