"""The slots of a mailbox against a model of the service: never more than four requests at once, whatever is lost.

The service runs a lost call for as long as its cooldown lasts, counted from its sending: of a batch up to four rows at once, of a
lane one. Calls in flight run until they land.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from math import inf
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from purgeengine.core.limits.lost_calls import LANE_COOLDOWN_FACTOR, LostCallCooldown
from purgeengine.core.limits.window import Window
from purgeengine.core.model import Attempt
from purgeengine.core.scheduling.mailbox import Mailbox
from purgeengine.run_limits import Limits
from tests.support.properties import examples

SLOTS = 4
COOLDOWN_S = 10.0
LIMITS = Limits(quarantine_s=LANE_COOLDOWN_FACTOR * COOLDOWN_S, quarantine_s_min=COOLDOWN_S)


@dataclass
class Running:
    """A call that the service runs: until it lands, and if its answer is lost, until ``until``."""

    batch: int
    attempts: Sequence[Attempt]
    sent_at: float
    lane: bool
    until: float = inf

    @property
    def at_once(self) -> int:
        """Requests of the mailbox that it may be running at once."""
        return 1 if self.lane else min(SLOTS, len(self.attempts))


class MailboxOnAService(RuleBasedStateMachine):
    """Draws rows of one mailbox in all ways, lands and loses calls, and counts what the service runs."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.numbers = count(1)
        self.flying: dict[int, Running] = {}
        self.lost: dict[int, Running] = {}
        self.earlier: list[tuple[float, int]] = []

    @initialize(rows=st.integers(1, 200), earlier=st.lists(st.tuples(st.floats(0, 30), st.integers(1, 2)), max_size=2))
    def opened(self, rows: int, earlier: list[tuple[float, int]]) -> None:
        cooldown = LostCallCooldown(LIMITS, slowest_s=0.01, answered=1_000)
        assert cooldown.length_s == COOLDOWN_S
        self.mailbox = Mailbox(7, 0, rows, Window(10_000, 600.0), cooldown, limit_max=SLOTS)
        for for_s, slots in earlier:
            self.mailbox.lost_slots.restore(self.now + for_s, slots)
            self.earlier.append((self.now + for_s, slots))

    # ------------------------------------------------------------------------------------------------- what is sent

    @property
    def may_send(self) -> bool:
        return self.mailbox.ready_at(self.now) <= self.now

    @precondition(lambda self: self.may_send)
    @rule(most=st.integers(1, 20))
    def a_batch_leaves(self, most: int) -> None:
        rows = self.mailbox.sendable(self.now, most)
        assert 0 <= rows <= most
        if rows:
            self.leaves(self.mailbox.draw(rows, self.now), lane=False)

    @precondition(lambda self: self.may_send)
    @rule(most=st.integers(1, 20))
    def a_lane_leaves(self, most: int) -> None:
        drawn = self.mailbox.draw_lane(most, self.now)
        if drawn:
            self.leaves(drawn, lane=True)

    @precondition(lambda self: self.may_send and self.mailbox.alone)
    @rule()
    def a_row_leaves_alone(self) -> None:
        self.leaves(self.mailbox.draw_alone(self.now), lane=False)

    def leaves(self, attempts: Sequence[Attempt], *, lane: bool) -> None:
        number = next(self.numbers)
        self.flying[number] = Running(number, attempts, self.now, lane)

    # ------------------------------------------------------------------------------------------------ what becomes of it

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), end=st.sampled_from(["purged", "refused", "never_sent", "unreadable", "one by one"]))
    def a_call_lands(self, data: st.DataObject, end: str) -> None:
        call = self.flying.pop(data.draw(st.sampled_from(sorted(self.flying))))
        rows = len(call.attempts)
        if end == "purged":
            self.mailbox.purged(rows, self.now, lane=call.lane)
        elif end == "never_sent":
            self.mailbox.never_sent(rows, lane=call.lane)
        elif end == "unreadable":
            self.mailbox.landed(rows, self.now, lane=call.lane)
        else:
            self.mailbox.landed(rows, self.now, lane=call.lane)
        if end == "one by one":
            self.mailbox.send_alone(call.attempts)
        elif end != "purged":
            for attempt in call.attempts:
                self.mailbox.put_back(attempt, self.now + data.draw(st.sampled_from([0.0, 0.5])))

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def an_answer_is_lost(self, data: st.DataObject) -> None:
        call = self.flying.pop(data.draw(st.sampled_from(sorted(self.flying))))
        cooldown_s = LANE_COOLDOWN_FACTOR * COOLDOWN_S if call.lane else COOLDOWN_S
        rows = len(call.attempts)
        self.mailbox.lost_while_running(call.batch, rows, call.sent_at, self.now, lane=call.lane, cooldown_s=cooldown_s)
        for attempt in call.attempts:
            self.mailbox.put_back(attempt, self.now)
        call.until = call.sent_at + cooldown_s
        self.lost[call.batch] = call

    @precondition(lambda self: self.lost)
    @rule(data=st.data())
    def an_answer_comes_late(self, data: st.DataObject) -> None:
        call = self.lost.pop(data.draw(st.sampled_from(sorted(self.lost))))
        for attempt in call.attempts[: data.draw(st.integers(0, len(call.attempts)))]:
            self.mailbox.take_back(attempt.position)
        self.mailbox.came_late(call.batch, self.now, gone=True, wait_s=data.draw(st.sampled_from([0.0, 3.0])))

    @rule(concurrency=st.booleans())
    def others_use_the_mailbox(self, concurrency: bool) -> None:
        self.mailbox.was_refused(good=0, concurrency=concurrency)

    @rule(replies=st.integers(1, 60))
    def it_goes_well(self, replies: int) -> None:
        self.mailbox.went_well(replies)

    @rule(seconds=st.sampled_from([0.0, 0.1, 1.0, 5.0, 30.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.mailbox.ready_at(self.now) < inf)
    @rule()
    def its_time_comes(self) -> None:
        self.now = max(self.now, self.mailbox.ready_at(self.now))

    # ------------------------------------------------------------------------------------------------- what must hold

    def running(self, calls: dict[int, Running]) -> int:
        return sum(call.at_once for call in calls.values() if call.until > self.now)

    @invariant()
    def the_service_never_runs_more_than_four(self) -> None:
        if not hasattr(self, "mailbox"):
            return
        flying = self.running(self.flying)
        held = self.running(self.lost) + sum(slots for until, slots in self.earlier if until > self.now)
        assert self.mailbox.slots_taken == flying
        assert self.mailbox.lost_slots.held(self.now) == held
        assert flying + held <= SLOTS, "more than four at once"

    def teardown(self) -> None:
        """Once nothing is lost any more, every row can be sent."""
        if not hasattr(self, "mailbox"):
            return
        for call in self.flying.values():
            self.mailbox.purged(len(call.attempts), self.now, lane=call.lane)
        while self.mailbox.remaining:
            at = self.mailbox.ready_at(self.now)
            assert at < inf, "rows are left that can never be sent"
            self.now = max(self.now, at)
            if self.mailbox.alone:
                drawn = self.mailbox.draw_alone(self.now)
            else:
                drawn = self.mailbox.draw(self.mailbox.sendable(self.now, 20), self.now)
            assert drawn
            self.mailbox.purged(len(drawn), self.now, lane=False)


TestMailboxOnAService: Any = MailboxOnAService.TestCase
TestMailboxOnAService.settings = examples(100, stateful_step_count=50)
