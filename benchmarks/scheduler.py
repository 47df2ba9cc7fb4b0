"""CPU of the scheduler alone, by the number of mailboxes: microseconds per row for everything that the engine asks of it.

    python -m benchmarks.scheduler                (200,000 rows, 1,000,000 in 100,000 mailboxes; a minute)
    python -m benchmarks.scheduler --full         (1,000,000 rows each)
    python -m benchmarks.scheduler --json out.json

Time is simulated, answers are made up, and there is no I/O. Each call ends after a time drawn in advance, nearly
always alone in its turn, as with the real service. Only the CPU time of the scheduler counts, not that of the code
that plays the service. Among the mixed answers, one call in ten has a row that is gone, and one in fifty a row that
is refused as too fast.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from dataclasses import asdict, dataclass
from heapq import heappop, heappush
from pathlib import Path
from time import process_time_ns

from purgeengine.core.messages import BatchAnswered, Command, Event, InputEnded, MailboxOpened, Send
from purgeengine.core.model import PURGED_REPLY, Answer, Reply
from purgeengine.core.scheduling.scheduler import Scheduler
from purgeengine.memory import spare_the_collector
from purgeengine.run_limits import Limits

MAILBOXES = (1, 100, 10_000, 100_000)
ROWS, ROWS_FULL = 200_000, 1_000_000
ROWS_A_MAILBOX_MIN = 10
"""With more mailboxes there are more rows, because opening a mailbox costs the same however few rows it has."""
ROUNDS = 3
CONNECTIONS = 64
CALL_S, CALL_S_SIGMA = 0.9, 0.4
"""Median seconds of a call, and how widely the times scatter (lognormally)."""
GONE = Reply(404, "ErrorItemNotFound", "The specified object was not found in the store.")
REFUSED = Reply(429, "ApplicationThrottled", "Application is over its MailboxConcurrency limit.", 1.0)
GONE_EVERY, REFUSED_EVERY = 10, 50
ALL_WELL = {size: Answer(Reply(200), dict.fromkeys(range(size), PURGED_REPLY)) for size in range(1, 21)}


@dataclass(frozen=True, slots=True)
class Cost:
    """What a job cost the scheduler. ``us_per_row`` is CPU time in microseconds."""

    mailboxes: int
    answers: str
    rows: int
    turns: int
    calls: int
    us_per_row: float


@dataclass(frozen=True, slots=True)
class Told:
    """What the scheduler answered in a turn."""

    commands: list[Command]
    room: int
    finished: bool
    wake_at: float | None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--mailboxes", type=int, nargs="*", default=MAILBOXES)
    parser.add_argument("--json", type=Path, help="the figures as a file")
    arguments = parser.parse_args()
    rows = ROWS_FULL if arguments.full else ROWS
    spare_the_collector()
    found = []
    print(f"{'mailboxes':>10} {'answers':8} {'rows':>10} {'turns':>8} {'calls':>8} {'CPU a row':>10}")
    for mixed in (False, True):
        for mailboxes in arguments.mailboxes:
            costs = [
                play(mailboxes, max(rows, ROWS_A_MAILBOX_MIN * mailboxes), mixed=mixed) for _ in range(arguments.rounds)
            ]
            cost = sorted(costs, key=lambda cost: cost.us_per_row)[len(costs) // 2]
            found.append(cost)
            print(
                f"{cost.mailboxes:10,} {cost.answers:8} {cost.rows:10,} {cost.turns:8,} {cost.calls:8,} {cost.us_per_row:7.2f} µs",
                flush=True,
            )
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(cost) for cost in found], indent=2), encoding="utf-8")


def play(mailboxes: int, rows: int, *, mixed: bool) -> Cost:
    """Purge this number of rows, spread evenly over the mailboxes."""
    scheduler = Scheduler(Limits(connections=CONNECTIONS), random.Random(1), rows_left=rows)
    waiting = _evenly(mailboxes, rows)
    rng, median = random.Random(2), math.log(CALL_S)
    answers: list[tuple[float, int, Answer]] = []
    spent_ns = turns = calls = 0
    now, room = 0.0, scheduler.room
    events: list[Event] = []
    while True:
        while waiting and room > 0:
            events.append(waiting.pop())
            room -= 1
            if not waiting:
                events.append(InputEnded())
        began = process_time_ns()
        told = _turn(scheduler, events, now)
        spent_ns += process_time_ns() - began
        turns += 1
        events, room = [], told.room
        for command in told.commands:
            if isinstance(command, Send):
                calls += 1
                answer = _answer(calls, command.batch.size) if mixed else ALL_WELL[command.batch.size]
                heappush(answers, (now + rng.lognormvariate(median, CALL_S_SIGMA), command.batch.number, answer))
        if told.finished:
            break
        if waiting and room > 0:
            continue
        now = max(now, min(answers[0][0] if answers else math.inf, math.inf if told.wake_at is None else told.wake_at))
        assert now < math.inf, "everybody waits and nothing will happen"
        while answers and answers[0][0] <= now:
            _, batch, answer = heappop(answers)
            events.append(BatchAnswered(batch, answer))
    return Cost(mailboxes, "mixed" if mixed else "all well", rows, turns, calls, spent_ns / rows / 1_000)


def _turn(scheduler: Scheduler, events: list[Event], now: float) -> Told:
    """Do what the engine does in one turn of its loop."""
    commands = scheduler.handle(*events, now=now)
    return Told(commands, scheduler.room, scheduler.finished, scheduler.wake_at())


def _evenly(mailboxes: int, rows: int) -> list[MailboxOpened]:
    share, rest = divmod(rows, mailboxes)
    opened, first = [], 0
    for number in range(mailboxes):
        end = first + share + (number < rest)
        opened.append(MailboxOpened(number, first, end))
        first = end
    return opened[::-1]


def _answer(call: int, size: int) -> Answer:
    """Return the answer to the call with this number: all rows purged, except for a row now and then."""
    replies: dict[int, Reply | None] = dict.fromkeys(range(size), PURGED_REPLY)
    if call % GONE_EVERY == 0:
        replies[size // 2] = GONE
    if call % REFUSED_EVERY == 0:
        replies[size - 1] = REFUSED
    return Answer(Reply(200), replies)


if __name__ == "__main__":
    main()
