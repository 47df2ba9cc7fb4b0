"""Tests of the view: what the scheduler shows of a run."""

from __future__ import annotations

import pytest

from purgeengine.core.messages import AppLimited, MailboxBlocked
from purgeengine.core.model import Reply
from tests.support.fixtures import THROTTLED, a_scheduler, answer, batches, entries


def test_the_view_shows_how_many_mailboxes_are_throttled() -> None:
    """The scheduler's view has the number of throttled mailboxes."""
    scheduler = a_scheduler(8, 8, connections=1)
    (batch,) = batches(scheduler.handle(now=0.0))
    scheduler.handle(answer(batch, THROTTLED), now=0.0)
    assert scheduler.view.throttled_mailboxes() == 1


def test_refusals_for_speed_are_counted_one_by_one() -> None:
    """Throttled rows are counted one by one in the scheduler's view."""
    scheduler = a_scheduler(4, connections=1)
    (batch,) = batches(scheduler.handle(now=0.0))
    scheduler.handle(answer(batch, THROTTLED, THROTTLED), now=1.0)
    assert scheduler.view.throttled == 2


def test_a_limit_of_the_whole_app_is_shown_and_recorded() -> None:
    """Refusals of five mailboxes at once show the limit. The rate is recorded, and the end is no sooner than at that rate."""
    scheduler = a_scheduler(*[4] * 10, connections=1)
    assert scheduler.view.app_limit_per_s is None
    (batch,) = batches(scheduler.handle(now=0.0))
    (batch,) = batches(scheduler.handle(answer(batch), now=1.0))
    asked = Reply(429, "TooManyRequests", retry_after_s=2.0)
    assert batches(scheduler.handle(answer(batch, *[asked] * 20), now=2.0)) == []
    assert scheduler.view.app_limit_per_s == 10.0
    assert scheduler.wake_at() == 4.0
    (probe,) = batches(scheduler.handle(now=4.0))
    assert probe.size == 1
    commands = scheduler.handle(answer(probe), now=5.0)
    (limited,) = entries(commands, AppLimited)
    assert limited.per_s == scheduler.view.app_limit_per_s == pytest.approx(0.9 * 21 / 5)
    left = scheduler.view.time_left()
    assert left.seconds is not None
    assert left.seconds >= 18 / limited.per_s


def test_mailboxes_refused_for_the_whole_app_are_not_blamed() -> None:
    """They wait for as long as Graph asked, or until another one has tried, however often it happens, and none is closed."""
    scheduler = a_scheduler(*[4] * 10, connections=1)
    (batch,) = batches(scheduler.handle(now=0.0))
    asked = Reply(429, "TooManyRequests", retry_after_s=1.0)
    now, refused = 0.0, [asked] * 20
    for _ in range(19):
        now += 0.5
        commands = scheduler.handle(answer(batch, *refused), now=now)
        assert all(0.999 < entry.for_s < 60.001 for entry in entries(commands, MailboxBlocked))
        while not (found := batches(commands)):
            now = scheduler.wake_at() or now
            commands = scheduler.handle(now=now)
        (batch,), refused = found, [asked]
    assert all(mailbox.experience.fruitless == mailbox.refusals == 0 for mailbox in scheduler.view.open_mailboxes)
