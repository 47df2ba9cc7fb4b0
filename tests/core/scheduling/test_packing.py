"""Tests of packing: which mailboxes share the next batch, and how many rows each gives."""

from __future__ import annotations

from random import Random

from purgeengine.core.forecast.call_times import CallTimes
from purgeengine.core.limits.lost_calls import LostCallCooldown
from purgeengine.core.limits.window import Window
from purgeengine.core.scheduling.critical import CriticalPlan
from purgeengine.core.scheduling.mailbox import Mailbox
from purgeengine.core.scheduling.packing import ReadyQueue, choose
from purgeengine.run_limits import Limits


class Told(CriticalPlan):
    """A plan with given critical mailboxes (those of so many rows or more) and a given size."""

    def __init__(self, critical_rows: int, size: int, *, lanes_allowed: bool = True) -> None:
        super().__init__(Limits(), Random(1), CallTimes(20))
        self._critical_rows, self._size, self._lanes_allowed = critical_rows, size, lanes_allowed

    def is_critical(self, mailbox: Mailbox, now: float) -> bool:
        return mailbox.remaining >= self._critical_rows

    def size_for(self, mailbox: Mailbox, now: float) -> int:
        return self._size

    def may_have_lanes(self, mailbox: Mailbox, in_lanes: int) -> bool:
        return self._lanes_allowed


def queue_of(*rows: int) -> tuple[ReadyQueue, list[Mailbox]]:
    """Return a queue of ready mailboxes with so many rows, and the mailboxes."""
    queue = ReadyQueue()
    mailboxes = []
    for number, count in enumerate(rows):
        mailbox = Mailbox(number, 0, count, Window(10_000, 600.0), LostCallCooldown(Limits()), limit_max=4)
        queue.push(mailbox)
        mailboxes.append(mailbox)
    return queue, mailboxes


def test_one_that_must_wait_after_all_is_passed_over() -> None:
    """A mailbox that was blocked after it was queued is passed over and returned to be placed again."""
    queue, (heavy, light, lighter) = queue_of(30, 20, 10)
    heavy.block(50.0)
    chosen = choose(queue, 10.0, 20, 4, 3, None, 0, spread=False)
    assert (chosen.shares, chosen.stale, chosen.rows) == ([(light, 4), (lighter, 3)], [heavy], 7)
    assert (chosen.lane, chosen.urgent) == (None, False)
    assert len(queue) == 0


def test_a_full_batch_takes_no_more() -> None:
    """A batch with room for six rows takes four of the heaviest mailbox and two of the next, and leaves the third."""
    queue, (heavy, light, lighter) = queue_of(30, 20, 10)
    chosen = choose(queue, 0.0, 6, 4, 4, None, 0, spread=False)
    assert chosen.shares == [(heavy, 4), (light, 2)]
    assert queue.pop() is lighter


def test_a_quick_batch_is_shared_with_critical_mailboxes_only() -> None:
    """A quick batch is shared with critical mailboxes only, because another one would slow it down."""
    queue, (first, second, other) = queue_of(300, 200, 100)
    chosen = choose(queue, 0.0, 20, 4, 4, Told(critical_rows=200, size=10), 0, spread=False)
    assert (chosen.shares, chosen.urgent, chosen.lane) == ([(first, 4), (second, 4)], True, None)
    assert queue.pop() is other
    assert queue.pop() is None


def test_a_quick_batch_is_no_larger_than_the_plan_says() -> None:
    """A quick batch has at most as many rows as the plan says."""
    queue, (first, second, _) = queue_of(300, 200, 100)
    assert choose(queue, 0.0, 20, 4, 4, Told(critical_rows=50, size=5), 0, spread=False).shares == [
        (first, 4),
        (second, 1),
    ]


def test_where_no_lane_may_run_a_critical_mailbox_shares_a_full_batch_with_its_like() -> None:
    """Where no lane may run, or lanes break too early, a critical mailbox shares a full batch with other critical ones."""
    for lanes_allowed in (True, False):
        queue, mailboxes = queue_of(300, 290, 280, 270, 260, 250)
        if lanes_allowed:
            for _ in range(20):
                mailboxes[0].broke(1, 1, lane_rows=20)
        chosen = choose(queue, 0.0, 20, 4, 4, Told(200, size=0, lanes_allowed=lanes_allowed), 0, spread=False)
        assert (chosen.rows, chosen.urgent, chosen.lane) == (20, True, None)


def test_a_lane_is_for_the_heaviest_alone() -> None:
    """A lane is for the heaviest mailbox alone, and the others stay in the queue."""
    queue, (first, second, _) = queue_of(300, 200, 100)
    chosen = choose(queue, 0.0, 20, 4, 4, Told(critical_rows=200, size=0), 0, spread=False)
    assert (chosen.lane, chosen.shares, chosen.urgent) == (first, [], False)
    assert queue.pop() is second


def test_a_mailbox_with_a_lane_gives_the_slots_that_are_left_to_a_narrow_batch() -> None:
    """A mailbox with a lane gives its free slots to a narrow batch, and is left out of a wide one until the lane has ended."""
    for width, shares in ((4, [3, 4]), (20, [10])):
        queue, (laned, other) = queue_of(100, 10)
        laned.draw_lane(20, 0.0)
        chosen = choose(queue, 0.0, 20, width, width, None, 0, spread=False)
        assert chosen.shares == list(zip([laned, other][-len(shares) :], shares, strict=True))
        assert chosen.stale == []  # the lane's end places it again


def test_the_queue_knows_a_mailbox_once_and_hands_out_the_heaviest() -> None:
    """The queue holds a mailbox once and gives out the heaviest, of two equal ones the first that was opened."""
    queue, (first, second, third) = queue_of(10, 30, 10)
    queue.push(second)
    assert len(queue) == 3
    assert [queue.pop() for _ in range(4)] == [second, first, third, None]
    queue.push(third)
    assert (len(queue), queue.pop()) == (1, third)


def test_a_mailbox_whose_turn_comes_while_it_must_wait_sends_nothing() -> None:
    """A mailbox that must wait when its turn comes gives no rows."""
    queue, mailbox = ReadyQueue(), Mailbox(7, 0, 100, Window(10_000, 600.0), LostCallCooldown(Limits()), limit_max=4)
    queue.push(mailbox)
    mailbox.block(50.0)
    chosen = choose(queue, 10.0, 20, 4, 4, None, 0, spread=False)
    assert (chosen.shares, chosen.stale) == ([], [mailbox])
