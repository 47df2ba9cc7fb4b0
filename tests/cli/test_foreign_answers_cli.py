"""Tests of the command line behind block pages, proxies and claims challenges: the message names whoever is to blame."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from purgeengine.cli.options import request_options
from tests.support.https_server import LOOPBACK, Behaviour, Request, answering, write_ca
from tests.support.identity_fixtures import NONE_SET
from tests.support.process_fixtures import a_jwt, a_list, batch_answer, command, command_here, served

ZSCALER = (
    b"<html><head><title>Zscaler makes the internet safer</title></head><body>You may not visit this site</body></html>"
)
CLAIMS = {"access_token": {"nbf": {"essential": True, "value": "1700000000"}}}
APP = {"AZURE_TENANT_ID": "contoso.example", "AZURE_CLIENT_ID": "client-1", "AZURE_CLIENT_SECRET": "secret~1"}


def run(folder: Path, graph_url: str, *more: str, here: bool = False, **environment: str) -> Any:
    """Call ``run`` on the list in the folder with a ready token."""
    arguments = [
        "run",
        str(a_list(folder)),
        "--ledger",
        str(folder / "ledger"),
        "--yes",
        "--json",
        "--graph-url",
        graph_url,
    ]
    token = {"PURGEENGINE_ACCESS_TOKEN": a_jwt()}
    ask = command_here if here else command
    return ask(*arguments, "--ca-file", str(write_ca(folder)), *more, **{**token, **environment})


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a run in this process wait for one second behind a block page instead of half a minute."""
    limits_from = request_options.limits_from
    monkeypatch.setattr(
        request_options, "limits_from", lambda options: replace(limits_from(options), walled_off_s_max=1.0)
    )


def test_a_block_page_is_an_outage_and_not_a_refusal_of_the_app(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block page is logged once with its sender and stops the run, resumable and without doubt.

    It is not a refusal of the app.
    """
    impatient(monkeypatch)
    page = answering(403, ZSCALER, "Content-Type: text/html", "Server: Zscaler/6.2")
    with served(page) as graph:
        ended = run(tmp_path, graph.url, here=True)
    assert ended.code == 4, ended.err
    assert ended.err.count("answer.intercepted") == 1
    for said in (ended.err, ended.json["stopped"]):
        assert "Something between here and Graph answered instead of Graph (status 403" in said
        assert (
            'an HTML page titled "Zscaler makes the internet safer", Server: Zscaler/6.2, without a request-id' in said
        )
        assert "refused the app" not in said
        assert "permission" not in said
    assert (ended.json["waiting"], ended.json["in_doubt"]) == (1, 0)
    assert len(graph.requests) <= 6
    with served(batch_answer(lambda _asked, _request: {"status": 204})) as graph:
        resumed = run(tmp_path, graph.url)
    assert (resumed.code, resumed.json["outcomes"]["purged"]) == (0, 1)


@pytest.mark.parametrize(
    ("status", "body", "headers", "in_doubt"),
    [
        (200, b"<!DOCTYPE html><html>Please sign in to the network</html>", ("Content-Type: text/html",), 1),
        (200, b'{"message":"ok"}', ("Content-Type: application/json",), 1),
        (302, b"", ("Location: https://portal.example/x",), 0),
        (401, b"<html>Sign in</html>", ("WWW-Authenticate: NTLM",), 0),
        (403, b"", (), 0),
        (403, b'{"message":"blocked"}', ("Content-Type: application/json",), 0),
        (403, b'{"error":{"code":"PolicyViolation","message":"blocked"}}', ("Content-Type: application/json",), 0),
        (404, b"\xef\xbb\xbf\r\n<html>404 - File or directory not found.</html>", ("Server: Microsoft-IIS/10.0",), 0),
        (407, b"", ("Proxy-Authenticate: Basic realm=x",), 0),
        (400, b"<html>Bad Request (nginx)</html>", ("Server: nginx",), 0),
        (413, b"<html>Request Entity Too Large</html>", ("Server: nginx",), 0),
        (451, b"For legal reasons", ("Content-Type: text/plain",), 0),
        (511, b"<html>Network Authentication Required</html>", (), 0),
    ],
)
def test_nothing_that_is_not_graphs_refuses_a_row_or_the_app(  # answers of proxies, portals and gateways
    status: int,
    body: bytes,
    headers: tuple[str, ...],
    in_doubt: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An answer that is not Graph's leaves every row to the next run, and names who answered.

    A row is in doubt only if Graph may have got it.
    """
    impatient(monkeypatch)
    with served(answering(status, body, *headers)) as graph:
        ended = run(tmp_path, graph.url, here=True)
    assert ended.code == 4, ended.err
    assert f"Something between here and Graph answered instead of Graph (status {status}" in ended.json["stopped"]
    assert (ended.json["waiting"], ended.json["in_doubt"]) == (1 - in_doubt, in_doubt)


@pytest.mark.parametrize(
    ("status", "error", "headers", "code"),
    [
        (403, {"code": "Authorization_RequestDenied", "message": "Insufficient privileges."}, (), 3),
        (
            403,
            {"code": "Odd", "message": "No.", "innerError": {"request-id": "1", "date": "2026-01-01T00:00:00"}},
            (),
            3,
        ),
        (403, {"code": "Odd", "message": "No."}, ("request-id: 1",), 3),
        (404, {"code": "UnknownError", "message": ""}, (), 3),
        (401, {"code": "InvalidAuthenticationToken", "message": "Lifetime validation failed."}, (), 3),
        (400, {"code": "BadRequest", "message": "Invalid batch payload format."}, (), 1),
    ],
)
def test_what_graph_refuses_is_what_it_was(
    status: int, error: dict[str, Any], headers: tuple[str, ...], code: int, tmp_path: Path
) -> None:
    """Graph's own errors end the run or refuse the row at once, and are not blamed on a proxy."""
    with served(
        answering(status, json.dumps({"error": error}).encode(), "Content-Type: application/json", *headers)
    ) as graph:
        ended = run(tmp_path, graph.url, here=True)
    assert ended.code == code, ended.err
    assert "between here and Graph" not in ended.err


def test_check_says_who_answered(tmp_path: Path) -> None:
    """The check behind a login page of a network ends with exit code 4, names its host and shows no secret of its address."""
    page = answering(302, b"", "Location: https://portal.hotel.example/login?session=hunter2", "Server: captive")
    with served(page) as graph:
        arguments = ["check", "--graph-url", graph.url, "--ca-file", str(write_ca(tmp_path))]
        ended = command(*arguments, PURGEENGINE_ACCESS_TOKEN=a_jwt())
    assert ended.code == 4
    assert (
        "Something between here and Graph answered instead of Graph (status 302, no body, Server: captive" in ended.out
    )
    assert "redirects to the host portal.hotel.example" in ended.out
    assert "hunter2" not in ended.out + ended.err


def the_app(authority_url: str, folder: Path, *arguments: str, **environment: str) -> Any:
    """Call ``check`` for an app with a secret, whose login and Graph have names that only a proxy could find."""
    endpoint = [
        "--authority",
        authority_url,
        "--graph-url",
        "https://graph.contoso.example",
        "--ca-file",
        str(write_ca(folder)),
    ]
    return command_here("check", *endpoint, *arguments, **{**APP, **environment})


@pytest.mark.parametrize(
    ("status", "headers", "told"),
    [
        (403, (), "Ask the proxy's administrators to allow login.contoso.example on port 443"),
        (
            407,
            ("Proxy-Authenticate: Negotiate", "Proxy-Authenticate: NTLM"),
            "it wants Negotiate or NTLM, and purgeengine can",
        ),
        (407, ('Proxy-Authenticate: Basic realm="x"',), "it wants a user name and password. Put them into HTTPS_PROXY"),
    ],
)
def test_a_proxy_that_refuses_the_login_is_told_at_once(
    status: int, headers: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    """A proxy that refuses the login is reported after one try of the login, with its name and what it wants."""
    with served(answering(status, b"<h1>No</h1>", *headers, close=True), tls=False) as proxy:
        ended = the_app("https://login.contoso.example", tmp_path, HTTPS_PROXY=f"http://{LOOPBACK}:{proxy.port}")
    assert ended.code == 3
    assert (
        f"The proxy http://127.0.0.1:{proxy.port} (from HTTPS_PROXY) refused to connect to login.contoso.example"
        in ended.out
    )
    assert f"(status {status})" in ended.out
    assert told in ended.out
    assert len(proxy.requests) == (2 if status == 407 else 1), "407 is asked once more, for what it wants"


def test_a_proxy_that_refuses_graph_is_told_at_once(tmp_path: Path) -> None:
    """A proxy that refuses Graph stops the run after one try, resumable, if a ready token needed no login."""
    with served(answering(407, b"", "Proxy-Authenticate: NTLM", close=True), tls=False) as proxy:
        ended = run(tmp_path, "https://graph.contoso.example", HTTPS_PROXY=f"http://{LOOPBACK}:{proxy.port}")
    assert ended.code == 4, ended.err
    assert (
        f"The proxy http://127.0.0.1:{proxy.port} (from HTTPS_PROXY) refused to connect to graph.contoso.example"
        in ended.err
    )
    assert "it wants NTLM" in ended.json["stopped"]
    assert (ended.json["waiting"], ended.json["in_doubt"]) == (1, 0)
    assert len(proxy.requests) == 1


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("password", ["P@ss#1", "a#b", "a/b", "a:b", "a?b", "100%"])
@pytest.mark.parametrize("arguments", [("check",), ("run", "list.csv", "--ledger", "ledger", "--yes")])
def test_a_proxy_password_that_ends_in_the_middle_is_refused(
    name: str, password: str, arguments: tuple[str, ...]
) -> None:
    """A proxy password with a character that ends it in a URL is refused with exit code 2.

    It is not shown, and the input is not opened.
    """
    if password != "P@ss#1" and (name, arguments[0]) != ("HTTPS_PROXY", "check"):  # each process takes a second
        return
    ended = command(*arguments, **APP, **{name: f"http://svc:{password}@proxy.contoso.example:8080"})
    assert ended.code == 2
    assert f"{name} holds a user name or password with a character that ends it in a URL" in ended.err
    assert "Write @ as %40, # as %23, : as %3A, / as %2F" in ended.err
    assert password not in ended.out + ended.err
    assert "ss#1" not in ended.out + ended.err


class ChallengingGraph:
    """A Graph that refuses every token but ``good`` with a claims challenge, as continuous access evaluation does."""

    def __init__(self, header: str, good: str) -> None:
        self.header = header
        self.good = good

    async def __call__(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if self.good and request.headers["authorization"] == f"Bearer {self.good}":
            await batch_answer(lambda _asked, _request: {"status": 204})(request, writer)
            return
        message = (
            "Continuous access evaluation resulted in challenge with result: InteractionRequired and code: "
            "TokenCreatedWithOutdatedPolicies"
        )
        body = json.dumps({"error": {"code": "InvalidAuthenticationToken", "message": message}}).encode()
        await answering(401, body, "Content-Type: application/json", f"WWW-Authenticate: {self.header}")(
            request, writer
        )


def challenge(claims: dict[str, Any]) -> str:
    """Return the header that asks for these claims."""
    packed = base64.b64encode(json.dumps(claims).encode()).decode()
    return f'Bearer realm="", client_id="00000003-0000-0000-c000-000000000000", error="insufficient_claims", claims="{packed}"'


def a_login(tokens: list[str], claims: list[Any]) -> Behaviour:
    """Return a login that gives these tokens, repeats the last one, and records the claims that it was asked for."""

    async def behave(request: Request, writer: asyncio.StreamWriter) -> None:
        from urllib.parse import parse_qs

        root = f"https://{request.headers['host']}/contoso.example"
        if request.method == "GET":
            body: Any = {
                "token_endpoint": f"{root}/oauth2/v2.0/token",
                "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
                "issuer": f"{root}/v2.0",
            }
        else:
            form = parse_qs(request.body.decode())
            claims.append(json.loads(form["claims"][0]) if "claims" in form else None)
            body = {
                "token_type": "Bearer",
                "expires_in": 3600,
                "access_token": tokens.pop(0) if len(tokens) > 1 else tokens[0],
            }
        await answering(200, json.dumps(body).encode(), "Content-Type: application/json")(request, writer)

    return behave


def test_what_graph_wants_of_a_token_is_handed_to_the_login(tmp_path: Path) -> None:
    """The claims of a challenge go to the login beside our own capability, and the token for them ends the run well."""
    claims: list[Any] = []
    old, new = a_jwt(n=1), a_jwt(n=2)
    with served(a_login([old, new], claims)) as login, served(ChallengingGraph(challenge(CLAIMS), new)) as graph:
        ended = run(tmp_path, graph.url, "--authority", login.url, PURGEENGINE_ACCESS_TOKEN="", **APP)
    assert ended.code == 0, ended.err
    capability = {"xms_cc": {"values": ["CP1"]}}
    assert claims == [{"access_token": capability}, {"access_token": {**CLAIMS["access_token"], **capability}}]


def test_a_challenge_that_lasts_says_what_it_wants(tmp_path: Path) -> None:
    """A challenge that two renewals do not satisfy stops the run with Graph's reason and what the next token must hold."""
    with (
        served(a_login([a_jwt(n=n) for n in range(4)], [])) as login,
        served(ChallengingGraph(challenge(CLAIMS), "")) as graph,
    ):
        ended = run(tmp_path, graph.url, "--authority", login.url, PURGEENGINE_ACCESS_TOKEN="", **APP)
    assert ended.code == 3
    stopped = ended.json["stopped"]
    assert "Graph refused the token, and each new one as well: 401 InvalidAuthenticationToken" in stopped
    assert "continuous access evaluation (InteractionRequired, TokenCreatedWithOutdatedPolicies: a policy" in stopped
    assert "Graph wants a token issued after 2023-11-14 22:13:20 UTC" in stopped
    assert (ended.json["waiting"], ended.json["in_doubt"]) == (1, 0)


def test_a_ready_token_cannot_answer_a_challenge(tmp_path: Path) -> None:
    """A ready token cannot satisfy a challenge: the run stops and says what Graph wants."""
    with served(ChallengingGraph(challenge(CLAIMS), "")) as graph:
        ended = run(tmp_path, graph.url)
    assert ended.code == 3
    assert (
        "it cannot be renewed. Graph asks for another one by continuous access evaluation (Graph wants a token"
        in ended.err
    )


def test_no_name_of_the_tests_own_machine_is_used() -> None:
    """The environment of these processes hides the machine's own proxy and identity variables."""
    assert {"HTTPS_PROXY", "MSI_ENDPOINT", "MSI_SECRET", "IDENTITY_SERVER_THUMBPRINT"} <= set(NONE_SET)
