"""Runs read jobs: they use the engine and the scheduler of a purge, and a ledger in memory.

The scheduler decides all waits, attempts and limits. The `Limits` of a job say how patient it is.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from math import inf

from purgeengine import logs
from purgeengine.core.graph.bodies import json_or_none
from purgeengine.core.graph.claims_challenge import in_words
from purgeengine.core.graph.foreign_answers import is_graphs
from purgeengine.core.graph.operations import Operation
from purgeengine.core.graph.retry_after import http_date_utc
from purgeengine.core.graph.verdicts import one_line
from purgeengine.core.messages import Entry, Halt, HaltReason
from purgeengine.core.model import Item, Reply
from purgeengine.core.policy.remedies import WAIT_TOO_LONG_SAYS
from purgeengine.core.scheduling.scheduler import Scheduler
from purgeengine.edges.clock import SystemClock
from purgeengine.edges.http.transport import HttpTransport
from purgeengine.edges.login import AccessTokens
from purgeengine.edges.login.ready import READY_METHOD
from purgeengine.engine.answer_ledger import AnswerLedger, GraphWaits
from purgeengine.engine.loop import Engine
from purgeengine.engine.ports import Clock, RawAnswer, Tokens, Transport
from purgeengine.errors import GraphUnreachable, PurgeEngineError, RunStopped, TokenError
from purgeengine.jobs.graph_endpoint import GraphEndpoint
from purgeengine.run_limits import Limits
from purgeengine.words import AGAIN, Spelling, as_fields, duration

PATIENT = Limits(
    connections=1,
    fanout=4,
    lanes=False,
    attempts_max=8,
    unclear_attempts_max=8,
    sends_max=8,
    quarantine_s=5.0,
    quarantine_s_min=5.0,
    retry_after_s_max=120.0,
    outage_s_max=150.0,
    first_outage_s_max=10.0,
    walled_off_s_max=1.9,
    open_per_connection=40,
    suspects_max=200,
)
"""Limits for reads before a long run.

Waits grow to one minute, so a mailbox in trouble takes a few minutes. A wait of more than two minutes ends the job. If Graph has
never been reached, the job gives up after a few tries, because a wrong address is more likely than an outage. A read whose answer
was lost ends soon, so a cooldown of five seconds is enough. Most mailboxes have one row, so forty open mailboxes fill two batches.
A probe asks at most 100 mailboxes, and asks all of them even if each answers 401: the last may be the one that works.
"""
HASTY = replace(
    PATIENT,
    attempts_max=3,
    unclear_attempts_max=3,
    sends_max=3,
    own_wait_s_max=2.0,
    retry_after_s_max=10.0,
    outage_s_max=90.0,
    first_outage_s_max=0.45,
    walled_off_s_max=0.45,
)
"""Limits for reads whose result a person is waiting for.

A mailbox in trouble must not delay the others for long. Three attempts take half a second at least, and by then it is known whether
Graph can be reached at all. One that asks for a wait of more than ten seconds is not asked again.
"""


class ReadSession:
    """Runs read jobs one after the other. The waits of one job hold in the next.

    Graph asked for them, or a read of the mailbox was lost and may still be running.

    A session belongs to one event loop. ``token_renewable`` is passed on to the `Scheduler`.
    """

    def __init__(
        self,
        transport: Transport,
        tokens: Tokens,
        limits: Limits = PATIENT,
        *,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        token_renewable: bool = True,
        spelling: Spelling = as_fields,
    ) -> None:
        self._clock = clock or SystemClock()
        self._transport = TimedTransport(transport, self._clock)
        self._tokens = tokens
        self._limits = limits
        self._rng = rng or random.Random()
        self._token_renewable = token_renewable
        self._spelling = spelling
        self.waits = GraphWaits()
        """The waits of mailboxes and of the app that outlive a job."""

    @property
    def latency_s(self) -> float | None:
        """Time that the latest answer took, in seconds. None before the first answer."""
        return self._transport.latency_s

    @property
    def skew_s(self) -> float | None:
        """Seconds that this machine's clock is ahead of Graph's, accurate to a second. Negative if behind, None if unknown."""
        return self._transport.skew_s

    @property
    def again(self) -> str:
        """How a sentence tells the user to repeat the job."""
        return self._spelling(AGAIN)

    def now(self) -> float:
        """Return the present time in monotonic seconds, the clock of ``waits``."""
        return self._clock.monotonic()

    async def read(self, operation: Operation, rows: Sequence[Item]) -> list[Reply]:
        """Send this operation for at most `ROWS_MAX` rows, and return the last reply to each, in their order. Status 0: no answer.

        If some rows were answered, a 401 that stays with a renewed token is an ordinary reply about its mailbox.
        Raises `TokenError` if Graph refuses the token or the app as a whole, and `RunStopped` if it cannot be reached or asks for a
        longer wait than the limits allow.
        """
        ledger = AnswerLedger(rows, self.waits, self._clock, cooldown_s=self._limits.quarantine_s)
        engine = self._engine(operation, ledger, len(rows))
        await engine.run()
        replies = ledger.replies()
        if ledger.refused_batch is not None:
            raise app_refused(ledger.refused_batch)
        if engine.halted is not None:
            last = engine.halted.reply
            if engine.halted.reason not in _OF_SOME_MAILBOXES or not any(map(_is_answer, replies)):
                raise stopped(engine.halted, engine.claims, self.again)
            replies = [reply or last for reply in replies]
        for reply in replies:
            if reply is not None and not reply.from_graph:
                raise _intercepted(reply, self.again)
        return [self._in_own_words(row, reply or Reply(0)) for row, reply in zip(rows, replies, strict=True)]

    def _in_own_words(self, row: Item, reply: Reply) -> Reply:
        """Return the reply. If it says that its mailbox's wait is too long for a run, it says the length of that wait instead."""
        left_s = self.waits.left_s(row.user, self._clock.monotonic())
        if not left_s or not reply.message.startswith(WAIT_TOO_LONG_SAYS):
            return reply
        return Reply(reply.status or 429, reply.code, f"The mailbox asked to wait {duration(left_s)}.", left_s)

    def _engine(self, operation: Operation, ledger: AnswerLedger, rows: int) -> Engine:
        limits = self._limits
        if self.latency_s is not None:  # Graph has answered before, so its address is right
            limits = replace(limits, first_outage_s_max=inf, walled_off_s_max=inf)
        now = self._clock.monotonic()
        scheduler = Scheduler(
            limits,
            self._rng,
            now=now,
            run_blocked_for_s=self.waits.app_left_s(now),
            rows_left=rows,
            operation=operation,
            token_renewable=self._token_renewable,
        )
        return Engine(
            scheduler,
            ledger.mailboxes(),
            ledger=ledger,
            transport=self._transport,
            tokens=self._tokens,
            clock=self._clock,
            watcher=Heedless(),
            operation=operation,
            log=logs.silent_logger(),
        )


@asynccontextmanager
async def read_session(
    tokens: AccessTokens, endpoint: GraphEndpoint, limits: Limits = PATIENT
) -> AsyncIterator[ReadSession]:
    """Open a session with Graph, and close it at the end. Raises `UsageProblem` if the endpoint cannot be used."""
    async with HttpTransport.open(
        graph_url=endpoint.graph_url, connections=limits.connections, ca_file=endpoint.ca_file
    ) as transport:
        renewable = tokens.describe().method != READY_METHOD
        yield ReadSession(transport, tokens, limits, token_renewable=renewable, spelling=endpoint.spelling)


class TimedTransport:
    """A transport that remembers the duration of Graph's latest answer and the time on Graph's clock."""

    def __init__(self, transport: Transport, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock
        self.latency_s: float | None = None
        self.skew_s: float | None = None

    async def post(self, body: bytes, client_request_id: str, token: str) -> RawAnswer:
        """Post one batch. It raises the errors of the inner transport."""
        started = self._clock.monotonic()
        raw = await self._transport.post(body, client_request_id, token)
        if is_graphs(raw.status, raw.headers, raw.body, json_or_none(raw.body)):
            self.latency_s = self._clock.monotonic() - started
            date_utc = http_date_utc(raw.headers.get("date"))
            if date_utc is not None:  # Graph wrote it between request and answer, and rounded it down to a second
                self.skew_s = raw.received_utc - self.latency_s / 2 - (date_utc + 0.5)
        return raw


class Heedless:
    """Never stops the job: a read job goes on whatever it finds."""

    def seen(self, entries: Sequence[Entry]) -> str | None:
        """Return None: no reason to stop."""
        return None


# ------------------------------------------------------------------------------------------ errors of a job that halted

_OF_SOME_MAILBOXES = frozenset({HaltReason.UNAUTHORIZED, HaltReason.OUTAGE})
"""Reasons that concern only some mailboxes if other rows were answered."""


def _is_answer(reply: Reply | None) -> bool:
    """Return whether Graph answered for good: the thing was found, or the request was refused."""
    return reply is not None and reply.from_graph and 200 <= reply.status < 429 and reply.status not in (401, 408)


def app_refused(reply: Reply) -> TokenError:
    """Return the error that says that Graph refuses the app as a whole."""
    return TokenError(f"Graph refused the app: {one_line(reply)}. Check its permissions and the tenant.")


def _intercepted(reply: Reply, again: str) -> GraphUnreachable:
    return GraphUnreachable(f"{reply.message}, then {again}. Nothing was deleted.")


def stopped(halt: Halt, claims: str, again: str) -> PurgeEngineError:
    """Return the error that says why the scheduler halted a read job. ``again`` says how to repeat the job."""
    reply = halt.reply
    said = one_line(reply).rstrip(".")
    match halt.reason:
        case HaltReason.REFUSED_APP if reply.status == 401:
            wanted = in_words(reply.message, claims)
            challenge = f" This is continuous access evaluation ({wanted})." if wanted else ""
            return TokenError(f"Graph refused the token: {said}.{challenge} Check the app and the tenant.")
        case HaltReason.REFUSED_APP | HaltReason.BATCHES_REFUSED | HaltReason.NO_SUCH_ACTION:
            return app_refused(reply)
        case HaltReason.UNAUTHORIZED:
            return TokenError(
                f"Graph answered 401 to every request, with a renewed token as well: {said}. Either Graph refuses the app's token "
                "(check the app and the tenant), or it cannot reach these mailboxes: they are on premises in a hybrid tenant, or "
                "they do not exist. Nothing was deleted. Try a mailbox that is known to work."
            )
        case HaltReason.WAIT_TOO_LONG:
            return RunStopped(
                f"Graph asks to wait {duration(reply.retry_after_s or 0.0)} before it answers requests about mailboxes and users. "
                f"Nothing was deleted. After that time, {again}."
            )
        case HaltReason.THROTTLED:
            return RunStopped(
                f"Graph refused every call as too fast ({said}). Nothing was deleted. Wait some minutes, then {again}."
            )
        case HaltReason.OUTAGE if not reply.from_graph:
            return _intercepted(reply, again)
        case HaltReason.OUTAGE if reply.status:
            return GraphUnreachable(
                f"Graph gives no proper answer ({said}). Nothing was deleted. Wait until it works again, then {again}."
            )
        case HaltReason.OUTAGE:
            return GraphUnreachable(
                f"Graph could not be reached: {said}. Nothing was deleted. Check the network and the proxy settings (HTTPS_PROXY), "
                f"then {again}."
            )
