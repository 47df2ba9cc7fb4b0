"""Tests of small parts of the core, each alone: limits of a mailbox, circuit breaker, fanout, open mailboxes, tokens, settling."""

from __future__ import annotations

from math import inf
from random import Random

import pytest

from purgeengine.core.graph.operations import IdType, deletion_by
from purgeengine.core.limits.adaptive_timeout import AdaptiveTimeout
from purgeengine.core.limits.backoff import Backoff
from purgeengine.core.limits.circuit_breaker import FAILURES_TO_OPEN, TRYING_S_MAX, CircuitBreaker
from purgeengine.core.limits.concurrency_limit import ConcurrencyLimit
from purgeengine.core.limits.fanout import TALLY_ROWS, WIDE_PROBES, FanoutProbe
from purgeengine.core.limits.lost_calls import LostCallCooldown
from purgeengine.core.limits.rate_limit import TokenBucket
from purgeengine.core.limits.window import Window
from purgeengine.core.messages import InputEnded, MailboxOpened, RenewToken, Settled, TokenRenewed
from purgeengine.core.model import Attempt, Outcome, Reply
from purgeengine.core.scheduling.mailbox import Mailbox
from purgeengine.core.scheduling.mailbox_limits import GOOD_REPLIES_TO_RAISE
from purgeengine.core.scheduling.open_mailboxes import OpenMailboxes
from purgeengine.core.scheduling.packing import ReadyQueue, choose
from purgeengine.core.scheduling.scheduler import Scheduler
from purgeengine.core.scheduling.token_watch import TokenStep, TokenWatch
from purgeengine.run_limits import Limits
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
from tests.support.fixtures import THROTTLED as THROTTLED_ITEM

FAILED = Reply(503)
THROTTLED = Reply(429)


def a_mailbox(rows: int = 100, requests: int = 10_000) -> Mailbox:
    return Mailbox(7, 0, rows, Window(requests, 600.0), LostCallCooldown(Limits()), limit_max=4)


def a_breaker(connections: int = 16) -> CircuitBreaker:
    return CircuitBreaker(Backoff(Limits(), Random(1)), ConcurrencyLimit(connections))


# ------------------------------------------------------------------------------------------------------------- mailbox


def test_two_crowded_answers_in_a_row_lower_the_limit_by_one_each_time() -> None:
    """Two answers one after the other with concurrency refusals lower a mailbox's limit by one, down to one."""
    mailbox = a_mailbox()
    limits = []
    for _ in range(10):
        mailbox.was_refused(some_went_through=True, concurrency=True)
        limits.append(mailbox.limit)
    assert limits == [4, 3, 3, 2, 2, 1, 1, 1, 1, 1]


def test_a_refusal_for_another_reason_ends_the_row_of_crowded_answers() -> None:
    """A refusal for another reason interrupts a series of concurrency refusals."""
    mailbox = a_mailbox()
    for concurrency in (True, False, True):
        mailbox.was_refused(some_went_through=True, concurrency=concurrency)
    assert mailbox.limit == 4
    mailbox.was_refused(some_went_through=True, concurrency=True)
    assert mailbox.limit == 3


def test_a_good_answer_ends_the_row_of_crowded_ones() -> None:
    """A good answer interrupts a series of concurrency refusals."""
    mailbox = a_mailbox()
    mailbox.was_refused(some_went_through=True, concurrency=True)
    mailbox.went_well(1)
    mailbox.was_refused(some_went_through=True, concurrency=True)
    assert mailbox.limit == 4


def test_refusals_are_counted_until_something_goes_through() -> None:
    """Refusals of a mailbox are counted until a row goes through."""
    mailbox = a_mailbox()
    counts = []
    for went_through in (False, False, True, False):
        mailbox.was_refused(some_went_through=went_through, concurrency=False)
        counts.append(mailbox.refusals)
    assert counts == [1, 2, 0, 1]
    mailbox.went_well(1)
    assert mailbox.refusals == 0


def test_a_lowered_limit_recovers_after_forty_good_replies_in_a_row() -> None:
    """A lowered limit rises by one after forty good replies in a row, up to its first value; a refusal resets the count."""
    mailbox = a_mailbox()
    for _ in range(4):
        mailbox.was_refused(some_went_through=True, concurrency=True)
    assert mailbox.limit == 2
    mailbox.went_well(GOOD_REPLIES_TO_RAISE - 1)
    mailbox.was_refused(some_went_through=True, concurrency=False)
    mailbox.went_well(GOOD_REPLIES_TO_RAISE - 1)
    assert mailbox.limit == 2
    mailbox.went_well(1)
    assert mailbox.limit == 3
    mailbox.went_well(GOOD_REPLIES_TO_RAISE - 1)
    assert mailbox.limit == 3
    mailbox.went_well(1)
    mailbox.went_well(10 * GOOD_REPLIES_TO_RAISE)
    assert mailbox.limit == 4


def test_a_row_that_travels_alone_uses_one_request_of_the_window() -> None:
    """A row that is sent alone uses one request of the window: with room for two requests, two such rows leave."""
    mailbox = a_mailbox(rows=1, requests=2)
    mailbox.give_up()
    mailbox.send_alone([Attempt(0, 1), Attempt(1, 1)])
    assert mailbox.draw_alone() == (Attempt(1, 2),)
    mailbox.refused(1, 0.0, lane=False)
    assert mailbox.ready_at(5.0) == 5.0
    mailbox.draw_alone()
    assert mailbox.window.room(5.0) == 0


def test_what_graph_asked_for_is_told_apart_from_what_we_wait_by_ourselves() -> None:
    """Both Graph's waits and our own block a mailbox, but only Graph's count as throttling.

    A shorter wait never replaces a longer one.
    """
    mailbox = a_mailbox()
    mailbox.block(10.0)
    assert (mailbox.blocked_until, mailbox.throttled_until) == (10.0, -inf)
    mailbox.block(8.0, throttled=True)
    assert (mailbox.blocked_until, mailbox.throttled_until) == (10.0, 8.0)
    mailbox.block(20.0, throttled=True)
    mailbox.block(15.0, throttled=True)
    assert (mailbox.blocked_until, mailbox.throttled_until) == (20.0, 20.0)


# ----------------------------------------------------------------------------------------------------- circuit breaker


def test_the_breaker_opens_at_the_fifth_failure_in_a_row_and_lets_one_probe_through() -> None:
    """After five failures in a row the circuit breaker holds all calls, and then lets one batch at a time try."""
    breaker = a_breaker()
    for _ in range(FAILURES_TO_OPEN - 1):
        breaker.failed(10.0, FAILED)
    assert (breaker.probing, breaker.places(3, 10.0)) == (False, 13)
    breaker.failed(10.0, FAILED)
    assert (breaker.probing, breaker.places(0, 10.0)) == (True, 0)
    assert breaker.calls_again_at > 10.0
    assert breaker.places(0, breaker.calls_again_at) == 1
    assert breaker.places(1, breaker.calls_again_at) == 0
    breaker.answered()
    assert (breaker.probing, breaker.places(0, 10.0), breaker.failing_s) == (False, 16, 0.0)
    for _ in range(FAILURES_TO_OPEN - 1):
        breaker.failed(20.0, FAILED)
    assert not breaker.probing


def test_each_probe_that_fails_opens_the_breaker_for_twice_as_long() -> None:
    """Each failed trial call makes the circuit breaker hold the calls twice as long, from 1 to 2 s on."""
    breaker = a_breaker()
    for _ in range(FAILURES_TO_OPEN - 1):
        breaker.failed(10.0, FAILED)
    now = 10.0
    for shortest_s in (1.0, 2.0, 4.0, 8.0):
        breaker.failed(now, FAILED)
        assert shortest_s <= breaker.calls_again_at - now <= 2 * shortest_s
        now = breaker.calls_again_at


def test_failures_of_calls_sent_before_the_breaker_opened_change_nothing() -> None:
    """Failures of batches that left before the circuit breaker held the calls change only the time of the outage."""
    breaker, other = a_breaker(), a_breaker()
    for _ in range(FAILURES_TO_OPEN):
        breaker.failed(10.0, FAILED)
        other.failed(10.0, FAILED)
    for _ in range(11):
        breaker.failed(10.0, FAILED)
    assert breaker.calls_again_at == other.calls_again_at
    breaker.failed(70.0, FAILED)
    assert breaker.failing_s == 60.0


def test_only_time_spent_trying_counts_as_an_outage() -> None:
    """At most three minutes between two failures count as time of an outage: the machine may have slept."""
    breaker = a_breaker()
    breaker.failed(10.0, FAILED)
    breaker.failed(86_410.0, FAILED)
    assert breaker.failing_s == TRYING_S_MAX
    breaker.failed(86_420.0, FAILED)
    assert breaker.failing_s == TRYING_S_MAX + 10.0


def test_a_pause_with_nothing_to_send_is_no_outage() -> None:
    """A pause with nothing to send resets the time of the outage."""
    breaker = a_breaker()
    breaker.failed(10.0, FAILED)
    breaker.failed(40.0, FAILED)
    breaker.rested()
    assert breaker.failing_s == 0.0
    breaker.failed(100.0, FAILED)
    assert breaker.failing_s == 0.0
    breaker.failed(120.0, FAILED)
    assert breaker.failing_s == 20.0


def test_four_calls_that_are_too_fast_are_no_outage() -> None:
    """Four throttled calls one after the other are no outage, and with the fifth one batch at a time tries the service."""
    breaker = a_breaker()
    for _ in range(FAILURES_TO_OPEN - 1):
        breaker.throttled(0.0, THROTTLED)
    assert not breaker.probing
    breaker.throttled(0.0, THROTTLED)
    assert breaker.probing


def test_a_call_that_is_too_fast_counts_as_a_failure_and_waits_as_told() -> None:
    """A throttled call counts as a failure and waits as Graph asks, or longer each time without a Retry-After."""
    breaker = a_breaker()
    assert breaker.throttled(0.0, Reply(429, retry_after_s=7.0)) >= 7.0
    assert breaker.places(0, 6.9) == 0
    waits = [breaker.throttled(0.0, THROTTLED) for _ in range(4)]
    assert breaker.probing
    assert waits[-1] > waits[0]
    breaker.answered()
    assert breaker.calls_again_at >= 7.0  # Graph's wait holds, whatever went well meanwhile


# -------------------------------------------------------------------------------------------------------------- fanout


def a_wide_fanout() -> FanoutProbe:
    probe = FanoutProbe("auto", 4, 20)
    for rows in (8, *[20] * WIDE_PROBES):
        probe.sent(rows)
        probe.answered(rows, 0)
    assert probe.decided == 20
    return probe


def test_a_wide_fanout_narrows_when_more_than_a_fifth_is_refused_for_long() -> None:
    """A wide fanout goes back to four if more than a fifth of over two hundred rows is refused.

    Three of twenty never suffice.
    """
    probe = a_wide_fanout()
    batches = 0
    while probe.decided == 20:
        probe.answered(20, 5)
        batches += 1
        assert batches < TALLY_ROWS
    assert probe.decided == 4
    assert batches * 20 > TALLY_ROWS / 2
    assert batches * 20 < TALLY_ROWS
    patient = a_wide_fanout()
    for _ in range(1_000):
        patient.answered(20, 3)
    assert patient.decided == 20


def test_a_probe_whose_answer_was_lost_is_made_again() -> None:
    """A probe whose answer was lost is made again, and a lost narrow batch is no probe."""
    probe = FanoutProbe("auto", 4, 20)
    probe.sent(8)
    probe.lost(4)
    assert probe.first_width == 4
    probe.lost(8)
    assert probe.first_width == 8
    probe.sent(8)
    probe.answered(8, 0)
    for _ in range(WIDE_PROBES):
        assert probe.first_width == 20
        probe.sent(20)
    assert probe.first_width == 4
    probe.lost(20)
    assert probe.first_width == 20
    probe.sent(20)
    probe.answered(20, 0)
    assert probe.first_width == 4  # two clean ones and two in flight are enough to decide


def test_a_narrow_batch_shows_nothing_and_one_of_five_something() -> None:
    """A batch of four rows proves nothing, and one of five that goes through is a clean probe."""
    probe = FanoutProbe("auto", 4, 20)
    for refused in (0, 1, 3, 4):
        probe.sent(4)
        probe.answered(4, refused)
    assert (probe.decided, probe.first_width) == (None, 8)
    probe.sent(5)
    probe.answered(5, 0)
    assert probe.first_width == 20


def test_three_unclear_probes_decide_and_two_do_not() -> None:
    """Three unclear probes keep the fanout at four, and two do not decide."""
    probe = FanoutProbe("auto", 4, 20)
    decided = []
    for _ in range(3):
        probe.sent(8)
        probe.answered(8, 2)
        decided.append(probe.decided)
    assert decided == [None, None, 4]


def test_a_third_of_a_wide_probe_refused_is_no_reason_to_stay_narrow() -> None:
    """Six of twenty rows refused are no reason for a narrow fanout: a service that runs whole batches would refuse sixteen."""
    probe = FanoutProbe("auto", 4, 20)
    for rows, refused in ((8, 0), *[(20, 6)] * WIDE_PROBES):
        probe.sent(rows)
        probe.answered(rows, refused)
    assert probe.decided == 20


def test_a_long_good_time_does_not_outweigh_a_bad_one() -> None:
    """A long time without refusals does not hide a bad one.

    Eight of twenty refused narrow the fanout within some twenty batches.
    """
    probe = a_wide_fanout()
    for _ in range(1_000):
        probe.answered(20, 0)
    for _ in range(20):
        probe.answered(20, 8)
    assert probe.decided == 4


def test_a_bad_minute_fades() -> None:
    """Short bad times with long good ones between them do not narrow the fanout."""
    probe = a_wide_fanout()
    for _ in range(20):
        for _ in range(6):
            probe.answered(20, 7)
        for _ in range(100):
            probe.answered(20, 0)
    assert probe.decided == 20


# ------------------------------------------------------------------------------------------------------ open mailboxes


def test_mailboxes_that_graph_throttles_are_counted_while_they_wait() -> None:
    """Mailboxes that Graph throttles are counted while they wait; those that wait for another reason are not."""
    open_mailboxes = OpenMailboxes(Limits())
    for number, throttled_s in enumerate((10.0, 30.0, 0.0)):
        mailbox = Mailbox(number, 0, 5, Window(10_000, 600.0), LostCallCooldown(Limits()), limit_max=4)
        mailbox.block(40.0)
        if throttled_s:
            mailbox.block(throttled_s, throttled=True)
        open_mailboxes.open(mailbox, 0.0)
    assert [open_mailboxes.throttled(now) for now in (0.0, 9.9, 10.0, 29.9, 30.0)] == [2, 2, 1, 1, 0]


def test_a_mailbox_that_has_left_is_not_woken() -> None:
    """A mailbox that ended while it waited is not woken."""
    open_mailboxes = OpenMailboxes(Limits())
    mailbox = a_mailbox(rows=5)
    mailbox.block(10.0)
    open_mailboxes.open(mailbox, 0.0)
    mailbox.give_up()
    open_mailboxes.place(mailbox, 1.0)
    open_mailboxes.wake(10.0)
    assert (len(open_mailboxes), open_mailboxes.has_ready, open_mailboxes.throttled(10.0)) == (0, False, 0)


def test_mailboxes_that_wait_make_room_for_others_until_they_are_ready() -> None:
    """A waiting mailbox does not take room, and a ready one does: one connection has room for eight."""
    open_mailboxes = OpenMailboxes(Limits(connections=1))
    mailbox = a_mailbox(rows=5)
    mailbox.block(10.0)
    open_mailboxes.open(mailbox, 0.0)
    assert open_mailboxes.room() == 8
    open_mailboxes.wake(10.0)
    assert open_mailboxes.room() == 7


def test_timers_that_no_longer_matter_are_swept_out_now_and_then() -> None:
    """Timers that no longer matter are removed once there are 64 more than twice as many as needed."""
    open_mailboxes = OpenMailboxes(Limits())
    cooldown = LostCallCooldown(Limits())
    waiting = [Mailbox(number, 0, 5, Window(10_000, 600.0), cooldown, limit_max=4) for number in range(100)]
    counts = []
    for until in (90.0, 80.0, 70.0, 60.0):
        for mailbox in waiting:
            mailbox.blocked_until = until  # a shorter wait than before, which `block` never gives
            (open_mailboxes.place if mailbox.number < len(open_mailboxes) else open_mailboxes.open)(mailbox, 0.0)
            counts.append(len(open_mailboxes._timers))
            open_mailboxes.place(mailbox, 0.0)  # a second timer for the same instant is not set
            assert len(open_mailboxes._timers) == counts[-1]
    assert (max(counts), counts[264]) == (264, 100)
    open_mailboxes.wake(59.9)
    assert (open_mailboxes.has_ready, open_mailboxes.next_timer_at()) == (False, 60.0)
    open_mailboxes.wake(60.0)
    assert len(open_mailboxes.ready) == 100
    open_mailboxes.wake(90.0)  # the stale timers that are left find nothing
    assert (len(open_mailboxes.ready), open_mailboxes.next_timer_at()) == (100, inf)


def test_a_mailbox_whose_turn_comes_while_it_must_wait_sends_nothing() -> None:
    """A mailbox that must wait when its turn comes gives no rows."""
    queue, mailbox = ReadyQueue(), a_mailbox()
    queue.push(mailbox)
    mailbox.block(50.0)
    chosen = choose(queue, 10.0, 20, 4, 4, None, 0)
    assert (chosen.shares, chosen.stale) == ([], [mailbox])


def test_the_scheduler_tells_how_many_mailboxes_are_throttled() -> None:
    """The scheduler's view has the number of throttled mailboxes."""
    scheduler = a_scheduler(8, 8, connections=1)
    (batch,) = batches(scheduler.handle(now=0.0))
    scheduler.handle(answer(batch, THROTTLED_ITEM), now=0.0)
    assert scheduler.view.throttled_mailboxes() == 1


# ---------------------------------------------------------------------------------------------------- tokens and the rest


def test_one_renewal_answers_all_refusals_of_the_same_token() -> None:
    """One renewal serves all refusals of the same token, and a third refused token in a row ends the run."""
    watch = TokenWatch()
    assert watch.refused(0) is TokenStep.RENEW
    assert watch.refused(0) is TokenStep.NOTHING
    watch.renewed()
    assert watch.awaited is False
    assert watch.refused(0) is TokenStep.NOTHING
    assert watch.refused(1) is TokenStep.RENEW
    watch.renewed()
    assert watch.refused(1) is TokenStep.NOTHING
    assert watch.refused(2) is TokenStep.GIVE_UP
    watch.went_through()
    assert watch.refused(2) is TokenStep.RENEW


def test_the_allowance_says_when_it_will_cover_a_batch() -> None:
    """The token bucket gives the time at which it covers a batch, and never holds more than its burst."""
    bucket = TokenBucket(10.0, 5.0, now=100.0)
    assert bucket.covers(5)
    assert not bucket.covers(6)
    bucket.spend(5)
    assert bucket.covers_at(1) == pytest.approx(100.1)
    assert bucket.covers_at(5) == pytest.approx(100.5)
    bucket.refill(100.2)
    assert bucket.covers_at(2) == pytest.approx(100.2)
    assert bucket.covers_at(4) == pytest.approx(100.4)
    bucket.refill(900.0)
    assert bucket.covers(5)
    assert not bucket.covers(6)


def test_patience_counts_quick_answers_in_a_row_from_zero() -> None:
    """The adaptive timeout is halved by quick answers in a row; a slow answer or a time-out resets the count."""
    adaptive_timeout = AdaptiveTimeout(10.0, 80.0)
    adaptive_timeout.answered(0.0, 1.0)
    adaptive_timeout.ran_out(2.0, 40.0)
    assert adaptive_timeout.current_s == 80.0
    adaptive_timeout.answered(100.0, 120.0)
    assert adaptive_timeout.current_s == 80.0
    adaptive_timeout.answered(120.0, 141.0)
    adaptive_timeout.answered(141.0, 161.0)
    assert adaptive_timeout.current_s == 80.0
    adaptive_timeout.answered(161.0, 181.0)
    assert adaptive_timeout.current_s == 40.0
    adaptive_timeout.answered(181.0, 190.0)
    assert adaptive_timeout.current_s == 40.0
    adaptive_timeout.answered(190.0, 200.0)
    assert adaptive_timeout.current_s == 20.0


def test_an_answer_at_the_very_moment_of_sending_does_not_excuse_a_hang() -> None:
    """An answer at the moment when a call was sent does not excuse that call: if it hangs, the timeout is doubled."""
    adaptive_timeout = AdaptiveTimeout(10.0, 80.0)
    adaptive_timeout.answered(1.0, 5.0)
    adaptive_timeout.ran_out(5.0, 10.0)
    assert adaptive_timeout.current_s == 20.0


# ---------------------------------------------------------------------------------------------------------- settlement


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
    scheduler.handle(answer(batch, rest=FAILED), now=0.0)
    (again,) = batches(scheduler.handle(now=5.0))
    assert entries(scheduler.handle(answer(again), now=6.0), Settled) == [
        Settled(position, Outcome.PURGED, 2, False, again.number, PURGED) for position in positions(again)
    ]


def test_a_row_that_alone_spoils_its_batch_is_refused_with_what_was_said_of_the_batch() -> None:
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


def test_forty_good_replies_among_others_raise_a_lowered_limit() -> None:
    """Forty good replies raise a lowered limit of a mailbox: with three in each answer, the fourteenth does it."""
    scheduler = a_scheduler(100, connections=1)
    crowded = Reply(429, "ApplicationThrottled", "over its MailboxConcurrency limit.", 0.0)
    gone = Reply(404, "ErrorItemNotFound", "Not found.")
    (batch,) = batches(scheduler.handle(now=0.0))
    for now in (1.0, 2.0):
        scheduler.handle(answer(batch, crowded), now=now - 0.6)
        (batch,) = batches(scheduler.handle(now=now))
    sizes = []
    while batch.size < 4:
        sizes.append(batch.size)
        (batch,) = batches(scheduler.handle(answer(batch, rest=gone), now=2.0))
    assert sizes == [3] * 14


def test_refusals_for_speed_are_counted_one_by_one() -> None:
    """Throttled rows are counted one by one in the scheduler's view."""
    scheduler = a_scheduler(4, connections=1)
    (batch,) = batches(scheduler.handle(now=0.0))
    scheduler.handle(answer(batch, THROTTLED_ITEM, THROTTLED_ITEM), now=1.0)
    assert scheduler.view.throttled == 2


def test_an_item_with_a_refused_token_is_sent_again_and_never_in_doubt() -> None:
    """A row with 401 is sent again after one renewal, without doubt and without counting a failure."""
    scheduler = a_scheduler(2, connections=1)
    (batch,) = batches(scheduler.handle(now=0.0))
    commands = scheduler.handle(answer(batch, Reply(401, "InvalidAuthenticationToken")), now=1.0)
    assert any(isinstance(command, RenewToken) for command in commands)
    (row,) = returned(commands).values()
    assert (row.number, row.failures, row.in_doubt) == (1, 0, False)
    (again,) = batches(scheduler.handle(TokenRenewed(), now=2.0))
    assert positions(again) == [row.position]


@pytest.mark.parametrize(
    ("id_type", "outcome"), [(IdType.IMMUTABLE, Outcome.ABSENT), (IdType.DEFAULT, Outcome.REFUSED)]
)
def test_the_scheduler_judges_by_the_type_of_its_ids(id_type: IdType, outcome: Outcome) -> None:
    """A contact in Purges is absent with immutable ids, because only those reach it, and refused with default ids."""
    scheduler = Scheduler(Limits(fanout=4, serial_lanes=False), Random(1), operation=deletion_by(id_type=id_type))
    (batch,) = batches(scheduler.handle(MailboxOpened(0, 0, 1), InputEnded(), now=0.0))
    commands = scheduler.handle(
        answer(batch, Reply(403, "ErrorCannotDeleteObject", "Object cannot be deleted.")), now=1.0
    )
    assert outcomes(commands) == {0: outcome}
