"""Tests of the scheduler: which commands it returns for which events."""

from __future__ import annotations

import random
from uuid import UUID

import pytest

from purgeengine.core.messages import (
    BatchAnswered,
    BatchEnded,
    BatchLost,
    BatchSent,
    Halt,
    HaltReason,
    InputEnded,
    MailboxBlocked,
    MailboxClosed,
    MailboxOpened,
    Record,
    RenewToken,
    Returned,
    RunBlocked,
    Send,
    Settled,
    StopRequested,
    TokenRenewed,
)
from purgeengine.core.model import NOT_FROM_GRAPH, Answer, Attempt, Outcome, Reply
from purgeengine.core.scheduling.scheduler import Scheduler
from purgeengine.run_limits import Limits
from tests.support.fixtures import (
    PURGED,
    THROTTLED,
    a_scheduler,
    answer,
    batches,
    entries,
    lost,
    mailboxes,
    outcomes,
    positions,
    refusal,
    returned,
)

GONE = Reply(404, "ErrorItemNotFound", "Not found.")
FAULT = Reply(500, "ErrorInternalServerError", "")


# --------------------------------------------------------------------------------------------------------- packing


def test_a_mailbox_gives_four_rows_and_others_fill_the_batch() -> None:
    """Five mailboxes of ten rows make one full batch of five times four."""
    scheduler = a_scheduler(10, 10, 10, 10, 10, connections=1)
    (batch,) = batches(scheduler.handle(now=0.0))
    assert batch.size == 20
    assert UUID(batch.client_request_id).version == 4
    assert [len(share.attempts) for share in batch.shares] == [4, 4, 4, 4, 4]


def test_the_heaviest_mailboxes_go_first() -> None:
    """With one connection, the first batch holds the mailboxes with most rows."""
    scheduler = a_scheduler(3, 50, 4, 40, 30, 20, 10, connections=1)
    (batch,) = batches(scheduler.handle(now=0.0))
    assert mailboxes(batch) == [1, 3, 4, 5, 6]


def test_a_mailbox_is_in_one_batch_at_a_time() -> None:
    """A second connection stays unused if the only mailbox is in a batch already."""
    scheduler = a_scheduler(100, connections=8)
    assert len(batches(scheduler.handle(now=0.0))) == 1


def test_it_is_recorded_before_it_is_sent() -> None:
    """Every Send comes after the Record of its intent."""
    commands = a_scheduler(3, connections=1).handle(now=0.0)
    record, send = commands
    assert isinstance(record, Record)
    assert isinstance(send, Send)
    assert record.entries == (BatchSent(1, send.batch.client_request_id, send.batch.shares),)


def test_rows_come_in_order_and_end_purged() -> None:
    """Five rows of one mailbox take two batches, and nothing is left."""
    scheduler = a_scheduler(5)
    (first,) = batches(scheduler.handle(now=0.0))
    assert positions(first) == [0, 1, 2, 3]
    commands = scheduler.handle(answer(first), now=1.0)
    (second,) = batches(commands)
    assert positions(second) == [4]
    assert outcomes(commands) == dict.fromkeys(range(4), Outcome.PURGED)
    scheduler.handle(answer(second), now=2.0)
    assert scheduler.finished


def test_a_partly_filled_batch_waits_a_moment_for_company() -> None:
    """While another batch is in flight, four rows wait 50 ms, then go alone."""
    scheduler = a_scheduler(*[8] * 6, connections=2)
    first, *others = batches(scheduler.handle(now=0.0))
    assert (first.size, others) == (20, [])
    assert scheduler.wake_at() == pytest.approx(0.05)
    (second,) = batches(scheduler.handle(now=0.05))
    assert second.size == 4


def test_company_that_comes_in_time_fills_the_batch() -> None:
    """Rows that become ready within the 50 ms travel with the rows that waited."""
    scheduler = a_scheduler(*[8] * 6, connections=2)
    (first,) = batches(scheduler.handle(now=0.0))
    (second,) = batches(scheduler.handle(answer(first), now=0.02))
    assert second.size == 20


def test_the_run_keeps_to_its_connections() -> None:
    """There are never more batches in flight than connections."""
    scheduler = a_scheduler(*[4] * 100, connections=3)
    assert len(batches(scheduler.handle(now=0.0))) == 3


def test_room_is_bounded_by_connections() -> None:
    """The scheduler opens eight mailboxes for each connection, and none after the input has ended."""
    scheduler = a_scheduler(4, ended=False, connections=2)
    scheduler.handle(now=0.0)
    assert scheduler.room == 15
    scheduler.handle(InputEnded(), now=0.0)
    assert scheduler.room == 0


def test_the_same_events_give_the_same_commands() -> None:
    """Two schedulers with one seed return equal commands, including the ids of requests."""
    first, second = a_scheduler(9, 9, seed=7), a_scheduler(9, 9, seed=7)
    assert first.handle(now=0.0) == second.handle(now=0.0)


# ---------------------------------------------------------------------------------------------------------- fanout


def probe(scheduler: object, now: float) -> list[int]:
    """Return the number of rows of mailbox 0 in each batch that is sent now."""
    return [
        len(share.attempts)
        for batch in batches(scheduler.handle(now=now))
        for share in batch.shares
        if share.mailbox == 0
    ]


def test_auto_sends_eight_then_three_times_twenty_then_twenty_for_all() -> None:
    """The probe finds that a service that refuses nothing runs a batch four rows at a time."""
    scheduler = a_scheduler(500, fanout="auto", connections=1)
    widths = []
    commands = scheduler.handle(now=0.0)
    for step in range(6):
        (batch,) = batches(commands)
        widths.append(batch.size)
        assert scheduler.fanout == (None if step < 4 else 20)
        commands = scheduler.handle(answer(batch), now=float(step + 1))
    assert widths == [8, 20, 20, 20, 20, 20]


def test_the_probe_is_tried_on_one_mailbox_of_a_batch() -> None:
    """Only the mailbox with most rows gives eight rows to a probe; mailboxes that fill the batch give at most four."""
    scheduler = a_scheduler(30, 20, 20, 20, connections=1, fanout="auto")
    (batch,) = batches(scheduler.handle(now=0.0))
    assert [len(share.attempts) for share in batch.shares] == [8, 4, 4, 4]


def test_auto_goes_back_to_four_for_good_when_the_probe_is_refused() -> None:
    """A service that runs all rows at once refuses four of eight, and never gets more than four of a mailbox again."""
    scheduler = a_scheduler(500, fanout="auto", connections=1)
    (batch,) = batches(scheduler.handle(now=0.0))
    commands = scheduler.handle(answer(batch, *[Reply(204)] * 4, rest=THROTTLED), now=1.0)
    assert batches(commands) == []
    assert scheduler.fanout == 4
    (batch,) = batches(scheduler.handle(now=2.0))
    assert batch.size == 4


def test_stray_refusals_do_not_decide_the_fanout() -> None:
    """Two refusals of eight do not decide the fanout, and the probe is repeated, three times at most."""
    scheduler = a_scheduler(500, fanout="auto", connections=1)
    now = 0.0
    for _ in range(3):
        assert scheduler.fanout is None
        (batch,) = batches(scheduler.handle(now=now))
        assert batch.size == 8
        scheduler.handle(answer(batch, THROTTLED, THROTTLED), now=now + 1.0)
        now += 2.0
    assert scheduler.fanout == 4


def test_one_refusal_in_a_batch_of_five_proves_nothing() -> None:
    """Once the fanout is wide, a single refusal does not change it."""
    scheduler = a_scheduler(5, 40, fanout=20, connections=2)
    for batch in batches(scheduler.handle(now=0.0)):
        scheduler.handle(answer(batch, THROTTLED), now=1.0)
    assert scheduler.fanout == 20


def test_a_wide_fanout_is_given_up_when_refusals_add_up() -> None:
    """A wide fanout is given up after several batches with six refusals of twenty."""
    scheduler = a_scheduler(5000, fanout=20, connections=1)
    now = 0.0
    for _ in range(30):
        sent = batches(scheduler.handle(now=now))
        now += 2.0
        for batch in sent:
            scheduler.handle(answer(batch, *[THROTTLED] * 6), now=now)
        now += 2.0
    assert scheduler.fanout == 4


# -------------------------------------------------------------------------------------------------------- throttling


def test_a_throttled_mailbox_waits_exactly_and_others_go_on() -> None:
    """A Retry-After of 10 s blocks its mailbox for 10 s and no other mailbox."""
    scheduler = a_scheduler(8, 8, connections=2)
    (batch,) = batches(scheduler.handle(now=0.0))
    wait = THROTTLED._replace(retry_after_s=10.0)
    commands = scheduler.handle(answer(batch, wait), now=1.0)
    assert entries(commands, MailboxBlocked) == [MailboxBlocked(0, 10.0)]
    (other,) = batches(commands)
    assert mailboxes(other) == [1]
    scheduler.handle(answer(other), now=2.0)
    assert batches(scheduler.handle(now=10.999)) == []
    assert scheduler.wake_at() == 11.0
    (again,) = batches(scheduler.handle(now=11.0))
    assert positions(again) == [0, 4, 5, 6]


def test_the_longest_of_several_waits_holds() -> None:
    """A shorter Retry-After never replaces a longer one."""
    scheduler = a_scheduler(8)
    (batch,) = batches(scheduler.handle(now=0.0))
    replies = [THROTTLED._replace(retry_after_s=wait) for wait in (3.0, 20.0, 0.249)]
    scheduler.handle(answer(batch, *replies), now=0.0)
    assert scheduler.wake_at() == 20.0


def test_a_missing_retry_after_backs_off_exponentially() -> None:
    """Without a Retry-After, each refusal in a row doubles the wait, with jitter between half of it and all."""
    scheduler = a_scheduler(1)
    now, waits = 0.0, []
    for _ in range(5):
        (batch,) = batches(scheduler.handle(now=now))
        scheduler.handle(answer(batch, Reply(429, "TooManyRequests")), now=now)
        waits.append(scheduler.wake_at() - now)
        now = scheduler.wake_at()
    for wait, longest in zip(waits, [1, 2, 4, 8, 16], strict=True):
        assert longest / 2 <= wait <= longest


def test_a_throttled_row_is_not_in_doubt() -> None:
    """A 404 after nothing but refusals means that the contact was gone before: the row is absent."""
    scheduler = a_scheduler(1)
    (batch,) = batches(scheduler.handle(now=0.0))
    (row,) = returned(scheduler.handle(answer(batch, THROTTLED), now=0.0)).values()
    assert (row.failures, row.in_doubt) == (0, False)
    (batch,) = batches(scheduler.handle(now=1.0))
    assert outcomes(scheduler.handle(answer(batch, GONE), now=2.0)) == {0: Outcome.ABSENT}


def test_crowded_answers_in_a_row_narrow_the_mailbox_whatever_else_they_refuse() -> None:
    """An answer with any concurrency refusal counts towards a lower limit; an answer with rate refusals only does not."""
    crowded, fast = Reply(429, "", "Over its MailboxConcurrency limit.", 0.0), Reply(429, "", "Too many requests.", 0.0)
    for refused, size in (([crowded, fast], 3), ([fast, crowded], 3), ([fast, fast], 4)):
        scheduler = a_scheduler(40, connections=1)
        (batch,) = batches(scheduler.handle(now=0.0))
        for now in (1.0, 2.0):
            scheduler.handle(answer(batch, *refused), now=now - 0.6)
            (batch,) = batches(scheduler.handle(now=now))
        assert batch.size == size


@pytest.mark.parametrize("reply", [FAULT, Reply(409, "Conflict"), Reply(424)])
def test_a_row_that_was_not_done_waits_longer_from_the_third_time_on(reply: Reply) -> None:
    """A row waits up to half a second after each of the first two faults, and then up to one second."""
    scheduler = a_scheduler(1)
    now = 0.0
    for shortest_s in (0.25, 0.25, 0.5):
        (batch,) = batches(scheduler.handle(now=now))
        scheduler.handle(answer(batch, reply), now=now)
        wait_s = (scheduler.wake_at() or 0.0) - now
        assert shortest_s <= wait_s <= 2 * shortest_s
        now += wait_s


def test_a_wait_is_honoured_even_where_another_answer_contradicts_it() -> None:
    """If a row has two sub-responses and one of them is a 429, the row is in doubt and the mailbox waits."""
    scheduler = a_scheduler(2)
    (batch,) = batches(scheduler.handle(now=0.0))
    contradictory = Answer(Reply(200), {0: None, 1: Reply(204)}, "", {0: 30.0})
    commands = scheduler.handle(BatchAnswered(batch.number, contradictory), now=0.0)
    assert returned(commands)[0].in_doubt
    assert batches(scheduler.handle(now=29.9)) == []
    assert len(batches(scheduler.handle(now=30.0))) == 1


def test_a_throttled_call_holds_the_whole_run() -> None:
    """A Retry-After of the whole call holds for the whole run, and the rows of the call are not in doubt."""
    scheduler = a_scheduler(*[4] * 20, connections=2)
    first, second = batches(scheduler.handle(now=0.0))
    commands = scheduler.handle(refusal(first, 429, wait=7.0), now=1.0)
    assert entries(commands, RunBlocked) == [RunBlocked(7.0)]
    assert not any(entry.in_doubt for entry in returned(commands).values())
    assert batches(scheduler.handle(answer(second), now=7.9)) == []
    assert batches(scheduler.handle(now=8.0))


def test_the_window_is_spent_and_then_waits() -> None:
    """With 8 requests in 600 s, two batches leave, and the third waits until their answers have left the window."""
    scheduler = a_scheduler(20, mailbox_requests=8)
    (batch,) = batches(scheduler.handle(now=0.0))
    (batch,) = batches(scheduler.handle(answer(batch), now=1.0))
    assert batches(scheduler.handle(answer(batch), now=2.0)) == []
    assert scheduler.wake_at() == 603.0 - 1.0 + 1.0
    (batch,) = batches(scheduler.handle(now=603.0))
    assert positions(batch) == [8, 9, 10, 11]


def test_what_an_earlier_run_sent_counts_in_the_window() -> None:
    """If another process sent eight of ten requests 100 s ago, two may leave."""
    opened = MailboxOpened(0, 8, 20, recent=((100.0, 8),))
    scheduler = a_scheduler(opened, mailbox_requests=10)
    (batch,) = batches(scheduler.handle(now=0.0))
    assert positions(batch) == [8, 9]
    full = a_scheduler(MailboxOpened(0, 8, 20, recent=((100.0, 10),)), mailbox_requests=10)
    assert batches(full.handle(now=0.0)) == []
    assert full.wake_at() == -100.0 + 1.0 + 601.0


def test_a_wait_longer_than_a_run_may_wait_closes_the_mailbox() -> None:
    """A Retry-After of a day closes the mailbox, because a run neither shortens it nor waits for it."""
    scheduler = a_scheduler(8, 8)
    (batch,) = batches(scheduler.handle(now=0.0))
    commands = scheduler.handle(answer(batch, THROTTLED._replace(retry_after_s=86_400.0)), now=1.0)
    assert outcomes(commands)[0] is Outcome.EXHAUSTED
    assert entries(commands, MailboxClosed)[0].skipped == 4


def test_a_wait_told_with_the_answers_holds_for_everybody() -> None:
    """A 200 with a Retry-After of its own settles its rows, and nothing leaves before the wait is over."""
    scheduler = a_scheduler(4, 4, connections=1)
    (batch,) = batches(scheduler.handle(now=0.0))
    first = answer(batch, outer=Reply(200, retry_after_s=5.0), rest=FAULT)
    commands = scheduler.handle(first, now=1.0)
    assert entries(commands, RunBlocked) == [RunBlocked(5.0)]
    assert scheduler.view.blocked_for_s == 5.0
    assert batches(scheduler.handle(now=5.9)) == []
    assert batches(scheduler.handle(now=6.0))


def test_a_wait_asked_of_a_failing_call_holds_for_everybody() -> None:
    """After a 503 with a Retry-After the other batches wait too, and the ledger gets the wait."""
    scheduler = a_scheduler(*[4] * 20, connections=1)
    (batch,) = batches(scheduler.handle(now=0.0))
    commands = scheduler.handle(refusal(batch, 503, wait=12.0), now=1.0)
    assert entries(commands, RunBlocked) == [RunBlocked(12.0)]
    assert batches(scheduler.handle(now=12.9)) == []
    assert batches(scheduler.handle(now=13.0))


def test_a_fault_of_a_row_that_names_a_wait_blocks_its_mailbox() -> None:
    """A 503 with a Retry-After for one row blocks the whole mailbox."""
    scheduler = a_scheduler(8, connections=1)
    (batch,) = batches(scheduler.handle(now=0.0))
    commands = scheduler.handle(answer(batch, Reply(503, "ErrorServerBusy", "", 30.0)), now=1.0)
    assert entries(commands, MailboxBlocked) == [MailboxBlocked(0, 30.0)]
    assert batches(scheduler.handle(now=30.9)) == []
    assert batches(scheduler.handle(now=31.0))


def test_a_wait_longer_than_a_run_may_wait_stops_the_run() -> None:
    """If the app is told to wait for a day, the run halts once, and the ledger keeps the wait."""
    scheduler = a_scheduler(*[4] * 10, connections=2)
    first, second = batches(scheduler.handle(now=0.0))
    commands = scheduler.handle(refusal(first, 429, wait=86_400.0), now=1.0)
    assert [c.reason for c in commands if isinstance(c, Halt)] == [HaltReason.WAIT_TOO_LONG]
    assert entries(commands, RunBlocked) == [RunBlocked(86_400.0)]
    assert scheduler.wake_at() is None
    commands = scheduler.handle(refusal(second, 429, wait=86_400.0), now=2.0)
    assert [c for c in commands if isinstance(c, Halt)] == []
    assert scheduler.finished


def test_the_longest_wait_that_a_run_accepts_is_waited_for() -> None:
    """A wait of six hours is accepted, for the app or for a mailbox; one second more is not."""
    scheduler = a_scheduler(4)
    (batch,) = batches(scheduler.handle(now=0.0))
    commands = scheduler.handle(refusal(batch, 429, wait=21_600.0), now=0.0)
    assert not any(isinstance(command, Halt) for command in commands)
    (batch,) = batches(scheduler.handle(now=21_600.0))
    commands = scheduler.handle(answer(batch, THROTTLED._replace(retry_after_s=21_600.0)), now=21_600.0)
    assert entries(commands, MailboxBlocked) == [MailboxBlocked(0, 21_600.0)]
    assert entries(commands, MailboxClosed) == []


def test_a_mailbox_that_is_being_moved_waits_for_minutes_and_is_given_up_at_last() -> None:
    """A mailbox that is being moved waits one to two minutes, then twice as long each time.

    After eight times in a row its rows are exhausted, and not in doubt.
    """
    scheduler = a_scheduler(2, connections=1)
    moved = Reply(503, "ErrorMailboxMoveInProgress", "The mailbox is being moved.")
    now, longest_s = 0.0, 120.0
    for time in range(8):
        (batch,) = batches(scheduler.handle(now=now))
        commands = scheduler.handle(answer(batch, rest=moved), now=now)
        if time < 7:
            assert {(row.failures, row.in_doubt) for row in returned(commands).values()} == {(0, False)}
            wait_s = (scheduler.wake_at() or 0.0) - now
            assert longest_s / 2 <= wait_s <= longest_s
            now, longest_s = now + wait_s, min(2 * longest_s, 1_800.0)
    assert outcomes(commands) == {0: Outcome.EXHAUSTED, 1: Outcome.EXHAUSTED}
    assert [entry.skipped for entry in entries(commands, MailboxClosed)] == [0]
    assert not any(entry.in_doubt for entry in entries(commands, Settled))
    assert scheduler.finished


def test_a_mailbox_that_is_being_moved_waits_as_long_as_graph_says() -> None:
    """A mailbox that is being moved keeps a Retry-After to the second."""
    scheduler = a_scheduler(1)
    (batch,) = batches(scheduler.handle(now=0.0))
    scheduler.handle(answer(batch, Reply(503, "ErrorMailboxMoveInProgress", "", 77.0)), now=0.0)
    assert scheduler.wake_at() == 77.0


def test_one_row_that_goes_through_keeps_the_wait_short() -> None:
    """Refusals without a Retry-After double the wait only if no row of the answer goes through."""
    scheduler = a_scheduler(8, connections=1)
    now = 0.0
    for _ in range(2):
        (batch,) = batches(scheduler.handle(now=now))
        scheduler.handle(answer(batch, PURGED, rest=Reply(429)), now=now)
        wait_s = (scheduler.wake_at() or 0.0) - now
        assert 0.5 <= wait_s <= 1.0
        now += wait_s


def test_nothing_but_an_answer_moves_a_run_whose_connections_are_all_taken() -> None:
    """If all connections are taken, the rate of the app sets no timer."""
    scheduler = a_scheduler(*[4] * 20, connections=1, requests_per_s=20, burst_s=1.0)
    (batch,) = batches(scheduler.handle(now=0.0))
    assert scheduler.wake_at() is None
    assert entries(scheduler.handle(answer(batch), now=2.0), BatchEnded) == [BatchEnded(1, 200, "request")]


def test_the_rate_of_the_app_is_waited_for() -> None:
    """With 20 requests a second, two full batches leave a second apart, and the scheduler returns that instant."""
    scheduler = a_scheduler(*[4] * 10, connections=2, requests_per_s=20, burst_s=0.5)
    assert len(batches(scheduler.handle(now=0.0))) == 1
    assert scheduler.wake_at() == pytest.approx(1.0)
    assert batches(scheduler.handle(now=0.99)) == []
    assert len(batches(scheduler.handle(now=1.0))) == 1


# ------------------------------------------------------------------------------------------------------------- doubt


def test_gone_after_a_fault_is_purged() -> None:
    """A 404 after a 500 is purged, because the 500 may have come after the deletion."""
    scheduler = a_scheduler(1)
    (batch,) = batches(scheduler.handle(now=0.0))
    commands = scheduler.handle(answer(batch, FAULT), now=1.0)
    assert returned(commands)[0].in_doubt
    (batch,) = batches(scheduler.handle(now=60.0))
    (settled,) = entries(scheduler.handle(answer(batch, GONE), now=61.0), Settled)
    assert (settled.outcome, settled.attempts, settled.reply.status) == (Outcome.PURGED, 2, 404)


def test_doubt_survives_throttling() -> None:
    """A row that had a fault, was then throttled, and is then gone is purged."""
    scheduler = a_scheduler(1)
    (batch,) = batches(scheduler.handle(now=0.0))
    scheduler.handle(answer(batch, FAULT), now=0.0)
    (batch,) = batches(scheduler.handle(now=60.0))
    scheduler.handle(answer(batch, THROTTLED), now=60.0)
    (batch,) = batches(scheduler.handle(now=120.0))
    assert outcomes(scheduler.handle(answer(batch, GONE), now=121.0)) == {0: Outcome.PURGED}


def test_a_row_that_the_answer_does_not_mention_is_in_doubt() -> None:
    """A row without a sub-response is sent again in doubt, and its neighbour is settled."""
    scheduler = a_scheduler(2)
    (batch,) = batches(scheduler.handle(now=0.0))
    commands = scheduler.handle(answer(batch, None), now=1.0)
    assert returned(commands)[0].in_doubt
    assert outcomes(commands) == {1: Outcome.PURGED}


def test_a_lost_batch_keeps_its_slots_for_as_long_as_the_service_may_run_it() -> None:
    """A lost batch of four rows holds all slots for the cooldown from its sending on, and then its rows are sent again."""
    scheduler = a_scheduler(8, quarantine_s=40.0)
    (batch,) = batches(scheduler.handle(now=0.0))
    commands = scheduler.handle(lost(batch), now=1.0)
    assert entries(commands, BatchEnded) == [BatchEnded(1, None, "")]
    assert entries(commands, MailboxBlocked) == []
    assert all(entry.in_doubt for entry in returned(commands).values())
    assert batches(commands) == batches(scheduler.handle(now=39.9)) == []
    (again,) = batches(scheduler.handle(now=40.0))
    assert set(positions(again)) == {0, 1, 2, 3}


def test_a_fault_of_the_whole_call_starts_a_cooldown_too() -> None:
    """A fault of the whole call starts a cooldown, because the service may go on working behind the gateway."""
    scheduler = a_scheduler(8, quarantine_s=40.0)
    (batch,) = batches(scheduler.handle(now=0.0))
    commands = scheduler.handle(refusal(batch, 503), now=1.0)
    assert all(entry.in_doubt for entry in returned(commands).values())
    assert entries(commands, MailboxBlocked) == []
    assert batches(commands) == batches(scheduler.handle(now=39.9)) == []
    assert len(batches(scheduler.handle(now=40.0))) == 1


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_the_slots_that_a_lost_batch_does_not_hold_are_used_at_once(rows: int) -> None:
    """A lost batch with fewer than four rows of a mailbox leaves the other slots to rows of that mailbox."""
    waiting = [MailboxOpened(0, 0, rows), MailboxOpened(1, rows, rows + 17)]
    scheduler = a_scheduler(*waiting, connections=1, quarantine_s=40.0, fanout=4)
    (batch,) = batches(scheduler.handle(now=0.0))
    assert mailboxes(batch) == [1, 0]
    scheduler.handle(lost(batch), now=0.5)
    (other,) = batches(scheduler.handle(now=1.2))
    assert (mailboxes(other), other.size) == ([0], min(rows, 4 - rows))


@pytest.mark.parametrize(("running", "again_at"), [(False, 603.0), (True, 642.0)])
def test_rows_of_a_lost_call_count_in_the_window_until_the_service_has_surely_seen_them(
    running: bool, again_at: float
) -> None:
    """Rows without an answer stay in the request window for the cooldown too; rows with an unreadable answer do not."""
    scheduler = a_scheduler(20, mailbox_requests=4, quarantine_s=40.0)
    (batch,) = batches(scheduler.handle(now=0.0))
    scheduler.handle(BatchLost(batch.number, True, "Cut short.", running=running), now=1.0)
    assert scheduler.wake_at() == again_at


def test_an_unreadable_answer_is_backed_off_from() -> None:
    """After an unreadable answer its rows wait up to half a second, the same again, then up to a second."""
    scheduler = a_scheduler(1)
    now = 0.0
    for shortest_s in (0.25, 0.25, 0.5):
        (batch,) = batches(scheduler.handle(now=now))
        commands = scheduler.handle(BatchLost(batch.number, True, "Cut short.", running=False), now=now)
        assert returned(commands)[0].in_doubt
        wait_s = (scheduler.wake_at() or 0.0) - now
        assert shortest_s <= wait_s <= 2 * shortest_s
        now += wait_s


def test_a_batch_that_never_left_is_sent_again_at_once_without_doubt() -> None:
    """A refused connection does not count as a sending, and a later 404 means absent."""
    scheduler = a_scheduler(1)
    (batch,) = batches(scheduler.handle(now=0.0))
    commands = scheduler.handle(lost(batch, sent=False), now=1.0)
    assert returned(commands)[0].number == 0
    (batch,) = batches(commands)
    (settled,) = entries(scheduler.handle(answer(batch, GONE), now=2.0), Settled)
    assert (settled.outcome, settled.attempts) == (Outcome.ABSENT, 1)


def test_a_row_that_keeps_failing_is_exhausted_in_doubt() -> None:
    """After eight faults a row is exhausted, and the ledger has it in doubt."""
    scheduler = a_scheduler(1, attempts_max=8)
    now = 0.0
    for _ in range(8):
        (batch,) = batches(scheduler.handle(now=now))
        commands = scheduler.handle(answer(batch, FAULT), now=now)
        now += 100.0
    (settled,) = entries(commands, Settled)
    assert (settled.outcome, settled.attempts, settled.in_doubt) == (Outcome.EXHAUSTED, 8, True)
    assert scheduler.finished


def test_a_busy_item_is_refused_after_a_few_attempts() -> None:
    """After four replies of 409 a row is refused, and not in doubt."""
    scheduler = a_scheduler(1, unclear_attempts_max=4)
    now = 0.0
    for _ in range(4):
        (batch,) = batches(scheduler.handle(now=now))
        commands = scheduler.handle(answer(batch, Reply(409, "ErrorIrresolvableConflict")), now=now)
        now += 100.0
    (settled,) = entries(commands, Settled)
    assert (settled.outcome, settled.attempts, settled.in_doubt) == (Outcome.REFUSED, 4, False)


def test_a_failed_dependency_counts_no_attempt() -> None:
    """A 424 counts no attempt, because the row was not tried: any number of them leaves the row open."""
    scheduler = a_scheduler(1, attempts_max=2)
    for step in range(10):
        (batch,) = batches(scheduler.handle(now=step * 100.0))
        commands = scheduler.handle(answer(batch, Reply(424)), now=step * 100.0)
        assert returned(commands)[0].failures == 0


def test_rows_of_an_earlier_run_go_first_and_keep_their_doubt() -> None:
    """A row that a crash left in doubt is sent first, and a 404 for it means purged."""
    opened = MailboxOpened(0, 3, 5, unsettled=(Attempt(1, 1, 0, True),))
    scheduler = a_scheduler(opened)
    (batch,) = batches(scheduler.handle(now=0.0))
    assert positions(batch) == [1, 3, 4]
    commands = scheduler.handle(answer(batch, GONE), now=1.0)
    assert outcomes(commands)[1] is Outcome.PURGED
    assert entries(commands, Settled)[0].attempts == 2


def test_what_blocked_the_mailbox_before_a_restart_still_holds() -> None:
    """After a restart a mailbox waits for the rest of its Retry-After."""
    scheduler = a_scheduler(MailboxOpened(0, 0, 5, blocked_for_s=12.0))
    assert batches(scheduler.handle(now=0.0)) == []
    assert scheduler.wake_at() == 12.0


# --------------------------------------------------------------------------------------- refusals of rows, boxes, runs


def test_a_refused_row_is_settled_and_its_neighbours_go_on() -> None:
    """A row with 400 is refused, and its neighbours are purged."""
    scheduler = a_scheduler(3)
    (batch,) = batches(scheduler.handle(now=0.0))
    commands = scheduler.handle(answer(batch, Reply(400, "ErrorInvalidIdMalformed", "Id is malformed.")), now=1.0)
    assert outcomes(commands) == {0: Outcome.REFUSED, 1: Outcome.PURGED, 2: Outcome.PURGED}


def test_a_closed_mailbox_skips_the_rest_and_the_run_goes_on() -> None:
    """If access is denied, the rows sent are refused, the others are skipped, and the other mailbox is purged."""
    scheduler = a_scheduler(10, 2)
    (batch,) = batches(scheduler.handle(now=0.0))
    denied = Reply(403, "ErrorAccessDenied", "Access to OData is disabled.")
    commands = scheduler.handle(answer(batch, denied, denied, denied, denied), now=1.0)
    assert outcomes(commands) == {**dict.fromkeys(range(4), Outcome.REFUSED), 10: Outcome.PURGED, 11: Outcome.PURGED}
    assert entries(commands, MailboxClosed) == [MailboxClosed(0, denied, 6)]
    assert scheduler.finished


def test_rows_in_doubt_end_with_their_mailbox_and_say_so() -> None:
    """A row that met a fault before its mailbox was closed is refused, in doubt."""
    scheduler = a_scheduler(2)
    (batch,) = batches(scheduler.handle(now=0.0))
    commands = scheduler.handle(answer(batch, FAULT, Reply(403, "ErrorAccessDenied")), now=1.0)
    assert {e.position: (e.outcome, e.in_doubt) for e in entries(commands, Settled)} == {
        0: (Outcome.REFUSED, True),
        1: (Outcome.REFUSED, False),
    }


def test_a_refused_batch_is_taken_apart_to_find_the_row() -> None:
    """After a 400 for the whole batch every row travels alone, and only the row that is refused again is refused."""
    scheduler = a_scheduler(3, connections=4)
    (batch,) = batches(scheduler.handle(now=0.0))
    commands = scheduler.handle(refusal(batch, 400, "BadRequest", "Invalid batch payload format."), now=1.0)
    assert returned(commands) == {row: Returned(row, 1, 0, False) for row in range(3)}
    settled: dict[int, Outcome] = {}
    for step in range(3):
        (single,) = batches(commands)
        assert single.size == 1
        poison = positions(single) == [1]
        commands = scheduler.handle(refusal(single, 400, "BadRequest") if poison else answer(single), now=2.0 + step)
        settled |= outcomes(commands)
    assert settled == {0: Outcome.PURGED, 1: Outcome.REFUSED, 2: Outcome.PURGED}
    assert scheduler.finished


def test_a_row_alone_waits_for_its_throttled_mailbox_and_then_goes() -> None:
    """A row that must travel alone leaves when its throttled mailbox is ready again, woken by the mailbox's timer."""
    scheduler = a_scheduler(2)
    (batch,) = batches(scheduler.handle(now=0.0))
    (single,) = batches(scheduler.handle(refusal(batch, 400), now=1.0))
    scheduler.handle(answer(single, THROTTLED._replace(retry_after_s=9.0)), now=2.0)
    assert scheduler.wake_at() == 11.0
    assert len(batches(scheduler.handle(now=11.0))) == 1


def test_rows_alone_leave_one_by_one_where_there_is_one_connection() -> None:
    """With one connection, the second of two rows that travel alone leaves after the answer to the first."""
    scheduler = a_scheduler(1, 1, connections=1)
    (batch,) = batches(scheduler.handle(now=0.0))
    (single,) = batches(scheduler.handle(refusal(batch, 400), now=1.0))
    assert (single.size, scheduler.in_flight) == (1, 1)
    (other,) = batches(scheduler.handle(answer(single), now=2.0))
    assert positions(single) + positions(other) == positions(batch)
    scheduler.handle(answer(other), now=3.0)
    assert scheduler.finished


def test_a_stopping_run_sends_no_row_alone() -> None:
    """Rows of a batch that was refused after the stop are kept for the next run."""
    scheduler = a_scheduler(3)
    (batch,) = batches(scheduler.handle(now=0.0))
    assert batches(scheduler.handle(StopRequested(), refusal(batch, 400), now=1.0)) == []
    assert scheduler.finished


def test_rows_alone_end_with_their_mailbox() -> None:
    """If a row that travels alone finds its mailbox closed, the other rows are refused with it and are not sent."""
    scheduler = a_scheduler(3, 2, connections=1)
    (batch,) = batches(scheduler.handle(now=0.0))
    (single,) = batches(scheduler.handle(refusal(batch, 400), now=1.0))
    commands = scheduler.handle(answer(single, Reply(404, "ErrorInvalidUser", "No such user.")), now=2.0)
    mailbox = single.shares[0].mailbox
    assert [entry.mailbox for entry in entries(commands, MailboxClosed)] == [mailbox]
    while sent := batches(commands):
        assert [share.mailbox for share in sent[0].shares] == [1 - mailbox]
        commands = scheduler.handle(answer(sent[0]), now=3.0)
    assert scheduler.finished


def test_a_call_that_was_not_attempted_is_sent_again_soon_and_not_for_ever() -> None:
    """After a 424 for the whole call its rows are sent again soon, without doubt or a counted attempt.

    If every call gets it, it is an outage.
    """
    scheduler = a_scheduler(4)
    (batch,) = batches(scheduler.handle(now=0.0))
    commands = scheduler.handle(refusal(batch, 424), now=1.0)
    assert {(r.failures, r.in_doubt) for r in returned(commands).values()} == {(0, False)}
    assert not any(isinstance(command, RenewToken) for command in commands)
    calls, now = 0, 1.0
    while not (halts := [command for command in commands if isinstance(command, Halt)]):
        now = scheduler.wake_at() or now
        for again in batches(scheduler.handle(now=now)):
            assert positions(again) == positions(batch)
            calls += 1
            commands = scheduler.handle(refusal(again, 424), now=now)
    assert [halt.reason for halt in halts] == [HaltReason.OUTAGE]
    assert calls < 40


def test_an_address_that_refuses_every_call_stops_the_run() -> None:
    """A 403 or 404 for $batch itself stops the run with that reply, and no row is settled or in doubt."""
    scheduler = a_scheduler(4, 4)
    (batch,) = batches(scheduler.handle(now=0.0))
    commands = scheduler.handle(refusal(batch, 404, "ResourceNotFound", "No such version."), now=1.0)
    (halt,) = [c for c in commands if isinstance(c, Halt)]
    assert (halt.reason, halt.reply.code) == (HaltReason.REFUSED_APP, "ResourceNotFound")
    assert {(r.failures, r.in_doubt) for r in returned(commands).values()} == {(0, False)}
    assert outcomes(commands) == {}
    assert scheduler.finished


def test_a_row_that_is_refused_for_ever_is_given_up_at_last() -> None:
    """A row that gets nothing but 429 is exhausted after the longest number of sendings."""
    scheduler = a_scheduler(1, sends_max=5)
    now, settled, sendings = 0.0, {}, 0
    while not settled:
        (batch,) = batches(scheduler.handle(now=now))
        sendings += 1
        settled = outcomes(scheduler.handle(answer(batch, THROTTLED), now=now))
        now = scheduler.wake_at() or now
    assert (settled, sendings) == ({0: Outcome.EXHAUSTED}, 5)


def test_an_expired_token_is_renewed_once_for_all() -> None:
    """If two batches come back with 401, the token is renewed once, nothing is sent meanwhile, and no row is in doubt."""
    scheduler = a_scheduler(*[4] * 10, connections=2)
    first, second = batches(scheduler.handle(now=0.0))
    commands = scheduler.handle(refusal(first, 401, "InvalidAuthenticationToken"), now=1.0)
    assert [c for c in commands if isinstance(c, RenewToken)] == [RenewToken(first.number)]
    assert batches(commands) == []
    commands = scheduler.handle(refusal(second, 401, "InvalidAuthenticationToken"), now=1.1)
    assert [c for c in commands if isinstance(c, RenewToken)] == []
    assert not any(entry.in_doubt or entry.failures for entry in returned(commands).values())
    assert len(batches(scheduler.handle(TokenRenewed(), now=2.0))) == 2


def test_a_token_that_stays_refused_stops_the_run() -> None:
    """If two renewals are refused and nothing went through, the run stops."""
    scheduler = a_scheduler(4)
    commands = scheduler.handle(now=0.0)
    for step in range(2):
        commands = scheduler.handle(refusal(batches(commands)[0], 401), now=step + 0.5)
        commands = scheduler.handle(TokenRenewed(), now=step + 1.0)
    commands = scheduler.handle(refusal(batches(commands)[0], 401, "InvalidAuthenticationToken"), now=9.0)
    (halt,) = [c for c in commands if isinstance(c, Halt)]
    assert halt.reason is HaltReason.REFUSED_APP
    assert scheduler.finished


def test_a_token_that_lets_one_row_through_is_not_given_up() -> None:
    """A refusal for good counts as a success of the token, so that two more renewals are tried before the run stops."""
    scheduler = a_scheduler(1, 1, connections=1, batch_items_max=1)
    (batch,) = batches(scheduler.handle(now=0.0))
    scheduler.handle(refusal(batch, 401), now=1.0)
    (batch,) = batches(scheduler.handle(TokenRenewed(), now=2.0))
    malformed = Reply(400, "ErrorInvalidIdMalformed", "Id is malformed.")
    (batch,) = batches(scheduler.handle(answer(batch, malformed), now=3.0))
    commands = scheduler.handle(refusal(batch, 401), now=3.5)
    for now in (4.0, 6.0):
        assert any(isinstance(command, RenewToken) for command in commands)
        (batch,) = batches(scheduler.handle(TokenRenewed(), now=now))
        commands = scheduler.handle(refusal(batch, 401), now=now + 1.0)
    assert [c.reason for c in commands if isinstance(c, Halt)] == [HaltReason.REFUSED_APP]


def test_a_token_that_purged_one_row_counts_as_accepted() -> None:
    """After a row was purged, refusals of the token are counted from zero."""
    scheduler = a_scheduler(2, connections=1, batch_items_max=1)
    commands = scheduler.handle(now=0.0)
    for now, accepted in ((1.0, False), (2.0, True), (3.0, False), (4.0, False)):
        (batch,) = batches(commands)
        commands = scheduler.handle(answer(batch) if accepted else refusal(batch, 401), now=now)
        if not accepted:
            assert any(isinstance(command, RenewToken) for command in commands)
            commands = scheduler.handle(TokenRenewed(), now=now)
    (batch,) = batches(commands)
    assert any(isinstance(command, Halt) for command in scheduler.handle(refusal(batch, 401), now=5.0))


def test_an_app_without_the_permission_stops_the_run() -> None:
    """Authorization_RequestDenied holds for every mailbox, so the run stops and the rows stay open for a resumed run."""
    scheduler = a_scheduler(4, 4)
    (batch,) = batches(scheduler.handle(now=0.0))
    denied = Reply(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
    commands = scheduler.handle(answer(batch, rest=denied), now=1.0)
    assert [c.reason for c in commands if isinstance(c, Halt)] == [HaltReason.REFUSED_APP]
    assert {(row.failures, row.in_doubt) for row in returned(commands).values()} == {(0, False)}
    assert outcomes(commands) == {}
    assert scheduler.finished


def test_a_stop_sends_nothing_more_and_waits_for_what_is_in_flight() -> None:
    """After StopRequested nothing is sent, and the answers in flight are still taken in."""
    scheduler = a_scheduler(8, 8, connections=1)
    (batch,) = batches(scheduler.handle(now=0.0))
    assert scheduler.handle(StopRequested(), now=0.5) == []
    assert not scheduler.finished
    commands = scheduler.handle(answer(batch), now=1.0)
    assert len(outcomes(commands)) == 8
    assert batches(commands) == []
    assert scheduler.finished


# ------------------------------------------------------------------------------------------------------------ outage


def test_an_outage_is_probed_by_one_batch_at_a_time() -> None:
    """Five lost calls open the circuit breaker. After the wait one batch tries the service, and a success closes the breaker."""
    scheduler = a_scheduler(*[4] * 100, connections=5, quarantine_s=1.0, quarantine_s_min=1.0)
    sent = batches(scheduler.handle(now=0.0))
    assert len(sent) == 5
    commands = scheduler.handle(*[lost(batch) for batch in sent], now=1.0)
    assert batches(commands) == []
    assert batches(scheduler.handle(now=1.9)) == []
    (probe_batch,) = batches(scheduler.handle(now=3.0))
    commands = scheduler.handle(answer(probe_batch), now=4.0)
    assert len(batches(commands)) == 5


def test_failures_in_an_outage_do_not_use_up_the_attempts_of_rows() -> None:
    """Failures during an outage use up no attempts of a row. The five failures that show the outage do."""
    scheduler = a_scheduler(4, attempts_max=6, quarantine_s=1.0, quarantine_s_min=1.0, outage_s_max=1e9)
    now, commands = 0.0, scheduler.handle(now=0.0)
    for _ in range(30):
        for batch in batches(commands):
            commands = scheduler.handle(refusal(batch, 503), now=now)
        now = scheduler.wake_at() or now
        commands = scheduler.handle(now=now)
    assert not scheduler.finished


def test_an_outage_that_lasts_stops_the_run() -> None:
    """After the longest outage that is allowed the run halts, and can be resumed."""
    scheduler = a_scheduler(4, outage_s_max=100.0)
    now, commands = 0.0, scheduler.handle(now=0.0)
    while not (halts := [c for c in commands if isinstance(c, Halt)]):
        commands = scheduler.handle(*[lost(b, sent=False) for b in batches(commands)], now=now)
        now = max(now + 0.1, scheduler.wake_at() or 0.0)
        assert now < 1000
    assert halts[0] == Halt(HaltReason.OUTAGE, Reply(0, message="The connection was reset."))


def walled(batch: int) -> BatchAnswered:
    """Return a block page as the answer to a batch."""
    return BatchAnswered(batch, Answer(Reply(403, NOT_FROM_GRAPH, "A page."), None))


@pytest.mark.parametrize("heard_first", [False, True])
def test_a_block_page_from_the_start_stops_the_run_soon(heard_first: bool) -> None:
    """A block page stops the run after half a minute and a last wait, with no row in doubt or given up.

    Once Graph has answered, block pages are an outage like any other.
    """
    scheduler = a_scheduler(*[4] * 8, outage_s_max=300.0, walled_off_s_max=30.0, connections=1)
    now, commands, sent, first = 0.0, scheduler.handle(now=0.0), 0, heard_first
    while not (halts := [c for c in commands if isinstance(c, Halt)]):
        numbers = [batch.number for batch in batches(commands)]
        sent += len(numbers)
        answers = [
            BatchAnswered(n, Answer(Reply(429, retry_after_s=1.0), None)) if first else walled(n) for n in numbers
        ]
        first = first and not numbers
        commands = scheduler.handle(*answers, now=now)
        assert not [e for c in commands if isinstance(c, Record) for e in c.entries if isinstance(e, Settled)]
        now = max(now + 0.1, scheduler.wake_at() or 0.0)
        assert now < 1000
    assert halts[0] == Halt(HaltReason.OUTAGE, Reply(403, NOT_FROM_GRAPH, "A page."))
    assert (now > 250) if heard_first else (now < 100)
    assert sent < 40


def test_a_wait_that_graph_asked_for_is_no_outage() -> None:
    """After a 503 with a Retry-After of an hour nothing leaves before, and then the run goes on."""
    scheduler = a_scheduler(4)
    (batch,) = batches(scheduler.handle(now=0.0))
    scheduler.handle(refusal(batch, 503, wait=3_600.0), now=1.0)
    assert [scheduler.handle(now=now) for now in (1_000.0, 3_600.0)] == [[], []]
    (again,) = batches(scheduler.handle(now=3_601.0))
    scheduler.handle(answer(again), now=3_602.0)
    assert scheduler.finished


def test_a_machine_that_slept_is_no_outage() -> None:
    """If a call is lost before and another after an hour's sleep of the machine, the run goes on."""
    scheduler = a_scheduler(*[4] * 10, connections=2)
    first, second = batches(scheduler.handle(now=0.0))
    scheduler.handle(lost(first), now=1.0)
    commands = scheduler.handle(lost(second), now=3_601.0)
    while not scheduler.finished:
        now = scheduler.wake_at() or 3_602.0
        commands = scheduler.handle(*[answer(batch) for batch in batches(commands)], now=now)
        assert [command for command in commands if isinstance(command, Halt)] == []


def test_the_end_of_a_wait_of_the_run_wakes_nobody_who_waits_longer() -> None:
    """The scheduler sleeps until a mailbox is ready: the app waits for 30 s, and the only mailbox for 500 s."""
    scheduler = a_scheduler(4)
    (batch,) = batches(scheduler.handle(now=0.0))
    waiting = THROTTLED._replace(retry_after_s=500.0)
    scheduler.handle(answer(batch, rest=waiting, outer=Reply(200, retry_after_s=30.0)), now=1.0)
    assert scheduler.wake_at() == 501.0


def test_calls_are_timed_from_their_sending_however_late_in_a_run() -> None:
    """After twenty answers within half a second each, the cooldown of a lost call is the shortest one."""
    scheduler = a_scheduler(2_000, fanout=20, connections=1)
    (batch,) = batches(scheduler.handle(now=1_000.0))
    for answered in range(1, 21):
        (batch,) = batches(scheduler.handle(answer(batch), now=1_000.0 + answered / 2))
    scheduler.handle(lost(batch), now=1_010.5)
    assert scheduler.wake_at() == 1_015.0


@pytest.mark.parametrize(("mailboxes", "connections"), [(15, 16), (16, 32)])
def test_more_connections_are_tried_where_all_of_them_are_used(mailboxes: int, connections: int) -> None:
    """The limit of sixteen connections is not raised if fifteen mailboxes, each in one batch of four rows, never use them all."""
    scheduler = a_scheduler(*[100] * mailboxes, fanout=20, connections=64)
    flying = batches(scheduler.handle(now=0.0))
    for answered in range(16):
        flying += batches(scheduler.handle(answer(flying.pop(0)), now=1.0 + answered))
    assert scheduler.connections == connections


def test_without_lanes_a_mailbox_is_in_one_batch_at_a_time() -> None:
    """A last batch has room for one of a mailbox's three rows, and the other two wait for its answer."""
    scheduler = a_scheduler(4, 4, 4, 4, 3, 3, connections=8)
    (batch,) = batches(scheduler.handle(now=0.0))
    assert [len(share.attempts) for share in batch.shares] == [4, 4, 4, 4, 3, 1]
    assert batches(scheduler.handle(now=10.0)) == []
    (rest,) = batches(scheduler.handle(answer(batch), now=11.0))
    assert positions(rest) == [20, 21]


def test_slow_answers_cut_the_connections_while_the_plan_is_in_use() -> None:
    """Answers that are four times slower than at first cut the 64 batches in flight, also with a schedule plan."""
    scheduler = a_scheduler(*[4] * 3_000, connections=64, lanes=True)
    flying, now = batches(scheduler.handle(now=0.0)), 0.0
    for second in (1, 1, 1, 4, 4, 4, 4):
        now += second
        flying = batches(scheduler.handle(*map(answer, flying), now=now))
    assert scheduler.connections < 50


def test_batches_are_numbered_one_after_the_other() -> None:
    """Batches are numbered in sequence, from the number that the ledger gives."""
    scheduler = Scheduler(Limits(fanout=4, connections=4), random.Random(1), first_batch=7)
    flying = batches(scheduler.handle(*(MailboxOpened(n, 40 * n, 40 * n + 40) for n in range(30)), now=0.0))
    flying += batches(scheduler.handle(answer(flying[0]), now=1.0))
    assert [batch.number for batch in flying] == [7, 8, 9, 10, 11]
