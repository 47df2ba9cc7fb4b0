"""Runs the purge of a ledger: joins the ledger, the scheduler, the connection to Graph and the display, and sums up the run."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from purgeengine import log_events, logs
from purgeengine.core.graph.claims_challenge import in_words
from purgeengine.core.graph.text import well_formed
from purgeengine.core.graph.verdicts import Verdict, judge, unwrapped
from purgeengine.core.messages import Halt, HaltReason
from purgeengine.core.policy.advice import advice_for
from purgeengine.core.policy.auto_stop import AutoStop, FailureThreshold
from purgeengine.core.policy.filters import is_left_out
from purgeengine.core.scheduling.scheduler import Scheduler
from purgeengine.edges.clock import SystemClock
from purgeengine.edges.http.transport import HttpTransport
from purgeengine.edges.ledger import Ledger
from purgeengine.edges.ledger.recorder import Recorder
from purgeengine.edges.login import AccessTokens
from purgeengine.edges.login.ready import READY_METHOD
from purgeengine.engine.event_loop import run_loop
from purgeengine.engine.loop import Engine
from purgeengine.engine.ports import Hours
from purgeengine.engine.supervision import UNSUPERVISED, Supervisor
from purgeengine.engine.tally import Tally
from purgeengine.errors import GraphUnreachable, PurgeEngineError, RunStopped, TokenError
from purgeengine.jobs.callbacks import Stopping, in_loop, never_stopping
from purgeengine.jobs.graph_endpoint import GraphEndpoint
from purgeengine.jobs.progress import Display, RunProgress, shown
from purgeengine.jobs.resume import take_up
from purgeengine.jobs.run_telemetry import UNWATCHED, Telemetry
from purgeengine.jobs.sending_hours import combined
from purgeengine.jobs.summary import Summary, exit_code_of
from purgeengine.log_outputs import FILE_ONLY
from purgeengine.run_limits import Limits
from purgeengine.version import __version__
from purgeengine.words import AGAIN, Spelling, as_fields, duration

MAILBOXES_TOLD = 20
"""Most mailboxes that a summary names as ones in which nothing was found."""

NOT_LOGGED = frozenset({"schema", "command", "version", "error", "dry_run", "ledger"})
"""Keys of the summary that the log leaves out, because they tell of the command and not of the run."""

HALTS: dict[HaltReason, Callable[[str, Spelling], PurgeEngineError]] = {
    HaltReason.REFUSED_APP: lambda said, spell: TokenError(
        f"Graph refused the app: {said}. Check its permission (Contacts.ReadWrite with admin consent) and the tenant, "
        f"then {spell(AGAIN)}."
    ),
    HaltReason.UNAUTHORIZED: lambda said, spell: TokenError(
        f"Graph answered 401 ({said}) for every mailbox, and no row was purged. Either Graph refuses the app's token (check its "
        "permission and the tenant), or it cannot reach these mailboxes: they are on premises in a hybrid tenant, or they do "
        "not exist. Look at a mailbox that is known to work (purgeengine check LIST --probe 1), or leave these out "
        f"({spell('exclude_users')}), then {spell(AGAIN)}."
    ),
    HaltReason.NO_SUCH_ACTION: lambda said, spell: TokenError(
        f"Permanent deletion of contacts does not exist at this Graph address ({said}). Only the global cloud has it. The app's "
        f"permission is not the cause, and no row was marked as refused. Run the list with {spell('action=delete')} and a new "
        f"ledger ({spell('ledger')})."
    ),
    HaltReason.BATCHES_REFUSED: lambda said, spell: RunStopped(
        f"Graph refused several batches in a row as a whole ({said}), though each held a single row. The rows are probably not the "
        "cause. Look for something that changes requests on their way, such as a proxy or a gateway. To resume, "
        f"{spell(AGAIN)}. To send the refused rows again, use purgeengine retry."
    ),
    HaltReason.THROTTLED: lambda said, spell: RunStopped(
        f"Graph refused every call as too fast ({said}), even after long waits, so the run was stopped. Another program may be "
        f"using up the app's limits. To resume, {spell(AGAIN)}."
    ),
    HaltReason.OUTAGE: lambda said, spell: GraphUnreachable(
        f"Graph has not answered for a long time, so the run was stopped. {f'Last error: {said}. ' if said else ''}"
        f"To resume, {spell(AGAIN)}."
    ),
    HaltReason.WAIT_TOO_LONG: lambda said, spell: RunStopped(
        f"Graph asked the app for a wait that is longer than the longest wait of a run ({said}). To resume, {spell(AGAIN)} after "
        "that time."
    ),
}
"""The error for each reason to halt, made of what Graph said and of how the front end writes a setting."""


@dataclass(slots=True)
class Purge:
    """One run over a ledger."""

    ledger: Ledger
    tokens: AccessTokens
    endpoint: GraphEndpoint
    limits: Limits
    display: Display
    threshold: FailureThreshold | None = None
    seed: int | None = None
    auto_stop: bool = False
    """True if the run stops by itself when it looks wrong."""
    hours: Hours | None = None
    """When the run may send. None allows any time."""
    spelling: Spelling = as_fields
    """How sentences write a setting."""
    stopping: Stopping = never_stopping
    """What may stop the run from outside. On the command line: signals."""
    on_outcome: Callable[[int], object] = lambda exit_code: None
    """Called with the exit code as soon as the run is over. Nothing changes the code after that."""
    telemetry: Telemetry = UNWATCHED
    """What watches the run from outside."""
    supervisor: Supervisor = UNSUPERVISED
    """What stands above the run, if it is one of several that share an app."""

    def run(self) -> Summary:
        """Purge the rows that the ledger has left, and return the summary.

        An error that ends the run early is not raised; `Summary.stopped` tells it. Raises `LedgerError` if the ledger cannot be
        read before or after the run.
        """
        counts = self.ledger.counts()
        tally = Tally(counts.rows, counts.outcomes, self.threshold, AutoStop(self.spelling) if self.auto_stop else None)
        started = time.monotonic()
        error: PurgeEngineError | None = None
        scheduler: Scheduler | None = None
        if self.ledger.has_work():
            self.ledger.hold_reserve(self.limits.connections)
            self.telemetry.begins(self.endpoint.graph_url)
            try:
                scheduler, error = run_loop(self._purge(tally))
            finally:
                self.display.close()
        summary = self._summary(tally, scheduler, error, time.monotonic() - started)
        self.on_outcome(summary.exit_code)
        self.telemetry.ended(summary.exit_code)
        return summary

    async def _purge(self, tally: Tally) -> tuple[Scheduler | None, PurgeEngineError | None]:
        clock = SystemClock()
        self.ledger.begin(round(clock.utc() * 1000), self._asked())
        try:
            scheduler, mailboxes = take_up(
                self.ledger,
                self.limits,
                clock,
                self.seed,
                token_renewable=self.tokens.describe().method != READY_METHOD,
                spelling=self.spelling,
            )
        except RunStopped as error:
            return None, error
        logs.get_logger().info(log_events.RUN_STARTED, rows_left=tally.left, connections=self.limits.connections)
        recorder = Recorder(self.ledger)
        try:
            async with HttpTransport.open(
                graph_url=self.endpoint.graph_url, connections=self.limits.connections, ca_file=self.endpoint.ca_file
            ) as transport:
                engine = Engine(
                    scheduler,
                    mailboxes,
                    ledger=recorder,
                    transport=self.supervisor.fence(transport),
                    tokens=self.tokens,
                    clock=clock,
                    watcher=self.supervisor.watching(tally, scheduler),
                    hours=combined(self.hours, self.supervisor.lease),
                    operation=self.ledger.deletion,
                    observer=self.telemetry.observer,
                )
                return scheduler, await self._watched(engine, tally, recorder)
        finally:
            recorder.close()

    def _asked(self) -> dict[str, Any]:
        """Return what a report says about how the run was started. It holds nothing secret."""
        identity = self.tokens.describe()
        return {
            "version": __version__,
            "client_id": identity.client_id,
            "method": identity.method,
            "graph_host": urlsplit(self.endpoint.graph_url).hostname,
            "connections": self.limits.connections,
            "fanout": self.limits.fanout,
            "mailbox_requests": self.limits.mailbox_requests,
            "mailbox_window_s": self.limits.mailbox_window_s,
            "requests_per_s": self.limits.requests_per_s,
            **self.supervisor.noted,
        }

    async def _watched(self, engine: Engine, tally: Tally, recorder: Recorder) -> PurgeEngineError | None:
        """Run the engine with the display and what may stop it. Return the error that ended it early, or None."""

        async def tell(standing: RunProgress) -> None:
            await recorder.tell(standing.live)

        try:
            told = partial(in_loop, asyncio.get_running_loop(), engine.tell)
            with self.stopping(engine.stop, self.display.close), self.supervisor.telling(told):
                progress = RunProgress(tally, engine.scheduler, self.hours, drain_left_s=lambda: engine.drain_left_s)
                gauges = self.telemetry.gauges(self.tokens)
                async with shown(gauges, progress), shown(self.display, progress, tell):
                    await engine.run()
        except PurgeEngineError as error:
            return error
        if engine.halted is not None:
            return halted(engine.halted, engine.claims, self.spelling)
        if engine.stop_reason is not None:
            reason = engine.stop_reason.rstrip(".")
            return RunStopped(f"The run was stopped: {reason}. To resume, {self.spelling(AGAIN)}.")
        return None

    def _summary(
        self, tally: Tally, scheduler: Scheduler | None, error: PurgeEngineError | None, duration_s: float
    ) -> Summary:
        review = self.ledger.review(MAILBOXES_TOLD)
        counts = review.counts
        unfinished = counts.waiting + counts.in_doubt
        if not unfinished and isinstance(error, RunStopped):
            error = None  # every row had ended before the stop, so that nothing is left to resume
        return Summary(
            ledger=well_formed(str(self.ledger.folder)),
            rows=counts.rows,
            outcomes=counts.outcomes,
            waiting=counts.waiting,
            in_doubt=counts.in_doubt,
            complete=unfinished == 0,
            calls=tally.calls,
            requests=tally.requests,
            throttled=scheduler.view.throttled if scheduler else 0,
            app_limit_per_s=scheduler.view.app_limit_per_s if scheduler else None,
            lost_calls=tally.lost_calls,
            late_answers=tally.late_answers,
            left_out_rows=sum(told.rows for told in review.told if is_left_out(told.status, told.code)),
            closed_mailboxes=tally.closed_mailboxes,
            settled_now=tally.settled_now.total(),
            duration_s=duration_s,
            exit_code=error.exit_code if error else exit_code_of(counts.outcomes, unfinished),
            stopped=str(error) if error else None,
            stopped_kind=error.kind if error else None,
            fanout=scheduler.fanout if scheduler else None,
            action=self.ledger.deletion.action,
            absence=review.absence,
            advice=advice_for([review.situation(str(self.ledger.folder))], windows=os.name == "nt"),
            held_s=scheduler.view.held_s if scheduler else 0.0,
            closeness=scheduler.view.closeness if scheduler else None,
        )


def halted(halt: Halt, claims: str = "", spelling: Spelling = as_fields) -> PurgeEngineError:
    """Return the error that says why the scheduler halted the run.

    ``claims`` is the claims challenge with which Graph refused the last token, or empty.
    """
    reply = unwrapped(halt.reply)
    parts = (reply.status or "", reply.code, reply.message) if reply.from_graph else (reply.message,)
    said = " ".join(str(part) for part in parts if part).rstrip(".")
    if halt.reason is HaltReason.WAIT_TOO_LONG and reply.retry_after_s is not None:
        said = f"{duration(reply.retry_after_s)}; {said}"
    if reply.code.lower() == "organizationfromtenantguidnotfound":
        return TokenError(
            f"Graph does not know the tenant of the token ({said}). The id of the tenant is wrong, the tenant belongs to another "
            f"cloud, or it has no Exchange Online. Check AZURE_TENANT_ID and {spelling('cloud')}, then {spelling(AGAIN)}."
        )
    if halt.reason is HaltReason.REFUSED_APP and judge(reply) is not Verdict.APP_REFUSED and reply.status == 401:
        wanted = in_words(reply.message, claims)
        challenge = f" This is continuous access evaluation ({wanted})." if wanted else ""
        return TokenError(
            f"Graph refused the token, and each new one as well: {said}.{challenge} Check the tenant, the app and its permission "
            "(Contacts.ReadWrite with admin consent)"
            + (", and the policies that apply to it (Conditional Access)" if wanted else "")
            + f", then {spelling(AGAIN)}."
        )
    if halt.reason is HaltReason.OUTAGE and not reply.from_graph:
        return GraphUnreachable(
            f"The run was stopped because Graph itself did not answer. {said}. To resume, {spelling(AGAIN)}."
        )
    return HALTS[halt.reason](said, spelling)


def log_doubt(summary: Summary, *, file_only: bool = False) -> None:
    """Log a warning if hardly any contact was found under its id. With ``file_only``, only the log file gets it."""
    if summary.absence is not None:
        only = {FILE_ONLY: True} if file_only else {}
        logs.get_logger().warning(log_events.RUN_DOUBTED, because=summary.absence.sentence, **only)


def log_end(summary: Summary) -> None:
    """Log one event that says how the run ended, for automation that reads logs."""
    event = log_events.RUN_ENDED if summary.complete else log_events.RUN_STOPPED
    told = {key: value for key, value in summary.as_json().items() if key not in NOT_LOGGED}
    logs.get_logger().info(event, **told)
