"""What a worker process does: one run over the ledger of one shard, under a lease."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from purgeengine import logs
from purgeengine.core.coordination.lease_holder import LeaseHolder
from purgeengine.core.coordination.lease_messages import Tenure
from purgeengine.core.coordination.plain_form import plain_question, said_of
from purgeengine.core.coordination.shard_lease import LeaseTimes
from purgeengine.edges.lease import RunLease
from purgeengine.edges.ledger import Ledger
from purgeengine.edges.ledger.running.shard_events import highest_epoch
from purgeengine.edges.ledger.store.lock import is_in_use
from purgeengine.edges.worker_channel import leave_thread, worker_channel
from purgeengine.errors import ErrorKind, LedgerError, PurgeEngineError
from purgeengine.jobs.coordination.leased_run import LeasedRun
from purgeengine.jobs.guard_rails import refuse_shards_out
from purgeengine.jobs.progress import Silence
from purgeengine.jobs.purge import Purge
from purgeengine.jobs.purge_request import PurgeRequest
from purgeengine.jobs.reads.probe import REQUESTS_MAX
from purgeengine.jobs.sign_in import sign_in, tokens_of_environment


@dataclass(frozen=True, slots=True)
class ShardTask:
    """What a worker is asked to do. It holds nothing secret: a worker signs in with its own environment."""

    request: PurgeRequest
    """Without its input, and with the limits of all workers together."""
    folder: Path
    """The ledger of the shard."""
    purge: str
    """Names the purge, for its messages."""
    tenure: Tenure
    disk: str
    times: LeaseTimes


@dataclass(frozen=True, slots=True)
class ShardReturn:
    """How a run over a shard ended.

    ``reason`` is the sentence that says why it is not complete, if that is a reason to stop all runs. ``question`` has its last
    figures, as a plain value.
    """

    run: str | None
    complete: bool
    reason: str | None = None
    kind: ErrorKind | None = None
    exit_code: int = 0
    question: Mapping[str, Any] | None = None
    fanout: int | None = None
    app_limit_per_s: float | None = None


def run_shard(task: ShardTask) -> ShardReturn:
    """Run the shard until it is complete, or until the run must stop. An error is returned, not raised."""
    leave_thread()
    logs.configure_logs("console", quiet=True)
    if is_in_use(task.folder):  # an earlier task still has it, or somebody looks at it: it is given again after a while
        return ShardReturn(None, complete=False)
    try:
        return _run(task)
    except PurgeEngineError as error:
        return ShardReturn(None, False, str(error), error.kind, error.exit_code)


def _run(task: ShardTask) -> ShardReturn:
    request, tenure, folder = task.request, task.tenure, task.folder
    refuse_shards_out(folder, request.spelling)
    endpoint = request.endpoint()
    tokens = tokens_of_environment(endpoint)
    identity = sign_in(tokens)
    with Ledger.open(folder, None, tenant_id=identity.tenant_id, deletion=request.deletion()) as ledger:
        if (seen := highest_epoch(folder)) > tenure.epoch:
            raise LedgerError(
                f"The shard in {folder} was run for a later coordinator than this one (epoch {seen}, and this is {tenure.epoch}). "
                "Is it a copy of another folder? Nothing more was sent from it."
            )
        run = uuid.uuid4().hex
        channel = worker_channel(task.purge)
        holder = LeaseHolder(tenure, run, task.disk, str(identity.client_id), task.times.lease_s)
        lease = RunLease(holder, lambda question: channel.say(plain_question(question)), ask_s=task.times.ask_s)
        waits_s = ledger.run_blocked_for_s(round(time.time() * 1000))
        if waits_s > 0.0:  # what Graph asked of an earlier run holds for all
            lease.asked_to_wait(waits_s, cut=False)
        with channel.hearing(run, lambda message: _hear(lease, message)), lease.renewed():
            if not lease.begins(task.times.start_s):
                return ShardReturn(run, complete=False)
            ledger.leave_out(request.user_filter(), round(time.time() * 1000))
            limits = request.limits
            if request.probe:
                limits = replace(limits, mailbox_requests=max(1, limits.mailbox_requests - REQUESTS_MAX))
            summary = Purge(
                ledger,
                tokens,
                endpoint,
                limits,
                Silence(),
                seed=request.seed,
                hours=request.hours,
                spelling=request.spelling,
                supervisor=LeasedRun(lease, tenure, task.disk, task.times),
            ).run()
            last = plain_question(lease.last_question())
    own = not summary.complete and not lease.told_to_end
    return ShardReturn(
        run,
        summary.complete,
        summary.stopped if own else None,
        summary.stopped_kind if own else None,
        summary.exit_code if own else 0,
        last,
        summary.fanout,
        summary.app_limit_per_s,
    )


def _hear(lease: RunLease, message: Mapping[str, Any]) -> None:
    with suppress(ValueError):  # of another version: dropped, like a lost one
        lease.heard(said_of(message))
