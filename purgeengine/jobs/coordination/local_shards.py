"""Shards that lie on the disk of the head, and are run by processes of this machine.

The operating system's lock of a shard says for certain whether a process still has it. So a run whose process has died is replaced
at once; only one that hangs is waited for until its lease and the margin are over. No copies are taken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from purgeengine import log_events, logs
from purgeengine.core.coordination.coordinator_messages import (
    Collect,
    Collected,
    CoordinatorEvent,
    Give,
    Redo,
    Redone,
    RunReturned,
    WorkerSeen,
    WorkersSeen,
    lost,
)
from purgeengine.core.coordination.lease_messages import Tenure
from purgeengine.core.coordination.plain_form import question_of
from purgeengine.edges.ledger.running.shard_events import HERE
from purgeengine.edges.ledger.sharding.collecting import collect
from purgeengine.edges.ledger.sharding.losing import lose
from purgeengine.edges.ledger.store.lock import is_in_use
from purgeengine.errors import PurgeEngineError
from purgeengine.jobs.coordination.shard_host import Records, SharedWork
from purgeengine.jobs.coordination.shard_task import ShardReturn, run_shard


class LocalShards:
    """The `ShardHost` of ``run --workers``."""

    def __init__(self, work: SharedWork, client_id: str, left: Records) -> None:
        """``client_id`` is the app with which all workers sign in. ``left`` is what the previous coordinator has left."""
        self.returns: list[ShardReturn] = []
        self.workers = 0
        self._work = work
        self._client_id = client_id
        self._futures: dict[Tenure, Any] = {}
        self._pending: list[CoordinatorEvent] = []
        self._wake: Callable[[], None] = lambda: None
        self._orphans = {
            Tenure(number, shard.generation, shard.epoch)
            for number, shard in left.items()
            if shard.epoch and not shard.done
        }
        """Runs that nobody here waits for: those of an earlier coordinator, and those whose task was lost."""

    @property
    def given(self) -> int:
        """How many runs are waited for."""
        return len(self._futures)

    def begin(self, wake: Callable[[], None]) -> None:
        """Begin."""
        self._wake = wake

    def happened(self, records: Records) -> list[CoordinatorEvent]:
        """Return the ends of runs, and what was collected."""
        events, self._pending = self._pending, []
        for tenure, future in [*self._futures.items()]:
            if future.done():
                del self._futures[tenure]
                events += self._ended(tenure, future, records)
        return events

    def look(self, records: Records) -> list[CoordinatorEvent]:
        """Return which processes are there, and which runs have ended with theirs."""
        known = self._work.cluster.workers()
        self.workers = len(known)
        seen = tuple(WorkerSeen(address, HERE, self._client_id) for address in sorted(known))
        return [*self._found_dead(records), WorkersSeen(seen)]

    def give(self, command: Give, term: int) -> None:
        """Start a run over the shard where it lies."""
        tenure, worker = command.tenure, command.worker
        task = self._work.task(self._work.folders[tenure.shard], tenure, worker.disk)
        future = self._work.cluster.start(run_shard, task, key=self._work.key(tenure, term), address=worker.worker)
        self._futures[tenure] = future
        future.add_done_callback(lambda _: self._wake())

    def collect(self, command: Collect) -> None:
        """Merge the shard into the head."""
        try:
            collect(self._work.head, self._work.folders[command.shard])
        except PurgeEngineError as error:
            self.returns.append(ShardReturn(None, False, str(error), error.kind, error.exit_code))
            raise
        self._pending.append(Collected(command.shard, command.generation))

    def redo(self, command: Redo) -> None:
        """Take a shard back whose folder is gone."""
        self._pending.append(taken_back(self._work, command))

    def close(self) -> None:
        """Do nothing: the processes end with the cluster."""

    def _ended(self, tenure: Tenure, future: Any, records: Records) -> list[CoordinatorEvent]:
        """Return what the end of a task means. If it was lost, nothing is known: the lock of its ledger, or its lease, decides."""
        if future.status == "finished":
            return ended_in_order(tenure, future.result(), self.returns)
        logs.get_logger().warning(
            log_events.WORKER_LOST,
            because=f"The process that had shard {tenure.shard} has ended or hangs. The shard goes on as soon as "
            "that process can send nothing more.",
        )
        self._orphans.add(tenure)
        return self._found_dead(records)

    def _found_dead(self, records: Records) -> list[CoordinatorEvent]:
        """Return the end of each orphan whose process has gone: the operating system has released its lock."""
        found: list[CoordinatorEvent] = []
        for tenure in [*self._orphans]:
            record = records[tenure.shard]
            replaced = record.done or record.epoch != tenure.epoch
            if replaced or is_in_use(self._work.folders[tenure.shard]) is False:
                self._orphans.discard(tenure)
                found += [] if replaced else [RunReturned(tenure, record.run, complete=False)]
        return found


def ended_in_order(tenure: Tenure, found: ShardReturn, returns: list[ShardReturn]) -> list[CoordinatorEvent]:
    """Note what a run returned, and return it as events: its last figures, and its end."""
    returns.append(found)
    last = [] if found.question is None else [question_of(found.question)]
    return [*last, RunReturned(tenure, found.run, found.complete, found.reason)]


def taken_back(work: SharedWork, command: Redo) -> CoordinatorEvent:
    """Take a lost generation back into the head, and say what was kept."""
    limits = work.request.limits
    facts = lost(command, limits.quarantine_s, limits.mailbox_requests)
    found = lose(work.head, command.shard, command.generation, work.folders[command.shard].parent, facts, limits)
    logs.get_logger().warning(
        log_events.SHARD_LOST,
        because=f"The disk of shard {command.shard} is taken for lost. {found.kept:,} rows of its last copy are kept; "
        f"{found.again:,} are run again, and those that are gone by then are called purged.",
    )
    if not found.again:
        return Collected(command.shard, command.generation)
    return Redone(command.shard, command.generation + 1)
