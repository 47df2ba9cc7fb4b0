"""One loop that carries events to the scheduler and commands to the edges. It decides nothing.

The engine is handed what it needs (`purgeengine.engine.ports`) and imports no edge. It keeps one promise, about order: the
entries of a turn are durable before any batch of that turn leaves.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from purgeengine import log_events, log_trace, logs
from purgeengine.core.graph.operations import PERMANENT, Operation
from purgeengine.core.messages import (
    Abandon,
    AskedToWait,
    BatchAnswered,
    BatchLost,
    Command,
    Entry,
    Event,
    GivenUp,
    Halt,
    InputEnded,
    MailboxOpened,
    QuotaChanged,
    Record,
    RenewToken,
    Send,
    StopRequested,
    TokenRenewed,
)
from purgeengine.core.model import Batch
from purgeengine.core.scheduling.scheduler import Scheduler
from purgeengine.engine.errands import Errands
from purgeengine.engine.hours_watch import HoursWatch
from purgeengine.engine.ports import UNOBSERVED, Clock, Hours, LedgerPort, Observer, Tokens, Transport, Watcher
from purgeengine.engine.sending import BatchSender
from purgeengine.errors import PurgeEngineError

DRAIN_S_MAX = 30.0
"""Seconds for which a run that stops waits for the batches in flight. Rows without an answer by then stay in doubt, and a resumed
run settles them."""
TURN_S_MIN = 0.002
"""The fewest seconds from one turn to the next under load. All that comes in between shares one commit. A call takes about a
hundred times longer."""
_NO_MORE = InputEnded()
WAIT_S_MIN = 0.001
"""The shortest wait for an instant, in seconds. Timers are no finer, and a loop that spins is of no use."""


class Engine:
    """Runs the scheduler until it has finished or must stop."""

    def __init__(
        self,
        scheduler: Scheduler,
        mailboxes: Iterator[MailboxOpened | None],
        *,
        ledger: LedgerPort,
        transport: Transport,
        tokens: Tokens,
        clock: Clock,
        watcher: Watcher,
        hours: Hours | None = None,
        operation: Operation = PERMANENT,
        observer: Observer = UNOBSERVED,
        log: Any = None,
    ) -> None:
        """``mailboxes`` may yield None: there is none to open before something else has happened, and it is asked again then.

        ``log`` gets the log events; without it, the log of the process gets them.
        """
        log = log or logs.get_logger()
        self.scheduler = scheduler
        self._mailboxes = mailboxes
        self._ledger = ledger
        self._tokens = tokens
        self._clock = clock
        self._watcher = watcher
        self._observer = observer
        self._hours = HoursWatch(hours, clock, self.stop)
        self._errands = Errands(self._fail_at_once)
        self._sender = BatchSender(
            scheduler,
            self._errands,
            ledger=ledger,
            transport=transport,
            tokens=tokens,
            clock=clock,
            operation=operation,
            on_leave=self._call_left,
            log=log,
            observer=observer,
            allowed_now=self._hours.allow_now,
        )
        self._inbox: deque[Event] = deque()
        self._news = asyncio.Event()
        self._alarm: asyncio.TimerHandle | None = None
        self._wakes_at: float | None = None
        """When the alarm wakes the loop, in monotonic seconds; `inf` if only news does. None while the loop does not wait."""
        self._failure: BaseException | None = None
        self._drain_until: float | None = None
        self._turned_at = float("-inf")
        self.halted: Halt | None = None
        """The scheduler's reason to stop the run; None if it did not stop the run."""
        self.stop_reason: str | None = None
        """Why somebody asked the run to stop; None if nobody did."""
        self._log = log
        self._traced = log_trace.tracing()

    async def run(self) -> None:
        """Return when the run has ended or stopped.

        Raises the `PurgeEngineError` that ended the run, after the batches in flight were answered or given up.
        """
        try:
            while not self.scheduler.finished:
                events = [*await self._next_events(), *self._hours.events()]
                fanout, connections = self.scheduler.fanout, self.scheduler.connections
                await self._carry_out(self.scheduler.handle(*events, now=self._clock.monotonic()))
                for event in events:
                    if type(event) is BatchAnswered or type(event) is BatchLost:
                        self._sender.forget(event.batch)
                if self.scheduler.fanout != fanout:
                    self._log.info(log_events.FANOUT_DECIDED, rows=self.scheduler.fanout)
                if self.scheduler.connections < min(connections, self.scheduler.connections_allowed):
                    self._log.info(log_events.CONNECTIONS_LOWERED, connections=self.scheduler.connections)
                if self._drain_is_over():
                    break
        finally:
            await self._errands.abandon()
        if self._failure is not None:
            raise self._failure

    def stop(self, reason: str) -> int:
        """Send nothing more, wait at most `DRAIN_S_MAX` seconds for the batches in flight, and return from `run`.

        Returns the number of batches in flight.
        """
        if self.stop_reason is None:
            self.stop_reason = reason
            self._begin_to_drain()
            self._report(StopRequested())
        return self.scheduler.in_flight

    def tell(self, event: QuotaChanged | AskedToWait) -> None:
        """Pass on what other runs of the same app make necessary. Call it in the thread of the running loop."""
        self._report(event)

    @property
    def drain_left_s(self) -> float | None:
        """Seconds for which a run that stops still waits for answers, at most. None while it does not stop."""
        return None if self._drain_until is None else max(0.0, self._drain_until - self._clock.monotonic())

    @property
    def claims(self) -> str:
        """The claims challenge of the token that Graph refused before it halted the run, as JSON (continuous access evaluation).

        Empty if there was none, or if the run was not halted.
        """
        return "" if self.halted is None else self.halted.claims

    # -------------------------------------------------------------------------------------------------------- events in

    async def _next_events(self) -> list[Event]:
        """Return everything that has happened. If nothing has, wait for an event or for the next instant that matters."""
        opened = self._open_mailboxes()
        if not opened and not self._inbox:
            await self._wait_for_news()
        await self._gather_more()
        self._news.clear()
        while self._inbox:
            opened.append(self._inbox.popleft())
        return opened

    async def _gather_more(self) -> None:
        """Wait until `TURN_S_MIN` seconds have passed since the last turn, so that answers close together share a commit."""
        early_s = self._turned_at + TURN_S_MIN - self._clock.monotonic()
        if early_s > 0:
            await asyncio.sleep(early_s)
        self._turned_at = self._clock.monotonic()

    def _open_mailboxes(self) -> list[Event]:
        events: list[Event] = []
        for _ in range(self.scheduler.room):
            mailbox = next(self._mailboxes, _NO_MORE)
            if mailbox is None:
                break
            if isinstance(mailbox, InputEnded):
                events.append(mailbox)
                break
            events.append(mailbox)
        return events

    async def _wait_for_news(self) -> None:
        instants = [at for at in (self.scheduler.wake_at(), self._drain_until, self._hours.look_at) if at is not None]
        self._set_alarm(min(instants))
        try:
            await self._news.wait()
        finally:
            self._set_alarm(None)

    def _set_alarm(self, at: float | None) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._wakes_at = at
        if at is not None and at < float("inf"):
            wait_s = max(WAIT_S_MIN, at - self._clock.monotonic())
            self._alarm = asyncio.get_running_loop().call_later(wait_s, self._news.set)

    def _call_left(self) -> None:
        """Wake up in time for the answer to a call that leaves, which the loop did not know when it began to wait."""
        at = self.scheduler.wake_at()
        if self._wakes_at is not None and at is not None and at < self._wakes_at:
            self._set_alarm(at)

    def _report(self, event: Event) -> None:
        self._inbox.append(event)
        self._news.set()

    # ----------------------------------------------------------------------------------------------------- commands out

    async def _carry_out(self, commands: Sequence[Command]) -> None:
        entries: list[Entry] = []
        batches: list[Batch] = []
        for command in commands:
            match command:
                case Record():
                    entries.extend(command.entries)
                case Send():
                    batches.append(command.batch)
                case RenewToken():
                    self._errands.start(self._renew_token(self._sender.token_of(command.batch), command.claims))
                case GivenUp():
                    self._sender.given_up(command.batch, command.reason)
                case Abandon():
                    self._errands.abandon_call(command.batch)
                    self._sender.forget(command.batch)
                case Halt():
                    self.halted = command
                    self._begin_to_drain()
                    self._log.warning(log_events.RUN_STOPPED, reason=command.reason.value, **_logged(command.reply))
        if not entries:
            return
        writing = asyncio.ensure_future(self._write(entries))
        try:
            bodies = [self._sender.encode(batch) for batch in batches]
        finally:
            took_s = await writing
        for batch, body in zip(batches, bodies, strict=True):
            self._errands.start_call(batch.number, self._send(batch, body))
        if self._ledger.trouble is not None:
            self._fail(self._ledger.trouble)
        self._observer.recorded(entries, took_s)
        if self._traced:
            log_trace.trace(self._log, entries, self._ledger.user_of)
        reason = self._watcher.seen(entries)
        if reason is not None:
            self.stop(reason)

    async def _write(self, entries: Sequence[Entry]) -> float:
        """Write the entries, and return how many seconds that took."""
        began = self._clock.monotonic()
        await self._ledger.write(entries, round(self._clock.utc() * 1000))
        return self._clock.monotonic() - began

    async def _send(self, batch: Batch, body: bytes) -> None:
        end: BatchAnswered | BatchLost | None = None
        try:
            end = await self._sender.send(batch, body)
            if type(end) is BatchLost and end.held:
                self._hours.look_again()
            self._report(end)
        except PurgeEngineError as error:
            end = self._sender.lost(batch, error, sent=False)
            self._report(end)
            self._fail(error)
        finally:  # also where nobody waits for the answer any more
            self._observer.call_ended(batch, end, self._clock.monotonic())

    async def _renew_token(self, stale: str, claims: str) -> None:
        try:
            await self._tokens.renew(stale, claims)
        except PurgeEngineError as error:
            self._fail(error)
            return
        self._log.info(log_events.TOKEN_RENEWED)
        self._report(TokenRenewed())

    # --------------------------------------------------------------------------------------------------- how a run ends

    def _begin_to_drain(self) -> None:
        """Wait for answers, and not for batches that have not left. A second reason to stop does not extend the time."""
        if self._drain_until is None:
            self._drain_until = self._clock.monotonic() + DRAIN_S_MAX
        self._errands.recall_unsent()

    def _drain_is_over(self) -> bool:
        return self._drain_until is not None and self._clock.monotonic() >= self._drain_until

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error
        self.stop(str(error))

    def _fail_at_once(self, error: BaseException) -> None:
        """End the run after a mistake of ours, without a wait for answers that may never come."""
        self._fail(error)
        self._drain_until = self._clock.monotonic()


def _logged(reply: object) -> dict[str, object]:
    return {name: getattr(reply, name) for name in ("status", "code", "message") if getattr(reply, name)}
