"""Tests of pauses of the whole app where a mailbox has a cause of its own, and of rows that travel alone beside lanes."""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count
from typing import Protocol

import pytest

from purgeengine.core.messages import BatchAnswered, Event, Send, Settled
from purgeengine.core.model import Batch, Reply
from purgeengine.core.scheduling.scheduler import Scheduler
from tests.support.fixtures import PURGED, a_scheduler, answer, batches, entries, lost, refusal

CALL_S = 0.2
TURNS_MAX = 30_000


class Service(Protocol):
    """Answers a batch at an instant."""

    def __call__(self, batch: Batch, now: float) -> Event: ...


class Played:
    """A run against a service that answers each call after `CALL_S` seconds."""

    def __init__(self, scheduler: Scheduler, service: Service, until: float) -> None:
        self.settled = self.turns = self.idle_turns = 0
        self.now = 0.0
        answers: list[tuple[float, int, Event]] = []
        events: list[Event] = []
        order = count()
        while self.now < until and not scheduler.finished:
            self.turns += 1
            assert self.turns < TURNS_MAX, "the run spins"
            commands = scheduler.handle(*events, now=self.now)
            self.settled += sum(entry.rows for entry in entries(commands, Settled))
            for command in commands:
                if isinstance(command, Send):
                    batch = command.batch
                    if scheduler.may_leave(batch.number, self.now):
                        heappush(answers, (self.now + CALL_S, next(order), service(batch, self.now + CALL_S)))
                    else:
                        heappush(answers, (self.now, next(order), lost(batch, sent=False)))
            if scheduler.finished:
                break
            wake_at = scheduler.wake_at()
            self.idle_turns += not events and not commands and wake_at is not None and wake_at <= self.now
            events = []
            instants = [at for at in (wake_at, answers[0][0] if answers else None) if at is not None]
            assert instants, "nothing will ever happen"
            self.now = max(self.now, min(instants))
            while answers and answers[0][0] <= self.now:
                events.append(heappop(answers)[2])


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("retry_after_s", [None, 0.2, 5.0])
def test_a_mailbox_that_is_always_refused_does_not_keep_the_others_paused(
    largest: bool, retry_after_s: float | None
) -> None:
    """Others use one mailbox, and the app is too fast for a second and a half. The other 60 mailboxes are done within minutes."""
    sizes, bad = ([400] + [40] * 60, 0) if largest else ([40] * 60 + [12], 60)
    told = Reply(429, "TooManyRequests", "x", retry_after_s)

    def service(batch: Batch, now: float) -> BatchAnswered:
        too_fast = 5.0 <= now < 6.5
        replies = [
            told if too_fast or share.mailbox == bad else PURGED for share in batch.shares for _ in share.attempts
        ]
        return answer(batch, *replies)

    played = Played(a_scheduler(*sizes, connections=4), service, until=240.0)
    assert played.settled >= 40 * 60


def test_a_pause_costs_no_turns() -> None:
    """While a pause of five seconds lasts, nothing asks the scheduler again and again."""

    def service(batch: Batch, now: float) -> BatchAnswered:
        return answer(batch, rest=Reply(429, "x", "", 5.0) if 0.3 < now < 3.0 else PURGED)

    for seed in range(10):
        sizes = [(3, 5, 8, 40)[(seed + number * number) % 4] for number in range(40)]
        assert Played(a_scheduler(*sizes, seed=seed, connections=8), service, until=12.0).idle_turns < 20


@pytest.mark.parametrize("fanout", [4, 20])
@pytest.mark.parametrize("sizes", [[2], [4], [5], [8], [20], [100], [4, 4], [30, 3, 3], [200, 4, 4, 4]])
def test_rows_that_travel_alone_go_with_lanes(sizes: list[int], fanout: int) -> None:
    """Graph refuses unordered batches as a whole for a second, so that rows travel alone. Lanes are used meanwhile, none empty."""

    def service(batch: Batch, now: float) -> Event:
        if batch.size > 1 and not batch.lane and now < 1.0:
            return refusal(batch, 400, "BadRequest")
        return answer(batch)

    played = Played(a_scheduler(*sizes, connections=8, lanes=True, fanout=fanout), service, until=300.0)
    assert played.settled == sum(sizes)


def test_a_call_that_a_gateway_gave_up_late_keeps_its_slots_for_as_long_again() -> None:
    """After three quick answers a 504 comes after 20 s. The service may run that call for 20 s more, and nothing else leaves."""
    scheduler = a_scheduler(40, connections=1, fanout=4, lanes=False, batch_items_max=4)
    (batch,) = batches(scheduler.handle(now=0.0))
    for turn in range(1, 4):
        assert scheduler.may_leave(batch.number, turn - 1.0)
        (batch,) = batches(scheduler.handle(answer(batch), now=float(turn)))
    assert scheduler.may_leave(batch.number, 3.0)
    assert batches(scheduler.handle(refusal(batch, 504), now=23.0)) == []
    assert batches(scheduler.handle(now=42.9)) == []
    assert len(batches(scheduler.handle(now=43.1))) == 1
