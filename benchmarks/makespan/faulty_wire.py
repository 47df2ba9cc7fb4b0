"""A wire on which calls and rows fail as in the simulated tenant, in simulated time.

The faults, their forms and their waits are drawn and read by the tenant's own modules (`purgeengine.sim.graph`). What a
client cannot know keeps its slots: where a call is lost while its work goes on, the slots of its mailboxes stay taken
until the work ends. What then goes over four at once is refused and counted, so that it shows a fault of the scheduler.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from benchmarks.makespan.engine import Wire, over_concurrency
from benchmarks.makespan.service import Load, Service
from purgeengine.core.messages import BatchAnswered, BatchLost, Event
from purgeengine.core.model import PURGED_REPLY, Answer, Attempt, Batch, Reply
from purgeengine.sim.graph.call import CallPlan, EndKind
from purgeengine.sim.graph.courses import course_of
from purgeengine.sim.graph.faults import Chance, Faults, ItemFault
from purgeengine.sim.wire.answers import NOT_ATTEMPTED, NOT_FOUND, SubResponse

HANG_GIVEN_UP_S = 120.0
"""Seconds after which the transport gives up a call that never answers."""
ROUNDING_S = 1e-9
UTC_AT_ZERO_S = 0.0


class Course(NamedTuple):
    """What becomes of a call. All times are simulated seconds."""

    at: float
    """When the client is told."""
    event: BatchAnswered | BatchLost
    known_at: float
    """When a client could know it that knew how long the service works: a hang shows when its answer is due."""
    works_until: float
    """When the service ends its work."""


@dataclass(slots=True)
class ToldWaits:
    """The waits that a client was told, to count what comes too early."""

    told: tuple[tuple[float, float], ...] = ()

    def tell(self, known_at: float, until: float, now: float) -> None:
        """Note a wait that the client will know from ``known_at`` on."""
        self.told = (*(told for told in self.told if told[1] > now), (known_at, until))

    def is_early(self, now: float) -> bool:
        """Return True if a request that leaves now should have waited."""
        return any(known_at <= now < until - ROUNDING_S for known_at, until in self.told)


class FaultyWire(Wire):
    """Draws what fails. With ``remembers``, a row that was purged unseen is not found (404) when it is sent again."""

    def __init__(
        self, service: Service, faults: Faults, overhead_s: float, *, seed: int, remembers: bool = True
    ) -> None:
        super().__init__(service)
        self._chance = Chance(faults, seed)
        self._overhead_s = overhead_s
        self._remembers = remembers
        self._gone_at: dict[int, float] = {}
        self._run_waits = ToldWaits()
        self._mailbox_waits: dict[int, ToldWaits] = {}
        self.early = 0
        """Calls that left before the end of a wait that the whole run was told, and loads of a mailbox that did so."""

    def send(self, batch: Batch, now: float) -> tuple[float, Event]:
        """Begin a call. Return when the client learns how it ended, and what it learns."""
        course = self.course(batch, now)
        return course.at, course.event

    def course(self, batch: Batch, now: float) -> Course:
        """Begin a call, and return what becomes of it."""
        self._count_early(batch, now)
        fate = course_of(self._chance.call_fault(), self._chance, now, UTC_AT_ZERO_S)
        quick = now + self._overhead_s
        if not fate.runs:
            self._service.calls += 1
            works_until, answer = quick, None
        else:
            works_until, answer = self._run(batch, now)
        if fate.plan is None:
            assert answer is not None, "a call without a fault was not run"
            self._note_waits(batch, answer, works_until, now)
            return Course(works_until, BatchAnswered(batch.number, answer), works_until, works_until)
        if fate.plan.kind is EndKind.HANG:
            lost = BatchLost(batch.number, sent=True, reason="hung")
            return Course(now + HANG_GIVEN_UP_S, lost, works_until, works_until)
        at = quick if fate.early else works_until
        return Course(at, self._failure(batch, fate.plan, at, now), at, works_until)

    def _failure(self, batch: Batch, plan: CallPlan, at: float, now: float) -> BatchAnswered | BatchLost:
        """Return what the client is told of a call that failed as a whole."""
        if plan.said is not None:
            outer = reply_of(plan.said, at)
            if outer.retry_after_s is not None:
                self._run_waits.tell(at, at + outer.retry_after_s, now)
            return BatchAnswered(batch.number, Answer(outer, None))
        readable_end = plan.kind is EndKind.ANSWERED  # complete HTTP, but half of the JSON: the work has ended
        return BatchLost(batch.number, sent=True, reason=str(plan.kind), running=not readable_end)

    def _run(self, batch: Batch, now: float) -> tuple[float, Answer]:
        """Run the rows of a call. Return when they end, and what would be answered."""
        rows = [(share.mailbox, attempt) for share in batch.shares for attempt in share.attempts]
        replies, arrives = self._replies(rows, batch.lane, now)
        loads, first = [], 0
        for share in batch.shares:
            end = first + len(share.attempts)
            loads.append(Load(share.mailbox, sum(index in arrives for index in range(first, end))))
            first = end
        answered = self._begin(loads, batch.lane, now)
        refused: dict[int, tuple[int, float]] = {}
        for share, over in zip(batch.shares, answered.refused, strict=True):
            refused[share.mailbox] = over
        left = {mailbox: over for mailbox, (over, _) in refused.items()}
        for index in reversed(range(len(rows))):
            mailbox = rows[index][0]
            if index in arrives and left[mailbox]:
                left[mailbox] -= 1
                replies[index] = over_concurrency(refused[mailbox][1])
        told: dict[int, Reply | None] = {}
        for index, said in replies.items():
            if isinstance(said, SubResponse):
                told[index] = reply_of(said, answered.at)
            else:
                told[index] = said
                if said is PURGED_REPLY and self._remembers:
                    self._gone_at.setdefault(rows[index][1].position, answered.at)
        return answered.at, Answer(Reply(200), told)

    def _replies(
        self, rows: list[tuple[int, Attempt]], lane: bool, now: float
    ) -> tuple[dict[int, Reply | SubResponse], set[int]]:
        """Draw the reply to each row. Also return the indexes of the rows that arrive at their mailbox."""
        replies: dict[int, Reply | SubResponse] = {}
        arrives: set[int] = set()
        broken = False
        for index, (_, attempt) in enumerate(rows):
            if broken:
                replies[index] = NOT_ATTEMPTED
                continue
            fault = self._chance.item_fault()
            if fault is not ItemFault.THROTTLED_BEFORE:
                arrives.add(index)
            if fault is not None:
                replies[index] = self._chance.item_error(fault, now, UTC_AT_ZERO_S)
            elif self._gone_at.get(attempt.position, inf) <= now:
                replies[index] = NOT_FOUND
            else:
                replies[index] = PURGED_REPLY
            broken = lane and replies[index] is not PURGED_REPLY
        return replies, arrives

    def _count_early(self, batch: Batch, now: float) -> None:
        self.early += self._run_waits.is_early(now)
        for share in batch.shares:
            waits = self._mailbox_waits.get(share.mailbox)
            self.early += waits is not None and waits.is_early(now)

    def _note_waits(self, batch: Batch, answer: Answer, at: float, now: float) -> None:
        index = 0
        for share in batch.shares:
            for _ in share.attempts:
                reply = (answer.replies or {}).get(index)
                index += 1
                if reply is not None and reply.retry_after_s:
                    waits = self._mailbox_waits.setdefault(share.mailbox, ToldWaits())
                    waits.tell(at, at + reply.retry_after_s, now)


def reply_of(said: SubResponse, at: float) -> Reply:
    """Return what the tenant says as a client reads it at this time. A date becomes the seconds until then."""
    wait_s = None if said.wait is None else max(0.0, said.wait.ends_at(at) - at)
    return Reply(said.status, said.code, said.message, wait_s)
