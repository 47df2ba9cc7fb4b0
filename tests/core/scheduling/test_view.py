"""Tests of the view: what the scheduler shows of a run."""

from __future__ import annotations

from tests.support.fixtures import THROTTLED, a_scheduler, answer, batches


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
