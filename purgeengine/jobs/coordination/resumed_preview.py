"""What a purge whose shards are out has left to send: the sum of what the shards have left, as their ledgers or copies know it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from purgeengine.core.policy.filters import UserFilter
from purgeengine.edges.ledger.reader import LedgerReader
from purgeengine.edges.ledger.sharding.head import HeadLedger
from purgeengine.edges.ledger.staging.folder import FolderState, state_of
from purgeengine.edges.ledger.views.counts import Counts
from purgeengine.edges.ledger.views.preview import Preview
from purgeengine.errors import RunStopped, UsageProblem
from purgeengine.jobs.callbacks import Callbacks
from purgeengine.jobs.guard_rails import refusal
from purgeengine.jobs.purge_preview import PurgePreview
from purgeengine.jobs.purge_request import PurgeRequest
from purgeengine.words import AGAIN


def allow_rest(
    request: PurgeRequest, head: HeadLedger, folders: Mapping[int, Path], counts: Counts, callbacks: Callbacks
) -> None:
    """Check the rest of a purge against the limits of the request, and ask for a confirmation, as for any run that resumes.

    ``folders`` are those of the shards that are out, and ``counts`` are the rows of the whole. If the folder of a shard is gone,
    all open rows of the head count. Raises `UsageProblem` if the limits refuse it, and `RunStopped` if it is not confirmed.
    """
    user_filter = request.user_filter()
    there = all(state_of(folder) is FolderState.STAGED for folder in folders.values())
    preview = _rest_of(folders, user_filter) if there else head.reader.preview(user_filter)
    everybody = UserFilter(
        user_filter.protected, user_filter.excluded
    )  # whether the list of users fits was checked before
    if (sentence := refusal(preview, request, everybody)) is not None:
        raise UsageProblem(sentence)
    if request.yes or callbacks.confirm is None:
        return
    about = head.reader.about
    asked = PurgePreview(
        f"Ledger {head.folder}",
        counts.rows,
        head.reader.mailbox_count(),
        counts.outcomes,
        preview,
        counts.in_doubt,
        reading=about.get("reading"),
        deletion=head.reader.deletion,
        tenant_id=str(about["tenant_id"]),
    )
    if not callbacks.confirm(asked):
        raise RunStopped(f"The purge was not confirmed, so nothing was sent. To be asked again, {AGAIN}.")


def _rest_of(folders: Mapping[int, Path], user_filter: UserFilter) -> Preview:
    found = Preview()
    for folder in folders.values():
        with LedgerReader.open(folder) as shard:
            found.merge(shard.preview(user_filter))
    return found
