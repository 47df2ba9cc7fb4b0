"""Tests of settlement: what happens to rows whose batch has ended, in cases that a whole scheduler reaches only by chance."""

from __future__ import annotations

from random import Random

from purgeengine.core.limits.backoff import Backoff
from purgeengine.core.limits.fanout import FanoutProbe
from purgeengine.core.limits.lost_calls import LostCallCooldown
from purgeengine.core.limits.window import Window
from purgeengine.core.messages import Returned
from purgeengine.core.model import PURGED_REPLY, Attempt, Batch, MailboxShare, Outcome, Reply
from purgeengine.core.scheduling.flight import Flight
from purgeengine.core.scheduling.mailbox import Mailbox
from purgeengine.core.scheduling.settlement import Settlement
from purgeengine.run_limits import Limits
from tests.support.fixtures import a_scheduler, batches

GONE, NOT_TRIED = Reply(404, "ErrorItemNotFound"), Reply(424, "FailedDependency")


def a_mailbox() -> Mailbox:
    return Mailbox(0, 0, 1_000, Window(10_000, 600.0), LostCallCooldown(Limits()), limit_max=4)


def flight_of(mailbox: Mailbox, attempts: tuple[Attempt, ...], *, serial: bool = False) -> Flight:
    """Return a flight with these rows alone."""
    return Flight(
        Batch(1, "id", (MailboxShare(0, attempts),), serial=serial), [(mailbox, attempts)], 0.0, 0, len(attempts)
    )


def settling_of(flight: Flight) -> Settlement:
    """Return a settlement that has begun with this flight."""
    settlement = Settlement(Limits(), Backoff(Limits(), Random(1)))
    settlement.begin(flight, 400, "")
    settlement.entries.clear()
    return settlement


def test_rows_of_a_refused_batch_are_returned_unless_their_mailbox_ends_in_the_same_turn() -> None:
    """Rows of a refused batch are returned, unless their mailbox ends in the same turn because nothing else of it is in flight."""
    for closing, other_rows, is_returned in ((False, 0, True), (True, 1, True), (True, 0, False)):
        mailbox = a_mailbox()
        mailbox.draw(other_rows, 0.0)
        attempts = mailbox.draw(3, 0.0)
        mailbox.closing = (Outcome.SKIPPED, GONE) if closing else None
        settlement = settling_of(flight_of(mailbox, attempts))
        settlement.all_alone(flight_of(mailbox, attempts))
        assert settlement.entries == ([Returned(*attempt) for attempt in attempts] if is_returned else [])
        assert tuple(mailbox.alone) == attempts


def test_rows_that_a_lane_did_not_try_are_given_back_and_counted_against_lanes() -> None:
    """Rows that a lane did not attempt are given back to the request window and count against lanes, which are soon given up."""
    mailbox = a_mailbox()
    seen = 0
    for _ in range(8):
        attempts = mailbox.draw_lane(20, 0.0)
        flight = flight_of(mailbox, attempts, serial=True)
        settlement = settling_of(flight)
        replies: dict[int, Reply | None] = {0: PURGED_REPLY, 1: GONE, **dict.fromkeys(range(2, 20), NOT_TRIED)}
        settlement.replies(flight, replies, {}, 0.0, FanoutProbe(4, 4, 20))
        mailbox.landed(20, lane=True)
        seen += 2
        assert (settlement.said.unsent, mailbox.window.room(0.0)) == (18, 10_000 - seen)
    assert not mailbox.lanes_pay


def test_a_lane_is_broken_by_any_refusal() -> None:
    """Any status from 400 on breaks a lane, and the row after it is returned as never sent."""
    mailbox = a_mailbox()
    attempts = mailbox.draw_lane(2, 0.0)
    flight = flight_of(mailbox, attempts, serial=True)
    settlement = settling_of(flight)
    settlement.replies(flight, {0: Reply(400, "Bad"), 1: NOT_TRIED}, {}, 0.0, FanoutProbe(4, 4, 20))
    assert settlement.said.unsent == 1
    assert Returned(1, 0, 0, False) in settlement.entries


def test_rows_that_were_too_fast_are_counted_over_all_mailboxes_of_a_batch() -> None:
    """Throttled rows are counted over all mailboxes of a batch."""
    first, second = (
        a_mailbox(),
        Mailbox(1, 1_000, 2_000, Window(10_000, 600.0), LostCallCooldown(Limits()), limit_max=4),
    )
    parts = [(first, first.draw(1, 0.0)), (second, second.draw(2, 0.0))]
    batch = Batch(1, "id", tuple(MailboxShare(mailbox.number, attempts) for mailbox, attempts in parts))
    flight = Flight(batch, parts, 0.0, 0, batch.size)
    settlement = settling_of(flight)
    settlement.replies(flight, dict.fromkeys(range(3), Reply(429, retry_after_s=1.0)), {}, 0.0, FanoutProbe(4, 4, 20))
    assert settlement.said.refused == 3


def test_where_batches_are_wide_one_mailbox_may_have_lanes_from_the_start() -> None:
    """Where batches are wide, one mailbox has lanes from the start, with as many connections as it has slots."""
    scheduler = a_scheduler(1_000, serial_lanes=True, fanout=20, connections=4)
    assert [batch.serial for batch in batches(scheduler.handle(now=0.0))] == [True] * 4
