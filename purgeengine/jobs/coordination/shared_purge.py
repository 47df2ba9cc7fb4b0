"""The steps of a purge with several workers: as those of any purge, then cut, run, collect, and sum up."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from purgeengine import log_events, logs
from purgeengine.core.coordination.shard_record import HeadRecord
from purgeengine.core.coordination.totals import Totals
from purgeengine.core.policy.auto_stop import AutoStop
from purgeengine.edges.cluster import WorkerCluster, refuse_without_dask
from purgeengine.edges.ledger import Ledger
from purgeengine.edges.ledger.reader import LedgerReader
from purgeengine.edges.ledger.running.shard_events import Cut, sharding_of
from purgeengine.edges.ledger.sharding.coordinator_file import CoordinatorFile
from purgeengine.edges.ledger.sharding.cutting import cut, release, shard_name
from purgeengine.edges.ledger.sharding.head import HeadLedger
from purgeengine.edges.ledger.sharding.open_rows import open_mailboxes
from purgeengine.edges.ledger.staging.folder import FolderState, state_of
from purgeengine.edges.ledger.views.counts import Counts
from purgeengine.edges.scheduler_address import SchedulerAddress
from purgeengine.engine.event_loop import run_loop
from purgeengine.errors import PurgeEngineError, RunStopped, UsageProblem
from purgeengine.jobs.callbacks import Callbacks
from purgeengine.jobs.coordination.coordinator_thread import CoordinatorThread, SharedProgress
from purgeengine.jobs.coordination.crews import REMOTE_TIMES, Crew, LocalCrew, RemoteCrew
from purgeengine.jobs.coordination.introductions import Introductions, WorkerTokens
from purgeengine.jobs.coordination.resumed_preview import allow_rest
from purgeengine.jobs.coordination.shard_host import SharedWork
from purgeengine.jobs.coordination.shared_summary import SharedEnd, counts_of, shared_summary
from purgeengine.jobs.guard_rails import refusal
from purgeengine.jobs.purge_request import PurgeRequest
from purgeengine.jobs.purge_steps import prepared_ledger
from purgeengine.jobs.request_input import Opener
from purgeengine.jobs.summary import Summary
from purgeengine.words import AGAIN, number

if TYPE_CHECKING:
    from purgeengine.edges.login import AccessTokens

OnProgress = Callable[[SharedProgress], None]


def purge_with_workers(
    request: PurgeRequest,
    workers: int,
    callbacks: Callbacks,
    open_input: Opener | None = None,
    on_progress: OnProgress = lambda progress: None,
    lost_after_s: float | None = None,
) -> Summary:
    """Purge as `purgeengine.jobs.purge_steps.purge` does, with so many worker processes that share the limits of the request.

    The same call resumes. ``lost_after_s`` is 0 to take shards for lost whose folders are gone. Raises what `purge` raises, and
    `UsageProblem` if dask.distributed is not installed, if the list cannot be cut into so many shards, or if it was cut into
    another number before.
    """
    refuse_without_dask("--workers")
    _refuse_secrets_in_hand(request, "--workers")
    if lost_after_s:
        raise UsageProblem(
            "With --workers, the shards lie on this machine, and nobody waits for their disk. Give --lost-after 0 if the folder of "
            "a shard is gone for good, or leave it out. Nothing was sent."
        )
    crew = LocalCrew(request, callbacks, lost_after_s)
    return SharedPurge(request, callbacks, open_input, on_progress).run(crew, lambda mailboxes: workers, workers)


def purge_on_cluster(
    request: PurgeRequest,
    scheduler: str,
    workers: int | None,
    callbacks: Callbacks,
    open_input: Opener | None = None,
    on_progress: OnProgress = lambda progress: None,
    lost_after_s: float | None = None,
) -> Summary:
    """Purge as `purge_with_workers` does, with the workers of a Dask scheduler on other machines.

    ``workers`` is the number of shards; None makes one for each worker that is there. ``lost_after_s`` is how long the disk of a
    worker is waited for; None takes `LeaseTimes.lost_s`. Raises what `purge_with_workers` raises, and `UsageProblem` if the address
    of the scheduler may not be used, or if none of its workers can purge.
    """
    refuse_without_dask("--scheduler")
    _refuse_secrets_in_hand(request, "--scheduler")
    address = SchedulerAddress.of(scheduler)
    assert request.folder is not None, "the caller has looked"
    with ExitStack() as stack:
        stack.enter_context(_scheduler_must_stay(address, request))
        cluster = stack.enter_context(WorkerCluster.at(address))
        introductions = Introductions(cluster, request)
        stack.callback(introductions.close)
        if state_of(request.folder) is FolderState.STAGED:
            with LedgerReader.open(request.folder) as reader:
                introductions.tenant_id = reader.about["tenant_id"]
        introductions.wait()
        times = REMOTE_TIMES if lost_after_s is None else replace(REMOTE_TIMES, lost_s=lost_after_s)
        crew = RemoteCrew(cluster, introductions, times)
        there = len(introductions.found)
        tokens = None
        if (
            not request.resolve_users and not request.probe
        ):  # then Graph is asked here as well, so there must be a sign-in
            tokens = WorkerTokens(next(iter(introductions.found.values())))
            callbacks = replace(callbacks, wants_tenant_name=lambda: False)
        steps = SharedPurge(request, callbacks, open_input, on_progress, tokens)
        return steps.run(crew, lambda mailboxes: workers or max(1, min(there, mailboxes)), workers)


@contextmanager
def _scheduler_must_stay(address: SchedulerAddress, request: PurgeRequest) -> Iterator[None]:
    """Say in a sentence that the scheduler was lost before the runs began."""
    try:
        yield
    except ConnectionError as error:
        raise RunStopped(
            f"The scheduler at {address.text} cannot be reached any more ({error}), so the run was stopped. Start it and its "
            f"workers again. To resume, {request.spelling(AGAIN)}."
        ) from error


@dataclass(frozen=True, slots=True)
class SharedPurge:
    """The steps that are the same wherever the workers are."""

    request: PurgeRequest
    callbacks: Callbacks
    open_input: Opener | None
    on_progress: OnProgress
    tokens: AccessTokens | None = None

    def run(self, crew: Crew, shards: Callable[[int], int], given: int | None) -> Summary:
        """Take every step. ``shards`` returns how many to make of so many mailboxes; ``given`` is the number that was asked for."""
        request, callbacks = self.request, self.callbacks
        assert request.folder is not None, "the caller has looked"
        head = request.folder
        known = _cut_before(head, given)
        with prepared_ledger(request, callbacks, self.open_input, tokens=self.tokens) as ledger:
            reading, has_work = ledger.reading, ledger.has_work()
            if known is not None and known.out:
                _refuse_blind_filter(request, ledger)
        started = time.monotonic()
        with HeadLedger.open(head) as opened:
            if has_work:
                folders, end = self._cut_and_run(opened, crew, shards)
            else:
                folders, end = {}, SharedEnd()
            end = replace(end, duration_s=time.monotonic() - started)
            summary = shared_summary(request, opened, folders, end)
        callbacks.on_outcome(summary.exit_code)
        return replace(summary, reading=reading)

    def _cut_and_run(
        self, head: HeadLedger, crew: Crew, shards: Callable[[int], int]
    ) -> tuple[Mapping[int, Path], SharedEnd]:
        known = head.cut()
        out = known is not None and bool(known.out)
        folder = Path(known.folder) if known is not None and out else _free_folder(head.folder)
        if known is not None and out and known.made:
            release(known, folder)
        else:
            number_of_shards = known.shards if known is not None and out else shards(_mailboxes_of(head))
            known = cut(head, number_of_shards, folder, self.request.limits, spelling=self.request.spelling)
        folders = {shard: folder / shard_name(shard, known.shards) for shard in range(known.shards)}
        left = crew.refuse(known, folders, CoordinatorFile(folder, known).left())
        counts = _counts_now(head, folders)
        if out:
            allow_rest(self.request, head, {shard: folders[shard] for shard in known.out}, counts, self.callbacks)
        return folders, self._run(head, known, folder, folders, crew, left, counts)

    def _run(
        self,
        head: HeadLedger,
        known: Cut,
        folder: Path,
        folders: Mapping[int, Path],
        crew: Crew,
        left: HeadRecord,
        before: Counts,
    ) -> SharedEnd:
        request = self.request
        file = CoordinatorFile(folder, known)
        totals = Totals(request.threshold(), AutoStop(request.spelling) if request.auto_stop else None)
        lean = replace(request, inputs=(), columns=None, user=None, yes=True)

        def work(cluster: WorkerCluster) -> SharedWork:
            return SharedWork(head, known.id, folders, cluster, lean, crew.times)

        with crew.hosting(work, left) as (shared, host):
            record = file.begin(left)
            coordinating = CoordinatorThread(shared, host, file, record, totals, before, self.on_progress)
            logs.get_logger().info(
                log_events.RUN_STARTED,
                rows_left=sum(known.planned[shard].rows for shard in known.out),
                connections=request.limits.connections,
                workers=known.shards,
            )
            error: PurgeEngineError | None = None
            try:
                run_loop(_in_thread(coordinating, self.callbacks))
            except PurgeEngineError as found:
                error = found
            except (OSError, RuntimeError) as found:  # of Dask; leases that nobody renews run out by themselves
                error = RunStopped(
                    f"The workers cannot be reached any more ({found}), so the run was stopped. To resume, "
                    f"{request.spelling(AGAIN)}."
                )
            core = coordinating.core
            return SharedEnd(core.stop_reason, error, host.returns, core.totals.figures)


async def _in_thread(coordinating: CoordinatorThread, callbacks: Callbacks) -> None:
    """Coordinate in a thread of its own. The loop here only waits for what may stop it."""
    with callbacks.stoppable(coordinating.stop, lambda: None):
        await asyncio.to_thread(coordinating.run)


def _refuse_secrets_in_hand(request: PurgeRequest, option: str) -> None:
    if request.access_token is not None or request.credential is not None:
        raise UsageProblem("Workers sign in by themselves, from the environment. A token cannot be handed to them.")
    if request.auth == "device-code":
        raise UsageProblem(
            f"{option} cannot be used with --auth device-code: each worker signs in by itself, and nobody would enter its code. "
            "Nothing was sent. Use another way to sign in, or one process."
        )


def _refuse_blind_filter(request: PurgeRequest, ledger: Ledger) -> None:
    """Refuse a filter of a command that resumes if it cannot match. Its limits were looked at when the ledger was cut."""
    user_filter = request.user_filter()
    unlimited = replace(request, max_items=None, max_items_per_mailbox=None)
    if (sentence := refusal(ledger.preview(user_filter), unlimited, user_filter)) is not None:
        raise UsageProblem(sentence)


def _cut_before(head: Path, given: int | None) -> Cut | None:
    """Return the cut of an earlier call, or None. Raise `UsageProblem` if it does not go with what is asked for now."""
    found = sharding_of(head) if state_of(head) is FolderState.STAGED else None
    if found is not None and found.mark is not None:
        raise UsageProblem(
            f"The ledger in {head} is a shard itself, and cannot be cut again. Leave --workers out, or name the ledger that it was "
            "cut from. Nothing was sent."
        )
    known = None if found is None else found.cut
    if known is not None and known.out and given not in (None, known.shards):
        raise UsageProblem(
            f"The ledger in {head} was cut into {number(known.shards)} shards before, and not all of them are collected. To go on, "
            f"give --workers {known.shards}. Nothing was sent."
        )
    return known


def _counts_now(head: HeadLedger, folders: Mapping[int, Path]) -> Counts:
    """Count what is done, for the display. Shards whose folders are gone count as not begun."""
    there = {shard for shard, folder in folders.items() if state_of(folder) is FolderState.STAGED}
    return counts_of(head, folders) if there >= set(folders) else head.reader.counts()


def _mailboxes_of(head: HeadLedger) -> int:
    return sum(1 for _ in open_mailboxes(head.connection))


def _free_folder(head: Path) -> Path:
    """Return a folder beside the head that is not there yet."""
    names = (head.absolute().with_name(f"{head.absolute().name}-shards{'' if n == 1 else f'-{n}'}") for n in count(1))
    return next(path for path in names if not os.path.lexists(path))
