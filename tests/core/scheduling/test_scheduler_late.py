"""Tests of calls that the scheduler gives up, and of answers that come after that."""

from __future__ import annotations

import pytest

from purgeengine.core.limits.adaptive_timeout import FIRST_S
from purgeengine.core.messages import (
    Abandon,
    BatchEnded,
    Command,
    Event,
    GivenUp,
    Halt,
    MailboxBlocked,
    MailboxClosed,
    RunBlocked,
    Settled,
    StopRequested,
    TokenRenewed,
)
from purgeengine.core.model import Batch, Outcome, Reply
from purgeengine.core.scheduling.scheduler import Scheduler
from tests.support.fixtures import (
    PURGED,
    a_scheduler,
    answer,
    batches,
    entries,
    lost,
    outcomes,
    positions,
    refusal,
    returned,
)

GONE = Reply(404, "ErrorItemNotFound", "Not found.")
DENIED = Reply(403, "ErrorAccessDenied", "Access is denied.")
FAULT = Reply(503, "x")
COOLDOWN_S = 100.0


def given_up(commands: list[Command]) -> list[int]:
    return [command.batch for command in commands if isinstance(command, GivenUp)]


def sent(scheduler: Scheduler, commands: list[Command], now: float) -> list[Batch]:
    """Let the batches of these commands leave, and return them."""
    leaving = batches(commands)
    assert all(scheduler.may_leave(batch.number, now) for batch in leaving)
    return leaving


def hung(*mailboxes: int, **limits: float) -> tuple[Scheduler, Batch, list[Command]]:
    """Return a scheduler whose first batch was given up after thirty seconds, the batch, and the commands of that turn."""
    limits = {"connections": 1, "quarantine_s": COOLDOWN_S, "quarantine_s_min": COOLDOWN_S, **limits}
    scheduler = a_scheduler(*mailboxes, **limits)
    (batch,) = sent(scheduler, scheduler.handle(now=0.0), 0.0)
    assert scheduler.wake_at() == FIRST_S
    return scheduler, batch, scheduler.handle(now=FIRST_S)


# ---------------------------------------------------------------------------------------------------------- given up


def test_a_call_without_an_answer_is_given_up_and_its_rows_are_in_doubt() -> None:
    """The call is told as given up and recorded as ended, its rows are in doubt, and its place is free."""
    scheduler, batch, commands = hung(4)
    assert GivenUp(1, "No answer came within 30 s.") in commands
    assert entries(commands, BatchEnded) == [BatchEnded(1, None, "")]
    assert [(row.in_doubt, row.failures) for row in returned(commands).values()] == [(True, 1)] * 4
    assert (scheduler.in_flight, scheduler.view.rows_unanswered) == (0, batch.size)


def test_a_loss_that_is_reported_after_a_call_was_given_up_changes_nothing() -> None:
    """When the connection of such a call breaks later, the rows are not returned a second time."""
    scheduler, batch, _ = hung(4)
    commands = scheduler.handle(lost(batch), now=40.0)
    assert commands == []
    assert scheduler.view.rows_unanswered == batch.size


def test_a_stop_ends_when_the_last_call_is_overdue() -> None:
    """A run that was stopped wakes for the overdue call, gives it up, and is finished."""
    scheduler = a_scheduler(4)
    (batch,) = sent(scheduler, scheduler.handle(now=0.0), 0.0)
    scheduler.handle(StopRequested(), now=1.0)
    assert (scheduler.finished, scheduler.wake_at()) == (False, FIRST_S)
    assert given_up(scheduler.handle(now=FIRST_S)) == [batch.number]
    assert scheduler.finished


def test_the_oldest_late_calls_are_abandoned() -> None:
    """With one connection one late answer is waited for, and a second call that is given up ends the wait for the first."""
    scheduler, first, commands = hung(4, 4, batch_items_max=4)
    (second,) = sent(scheduler, commands, FIRST_S)
    at = scheduler.wake_at()
    assert at == FIRST_S + 2 * FIRST_S
    commands = scheduler.handle(now=at)
    assert given_up(commands) == [second.number]
    assert [command for command in commands if isinstance(command, Abandon)] == [Abandon(first.number)]
    assert scheduler.handle(answer(first), now=at) == []
    assert outcomes(scheduler.handle(answer(second), now=at)) == dict.fromkeys(positions(second), Outcome.PURGED)


# -------------------------------------------------------------------------------------------------- rows of a late answer


def test_rows_that_wait_are_settled_by_a_late_answer() -> None:
    """Rows that a late answer purges are settled with their attempts, without a doubt, and the run is finished."""
    scheduler, batch, _ = hung(4)
    commands = scheduler.handle(answer(batch), now=33.0)
    assert entries(commands, BatchEnded) == [BatchEnded(1, 200, "request", late=True)]
    done = entries(commands, Settled)
    assert [(row.outcome, row.attempts, row.in_doubt, row.batch) for row in done] == [(Outcome.PURGED, 1, False, 1)] * 4
    assert scheduler.finished
    assert scheduler.view.rows_unanswered == 0


def test_a_late_404_says_that_the_contact_was_gone_before() -> None:
    """A 404 in the late answer to the only sending of a row means absent: its own loss is no doubt about it."""
    scheduler, batch, _ = hung(2)
    commands = scheduler.handle(answer(batch, GONE, PURGED), now=33.0)
    assert outcomes(commands) == {0: Outcome.ABSENT, 1: Outcome.PURGED}


def test_a_late_404_of_a_row_that_was_sent_before_means_purged() -> None:
    """If the row was in doubt before that sending, or was sent again since, some sending of ours has purged it."""
    scheduler = a_scheduler(1, quarantine_s=COOLDOWN_S, quarantine_s_min=COOLDOWN_S)
    (first,) = sent(scheduler, scheduler.handle(now=0.0), 0.0)
    scheduler.handle(answer(first, FAULT), now=1.0)
    at = scheduler.wake_at() or 0.0
    (second,) = sent(scheduler, scheduler.handle(now=at), at)
    assert given_up(scheduler.handle(now=at + FIRST_S)) == [2]
    assert outcomes(scheduler.handle(answer(second, GONE), now=at + 35.0)) == {0: Outcome.PURGED}

    scheduler, first, _ = hung(1)
    at = scheduler.wake_at() or 0.0
    (second,) = sent(scheduler, scheduler.handle(now=at), at)
    scheduler.handle(answer(second, FAULT), now=at + 0.1)
    assert outcomes(scheduler.handle(answer(first, GONE), now=at + 0.2)) == {0: Outcome.PURGED}


def test_a_row_that_is_in_flight_again_gets_its_outcome_there() -> None:
    """A late 204 does not settle a row that is in flight again. Its 404 there then means purged."""
    scheduler, first, _ = hung(1)
    at = scheduler.wake_at() or 0.0
    (second,) = sent(scheduler, scheduler.handle(now=at), at)
    commands = scheduler.handle(answer(first), now=at + 0.1)
    assert (outcomes(commands), returned(commands)) == ({}, {})
    assert outcomes(scheduler.handle(answer(second, GONE), now=at + 0.2)) == {0: Outcome.PURGED}
    assert scheduler.finished


def test_a_row_that_was_settled_is_not_settled_again() -> None:
    """A late answer about a row that has its outcome changes nothing about it."""
    scheduler, first, _ = hung(1)
    at = scheduler.wake_at() or 0.0
    (second,) = sent(scheduler, scheduler.handle(now=at), at)
    assert outcomes(scheduler.handle(answer(second), now=at + 0.1)) == {0: Outcome.PURGED}
    assert scheduler.finished
    assert outcomes(scheduler.handle(answer(first, GONE), now=at + 0.2)) == {}


@pytest.mark.parametrize("reply", [FAULT, DENIED, Reply(400, "Bad"), Reply(424), Reply(401, "x"), None])
def test_rows_that_are_not_gone_by_a_late_answer_stay_in_doubt_and_are_sent_again(reply: Reply | None) -> None:
    """Refusals, faults and missing replies in a late answer settle nothing: the row is sent again, in doubt."""
    scheduler, batch, _ = hung(1)
    commands = scheduler.handle(answer(batch, reply), now=33.0)
    assert (outcomes(commands), entries(commands, MailboxClosed)) == ({}, [])
    (again,) = batches([*commands, *scheduler.handle(now=40.0)])
    (attempt,) = again.shares[0].attempts
    assert (attempt.number, attempt.in_doubt) == (2, True)


# --------------------------------------------------------------------------------------------- what else it brings


def test_the_slots_of_a_late_call_are_free_at_once() -> None:
    """Four held slots are free once the answer comes, and the rows left are sent then, and not after the cooldown."""
    scheduler, batch, _ = hung(8)
    assert batches(scheduler.handle(now=40.0)) == []
    (after,) = batches(scheduler.handle(answer(batch), now=41.0))
    assert positions(after) == [4, 5, 6, 7]


def test_waits_in_a_late_answer_hold() -> None:
    """A Retry-After of a row makes its mailbox wait, one of the whole call makes the run wait, and both are recorded."""
    scheduler, batch, _ = hung(1)
    told = Reply(429, "ApplicationThrottled", "", 50.0)
    commands = scheduler.handle(answer(batch, told, outer=Reply(200, retry_after_s=20.0)), now=33.0)
    assert entries(commands, MailboxBlocked) == [MailboxBlocked(0, 50.0)]
    assert entries(commands, RunBlocked) == [RunBlocked(20.0)]
    assert batches(scheduler.handle(now=82.9)) == []
    assert len(batches(scheduler.handle(now=83.0))) == 1


def test_a_late_refusal_of_the_whole_call_settles_nothing_and_its_wait_holds() -> None:
    """A late 503 of the whole call leaves its rows as they are, and its Retry-After holds for the run."""
    scheduler, batch, _ = hung(1)
    commands = scheduler.handle(refusal(batch, 503, wait=30.0), now=33.0)
    assert entries(commands, BatchEnded) == [BatchEnded(1, 503, "", late=True)]
    assert (outcomes(commands), entries(commands, RunBlocked)) == ({}, [RunBlocked(30.0)])
    assert batches(scheduler.handle(now=62.9)) == []
    assert len(batches(scheduler.handle(now=63.0))) == 1


def test_a_mailbox_that_was_closed_meanwhile_stays_closed() -> None:
    """A mailbox may close while an answer is late. Its rows have their outcomes then, and the answer changes none."""
    scheduler, first, _ = hung(3)
    at = scheduler.wake_at() or 0.0
    (second,) = sent(scheduler, scheduler.handle(now=at), at)
    assert second.size == 1  # three of four slots are held
    commands = scheduler.handle(answer(second, DENIED), now=at + 0.1)
    assert len(entries(commands, MailboxClosed)) == 1
    assert set(outcomes(commands)) == {0, 1, 2}
    commands = scheduler.handle(answer(first), now=at + 0.2)
    assert outcomes(commands) == {}
    assert entries(commands, BatchEnded) == [BatchEnded(1, 200, "request", late=True)]
    assert scheduler.finished


def test_late_answers_make_the_wait_longer() -> None:
    """A service that answers within forty seconds is given forty seconds after its first late answers."""
    scheduler, batch, commands = hung(*[4] * 20, batch_items_max=4)
    now, seen = FIRST_S, []
    for _ in range(8):
        (other,) = sent(scheduler, commands, now)
        seen.append((scheduler.wake_at() or 0.0) - now)
        scheduler.handle(answer(batch), now=now + 10.0)
        now += 40.0
        commands = scheduler.handle(answer(other), now=now)
        batch = other
    assert min(seen) >= FIRST_S
    assert seen[-1] >= 40.0


# ------------------------------------------------------------------------------------------------- and 401s meanwhile


def test_a_suspect_whose_last_row_is_settled_late_does_not_hold_up_the_others() -> None:
    """A mailbox is parked because of a 401, and a late answer settles its last row. Another one with a 401 is decided then."""
    scheduler = a_scheduler(1, 1, connections=2, batch_items_max=1)
    refused = Reply(401, "x")
    first, other = sent(scheduler, scheduler.handle(now=0.0), 0.0)
    assert batches(scheduler.handle(answer(other, refused), now=1.0)) == []
    (other,) = sent(scheduler, [*scheduler.handle(TokenRenewed(), now=2.0), *scheduler.handle(now=3.0)], 3.0)
    assert given_up(scheduler.handle(now=FIRST_S)) == [first.number]
    (again,) = sent(scheduler, scheduler.handle(now=FIRST_S + 1.0), FIRST_S + 1.0)
    scheduler.handle(answer(again, refused), now=FIRST_S + 1.5)
    assert outcomes(scheduler.handle(answer(first), now=FIRST_S + 2.0)) == {positions(first)[0]: Outcome.PURGED}
    assert outcomes(scheduler.handle(answer(other, refused), now=FIRST_S + 2.5)) == {
        positions(other)[0]: Outcome.REFUSED
    }
    assert scheduler.finished


def test_a_suspect_whose_last_row_is_settled_late_is_not_taken_for_another() -> None:
    """Such a mailbox is not counted as one that cannot show what the 401 is about: the run goes on with the other."""
    scheduler = a_scheduler(1, 2, connections=2, batch_items_max=1, fanout=4)
    refused = Reply(401, "x")
    other, first = sent(scheduler, scheduler.handle(now=0.0), 0.0)
    assert batches(scheduler.handle(answer(other, refused), now=1.0)) == []
    commands = scheduler.handle(TokenRenewed(), now=2.0)
    (other,) = sent(scheduler, commands, 2.0)
    assert given_up(scheduler.handle(now=FIRST_S)) == [first.number]
    (again,) = sent(scheduler, scheduler.handle(now=FIRST_S + 1.0), FIRST_S + 1.0)
    scheduler.handle(answer(again, refused), now=FIRST_S + 1.5)
    scheduler.handle(answer(first), now=FIRST_S + 1.6)
    commands = scheduler.handle(lost(other), now=FIRST_S + 1.7)
    assert not any(isinstance(command, Halt) for command in commands)
    assert not scheduler.finished


def test_a_wait_of_any_row_in_a_late_answer_holds() -> None:
    """A late 503 of a row that asks for 100 s makes its mailbox wait for 100 s, as it would in time."""
    scheduler, batch, _ = hung(1)
    commands = scheduler.handle(answer(batch, FAULT._replace(retry_after_s=100.0)), now=33.0)
    assert entries(commands, MailboxBlocked) == [MailboxBlocked(0, 100.0)]
    assert batches(scheduler.handle(now=132.9)) == []
    assert len(batches(scheduler.handle(now=133.0))) == 1


def test_a_late_wait_that_is_longer_than_a_run_waits_closes_the_mailbox() -> None:
    """A mailbox that must wait for a week is closed at once, late or not, and the run ends."""
    scheduler, batch, _ = hung(4)
    commands = scheduler.handle(answer(batch, rest=Reply(429, "x", "", 604_800.0)), now=33.0)
    assert outcomes(commands) == dict.fromkeys(range(4), Outcome.EXHAUSTED)
    assert len(entries(commands, MailboxClosed)) == 1
    assert scheduler.finished


def test_a_suspect_whose_other_row_comes_back_can_send_again() -> None:
    """A mailbox is parked after a 401. A late answer settles its last waiting row, then a row in flight comes back, and leaves."""
    unauthorized = Reply(401, "InvalidAuthenticationToken", "")
    scheduler = a_scheduler(2, 1, connections=8, batch_items_max=1)
    flying: list[Batch] = []
    now = 0.0

    def turn(at: float, *events: Event) -> None:
        nonlocal now
        now = max(now, at)
        flying.extend(sent(scheduler, scheduler.handle(*events, now=now), now))

    def of(position: int, which: int = -1) -> Batch:
        return [batch for batch in flying if positions(batch) == [position]][which]

    turn(0.0)
    turn(0.06)
    first = of(0)
    turn(0.1, refusal(of(2), 401))
    turn(0.2, TokenRenewed())
    while min(sum(positions(batch) == [row] for batch in flying) for row in (0, 1)) < 2:
        turn(scheduler.wake_at() or now)
    turn(now + 0.1, answer(of(0), unauthorized))
    turn(now + 0.1, answer(first))
    turn(now + 0.1, lost(of(1)))
    turn(now + 0.1, answer(of(2)))
    while (at := scheduler.wake_at()) is not None and not scheduler.finished:
        turn(at)
        if scheduler.in_flight:
            turn(now + 0.1, answer(flying[-1]))
    assert scheduler.finished
