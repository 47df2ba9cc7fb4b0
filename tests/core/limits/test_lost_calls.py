"""Tests of lost calls: how long one may be running, and which slots of its mailboxes it may hold meanwhile."""

from __future__ import annotations

from math import inf
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purgeengine.core.limits.lost_calls import LostCallCooldown, LostSlots
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
    cooldown.timed(100.0)
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


# ------------------------------------------------------------------------------------------------------- slots they hold


def test_a_lost_call_holds_its_slots_until_its_cooldown_from_the_sending_is_over() -> None:
    """Slots are held from the sending on, each call's for its own cooldown, and the end of one may be asked for."""
    slots = LostSlots(LostCallCooldown(Limits(quarantine_s=40.0)))
    assert (bool(slots), slots.held(0.0), slots.frees_at(0)) == (False, 0, -inf)
    slots.add(1, 10.0, 3, lane=False)
    slots.add(2, 15.0, 1, lane=True)
    assert [slots.held(now) for now in (20.0, 49.9)] == [4, 4]
    assert [slots.frees_at(most) for most in (4, 3, 1, 0)] == [-inf, 50.0, 50.0, 55.0]
    assert [slots.held(now) for now in (50.0, 54.9, 55.0)] == [1, 1, 0]
    assert not slots


def test_a_look_forgets_no_call() -> None:
    """A call whose cooldown is over still counts when the cooldown becomes longer, if somebody only looked meanwhile."""
    cooldown = LostCallCooldown(Limits(quarantine_s=40.0))
    slots = LostSlots(cooldown)
    slots.add(1, 0.0, 3, lane=False)
    cooldown.length_s = 5.0
    assert slots.held(10.0, forget=False) == 0
    cooldown.length_s = 40.0
    assert slots.held(10.0) == 3
    cooldown.length_s = 5.0
    assert slots.held(10.0) == 0
    cooldown.length_s = 40.0
    assert slots.held(10.0) == 0


def test_slots_of_an_earlier_run_keep_their_end() -> None:
    """What an earlier run left has an end that later answers do not change, and no release of a batch ends it."""
    cooldown = LostCallCooldown(Limits(quarantine_s=40.0, quarantine_s_min=5.0))
    slots = LostSlots(cooldown)
    slots.restore(30.0, 2)
    slots.add(1, 0.0, 1, lane=False)
    for _ in range(100):
        cooldown.timed(0.1)
    slots.release(1)
    slots.release(7)
    assert [slots.held(now) for now in (29.9, 30.0)] == [2, 0]


class Held(NamedTuple):
    """A call in the plain model."""

    batch: int
    sent_at: float
    slots: int
    lane: bool
    until: float | None


STEPS = st.one_of(
    st.tuples(st.just("pass"), st.floats(0, 15)),
    st.tuples(st.just("add"), st.integers(1, 4), st.booleans(), st.floats(0, 10)),
    st.tuples(st.just("restore"), st.integers(1, 4), st.floats(0, 60)),
    st.tuples(st.just("release"), st.integers(1, 12)),
    st.tuples(st.just("timed"), st.floats(0.01, 30)),
)


@given(st.lists(STEPS, max_size=60))
def test_held_slots_are_those_of_a_plain_model(steps: list[tuple[Any, ...]]) -> None:
    """Slots held and their ends are those of a list of calls that is gone through anew each time.

    The cooldown changes meanwhile. A call whose slots were free once does not hold them again when the cooldown grows.
    """
    cooldown = LostCallCooldown(Limits(quarantine_s=40.0, quarantine_s_min=2.0))
    slots, model, now, batches_sent = LostSlots(cooldown), list[Held](), 0.0, 0

    def end(call: Held) -> float:
        return call.sent_at + cooldown.length_of_s(lane=call.lane) if call.until is None else call.until

    for what, *figures in steps:
        if what == "pass":
            now += figures[0]
        elif what == "add":
            batches_sent += 1
            rows, lane, age_s = figures
            slots.add(batches_sent, now - age_s, rows, lane=lane)
            model.append(Held(batches_sent, now - age_s, rows, lane, None))
        elif what == "restore":
            slots.restore(now + figures[1], figures[0])
            model.append(Held(0, 0.0, figures[0], False, now + figures[1]))
        elif what == "release":
            slots.release(figures[0])
            model = [call for call in model if call.batch != figures[0]]
        else:
            cooldown.timed(figures[0])
        model = [call for call in model if end(call) > now]
        held = sum(call.slots for call in model)
        assert slots.held(now) == held
        assert bool(slots) == bool(model)
        for most in range(5):
            at = slots.frees_at(most)
            if held <= most:
                assert at == -inf
            else:
                assert at > now
                assert sum(call.slots for call in model if end(call) > at) <= most
                assert sum(call.slots for call in model if end(call) >= at) > most


def test_a_call_that_was_given_up_holds_its_slots_as_long_again_at_least() -> None:
    """A call that was waited for longer than its cooldown may still run: its slots are held for as long again."""
    cooldown = LostCallCooldown(Limits(quarantine_s=5.0))
    slots = LostSlots(cooldown)
    slots.add(1, sent_at=100.0, slots=2, lane=False, not_before=160.0)
    assert slots.held(159.9) == 2
    assert slots.frees_at(0) == 160.0
    assert slots.held(160.0) == 0


def test_a_call_during_which_the_machine_slept_says_nothing() -> None:
    """No call is waited for longer than two minutes, so an hour is a sleep, and the cooldown stays as it was."""
    cooldown = LostCallCooldown(Limits(quarantine_s=40.0, quarantine_s_min=5.0))
    for _ in range(100):
        cooldown.timed(0.5)
    assert not cooldown.timed(3_600.0)
    assert cooldown.length_s == 5.0
