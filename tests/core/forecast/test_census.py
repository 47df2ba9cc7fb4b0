"""Tests of the census of open mailboxes against an oracle that asks each mailbox anew."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from purgeengine.core.forecast.census import LARGEST_MAX, WATCHED_MAX, rounded
from purgeengine.core.forecast.situation import rows_left
from purgeengine.core.model import Reply
from purgeengine.core.scheduling.mailbox import Mailbox
from purgeengine.core.scheduling.scheduler import Scheduler
from purgeengine.run_limits import Limits
from purgeengine.sim.graph.faults import Faults
from tests.simulation.world import MortalScheduler, World
from tests.support.fixtures import a_scheduler, answer, batches


def counted_anew(scheduler: Scheduler) -> tuple[Any, ...]:
    """Ask every open mailbox: rows left in all, by size, rows sent again, seconds of pauses, mailboxes that are stuck."""
    sizes: Counter[int] = Counter()
    stuck = set()
    for mailbox in scheduler.view.open_mailboxes:
        sizes[rounded(rows_left(mailbox))] += rows_left(mailbox)
        if mailbox.stuck and rows_left(mailbox):
            stuck.add(mailbox.number)
    del sizes[0]
    return sizes.total(), sizes, stuck


@pytest.mark.parametrize("seed", range(3))
def test_it_agrees_with_each_mailbox_at_every_moment_of_a_run_with_faults(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After every turn of a run in which everything goes wrong, the census has what the mailboxes have."""
    world = World(
        seed=seed, rows_by_mailbox=(150, 70, *[9] * 20), faults=Faults.everything(0.02), limits=Limits(connections=6)
    )
    looks = 0

    class Watched(MortalScheduler):
        def handle(self, *events: Any, now: float) -> list[Any]:
            nonlocal looks
            commands = super().handle(*events, now=now)
            census = self.view.open_mailboxes.census
            assert (census.left, dict(census.rows_by_size), set(census.stuck)) == counted_anew(self)
            past = census.past(now)
            open_paused_s = sum(mailbox.busy.paused_s(now) for mailbox in self.view.open_mailboxes)
            assert past.paused_s >= open_paused_s - 1e-6
            looks += 1
            return commands

    monkeypatch.setattr("tests.simulation.world.MortalScheduler", Watched)
    world.run_once()
    assert looks > 50
    census = world.scheduler.view.open_mailboxes.census
    assert census.left == 0
    assert not census.rows_by_size
    assert census.past(world.duration_s).settled > 0


def test_the_largest_mailboxes_come_first_and_there_is_a_bound() -> None:
    """Of a hundred mailboxes, the 64 with most rows are asked. Sizes are rounded, so that neighbours may change places."""
    scheduler = a_scheduler(*range(1, 101), connections=4)
    scheduler.handle(now=0.0)
    found = [left for _, left in scheduler.view.open_mailboxes.census.largest()]
    assert len(found) == LARGEST_MAX
    assert found[0] >= 96
    assert all(later < earlier + 8 for earlier, later in pairwise(found))


def test_rows_that_a_closed_mailbox_gives_up_are_not_settled() -> None:
    """Thirty rows are closed after one of them was refused; twenty of another are purged. Only those and the refused count."""
    scheduler = a_scheduler(30, 20, fanout=20, connections=1)
    (batch,) = batches(scheduler.handle(now=0.0))
    (batch,) = batches(scheduler.handle(answer(batch, Reply(403, "ErrorAccessDenied", "Access is denied.")), now=1.0))
    scheduler.handle(answer(batch), now=2.0)
    census = scheduler.view.open_mailboxes.census
    assert (census.left, census.past(2.0).settled) == (0, 40)


@pytest.mark.parametrize("mailboxes", [300, 3_000])
def test_a_look_asks_no_more_mailboxes_the_more_are_open(mailboxes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With hundreds or thousands of open mailboxes, of which many wait, a look asks only a bounded number of them."""
    scheduler = a_scheduler(*[30] * mailboxes, connections=16, open_per_connection=1_000)
    sent = batches(scheduler.handle(now=0.0))
    refused = Reply(429, "TooManyRequests", retry_after_s=50.0)
    for second in range(1, 20):
        events = [answer(batch, Reply(204), rest=refused) for batch in sent]
        sent = batches(scheduler.handle(*events, now=float(second)))
    asked = 0
    ready_at = Mailbox.ready_at

    def counted(self: Mailbox, now: float, *, forget: bool = True) -> float:
        nonlocal asked
        asked += 1
        assert not forget, "a look changes a mailbox"
        return ready_at(self, now, forget=forget)

    monkeypatch.setattr(Mailbox, "ready_at", counted)
    assert scheduler.view.time_left(20.0).seconds is not None
    assert 0 < asked <= LARGEST_MAX + 2 * WATCHED_MAX
