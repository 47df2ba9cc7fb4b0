"""Tests of the cooldown: how long a mailbox sends nothing after a lost call."""

from __future__ import annotations

import pytest

from purgeengine.core.limits.lost_calls import LostCallCooldown
from purgeengine.run_limits import Limits
from tests.support.fixtures import a_scheduler, answer, batches, lost


def test_without_evidence_the_longest_cooldown_holds() -> None:
    """With fewer than three answers the cooldown has its longest time."""
    cooldown = LostCallCooldown(Limits(quarantine_s=40.0))
    for _ in range(2):
        cooldown.timed(0.1)
        assert cooldown.length_s == 40.0


def test_it_shrinks_with_the_number_of_answers_and_grows_with_the_slowest() -> None:
    """The cooldown shrinks with the number of answers, grows with the slowest one, and never exceeds its longest time."""
    cooldown = LostCallCooldown(Limits(quarantine_s=40.0, quarantine_s_min=5.0))
    for _ in range(10):
        cooldown.timed(2.0)
    assert cooldown.length_s == pytest.approx(8.0)
    for _ in range(90):
        cooldown.timed(0.5)
    assert cooldown.length_s == pytest.approx(5.0)
    cooldown.timed(5.0)
    assert cooldown.length_s == pytest.approx(11.0, abs=0.1)
    cooldown.timed(300.0)
    assert cooldown.length_s == 40.0


def test_a_shorter_cooldown_is_reported_once() -> None:
    """A clearly shorter cooldown is reported once, with the third quick answer."""
    cooldown = LostCallCooldown(Limits(quarantine_s=40.0, quarantine_s_min=0.1))
    assert [cooldown.timed(0.3) for _ in range(4)] == [False, False, True, False]
    assert cooldown.length_s == pytest.approx(0.3 * (2.0 + 20.0 / 4))


def test_what_an_earlier_run_learned_counts() -> None:
    """A resumed run begins with the cooldown that earlier runs learned."""
    assert LostCallCooldown(Limits(quarantine_s_min=5.0), slowest_s=1.0, answered=500).length_s == 5.0


def test_a_cooldown_gets_shorter_when_the_service_turns_out_to_be_quick() -> None:
    """A mailbox in its cooldown is released early when quick answers of others make the cooldown shorter."""
    scheduler = a_scheduler(*[4] * 20, connections=1, quarantine_s=40.0, quarantine_s_min=5.0)
    (first,) = batches(scheduler.handle(now=0.0))
    commands = scheduler.handle(lost(first), now=0.0)
    for now in (1.0, 2.0, 3.0):
        (batch,) = batches(commands)
        commands = scheduler.handle(answer(batch), now=now)
    cooldown_s = 1.0 * (2.0 + 20.0 / 3)
    assert batches(commands) == []
    assert scheduler.wake_at() == pytest.approx(cooldown_s)
    (again,) = batches(scheduler.handle(now=cooldown_s))
    assert [share.mailbox for share in again.shares] == [share.mailbox for share in first.shares]


def test_a_lost_lane_is_given_longer() -> None:
    """A lost lane has twice the cooldown, because its rows run one after the other, but never more than the longest."""
    limits = Limits(quarantine_s=40.0, quarantine_s_min=5.0)
    known = LostCallCooldown(limits, slowest_s=1.0, answered=1_000)
    assert known.length_of_s(lane=True) == 2 * known.length_of_s(lane=False) == 2 * known.length_s == 10.0
    slow = LostCallCooldown(limits, slowest_s=10.0, answered=1_000)
    assert slow.length_of_s(lane=True) == 40.0
