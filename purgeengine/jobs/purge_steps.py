"""The steps of a purge, from a request to a summary.

Checks that need no token and no ledger come first. Nothing is sent before the purge has been confirmed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from purgeengine import log_events, logs
from purgeengine.core.policy.input_words import lines_of, warnings_of
from purgeengine.edges.ledger import Ledger
from purgeengine.edges.ledger.staging.folder import FolderState, state_of
from purgeengine.edges.ledger.store.lock import refuse_in_use
from purgeengine.edges.source import Source
from purgeengine.errors import PurgeEngineError, RunStopped, UsageProblem
from purgeengine.jobs.callbacks import Callbacks
from purgeengine.jobs.graph_endpoint import refuse_missing_action
from purgeengine.jobs.guard_rails import (
    has_shards_out,
    left_out_lines,
    refusal,
    refuse_never_begun,
    refuse_shards_out,
    within_shares,
)
from purgeengine.jobs.opened_retry import opened_retry
from purgeengine.jobs.progress import Silence
from purgeengine.jobs.purge import Purge
from purgeengine.jobs.purge_preview import PurgePreview, preview_of_open_ledger
from purgeengine.jobs.reads.preflight import Finding, Level, about_cloud, about_names, tell_of_token, warn
from purgeengine.jobs.reads.probe import REQUESTS_MAX, look_first, name_of_tenant
from purgeengine.jobs.reads.resolve_users import resolver
from purgeengine.jobs.request_input import Opener, opened_for, opening, refuse_reading_in_part
from purgeengine.jobs.sign_in import sign_in, tokens_of
from purgeengine.words import AGAIN

if TYPE_CHECKING:
    from purgeengine.core.policy.filters import UserFilter
    from purgeengine.edges.ledger.staging.survey import Input
    from purgeengine.edges.login import AccessTokens, Identity
    from purgeengine.jobs.graph_endpoint import GraphEndpoint
    from purgeengine.jobs.purge_request import PurgeRequest
    from purgeengine.jobs.summary import Summary
    from purgeengine.run_limits import Limits


def purge(
    request: PurgeRequest,
    callbacks: Callbacks | None = None,
    open_input: Opener | None = None,
    environment: Mapping[str, str] | None = None,
) -> Summary:
    """Purge what the request asks for, and return the summary when the run has ended or was stopped.

    ``open_input`` opens another input than the request's own. ``environment`` holds the credentials if they are not in that of the
    process. Raises the `PurgeEngineError` that kept sending from beginning. If an error ends the run later, `Summary.stopped` says
    so.
    """
    callbacks = callbacks or Callbacks()
    refuse_incomplete(request, callbacks)
    if request.retry_of is not None and open_input is None:
        with opened_retry(request) as retry:
            if not retry.has_work():
                return retry.nothing()
            with retry.nobody_else_running():
                return purge(retry.request, callbacks, retry.rows, environment)
    with _prepared(request, callbacks, open_input, environment) as prepared:
        return prepared.run()


def refuse_incomplete(request: PurgeRequest, callbacks: Callbacks) -> None:
    """Raise `UsageProblem` if the request names no ledger, or if nobody can confirm the purge."""
    if request.folder is None:
        raise UsageProblem(f"Name a folder for the ledger with {request.spelling('ledger')}.")
    if not request.yes and callbacks.confirm is None:
        raise UsageProblem(
            "Nobody has confirmed this purge, so nothing was sent. Set yes=True in the request, or give purge a function as "
            "confirm; it gets the preview, and returns True to go on."
        )


@contextmanager
def prepared_ledger(
    request: PurgeRequest,
    callbacks: Callbacks,
    open_input: Opener | None = None,
    environment: Mapping[str, str] | None = None,
    tokens: AccessTokens | None = None,
) -> Iterator[Ledger]:
    """Take every step before sending, and provide the ledger, locked, with what the filter leaves out recorded in it.

    ``tokens`` are given if this process has no sign-in of its own. A ledger whose shards are out is provided as it is: its purge
    was confirmed before it was cut. Raises what `purge` raises.
    """
    refuse_incomplete(request, callbacks)
    with _prepared(request, callbacks, open_input, environment, tokens, shards_may_be_out=True) as prepared:
        yield prepared.ledger


@contextmanager
def _prepared(
    request: PurgeRequest,
    callbacks: Callbacks,
    open_input: Opener | None,
    environment: Mapping[str, str] | None,
    tokens: AccessTokens | None = None,
    *,
    shards_may_be_out: bool = False,
) -> Iterator[_Prepared]:
    steps = _Steps(request, callbacks, request.user_filter(), shards_may_be_out, tokens)
    endpoint = request.endpoint()
    refuse_missing_action(request.deletion().action, endpoint, request.spelling)
    with ExitStack() as stack:
        opener = open_input if open_input is not None else stack.enter_context(opening(request))
        source = opened_for(request, opener)
        yield stack.enter_context(steps.prepared(endpoint, source, environment))


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A purge that may begin to send: nothing is left to ask or to check."""

    request: PurgeRequest
    callbacks: Callbacks
    ledger: Ledger
    tokens: AccessTokens
    endpoint: GraphEndpoint
    limits: Limits

    def run(self) -> Summary:
        """Send, and return the summary."""
        request, callbacks = self.request, self.callbacks
        run = Purge(
            self.ledger,
            self.tokens,
            self.endpoint,
            self.limits,
            callbacks.display() if callbacks.display is not None else Silence(),
            request.threshold(),
            request.seed,
            request.auto_stop,
            request.hours,
            request.spelling,
            stopping=callbacks.stoppable,
            on_outcome=callbacks.on_outcome,
            telemetry=callbacks.telemetry,
        )
        return replace(run.run(), reading=self.ledger.reading)


@dataclass(frozen=True, slots=True)
class _Steps:
    request: PurgeRequest
    callbacks: Callbacks
    user_filter: UserFilter
    shards_may_be_out: bool
    tokens: AccessTokens | None

    @contextmanager
    def prepared(
        self, endpoint: GraphEndpoint, source: Input | None, environment: Mapping[str, str] | None
    ) -> Iterator[_Prepared]:
        """Sign in, open or stage the ledger, check and ask."""
        request, callbacks = self.request, self.callbacks
        assert request.folder is not None, "purge has checked it"
        if state_of(request.folder) is not FolderState.STAGED:  # the input of an existing ledger was accepted before
            refuse_reading_in_part(source if isinstance(source, Source) else None, request)
        else:
            if not self.shards_may_be_out:
                refuse_shards_out(request.folder, request.spelling)
            if source is None:
                refuse_never_begun(request.folder, request.spelling)
        refuse_in_use(request.folder)  # before a person signs in
        callbacks.check_stop()
        tokens = self.tokens or tokens_of(request, endpoint, callbacks.tell_sign_in, environment)
        with callbacks.signing_in():
            identity = sign_in(tokens, callbacks.stop)
        tell_of_token(tokens, identity, endpoint)
        warn([about_cloud(endpoint, request.deletion().action)])
        with self._staged(source, tokens, identity, endpoint) as ledger:
            limits = within_shares(request.limits, ledger.mark)
            if has_shards_out(request.folder):  # asked again, now under the lock
                if not self.shards_may_be_out:
                    refuse_shards_out(request.folder, request.spelling)
                yield _Prepared(request, callbacks, ledger, tokens, endpoint, limits)
                return
            with _removed_if_refused(ledger):
                warn(about_names(ledger.mixes_names(), request.spelling))
                callbacks.check_stop()
                preview = self._allowed(ledger, identity)
                if preview.preview.rows:
                    self._tell_of_reading(ledger)
                    if request.probe:
                        self._look_first(ledger, tokens, endpoint)
                        limits = replace(limits, mailbox_requests=max(1, limits.mailbox_requests - REQUESTS_MAX))
                    self._confirm(preview, ledger, tokens, endpoint)
                callbacks.check_stop()
                ledger.leave_out(self.user_filter, round(time.time() * 1000))
            yield _Prepared(request, callbacks, ledger, tokens, endpoint, limits)

    @contextmanager
    def _staged(
        self, source: Input | None, tokens: AccessTokens, identity: Identity, endpoint: GraphEndpoint
    ) -> Iterator[Ledger]:
        """Open the ledger, and lock it while inside. A new one is staged from the input. Without an input, it must exist."""
        request, tell = self.request, self.callbacks.tell
        assert request.folder is not None, "purge has checked it"
        read = source if isinstance(source, Source) else None
        resolve = None
        if request.resolve_users:
            resolve = resolver(tokens, endpoint, quiet=tell is None, tell=tell or _nobody)
        resumed = state_of(request.folder) is FolderState.STAGED
        started = time.monotonic()
        with Ledger.open(
            request.folder,
            source,
            tenant_id=identity.tenant_id,
            deletion=request.deletion(),
            resolve=resolve,
            on_progress=self.callbacks.reading,
            given=None if read is None else {"user": read.user, "clean": read.clean},
            reading=None if read is None else read.reading,
        ) as ledger:
            counts, took_s = ledger.counts(), time.monotonic() - started
            logs.get_logger().info(
                log_events.LEDGER_OPENED,
                rows=counts.rows,
                settled=sum(counts.outcomes.values()),
                waiting=counts.waiting,
                resumed=resumed,
                seconds=round(took_s, 2),
            )
            yield ledger

    def _allowed(self, ledger: Ledger, identity: Identity) -> PurgePreview:
        """Return what would be sent. Raises `UsageProblem` if the request's limits or filters refuse it.

        The rows that the filter leaves out are recorded later, when the purge has been confirmed.
        """
        preview = preview_of_open_ledger(ledger, self.user_filter, identity.tenant_id)
        for line in left_out_lines(preview.preview, self.request, self.user_filter):
            logs.get_logger().warning(log_events.FILTER_APPLIED, because=line)
        if (sentence := refusal(preview.preview, self.request, self.user_filter)) is not None:
            raise UsageProblem(sentence)
        return preview

    def _tell_of_reading(self, ledger: Ledger) -> None:
        """Say how the input was read, before the confirmation. If nobody is asked, it goes to the log."""
        lines, tell = lines_of(ledger.reading), self.callbacks.tell_reading
        if self.request.yes or tell is None:
            logs.get_logger().info(log_events.INPUT_OPENED, columns=lines)
        else:
            for line in lines:
                tell(line)
        warn(Finding(Level.WARNING, "input", line) for line in warnings_of(ledger.reading))

    def _look_first(self, ledger: Ledger, tokens: AccessTokens, endpoint: GraphEndpoint) -> None:
        request, tell = self.request, self.callbacks.tell
        assert request.probe is not None, "the caller has checked it"
        look_first(ledger, tokens, endpoint, request.probe, request.seed, quiet=tell is None, tell=tell or _nobody)

    def _confirm(self, preview: PurgePreview, ledger: Ledger, tokens: AccessTokens, endpoint: GraphEndpoint) -> None:
        confirm = self.callbacks.confirm
        if self.request.yes or confirm is None:
            return
        if self.callbacks.wants_tenant_name():
            preview = replace(preview, tenant_name=name_of_tenant(ledger, tokens, endpoint))
        if not confirm(preview):
            raise RunStopped(f"The purge was not confirmed, so nothing was sent. To be asked again, {AGAIN}.")


@contextmanager
def _removed_if_refused(ledger: Ledger) -> Iterator[None]:
    """If the purge is refused, stopped or not confirmed while inside, remove the ledger, provided that this purge has made it.

    It holds nothing that the input does not hold. If it stayed, a run without the input would send its rows without the limits that
    refused them, and without filters, which are recorded last.
    """
    try:
        yield
    except BaseException as error:
        still_there = ledger.remove_if_new()
        if still_there is not None:
            if isinstance(error, PurgeEngineError):
                error.args = (f"{error} {still_there}",)
            else:
                warn([Finding(Level.WARNING, "ledger", still_there)])
        raise


def _nobody(sentence: str) -> None:
    """Drop the sentence."""
