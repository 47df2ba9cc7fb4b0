"""Tests of one mailbox: which rows leave next, in batches and in lanes, and what it counts while they are in flight."""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import inf

import pytest

from purgeengine.core.limits.lost_calls import LostCallCooldown
from purgeengine.core.limits.window import Window
from purgeengine.core.model import Attempt, FirstAttempts
from purgeengine.core.scheduling.flights import neighbours
from purgeengine.core.scheduling.mailbox import Mailbox
from purgeengine.run_limits import Limits


def a_mailbox(rows: int = 100, *, first: int = 0, requests: int = 10_000, doubt_end: int = 0) -> Mailbox:
    """Return a mailbox with this number of rows from this position on, and with four free slots."""
    window = Window(requests, 600.0)
    return Mailbox(7, first, first + rows, window, LostCallCooldown(Limits()), limit_max=4, doubt_end=doubt_end)


def positions(attempts: Sequence[Attempt]) -> list[int]:
    return [attempt.position for attempt in attempts]


def counted(mailbox: Mailbox) -> tuple[int, int, int, int]:
    """Return rows left, rows in flight, lanes, and slots taken."""
    return mailbox.remaining, mailbox.rows_in_flight, mailbox.lanes, mailbox.slots_taken


# ------------------------------------------------------------------------------------------------------ first attempts


def test_first_attempts_are_as_good_as_a_tuple_of_them() -> None:
    """First attempts behave as a tuple of attempts with the number 1 and without doubt, also in reverse and in slices."""
    some, told = FirstAttempts(range(5, 9)), tuple(Attempt(position, 1, 0, False) for position in range(5, 9))
    assert (tuple(some), tuple(reversed(some)), len(some)) == (told, told[::-1], 4)
    assert (some[0], some[-1], tuple(some[1:3]), tuple(some[:0])) == (told[0], told[-1], told[1:3], ())
    assert some == told
    assert told == some
    assert some == FirstAttempts(range(5, 9))
    assert some != FirstAttempts(range(5, 8))
    assert some != (told[0]._replace(in_doubt=True), *told[1:])
    assert hash(some) == hash(told)
    assert repr(some) == "FirstAttempts(range(5, 9))"
    with pytest.raises(IndexError):
        some[4]


@pytest.mark.parametrize("doubt_end", [0, 3, 12])
def test_new_rows_are_kept_as_a_range_unless_one_of_them_is_in_doubt(doubt_end: int) -> None:
    """Rows that earlier ledgers left in doubt come first, and their attempts have the doubt."""
    mailbox = a_mailbox(20, doubt_end=doubt_end)
    drawn = [mailbox.draw_lane(10, 0.0), mailbox.draw_lane(5, 0.0)]
    assert [a.in_doubt for attempts in drawn for a in attempts] == [at < doubt_end for at in range(10)]
    assert [type(attempts) is FirstAttempts for attempts in drawn] == [doubt_end == 0, doubt_end <= 5]


def test_neighbours_that_were_sent_equally_often_go_together() -> None:
    """Neighbours that were sent equally often form a group: first position, rows, and sendings."""
    assert list(neighbours(FirstAttempts(range(5, 9)))) == [(5, 4, 1)]
    assert list(neighbours(tuple(map(Attempt, range(5, 9))))) == [(5, 4, 1)]
    some = (Attempt(9, 3), Attempt(3, 2), Attempt(4, 2), Attempt(5), Attempt(6), Attempt(8))
    assert list(neighbours(some)) == [(9, 1, 3), (3, 2, 2), (5, 2, 1), (8, 1, 1)]


def test_a_batch_with_rows_sent_before_has_the_new_ones_behind_them() -> None:
    """In a batch, rows that were sent before come first, and new rows follow."""
    mailbox = a_mailbox()
    mailbox.put_back(Attempt(50, 1, 1, True), 0.0)
    assert mailbox.draw(3, 0.0) == (Attempt(50, 2, 1, True), Attempt(0), Attempt(1))
    assert mailbox.draw(1, 0.0) == FirstAttempts(range(2, 3))


# ------------------------------------------------------------------------------------------------------------- in flight


def test_a_row_of_a_batch_takes_a_slot_and_a_lane_takes_one() -> None:
    """A lane takes one slot, a batch takes one for each row and at most all, and the end of a batch gives them back."""
    mailbox = a_mailbox()
    assert not mailbox.in_flight
    mailbox.draw_lane(20, 0.0)
    mailbox.draw(2, 0.0)
    mailbox.draw_lane(10, 0.0)
    assert counted(mailbox) == (68, 32, 2, 4)
    mailbox.landed(20, 0.0, lane=True)
    assert counted(mailbox) == (68, 12, 1, 3)
    mailbox.landed(2, 0.0, lane=False)
    assert counted(mailbox) == (68, 10, 1, 1)
    mailbox.landed(10, 0.0, lane=True)
    assert counted(mailbox) == (68, 0, 0, 0)
    mailbox.draw(20, 0.0)
    assert counted(mailbox) == (48, 20, 0, 4)
    mailbox.landed(20, 0.0, lane=False)
    assert counted(mailbox) == (48, 0, 0, 0)


def test_more_than_its_slots_is_a_mistake_of_ours() -> None:
    """Drawing more than the free slots allow fails an assertion."""
    mailbox = a_mailbox()
    mailbox.draw(3, 0.0)
    with pytest.raises(AssertionError, match="too many requests at once for <Mailbox 7"):
        mailbox.draw(2, 0.0)


def test_every_row_that_leaves_counts_in_the_window() -> None:
    """Every row that leaves counts in the window, in a batch, in a lane or alone, and the window limits the rows of a lane."""
    mailbox = a_mailbox(requests=10)
    mailbox.draw(2, 0.0)
    assert mailbox.window.room(0.0) == 8
    assert len(mailbox.draw_lane(5, 0.0)) == 5
    assert mailbox.window.room(0.0) == 3
    assert len(mailbox.draw_lane(5, 0.0)) == 3


# -------------------------------------------------------------------------------------------------------- what is drawn


def test_rows_sent_before_go_first_and_count_their_attempts() -> None:
    """Rows that were sent before leave first, the longest due first; then new rows leave, those in doubt before others."""
    assert Mailbox(7, 0, 1, Window(10, 600.0), LostCallCooldown(Limits()), 4).draw(1, 0.0) == (Attempt(0, 1),)
    mailbox = a_mailbox(first=50, doubt_end=52)
    mailbox.put_back(Attempt(9, 3, 1, in_doubt=True), 20.0)
    mailbox.put_back(Attempt(8, 2), 10.0)
    mailbox.put_back(Attempt(7, 1), 10.5)
    assert mailbox.draw(4, 10.0) == (
        Attempt(8, 3),
        Attempt(50, 1, in_doubt=True),
        Attempt(51, 1, in_doubt=True),
        Attempt(52, 1),
    )
    mailbox.landed(4, 0.0, lane=False)
    assert mailbox.draw(2, 20.0) == (Attempt(7, 2), Attempt(9, 4, 1, in_doubt=True))


def test_how_many_rows_may_share_a_batch() -> None:
    """The rows of a batch are limited by what is due, what is asked for, the window, and the slots unless all are free."""
    mailbox = a_mailbox(6, requests=12)
    assert [mailbox.sendable(0.0, most) for most in (4, 6, 20)] == [4, 6, 6]
    mailbox.put_back(Attempt(90, 1), 0.0)
    mailbox.put_back(Attempt(91, 1), 5.0)
    assert [mailbox.sendable(0.0, most) for most in (6, 7, 8)] == [6, 7, 7]
    assert mailbox.sendable(5.0, 20) == 8
    mailbox.draw(1, 0.0)
    assert mailbox.sendable(5.0, 20) == 3
    mailbox.landed(1, 0.0, lane=False)
    for _ in range(2):
        mailbox.was_refused(good=0, concurrency=True)
    assert mailbox.sendable(5.0, 20) == 3  # its limit is three now, and no slot is taken
    mailbox.window.sent(9)
    assert mailbox.sendable(5.0, 20) == 2


def test_a_row_alone_is_the_last_that_was_set_apart() -> None:
    """A row that travels alone takes one slot and one request, and its attempt is counted."""
    mailbox = a_mailbox(0)
    mailbox.send_alone([Attempt(3, 1), Attempt(5, 2)])
    assert mailbox.draw_alone(0.0) == (Attempt(5, 3),)
    assert counted(mailbox) == (1, 1, 0, 1)


# ----------------------------------------------------------------------------------------------------------------- lanes


def test_a_lane_takes_new_rows_in_order_and_the_last_ones_are_shared_out() -> None:
    """Ten new rows on four free slots make lanes of three, three, two and two; the row that was sent before waits."""
    mailbox = a_mailbox(10)
    mailbox.put_back(Attempt(90, 1), 0.0)
    assert [positions(mailbox.draw_lane(20, 0.0)) for _ in range(4)] == [[0, 1, 2], [3, 4, 5], [6, 7], [8, 9]]
    assert counted(mailbox) == (1, 10, 4, 4)


def test_fewer_rows_than_slots_are_lanes_of_one() -> None:
    """Fewer rows than slots leave at once, each in a lane of its own."""
    mailbox = a_mailbox(3)
    assert [positions(mailbox.draw_lane(20, 0.0)) for _ in range(3)] == [[0], [1], [2]]


def test_a_lane_is_no_longer_than_asked_for() -> None:
    """A lane has no more rows than asked for: five of forty, although ten would fit."""
    mailbox = a_mailbox(40)
    assert positions(mailbox.draw_lane(5, 0.0)) == [0, 1, 2, 3, 4]
    assert positions(mailbox.draw_lane(12, 0.0)) == list(range(5, 17))  # 35 over three is twelve


def test_rows_sent_before_make_lanes_once_no_new_ones_are_left() -> None:
    """Without new rows, the five due rows that were sent before make two lanes of two and one of one."""
    mailbox = a_mailbox(0)
    for position in range(7):
        mailbox.put_back(Attempt(position, 1), 9.0 if position < 5 else 11.0)
    drawn = [mailbox.draw_lane(20, 9.0) for _ in range(3)]
    assert drawn == [(Attempt(0, 2), Attempt(1, 2)), (Attempt(2, 2), Attempt(3, 2)), (Attempt(4, 2),)]
    assert counted(mailbox) == (2, 5, 3, 3)
    assert mailbox.draw_lane(20, 10.9) == ()
    assert counted(mailbox) == (2, 5, 3, 3)
    assert positions(mailbox.draw_lane(1, 11.0)) == [5]


def test_the_window_bounds_lanes_of_rows_sent_before_too() -> None:
    """With room for one request in the window, a lane of rows sent before has one row."""
    mailbox = a_mailbox(0, requests=1)
    for position in range(8):
        mailbox.put_back(Attempt(position, 1), 0.0)
    assert positions(mailbox.draw_lane(20, 0.0)) == [0]


def test_lanes_pay_until_they_break_early_for_a_while() -> None:
    """Six lanes that break at their first row end the use of lanes, and a full one that runs to its end brings it back."""
    mailbox = a_mailbox()
    paid = []
    for tried, broken in (*[(1, 1)] * 7, (20, 0), (20, 0)):
        mailbox.broke(broken, tried, lane_rows=20)
        paid.append(mailbox.lanes_pay)
    assert paid == [*[True] * 5, *[False] * 2, *[True] * 2]


def test_a_short_lane_is_judged_by_its_share() -> None:
    """Two rows of four count like ten of twenty, and lanes that run to their end pay, however short they are."""
    mailbox = a_mailbox()
    for _ in range(50):
        mailbox.broke(1, 2, lane_rows=4)
    assert mailbox.lanes_pay
    for _ in range(50):
        mailbox.broke(1, 1, lane_rows=4)
    assert not mailbox.lanes_pay


@pytest.mark.parametrize("size", [1, 4, 20])
def test_rows_of_batches_tell_whether_lanes_would_pay(size: int) -> None:
    """Where lanes were given up, batches bring them back once fewer than one row of six would break one, and end them beyond."""
    mailbox, rng = a_mailbox(), random.Random(14)
    for _ in range(20):
        mailbox.broke(1, 1, lane_rows=20)
    assert not mailbox.lanes_pay

    def share_paid(breaks_p: float) -> float:
        paid = 0
        for _ in range(4_000 // size):
            mailbox.broke(sum(rng.random() < breaks_p for _ in range(size)), size)
            paid += mailbox.lanes_pay
        return paid * size / 4_000

    assert share_paid(0.06) > 0.9
    assert share_paid(0.4) < 0.1


# ----------------------------------------------------------------------------------------------------------------- waits


def test_when_it_may_send() -> None:
    """A mailbox with new rows may send now, and one with rows to send again when the first is due.

    Without rows or without a free slot it may not send until an event.
    """
    mailbox = a_mailbox(1)
    assert mailbox.ready_at(3.0) == 3.0
    mailbox.draw(1, 3.0)
    assert mailbox.ready_at(3.0) == inf
    mailbox.put_back(Attempt(0, 1), 8.0)
    mailbox.put_back(Attempt(1, 1), 9.0)
    assert mailbox.ready_at(3.0) == 8.0
    mailbox.send_alone([Attempt(2, 1)])
    assert mailbox.ready_at(3.0) == 3.0
    mailbox.block(5.0)
    assert mailbox.ready_at(3.0) == 5.0


def lose(mailbox: Mailbox, batch: int, rows: int, sent_at: float, *, lane: bool) -> None:
    """Draw rows, and lose the call that carried them one second later."""
    drawn = mailbox.draw_lane(rows, sent_at) if lane else mailbox.draw(rows, sent_at)
    assert len(drawn) == rows
    mailbox.lost_while_running(batch, rows, sent_at, sent_at + 1.0, lane=lane, cooldown_s=10.0)


def a_known_service(rows: int = 100) -> Mailbox:
    """Return a mailbox of a service on which a lost batch may run for ten seconds, and a lost lane for twenty."""
    cooldown = LostCallCooldown(Limits(quarantine_s=40.0), slowest_s=10.0 / 2.02, answered=1_000)
    return Mailbox(7, 0, rows, Window(10_000, 600.0), cooldown, limit_max=4)


@pytest.mark.parametrize(("rows", "left"), [(1, 3), (2, 2), (3, 1), (4, 0), (20, 0)])
def test_a_lost_batch_holds_a_slot_for_each_row_until_its_cooldown_is_over(rows: int, left: int) -> None:
    """A lost batch holds as many slots as rows and at most all, from its sending on; the others are used meanwhile."""
    mailbox = a_known_service()
    lose(mailbox, 1, rows, 100.0, lane=False)
    assert not mailbox.in_flight
    assert mailbox.free_slots(101.0) == left
    assert mailbox.sendable(101.0, 20) == left
    assert mailbox.ready_at(101.0) == pytest.approx(101.0 if left else 110.0)
    assert mailbox.free_slots(110.001) == 4
    assert mailbox.sendable(110.001, 20) == 20


def test_a_lost_lane_holds_one_slot_for_longer() -> None:
    """A lost lane holds one slot for twice as long, however many rows it had."""
    mailbox = a_known_service()
    lose(mailbox, 1, 20, 100.0, lane=True)
    assert [mailbox.free_slots(now) for now in (101.0, 119.9, 120.1)] == [3, 3, 4]


def test_several_lost_calls_hold_their_slots_each_until_its_own_end() -> None:
    """Slots of lost calls add up, each with its own end, and a mailbox sends when the first of them is free."""
    mailbox = a_known_service()
    lose(mailbox, 1, 2, 100.0, lane=False)
    lose(mailbox, 2, 9, 103.0, lane=True)
    lose(mailbox, 3, 1, 105.0, lane=False)
    assert mailbox.free_slots(106.0) == 0
    assert mailbox.ready_at(106.0) == pytest.approx(110.0)
    assert [mailbox.free_slots(now) for now in (110.1, 115.1, 123.1)] == [2, 3, 4]


def test_a_slot_in_flight_and_a_held_one_are_counted_together() -> None:
    """While two slots are held, two rows fly, and the mailbox is ready when the held slots are free."""
    mailbox = a_known_service()
    lose(mailbox, 1, 2, 100.0, lane=False)
    mailbox.draw(2, 102.0)
    assert (mailbox.slots_taken, mailbox.free_slots(102.0)) == (2, 0)
    assert mailbox.ready_at(102.0) == pytest.approx(110.0)
    with pytest.raises(AssertionError, match="too many requests at once"):
        mailbox.draw(1, 102.0)


def test_a_late_answer_frees_the_slots_of_its_call_only() -> None:
    """A late answer ends what its own call held, and the wait in it holds for the mailbox."""
    mailbox = a_known_service()
    lose(mailbox, 1, 2, 100.0, lane=False)
    lose(mailbox, 2, 2, 100.5, lane=False)
    mailbox.came_late(1, 102.0, gone=True, wait_s=0.0)
    assert mailbox.free_slots(102.0) == 2
    assert mailbox.ready_at(102.0) == 102.0
    mailbox.came_late(2, 102.0, gone=False, wait_s=30.0)
    assert mailbox.free_slots(102.0) == 4
    assert mailbox.ready_at(102.0) == 132.0
