"""One loop: carries events to the scheduler and commands to the edges, and decides nothing.

The engine is handed what it needs (`purgeengine.engine.ports`) and imports no edge. Its one promise is the order: the entries of a
turn are durable before any batch of that turn leaves.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from purgeengine import logs
from purgeengine.core.graph.decode import decode_answer
from purgeengine.core.graph.encode import encode_batch
from purgeengine.core.graph.operations import PERMANENT, Operation
from purgeengine.core.messages import (
    BatchAnswered,
    BatchLost,
    Command,
    Entry,
    Event,
    Halt,
    Held,
    InputEnded,
    MailboxOpened,
    Record,
    Released,
    RenewToken,
    Send,
    StopRequested,
    TokenRenewed,
)
from purgeengine.core.model import PURGED_REPLY, Answer, Batch
from purgeengine.core.scheduling.flight import runs_of
from purgeengine.core.scheduling.scheduler import Scheduler
from purgeengine.engine.ports import Clock, Hours, LedgerPort, RawAnswer, Tokens, Transport, Watcher
from purgeengine.errors import Intercepted, NoAnswer, NotSent, PurgeEngineError

STRANGERS_TOLD_MAX = 20
"""Ways in which something else than Graph answers that are told in one run; they differ by status and page."""
DRAIN_S_MAX = 30.0
"""How long a stopping run waits for the batches in flight; what has not come by then stays in doubt and is settled on resume."""

ABANDON_S_MAX = 2.0
"""How long errands may take to end once they are given up: they have nothing to wait for but a connection to be closed."""
TURN_S_MIN = 0.002
"""Under load, turns are no closer than this: what comes in between shares one commit. A call takes some hundred times longer."""
LOOK_S_MAX = 60.0
"""How often the hours are asked anew: the wall clock may be set, and a machine may sleep."""
WAIT_S_MIN = 0.001
"""Shortest wait for an instant: timers are no finer, and a loop that spins helps nobody."""


class Engine:
    """Runs the scheduler until it has finished or must stop."""

    def __init__(
        self,
        scheduler: Scheduler,
        mailboxes: Iterator[MailboxOpened],
        *,
        ledger: LedgerPort,
        transport: Transport,
        tokens: Tokens,
        clock: Clock,
        watcher: Watcher,
        hours: Hours | None = None,
        operation: Operation = PERMANENT,
        log: Any = None,
    ) -> None:
        """``log`` is told what happens; that of the process if none is given."""
        self.scheduler = scheduler
        self._mailboxes = mailboxes
        self._ledger = ledger
        self._transport = transport
        self._tokens = tokens
        self._clock = clock
        self._watcher = watcher
        self._hours = hours
        self._look_at = float("-inf") if hours is not None else float("inf")
        self._held = False
        self._operation = operation
        self._inbox: deque[Event] = deque()
        self._news = asyncio.Event()
        self._errands: set[asyncio.Task[None]] = set()
        self._unsent: set[asyncio.Task[None]] = set()
        """Those of the errands whose batch waits for a token."""
        self._refused_token = ""
        self._claims = ""
        """What Graph wants of the token after ``_refused_token`` (JSON), or empty."""
        self._strangers: set[str] = set()
        self._asked_until = float("-inf")
        self._failure: BaseException | None = None
        self._drain_until: float | None = None
        self._turned_at = float("-inf")
        self.halted: Halt | None = None
        """Why the scheduler stopped the run by itself, if it did."""
        self.stop_reason: str | None = None
        """Why the run was asked to stop, if it was."""
        self._log = log or logs.get_logger()
        self._traced = logs.tracing()

    async def run(self) -> None:
        """Return when the run has ended or stopped. Raises the `PurgeEngineError` that ended it, once nothing is in flight."""
        try:
            while not self.scheduler.finished:
                events = [*await self._next_events(), *self._look_at_the_clock()]
                fanout, connections = self.scheduler.fanout, self.scheduler.connections
                await self._carry_out(self.scheduler.handle(*events, now=self._clock.monotonic()))
                if self.scheduler.fanout != fanout:
                    self._log.info(logs.FANOUT_DECIDED, rows=self.scheduler.fanout)
                if self.scheduler.connections < connections:
                    self._log.info(logs.CONNECTIONS_LOWERED, connections=self.scheduler.connections)
                if self._drain_is_over():
                    break
        finally:
            await self._abandon_errands()
        if self._failure is not None:
            raise self._failure

    def stop(self, reason: str) -> None:
        """Send nothing more, wait for what is in flight at most `DRAIN_S_MAX`, then return from `run`."""
        if self.stop_reason is None:
            self.stop_reason = reason
            self._begin_to_drain()
            self._report(StopRequested())

    def _begin_to_drain(self) -> None:
        """Wait for the answers to come, and not for batches to leave that have not left. A second reason gives no more time."""
        if self._drain_until is None:
            self._drain_until = self._clock.monotonic() + DRAIN_S_MAX
        for task in self._unsent:
            task.cancel()

    @property
    def claims(self) -> str:
        """What Graph wanted of a token when it last refused one (continuous access evaluation), as JSON, or empty."""
        return self._claims

    # -------------------------------------------------------------------------------------------------------- events in

    async def _next_events(self) -> list[Event]:
        """Everything that has happened; waits while nothing has and no instant that matters has come."""
        opened = self._open_mailboxes()
        if not opened and not self._inbox:
            await self._wait_for_news()
        await self._gather_more()
        self._news.clear()
        while self._inbox:
            opened.append(self._inbox.popleft())
        return opened

    async def _gather_more(self) -> None:
        """Let a little time pass since the last turn, so that commits are grouped when answers come thick and fast."""
        early_s = self._turned_at + TURN_S_MIN - self._clock.monotonic()
        if early_s > 0:
            await asyncio.sleep(early_s)
        self._turned_at = self._clock.monotonic()

    def _open_mailboxes(self) -> list[Event]:
        events: list[Event] = []
        for _ in range(self.scheduler.room):
            mailbox = next(self._mailboxes, None)
            if mailbox is None:
                events.append(InputEnded())
                break
            events.append(mailbox)
        return events

    def _look_at_the_clock(self) -> list[Event]:
        """Whether it is a time to send, when that may have changed."""
        if self._hours is None or self._clock.monotonic() < self._look_at:
            return []
        spell = self._hours.at(self._clock.utc())
        self._look_at = self._clock.monotonic() + min(max(spell.for_s, WAIT_S_MIN), LOOK_S_MAX)
        if spell.over is not None:
            self._look_at = float("inf")
            self.stop(spell.over)
            return [StopRequested()]
        if spell.allowed:
            return self._release()
        if not self._held:
            self._held = True
            self._log.warning(logs.RUN_PAUSED, for_s=round(spell.for_s))
        return [Held(spell.for_s)]

    def _release(self) -> list[Event]:
        if not self._held:
            return []
        self._held = False
        self._log.warning(logs.RUN_RELEASED)
        return [Released()]

    async def _wait_for_news(self) -> None:
        instants = [at for at in (self.scheduler.wake_at(), self._drain_until, self._look_at) if at is not None]
        if min(instants) == float("inf"):
            await self._news.wait()
            return
        loop = asyncio.get_running_loop()
        alarm = loop.call_later(max(WAIT_S_MIN, min(instants) - self._clock.monotonic()), self._news.set)
        try:
            await self._news.wait()
        finally:
            alarm.cancel()

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
                    self._run_errand(self._renew_token())
                case Halt():
                    self.halted = command
                    self._begin_to_drain()
                    self._log.warning(logs.RUN_STOPPED, reason=command.reason.value, **_told(command.reply))
        if not entries:
            return
        writing = asyncio.ensure_future(self._ledger.write(entries, round(self._clock.utc() * 1000)))
        try:
            bodies = [self._encode(batch) for batch in batches]
        finally:
            await writing
        for batch, body in zip(batches, bodies, strict=True):
            self._run_errand(self._post(batch, body))
        if self._ledger.trouble is not None:
            self._fail(self._ledger.trouble)
        if self._traced:
            logs.trace(self._log, entries, self._ledger.user_of)
        reason = self._watcher.seen(entries)
        if reason is not None:
            self.stop(reason)

    def _encode(self, batch: Batch) -> bytes:
        return encode_batch(self._ledger.folder_rows(runs_of(batch)), self._operation, serial=batch.serial)

    async def _post(self, batch: Batch, body: bytes) -> None:
        try:
            token = await self._token_for_a_batch()
            if self._must_stay(batch):
                self._report(BatchLost(batch.number, sent=False, reason="The wait came before it left.", held=True))
                return
            raw = await self._transport.post(body, batch.client_request_id, token)
        except NotSent as error:
            self._report(self._lost(batch, error, sent=False))
        except NoAnswer as error:
            self._report(self._lost(batch, error, sent=True))
        except PurgeEngineError as error:  # no token to send it with
            self._report(self._lost(batch, error, sent=False))
            self._fail(error)
        else:
            self._report(self._read(batch, raw, token))

    async def _token_for_a_batch(self) -> str:
        """The token to send a batch with. Raises `NotSent` when the run is stopped while it waits for one."""
        task = asyncio.current_task()
        assert task is not None, "errands are tasks"
        self._unsent.add(task)
        try:
            token = await self._tokens.token()
        except asyncio.CancelledError:
            raise NotSent("the run was stopped before the batch left") from None
        finally:
            self._unsent.discard(task)
        return token

    def _read(self, batch: Batch, raw: RawAnswer, token: str) -> Event:
        try:
            answer = decode_answer(raw.status, raw.headers, raw.body, batch.size, raw.received_utc, self._operation)
        except Intercepted as error:
            self._tell_of_stranger(str(error))
            return BatchLost(batch.number, sent=True, reason=str(error), running=False, intercepted=True)
        except NoAnswer as error:
            return self._lost(batch, error, sent=True, running=False)
        if not answer.outer.from_graph:
            self._tell_of_stranger(answer.outer.message)
        if _token_refused(answer):
            if answer.claims or token != self._refused_token:
                self._claims = answer.claims
            self._refused_token = token
        if answer.outer.retry_after_s is not None:
            self._asked_until = max(self._asked_until, self._clock.monotonic() + answer.outer.retry_after_s)
        return BatchAnswered(batch.number, answer)

    def _lost(self, batch: Batch, error: Exception, *, sent: bool, running: bool = True) -> BatchLost:
        """Told at once, with the reason: what is recorded of it is only that no answer came."""
        self._log.warning(logs.BATCH_LOST, batch=batch.number, reason=str(error))
        return BatchLost(batch.number, sent=sent, reason=str(error), running=running)

    def _tell_of_stranger(self, said: str) -> None:
        """At once, and once for each way in which it answers: it may answer every call."""
        if said not in self._strangers and len(self._strangers) < STRANGERS_TOLD_MAX:
            self._strangers.add(said)
            self._log.warning(logs.ANSWER_INTERCEPTED, said=said)

    def _must_stay(self, batch: Batch) -> bool:
        """Whether, since this was decided on, sending was suspended, or Graph asked everybody or one of its mailboxes to wait."""
        now = self._clock.monotonic()
        return self._held or self._asked_until > now or not self.scheduler.may_leave(batch.number, now)

    async def _renew_token(self) -> None:
        try:
            await self._tokens.renew(self._refused_token, self._claims)
        except PurgeEngineError as error:
            self._fail(error)
            return
        self._log.info(logs.TOKEN_RENEWED)
        self._report(TokenRenewed())

    # -------------------------------------------------------------------------------------------------------- its tasks

    def _run_errand(self, errand: object) -> None:
        task = asyncio.ensure_future(errand)  # type: ignore[call-overload]
        self._errands.add(task)
        task.add_done_callback(self._errand_ended)

    def _errand_ended(self, task: asyncio.Task[None]) -> None:
        self._errands.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)  # a mistake of ours: stop rather than wait for an answer that will not come
            self._drain_until = self._clock.monotonic()

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error
        self.stop(str(error))

    def _drain_is_over(self) -> bool:
        return self._drain_until is not None and self._clock.monotonic() >= self._drain_until

    async def _abandon_errands(self) -> None:
        for task in list(self._errands):
            task.cancel()
        if self._errands:
            await asyncio.wait(self._errands, timeout=ABANDON_S_MAX)


def _token_refused(answer: Answer) -> bool:
    if answer.replies is None:
        return answer.outer.status == 401
    replies = list(answer.replies.values())
    if replies.count(PURGED_REPLY) == len(replies):  # nearly always, and seen at a glance
        return False
    return any(reply is not None and reply.status == 401 for reply in replies)


def _told(reply: object) -> dict[str, object]:
    return {name: getattr(reply, name) for name in ("status", "code", "message") if getattr(reply, name)}
