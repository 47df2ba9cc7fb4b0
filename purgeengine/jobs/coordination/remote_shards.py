"""Shards whose ledgers are on the disks of workers on other machines. Each of them is sent once, and copies come home.

What is asked of a worker takes as long as it takes, so it is asked in threads. They change nothing at home: they leave what they
got for the coordinator's thread.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from purgeengine import log_events, logs
from purgeengine.core.coordination.coordinator_messages import (
    Collect,
    Collected,
    CollectFailed,
    CoordinatorEvent,
    Give,
    LedgerMissing,
    Redo,
    RunReturned,
    WorkerSeen,
    WorkersSeen,
)
from purgeengine.core.coordination.lease_messages import Tenure
from purgeengine.core.graph.text import printable
from purgeengine.edges.cluster import CallFailed
from purgeengine.edges.ledger.sharding.collecting import collect
from purgeengine.edges.ledger.sharding.worker_disk import CopyMade, install_copy
from purgeengine.errors import LedgerError, PurgeEngineError
from purgeengine.jobs.coordination.carrying import CALL_S_MAX, WorkerLine
from purgeengine.jobs.coordination.introductions import Introductions
from purgeengine.jobs.coordination.local_shards import ended_in_order, taken_back
from purgeengine.jobs.coordination.shard_host import Records, SharedWork
from purgeengine.jobs.coordination.shard_task import ShardReturn
from purgeengine.jobs.coordination.worker_tasks import drop_shard, run_shard_here

COPY_EVERY_S = 60.0
"""Seconds between two copies of a shard's records. If a disk is lost, what is newer than the last copy is run again, in doubt. A
copy of a million rows has about ten megabytes."""
REST_S = 60.0
"""Seconds for which a worker gets no shard after one could not be begun there."""

Then = Callable[[CopyMade | None], list[CoordinatorEvent]]
"""Carries on in the coordinator's thread when a copy has come home, or could not (None)."""


class RemoteShards:
    """The `ShardHost` of ``run --scheduler``."""

    def __init__(self, work: SharedWork, introductions: Introductions, left: Records) -> None:
        self.returns: list[ShardReturn] = []
        self.workers = 0
        self._work = work
        self._introductions = introductions
        self._records = left
        self._futures: dict[Tenure, Any] = {}
        self._names: dict[Tenure, str] = {}
        self._pool = ThreadPoolExecutor(2 * len(work.folders) + 4, thread_name_prefix="carrying")
        self._arrived: queue.SimpleQueue[Callable[[], list[CoordinatorEvent]]] = queue.SimpleQueue()
        self._copies = 0
        self._on_way: dict[int, int] = {}
        """How many copies of each shard are on their way home."""
        self._installed: dict[int, int] = {}
        """The number of the copy of each shard that is at home. A later copy has a higher number."""
        self._copied_at: dict[int, float] = {}
        self._rests: dict[str, float] = {}
        self._told: set[str] = set()
        self._wake: Callable[[], None] = lambda: None

    @property
    def given(self) -> int:
        """How many runs are waited for."""
        return len(self._futures)

    def begin(self, wake: Callable[[], None]) -> None:
        """Begin."""
        self._wake = wake
        for home in self._work.folders.values():
            for left in home.parent.glob(f"{home.name}.copy-*"):  # of a coordinator that was killed
                left.unlink(missing_ok=True)

    def close(self) -> None:
        """Wait for no call any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    # ------------------------------------------------------------------------------------------------- what happens

    def happened(self, records: Records) -> list[CoordinatorEvent]:
        """Return the ends of runs, and what has arrived from workers."""
        self._records = records
        events: list[CoordinatorEvent] = []
        while True:
            try:
                events += self._arrived.get_nowait()()
            except queue.Empty:
                break
        for tenure, future in [*self._futures.items()]:
            if future.done():
                del self._futures[tenure]
                events += self._ended(tenure, future)
        return events

    def look(self, records: Records) -> list[CoordinatorEvent]:
        """Return which workers can be given shards, and ask for the copies that are due."""
        self._records = records
        known = self._work.cluster.workers()
        self._introductions.look(known)
        self.workers = len(known)
        now = time.monotonic()
        for number, record in records.items():
            if record.run is None or record.done or record.fenced_utc_ms is not None:
                self._copied_at.pop(number, None)
            elif now >= self._copied_at.setdefault(number, now) + COPY_EVERY_S and not self._on_way.get(number):
                self._copied_at[number] = now
                self._bring(number, lambda made: [])
        seen = (
            WorkerSeen(address, one.disk, one.client_id)
            for address, one in sorted(self._introductions.found.items())
            if address in known and now >= self._rests.get(address, 0.0)
        )
        return [WorkersSeen(tuple(seen))]

    def _ended(self, tenure: Tenure, future: Any) -> list[CoordinatorEvent]:
        """Return what the end of a task means. If it was lost, nothing is known, and its lease decides."""
        name = self._names.pop(tenure, "?")
        if future.status == "finished":
            found: ShardReturn = future.result()
            if found.complete or found.run is None:
                return ended_in_order(tenure, found, self.returns)
            self._bring(tenure.shard, lambda made: ended_in_order(tenure, found, self.returns))
            return []
        self._warn(
            log_events.WORKER_LOST,
            f"Worker {name}, which had shard {tenure.shard}, is gone. The shard goes on as soon as the lost run can send "
            "nothing more.",
        )
        return []

    # --------------------------------------------------------------------------------------------- what is to be done

    def give(self, command: Give, term: int) -> None:
        """Send the shard to the worker unless it has it, and start a run there."""
        self._pool.submit(self._give, command, term)

    def _give(self, command: Give, term: int) -> None:
        tenure, worker = command.tenure, command.worker
        name = self._name(tenure)
        line = WorkerLine(self._work.cluster, worker.worker)
        try:
            has = line.has(name)
            if not has.whole and command.begun:
                self._arrive(lambda: [LedgerMissing(tenure)])
                return
            if not has.whole:
                line.send(name, self._work.folders[tenure.shard], has)
            task = self._work.task(Path(name), tenure, worker.disk)
            key = self._work.key(tenure, term)
            future = self._work.cluster.start(run_shard_here, task, key=key, address=worker.worker)
            future.add_done_callback(lambda _: self._wake())
            self._arrive(partial(self._started, tenure, future, worker.worker))
        except (CallFailed, PurgeEngineError, OSError) as error:
            self._arrive(partial(self._not_begun, tenure, worker.worker, error))

    def _started(self, tenure: Tenure, future: Any, address: str) -> list[CoordinatorEvent]:
        self._futures[tenure] = future
        self._names[tenure] = address
        return []

    def _not_begun(self, tenure: Tenure, address: str, error: Exception) -> list[CoordinatorEvent]:
        self._rests[address] = time.monotonic() + REST_S
        said = printable(str(error), 300)
        self._warn(
            log_events.WORKER_REFUSED, f"Shard {tenure.shard} could not be begun on the worker at {address}: {said}"
        )
        return [RunReturned(tenure, None, complete=False)]

    def collect(self, command: Collect) -> None:
        """Bring the last copy home, and merge it into the head."""
        self._bring(command.shard, partial(self._collected, command))

    def _collected(self, command: Collect, made: CopyMade | None) -> list[CoordinatorEvent]:
        if made is None:
            return [CollectFailed(command.shard, command.generation)]
        record = self._records[command.shard]
        try:
            collect(self._work.head, self._work.folders[command.shard])
        except PurgeEngineError as error:
            self.returns.append(ShardReturn(None, False, str(error), error.kind, error.exit_code))
            raise
        address = self._holder(record.disk)
        if address is not None:
            name = self._name(Tenure(command.shard, command.generation, record.epoch))
            self._pool.submit(self._drop, name, address)
        return [Collected(command.shard, command.generation)]

    def _drop(self, name: str, address: str) -> None:
        with suppress(CallFailed, PurgeEngineError):  # what stays is of no account
            self._work.cluster.call(drop_shard, name, address=address, within_s=CALL_S_MAX)

    def redo(self, command: Redo) -> None:
        """Take a generation back whose disk is lost."""
        event = taken_back(self._work, command)
        self._arrived.put(lambda: [event])

    # ---------------------------------------------------------------------------------------------------------- copies

    def _bring(self, shard: int, then: Then) -> None:
        """Bring a copy of a shard's records home. One that is on its way may hang, and is not waited for."""
        self._copies += 1
        number, record = self._copies, self._records[shard]
        self._on_way[shard] = self._on_way.get(shard, 0) + 1
        tenure = Tenure(shard, record.generation, record.epoch)
        address = self._holder(record.disk)
        if address is None:
            self._arrive(partial(self._brought, tenure, number, None, then))
        else:
            self._pool.submit(self._bring_now, tenure, number, address, then)

    def _bring_now(self, tenure: Tenure, number: int, address: str, then: Then) -> None:
        made = None
        try:
            made = WorkerLine(self._work.cluster, address).bring(self._name(tenure), number, self._copy(tenure, number))
        except (CallFailed, PurgeEngineError, OSError) as error:
            logs.get_logger().debug(log_events.WORKER_LOST, because=f"No copy of shard {tenure.shard}: {error}")
        self._arrive(partial(self._brought, tenure, number, made, then))

    def _brought(self, tenure: Tenure, number: int, made: CopyMade | None, then: Then) -> list[CoordinatorEvent]:
        """Let the copy replace the one at home, unless that is newer, or the generation is not the shard's any more."""
        self._on_way[tenure.shard] -= 1
        copy, record = self._copy(tenure, number), self._records[tenure.shard]
        is_current = record.generation == tenure.generation and not record.done and record.fenced_utc_ms is None
        if not is_current:
            made = None
        if made is not None and number > self._installed.get(tenure.shard, 0):
            try:
                if install_copy(copy, made, self._work.folders[tenure.shard]):
                    self._installed[tenure.shard] = number
                else:
                    made = None
            except LedgerError as error:  # somebody reads the older copy on Windows, or the disk is full
                self._warn(log_events.WORKER_LOST, str(error))
                made = None
        copy.unlink(missing_ok=True)
        return then(made)

    def _copy(self, tenure: Tenure, number: int) -> Path:
        home = self._work.folders[tenure.shard]
        return home.with_name(f"{home.name}.copy-{number}")

    # ------------------------------------------------------------------------------------------------------------ small

    def _holder(self, disk: str | None) -> str | None:
        """Return the address of a worker that is there and has this disk."""
        known = self._work.cluster.workers()
        found = self._introductions.found
        return next((address for address in sorted(known) if address in found and found[address].disk == disk), None)

    def _name(self, tenure: Tenure) -> str:
        """Return the name of a shard's folder on the disk of a worker: no two purges, shards or generations have one name."""
        return f"{self._work.purge[:16]}-{self._work.folders[tenure.shard].name}-g{tenure.generation}"

    def _arrive(self, what: Callable[[], list[CoordinatorEvent]]) -> None:
        self._arrived.put(what)
        self._wake()

    def _warn(self, event: str, sentence: str) -> None:
        """Log a sentence once."""
        if sentence not in self._told:
            self._told.add(sentence)
            logs.get_logger().warning(event, because=sentence)
