"""Who runs the shards of a purge: processes of this machine, or workers that somebody has started on others."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from purgeengine.core.coordination.shard_lease import LeaseTimes
from purgeengine.core.coordination.shard_record import HeadRecord
from purgeengine.core.graph.text import printable
from purgeengine.edges.cluster import WorkerCluster
from purgeengine.edges.ledger.running.shard_events import HERE, Cut
from purgeengine.edges.ledger.staging.folder import FolderState, state_of
from purgeengine.errors import LedgerError, UsageProblem
from purgeengine.jobs.callbacks import Callbacks
from purgeengine.jobs.coordination.introductions import Introductions
from purgeengine.jobs.coordination.local_shards import LocalShards
from purgeengine.jobs.coordination.remote_shards import RemoteShards
from purgeengine.jobs.coordination.shard_host import ShardHost, SharedWork
from purgeengine.jobs.purge_request import PurgeRequest
from purgeengine.jobs.sign_in import sign_in, tokens_of_environment

LOCAL_TIMES = LeaseTimes(ask_s=1.0, lost_s=float("inf"))
"""The times of leases on this machine. A question costs little here, and the thresholds of the purge count the figures that
questions bring. No disk is taken for lost: the shards lie beside the head."""
REMOTE_TIMES = LeaseTimes(ask_s=2.5)
"""The times of leases on other machines. A lease is long enough to lose eleven questions in a row."""
MakeWork = Callable[[WorkerCluster], SharedWork]
"""Returns what is to be done by these workers."""


class Crew(Protocol):
    """Those who run the shards."""

    times: LeaseTimes

    def refuse(self, known: Cut, folders: Mapping[int, Path], left: HeadRecord) -> HeadRecord:
        """Raise `LedgerError` or `UsageProblem` if the shards are not where this crew can run them.

        Return what is left of the previous coordinator, with the shards marked that are to be taken for lost.
        """

    def hosting(self, work: MakeWork, left: HeadRecord) -> AbstractContextManager[tuple[SharedWork, ShardHost]]:
        """Return a context. The workers are there while inside."""


class LocalCrew:
    """Processes of this machine."""

    times = LOCAL_TIMES

    def __init__(self, request: PurgeRequest, callbacks: Callbacks, lost_after_s: float | None) -> None:
        self._request = request
        self._callbacks = callbacks
        self._may_lose = lost_after_s is not None

    def refuse(self, known: Cut, folders: Mapping[int, Path], left: HeadRecord) -> HeadRecord:
        """Refuse shards that are on the disks of other machines, or whose folders are gone, unless those count as lost."""
        _refuse_other_place(
            left, folders, lambda disk: disk == HERE, "--scheduler, with the address that was given before"
        )
        shards = dict(left.shards)
        for shard in known.out:
            if state_of(folders[shard]) is FolderState.STAGED:
                continue
            if not self._may_lose:
                raise _missing(shard, folders[shard], " If it is gone for good, add --lost-after 0.")
            if shards[shard].fenced_utc_ms is None:
                shards[shard] = replace(shards[shard], fenced_utc_ms=round(time.time() * 1000))
        return replace(left, shards=shards)

    @contextmanager
    def hosting(self, work: MakeWork, left: HeadRecord) -> Iterator[tuple[SharedWork, ShardHost]]:
        """Start the processes."""
        tokens = tokens_of_environment(self._request.endpoint(), self._callbacks.tell_sign_in)
        identity = sign_in(tokens, self._callbacks.stop)
        with ExitStack() as stack:
            scratch = stack.enter_context(
                tempfile.TemporaryDirectory(prefix="purgeengine-", ignore_cleanup_errors=True)
            )
            cluster = stack.enter_context(WorkerCluster.here(len(left.shards), Path(scratch)))
            shared = work(cluster)
            yield shared, LocalShards(shared, str(identity.client_id), left.shards)


class RemoteCrew:
    """Workers that somebody has started on other machines."""

    def __init__(self, cluster: WorkerCluster, introductions: Introductions, times: LeaseTimes) -> None:
        self._cluster = cluster
        self._introductions = introductions
        self.times = times

    def refuse(self, known: Cut, folders: Mapping[int, Path], left: HeadRecord) -> HeadRecord:
        """Refuse shards that this machine has begun, or whose copies are gone."""
        _refuse_other_place(left, folders, lambda disk: disk != HERE, f"--workers {known.shards}, without --scheduler")
        for shard in known.out:
            if state_of(folders[shard]) is not FolderState.STAGED:
                raise _missing(shard, folders[shard], "")
        return left

    @contextmanager
    def hosting(self, work: MakeWork, left: HeadRecord) -> Iterator[tuple[SharedWork, ShardHost]]:
        """Use the workers that are there."""
        shared = work(self._cluster)
        yield shared, RemoteShards(shared, self._introductions, left.shards)


def _missing(shard: int, folder: Path, more: str) -> LedgerError:
    return LedgerError(
        f"Shard {shard} is not in {printable(str(folder))}, and what it has sent is recorded nowhere else. Nothing was sent. Bring "
        f"the folder back, or its last copy: docs/several-machines.md says what is less exact then.{more}"
    )


def _refuse_other_place(
    left: HeadRecord, folders: Mapping[int, Path], is_ours: Callable[[str], bool], instead: str
) -> None:
    for shard, record in left.shards.items():
        if record.begun and not record.done and record.disk is not None and not is_ours(record.disk):
            raise UsageProblem(
                f"Shard {shard} in {printable(str(folders[shard].parent))} was begun elsewhere, and its ledger is there. Give "
                f"{instead}. Nothing was sent."
            )
