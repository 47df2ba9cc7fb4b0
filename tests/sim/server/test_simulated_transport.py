"""Tests of the transport to the simulated tenant in memory: what the client gets, in virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from purgeengine.errors import NoAnswer, NotSent
from purgeengine.sim.graph.faults import Faults
from purgeengine.sim.login.login_endpoint import LoginEndpoint
from purgeengine.sim.server.simulated_transport import SimulatedTransport
from tests.simulation.virtual_time import run_virtually
from tests.support.sim_fixtures import ANN, BOB, a_tenant, batch_of, contacts_of, url_of

Result = TypeVar("Result")


def in_virtual_time(main: Callable[[], Coroutine[Any, Any, Result]]) -> tuple[Result, float]:
    """Run to the end in virtual time, and return the result with the seconds it took."""

    async def timed() -> tuple[Result, float]:
        return await main(), asyncio.get_running_loop().time()

    return run_virtually(timed())


def test_an_answer_takes_its_time_in_no_time() -> None:
    """An answer has its status, headers in lower case, body and time of arrival, after 0.5 s of virtual time."""
    tenant = a_tenant({ANN: 20}, latency_median_s=0.1, latency_sigma=0.0)
    received, took_s = in_virtual_time(
        lambda: SimulatedTransport(tenant).post(contacts_of(ANN, *range(20)), "c-1", "t")
    )
    assert received.status == 200
    assert received.headers["client-request-id"] == "c-1"
    assert len(json.loads(received.body)["responses"]) == 20
    assert took_s == pytest.approx(0.5)
    assert received.received_utc == pytest.approx(tenant.utc_at_zero_s + 0.5)


@pytest.mark.parametrize(
    ("fault", "error"),
    [("unreachable", NotSent), ("reset_before", NoAnswer), ("reset_after", NoAnswer), ("hang_before", NoAnswer)],
)
def test_a_lost_call_is_lost_in_its_own_way(fault: str, error: type[Exception]) -> None:
    """A lost call raises `NotSent` if it certainly did not leave, and `NoAnswer` otherwise."""
    tenant = a_tenant(faults=Faults(**{fault: 1.0}))
    with pytest.raises(error):
        in_virtual_time(lambda: SimulatedTransport(tenant).post(contacts_of(ANN, 0), "c", "t"))


def test_a_cut_answer_is_no_answer() -> None:
    """A truncated answer whose connection ends early raises `NoAnswer`; the others are returned with broken JSON."""
    seen = set()
    for seed in range(20):
        tenant = a_tenant(faults=Faults(truncated=1.0), seed=seed)
        try:
            received, _ = in_virtual_time(
                lambda tenant=tenant: SimulatedTransport(tenant).post(contacts_of(ANN, 0), "c", "t")
            )
            seen.add(received.body[-1:] == b"}")
        except NoAnswer:
            seen.add(None)
        assert not tenant.truth.exists(ANN, "a-0")
    assert seen == {None, False}


@pytest.mark.parametrize(("fault", "purged"), [("hang_before", 0), ("hang_after", 1)])
def test_a_client_gives_up_on_a_call_that_hangs(fault: str, purged: int) -> None:
    """A hanging call raises `NoAnswer` after the client's timeout, with the contact purged or not as the fault's name says."""
    tenant = a_tenant(faults=Faults(**{fault: 1.0}), latency_median_s=0.1)

    async def main() -> None:
        with pytest.raises(NoAnswer, match="30 s"):
            await SimulatedTransport(tenant, timeout_s=30.0).post(contacts_of(ANN, 0), "c", "t")

    _, took_s = in_virtual_time(main)
    tenant.advance(took_s)
    assert took_s == pytest.approx(30.0)
    assert tenant.counters.purged == purged


def test_a_slow_call_runs_on_after_its_client_gave_up() -> None:
    """A slow call runs on after its client gave up: the contact is purged, and its answer was not read."""
    tenant = a_tenant(latency_median_s=3.0, latency_sigma=0.0)

    async def main() -> int:
        with pytest.raises(NoAnswer):
            await SimulatedTransport(tenant, timeout_s=1.0).post(contacts_of(ANN, 0), "c", "t")
        running = tenant.truth.mailbox(ANN).running
        await asyncio.sleep(3.0)
        tenant.advance(asyncio.get_running_loop().time())
        return running

    running, _ = in_virtual_time(main)
    assert running == 1
    assert not tenant.truth.exists(ANN, "a-0")
    assert [seen.answered for seen in tenant.log] == [False]


def test_a_cancelled_call_is_abandoned_and_runs_on() -> None:
    """A cancelled call runs on, as after a crash of the client."""
    tenant = a_tenant(latency_median_s=3.0, latency_sigma=0.0)

    async def main() -> None:
        task = asyncio.ensure_future(SimulatedTransport(tenant).post(contacts_of(ANN, 0), "c", "t"))
        await asyncio.sleep(1.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    in_virtual_time(main)
    tenant.advance(10.0)
    assert not tenant.truth.exists(ANN, "a-0")
    assert [seen.answered for seen in tenant.log] == [False]


def test_calls_side_by_side_meet_in_the_mailboxes() -> None:
    """Two batches at once for one mailbox: the second is refused in that mailbox, and its other mailbox is served."""
    tenant = a_tenant({ANN: 8, BOB: 1}, latency_median_s=0.1, latency_sigma=0.0, overhead_s=0.02)

    async def main() -> list[list[int]]:
        transport = SimulatedTransport(tenant)
        bodies = [contacts_of(ANN, 0, 1, 2, 3), batch_of(url_of(ANN, "a-4"), url_of(BOB, "b-0"))]
        answers = await asyncio.gather(*(transport.post(body, str(n), "t") for n, body in enumerate(bodies)))
        said = [json.loads(answer.body)["responses"] for answer in answers]
        return [[one["status"] for one in sorted(some, key=lambda one: one["id"])] for some in said]

    statuses, took_s = in_virtual_time(main)
    assert statuses == [[204] * 4, [429, 204]]
    assert took_s == pytest.approx(0.12)


def test_a_token_is_checked_where_there_is_a_login() -> None:
    """With a login, an expired token gets 401 and a new one is accepted."""
    tenant, login = a_tenant(), LoginEndpoint(lifetime_s=60.0)
    old = login.issue(0.0)

    async def main() -> list[int]:
        transport = SimulatedTransport(tenant, login=login)
        statuses = [(await transport.post(contacts_of(ANN, 0), "c", old)).status]
        await asyncio.sleep(60.0)
        statuses.append((await transport.post(contacts_of(ANN, 1), "c", old)).status)
        fresh = login.issue(asyncio.get_running_loop().time())
        statuses.append((await transport.post(contacts_of(ANN, 1), "c", fresh)).status)
        return statuses

    assert in_virtual_time(main)[0] == [200, 401, 200]


def test_a_tenant_outlives_its_loop() -> None:
    """A tenant can be used from a second loop whose clock begins at zero, and its time continues."""
    tenant = a_tenant(latency_median_s=0.1, latency_sigma=0.0)
    in_virtual_time(lambda: SimulatedTransport(tenant).post(contacts_of(ANN, 0), "c", "t"))
    first_end = tenant.now
    in_virtual_time(lambda: SimulatedTransport(tenant, zero_s=-first_end).post(contacts_of(ANN, 0), "c", "t"))
    assert first_end == pytest.approx(0.1)
    assert tenant.now == pytest.approx(0.2)
