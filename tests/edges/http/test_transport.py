"""Tests of the transport: what it sends, what it returns, and which failures leave rows in doubt."""

from __future__ import annotations

import asyncio
import base64
import gzip
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme

from purgeengine import __version__
from purgeengine.core.graph.encode import encode_batch
from purgeengine.core.model import Item
from purgeengine.edges.http.transport import ANSWER_BYTES_MAX, HttpAnswer, HttpTransport, Timeouts
from purgeengine.errors import NoAnswer, NotSent, RunStopped, UsageProblem
from purgeengine.sim.graph.faults import Faults
from purgeengine.sim.graph.tenant import Tenant
from purgeengine.sim.server.background_server import in_background
from purgeengine.sim.server.http_server import SimulatedTenant
from purgeengine.sim.tenant_settings import TenantSettings
from tests.support.fixtures import folder_rows_of
from tests.support.https_server import (
    LOOPBACK,
    Server,
    answering,
    hanging,
    in_turn,
    proxying,
    raw,
    resetting,
    serving,
    write_ca,
)

TOKEN = "eyJhbGciOi.secret.token"


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


def opened(server: Server, ca_file: Path | None, **options: Any) -> Any:
    """Open a transport to the server."""
    return HttpTransport.open(**{"graph_url": server.url, "connections": 2, "ca_file": ca_file, **options})


async def post(transport: HttpTransport) -> HttpAnswer:
    """Post an empty batch."""
    return await transport.post(b'{"requests":[]}', "11111111-2222", TOKEN)


@asynccontextmanager
async def a_transport(behave: Any, ca_file: Path, **options: Any) -> AsyncIterator[tuple[HttpTransport, Server]]:
    """Start a server with this behaviour, and open a transport to it."""
    async with serving(behave) as server, opened(server, ca_file, **options) as transport:
        yield transport, server


def refused_port() -> int:
    """Return a port at which nobody listens."""
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        return int(listener.getsockname()[1])


# ----------------------------------------------------------------------------------------------------------- what is sent


async def test_a_batch_is_posted_as_graph_wants_it(ca_file: Path) -> None:
    """A batch is one POST to $batch with the token, JSON, our id of the call and our user agent, and without cookies."""
    async with a_transport(answering(), ca_file) as (transport, server):
        await post(transport)
        (request,) = server.requests
    assert (request.method, request.target, request.body) == ("POST", "/v1.0/$batch", b'{"requests":[]}')
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["client-request-id"] == "11111111-2222"
    assert request.headers["return-client-request-id"] == "true"
    assert request.headers["user-agent"] == f"purgeengine/{__version__}"
    assert "cookie" not in request.headers


async def test_an_answer_has_the_headers_that_are_used_and_the_time(ca_file: Path) -> None:
    """An answer has its header names in lower case, with several values joined, and only the headers that are used."""

    class Noon:
        def monotonic(self) -> float:
            return 0.0

        def utc(self) -> float:
            return 43_200.0

    headers = ("RETRY-AFTER: 5", "Retry-After: 7", "Request-Id: abc", "Date: now", "Set-Cookie: a=b", "X: y")
    async with a_transport(answering(429, b"{}", *headers), ca_file, clock=Noon()) as (transport, _):
        answer = await post(transport)
    assert answer == HttpAnswer(429, {"retry-after": "5, 7", "request-id": "abc", "date": "now"}, b"{}", 43_200.0)


async def test_the_connection_is_kept_for_the_next_batch(ca_file: Path) -> None:
    """Three batches share one connection, because a TLS handshake costs more than a batch."""
    async with a_transport(answering(), ca_file) as (transport, server):
        for _ in range(3):
            await post(transport)
    assert (server.connections, len(server.requests)) == (1, 3)


@pytest.mark.parametrize("body", [b"", b"{}", b"x" * 300_000])
async def test_after_a_503_the_next_batch_takes_a_new_connection(ca_file: Path, body: bytes) -> None:
    """After a 503 the next batch takes a new connection, as Graph's documentation asks, however long the answer's body is."""
    async with a_transport(in_turn(answering(503, body), answering()), ca_file) as (transport, server):
        assert (await post(transport)).status == 503
        assert (await post(transport)).status == 200
    assert server.connections == 2


async def test_a_redirect_is_an_answer_and_is_not_followed(ca_file: Path) -> None:
    """A redirect is returned as an answer, and nothing is sent to its target: the token must not go there."""
    async with serving(answering()) as elsewhere:
        redirect = answering(307, b"", f"Location: {elsewhere.url}/v1.0/$batch")
        async with a_transport(redirect, ca_file) as (transport, server):
            assert (await post(transport)).status == 307
    assert (len(server.requests), elsewhere.connections) == (1, 0)


@pytest.mark.parametrize(
    "path", ["", "/", "/v1.0", "/v1.0/", "/V1.0"]
)  # fmt: skip
async def test_graphs_address_may_be_given_in_several_ways(ca_file: Path, path: str) -> None:
    """Graph's URL may come with or without the version, and with or without a slash at its end."""
    async with serving(answering()) as server, opened(server, ca_file, graph_url=server.url + path) as transport:
        await post(transport)
    assert server.requests[0].target == "/v1.0/$batch"


async def test_plain_http_is_fine_on_this_machine() -> None:
    """Plain http is allowed to this machine, so that a simulated tenant needs no TLS."""
    async with (
        serving(answering(), tls=False) as server,
        opened(server, None, graph_url=f"http://{LOOPBACK}:{server.port}") as transport,
    ):
        assert (await post(transport)).status == 200


@pytest.mark.parametrize(
    "graph_url",
    ["http://graph.microsoft.com", "graph.microsoft.com", "", "ftp://x", "https://", "https://a:b@x", "https://x/beta",
     "https://x/?q", "https://x:99999", "https://x\n.example", "https://" + "a" * 64 + ".example"],
)  # fmt: skip
async def test_an_address_that_a_token_must_not_go_to_is_refused(graph_url: str) -> None:
    """A URL that a token must not be sent to is refused with a sentence before anything is sent."""
    with pytest.raises(UsageProblem, match=r"Graph URL.*\."):
        async with HttpTransport.open(graph_url=graph_url, connections=1):
            pass


# ------------------------------------------------------------------------------------------------------ certainly not sent


async def test_a_refused_port_means_not_sent() -> None:
    """A port at which nobody listens raises `NotSent`, so that no row is in doubt."""
    port = refused_port()
    async with HttpTransport.open(graph_url=f"https://{LOOPBACK}:{port}", connections=1) as transport:
        with pytest.raises(NotSent, match=f"{LOOPBACK}:{port} could not be reached \\("):
            await post(transport)


async def test_an_untrusted_certificate_means_not_sent(tmp_path: Path) -> None:
    """A certificate of an unknown CA raises `NotSent`, and the reason names the option ``--ca-file``."""
    other = write_ca(tmp_path, trustme.CA())
    async with a_transport(answering(), other) as (transport, server):
        with pytest.raises(NotSent, match=r"certificate of 127\.0\.0\.1 is not trusted .* --ca-file"):
            await post(transport)
    assert server.requests == []


async def test_a_certificate_for_another_name_means_not_sent(ca_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate for another host name raises `NotSent`, also behind a proxy."""
    async with serving(answering()) as server, proxying(server.port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"{LOOPBACK}:{proxy.port}")
        async with opened(server, ca_file, graph_url="https://other.test") as transport:
            with pytest.raises(NotSent, match=r"certificate of other\.test is not trusted"):
                await post(transport)
    assert server.requests == []


async def test_a_failed_handshake_means_not_sent(ca_file: Path) -> None:
    """A server that hangs up before the TLS handshake is complete raises `NotSent`."""

    def hang_up(writer: asyncio.StreamWriter) -> bool:
        writer.transport.abort()
        return False

    async with serving(answering(), tls=False, on_connect=hang_up) as server, opened(server, ca_file) as transport:
        with pytest.raises(NotSent):
            await post(transport)


async def test_a_server_without_tls_means_not_sent(ca_file: Path) -> None:
    """A server that answers the handshake with plain text raises `NotSent`."""

    def talk(writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        return False

    async with serving(answering(), tls=False, on_connect=talk) as server, opened(server, ca_file) as transport:
        with pytest.raises(NotSent, match="no TLS connection to"):
            await post(transport)


async def test_a_connection_that_takes_too_long_means_not_sent(ca_file: Path) -> None:
    """A server that accepts the connection but never answers the handshake raises `NotSent` after the time limit."""
    timeouts = Timeouts(connect_s=0.05, call_s=1)
    silent = serving(answering(), tls=False, on_connect=lambda _: False)
    async with silent as server, opened(server, ca_file, timeouts=timeouts) as transport:
        with pytest.raises(NotSent, match=r"did not accept a connection within 0\.05 s"):
            await post(transport)


async def test_an_unusable_ca_file_is_a_usage_problem(tmp_path: Path) -> None:
    """A CA file that is missing or holds no certificates raises `UsageProblem`."""
    bad = tmp_path / "bad.pem"
    bad.write_text("nothing", encoding="utf-8")
    for path, reason in ((bad, "holds no certificates"), (tmp_path / "none.pem", "cannot be read")):
        with pytest.raises(UsageProblem, match=reason):
            async with HttpTransport.open(graph_url="https://graph.microsoft.com", connections=1, ca_file=path):
                pass


# ---------------------------------------------------------------------------------------------------------------- no answer


@pytest.mark.parametrize(
    ("behave", "reason"),
    [
        pytest.param(resetting, "broke|closed", id="reset after reading"),
        pytest.param(raw(), "closed the connection before it answered", id="closed after reading"),
        pytest.param(hanging, "did not answer in time", id="silence"),
        pytest.param(raw(b"HTTP/1.1 200 OK\r\nContent-Le"), "closed the connection", id="cut in the headers"),
        pytest.param(
            raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"), "ended before the answer did", id="cut in the body"
        ),
        pytest.param(
            raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", close=False), "in time", id="silence in the body"
        ),
        pytest.param(raw(b"SSH-2.0-OpenSSH\r\n\r\n"), "not HTTP", id="another protocol"),
        pytest.param(
            raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
            "not HTTP|ended before",
            id="bad chunks",
        ),
        pytest.param(answering(200, b"x" * (ANSWER_BYTES_MAX + 1)), "longer than 4 MiB", id="too long, as announced"),
        pytest.param(
            raw(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[b"100000\r\n" + b"x" * 2**20 + b"\r\n"] * 5
            ),
            "longer than 4 MiB",
            id="too long, unannounced",
        ),
        pytest.param(
            answering(200, gzip.compress(b"x" * (ANSWER_BYTES_MAX + 1)), "Content-Encoding: gzip"),
            "longer than 4 MiB",
            id="too long, once unpacked",
        ),
        pytest.param(answering(200, b"no gzip", "Content-Encoding: gzip"), "could not be unpacked", id="packed badly"),
    ],
)
async def test_what_may_have_left_and_brings_no_answer_is_in_doubt(behave: Any, reason: str, ca_file: Path) -> None:
    """After the connection was made, every failure raises `NoAnswer`, because the service may have read the batch.

    The batch is never sent twice.
    """
    timeouts = Timeouts(connect_s=1, call_s=0.3)
    async with a_transport(behave, ca_file, timeouts=timeouts) as (transport, server):
        with pytest.raises(NoAnswer, match=reason):
            await post(transport)
        await asyncio.sleep(0.01)
    assert len(server.requests) == 1


async def test_a_reset_before_the_server_reads_is_in_doubt(ca_file: Path) -> None:
    """A connection that is reset before the server reads raises `NoAnswer`: we cannot know what the server had read."""

    def break_off(writer: asyncio.StreamWriter) -> bool:
        writer.transport.abort()
        return False

    async with serving(answering(), on_connect=break_off) as server, opened(server, ca_file) as transport:
        with pytest.raises(NoAnswer):
            await post(transport)


async def test_a_connection_closed_while_idle_does_not_send_a_batch_twice(ca_file: Path) -> None:
    """A batch is not sent twice if its idle connection was closed.

    It is sent once on a new connection, or it raises `NoAnswer`. aiohttp must not repeat a POST.
    """
    async with a_transport(in_turn(answering(close=True), answering()), ca_file) as (transport, server):
        await post(transport)
        with suppress(NoAnswer):
            await post(transport)
    assert len(server.requests) <= 2


async def test_a_whole_call_takes_no_longer_than_allowed(ca_file: Path) -> None:
    """A call ends at its time limit even if bytes of the answer keep arriving."""

    async def trickle(_request: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(100):
            writer.write(b" ")
            await asyncio.sleep(0.01)

    timeouts = Timeouts(connect_s=0.2, call_s=0.2)
    async with a_transport(trickle, ca_file, timeouts=timeouts) as (transport, _):
        with pytest.raises(NoAnswer, match="in time"):
            await post(transport)


@pytest.mark.parametrize("answers", [True, False], ids=["answered", "silent"])
async def test_an_answer_that_came_while_the_process_was_suspended_is_read(ca_file: Path, answers: bool) -> None:
    """An answer that arrived while the process was suspended is read, although the call's time is over.

    A silent service is given up a little later.
    """
    faults = Faults() if answers else Faults(hang_before=1.0)
    settings = TenantSettings(overhead_s=0.3, latency_median_s=0.0, anything_exists=True)
    server = SimulatedTenant(Tenant(settings, faults=faults), ca_file=ca_file)
    with in_background(server):
        token = server.login.issue(0.0)
        timeouts = Timeouts(call_s=0.5)
        async with HttpTransport.open(
            graph_url=server.graph_url, connections=1, ca_file=ca_file, timeouts=timeouts
        ) as transport:
            body = encode_batch(folder_rows_of([Item("a@contoso.example", "", "AAMkAGI2=")]))
            call = asyncio.ensure_future(transport.post(body, "11111111-2222", token))
            while not server.tenant.counters.calls:
                await asyncio.sleep(0)
            time.sleep(1.5)  # the loop stands still, as it does if the process is suspended
            if answers:
                assert (await call).status == 200
            else:
                with pytest.raises(NoAnswer, match="did not answer in time"):
                    await call


async def test_twice_as_many_calls_as_connections_may_be_open(ca_file: Path) -> None:
    """While calls that were given up hold as many connections as the run has, as many others are answered."""
    quickly = answering()
    hung = asyncio.Event()

    async def first_two_hang(request: Any, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        if calls <= 2:
            await hung.wait()
        await quickly(request, writer)

    calls = 0
    async with serving(first_two_hang) as server, opened(server, ca_file, connections=2) as transport:
        late = [asyncio.ensure_future(post(transport)) for _ in range(2)]
        while calls < 2:
            await asyncio.sleep(0)
        assert [answer.status for answer in await asyncio.gather(post(transport), post(transport))] == [200, 200]
        assert not any(call.done() for call in late)
        hung.set()
        assert [answer.status for answer in await asyncio.gather(*late)] == [200, 200]


async def test_a_caller_may_give_up(ca_file: Path) -> None:
    """A call that its caller cancels stays cancelled."""
    async with a_transport(hanging, ca_file) as (transport, _):
        task = asyncio.ensure_future(post(transport))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


# ------------------------------------------------------------------------------------------------------------------ proxies


async def test_the_environments_proxy_is_used_and_sees_no_token(ca_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy gets its own credentials, percent-decoded, and sees no token; Graph does not get the proxy's credentials."""
    async with serving(answering()) as server, proxying(server.port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://ann:p%40ss@{LOOPBACK}:{proxy.port}")
        async with opened(server, ca_file, graph_url="https://graph.test") as transport:
            assert (await post(transport)).status == 200
            assert (await post(transport)).status == 200
    (tunnel,) = proxy.requests
    assert (tunnel.method, tunnel.target) == ("CONNECT", "graph.test:443")
    assert tunnel.headers["proxy-authorization"] == "Basic " + base64.b64encode(b"ann:p@ss").decode()
    assert "authorization" not in tunnel.headers
    assert "proxy-authorization" not in server.requests[0].headers
    assert server.requests[0].headers["host"] == "graph.test"


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_a_proxy_without_a_way_means_not_sent(
    status: int, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that cannot connect to Graph for now raises `NotSent`; the reason names the proxy and shows no password."""
    async with serving(answering()) as server, proxying(server.port, status) as proxy:
        monkeypatch.setenv("https_proxy", f"http://ann:hunter2@{LOOPBACK}:{proxy.port}")
        async with opened(server, ca_file, graph_url="https://graph.test") as transport:
            with pytest.raises(NotSent) as caught:
                await post(transport)
    assert (
        str(caught.value)
        == f"the proxy http://127.0.0.1:{proxy.port} could not connect to graph.test (status {status})"
    )
    assert "hunter2" not in repr(caught.value) + repr(caught.value.__cause__)


@pytest.mark.parametrize(
    ("status", "wants", "user", "told"),
    [
        (403, (), "", "Ask the proxy's administrators to allow graph.test on port 443"),
        (302, (), "", "Ask the proxy's administrators"),
        (405, (), "", "Ask the proxy's administrators"),
        (407, ('Basic realm="Corp, Ltd"',), "", "it wants a user name and password. Put them into HTTPS_PROXY"),
        (
            407,
            ("Negotiate", 'Basic realm="x"'),
            "ann:hunter2@",
            "does not accept the user name and password in https_proxy",
        ),
        (
            407,
            ("Negotiate", "NTLM"),
            "",
            "it wants Negotiate or NTLM, and purgeengine can sign in at a proxy with Basic only",
        ),
        (407, ("Kerberos, Digest realm=x",), "ann:hunter2@", "it wants Kerberos or Digest, and purgeengine"),
        (407, (), "", "it wants a user name and password"),
    ],
)
async def test_a_proxy_that_refuses_is_told_at_once(
    status: int, wants: tuple[str, ...], user: str, told: str, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that refuses the first call stops the run after one attempt.

    The message names the proxy and what it wants, and shows no password.
    """
    headers = tuple(f"Proxy-Authenticate: {scheme}" for scheme in wants)
    async with serving(answering(status, b"<h1>No</h1>", *headers, close=True), tls=False) as proxy:
        monkeypatch.setenv("https_proxy", f"http://{user}{LOOPBACK}:{proxy.port}")
        async with HttpTransport.open(graph_url="https://graph.test", connections=1, ca_file=ca_file) as transport:
            with pytest.raises(RunStopped) as caught:
                await post(transport)
    said = str(caught.value)
    assert said.startswith(
        f"The proxy http://127.0.0.1:{proxy.port} (from https_proxy) refused to connect to graph.test (status {status})"
    )
    assert told in said
    assert len(proxy.requests) == 1
    assert "hunter2" not in repr(caught.value) + repr(caught.value.__cause__)


async def test_a_proxy_that_refuses_in_the_middle_is_an_outage(ca_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that refuses after calls went through raises `NotSent`: the next call may go through again.

    The reason is the same sentence.
    """
    async with serving(answering(200, b"{}", close=True)) as server, proxying(server.port) as proxy:
        monkeypatch.setenv("https_proxy", f"http://{LOOPBACK}:{proxy.port}")
        async with opened(server, ca_file, graph_url="https://graph.test") as transport:
            await post(transport)
            proxy.status = 403
            with pytest.raises(
                NotSent, match=r"The proxy http://127.0.0.1:\d+ \(from https_proxy\) refused to connect"
            ):
                await post(transport)


async def test_a_proxy_that_cannot_be_reached_means_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy at which nobody listens raises `NotSent`, and the reason shows no password."""
    port = refused_port()
    monkeypatch.setenv("HTTPS_PROXY", f"http://ann:hunter2@{LOOPBACK}:{port}")
    async with HttpTransport.open(graph_url="https://graph.test", connections=1) as transport:
        with pytest.raises(NotSent, match=f"the proxy {LOOPBACK}:{port} could not be reached") as caught:
            await post(transport)
    assert "hunter2" not in repr(caught.value) + repr(caught.value.__cause__)


async def test_this_machine_is_never_asked_for_through_a_proxy(ca_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls to this machine use no proxy, so that a simulated tenant works where a proxy is set for everything."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://{LOOPBACK}:{refused_port()}")
    async with a_transport(answering(), ca_file) as (transport, _):
        assert (await post(transport)).status == 200


async def test_a_netrc_does_not_meddle(ca_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials for every host in a .netrc file neither break the call nor replace the token."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login ann password hunter2\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(netrc))
    async with a_transport(answering(), ca_file) as (transport, server):
        await post(transport)
    assert server.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


async def test_nothing_secret_is_shown(ca_file: Path) -> None:
    """Neither the transport nor a failure and its cause shows the token."""
    async with a_transport(resetting, ca_file) as (transport, server):
        assert repr(transport) == f"HttpTransport({server.url})"
        with pytest.raises(NoAnswer) as caught:
            await post(transport)
    assert TOKEN not in repr(caught.value) + repr(caught.value.__cause__)
