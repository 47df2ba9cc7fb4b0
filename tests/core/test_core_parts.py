"""The small parts of the core, each alone: what raises and lowers a limit, closes the gate, narrows the fanout, ends a token."""

from __future__ import annotations

from math import inf
from random import Random

import pytest

from purgeengine.core.graph.operations import IdType, deletion_by
from purgeengine.core.limits.adaptive_timeout import AdaptiveTimeout
from purgeengine.core.limits.backoff import Backoff
from purgeengine.core.limits.circuit_breaker import FAILURES_TO_CLOSE, TRYING_S_MAX, CircuitBreaker
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
    """One may be chance; after two the count begins anew, and one request is always left."""
    mailbox = a_mailbox()
    limits = []
    for _ in range(10):
        mailbox.was_refused(some_went_through=True, concurrency=True)
        limits.append(mailbox.limit)
    assert limits == [4, 3, 3, 2, 2, 1, 1, 1, 1, 1]


def test_a_refusal_for_another_reason_ends_the_row_of_crowded_answers() -> None:
    """Crowded, otherwise refused, crowded: that is not two in a row, but the next one makes it so."""
    mailbox = a_mailbox()
    for concurrency in (True, False, True):
        mailbox.was_refused(some_went_through=True, concurrency=concurrency)
    assert mailbox.limit == 4
    mailbox.was_refused(some_went_through=True, concurrency=True)
    assert mailbox.limit == 3


def test_a_good_answer_ends_the_row_of_crowded_ones() -> None:
    """Crowded, good, crowded: that is one and one, not two."""
    mailbox = a_mailbox()
    mailbox.was_refused(some_went_through=True, concurrency=True)
    mailbox.went_well(1)
    mailbox.was_refused(some_went_through=True, concurrency=True)
    assert mailbox.limit == 4


def test_refusals_are_counted_until_something_goes_through() -> None:
    """They choose the back-off: 1, 2, then 0 as soon as one row of the answer went through."""
    mailbox = a_mailbox()
    counts = []
    for went_through in (False, False, True, False):
        mailbox.was_refused(some_went_through=went_through, concurrency=False)
        counts.append(mailbox.refusals)
    assert counts == [1, 2, 0, 1]
    mailbox.went_well(1)
    assert mailbox.refusals == 0


def test_a_lowered_limit_recovers_after_forty_good_replies_in_a_row() -> None:
    """39 are not enough, a refusal between makes them count from zero, and it never rises above what it was."""
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
    """Exactly one: with two requests left, two such rows may leave and no third."""
    mailbox = a_mailbox(rows=1, requests=2)
    mailbox.give_up()
    mailbox.send_alone([Attempt(0, 1), Attempt(1, 1)])
    assert mailbox.draw_alone() == (Attempt(1, 2),)
    mailbox.refused(1, 0.0, lane=False)
    assert mailbox.ready_at(5.0) == 5.0
    mailbox.draw_alone()
    assert mailbox.window.room(5.0) == 0


def test_what_graph_asked_for_is_told_apart_from_what_we_wait_by_ourselves() -> None:
    """Both block; only the first is shown as throttling, and a shorter wait never replaces a longer one."""
    mailbox = a_mailbox()
    mailbox.block(10.0)
    assert (mailbox.blocked_until, mailbox.throttled_until) == (10.0, -inf)
    mailbox.block(8.0, throttled=True)
    assert (mailbox.blocked_until, mailbox.throttled_until) == (10.0, 8.0)
    mailbox.block(20.0, throttled=True)
    mailbox.block(15.0, throttled=True)
    assert (mailbox.blocked_until, mailbox.throttled_until) == (20.0, 20.0)


# ---------------------------------------------------------------------------------------------------------------- gate


def test_the_gate_closes_at_the_fifth_failure_in_a_row_and_lets_one_probe_through() -> None:
    """Four say nothing; at the fifth nothing leaves for a while, and then one batch at a time."""
    breaker = a_breaker()
    for _ in range(FAILURES_TO_CLOSE - 1):
        breaker.failed(10.0, FAILED)
    assert (breaker.probing, breaker.places(3, 10.0)) == (False, 13)
    breaker.failed(10.0, FAILED)
    assert (breaker.probing, breaker.places(0, 10.0)) == (True, 0)
    assert breaker.opens_at > 10.0
    assert breaker.places(0, breaker.opens_at) == 1
    assert breaker.places(1, breaker.opens_at) == 0
    breaker.answered()
    assert (breaker.probing, breaker.places(0, 10.0), breaker.failing_s) == (False, 16, 0.0)
    for _ in range(FAILURES_TO_CLOSE - 1):
        breaker.failed(20.0, FAILED)
    assert not breaker.probing


def test_each_probe_that_fails_closes_the_gate_for_twice_as_long() -> None:
    """One to two seconds at first, then two to four, and so on; a probe that fails in the very moment of opening counts."""
    breaker = a_breaker()
    for _ in range(FAILURES_TO_CLOSE - 1):
        breaker.failed(10.0, FAILED)
    now = 10.0
    for shortest_s in (1.0, 2.0, 4.0, 8.0):
        breaker.failed(now, FAILED)
        assert shortest_s <= breaker.opens_at - now <= 2 * shortest_s
        now = breaker.opens_at


def test_failures_that_left_before_the_gate_closed_change_nothing() -> None:
    """Sixteen batches in flight when the service went away close the gate once, for the shortest wait."""
    breaker, other = a_breaker(), a_breaker()
    for _ in range(FAILURES_TO_CLOSE):
        breaker.failed(10.0, FAILED)
        other.failed(10.0, FAILED)
    for _ in range(11):
        breaker.failed(10.0, FAILED)
    assert breaker.opens_at == other.opens_at
    breaker.failed(70.0, FAILED)
    assert breaker.failing_s == 60.0


def test_only_time_spent_trying_counts_as_an_outage() -> None:
    """Between two failures lay a day (a wait that Graph asked for, or a machine asleep): three minutes of it count."""
    breaker = a_breaker()
    breaker.failed(10.0, FAILED)
    breaker.failed(86_410.0, FAILED)
    assert breaker.failing_s == TRYING_S_MAX
    breaker.failed(86_420.0, FAILED)
    assert breaker.failing_s == TRYING_S_MAX + 10.0


def test_a_pause_with_nothing_to_send_is_no_outage() -> None:
    """Failures count from anew after it: what was before and the pause itself are forgotten."""
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
    """Each counts once: only the fifth makes the next batch a probe."""
    breaker = a_breaker()
    for _ in range(FAILURES_TO_CLOSE - 1):
        breaker.throttled(0.0, THROTTLED)
    assert not breaker.probing
    breaker.throttled(0.0, THROTTLED)
    assert breaker.probing


def test_a_call_that_is_too_fast_counts_as_a_failure_and_waits_as_told() -> None:
    """A Retry-After is kept to the second; without one the waits grow; five in a row make a probe of the next."""
    breaker = a_breaker()
    assert breaker.throttled(0.0, Reply(429, retry_after_s=7.0)) >= 7.0
    assert breaker.places(0, 6.9) == 0
    waits = [breaker.throttled(0.0, THROTTLED) for _ in range(4)]
    assert breaker.probing
    assert waits[-1] > waits[0]
    breaker.answered()
    assert breaker.opens_at >= 7.0  # asked for is asked for, whatever went well in between


# -------------------------------------------------------------------------------------------------------------- fanout


def a_wide_fanout() -> FanoutProbe:
    probe = FanoutProbe("auto", 4, 20)
    for rows in (8, *[20] * WIDE_PROBES):
        probe.sent(rows)
        probe.answered(rows, 0)
    assert probe.decided == 20
    return probe


def test_a_wide_fanout_narrows_when_more_than_a_fifth_is_refused_for_long() -> None:
    """Five of every twenty refused, over more than two hundred rows; three of twenty, for ever, do not."""
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
    """Narrow batches that are lost are no probes; of three wide ones each that is lost may be tried once more."""
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
    """Four rows are safe on any service, refused or not; a fifth that goes through is a clean probe."""
    probe = FanoutProbe("auto", 4, 20)
    for refused in (0, 1, 3, 4):
        probe.sent(4)
        probe.answered(4, refused)
    assert (probe.decided, probe.first_width) == (None, 8)
    probe.sent(5)
    probe.answered(5, 0)
    assert probe.first_width == 20


def test_three_unclear_probes_decide_and_two_do_not() -> None:
    """Half of what a service must refuse that runs all at once: a third time is enough."""
    probe = FanoutProbe("auto", 4, 20)
    decided = []
    for _ in range(3):
        probe.sent(8)
        probe.answered(8, 2)
        decided.append(probe.decided)
    assert decided == [None, None, 4]


def test_a_third_of_a_wide_probe_refused_is_no_reason_to_stay_narrow() -> None:
    """A service that runs all at once would refuse sixteen of twenty; six have another cause."""
    probe = FanoutProbe("auto", 4, 20)
    for rows, refused in ((8, 0), *[(20, 6)] * WIDE_PROBES):
        probe.sent(rows)
        probe.answered(rows, refused)
    assert probe.decided == 20


def test_a_long_good_time_does_not_outweigh_a_bad_one() -> None:
    """After twenty thousand rows without a refusal, eight of twenty refused are noticed within some twenty batches."""
    probe = a_wide_fanout()
    for _ in range(1_000):
        probe.answered(20, 0)
    for _ in range(20):
        probe.answered(20, 8)
    assert probe.decided == 4


def test_a_bad_minute_fades() -> None:
    """A good part of two hundred rows refused, then many good ones, then as bad again: neither alone narrows it."""
    probe = a_wide_fanout()
    for _ in range(20):
        for _ in range(6):
            probe.answered(20, 7)
        for _ in range(100):
            probe.answered(20, 0)
    assert probe.decided == 20


# -------------------------------------------------------------------------------------------------------------- roster


def test_mailboxes_that_graph_throttles_are_counted_while_they_wait() -> None:
    """Two of three, one of them until its own end comes; what waits for another reason is not counted."""
    open_mailboxes = OpenMailboxes(Limits())
    for number, throttled_s in enumerate((10.0, 30.0, 0.0)):
        mailbox = Mailbox(number, 0, 5, Window(10_000, 600.0), LostCallCooldown(Limits()), limit_max=4)
        mailbox.block(40.0)
        if throttled_s:
            mailbox.block(throttled_s, throttled=True)
        open_mailboxes.open(mailbox, 0.0)
    assert [open_mailboxes.throttled(now) for now in (0.0, 9.9, 10.0, 29.9, 30.0)] == [2, 2, 1, 1, 0]


def test_a_mailbox_that_has_left_is_not_woken() -> None:
    """It waited, then its last rows were given up: its timer finds nobody."""
    open_mailboxes = OpenMailboxes(Limits())
    mailbox = a_mailbox(rows=5)
    mailbox.block(10.0)
    open_mailboxes.open(mailbox, 0.0)
    mailbox.give_up()
    open_mailboxes.place(mailbox, 1.0)
    open_mailboxes.wake(10.0)
    assert (len(open_mailboxes), open_mailboxes.has_ready, open_mailboxes.throttled(10.0)) == (0, False, 0)


def test_mailboxes_that_wait_make_room_for_others_until_they_are_ready() -> None:
    """One connection wants eight: one that waits is not counted among them, one that is ready is."""
    open_mailboxes = OpenMailboxes(Limits(connections=1))
    mailbox = a_mailbox(rows=5)
    mailbox.block(10.0)
    open_mailboxes.open(mailbox, 0.0)
    assert open_mailboxes.room() == 8
    open_mailboxes.wake(10.0)
    assert open_mailboxes.room() == 7


def test_timers_that_no_longer_matter_are_swept_out_now_and_then() -> None:
    """A hundred mailboxes, each waiting for an ever earlier instant: twice as many timers as needed and 64, then as many."""
    open_mailboxes = OpenMailboxes(Limits())
    cooldown = LostCallCooldown(Limits())
    waiting = [Mailbox(number, 0, 5, Window(10_000, 600.0), cooldown, limit_max=4) for number in range(100)]
    counts = []
    for until in (90.0, 80.0, 70.0, 60.0):
        for mailbox in waiting:
            mailbox.blocked_until = until  # a shorter wait than before, which `block` never gives
            (open_mailboxes.place if mailbox.number < len(open_mailboxes) else open_mailboxes.open)(mailbox, 0.0)
            counts.append(len(open_mailboxes._timers))
            open_mailboxes.place(mailbox, 0.0)  # the same instant once more is no second timer
            assert len(open_mailboxes._timers) == counts[-1]
    assert (max(counts), counts[264]) == (264, 100)
    open_mailboxes.wake(59.9)
    assert (open_mailboxes.has_ready, open_mailboxes.next_timer_at()) == (False, 60.0)
    open_mailboxes.wake(60.0)
    assert len(open_mailboxes.ready) == 100
    open_mailboxes.wake(90.0)  # whatever stale ones are left find nobody
    assert (len(open_mailboxes.ready), open_mailboxes.next_timer_at()) == (100, inf)


def test_a_mailbox_whose_turn_comes_while_it_must_wait_sends_nothing() -> None:
    """It was ready when it was queued; whoever takes it out looks again."""
    queue, mailbox = ReadyQueue(), a_mailbox()
    queue.push(mailbox)
    mailbox.block(50.0)
    chosen = choose(queue, 10.0, 20, 4, 4, None, 0)
    assert (chosen.shares, chosen.stale) == ([], [mailbox])


def test_the_scheduler_tells_how_many_mailboxes_are_throttled() -> None:
    """One of two, for the display."""
    scheduler = a_scheduler(8, 8, connections=1)
    (batch,) = batches(scheduler.handle(now=0.0))
    scheduler.handle(answer(batch, THROTTLED_ITEM), now=0.0)
    assert scheduler.view.throttled_mailboxes() == 1


# ---------------------------------------------------------------------------------------------------- tokens and the rest


def test_one_renewal_answers_all_refusals_of_the_same_token() -> None:
    """Refusals that left with an older token ask for nothing; a third token refused in a row ends the run."""
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
    """10 a second, 5 at once: after 5 the sixth may leave a tenth of a second later, and waiting does not heap up more than 5."""
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
    """One quick answer is not two; a slow one between, or a wait that ran out, begins anew; a quarter of the wait is quick."""
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
    """Only an answer that came later than the call left shows that the service was there."""
    adaptive_timeout = AdaptiveTimeout(10.0, 80.0)
    adaptive_timeout.answered(1.0, 5.0)
    adaptive_timeout.ran_out(5.0, 10.0)
    assert adaptive_timeout.current_s == 20.0


# ------------------------------------------------------------------------------------------------------------ settling


def test_an_outcome_carries_the_answer_and_the_call_that_decided_it() -> None:
    """Refused alone, refused with its batch, or given up: the ledger is told which call said what."""
    scheduler = a_scheduler(4, connections=1)
    (batch,) = batches(scheduler.handle(now=0.0))
    refused = Reply(400, "ErrorInvalidId", "Id is malformed.")
    done = entries(scheduler.handle(answer(batch, refused), now=1.0), Settled)
    assert done[0] == Settled(positions(batch)[0], Outcome.REFUSED, 1, False, batch.number, refused)
    assert {entry[1:6] for entry in done[1:]} == {(Outcome.PURGED, 1, False, batch.number, PURGED)}


def test_a_purged_row_is_in_no_doubt_whatever_was_before() -> None:
    """204 says where the contact is, for a row in doubt as for any other, alone or in a full batch."""
    scheduler = a_scheduler(2, connections=1)
    (batch,) = batches(scheduler.handle(now=0.0))
    scheduler.handle(answer(batch, rest=FAILED), now=0.0)
    (again,) = batches(scheduler.handle(now=5.0))
    assert entries(scheduler.handle(answer(again), now=6.0), Settled) == [
        Settled(position, Outcome.PURGED, 2, False, again.number, PURGED) for position in positions(again)
    ]


def test_a_row_that_alone_spoils_its_batch_is_refused_with_what_was_said_of_the_batch() -> None:
    """A 400 of the whole call, met by a row on its own, is that row's answer, with that call."""
    scheduler = a_scheduler(1, connections=1)
    (alone,) = batches(scheduler.handle(now=0.0))
    (done,) = entries(scheduler.handle(refusal(alone, 400, "BadRequest", "Malformed."), now=2.0), Settled)
    assert (done.outcome, done.batch, done.attempts) == (Outcome.REFUSED, alone.number, 1)
    assert (done.reply.status, done.reply.code, done.reply.message) == (400, "BadRequest", "Malformed.")


def test_a_row_that_is_given_up_keeps_its_last_answer() -> None:
    """After eight faults: exhausted, in doubt, with the status and the call of the eighth."""
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
    """No answer decided it: status 0, and the words of the transport."""
    scheduler = a_scheduler(1, attempts_max=1)
    (batch,) = batches(scheduler.handle(now=0.0))
    (done,) = entries(scheduler.handle(lost(batch), now=1.0), Settled)
    assert done == Settled(0, Outcome.EXHAUSTED, 1, True, batch.number, Reply(0, message="The connection was reset."))


def test_forty_good_replies_among_others_raise_a_lowered_limit() -> None:
    """They are counted row by row: with three in each answer, the fourteenth makes it four again."""
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
    """Two of four: the summary says two."""
    scheduler = a_scheduler(4, connections=1)
    (batch,) = batches(scheduler.handle(now=0.0))
    scheduler.handle(answer(batch, THROTTLED_ITEM, THROTTLED_ITEM), now=1.0)
    assert scheduler.view.throttled == 2


def test_an_item_with_a_refused_token_is_sent_again_and_never_in_doubt() -> None:
    """One renewal, and the row that was told 401 leaves again with the new token; its attempts are not used up."""
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
    """A contact in Purges can be reached by an immutable id only, and is gone."""
    scheduler = Scheduler(Limits(fanout=4, serial_lanes=False), Random(1), operation=deletion_by(id_type=id_type))
    (batch,) = batches(scheduler.handle(MailboxOpened(0, 0, 1), InputEnded(), now=0.0))
    commands = scheduler.handle(
        answer(batch, Reply(403, "ErrorCannotDeleteObject", "Object cannot be deleted.")), now=1.0
    )
    assert outcomes(commands) == {0: outcome}
