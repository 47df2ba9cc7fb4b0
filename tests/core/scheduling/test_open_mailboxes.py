"""Tests of the open mailboxes: which are ready, which wait and until when, and how many more may be opened."""

from __future__ import annotations

from math import inf

from purgeengine.core.limits.lost_calls import LostCallCooldown
from purgeengine.core.limits.window import Window
from purgeengine.core.scheduling.mailbox import Mailbox
from purgeengine.core.scheduling.open_mailboxes import OpenMailboxes
from purgeengine.run_limits import Limits


def a_mailbox(rows: int = 100, requests: int = 10_000) -> Mailbox:
    return Mailbox(7, 0, rows, Window(requests, 600.0), LostCallCooldown(Limits()), limit_max=4)


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
