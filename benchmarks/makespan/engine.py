"""The engine's own scheduler on the simulated service. It gets the mailboxes as from a ledger, the largest thousand first."""

from __future__ import annotations

import random
from collections.abc import Iterator
from heapq import heappop, heappush

from benchmarks.makespan.service import CALL_WAIT_S, Answered, Load, Service
from purgeengine.core.limits.concurrency_limit import ConcurrencyLimit
from purgeengine.core.messages import (
    BatchAnswered,
    Entry,
    Event,
    InputEnded,
    MailboxOpened,
    Record,
    Send,
    StopRequested,
)
from purgeengine.core.model import PURGED_REPLY, Answer, Attempt, Batch, Reply
from purgeengine.core.scheduling.scheduler import Scheduler
from purgeengine.edges.ledger.running.unfinished import HEAVY_MAX
from purgeengine.run_limits import Limits

ALL_WELL = {size: Answer(Reply(200), dict.fromkeys(range(size), PURGED_REPLY)) for size in range(1, 21)}
CONCURRENCY = "Application is over its MailboxConcurrency limit."


def run(
    rows_by_mailbox: list[int], limits: Limits, service: Service, connections: ConcurrencyLimit | None = None
) -> float:
    """Purge the job. Return the makespan in simulated seconds. ``connections`` replaces the adapting limit."""
    scheduler = Scheduler(limits, random.Random(7), connections=connections, rows_left=sum(rows_by_mailbox))
    return play(scheduler, iter(mailboxes_of(rows_by_mailbox)), Wire(service))


class Watcher:
    """Sees what the engine would do besides sending. This one ignores it."""

    def record(self, entries: list[Entry], now: float) -> bool:
        """Take entries that must be durable before anything else is sent. Return True to stop the run."""
        return False

    def reply(self, attempt: Attempt) -> Reply:
        """Return the reply to a row that is not throttled."""
        return PURGED_REPLY

    def sends(self, batch: Batch) -> None:
        """Note that a batch leaves."""


class Wire:
    """Carries batches to the service and says what comes of them. Here nothing fails but what the service refuses."""

    def __init__(self, service: Service, watcher: Watcher | None = None) -> None:
        self._service = service
        self._watcher = watcher
        self._working: list[tuple[float, int, list[Load], bool]] = []
        self._sent = 0

    def send(self, batch: Batch, now: float) -> tuple[float, Event]:
        """Begin a call. Return when the client learns how it ended, and what it learns."""
        loads = _loads(batch)
        answered = self._begin(loads, batch.lane, now)
        answer = ALL_WELL[batch.size]
        if self._watcher:
            self._watcher.sends(batch)
            attempts = (attempt for share in batch.shares for attempt in share.attempts)
            answer = Answer(Reply(200), {index: self._watcher.reply(attempt) for index, attempt in enumerate(attempts)})
        if answered.turned_away:
            answer = Answer(Reply(429, "TooManyRequests", retry_after_s=CALL_WAIT_S), None)
        elif any(rows for rows, _ in answered.refused):
            replies: dict[int, Reply | None] = dict(answer.replies or {})
            index = 0
            for share, (rows, wait_s) in zip(batch.shares, answered.refused, strict=True):
                index += len(share.attempts)
                for row in range(index - rows, index):
                    replies[row] = over_concurrency(wait_s)
            answer = Answer(Reply(200), replies)
        return answered.at, BatchAnswered(batch.number, answer)

    def _begin(self, loads: list[Load], lane: bool, now: float) -> Answered:
        """Begin the work of a call. Its slots stay taken until the work ends, whatever the client learns before."""
        while self._working and self._working[0][0] <= now:
            _, _, ended, ended_lane = heappop(self._working)
            self._service.end(ended, ended_lane)
        answered = self._service.begin(loads, lane, now)
        self._sent += 1
        heappush(self._working, (answered.at, self._sent, answered.accepted(loads), lane))
        return answered


def play(scheduler: Scheduler, mailboxes: Iterator[MailboxOpened], wire: Wire, watcher: Watcher | None = None) -> float:
    """Purge the mailboxes. Return when the run ended, in simulated seconds."""
    coming: list[tuple[float, int, Event]] = []
    waiting = next(mailboxes, None)
    now = 0.0
    events: list[Event] = []
    while True:
        while waiting and scheduler.room > len(events):
            events.append(waiting)
            waiting = next(mailboxes, None)
        if not waiting:
            events.append(InputEnded())
        commands = scheduler.handle(*events, now=now)
        events = []
        entries = [entry for command in commands if isinstance(command, Record) for entry in command.entries]
        if watcher and entries and watcher.record(entries, now):
            events.append(StopRequested())
        for command in commands:
            if isinstance(command, Send):
                assert scheduler.may_leave(command.batch.number, now), "it was decided on at this very moment"
                at, event = wire.send(command.batch, now)
                heappush(coming, (at, command.batch.number, event))
        if scheduler.finished:
            return now
        wake_at = scheduler.wake_at()
        at = min(coming[0][0] if coming else float("inf"), wake_at if wake_at is not None else float("inf"))
        if events or (waiting and scheduler.room):
            continue
        assert at < float("inf"), "everybody waits and nothing will happen"
        now = max(now, at)
        while coming and coming[0][0] <= now:
            events.append(heappop(coming)[2])


def over_concurrency(wait_s: float) -> Reply:
    """Return the refusal of a row beyond its mailbox's limits, which asks for this wait."""
    return Reply(429, "ApplicationThrottled", CONCURRENCY, wait_s)


def mailboxes_of(rows_by_mailbox: list[int]) -> list[MailboxOpened]:
    """Return the mailboxes: the largest first, the others in the given order."""
    opened = []
    first = 0
    for number, rows in enumerate(rows_by_mailbox):
        opened.append(MailboxOpened(number, first, first + rows))
        first += rows
    heavy = sorted(opened, key=lambda mailbox: mailbox.next - mailbox.end)[:HEAVY_MAX]
    known = {mailbox.mailbox for mailbox in heavy}
    return [*heavy, *(mailbox for mailbox in opened if mailbox.mailbox not in known)]


def _loads(batch: Batch) -> list[Load]:
    return [Load(share.mailbox, len(share.attempts)) for share in batch.shares]
