"""Tests of the wire on which things fail: what the client is told and when, and what stays busy meanwhile."""

from __future__ import annotations

from benchmarks.makespan.faulty_wire import HANG_GIVEN_UP_S, FaultyWire
from benchmarks.makespan.service import Service
from purgeengine.core.forecast.latency import Latency
from purgeengine.core.messages import BatchAnswered, BatchLost
from purgeengine.core.model import PURGED_REPLY, Attempt, Batch, MailboxShare
from purgeengine.sim.graph.faults import Faults

LATENCY = Latency()


def wire_with(faults: Faults, **options: int) -> tuple[FaultyWire, Service]:
    """Return a wire with these faults, and its service."""
    service = Service(LATENCY, "four", window_requests=10_000, window_s=600.0)
    return FaultyWire(service, faults, LATENCY.overhead_s, seed=1, **options), service


def batch(number: int, rows: int = 4, *, mailbox: int = 0, first: int = 0, lane: bool = False) -> Batch:
    """Return a batch of rows of one mailbox."""
    attempts = tuple(Attempt(position) for position in range(first, first + rows))
    return Batch(number, "", (MailboxShare(mailbox, attempts),), lane=lane)


def test_without_faults_every_row_is_purged() -> None:
    """A call without a fault is answered when its work ends."""
    wire, _ = wire_with(Faults())
    course = wire.course(batch(1), 0.0)
    assert isinstance(course.event, BatchAnswered)
    assert course.event.answer.replies == dict.fromkeys(range(4), PURGED_REPLY)
    assert course.at == course.works_until > LATENCY.overhead_s


def test_a_call_that_hangs_is_given_up_and_its_slots_are_free_when_its_work_ends() -> None:
    """Nothing is told of a hang until the transport gives up; the mailbox is busy only as long as the work goes on."""
    wire, service = wire_with(Faults(hang_after=1.0))
    course = wire.course(batch(1), 0.0)
    assert isinstance(course.event, BatchLost)
    assert course.event.running
    assert course.at == HANG_GIVEN_UP_S > course.works_until
    wire.course(batch(2, first=4), course.works_until)
    assert service.refused_concurrency == 0
    wire.course(batch(3, first=8), course.works_until)
    assert service.refused_concurrency == 4


def test_a_call_that_is_told_early_keeps_its_slots() -> None:
    """A reset is told after the overhead in half of the calls. What comes before the work ends is refused, and counted."""
    wire, service = wire_with(Faults(reset_after=1.0))
    courses = [wire.course(batch(number, mailbox=number, first=4 * number), 0.0) for number in range(1, 20)]
    early = [course for course in courses if course.at < course.works_until]
    assert 0 < len(early) < len(courses)
    again = batch(99, mailbox=early[0].event.batch, first=400)
    wire.course(again, (early[0].at + early[0].works_until) / 2)
    assert service.refused_concurrency == 4


def test_half_an_answer_ends_the_work() -> None:
    """An answer that is whole but cannot be read says that the work is over; one that is cut off does not."""
    wire, _ = wire_with(Faults(truncated=1.0))
    events = [wire.course(batch(number, mailbox=number), 0.0).event for number in range(1, 20)]
    assert {event.running for event in events if isinstance(event, BatchLost)} == {False, True}


def test_a_row_that_was_purged_unseen_is_gone_the_next_time() -> None:
    """After a lost call that did its work, the row is not found; rows after it in a lane are not attempted."""
    wire, _ = wire_with(Faults(hang_after=1.0))
    ended = wire.course(batch(1, 1), 0.0).works_until
    wire._chance.set_faults(Faults())
    event = wire.course(batch(2, 3, lane=True), ended).event
    assert isinstance(event, BatchAnswered)
    assert [reply.status for reply in (event.answer.replies or {}).values() if reply] == [404, 424, 424]


def test_what_comes_before_the_end_of_a_wait_is_counted() -> None:
    """A call that leaves within a wait of the whole run counts as early; one that leaves after it does not."""
    wire, _ = wire_with(Faults(call_throttled=1.0))
    courses = [wire.course(batch(number, mailbox=number), 10.0 * number) for number in range(1, 20)]
    waited = [
        (course.at, course.event.answer.outer.retry_after_s)
        for course in courses
        if isinstance(course.event, BatchAnswered) and course.event.answer.outer.retry_after_s
    ]
    assert waited
    assert wire.early == 0
    at, wait_s = waited[-1]
    wire.course(batch(50, mailbox=50), at + wait_s)
    assert wire.early == 0


def test_a_row_that_is_refused_does_not_reach_its_mailbox() -> None:
    """Refused rows take neither slots nor time, and a call that comes within the mailbox's wait counts as early."""
    wire, service = wire_with(Faults(item_throttled_before=1.0))
    courses = [wire.course(batch(number), float(number)) for number in range(1, 9)]
    assert all(course.at - course.works_until == 0 for course in courses)
    assert service.refused_concurrency == 0
    assert wire.early > 0
