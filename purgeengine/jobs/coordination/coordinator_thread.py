"""The process around the coordinator: one thread that collects what happens, and carries out what the coordinator decides.

It holds the lock of the head throughout, so that there is one coordinator at a time on a machine.
"""

from __future__ import annotations

import queue
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from purgeengine import log_events, logs
from purgeengine.core.coordination.coordinator import Coordinator
from purgeengine.core.coordination.coordinator_messages import (
    Collect,
    CoordinatorCommand,
    CoordinatorEvent,
    Give,
    Redo,
    Save,
    StopAsked,
    Tell,
)
from purgeengine.core.coordination.plain_form import plain_said, question_of
from purgeengine.core.coordination.quota_book import AppQuota
from purgeengine.core.coordination.shard_record import HeadRecord
from purgeengine.core.coordination.totals import Totals
from purgeengine.core.model import Outcome
from purgeengine.core.policy.run_figures import RunFigures
from purgeengine.edges.lease import boot_time
from purgeengine.edges.ledger.sharding.coordinator_file import CoordinatorFile
from purgeengine.edges.ledger.views.counts import Counts
from purgeengine.jobs.coordination.shard_host import ShardHost, SharedWork
from purgeengine.words import duration

INBOX_MAX = 10_000
"""Most events that wait. Each run asks every few seconds, so more means that nothing is handled any more. Then questions are
dropped, as if they were lost on their way."""
LOOK_S = 1.0
"""Seconds between two looks at the workers, and at most between two turns."""
NO_WORKER_S_MAX = 120.0
"""Seconds without any worker after which the purge stops: Dask starts a dead process again within a second or two."""


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
    before: Counts
    """The rows of the whole purge as they stood when this command began."""
    wait_s: float = 0.0
    """Seconds for which Graph has asked an app to wait."""
    silent: int = 0
    """Shards that nobody sends for now, because their run is not heard of."""
    stopping: str | None = None
    """Why all runs are asked to stop; None if they are not."""

    @property
    def settled(self) -> Mapping[Outcome, int]:
        """The rows with an outcome, by outcome, as far as it is known."""
        return Counter(self.before.outcomes) + Counter(self.figures.settled)

    @property
    def left_s(self) -> float | None:
        """Seconds that the purge will probably still take. None if some shard is not being run, so that nobody can know."""
        return self.figures.left_s if self.out >= self.left and not self.silent else None


class CoordinatorThread:
    """Runs a coordinator until everything is done, or until all runs have stopped."""

    def __init__(
        self,
        work: SharedWork,
        host: ShardHost,
        file: CoordinatorFile,
        record: HeadRecord,
        totals: Totals,
        before: Counts,
        on_progress: Callable[[SharedProgress], None],
    ) -> None:
        """``record`` is what the previous coordinator has left, kept in ``file``. ``before`` counts the rows now."""
        self._before = before
        self._work = work
        self._host = host
        self._file = file
        self._on_progress = on_progress
        self._inbox: queue.Queue[CoordinatorEvent | None] = queue.Queue(INBOX_MAX)
        self._began = self._workers_at = time.monotonic()
        self._looked_at = 0.0
        self._silent: set[int] = set()
        limits = work.request.limits
        total = AppQuota(limits.requests_per_s, limits.connections)
        self.core = Coordinator(record, total, now=boot_time(), utc=time.time(), times=work.times, totals=totals)

    def stop(self, reason: str) -> None:
        """Ask all runs to stop in order, from any thread."""
        self._post(StopAsked(reason))

    def run(self) -> None:
        """Go on until it is finished. Raises `LedgerError` if the record or the head cannot be written; then the leases run out."""
        self._work.cluster.listen(self._work.purge, self._hear)
        self._host.begin(lambda: self._post(None))
        try:
            while not self.core.finished:
                events = self._collected_events()
                record = self._file.read()
                term = self.core.term if record is None else record.term
                for command in self.core.handle(*events, now=boot_time(), utc=time.time(), term_on_disk=term):
                    self._carry_out(command)
                self._tell_of_silence()
                self._tell_progress()
        finally:
            self._host.close()

    # ------------------------------------------------------------------------------------------------- what happens

    def _post(self, event: CoordinatorEvent | None) -> None:
        with suppress(queue.Full):
            self._inbox.put_nowait(event)

    def _hear(self, message: Mapping[str, Any]) -> None:
        with suppress(ValueError):  # of another version: dropped, like a lost one
            self._post(question_of(message))

    def _collected_events(self) -> list[CoordinatorEvent]:
        events: list[CoordinatorEvent] = []
        wait_s = max(0.0, min(LOOK_S, self.core.wake_at() - boot_time()))
        with suppress(queue.Empty):
            first = self._inbox.get(timeout=wait_s) if wait_s else self._inbox.get_nowait()
            events += [] if first is None else [first]
            while True:
                event = self._inbox.get_nowait()
                events += [] if event is None else [event]
        records = self.core.record.shards
        events += self._host.happened(records)
        if time.monotonic() >= self._looked_at + LOOK_S:
            self._looked_at = time.monotonic()
            events += self._host.look(records)
            self._watch_workers()
        return events

    def _watch_workers(self) -> None:
        now = time.monotonic()
        if self._host.workers:
            self._workers_at = now
        elif now > self._workers_at + NO_WORKER_S_MAX and self.core.stop_reason is None:
            self.stop(f"no worker was there for {NO_WORKER_S_MAX:.0f} s")

    # --------------------------------------------------------------------------------------------- what is to be done

    def _carry_out(self, command: CoordinatorCommand) -> None:
        match command:
            case Save(record):
                self._file.write(record)
            case Tell(said):
                self._work.cluster.tell(plain_said(said))
            case Give():
                self._host.give(command, self.core.term)
            case Collect():
                self._host.collect(command)
                self._post(None)
            case Redo():
                self._host.redo(command)
                self._post(None)

    def _tell_of_silence(self) -> None:
        """Log once that a run is not heard of any more, and what follows."""
        silent = set(self.core.silent)
        for number in silent - self._silent:
            times, then = self._work.times, "goes on when a worker with its disk is there"
            if times.lost_s < float("inf"):
                then += f". If none is there within {duration(times.margin_s + times.lost_s)}, it is run again on another worker"
            logs.get_logger().warning(
                log_events.WORKER_LOST,
                because=f"The run of shard {number} was not heard of for {duration(times.lease_s)}. It sends nothing now. The "
                f"shard {then}.",
            )
        self._silent = silent

    def _tell_progress(self) -> None:
        record, utc = self.core.record, time.time()
        self._on_progress(
            SharedProgress(
                self.core.totals.figures,
                self._host.workers,
                self._host.given,
                sum(not shard.done for shard in record.shards.values()),
                time.monotonic() - self._began,
                self._before,
                max((wait.left_s(utc) for wait in record.waits.values()), default=0.0),
                len(self._silent),
                self.core.stop_reason,
            )
        )
