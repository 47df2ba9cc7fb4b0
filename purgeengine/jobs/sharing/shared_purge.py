"""The steps of a purge with several workers on this machine: as those of any purge, then cut, run, collect, and sum up."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from itertools import count
from pathlib import Path

from purgeengine import log_events, logs
from purgeengine.core.graph.text import printable, well_formed
from purgeengine.core.policy.advice import advice_for
from purgeengine.core.policy.auto_stop import AutoStop
from purgeengine.core.sharing.shard_lease import LeaseTimes
from purgeengine.core.sharing.totals import Totals
from purgeengine.edges.cluster import WorkerCluster, refuse_without_dask
from purgeengine.edges.ledger import Ledger
from purgeengine.edges.ledger.running.shard_events import Cut, sharding_of
from purgeengine.edges.ledger.sharding.coordinator_file import CoordinatorFile
from purgeengine.edges.ledger.sharding.cutting import cut, release, shard_name
from purgeengine.edges.ledger.sharding.head import HeadLedger
from purgeengine.edges.ledger.sharding.overview import ShardedPurge
from purgeengine.edges.ledger.staging.folder import FolderState, state_of
from purgeengine.engine.event_loop import run_loop
from purgeengine.errors import LedgerError, PurgeEngineError, RunStopped, UsageProblem
from purgeengine.jobs.callbacks import Callbacks
from purgeengine.jobs.guard_rails import refusal
from purgeengine.jobs.purge import MAILBOXES_TOLD
from purgeengine.jobs.purge_request import PurgeRequest
from purgeengine.jobs.purge_steps import prepared_ledger, purge
from purgeengine.jobs.request_input import Opener
from purgeengine.jobs.sharing.coordinating import Coordinating, SharedProgress
from purgeengine.jobs.sign_in import sign_in, tokens_of_environment
from purgeengine.jobs.summary import Summary, exit_code_of
from purgeengine.words import AGAIN, number

LOCAL_TIMES = LeaseTimes(ask_s=1.0, lost_s=float("inf"))
"""The times of leases on this machine. A question costs little here, and thresholds count what it tells. No disk is taken for lost:
the shards lie beside the head."""


def purge_with_workers(
    request: PurgeRequest,
    workers: int,
    callbacks: Callbacks,
    open_input: Opener | None = None,
    on_progress: Callable[[SharedProgress], None] = lambda progress: None,
) -> Summary:
    """Purge as `purgeengine.jobs.purge_steps.purge` does, with so many worker processes that share the limits of the request.

    The same call resumes. Raises what `purge` raises, and `UsageProblem` if dask.distributed is not installed, if the list cannot
    be cut into so many shards, or if it was cut into another number before.
    """
    refuse_without_dask()
    assert request.folder is not None, "the caller has looked"
    head = request.folder
    _refuse_secrets_in_hand(request)
    found = sharding_of(head) if state_of(head) is FolderState.STAGED else None
    if found is not None and found.mark is not None:
        raise UsageProblem(
            f"The ledger in {head} is a shard itself, and cannot be cut again. Leave --workers out, or name the ledger that it was "
            "cut from. Nothing was sent."
        )
    known = None if found is None else found.cut
    if known is not None and known.out and known.shards != workers:
        raise UsageProblem(
            f"The ledger in {head} was cut into {number(known.shards)} shards before, and not all of them are collected. To go on, "
            f"give --workers {known.shards}. Nothing was sent."
        )
    with prepared_ledger(request, callbacks, open_input) as ledger:
        reading, has_work = ledger.reading, ledger.has_work()
        if known is not None and known.out:
            _refuse_blind_filter(request, ledger)
    if not has_work:
        return replace(purge(replace(request, inputs=()), callbacks), reading=reading)
    started = time.monotonic()
    with HeadLedger.open(head) as opened:
        known = opened.cut()
        out = known is not None and bool(known.out)
        folder = Path(known.folder) if known is not None and out else _free_folder(head)
        if known is not None and out and known.made:
            release(known, folder)
        else:
            known = cut(opened, workers, folder, request.limits, spelling=request.spelling)
        folders = {shard: folder / shard_name(shard, known.shards) for shard in range(known.shards)}
        _refuse_missing(known, folders)
        coordinating, error = _run(request, opened, known, folder, folders, callbacks, on_progress)
        summary = _summary(request, opened, folders, coordinating, error, time.monotonic() - started)
    callbacks.on_outcome(summary.exit_code)
    return replace(summary, reading=reading)


def _run(
    request: PurgeRequest,
    head: HeadLedger,
    known: Cut,
    folder: Path,
    folders: Mapping[int, Path],
    callbacks: Callbacks,
    on_progress: Callable[[SharedProgress], None],
) -> tuple[Coordinating, PurgeEngineError | None]:
    tokens = tokens_of_environment(request.endpoint(), callbacks.tell_sign_in)
    identity = sign_in(tokens, callbacks.stop)
    auto_stop = AutoStop(request.spelling) if request.auto_stop else None
    with ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="purgeengine-", ignore_cleanup_errors=True))
        cluster = stack.enter_context(WorkerCluster.open(known.shards, Path(scratch)))
        coordinating = Coordinating(
            head,
            folders,
            CoordinatorFile(folder, known),
            cluster,
            replace(request, inputs=(), columns=None, user=None, yes=True),
            str(identity.client_id),
            Totals(request.threshold(), auto_stop),
            LOCAL_TIMES,
            on_progress,
        )
        logs.get_logger().info(
            log_events.RUN_STARTED,
            rows_left=sum(known.planned[shard].rows for shard in known.out),
            connections=request.limits.connections,
            workers=known.shards,
        )
        try:
            run_loop(_in_thread(coordinating, callbacks))
        except PurgeEngineError as error:
            return coordinating, error
        except (OSError, RuntimeError) as error:  # of Dask; leases that nobody renews run out by themselves
            return coordinating, RunStopped(
                f"The worker processes cannot be reached any more ({error}), so the run was stopped. To resume, "
                f"{request.spelling(AGAIN)}."
            )
    return coordinating, None


async def _in_thread(coordinating: Coordinating, callbacks: Callbacks) -> None:
    """Coordinate in a thread of its own. The loop here only waits for what may stop it."""
    with callbacks.stoppable(coordinating.stop, lambda: None):
        await asyncio.to_thread(coordinating.run)


def _refuse_secrets_in_hand(request: PurgeRequest) -> None:
    if request.access_token is not None or request.credential is not None:
        raise UsageProblem("Workers sign in by themselves, from the environment. A token cannot be handed to them.")
    if request.auth == "device-code":
        raise UsageProblem(
            "--workers cannot be used with --auth device-code: each worker signs in by itself, and nobody would enter its code. "
            "Nothing was sent. Use another way to sign in, or one process."
        )


def _refuse_blind_filter(request: PurgeRequest, ledger: Ledger) -> None:
    """Refuse a filter of a command that resumes if it cannot match. Its limits were looked at when the ledger was cut."""
    user_filter = request.user_filter()
    unlimited = replace(request, max_items=None, max_items_per_mailbox=None)
    if (sentence := refusal(ledger.preview(user_filter), unlimited, user_filter)) is not None:
        raise UsageProblem(sentence)


def _refuse_missing(known: Cut, folders: Mapping[int, Path]) -> None:
    for shard in known.out:
        if state_of(folders[shard]) is not FolderState.STAGED:
            raise LedgerError(
                f"Shard {shard} is not in {printable(str(folders[shard]))}, and what it has sent is recorded nowhere else. Nothing "
                "was sent. Bring the folder back, or its last copy: docs/several-machines.md says what is less exact then."
            )


def _free_folder(head: Path) -> Path:
    """Return a folder beside the head that is not there yet."""
    names = (head.absolute().with_name(f"{head.absolute().name}-shards{'' if n == 1 else f'-{n}'}") for n in count(1))
    return next(path for path in names if not os.path.lexists(path))


def _summary(
    request: PurgeRequest,
    head: HeadLedger,
    folders: Mapping[int, Path],
    coordinating: Coordinating,
    error: PurgeEngineError | None,
    duration_s: float,
) -> Summary:
    core, returns = coordinating.core, coordinating.returns
    failed = next((one for one in returns if one.reason is not None and not one.complete), None)
    review = head.reader.review(MAILBOXES_TOLD)
    counts = review.counts
    known = head.cut()
    out = [] if known is None else known.out
    if out:
        with ShardedPurge.open([head.folder, *(folders[shard] for shard in out)]) or ExitStack() as purge_:
            if isinstance(purge_, ShardedPurge):
                counts = purge_.counts(purge_.standings())
    unfinished = counts.waiting + counts.in_doubt
    stopped, kind, exit_code = None, None, exit_code_of(counts.outcomes, unfinished)
    if error is None and failed is None and core.stop_reason is not None:
        reason = core.stop_reason.rstrip(".")
        error = RunStopped(f"The run was stopped: {reason}. To resume, {request.spelling(AGAIN)}.")
    if error is None and unfinished and failed is None:
        error = RunStopped(f"The run ended before all shards were done. To resume, {request.spelling(AGAIN)}.")
    if failed is not None and (unfinished or failed.exit_code != RunStopped.exit_code):
        stopped, kind, exit_code = failed.reason, failed.kind, failed.exit_code
    elif error is not None and (unfinished or not isinstance(error, RunStopped)):
        stopped, kind, exit_code = str(error), error.kind, error.exit_code
    figures = core.totals.figures
    whole = not out
    return Summary(
        ledger=well_formed(str(head.folder)),
        rows=counts.rows,
        outcomes=counts.outcomes,
        waiting=counts.waiting,
        in_doubt=counts.in_doubt,
        complete=unfinished == 0 and whole,
        calls=figures.calls,
        requests=figures.requests,
        throttled=figures.throttled,
        lost_calls=figures.lost_calls,
        closed_mailboxes=figures.closed_mailboxes,
        settled_now=sum(figures.settled.values()),
        duration_s=duration_s,
        exit_code=exit_code,
        stopped=stopped,
        stopped_kind=kind,
        fanout=next((one.fanout for one in reversed(returns) if one.fanout is not None), None),
        action=request.deletion().action,
        app_limit_per_s=next((one.app_limit_per_s for one in reversed(returns) if one.app_limit_per_s), None),
        absence=review.absence if whole else None,
        advice=advice_for([review.situation(str(head.folder))], windows=os.name == "nt") if whole else (),
    )
