"""The whole engine in simulated time while calls hang: the end of the run waits for none of them longer than answers justify."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from purgeengine.core.model import Outcome
from purgeengine.errors import NoAnswer
from purgeengine.run_limits import Limits
from purgeengine.sim.tenant_settings import TenantSettings
from tests.simulation import world as worlds
from tests.simulation.world import CALL_TIMEOUT_S, MortalTransport, World


class HangingTransport(MortalTransport):
    """A transport on which some calls, by their number from 1, hang: their work is not done, and no answer comes."""

    world: HangingWorld

    async def post(self, body: bytes, client_request_id: str, token: str) -> Any:
        world, loop = self.world, asyncio.get_running_loop()
        world.posted += 1
        started_at = loop.time()
        if world.posted in world.hangs:
            self._mortality.step()
            world.left.add(client_request_id)
            world.hung_at.append(started_at)
            world.hung_rows.append(body.count(b'"method"'))
            await asyncio.sleep(CALL_TIMEOUT_S)
            raise NoAnswer("The call hung.")
        number = world.posted
        received = await super().post(body, client_request_id, token)
        if number < min(world.hangs, default=0):
            world.last_answer_at = loop.time()
        world.slowest_s = max(world.slowest_s, loop.time() - started_at)
        return received


class HangingWorld(World):
    """A world in which the calls with the numbers in ``hangs`` hang."""

    def __init__(self, hangs: Sequence[int] = (), **more: Any) -> None:
        super().__init__(**more)
        self.hangs = hangs
        self.posted = 0
        self.hung_at: list[float] = []
        self.hung_rows: list[int] = []
        self.slowest_s = 0.0
        """The slowest answer of the run."""
        self.last_answer_at = 0.0
        """When the last of the calls was answered that left before the first one that hangs."""


@pytest.fixture(autouse=True)
def _hanging(monkeypatch: pytest.MonkeyPatch) -> None:
    def transport(world: HangingWorld, *more: Any) -> HangingTransport:
        made = HangingTransport(world, *more)
        made.world = world
        return made

    monkeypatch.setattr(worlds, "MortalTransport", transport)


def hanging_last(**job: Any) -> HangingWorld:
    """Play a job twice, the second time with the call hanging that left last in the first, and return that world."""
    usual = HangingWorld(**job)
    usual.run().judge()
    world = HangingWorld([usual.posted], **job)
    world.run().judge()
    assert len(world.hung_at) == 1
    assert set(world.counts) == {Outcome.PURGED}
    return world


def waited_s(world: HangingWorld) -> float:
    """Return the seconds from the call that hung, or from the last answer to an earlier call if later, to the end."""
    return world.duration_s - max(world.hung_at[0], world.last_answer_at)


@pytest.mark.parametrize("dispatch", ["four", "all"])
@pytest.mark.parametrize("connections", [4, 16, 64])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_run_whose_last_call_hangs_ends_within_twice_the_slowest_call(
    dispatch: Any, connections: int, seed: int
) -> None:
    """The last call has one row of each mailbox and hangs. Other slots are free, and the run ends within twice the slowest call.

    Other calls may by chance be slower than all before and be given up too. Each of them may cost one such wait more.
    """
    world = hanging_last(
        seed=seed,
        rows_by_mailbox=[1] * 2_000,
        settings=TenantSettings(dispatch=dispatch),
        limits=Limits(connections=connections),
    )
    assert world.given_up
    assert waited_s(world) <= (1.0 + len(world.given_up)) * world.slowest_s
    assert world.tenant.counters.refused_concurrency == 0


@pytest.mark.parametrize("dispatch", ["four", "all"])
@pytest.mark.parametrize("connections", [4, 16, 64])
def test_where_all_slots_hang_the_run_ends_after_their_cooldown(dispatch: Any, connections: int) -> None:
    """If the last call holds all slots of a mailbox, its rows are sent again after the cooldown: twice the slowest call or 5 s."""
    limits = Limits(connections=connections, lanes=False)
    world = hanging_last(rows_by_mailbox=[40] * 100, settings=TenantSettings(dispatch=dispatch), limits=limits)
    assert waited_s(world) <= max(limits.quarantine_s_min, 2.3 * world.slowest_s) + world.slowest_s


@pytest.mark.parametrize("dispatch", ["four", "all"])
def test_calls_that_hang_on_a_service_that_is_slow_as_a_whole_lose_nothing(
    dispatch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where calls take ten seconds and more and one of twenty hangs, every row is purged and no slot is asked for twice.

    Most answers come in time, and those that come late are read.
    """
    monkeypatch.setattr(worlds, "CALL_TIMEOUT_S", 120.0)
    settings = TenantSettings(dispatch=dispatch, latency_median_s=2.0)
    limits = Limits(connections=8, lanes=False, fanout=20 if dispatch == "four" else 4)
    world = HangingWorld(range(10, 400, 20), rows_by_mailbox=[20] * 60, settings=settings, limits=limits)
    world.run().judge()
    assert world.counts == Counter({Outcome.PURGED: 1_200})
    assert world.tenant.counters.refused_concurrency == 0
    assert len(world.given_up) <= 2 * len(world.hung_at)
