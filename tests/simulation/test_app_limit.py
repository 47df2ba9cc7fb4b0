"""The whole engine in simulated time against a limit of the whole app that only items speak of.

100 requests in 5 s over 60 mailboxes are the usual case here: 1,200 rows take a minute at least.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from purgeengine.core.model import Outcome
from purgeengine.edges.ledger import LedgerReader
from purgeengine.run_limits import Limits
from purgeengine.sim.graph.faults import Faults
from purgeengine.sim.tenant_settings import TenantSettings
from tests.simulation.scenario import Scenario, chaos, crashing
from tests.simulation.world import World

LIMITED = TenantSettings(app_requests=100, app_window_s=5.0)
ROWS = [20] * 60


class Changing(World):
    """A world in which the tenant is changed at some times of the first run."""

    changes: Sequence[tuple[float, Callable[[World], Any]]] = ()

    async def _run(self, *arguments: Any) -> None:
        for at_s, change in self.changes:
            asyncio.get_running_loop().call_at(at_s, self._change, at_s, change)
        await super()._run(*arguments)

    def _change(self, at_s: float, change: Callable[[World], Any]) -> None:
        self.tenant.advance(max(at_s, self.tenant.now))
        change(self)


@pytest.mark.parametrize("dispatch", ["four", "all"])
@pytest.mark.parametrize("connections", [4, 64])
def test_the_limit_of_the_app_is_found_and_used(dispatch: Any, connections: int) -> None:
    """1,200 rows end within 1.5 of the least time of 60 s, with at most one refusal for each row, and every row is purged."""
    settings = TenantSettings(app_requests=100, app_window_s=5.0, dispatch=dispatch)
    world = World(rows_by_mailbox=ROWS, settings=settings, limits=Limits(connections=connections)).run()
    world.judge()
    assert world.counts == Counter({Outcome.PURGED: 1_200})
    assert world.duration_s <= 1.5 * 60.0
    assert world.tenant.counters.refused_app <= 1_200
    assert world.scheduler.view.app_limit_per_s == pytest.approx(20.0, rel=0.3)


def test_a_limit_that_falls_in_the_middle_of_a_run_is_kept() -> None:
    """From 200 rows a second to 20: the rest takes no more than 1.5 of its least time, and is hardly refused."""
    world = Changing(rows_by_mailbox=[40] * 60, settings=TenantSettings(app_requests=1_000, app_window_s=5.0))
    world.changes = [(8.0, lambda self: self.tenant.set_app_limit(100))]
    world.run().judge()
    assert world.counts == Counter({Outcome.PURGED: 2_400})
    before = sum(entry.status == 204 and entry.ended_at < 8.0 for entry in world.tenant.log)
    assert world.duration_s - 8.0 <= 1.5 * (2_400 - before) / 20
    assert world.tenant.counters.refused_app <= 600


def test_a_limit_that_another_program_shares_is_shared() -> None:
    """Another program takes three fifths of the limit for 20 s: both go on, and this one is refused once for a row at most."""
    world = Changing(rows_by_mailbox=ROWS, settings=LIMITED)
    world.changes = [(10.0 + step / 4, lambda self: self.tenant.note_others(3)) for step in range(80)]
    world.run().judge()
    assert world.counts == Counter({Outcome.PURGED: 1_200})
    assert world.duration_s <= 1.5 * (1_200 + 240) / 20
    assert world.tenant.counters.refused_app <= 1_200


def test_a_mailbox_is_not_closed_for_the_limit_of_the_app() -> None:
    """The app may send nothing for two minutes: no row is given up, and no mailbox closed."""
    world = Changing(rows_by_mailbox=ROWS, settings=LIMITED)
    world.changes = [(20.0 + step / 2, lambda self: self.tenant.note_others(100)) for step in range(240)]
    world.run().judge()
    assert world.counts == Counter({Outcome.PURGED: 1_200})
    assert world.tally.closed_mailboxes == 0


def test_faults_beside_the_limit_are_no_part_of_it() -> None:
    """With a few faults of other kinds, the same limit is found, and every row is purged."""
    faults = Faults(item_throttled_before=0.02, item_error_after=0.02, call_error_before=0.02)
    world = World(rows_by_mailbox=ROWS, settings=LIMITED, faults=faults).run()
    world.judge()
    assert world.counts == Counter({Outcome.PURGED: 1_200})
    assert world.duration_s <= 120.0
    assert world.tenant.counters.refused_app <= 1_200


@pytest.mark.parametrize("share", [0.01, 0.03])
def test_rows_refused_by_chance_are_not_taken_for_a_limit(share: float) -> None:
    """Of all rows 1 or 3 % are refused: no limit is told, and the run is as fast as without the rate of the app."""
    world = World(rows_by_mailbox=[50] * 60, faults=Faults(item_throttled_before=share)).run()
    world.judge()
    assert world.scheduler.view.app_limit_per_s is None
    assert world.duration_s <= 60.0


def test_one_mailbox_that_others_use_up_is_not_taken_for_a_limit() -> None:
    """All slots of one mailbox are always taken: it is given up as ever, and the others are not held back."""
    world = Changing(rows_by_mailbox=ROWS)
    busy = world.tenant.truth.mailbox("user00003@contoso.example")
    busy.running = 4
    world.run_once()
    assert world.counts[Outcome.PURGED] == 59 * 20
    assert world.scheduler.view.app_limit_per_s is None
    purged_at = [entry.ended_at for entry in world.tenant.log if entry.status == 204]
    assert max(purged_at) <= 30.0


def test_the_next_run_begins_with_the_learned_rate_and_tells_it() -> None:
    """A process dies after a while. The next one knows the rate: it is hardly refused, and the ledger tells it to people."""
    world = World(rows_by_mailbox=ROWS, settings=LIMITED)
    world.run_once(dies_at_step=600)
    refused = world.tenant.counters.refused_app
    assert world.deaths == 1
    assert world.counts[None] > 200
    with LedgerReader.open(world.folder) as reader:
        limit = reader.app_limit()
    assert limit is not None
    assert limit.per_s == pytest.approx(20.0, rel=0.4)
    world.tenant.advance(world.tenant.now + 10.0)
    world.run().judge()
    assert world.tenant.counters.refused_app - refused < 100 < refused
    with LedgerReader.open(world.folder) as reader:
        assert reader.app_limit() is not None


def test_a_limit_is_drawn_apart_from_all_other_draws() -> None:
    """Some seeds of the campaigns limit the app, and each is otherwise as it was."""

    def without(scenario: Scenario) -> bool:
        return scenario.settings.app_requests is None

    drawn = [[without(make(seed)) for seed in range(200)] for make in (chaos, crashing)]
    assert all(0.05 < 1 - sum(some) / 200 < 0.25 for some in drawn)
