"""Tests of the simulated tenant over real sockets, with the clients that people use."""

from __future__ import annotations

import asyncio
import io
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msal
import pytest
import requests

from purgeengine.errors import UsageProblem
from purgeengine.sim.graph.faults import Faults
from purgeengine.sim.login.login_endpoint import LoginEndpoint
from purgeengine.sim.server.http_server import BODY_BYTES_MAX, SimulatedTenant
from tests.support.sim_fixtures import ANN, a_tenant, contacts_of


@asynccontextmanager
async def a_client(sim: SimulatedTenant) -> AsyncIterator[aiohttp.ClientSession]:
    """Open a client that trusts only the tenant's certificate authority."""
    context: ssl.SSLContext | bool = ssl.create_default_context(cafile=str(sim.ca_file)) if sim.ca_file else True
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        yield session


def posting(
    client: aiohttp.ClientSession, sim: SimulatedTenant, body: bytes | io.BytesIO, token: str | None = None
) -> Any:
    """Post a batch, with a valid token unless another is given."""
    good = sim.login.issue(sim.tenant.now) if token is None else token
    headers = {"Authorization": f"Bearer {good}", "Content-Type": "application/json", "client-request-id": "c-1"}
    return client.post(f"{sim.graph_url}/v1.0/$batch", data=body, headers=headers)


async def test_a_batch_makes_the_round_trip_over_tls() -> None:
    """A batch over TLS purges its contact, and the answer has a status, headers and JSON."""
    async with SimulatedTenant(a_tenant()) as sim, a_client(sim) as client:
        assert sim.graph_url.startswith("https://127.0.0.1:")
        async with posting(client, sim, contacts_of(ANN, 0)) as answer:
            assert answer.status == 200
            assert answer.headers["client-request-id"] == "c-1"
            assert answer.headers["request-id"]
            said = {"id": "0", "status": 204, "headers": {"Cache-Control": "private"}, "body": None}
            assert await answer.json() == {"responses": [said]}
    assert not sim.tenant.truth.exists(ANN, "a-0")


async def test_without_tls_there_is_no_certificate() -> None:
    """Without TLS the server has no certificate, for benchmarks that do not measure TLS."""
    async with SimulatedTenant(a_tenant(), tls=False) as sim, a_client(sim) as client:
        assert sim.ca_file is None
        assert sim.graph_url.startswith("http://127.0.0.1:")
        async with posting(client, sim, contacts_of(ANN, 0)) as answer:
            assert answer.status == 200


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("", "Access token is empty."),
        ("Basic abc", "Access token is empty."),
        ("Bearer", "Access token is empty."),
        ("Bearer abc", "IDX14100: JWT is not well formed"),
        ("Bearer e30.e30.abc", "Access token validation failure."),
    ],
)
async def test_a_call_needs_a_good_bearer_token(header: str, message: str) -> None:
    """A call without a valid bearer token gets 401 without sub-responses, and nothing runs.

    The message tells a missing token from a bad one.
    """
    async with SimulatedTenant(a_tenant(), tls=False) as sim, a_client(sim) as client:
        url = f"{sim.graph_url}/v1.0/$batch"
        async with client.post(url, data=contacts_of(ANN, 0), headers={"Authorization": header}) as answer:
            body = await answer.json()
            assert answer.headers["WWW-Authenticate"].startswith('Bearer realm=""')
            assert answer.headers["client-request-id"] == answer.headers["request-id"]
    assert (answer.status, body["error"]["code"], "responses" in body) == (401, "InvalidAuthenticationToken", False)
    assert body["error"]["message"].startswith(message)
    assert sim.tenant.truth.exists(ANN, "a-0")


async def test_revoked_tokens_are_refused() -> None:
    """A revoked token is refused with 401."""
    async with SimulatedTenant(a_tenant(), tls=False) as sim, a_client(sim) as client:
        token = sim.login.issue(0.0)
        async with posting(client, sim, contacts_of(ANN, 0), token) as answer:
            assert answer.status == 200
        sim.login.revoke_all()
        async with posting(client, sim, contacts_of(ANN, 1), token) as answer:
            assert answer.status == 401
            assert "Lifetime validation failed" in await answer.text()


def token_by_msal(sim: SimulatedTenant, secret: str) -> dict[str, Any]:
    """Return what MSAL gets from the tenant's login while it trusts only the tenant's certificate authority."""
    session = requests.Session()
    session.trust_env = False  # REQUESTS_CA_BUNDLE in the environment would override ``verify``.
    session.verify = str(sim.ca_file)
    with session:
        app = msal.ConfidentialClientApplication(
            sim.login.app.client_id,
            client_credential=secret,
            authority=f"{sim.authority_url}/{sim.login.app.tenant_id}",
            instance_discovery=False,
            http_client=session,
        )
        result: dict[str, Any] = app.acquire_token_for_client([f"{sim.graph_url}/.default"])
    return result


@pytest.mark.parametrize("ports", [{}, {"login_port": 0}])
async def test_msal_gets_a_token_that_graph_accepts(ports: dict[str, int]) -> None:
    """MSAL gets a token over TLS that Graph accepts, from the port of Graph or from another one."""
    async with SimulatedTenant(a_tenant(), **ports) as sim, a_client(sim) as client:  # type: ignore[arg-type]
        assert (sim.authority_url == sim.graph_url) is (not ports)
        result = await asyncio.to_thread(token_by_msal, sim, sim.login.app.client_secret)
        assert result.get("token_type") == "Bearer", result
        async with posting(client, sim, contacts_of(ANN, 0), result["access_token"]) as answer:
            assert answer.status == 200


async def test_msal_is_told_about_a_wrong_secret() -> None:
    """MSAL reports a wrong secret as an error with its AADSTS number."""
    async with SimulatedTenant(a_tenant()) as sim:
        result = await asyncio.to_thread(token_by_msal, sim, "wrong")
    assert result["error"] == "invalid_client"
    assert "AADSTS7000215" in result["error_description"]


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize(("fault", "purged"), [("reset_before", 0), ("reset_after", 1), ("unreachable", 0)])
async def test_a_reset_is_a_reset(fault: str, purged: int, tls: bool) -> None:
    """A reset ends the connection without an answer, with the contact purged or not as the fault's name says."""
    tenant = a_tenant(faults=Faults(**{fault: 1.0}))
    async with SimulatedTenant(tenant, tls=tls) as sim, a_client(sim) as client:
        with pytest.raises(aiohttp.ClientConnectionError):
            async with posting(client, sim, contacts_of(ANN, 0)):
                pass
    assert tenant.counters.purged == purged


@pytest.mark.parametrize("tls", [True, False])
async def test_a_cut_answer_is_cut(tls: bool) -> None:
    """A cut answer has half of the JSON, or ends before its announced length; all contacts are purged both ways."""
    seen = set()
    for seed in range(8):
        tenant = a_tenant(faults=Faults(truncated=1.0), seed=seed)
        async with SimulatedTenant(tenant, tls=tls) as sim, a_client(sim) as client:
            try:
                async with posting(client, sim, contacts_of(ANN, *range(10))) as answer:
                    assert answer.status == 200
                    with pytest.raises(json.JSONDecodeError):
                        json.loads(await answer.read())
                seen.add("malformed")
            except aiohttp.ClientPayloadError:
                seen.add("cut")
        assert tenant.counters.purged == 10
    assert seen == {"malformed", "cut"}


async def test_a_hanging_call_never_answers_and_holds_nothing_up() -> None:
    """A hanging call ends by the client's timeout.

    Other calls are served meanwhile, and the server stops without waiting.
    """
    tenant = a_tenant(faults=Faults(hang_after=1.0))
    async with SimulatedTenant(tenant, tls=False) as sim, a_client(sim) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05), posting(client, sim, contacts_of(ANN, 0)):
                pass
        tenant.set_faults(Faults())
        async with posting(client, sim, contacts_of(ANN, 1)) as answer:
            assert answer.status == 200
        tenant.set_faults(Faults(hang_before=1.0))
        hanging = asyncio.ensure_future(posting(client, sim, contacts_of(ANN, 2)).__aenter__())
        while tenant.counters.calls < 3:
            await asyncio.sleep(0.001)
    with pytest.raises(aiohttp.ClientConnectionError):
        await hanging
    assert tenant.counters.purged == 2


async def test_a_hang_is_bounded() -> None:
    """A hanging call is reset after a bounded time."""
    tenant = a_tenant(faults=Faults(hang_before=1.0))
    async with SimulatedTenant(tenant, tls=False, hang_s_max=0.01) as sim, a_client(sim) as client:
        with pytest.raises(aiohttp.ClientConnectionError):
            async with posting(client, sim, contacts_of(ANN, 0)):
                pass


async def test_a_client_that_left_does_not_keep_the_work_from_being_done() -> None:
    """A batch whose client has left runs to its end, and its answer counts as not read."""
    tenant = a_tenant(latency_median_s=0.5, latency_sigma=0.0)
    async with SimulatedTenant(tenant, tls=False) as sim, a_client(sim) as client:

        async def post() -> None:
            async with posting(client, sim, contacts_of(ANN, 0)):
                raise AssertionError("it was answered before anybody left")

        asking = asyncio.ensure_future(post())
        while not tenant.counters.calls:
            await asyncio.sleep(0.001)
        asking.cancel()
        while not tenant.counters.purged:
            await asyncio.sleep(0.01)
    assert [seen.answered for seen in tenant.log] == [False]


async def test_other_requests_are_turned_away() -> None:
    """Unknown paths, other methods and too long bodies each get their own status."""
    async with SimulatedTenant(a_tenant(), tls=False) as sim, a_client(sim) as client:
        async with client.get(f"{sim.graph_url}/v1.0/$batch") as answer:
            assert answer.status == 405
        async with client.get(f"{sim.graph_url}/v1.0/me") as answer:
            assert answer.status == 401
        async with client.post(f"{sim.graph_url}/beta/$batch") as answer:
            assert answer.status == 501
            assert "does not serve POST /beta/$batch" in await answer.text()
        async with posting(client, sim, io.BytesIO(b"x" * (BODY_BYTES_MAX + 1))) as answer:
            assert answer.status == 413


async def test_only_the_loopback_is_listened_on() -> None:
    """The server refuses to listen beyond this machine, because anybody who reaches it gets a token."""
    with pytest.raises(UsageProblem, match=r"127\.0\.0\.1 only"):
        SimulatedTenant(host="0.0.0.0")


async def test_a_taken_port_is_said_so() -> None:
    """A port in use is refused by its number, and ports opened before are closed."""
    async with SimulatedTenant(a_tenant(), tls=False) as sim:
        port = int(sim.graph_url.rpartition(":")[2])
        with pytest.raises(UsageProblem, match=str(port)):
            async with SimulatedTenant(a_tenant(), tls=False, port=port):
                pass


async def test_the_certificate_goes_where_it_is_wanted(tmp_path: Path) -> None:
    """The CA certificate is written to the given file, which stays, or to a temporary one, which is removed with the server."""
    wanted = tmp_path / "ca.pem"
    async with SimulatedTenant(a_tenant(), ca_file=wanted) as sim:
        assert sim.ca_file == wanted.resolve()
    assert wanted.read_text(encoding="ascii").startswith("-----BEGIN CERTIFICATE-----")
    async with SimulatedTenant(a_tenant()) as sim:
        temporary = sim.ca_file
        assert temporary is not None
        assert temporary.exists()
    assert not temporary.exists()
    with pytest.raises(UsageProblem, match="cannot be written"):
        async with SimulatedTenant(a_tenant(), ca_file=tmp_path / "nowhere" / "ca.pem"):
            pass


async def test_a_tenant_can_be_served_again() -> None:
    """A tenant can be served a second time, and its time and contacts continue."""
    tenant, login = a_tenant(), LoginEndpoint()
    for expected in (204, 404):
        async with (
            SimulatedTenant(tenant, login, tls=False) as sim,
            a_client(sim) as client,
            posting(client, sim, contacts_of(ANN, 0)) as answer,
        ):
            assert (await answer.json())["responses"][0]["status"] == expected
