"""What faults cost a schedule that is told of each only when it happens, played in simulated time.

Two jobs are played that are easier than the real one, so that what stops them stops the real one as well:

- *connections*: every four rows have a mailbox of their own, so that no mailbox is ever full. Full batches leave by all
  connections.
- *slots*: the largest mailbox is alone. Lanes leave by its four slots, and a lane never finds a row gone.

The client of both sends as soon as something is free, sends lost rows again at once, and shares out the last rows. It
obeys the waits that it is told, because every client must, and waits for nothing else: it has no backoff, no cooldown
and no breaker. A reset is known when it happens, a call that hangs when its answer would have come, and the end of
unseen work when it ends. No real client knows the last two.

The *safe* client of the second job does not know when unseen work ends. Like every client that must never have more than
four requests of a mailbox running, it leaves the slot of a lost lane alone for a cooldown. The cooldown is the scheduler's
own (`purgeengine.core.limits.lost_calls`), learned from the lanes that were answered, and never longer for want of answers.
This is an estimate as well: where few calls are lost, batches with their shorter cooldown can be quicker than lanes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from heapq import heappop, heappush
from math import ceil, inf
from statistics import fmean
from typing import NamedTuple

from benchmarks.makespan.faulty_wire import Course, FaultyWire
from benchmarks.makespan.service import Service
from purgeengine.core.forecast.latency import FOUR, Dispatch, Latency
from purgeengine.core.graph.verdicts import Verdict, judge_batch
from purgeengine.core.limits.lost_calls import LostCallCooldown
from purgeengine.core.messages import BatchAnswered, BatchLost
from purgeengine.core.model import PURGED_REPLY, Batch, FirstAttempts, MailboxShare
from purgeengine.run_limits import Limits
from purgeengine.sim.graph.faults import Faults

ITEMS_MAX = 20
ROWS_PLAYED = 20_000
"""A longer job is taken to go on at the pace of the second half of this many rows."""
SEEDS = 5
UNLIMITED = 10**9
ANSWERS_BEFORE = 1_000
"""Answers that the safe client has seen before the job, so that its cooldown is never longer for want of answers."""


class Change(NamedTuple):
    """What changes for the client at an instant."""

    at: float
    freed: int = 0
    settled: int = 0
    back: int = 0
    """Rows that may be sent again."""
    run_until: float = -inf
    """Until when nothing may leave."""


@dataclass(frozen=True, slots=True)
class Relaxed:
    """An easier job: ``by_lanes`` for one mailbox alone, else without mailboxes."""

    places: int
    """Calls at once: connections, or slots of the mailbox."""
    by_lanes: bool
    faults: Faults
    dispatch: Dispatch
    latency: Latency
    safe: bool = False
    """True if the slots of lost lanes are left alone for a cooldown."""


@lru_cache(maxsize=128)
def least_s(job: Relaxed, rows: int) -> float:
    """Return the seconds in which the job's rows are settled, as the mean over several draws."""
    if rows > ROWS_PLAYED:
        half, whole = least_s(job, ROWS_PLAYED // 2), least_s(job, ROWS_PLAYED)
        return whole + (rows - ROWS_PLAYED) * (whole - half) / (ROWS_PLAYED // 2)
    return fmean(played_s(job, rows, seed) for seed in range(101, 101 + SEEDS))


def played_s(job: Relaxed, rows: int, seed: int) -> float:
    """Play the job with one draw of latencies and faults."""
    service = Service(job.latency, job.dispatch, window_requests=UNLIMITED, window_s=1.0, seed=seed)
    wire = FaultyWire(service, job.faults, job.latency.overhead_s, seed=seed, remembers=False)
    cooldown = LostCallCooldown(Limits(), answered=ANSWERS_BEFORE) if job.safe else None
    changes: list[Change] = []
    free, ready, unsettled = job.places, rows, rows
    now = blocked_until = 0.0
    while True:
        while free and ready and now >= blocked_until:
            size = min(ITEMS_MAX, ceil(ready / free))
            free -= 1
            ready -= size
            course = wire.course(_batch(service.calls, size, job), now)
            for change in _changes(course, size, job, now, cooldown):
                heappush(changes, change)
        now = min(changes[0].at if changes else inf, blocked_until if blocked_until > now else inf)
        assert now < inf, "rows are left and nothing will happen"
        while changes and changes[0].at <= now:
            change = heappop(changes)
            free += change.freed
            ready += change.back
            unsettled -= change.settled
            blocked_until = max(blocked_until, change.run_until)
        if not unsettled:
            assert not service.refused_concurrency + service.refused_rate + wire.early, "the ideal client broke a limit"
            return now


def _batch(number: int, size: int, job: Relaxed) -> Batch:
    """Return a call of so many rows. Without lanes, every four rows have a mailbox that no other call has."""
    if job.by_lanes:
        return Batch(number, "", (MailboxShare(0, FirstAttempts(range(size))),), lane=True)
    firsts = range(0, size, FOUR)
    shares = (
        MailboxShare(number * ITEMS_MAX + first, FirstAttempts(range(first, min(first + FOUR, size))))
        for first in firsts
    )
    return Batch(number, "", tuple(shares))


def _changes(
    course: Course, size: int, job: Relaxed, sent_at: float, cooldown: LostCallCooldown | None
) -> list[Change]:
    """Return what the end of a call of ``size`` rows changes, and when. A ``cooldown`` holds the slot of a lost lane."""
    at, event = course.known_at, course.event
    free_at = max(at, course.works_until) if job.by_lanes else at
    if cooldown is not None:
        if isinstance(event, BatchAnswered) and event.answer.replies is not None:
            cooldown.timed(at - sent_at)
        elif may_be_running(event):
            kept_s = min(at - sent_at, Limits().quarantine_s)
            free_at = max(sent_at + cooldown.length_of_s(lane=True), at + kept_s)
    freed = Change(free_at, freed=1)
    if not isinstance(event, BatchAnswered):
        return [freed, Change(at, back=size)]
    if event.answer.replies is None:
        return [freed, Change(at, back=size, run_until=at + (event.answer.outer.retry_after_s or 0.0))]
    failed = [reply for reply in event.answer.replies.values() if reply != PURGED_REPLY]
    waits_s = [(reply.retry_after_s if reply else None) or 0.0 for reply in failed]
    ended = Change(at, settled=size - len(failed))
    if job.by_lanes:  # the mailbox that waits is the whole job
        return [freed, ended, Change(at, back=len(failed), run_until=at + max(waits_s, default=0.0))]
    return [freed, ended, *(Change(at + wait_s, back=1) for wait_s in waits_s)]


def may_be_running(event: BatchAnswered | BatchLost) -> bool:
    """Return True if the client cannot know after this event that the service has ended its work on the call."""
    if isinstance(event, BatchAnswered):
        return event.answer.replies is None and judge_batch(event.answer.outer) is Verdict.FAULT
    return event.sent and event.running
