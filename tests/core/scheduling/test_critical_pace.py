"""Tests of the expected times of calls, and of which mailboxes would end last."""

from __future__ import annotations

from random import Random

import pytest

from purgeengine.core.forecast.bound import USUAL
from purgeengine.core.limits.lost_calls import LostCallCooldown
from purgeengine.core.limits.window import Window
from purgeengine.core.scheduling.critical import CallTimes, CriticalPlan, Mean
from purgeengine.core.scheduling.mailbox import Mailbox
from purgeengine.run_limits import Limits


def a_mailbox(rows: int, number: int = 0) -> Mailbox:
    """Return a mailbox with so many rows to send."""
    limits = Limits()
    window = Window(limits.mailbox_requests, limits.mailbox_window_s)
    return Mailbox(number, 0, rows, window, LostCallCooldown(limits), limits.mailbox_concurrent_max)


def test_what_was_assumed_counts_as_ten_figures() -> None:
    """The assumed value weighs as much as ten measured ones, and many measured ones outweigh it."""
    mean = Mean()
    assert mean.after(1.0) == 1.0
    for _ in range(10):
        mean.add(4.0)
    assert mean.after(1.0) == pytest.approx(2.5)
    for _ in range(5_000):
        mean.add(4.0)
    assert mean.after(1.0) == pytest.approx(4.0, rel=0.02)


def test_old_figures_fade() -> None:
    """Old figures lose weight: a service that became slower is believed after some hundred answers."""
    mean = Mean()
    for _ in range(10_000):
        mean.add(1.0)
    for _ in range(1_500):
        mean.add(3.0)
    assert mean.after(1.0) > 2.8


def test_sizes_and_lanes_that_were_not_timed_are_taken_to_be_as_slow_as_what_was() -> None:
    """Sizes and lanes that were not timed count as slow as those that were; otherwise untimed small batches would look quick."""
    pace = CallTimes(USUAL, "all", 20)
    small_s, lane_row_s = pace.call_s(4), pace.lane_row_s
    for _ in range(1_000):
        pace.timed(20, 4 * pace.assumed_call_s(20))
    assert pace.call_s(20) == pytest.approx(4 * pace.assumed_call_s(20), rel=0.07)
    assert pace.call_s(4) == pytest.approx(4 * small_s, rel=0.07)
    assert pace.lane_row_s == pytest.approx(4 * lane_row_s, rel=0.1)
    assert pace.assumed_call_s(4) == small_s, "the measure for slowness does not move"


def test_the_first_slow_lane_does_not_make_lanes_look_quick() -> None:
    """The first slow lane confirms that the service is slow, and does not make lanes look quick."""
    pace = CallTimes(USUAL, "all", 20)
    for _ in range(1_000):
        pace.timed(20, 4 * pace.assumed_call_s(20))
    before_s = pace.lane_row_s
    pace.timed_lane(20, 20 * 4 * USUAL.item_s)
    assert pace.lane_row_s == pytest.approx(before_s, rel=0.05)


def test_a_mailbox_with_full_windows_ahead_is_critical_where_its_slots_decide() -> None:
    """A mailbox of 25,000 slow rows is critical for its slots: they take 52 minutes, and its full windows 20."""
    plan = CriticalPlan(Limits(connections=16), Random(1))
    for _ in range(1_000):
        plan.pace.timed_lane(10, 5.0)
        plan.pace.timed(20, 2.5)
    mailboxes = [a_mailbox(25_000), a_mailbox(10, 1)]
    plan.refresh(mailboxes, 0, 4, 16, now=0.0)
    assert plan.is_critical(mailboxes[0], 0.0)
    assert not plan.is_critical(mailboxes[1], 0.0)
    assert plan.size_for(mailboxes[0], 0.0) == 0


def test_the_last_rows_behind_full_windows_are_critical_where_the_windows_decide() -> None:
    """A mailbox of 50,000 rows is critical for its last 10,000 rows, which may leave only after 40 minutes."""
    plan = CriticalPlan(Limits(connections=16), Random(1))
    mailbox = a_mailbox(50_000)
    plan.refresh([mailbox], 0, 20, 16, now=0.0)
    assert plan.is_critical(mailbox, 0.0)
