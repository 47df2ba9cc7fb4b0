"""Tests of lanes: batches in which each row depends on the one before, for mailboxes that would otherwise end last."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from purgeengine.core.forecast.call_times import CallTimes
from purgeengine.core.graph.encode import encode_batch
from purgeengine.core.limits.lost_calls import LostCallCooldown
from purgeengine.core.limits.window import Window
from purgeengine.core.messages import BatchLost, MailboxClosed, Returned, Settled
from purgeengine.core.model import Batch, Item, Outcome, Reply
from purgeengine.core.scheduling.critical import CriticalPlan
from purgeengine.core.scheduling.mailbox import Mailbox
from purgeengine.core.scheduling.packing import _may_have_lane
from purgeengine.core.scheduling.scheduler import Scheduler
from purgeengine.run_limits import Limits
from purgeengine.sim.graph.faults import Faults
from purgeengine.sim.tenant_settings import TenantSettings
from purgeengine.sim.wire.batch import parse_batch
from tests.simulation.scenario import Scenario
from tests.simulation.world import World
from tests.support.fixtures import (
    PURGED,
    THROTTLED,
    a_scheduler,
    answer,
    batches,
    entries,
    folder_rows_of,
    lost,
    outcomes,
    positions,
    refusal,
    returned,
)

GONE = Reply(404, "ErrorItemNotFound", "Not found.")
FAULT = Reply(500, "ErrorInternalServerError", "")
NOT_TRIED = Reply(424, "FailedDependency", "")
DENIED = Reply(403, "ErrorAccessDenied", "Access is denied.")


def lanes(*rows: int, **limits: Any) -> tuple[Scheduler, list[Batch]]:
    """Make a scheduler with few large mailboxes, all of them critical, and return it with the lanes that it sends first."""
    scheduler = a_scheduler(*rows, **{"lanes": True, "connections": 8, **limits})
    return scheduler, batches(scheduler.handle(now=0.0))


def test_a_mailbox_that_decides_the_end_gets_four_lanes_of_twenty() -> None:
    """A single mailbox uses its four slots for four lanes of twenty, with the rows in order."""
    _, sent = lanes(1_000)
    assert [(batch.lane, batch.size) for batch in sent] == [(True, 20)] * 4
    assert [row for batch in sent for row in positions(batch)] == list(range(80))


def test_many_small_mailboxes_need_no_lanes() -> None:
    """Many small mailboxes get full unordered batches, because the connections decide the end."""
    _, sent = lanes(*[10] * 200, connections=4)
    assert [(batch.lane, batch.size) for batch in sent] == [(False, 20)] * 4


def test_a_giant_gets_lanes_and_the_others_share_full_batches() -> None:
    """The largest mailbox gets its lanes first, and the other mailboxes share full batches on the connections left."""
    _, sent = lanes(5_000, *[12] * 100)
    assert [batch.lane for batch in sent] == [True] * 4 + [False] * 4
    assert {share.mailbox for batch in sent[:4] for share in batch.shares} == {0}
    assert 0 not in {share.mailbox for batch in sent[4:] for share in batch.shares}


@pytest.mark.parametrize(("connections", "in_lanes"), [(8, {0}), (11, {0, 1}), (16, {0, 1, 2})])
def test_mailboxes_get_lanes_as_connections_allow_and_the_others_full_batches(
    connections: int, in_lanes: set[int]
) -> None:
    """Critical mailboxes get lanes of four connections each as the connections allow, and the others one full batch each."""
    _, sent = lanes(1_000, 1_000, 1_000, fanout=20, connections=connections)
    assert {batch.shares[0].mailbox for batch in sent if batch.lane} == in_lanes
    assert [batch.shares[0].mailbox for batch in sent if not batch.lane] == sorted({0, 1, 2} - in_lanes)
    assert sum(batch.lane for batch in sent) == 4 * len(in_lanes)


def test_a_mailbox_gets_lanes_when_those_of_another_have_ended() -> None:
    """With four connections, two mailboxes have lanes one after the other."""
    scheduler, flying = lanes(100, 100, fanout=20, connections=4)
    had_lanes = []
    for now in range(1, 9):
        running = {batch.shares[0].mailbox for batch in flying if batch.lane}
        assert len(running) <= 1
        had_lanes += [mailbox for mailbox in running if mailbox not in had_lanes]
        flying += batches(scheduler.handle(answer(flying.pop(0)), now=float(now)))
    assert {batch.shares[0].mailbox for batch in flying if batch.lane} == {1}
    assert had_lanes == [0, 1]


def test_a_critical_mailbox_uses_its_slots_in_two_batches_where_one_has_no_room() -> None:
    """A critical mailbox uses its slots in two batches if the first has no room for all of its rows."""
    _, sent = lanes(5, 9, connections=11, seed=30)
    assert [{share.mailbox: len(share.attempts) for share in batch.shares} for batch in sent] == [{1: 4, 0: 2}, {0: 2}]


def test_the_last_rows_are_shared_out_over_the_lanes() -> None:
    """The last ten rows of a mailbox are shared over four lanes as three, three, two and two."""
    mailbox = Mailbox(7, 0, 10, Window(10_000, 600.0), LostCallCooldown(Limits()), limit_max=4)
    assert [len(mailbox.draw_lane(20, 0.0)) for _ in range(4)] == [3, 3, 2, 2]


def test_lanes_are_not_used_where_they_are_switched_off() -> None:
    """With ``lanes=False`` only unordered batches are sent."""
    _, sent = lanes(1_000, lanes=False)
    assert [(batch.lane, batch.size) for batch in sent] == [(False, 4)]


def test_rows_behind_the_one_that_broke_a_lane_were_no_attempt() -> None:
    """Rows that a lane did not attempt after a gone row are sent again at once as never sent.

    Their requests are given back.
    """
    scheduler, (first, *_) = lanes(1_000)
    commands = scheduler.handle(answer(first, PURGED, GONE, rest=NOT_TRIED), now=0.5)
    assert outcomes(commands) == {0: Outcome.PURGED, 1: Outcome.ABSENT}
    assert returned(commands)[2] == Returned(2, 0, 0, False)
    assert len(returned(commands)) == 18
    assert len(batches(commands)) == 1


def test_a_lane_that_says_424_without_a_reason_waits_and_counts() -> None:
    """A lane that answers 424 without a failed row counts as sent and is sent again later, so that it cannot repeat for ever."""
    scheduler, (first, *_) = lanes(20)
    commands = scheduler.handle(answer(first, rest=NOT_TRIED), now=0.5)
    assert all(entry.number == 1 for entry in returned(commands).values())
    assert batches(commands) == []


def test_a_fault_in_a_lane_leaves_its_own_row_in_doubt_and_no_other() -> None:
    """A fault in a lane leaves only its own row in doubt."""
    scheduler, (first, *_) = lanes(1_000)
    commands = scheduler.handle(answer(first, FAULT, rest=NOT_TRIED), now=0.5)
    assert {entry.position: entry.in_doubt for entry in returned(commands).values()} == {
        0: True,
        **dict.fromkeys(range(1, 20), False),
    }


def test_a_lost_lane_leaves_all_its_rows_in_doubt_and_the_mailbox_waits() -> None:
    """A lost lane leaves all its rows in doubt and gives its mailbox a cooldown, because it may still be running."""
    scheduler, (first, *_) = lanes(1_000)
    commands = scheduler.handle(lost(first), now=0.5)
    assert len(returned(commands)) == 20
    assert all(entry.in_doubt for entry in returned(commands).values())
    assert batches(commands) == []


def test_a_throttled_row_stops_the_other_lanes_from_being_renewed() -> None:
    """A throttled row in one lane keeps the whole mailbox from sending new lanes."""
    scheduler, (first, second, *_) = lanes(1_000)
    assert batches(scheduler.handle(answer(first, THROTTLED, rest=NOT_TRIED), now=0.5)) == []
    assert batches(scheduler.handle(answer(second), now=0.6)) == []
    assert scheduler.wake_at() == pytest.approx(1.5)


def test_a_mailbox_that_closes_with_lanes_in_flight_is_closed_by_the_last_of_them() -> None:
    """A mailbox that closes with lanes in flight is closed with the last of them.

    Rows sent before are refused, and unattempted ones skipped.
    """
    scheduler, (first, second, third, fourth) = lanes(100)
    commands = scheduler.handle(answer(first, DENIED, rest=NOT_TRIED), now=0.5)
    assert (batches(commands), entries(commands, MailboxClosed)) == ([], [])
    scheduler.handle(answer(second), now=0.6)
    scheduler.handle(lost(third), now=0.7)
    commands = scheduler.handle(answer(fourth, DENIED, rest=NOT_TRIED), now=0.8)
    assert entries(commands, MailboxClosed) == [MailboxClosed(0, DENIED, 20)]
    settled = {entry.position: entry for entry in entries(commands, Settled) if isinstance(entry, Settled)}
    assert [settled[row].outcome for row in (1, 19, 61, 79)] == [Outcome.SKIPPED] * 4
    assert {settled[row].outcome for row in range(40, 60)} == {Outcome.REFUSED}
    assert all(settled[row].in_doubt for row in range(40, 60))
    assert scheduler.finished


def test_a_lane_that_is_refused_when_its_mailbox_is_closing_ends_with_it() -> None:
    """A lane that is refused while its mailbox closes is settled in the same turn, and none of its rows is returned."""
    scheduler, (first, second, third, fourth) = lanes(100)
    scheduler.handle(answer(first, DENIED, rest=NOT_TRIED), answer(second), now=0.5)
    before = scheduler.handle(refusal(third, 400, "BadRequest"), now=0.6)
    assert sorted(returned(before)) == positions(third)  # the fourth may still bring the mailbox back
    commands = scheduler.handle(refusal(fourth, 400, "BadRequest"), now=0.7)
    assert returned(commands) == {}
    assert {outcomes(commands)[row] for row in (*positions(third), *positions(fourth))} == {Outcome.REFUSED}
    assert scheduler.finished


def test_a_service_that_refuses_lanes_gets_none_any_more() -> None:
    """A service that refuses lanes with 400 gets their rows in unordered batches, and no lane again."""
    scheduler, sent = lanes(1_000)
    commands = [scheduler.handle(refusal(lane, 400, "BadRequest"), now=0.5) for lane in sent]
    after = [batch for of_a_turn in commands for batch in batches(of_a_turn)]
    assert [(batch.lane, batch.size) for batch in after] == [(False, 4)]
    assert positions(after[0]) == [0, 1, 2, 3]


def test_a_refused_lane_of_one_row_says_that_the_row_is_wrong() -> None:
    """A refused lane of one row means that the row is wrong: it is refused, and lanes are used as before."""
    scheduler, (first, *_) = lanes(60)
    scheduler.handle(answer(first, *[PURGED] * (first.size - 1), THROTTLED), now=0.5)
    (alone,) = batches(scheduler.handle(now=scheduler.wake_at() or 0.0))
    assert (alone.lane, positions(alone)) == (True, [first.size - 1])
    commands = scheduler.handle(refusal(alone, 400, "BadRequest"), now=5.0)
    assert outcomes(commands) == {first.size - 1: Outcome.REFUSED}
    assert returned(commands) == {}


def test_a_refused_lane_of_two_rows_says_no_more_than_one_of_twenty() -> None:
    """A refused lane of two rows puts its rows together into an unordered batch."""
    scheduler, sent = lanes(100, batch_items_max=2)
    after = batches(scheduler.handle(*(refusal(lane, 400, "BadRequest") for lane in sent), now=0.5))
    assert (after[0].lane, positions(after[0])) == (False, [0, 1])


def test_rows_of_a_lost_lane_travel_at_the_ends_of_others() -> None:
    """Rows of a lost lane are probably gone and would break a lane. Two at a time follow other rows, so that they hardly do."""
    scheduler, sent = lanes(4_000)
    scheduler.handle(lost(sent[0]), now=0.1)
    (after,) = batches(scheduler.handle(answer(sent[1]), now=2.0))
    assert (after.lane, positions(after)[:18]) == (True, [*range(80, 98)])
    assert after.size == 20
    assert set(positions(after)[18:]) < set(positions(sent[0]))


def test_rows_in_doubt_that_are_gone_are_no_reason_against_lanes() -> None:
    """Lanes whose last rows were found gone carry as many others as before, so that lanes go on being used."""
    scheduler, sent = lanes(4_000)
    scheduler.handle(lost(sent.pop(0)), now=0.1)
    now = 2.0
    for _ in range(10):
        now += 1.0
        lane = sent.pop(0)
        replies = [GONE if attempt.in_doubt else PURGED for share in lane.shares for attempt in share.attempts]
        tried = replies.index(GONE) + 1 if GONE in replies else len(replies)
        sent += batches(scheduler.handle(answer(lane, *replies[:tried], rest=NOT_TRIED), now=now))
        assert all(batch.lane for batch in sent)


def test_while_slots_are_held_lanes_are_used_whatever_the_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small batch beside a lost one holds up to three slots if it is lost as well, and a lane one."""
    mailbox = Mailbox(0, 0, 400, Window(10_000, 600.0), LostCallCooldown(Limits()), limit_max=4)
    plan = CriticalPlan(Limits(connections=4), Random(1), CallTimes(20))
    monkeypatch.setattr(plan, "may_have_lanes", lambda mailbox, in_lanes: False)
    assert not _may_have_lane(mailbox, plan, 9, 0.0)
    mailbox.lost_slots.restore(50.0, 1)
    assert _may_have_lane(mailbox, plan, 9, 0.0)
    assert not _may_have_lane(mailbox, plan, 9, 50.0)


def test_lanes_of_a_mailbox_that_is_nearly_empty_already_give_way_to_batches() -> None:
    """A mailbox whose lanes break at their first or second row gets unordered batches, which carry more."""
    scheduler, sent = lanes(4_000)
    now = 0.0
    for _ in range(60):
        now += 0.2
        sent += batches(scheduler.handle(answer(sent.pop(0), GONE, rest=NOT_TRIED), now=now))
    assert not any(batch.lane for batch in sent)


def test_lanes_and_batches_of_a_mailbox_never_need_more_than_its_four_slots() -> None:
    """Lanes and rows of unordered batches of a mailbox together never take more than its four slots."""
    scheduler = a_scheduler(*[5_000] * 20, lanes=True, connections=16)
    flying = {batch.number: batch for batch in batches(scheduler.handle(now=0.0))}
    kinds = set()
    for step in range(400):
        taken: dict[int, int] = {}
        for batch in flying.values():
            kinds.add(batch.lane)
            for share in batch.shares:
                taken[share.mailbox] = taken.get(share.mailbox, 0) + (1 if batch.lane else len(share.attempts))
        assert max(taken.values()) <= 4
        ended = flying.pop(min(flying))
        for batch in batches(scheduler.handle(answer(ended), now=0.05 * (step + 1))):
            flying[batch.number] = batch
    assert kinds == {True, False}


def test_a_lane_on_the_wire_depends_all_the_way() -> None:
    """In a lane on the wire each sub-request depends on the one before it, which Graph accepts as sequential."""
    body = encode_batch(
        folder_rows_of([Item("ann@contoso.example", "", f"AAMk{row}=") for row in range(20)]), lane=True
    )
    requests = json.loads(body)["requests"]
    assert [request.get("dependsOn") for request in requests] == [None, *[[str(row)] for row in range(19)]]
    assert parse_batch(body).sequential


@pytest.mark.parametrize("dispatch", ["four", "all"])
@pytest.mark.parametrize("absent", [0.0, 0.05, 0.6])
def test_lanes_keep_every_promise_and_refuse_nothing(dispatch: str, absent: float) -> None:
    """Simulated runs with lanes keep every promise on either service, and every row is purged or absent."""
    world = World(
        Scenario(
            rows_by_mailbox=(900, *[5] * 60),
            limits=Limits(lanes=True),
            settings=TenantSettings(dispatch=dispatch),  # type: ignore[arg-type]
            absent=absent,
        )
    )
    world.run().judge()
    assert set(world.counts) <= {Outcome.PURGED, Outcome.ABSENT}


def test_lanes_survive_a_service_that_fails_within_them() -> None:
    """Faults of single rows within lanes lose nothing and leave true outcomes."""
    faults = Faults(item_error_before=0.03, item_error_after=0.03, item_missing=0.03, item_throttled_before=0.03)
    world = World(
        Scenario(rows_by_mailbox=(600, 400), limits=Limits(lanes=True), faults=faults, chaos_s=60.0, absent=0.1)
    )
    world.run().judge()
    assert set(world.counts) <= {Outcome.PURGED, Outcome.ABSENT}


def test_lanes_halve_the_time_of_a_single_mailbox_on_a_service_that_runs_batches_all_at_once() -> None:
    """Lanes take less than 60 % of the time of a single mailbox on a service that runs whole batches at once."""

    def took_s(*, lanes: bool) -> float:
        limits = Limits(lanes=lanes)
        settings = TenantSettings(dispatch="all")
        return World(Scenario(rows_by_mailbox=(1_000,), settings=settings, limits=limits)).run().duration_s

    assert took_s(lanes=True) < 0.6 * took_s(lanes=False)


def test_a_lane_that_has_not_left_stays_when_its_mailbox_is_told_to_wait() -> None:
    """A lane that has not left is kept back while its mailbox waits, and may leave after the wait."""
    scheduler, (first, second, *_) = lanes(1_000)
    assert scheduler.may_leave(second.number, 1.0)
    told = Reply(429, "ApplicationThrottled", "", retry_after_s=7.0)
    scheduler.handle(answer(first, told, *[NOT_TRIED] * (first.size - 1)), now=1.0)
    assert not scheduler.may_leave(second.number, 1.0)
    assert not scheduler.may_leave(second.number, 7.999)
    assert scheduler.may_leave(second.number, 8.0)


def test_batches_that_were_kept_back_say_nothing_of_the_service() -> None:
    """Eight batches that were kept back do not count as failed calls, and their rows count as never sent."""
    scheduler, sent = lanes(1_000, 1_000)
    assert len(sent) == 8
    kept = [BatchLost(batch.number, sent=False, reason="", held=True) for batch in sent]
    commands = scheduler.handle(*kept, now=1.0)
    assert scheduler.view.blocked_for_s == 0.0
    again = batches(commands)
    assert len(again) == 8
    assert {attempt.number for batch in again for share in batch.shares for attempt in share.attempts} == {1}
