"""The pieces of a run put together: a ledger, a scheduler, a way to Graph, and what is shown meanwhile."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from purgeengine import __version__, logs
from purgeengine.commands.connecting import Way
from purgeengine.commands.progress import Display, Standing, shown
from purgeengine.commands.signals import stop_on_signal
from purgeengine.commands.words import duration
from purgeengine.config import Limits
from purgeengine.core.advice import advice_for
from purgeengine.core.guard import AutoStop, FailureThreshold
from purgeengine.core.messages import HaltReason, MailboxOpened
from purgeengine.core.quarantine import Quarantine
from purgeengine.core.scheduler import Scheduler
from purgeengine.edges.clock import SystemClock
from purgeengine.edges.ledger import Ledger
from purgeengine.edges.recorder import Recorder
from purgeengine.edges.tokens import Tokens
from purgeengine.edges.transport import HttpTransport
from purgeengine.engine import Engine
from purgeengine.errors import PurgeEngineError, RunStopped, TokenError
from purgeengine.memory import spare_the_collector
from purgeengine.report import Summary, Tally, exit_code_of
from purgeengine.seams import Clock, Hours

Result = TypeVar("Result")

MAILBOXES_TOLD = 20
"""Mailboxes in which nothing was found that a summary names."""

HALTS: dict[HaltReason, Callable[[str], PurgeEngineError]] = {
    HaltReason.REFUSED_APP: lambda said: TokenError(
        f"Graph refused the app: {said}. Check its permission (Contacts.ReadWrite with admin consent) and the tenant, "
        "then give the same command again."
    ),
    HaltReason.OUTAGE: lambda said: RunStopped(
        "Graph has not answered for a long time, so the run was stopped. The same command resumes it."
    ),
    HaltReason.WAIT_TOO_LONG: lambda said: RunStopped(
        f"Graph asked the app to wait longer than a run waits ({said}). The same command resumes it after that time."
    ),
}


@dataclass(slots=True)
class Purge:
    """One run over a ledger."""

    ledger: Ledger
    tokens: Tokens
    way: Way
    limits: Limits
    display: Display
    threshold: FailureThreshold | None = None
    seed: int | None = None
    auto_stop: bool = False
    """Whether to stop by itself when the run looks wrong."""
    hours: Hours | None = None
    """When it may send; None for any time."""

    def run(self) -> Summary:
        """Purge what the ledger still has to do, and sum up. Raises nothing that the run itself can cause: see `stopped`."""
        counts = self.ledger.counts()
        tally = Tally(counts.rows, counts.outcomes, self.threshold, AutoStop() if self.auto_stop else None)
        started = time.monotonic()
        error: PurgeEngineError | None = None
        scheduler: Scheduler | None = None
        if self.ledger.has_work():
            self.ledger.hold_reserve(self.limits.connections)
            spare_the_collector()
            try:
                scheduler, error = run_loop(self._purge(tally))
            finally:
                self.display.close()
        return self._summary(tally, scheduler, error, time.monotonic() - started)

    async def _purge(self, tally: Tally) -> tuple[Scheduler | None, PurgeEngineError | None]:
        clock = SystemClock()
        self.ledger.begin(round(clock.utc() * 1000), self._asked())
        try:
            scheduler, mailboxes = take_up(self.ledger, self.limits, clock, self.seed)
        except RunStopped as error:
            return None, error
        logs.get_logger().info(logs.RUN_STARTED, rows_left=tally.left, connections=self.limits.connections)
        recorder = Recorder(self.ledger)
        try:
            async with HttpTransport.open(
                graph_url=self.way.graph_url, connections=self.limits.connections, ca_file=self.way.ca_file
            ) as transport:
                engine = Engine(
                    scheduler,
                    mailboxes,
                    ledger=recorder,
                    transport=transport,
                    tokens=self.tokens,
                    clock=clock,
                    watcher=tally,
                    hours=self.hours,
                    deletion=self.ledger.deletion,
                )
                return scheduler, await self._watched(engine, tally)
        finally:
            recorder.close()

    def _asked(self) -> dict[str, Any]:
        """What a report tells of the run; nothing secret."""
        identity = self.tokens.describe()
        return {
            "version": __version__,
            "client_id": identity.client_id,
            "method": identity.method,
            "graph_host": urlsplit(self.way.graph_url).hostname,
            "connections": self.limits.connections,
            "fanout": self.limits.fanout,
            "mailbox_requests": self.limits.mailbox_requests,
            "mailbox_window_s": self.limits.mailbox_window_s,
            "requests_per_s": self.limits.requests_per_s,
        }

    async def _watched(self, engine: Engine, tally: Tally) -> PurgeEngineError | None:
        """Run the engine under the display and the signals; answer what stopped it, if anything did."""
        try:
            with stop_on_signal(engine.stop, self.display.close):
                async with shown(self.display, Standing(tally, engine.scheduler, self.hours)):
                    await engine.run()
        except PurgeEngineError as error:
            return error
        if engine.halted is not None:
            reply = engine.halted.reply
            said = " ".join(str(part) for part in (reply.status or "", reply.code, reply.message) if part)
            return HALTS[engine.halted.reason](said)
        if engine.stop_reason is not None:
            return RunStopped(f"The run was stopped: {engine.stop_reason.rstrip('.')}. The same command resumes it.")
        return None

    def _summary(
        self, tally: Tally, scheduler: Scheduler | None, error: PurgeEngineError | None, duration_s: float
    ) -> Summary:
        review = self.ledger.review(MAILBOXES_TOLD)
        counts = review.counts
        unfinished = counts.waiting + counts.in_doubt
        return Summary(
            ledger=str(self.ledger.folder),
            rows=counts.rows,
            outcomes=counts.outcomes,
            waiting=counts.waiting,
            in_doubt=counts.in_doubt,
            complete=unfinished == 0,
            calls=tally.calls,
            requests=tally.requests,
            throttled=scheduler.view.throttled if scheduler else 0,
            lost_calls=tally.lost_calls,
            closed_mailboxes=tally.closed_mailboxes,
            settled_now=tally.settled_now.total(),
            duration_s=duration_s,
            exit_code=error.exit_code if error else exit_code_of(counts.outcomes, unfinished),
            stopped=str(error) if error else None,
            fanout=scheduler.fanout if scheduler else None,
            action=self.ledger.deletion.action,
            absence=review.absence,
            advice=advice_for([review.situation(str(self.ledger.folder))], windows=os.name == "nt"),
            held_s=scheduler.view.held_s if scheduler else 0.0,
            closeness=scheduler.view.closeness if scheduler else None,
        )


def take_up(
    ledger: Ledger, limits: Limits, clock: Clock, seed: int | None
) -> tuple[Scheduler, Iterator[MailboxOpened]]:
    """A scheduler that knows what earlier runs over this ledger did, and the mailboxes that it is to be told of.

    Raises `RunStopped` when Graph asked for a wait that is not over and is longer than a run waits.
    """
    now_utc_ms = round(clock.utc() * 1000)
    blocked_s = ledger.run_blocked_for_s(now_utc_ms)
    if blocked_s > limits.retry_after_s_max:
        raise RunStopped(
            f"Graph asked the app to wait, and {duration(blocked_s)} of that are left, longer than a run waits. "
            "The same command goes on after that."
        )
    counts = ledger.counts()
    quarantine = Quarantine(limits, ledger.slowest_call_s() or 0.0, ledger.answered_calls())
    first_batch = ledger.next_batch_number
    scheduler = Scheduler(
        limits,
        random.Random(None if seed is None else f"{seed} {first_batch}"),  # no two runs choose the same ids
        now=clock.monotonic(),
        first_batch=first_batch,
        run_blocked_for_s=blocked_s,
        quarantine=quarantine,
        rows_left=counts.waiting + counts.in_doubt,
        id_type=ledger.deletion.id_type,
    )
    mailboxes = ledger.mailboxes(
        now_utc_ms=now_utc_ms,
        quarantine_s=quarantine.length_of_s(lane=limits.serial_lanes),  # no record tells which kind a batch was
        window_s=limits.mailbox_window_s + limits.window_slack_s,
    )
    return scheduler, mailboxes


def run_loop(main: Coroutine[Any, Any, Result]) -> Result:
    """Run on uvloop where the ``fast`` extra brought it, else on asyncio's own loop."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def log_end(summary: Summary) -> None:
    """One event that says how the run ended, for automation that reads logs."""
    if summary.absence is not None:
        logs.get_logger().warning(logs.RUN_DOUBTED, because=summary.absence.sentence)
    event = logs.RUN_ENDED if summary.complete else logs.RUN_STOPPED
    logs.get_logger().info(event, **{key: value for key, value in summary.as_json().items() if key != "ledger"})
