"""Tests of a run that shares an app with others: its share of rate and connections changes, and waits of the app reach it."""

from __future__ import annotations

import pytest

from purgeengine.core.messages import AskedToWait, Halt, HaltReason, QuotaChanged, RunBlocked
from purgeengine.core.scheduling.scheduler import Scheduler
from purgeengine.run_limits import Limits
from tests.support.fixtures import a_scheduler, answer, batches, entries, lost


def sent_until(scheduler: Scheduler, start: float, end: float, *, calls_s: float = 0.1) -> list[tuple[float, int]]:
    """Answer every batch ``calls_s`` after it was sent, from ``start`` to ``end``. Return when how many rows left."""
    found, now, due = [], start, []
    while now < end:
        landed = [batch for at, batch in due if at <= now]
        due = [(at, batch) for at, batch in due if at > now]
        for batch in batches(scheduler.handle(*(answer(batch) for batch in landed), now=now)):
            scheduler.may_leave(batch.number, now)
            found.append((now, batch.size))
            due.append((now + calls_s, batch))
        now += 0.05
    return found


def test_a_lowered_share_of_the_rate_holds_at_once() -> None:
    """After a second at 400 rows a second, the run sends 40 a second in any ten seconds, and what may leave at once."""
    scheduler = a_scheduler(*[40] * 400, requests_per_s=400, connections=64)
    before = sum(rows for _, rows in sent_until(scheduler, 0.0, 2.0))
    assert before >= 400
    scheduler.handle(QuotaChanged(40.0, 64), now=2.0)
    later = sent_until(scheduler, 2.0, 22.0)
    for at, _ in later:
        assert sum(rows for when, rows in later if at <= when < at + 10.0) <= 40 * 10 + 20
    assert sum(rows for _, rows in later) >= 40 * 18


def test_a_raised_share_is_used() -> None:
    """A run that may send twice as much does."""
    scheduler = a_scheduler(*[40] * 400, requests_per_s=40, connections=64)
    slow = sum(rows for _, rows in sent_until(scheduler, 0.0, 10.0))
    scheduler.handle(QuotaChanged(80.0, 64), now=10.0)
    quick = sum(rows for _, rows in sent_until(scheduler, 10.0, 20.0))
    assert quick >= 1.7 * slow


@pytest.mark.parametrize("nothing", [QuotaChanged(0.0, 8), QuotaChanged(100.0, 0), QuotaChanged(0.0, 0)])
def test_without_a_share_nothing_leaves_and_no_timer_runs(nothing: QuotaChanged) -> None:
    """Nothing is decided on, what was decided on stays, and the loop is not woken for it; a share starts it again."""
    scheduler = a_scheduler(*[8] * 20, connections=4)
    decided = batches(scheduler.handle(now=0.0))
    assert batches(scheduler.handle(nothing, now=1.0)) == []
    assert not any(scheduler.may_leave(batch.number, 1.0) for batch in decided)
    assert batches(scheduler.handle(*(lost(batch, sent=False) for batch in decided), now=2.0)) == []
    assert batches(scheduler.handle(now=100.0)) == []
    assert scheduler.wake_at() is None
    assert batches(scheduler.handle(QuotaChanged(100.0, 4), now=200.0))


def test_a_share_of_the_connections_bounds_what_is_in_flight() -> None:
    """With fewer connections no batch leaves until enough have landed; with more again, more are in flight."""
    scheduler = a_scheduler(*[4] * 200, connections=16)
    flying = batches(scheduler.handle(now=0.0))
    assert len(flying) == 16
    scheduler.handle(QuotaChanged(12_000.0, 3), now=1.0)
    assert scheduler.connections == 3
    assert batches(scheduler.handle(*(answer(batch) for batch in flying[:13]), now=2.0)) == []
    later = batches(scheduler.handle(*(answer(batch) for batch in flying[13:]), now=3.0))
    assert len(later) == 3
    flown = 0
    for turn in range(4):
        later = batches(scheduler.handle(QuotaChanged(12_000.0, 16), *map(answer, later), now=4.0 + turn))
        flown = max(flown, scheduler.in_flight)
    assert flown > 3


def test_a_wait_of_the_app_that_another_run_was_asked_for_is_obeyed_and_recorded() -> None:
    """Nothing leaves before its end, not even what was decided on, and the ledger has it for the next start."""
    scheduler = a_scheduler(*[4] * 40, connections=8)
    decided = batches(scheduler.handle(now=0.0))
    commands = scheduler.handle(AskedToWait(30.0), now=1.0)
    assert entries(commands, RunBlocked) == [RunBlocked(30.0, passed_on=True)]
    assert not scheduler.may_leave(decided[0].number, 30.999)
    assert batches(scheduler.handle(*(lost(batch, sent=False) for batch in decided), now=2.0)) == []
    assert scheduler.wake_at() == 31.0
    assert batches(scheduler.handle(now=31.0))


@pytest.mark.parametrize(("cut", "connections"), [(False, 16), (True, 11)])
def test_the_limit_falls_with_that_of_the_run_that_was_refused(cut: bool, connections: int) -> None:
    """The limit is cut only if the other run has cut its own."""
    scheduler = a_scheduler(*[4] * 40)
    scheduler.handle(now=0.0)
    scheduler.handle(AskedToWait(1.0, cut), now=1.0)
    assert scheduler.connections == connections


def test_a_wait_longer_than_a_run_may_wait_halts_this_run_too() -> None:
    """A wait of days stops every run of the app, with the reason."""
    scheduler = a_scheduler(4)
    commands = scheduler.handle(AskedToWait(Limits().retry_after_s_max + 1.0), now=1.0)
    assert [command.reason for command in commands if isinstance(command, Halt)] == [HaltReason.WAIT_TOO_LONG]
    assert entries(commands, RunBlocked)
