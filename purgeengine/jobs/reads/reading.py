"""Asks Graph harmless questions: read jobs on the same engine and scheduler as a purge, with a ledger in memory.

All waits, attempts and limits are the scheduler's. How patient a job is stands in its `Limits`.
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
from purgeengine.errors import PurgeEngineError, RunStopped, TokenError
from purgeengine.jobs.graph_endpoint import GraphEndpoint
from purgeengine.run_limits import Limits
from purgeengine.words import duration

PATIENT = Limits(
    connections=1,
    fanout=4,
    serial_lanes=False,
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
"""For questions before a long run: the waits grow to a minute, so that a mailbox in trouble takes a few. A wait of more than two
minutes is not sat out. While Graph has never been reached, a few tries must do: a wrong address is likelier than an outage, and
somebody waits. A read whose answer was lost does not run for long: five seconds are enough before the next. A mailbox has one row
as a rule, so that forty of them fill two batches. A look asks at most a hundred mailboxes, and all of them although each answers
401: the last may be the one that works."""
HASTY = replace(
    PATIENT,
    attempts_max=3,
    unclear_attempts_max=3,
    sends_max=3,
    own_wait_s_max=2.0,
    retry_after_s_max=10.0,
    outage_s_max=90.0,
    first_outage_s_max=1.9,
)
"""For a look that somebody sits and waits for: a mailbox in trouble must not keep the others from being shown. A mailbox that asks
for a wait of more than ten seconds is not asked again."""


class ReadSession:
    """Asks one thing after another; each `read` is a job, and waits that Graph asked for hold from one to the next.

    One for an event loop. ``token_renewable`` is as `Scheduler` has it.
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
    ) -> None:
        self._clock = clock or SystemClock()
        self._transport = TimedTransport(transport, self._clock)
        self._tokens = tokens
        self._limits = limits
        self._rng = rng or random.Random()
        self._token_renewable = token_renewable
        self.waits = GraphWaits()
        """For how long Graph asked to be left alone."""

    @property
    def latency_s(self) -> float | None:
        """How long the latest answer took, in seconds; None before the first."""
        return self._transport.latency_s

    @property
    def skew_s(self) -> float | None:
        """How far this machine's clock is ahead of Graph's (less than zero: behind), within a second; None where nobody knows."""
        return self._transport.skew_s

    def now(self) -> float:
        """Monotonic seconds, as `GraphWaits` wants them."""
        return self._clock.monotonic()

    async def read(self, operation: Operation, rows: Sequence[Item]) -> list[Reply]:
        """Do this to at most `ROWS_MAX` rows, and return the last reply to each, in their order (status 0 where none came).

        A 401 that lasts with a renewed token is a reply like any other where anything was answered: it is about its mailbox.
        Raises `TokenError` when Graph refuses the token or the app as a whole, and `RunStopped` when it cannot be reached or asks
        for a longer wait than the limits allow.
        """
        ledger = AnswerLedger(rows, self.waits, self._clock)
        engine = self._engine(operation, ledger, len(rows))
        await engine.run()
        replies = ledger.replies()
        if ledger.refused_batch is not None:
            raise _app_refused(ledger.refused_batch)
        if engine.halted is not None:
            last = engine.halted.reply
            if engine.halted.reason not in _OF_SOME_MAILBOXES or not any(map(_is_answer, replies)):
                raise _stopped(engine.halted, engine.claims)
            replies = [reply or last for reply in replies]
        for reply in replies:
            if reply is not None and not reply.from_graph:
                raise _intercepted(reply)
        return [self._in_own_words(row, reply or Reply(0)) for row, reply in zip(rows, replies, strict=True)]

    def _in_own_words(self, row: Item, reply: Reply) -> Reply:
        """The same reply; one that says that a mailbox's wait is too long for a run says how long it is instead."""
        left_s = self.waits.left_s(row.user, self._clock.monotonic())
        if not left_s or not reply.message.startswith(WAIT_TOO_LONG_SAYS):
            return reply
        return Reply(reply.status or 429, reply.code, f"The mailbox asked to wait {duration(left_s)}.", left_s)

    def _engine(self, operation: Operation, ledger: AnswerLedger, rows: int) -> Engine:
        limits = self._limits
        if self.latency_s is not None:  # what was reached before is not a wrong address
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
            watcher=_Nobody(),
            operation=operation,
            log=logs.silent_logger(),
        )


@asynccontextmanager
async def read_session(
    tokens: AccessTokens, endpoint: GraphEndpoint, limits: Limits = PATIENT
) -> AsyncIterator[ReadSession]:
    """A session with this Graph, closed at the end. Raises `UsageProblem` where the endpoint cannot be used."""
    async with HttpTransport.open(
        graph_url=endpoint.graph_url, connections=limits.connections, ca_file=endpoint.ca_file
    ) as transport:
        renewable = tokens.describe().method != READY_METHOD
        yield ReadSession(transport, tokens, limits, token_renewable=renewable)


class TimedTransport:
    """A transport that remembers how long Graph's latest answer took and what its clock said."""

    def __init__(self, transport: Transport, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock
        self.latency_s: float | None = None
        self.skew_s: float | None = None

    async def post(self, body: bytes, client_request_id: str, token: str) -> RawAnswer:
        """Post one batch. Raises what the transport raises."""
        started = self._clock.monotonic()
        raw = await self._transport.post(body, client_request_id, token)
        if is_graphs(raw.status, raw.headers, raw.body, json_or_none(raw.body)):
            self.latency_s = self._clock.monotonic() - started
            date_utc = http_date_utc(raw.headers.get("date"))
            if date_utc is not None:  # written somewhere between the question and the answer, and cut to a whole second
                self.skew_s = raw.received_utc - self.latency_s / 2 - (date_utc + 0.5)
        return raw


class _Nobody:
    """Watches nothing: a read job is not stopped by what it finds."""

    def seen(self, entries: Sequence[Entry]) -> str | None:
        return None


# ---------------------------------------------------------------------------------------------------- why a job stopped

_OF_SOME_MAILBOXES = frozenset({HaltReason.UNAUTHORIZED, HaltReason.OUTAGE})
"""Reasons that say nothing about Graph as a whole where other rows were answered."""


def _is_answer(reply: Reply | None) -> bool:
    """Whether Graph answered the question: found, or refused for good."""
    return reply is not None and reply.from_graph and 200 <= reply.status < 429 and reply.status not in (401, 408)


def _app_refused(reply: Reply) -> TokenError:
    return TokenError(f"Graph refused the app: {one_line(reply)}. Check its permissions and the tenant.")


def _intercepted(reply: Reply) -> RunStopped:
    return RunStopped(f"{reply.message}, then give the same command again. Nothing was deleted.")


def _stopped(halt: Halt, claims: str) -> PurgeEngineError:
    """Why the scheduler stopped a read job, as the error that ends it."""
    reply = halt.reply
    said = one_line(reply).rstrip(".")
    match halt.reason:
        case HaltReason.REFUSED_APP if reply.status == 401:
            wanted = in_words(reply.message, claims)
            challenge = f" This is continuous access evaluation ({wanted})." if wanted else ""
            return TokenError(f"Graph refused the token: {said}.{challenge} Check the app and the tenant.")
        case HaltReason.REFUSED_APP | HaltReason.BATCHES_REFUSED | HaltReason.NO_SUCH_ACTION:
            return _app_refused(reply)
        case HaltReason.UNAUTHORIZED:
            return TokenError(
                f"Graph answered 401 to every question, with a renewed token as well: {said}. Either the app's token is refused "
                "(check the app and the tenant), or Graph cannot reach these mailboxes: on premises in a hybrid tenant, or "
                "missing. Try a mailbox that is known to work."
            )
        case HaltReason.WAIT_TOO_LONG:
            return RunStopped(
                f"Graph asks to wait {duration(reply.retry_after_s or 0.0)} before it answers questions about mailboxes and users. "
                "Nothing was deleted. Give the same command again after that."
            )
        case HaltReason.THROTTLED:
            return RunStopped(
                f"Graph refused every call as too fast ({said}). Nothing was deleted. Give the same command again later."
            )
        case HaltReason.OUTAGE if not reply.from_graph:
            return _intercepted(reply)
        case HaltReason.OUTAGE if reply.status:
            return RunStopped(f"Graph gives no proper answer ({said}). Nothing was deleted. Try again when it does.")
        case HaltReason.OUTAGE:
            return RunStopped(
                f"Graph could not be reached: {said}. Nothing was deleted. Check the network and the proxy settings (HTTPS_PROXY), "
                "then give the same command again."
            )
