"""The process around the coordinator: one thread that collects what happens, and carries out what the coordinator decides.

It holds the lock of the head throughout, so that there is one coordinator at a time. All shards lie on the disk of the head, and
the operating system's lock of a shard says for certain whether a process still has it. So a run whose process has died is replaced
at once; only one that hangs is waited for until its lease and the margin are over.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from purgeengine import log_events, logs
from purgeengine.core.policy.run_figures import RunFigures
from purgeengine.core.sharing.coordination import (
    Collect,
    Collected,
    CoordinatorCommand,
    CoordinatorEvent,
    Give,
    Redo,
    RunReturned,
    Save,
    StopAsked,
    Tell,
    WorkerSeen,
    WorkersSeen,
)
from purgeengine.core.sharing.coordinator import Coordinator
from purgeengine.core.sharing.plain_form import plain_said, question_of
from purgeengine.core.sharing.shard_lease import LeaseTimes
from purgeengine.core.sharing.share_book import AppShare
from purgeengine.core.sharing.talk import Tenure
from purgeengine.core.sharing.totals import Totals
from purgeengine.edges.cluster import WorkerCluster
from purgeengine.edges.lease import boot_time
from purgeengine.edges.ledger.sharding.collecting import collect
from purgeengine.edges.ledger.sharding.coordinator_file import CoordinatorFile
from purgeengine.edges.ledger.sharding.head import HeadLedger
from purgeengine.edges.ledger.store.lock import is_in_use
from purgeengine.errors import PurgeEngineError
from purgeengine.jobs.purge_request import PurgeRequest
from purgeengine.jobs.sharing.shard_task import ShardReturn, ShardTask, run_shard

INBOX_MAX = 10_000
"""Most events that wait. Each run asks every few seconds, so more means that nothing is handled any more. Then questions are
dropped, as if they were lost on their way."""
LOOK_S = 1.0
"""Seconds between two looks at the workers, and at most between two turns."""
NO_WORKER_S_MAX = 120.0
"""Seconds without any worker process after which the purge stops: Dask starts a dead one again within a second or two."""


@dataclass(frozen=True, slots=True)
class SharedProgress:
    """How a purge over several workers stands."""

    figures: RunFigures
    """All runs of this command together, as they told last."""
    workers: int
    """Workers that are there."""
    out: int
    """Shards that are given to a worker."""
    left: int
    """Shards that are not collected."""
    elapsed_s: float


class Coordinating:
    """Runs a coordinator until everything is done, or until all runs have stopped."""

    def __init__(
        self,
        head: HeadLedger,
        folders: Mapping[int, Path],
        file: CoordinatorFile,
        cluster: WorkerCluster,
        request: PurgeRequest,
        client_id: str,
        totals: Totals,
        times: LeaseTimes,
        on_progress: Callable[[SharedProgress], None],
    ) -> None:
        """``folders`` are those of the shards, by number. ``client_id`` is the app with which all workers sign in."""
        self._head = head
        self._folders = folders
        self._file = file
        self._cluster = cluster
        self._request = request
        self._client_id = client_id
        self._times = times
        self._on_progress = on_progress
        self._inbox: queue.Queue[CoordinatorEvent | None] = queue.Queue(INBOX_MAX)
        self._futures: dict[Tenure, Any] = {}
        self._pending: list[CoordinatorEvent] = []
        self._workers = 0
        self._began = self._workers_at = time.monotonic()
        self._looked_at = 0.0
        total = AppShare(request.limits.requests_per_s, request.limits.connections)
        record = file.begin()
        self.core = Coordinator(record, total, now=boot_time(), utc=time.time(), times=times, totals=totals)
        self.returns: list[ShardReturn] = []
        """What the runs returned, in the order in which they ended."""
        self._orphans = {
            Tenure(number, shard.generation, shard.epoch)
            for number, shard in record.shards.items()
            if shard.epoch and not shard.done
        }
        """Runs that nobody here waits for: those of an earlier coordinator, and those whose task was lost."""

    def stop(self, reason: str) -> None:
        """Ask all runs to stop in order, from any thread."""
        self._post(StopAsked(reason))

    def run(self) -> None:
        """Go on until it is finished. Raises `LedgerError` if the record or the head cannot be written; then the leases run out."""
        self._cluster.listen(self._hear)
        while not self.core.finished:
            events = self._collected_events()
            record = self._file.read()
            term = self.core.term if record is None else record.term
            for command in self.core.handle(*events, now=boot_time(), utc=time.time(), term_on_disk=term):
                self._carry_out(command)
            self._tell_progress()

    # ------------------------------------------------------------------------------------------------- what happens

    def _post(self, event: CoordinatorEvent | None) -> None:
        with suppress(queue.Full):
            self._inbox.put_nowait(event)

    def _hear(self, message: Mapping[str, Any]) -> None:
        with suppress(ValueError):  # of another version: dropped, like a lost one
            self._post(question_of(message))

    def _collected_events(self) -> list[CoordinatorEvent]:
        events, self._pending = self._pending, []
        wait_s = 0.0 if events else max(0.0, min(LOOK_S, self.core.wake_at() - boot_time()))
        with suppress(queue.Empty):
            first = self._inbox.get(timeout=wait_s) if wait_s else self._inbox.get_nowait()
            events += [] if first is None else [first]
            while True:
                event = self._inbox.get_nowait()
                events += [] if event is None else [event]
        for tenure, future in [*self._futures.items()]:
            if future.done():
                del self._futures[tenure]
                events += self._ended(tenure, future)
        if time.monotonic() >= self._looked_at + LOOK_S:
            self._looked_at = time.monotonic()
            events += [*self._found_dead(), self._seen()]
        return events

    def _ended(self, tenure: Tenure, future: Any) -> list[CoordinatorEvent]:
        """Return what the end of a task means. If it was lost, nothing is known: the lock of its ledger, or its lease, decides."""
        if future.status == "finished":
            found: ShardReturn = future.result()
            self.returns.append(found)
            last = [] if found.question is None else [question_of(found.question)]
            return [*last, RunReturned(tenure, found.run, found.complete, found.reason)]
        logs.get_logger().warning(
            log_events.WORKER_LOST,
            because=f"The process of worker {tenure.shard} has ended or hangs. Its shard goes on when it can send no more.",
        )
        self._orphans.add(tenure)
        return self._found_dead()

    def _found_dead(self) -> list[CoordinatorEvent]:
        """Return the end of each orphan whose process has gone: the operating system has released its lock."""
        found: list[CoordinatorEvent] = []
        for tenure in [*self._orphans]:
            record = self.core.record.shards[tenure.shard]
            replaced = record.done or record.epoch != tenure.epoch
            if replaced or is_in_use(self._folders[tenure.shard]) is False:
                self._orphans.discard(tenure)
                found += [] if replaced else [RunReturned(tenure, record.run, complete=False)]
        return found

    def _seen(self) -> WorkersSeen:
        known = self._cluster.workers()
        now = time.monotonic()
        self._workers = len(known)
        if known:
            self._workers_at = now
        elif now > self._workers_at + NO_WORKER_S_MAX and self.core.stop_reason is None:
            self.stop(f"no worker process was there for {NO_WORKER_S_MAX:.0f} s")
        return WorkersSeen(
            tuple(WorkerSeen(address, disk_of(number), self._client_id) for number, address in sorted(known.items()))
        )

    # --------------------------------------------------------------------------------------------- what is to be done

    def _carry_out(self, command: CoordinatorCommand) -> None:
        match command:
            case Save(record):
                self._file.write(record)
            case Tell(said):
                self._cluster.tell(plain_said(said))
            case Give(tenure, worker):
                task = ShardTask(self._request, self._folders[tenure.shard], tenure, worker.disk, self._times)
                key = f"shard-{tenure.shard}-e{tenure.epoch}-t{self.core.term}"
                future = self._cluster.start(run_shard, task, key=key, address=worker.worker)
                self._futures[tenure] = future
                future.add_done_callback(lambda _: self._post(None))
            case Collect(shard, generation):
                self._pending.append(self._collect(shard, generation))
            case Redo():
                raise AssertionError("the shards lie on the head's own disk, so that none is taken for lost")

    def _collect(self, shard: int, generation: int) -> CoordinatorEvent:
        try:
            collect(self._head, self._folders[shard])
        except PurgeEngineError as error:
            self.returns.append(ShardReturn(None, False, str(error), error.kind, error.exit_code))
            raise
        return Collected(shard, generation)

    def _tell_progress(self) -> None:
        records = self.core.record.shards.values()
        out = sum(tenure.epoch == self.core.record.shards[tenure.shard].epoch for tenure in self._futures)
        left = sum(not record.done for record in records)
        elapsed_s = time.monotonic() - self._began
        self._on_progress(SharedProgress(self.core.totals.figures, self._workers, out, left, elapsed_s))


def disk_of(worker: int) -> str:
    """Return the name of the place of a worker. Its shards stay with it, and all places are on one disk."""
    return f"worker-{worker}"
