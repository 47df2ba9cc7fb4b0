"""Tests of the limits and waits of one mailbox: its slots, its refusals, and what Graph asked it to wait."""

from __future__ import annotations

from math import inf

import pytest

from purgeengine.core.limits.lost_calls import LostCallCooldown
from purgeengine.core.limits.window import Window
from purgeengine.core.model import Attempt, Reply
from purgeengine.core.scheduling.mailbox import Mailbox
from purgeengine.core.scheduling.mailbox_limits import GOOD_FOR_A_REFUSAL, GOOD_REPLIES_TO_RAISE
from purgeengine.run_limits import Limits
from tests.support.fixtures import a_scheduler, answer, batches


def a_mailbox(rows: int = 100, requests: int = 10_000) -> Mailbox:
    return Mailbox(7, 0, rows, Window(requests, 600.0), LostCallCooldown(Limits()), limit_max=4)


def refused(mailbox: Mailbox, good: int = 0, *, concurrency: bool = True) -> int:
    """Record an answer with a refusal. Return the limit."""
    mailbox.was_refused(good=good, concurrency=concurrency)
    return mailbox.limit


def test_two_crowded_answers_without_a_good_reply_lower_the_limit() -> None:
    """It falls by one each time, down to one."""
    mailbox = a_mailbox()
    assert [refused(mailbox) for _ in range(10)] == [4, 3, 3, 2, 2, 1, 1, 1, 1, 1]


def test_a_refusal_for_another_reason_does_not_lower_the_limit() -> None:
    """It says nothing about others who use the mailbox."""
    mailbox = a_mailbox()
    assert [refused(mailbox, concurrency=concurrency) for concurrency in (True, False, False, True)] == [4, 4, 4, 3]


def test_one_refused_row_of_five_lowers_the_limit() -> None:
    """Another program with one request at a time takes the fifth place: each answer has four good rows and a refused one."""
    mailbox = a_mailbox()
    assert [refused(mailbox, good=4) for _ in range(4)] == [4, 3, 3, 2]


@pytest.mark.parametrize("good", [10, 17])
def test_one_refused_row_of_eleven_or_more_is_chance(good: int) -> None:
    """A lane runs until its first refused row. Chance refuses one of thirty rows, and the limit stays."""
    mailbox = a_mailbox()
    assert {refused(mailbox, good=good) for _ in range(1_000)} == {4}


def test_a_lowered_limit_recovers_under_refusals_by_chance() -> None:
    """It does not wait for forty good replies in a row, which hardly ever come if one row of thirty is refused."""
    mailbox = a_mailbox()
    for _ in range(4):
        refused(mailbox)
    assert mailbox.limit == 2
    assert [refused(mailbox, good=29) for _ in range(6)] == [2, 2, 3, 3, 3, 4]


def test_refusals_with_long_waits_are_not_outweighed_by_as_many_good_replies() -> None:
    """Fifty rows go through between two refusals that cost 30 s each: a limit of three is quicker."""
    mailbox = a_mailbox()
    limits = []
    for _ in range(3):
        mailbox.was_refused(good=0, concurrency=True, wait_s=30.0)
        limits.append(mailbox.limit)
        mailbox.went_well(50)
    assert limits == [4, 3, 3]
    mailbox.was_refused(good=0, concurrency=True, wait_s=30.0)
    mailbox.went_well(10 * GOOD_REPLIES_TO_RAISE - 1)
    assert mailbox.limit == 2
    mailbox.went_well(1)
    assert mailbox.limit == 3


@pytest.mark.parametrize("held", [1, 2, 3])
def test_slots_held_by_lost_calls_do_not_use_up_a_lowered_limit(held: int) -> None:
    """A mailbox with a limit of one goes on while lost calls hold slots: one row at a time, and never more than four slots."""
    mailbox = a_mailbox()
    for _ in range(10):
        refused(mailbox)
    mailbox.lost_slots.restore(50.0, held)
    assert (mailbox.limit, mailbox.ready_at(10.0), mailbox.free_slots(10.0)) == (1, 10.0, 1)
    mailbox.draw(mailbox.sendable(10.0, 20), 10.0)
    assert (mailbox.slots_taken, mailbox.ready_at(10.0)) == (1, inf)


def test_held_slots_still_count_in_the_four() -> None:
    """The limit of a mailbox is lowered to three and two slots are held: two may be taken. With four held, none may be."""
    mailbox = a_mailbox()
    refused(mailbox)
    refused(mailbox)
    mailbox.lost_slots.restore(50.0, 2)
    assert (mailbox.limit, mailbox.free_slots(10.0), mailbox.sendable(10.0, 20)) == (3, 2, 2)
    mailbox.lost_slots.restore(60.0, 2)
    assert (mailbox.free_slots(10.0), mailbox.ready_at(10.0)) == (0, 50.0)
    mailbox.draw(1, 50.0)
    assert mailbox.free_slots(50.0) == 1


def test_a_mailbox_that_was_refused_for_long_recovers_to_four() -> None:
    """What came before the limit was raised is forgotten: one refusal by chance does not lower it again."""
    mailbox = a_mailbox()
    for _ in range(300):
        refused(mailbox)
    for _ in range(3):
        mailbox.went_well(GOOD_REPLIES_TO_RAISE)
    assert [mailbox.limit, refused(mailbox)] == [4, 4]


def test_a_lowered_limit_stays_where_one_row_of_five_is_refused() -> None:
    """Good replies between the refusals do not raise it."""
    mailbox = a_mailbox()
    for _ in range(4):
        refused(mailbox)
    for _ in range(100):
        refused(mailbox, good=4, concurrency=False)
    assert mailbox.limit == 2


def test_refusals_are_counted_until_something_goes_through() -> None:
    """Refusals of a mailbox are counted until a row goes through."""
    mailbox = a_mailbox()
    counts = []
    for went_through in (False, False, True, False):
        mailbox.was_refused(good=int(went_through), concurrency=False)
        counts.append(mailbox.refusals)
    assert counts == [1, 2, 0, 1]
    mailbox.went_well(1)
    assert mailbox.refusals == 0


def test_a_lowered_limit_recovers_after_forty_good_replies() -> None:
    """A lowered limit rises by one after forty good replies, up to its first value. A refusal outweighs ten of them."""
    mailbox = a_mailbox()
    for _ in range(4):
        refused(mailbox)
    assert mailbox.limit == 2
    mailbox.went_well(GOOD_REPLIES_TO_RAISE - 1)
    refused(mailbox, concurrency=False)
    mailbox.went_well(GOOD_FOR_A_REFUSAL)
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
    assert mailbox.draw_alone(0.0) == (Attempt(1, 2),)
    mailbox.landed(1, 0.0, lane=False)
    assert mailbox.ready_at(5.0) == 5.0
    mailbox.draw_alone(0.0)
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
