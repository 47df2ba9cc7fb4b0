"""Tests of settlement: what happens to the rows of a batch that has ended."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest

from purgeengine.core.limits.backoff import Backoff
from purgeengine.core.limits.lost_calls import LostCallCooldown
from purgeengine.core.limits.window import Window
from purgeengine.core.messages import MailboxBlocked, Returned, Settled
from purgeengine.core.model import PURGED_REPLY, Answer, Attempt, Batch, MailboxShare, Outcome, Reply
from purgeengine.core.scheduling.flights import Flight
from purgeengine.core.scheduling.mailbox import Mailbox
from purgeengine.core.scheduling.news import RunNews
from purgeengine.core.scheduling.settlement import Settler
from purgeengine.run_limits import Limits
from tests.support.fixtures import PURGED, a_scheduler, answer, batches, entries, lost, positions, refusal

GONE, NOT_TRIED = Reply(404, "ErrorItemNotFound"), Reply(424, "FailedDependency")


def a_mailbox() -> Mailbox:
    return Mailbox(0, 0, 1_000, Window(10_000, 600.0), LostCallCooldown(Limits()), limit_max=4)


def flight_of(mailbox: Mailbox, attempts: Sequence[Attempt], *, lane: bool = False) -> Flight:
    """Return a flight of these rows."""
    return Flight(Batch(1, "id", (MailboxShare(0, attempts),), lane=lane), [(mailbox, attempts)], 0.0, 0, len(attempts))


def a_settler() -> Settler:
    return Settler(Limits(), Backoff(Limits(), Random(1)))


def answered(replies: dict[int, Reply | None], waits: dict[int, float] | None = None) -> Answer:
    """Return an answer with these sub-responses."""
    return Answer(Reply(200), replies, waits=waits or {})


def test_rows_of_a_refused_batch_are_returned_unless_their_mailbox_ends_in_the_same_turn() -> None:
    """Rows of a refused batch are returned. If their mailbox closes in the same turn, they are settled with it instead."""
    for closing, other_rows, is_returned in ((False, 0, True), (True, 1, True), (True, 0, False)):
        mailbox = a_mailbox()
        if other_rows:
            mailbox.draw(other_rows, 0.0)
        attempts = mailbox.draw(3, 0.0)
        if closing:
            mailbox.close_with(Outcome.SKIPPED, GONE)
        settlement = a_settler().settle_one_by_one(flight_of(mailbox, attempts), 0.0)
        assert settlement.entries == (tuple(Returned(*attempt) for attempt in attempts) if is_returned else ())
        assert mailbox.alone == [*attempts]
        assert mailbox.closes_now is not is_returned


def test_rows_that_a_lane_did_not_try_are_given_back_and_counted_against_lanes() -> None:
    """Rows that a broken lane did not try are given back to the window, and lanes that break early are soon given up."""
    mailbox = a_mailbox()
    seen = 0
    for _ in range(8):
        attempts = mailbox.draw_lane(20, 0.0)
        replies: dict[int, Reply | None] = {0: PURGED_REPLY, 1: GONE, **dict.fromkeys(range(2, 20), NOT_TRIED)}
        settlement = a_settler().settle(flight_of(mailbox, attempts, lane=True), answered(replies), 0.0)
        seen += 2
        assert (settlement.news.unsent, mailbox.window.room(0.0)) == (18, 10_000 - seen)
    assert not mailbox.lanes_pay


def test_a_lane_is_broken_by_any_refusal() -> None:
    """A reply from status 400 on breaks a lane, and the row behind it is sent again as if it had never left."""
    mailbox = a_mailbox()
    flight = flight_of(mailbox, mailbox.draw_lane(2, 0.0), lane=True)
    settlement = a_settler().settle(flight, answered({0: Reply(400, "Bad"), 1: NOT_TRIED}), 0.0)
    assert settlement.news.unsent == 1
    assert Returned(1, 0, 0, False) in settlement.entries


def two_mailboxes() -> Flight:
    """Return a flight with one row of the first mailbox and two of the second."""
    first = a_mailbox()
    second = Mailbox(1, 1_000, 2_000, Window(10_000, 600.0), LostCallCooldown(Limits()), limit_max=4)
    shares = [(first, first.draw(1, 0.0)), (second, second.draw(2, 0.0))]
    batch = Batch(1, "id", tuple(MailboxShare(mailbox.number, attempts) for mailbox, attempts in shares))
    return Flight(batch, shares, 0.0, 0, batch.size)


def test_rows_that_were_too_fast_are_told_for_each_mailbox_of_a_batch() -> None:
    """A settlement has the number of throttled rows for each mailbox of the batch, and nothing if there were none."""
    throttled = answered(dict.fromkeys(range(3), Reply(429, retry_after_s=1.0)))
    assert a_settler().settle(two_mailboxes(), throttled, 0.0).news.throttled == (1, 2)
    assert a_settler().settle(two_mailboxes(), answered(dict.fromkeys(range(3), GONE)), 0.0).news.throttled == ()


def test_a_settlement_holds_all_that_came_of_a_batch_and_the_settler_keeps_nothing() -> None:
    """Two batches through one settler give two settlements that share nothing and cannot be changed."""
    settler = a_settler()
    told = settler.settle(two_mailboxes(), answered({0: GONE, 1: Reply(429, retry_after_s=9.0)}), 0.0)
    assert [type(entry) for entry in told.entries] == [Settled, MailboxBlocked, Returned, Returned]
    again = settler.settle(two_mailboxes(), answered(dict.fromkeys(range(3), PURGED_REPLY)), 0.0)
    assert [(entry.position, entry.rows) for entry in again.entries if isinstance(entry, Settled)] == [
        (0, 1),
        (1_000, 2),
    ]
    assert again.news == RunNews(went_through=True, proven=True)
    with pytest.raises(AttributeError):
        told.entries = ()  # type: ignore[misc]
    assert not [name for name, value in vars(settler).items() if isinstance(value, list | dict)]


def test_a_lost_batch_leaves_every_row_in_doubt_and_holds_slots() -> None:
    """A lost batch leaves its rows in doubt, and holds a slot for each while the service may still be running it."""
    for cooldown_s in (40.0, None):
        flight = two_mailboxes()
        told = a_settler().settle_lost(flight, Reply(0), 0.0, counted=True, cooldown_s=cooldown_s)
        assert not any(isinstance(entry, MailboxBlocked) for entry in told.entries)
        returned = [entry for entry in told.entries if isinstance(entry, Returned)]
        assert [(entry.in_doubt, entry.failures) for entry in returned] == [(True, 1)] * 3
        assert told.news.unanswered == 3
        assert all(mailbox.in_flight is False for mailbox, _ in flight.shares)
        for mailbox, attempts in flight.shares:
            held = 0 if cooldown_s is None else len(attempts)
            assert [mailbox.free_slots(now) for now in (0.0, 39.9, 40.0)] == [4 - held, 4 - held, 4]


def test_a_batch_that_never_left_is_no_sending() -> None:
    """A batch that never left counts as no sending of its rows, and its requests are given back to the window."""
    flight = two_mailboxes()
    told = a_settler().settle_never_sent(flight, 0.0)
    assert {(entry.number, entry.in_doubt) for entry in told.entries if isinstance(entry, Returned)} == {(0, False)}
    assert [mailbox.window.room(0.0) for mailbox, _ in flight.shares] == [10_000, 10_000]


def test_where_batches_are_wide_one_mailbox_may_have_lanes_from_the_start() -> None:
    """With a wide fanout one mailbox may have lanes from the start, even with only four connections."""
    scheduler = a_scheduler(1_000, lanes=True, fanout=20, connections=4)
    assert [batch.lane for batch in batches(scheduler.handle(now=0.0))] == [True] * 4


def test_an_outcome_carries_the_answer_and_the_call_that_decided_it() -> None:
    """An outcome has the answer and the call that decided it."""
    scheduler = a_scheduler(4, connections=1)
    (batch,) = batches(scheduler.handle(now=0.0))
    refused = Reply(400, "ErrorInvalidId", "Id is malformed.")
    done = entries(scheduler.handle(answer(batch, refused), now=1.0), Settled)
    assert done[0] == Settled(positions(batch)[0], Outcome.REFUSED, 1, False, batch.number, refused)
    assert {entry[1:6] for entry in done[1:]} == {(Outcome.PURGED, 1, False, batch.number, PURGED)}


def test_a_purged_row_is_in_no_doubt_whatever_was_before() -> None:
    """A purged row is not in doubt, even if it was before."""
    scheduler = a_scheduler(2, connections=1)
    (batch,) = batches(scheduler.handle(now=0.0))
    scheduler.handle(answer(batch, rest=Reply(503)), now=0.0)
    (again,) = batches(scheduler.handle(now=5.0))
    assert entries(scheduler.handle(answer(again), now=6.0), Settled) == [
        Settled(position, Outcome.PURGED, 2, False, again.number, PURGED) for position in positions(again)
    ]


def test_a_row_that_alone_spoils_its_batch_is_refused_with_the_reply_to_the_batch() -> None:
    """A row that is sent alone and whose call is refused with 400 gets that refusal as its own."""
    scheduler = a_scheduler(1, connections=1)
    (alone,) = batches(scheduler.handle(now=0.0))
    (done,) = entries(scheduler.handle(refusal(alone, 400, "BadRequest", "Malformed."), now=2.0), Settled)
    assert (done.outcome, done.batch, done.attempts) == (Outcome.REFUSED, alone.number, 1)
    assert (done.reply.status, done.reply.code, done.reply.message) == (400, "BadRequest", "Malformed.")


def test_a_row_that_is_given_up_keeps_its_last_answer() -> None:
    """A row that is given up after eight faults keeps the last answer and its call."""
    scheduler = a_scheduler(1, connections=1)
    now, settled = 0.0, []
    commands = scheduler.handle(now=now)
    while not settled:
        (batch,) = batches(commands)
        fault = Reply(503, "ErrorServerBusy", f"Attempt {batch.number}")
        commands = scheduler.handle(answer(batch, fault), now=now)
        settled = entries(commands, Settled)
        if not settled:
            now = scheduler.wake_at() or 0.0
            commands = scheduler.handle(now=now)
    assert settled == [Settled(0, Outcome.EXHAUSTED, 8, True, batch.number, fault)]


def test_a_row_given_up_for_a_lost_call_says_how_it_was_lost() -> None:
    """A row that is given up after a lost call has status 0 and the reason of the loss."""
    scheduler = a_scheduler(1, attempts_max=1)
    (batch,) = batches(scheduler.handle(now=0.0))
    (done,) = entries(scheduler.handle(lost(batch), now=1.0), Settled)
    assert done == Settled(0, Outcome.EXHAUSTED, 1, True, batch.number, Reply(0, message="The connection was reset."))
