"""How a purge of several runs ended, as one summary."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from purgeengine.core.graph.text import well_formed
from purgeengine.core.policy.advice import advice_for
from purgeengine.core.policy.run_figures import RunFigures
from purgeengine.edges.ledger.sharding.head import HeadLedger
from purgeengine.edges.ledger.sharding.overview import ShardedPurge
from purgeengine.edges.ledger.views.counts import Counts
from purgeengine.errors import PurgeEngineError, RunStopped
from purgeengine.jobs.coordination.shard_task import ShardReturn
from purgeengine.jobs.purge import MAILBOXES_TOLD
from purgeengine.jobs.purge_request import PurgeRequest
from purgeengine.jobs.summary import Summary, exit_code_of
from purgeengine.words import AGAIN


@dataclass(frozen=True, slots=True)
class SharedEnd:
    """How the runs ended: why all were asked to stop, the error of the coordinator, what the runs returned, and their figures."""

    stop_reason: str | None = None
    error: PurgeEngineError | None = None
    returns: Sequence[ShardReturn] = ()
    figures: RunFigures = field(default_factory=RunFigures)
    duration_s: float = 0.0


def counts_of(head: HeadLedger, folders: Mapping[int, Path]) -> Counts:
    """Count the rows of the whole purge, as the ledgers in ``folders`` know them."""
    known = head.cut()
    out = [] if known is None else known.out
    if out:
        with ShardedPurge.open([head.folder, *(folders[shard] for shard in out)]) or ExitStack() as found:
            if isinstance(found, ShardedPurge):
                return found.counts(found.standings())
    return head.reader.counts()


def shared_summary(request: PurgeRequest, head: HeadLedger, folders: Mapping[int, Path], end: SharedEnd) -> Summary:
    """Return the summary. Of shards that are not collected, the ledgers in ``folders`` count, or their last copies."""
    error, returns, figures = end.error, end.returns, end.figures
    failed = next((one for one in returns if one.reason is not None and not one.complete), None)
    review = head.reader.review(MAILBOXES_TOLD)
    known = head.cut()
    out = [] if known is None else known.out
    counts = counts_of(head, folders) if out else review.counts
    unfinished = counts.waiting + counts.in_doubt
    stopped, kind, exit_code = None, None, exit_code_of(counts.outcomes, unfinished)
    if error is None and failed is None and end.stop_reason is not None:
        reason = end.stop_reason.rstrip(".")
        error = RunStopped(f"The run was stopped: {reason}. To resume, {request.spelling(AGAIN)}.")
    if error is None and unfinished and failed is None:
        error = RunStopped(f"The run ended before all shards were done. To resume, {request.spelling(AGAIN)}.")
    if failed is not None and (unfinished or failed.exit_code != RunStopped.exit_code):
        stopped, kind, exit_code = failed.reason, failed.kind, failed.exit_code
    elif error is not None and (unfinished or not isinstance(error, RunStopped)):
        stopped, kind, exit_code = str(error), error.kind, error.exit_code
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
        duration_s=end.duration_s,
        exit_code=exit_code,
        stopped=stopped,
        stopped_kind=kind,
        fanout=next((one.fanout for one in reversed(returns) if one.fanout is not None), None),
        action=request.deletion().action,
        app_limit_per_s=next((one.app_limit_per_s for one in reversed(returns) if one.app_limit_per_s), None),
        absence=review.absence if whole else None,
        advice=advice_for([review.situation(str(head.folder))], windows=os.name == "nt") if whole else (),
    )
