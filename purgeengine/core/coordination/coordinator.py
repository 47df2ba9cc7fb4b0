"""The coordinator of a purge: gives shards to workers, extends their leases, and shares out the app. Pure: no clock, no I/O.

Give events and the time to `Coordinator.handle`, and carry out the returned commands in their order (see
`purgeengine.core.coordination.coordinator_messages`). Instants are seconds of a monotonic clock that goes on while the machine
sleeps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import assert_never

from purgeengine.core.coordination.app_waits import AppWaits
from purgeengine.core.coordination.coordinator_messages import (
    Collect,
    Collected,
    CollectFailed,
    CoordinatorCommand,
    CoordinatorEvent,
    Give,
    LedgerMissing,
    Redo,
    Redone,
    RunReturned,
    Save,
    StopAsked,
    Tell,
    WorkerSeen,
    WorkersSeen,
)
from purgeengine.core.coordination.lease_messages import Grant, Notice, Over, Question
from purgeengine.core.coordination.quota_book import AppQuota, QuotaBook
from purgeengine.core.coordination.shard_lease import LeasePhase, LeaseTimes, ShardLease
from purgeengine.core.coordination.shard_record import HeadRecord, ShardRecord
from purgeengine.core.coordination.totals import Totals


@dataclass(frozen=True, slots=True)
class Superseded:
    """Another coordinator has taken over the head. This one may do nothing any more."""

    term: int


class Coordinator:
    """Decides who may send for which shard, and how much."""

    def __init__(
        self,
        left: HeadRecord,
        total: AppQuota,
        *,
        now: float,
        utc: float,
        times: LeaseTimes | None = None,
        totals: Totals | None = None,
    ) -> None:
        """``left`` is the record of the previous coordinator, with the term of this one, which must be durable already.

        ``total`` is what each app may use. Every run of the previous coordinator may still be sending, and how much is not known.
        """
        self.term = left.term
        self.totals = totals or Totals()
        self.superseded: Superseded | None = None
        self.stop_reason: str | None = None
        """Why the purge stops; None if it does not."""
        self._total = total
        self._times = times or LeaseTimes()
        self._now = now
        self._waits = AppWaits(left.waits, now, utc)
        self._books: dict[str, QuotaBook] = {}
        self._workers: tuple[WorkerSeen, ...] = ()
        self._shards = {number: ShardLease(record, self._times, now) for number, record in left.shards.items()}
        for number, shard in self._shards.items():
            if shard.phase is LeasePhase.OUT and shard.record.client_id is not None:
                book = self._book(shard.record.client_id)
                if shard.record.run is None:
                    book.expect(number)  # no run of this epoch was ever granted anything
                else:
                    book.find(number)
        self._out: list[CoordinatorCommand] = []

    # ------------------------------------------------------------------------------------------------ what it is asked

    def handle(self, *events: CoordinatorEvent, now: float, utc: float, term_on_disk: int) -> list[CoordinatorCommand]:
        """Take in what happened until ``now``, and return what to do.

        ``term_on_disk`` is the term of the head's record. Read it after the events have come. A run counts its lease from an
        instant before its question. So an answer is safe if no other coordinator had begun by the time the question had arrived.
        """
        if term_on_disk > self.term:
            self.superseded = Superseded(term_on_disk)
        if self.superseded is not None:
            return []
        self._now = max(self._now, now)
        for event in events:
            self._take(event, utc)
        for number, shard in self._shards.items():
            self._look_at(number, shard, utc)
        commands, self._out = self._out, []
        return commands

    def wake_at(self) -> float:
        """Return when `handle` must be called again at the latest, even if nothing happens; `inf` for never."""
        return min(
            (shard.wake_at(self._now, stopping=self.stop_reason is not None) for shard in self._shards.values()),
            default=inf,
        )

    @property
    def complete(self) -> bool:
        """True if the head has everything."""
        return all(shard.record.done for shard in self._shards.values())

    @property
    def silent(self) -> list[int]:
        """The shards whose run has not been heard of for so long that its lease has ended, so that it sends nothing now."""
        return [number for number, shard in self._shards.items() if shard.is_silent(self._now)]

    @property
    def finished(self) -> bool:
        """True if everything is done, or if the purge has stopped and nobody may send any more."""
        phases = {shard.phase for shard in self._shards.values()}
        idle = phases <= {LeasePhase.IDLE, LeasePhase.DONE}
        return self.superseded is not None or self.complete or (self.stop_reason is not None and idle)

    @property
    def record(self) -> HeadRecord:
        """What must be durable."""
        shards = {number: shard.record for number, shard in self._shards.items()}
        return HeadRecord(self.term, shards, self._waits.records)

    @property
    def reserved(self) -> Mapping[str, AppQuota]:
        """The most that the holders may be using together, by app."""
        return {client_id: book.reserved for client_id, book in self._books.items()}

    # ---------------------------------------------------------------------------------------------------- what happens

    def _take(self, event: CoordinatorEvent, utc: float) -> None:
        match event:
            case Question():
                self._asked(event, utc)
            case WorkersSeen():
                self._workers = event.workers
            case RunReturned():
                self._returned(event)
            case Collected():
                shard = self._shards[event.shard]
                if shard.record.generation == event.generation and not shard.record.done:
                    self._change(event.shard, replace(shard.record, done=True), LeasePhase.DONE)
            case CollectFailed():
                shard = self._shards[event.shard]
                if shard.phase is LeasePhase.COLLECTING and shard.record.generation == event.generation:
                    shard.ended(self._now)
            case LedgerMissing(tenure):
                shard = self._shards[tenure.shard]
                if tenure == shard.tenure(tenure.shard) and shard.record.run is None and shard.phase is LeasePhase.OUT:
                    self._free(tenure.shard)
                    shard.missed(self._now)
            case Redone():
                shard = self._shards[event.shard]
                if shard.record.generation == event.generation - 1 and shard.record.fenced_utc_ms is not None:
                    fresh = ShardRecord(generation=event.generation, epoch=shard.record.epoch)
                    self._change(event.shard, fresh, LeasePhase.IDLE)
                    shard.rest(self._now)
            case StopAsked():
                self._stop(event.reason)
            case _:
                assert_never(event)

    def _asked(self, question: Question, utc: float) -> None:
        number = question.tenure.shard
        shard = self._shards.get(number)
        if self._waits.take(question, self._now, utc):  # whoever was asked, the app must wait
            self._out.append(Save(self.record))
            self._notify(question.client_id, question.run)
        if shard is None or not shard.belongs_to(question):
            reason = f"shard {number} is not this run's any more"
            self._out.append(Tell(Over(question.run, self.term, reason)))
            return
        if not shard.is_news(question):
            return
        if shard.record.run is None:  # the first run that asks for an epoch owns it, also after a crash of ours
            self._free(number)  # it was expected under the app of the worker
            self._book(question.client_id).expect(number)
            bound = replace(shard.record, run=question.run, client_id=question.client_id, begun=True)
            self._change(number, bound, LeasePhase.OUT)
        shard.heard(question, self._now)
        stop = self.totals.take(number, question.run, question.figures, question.stop_figures)
        if stop is not None:
            self._stop(stop)
        quota = self._book(question.client_id).ask(number, question.holds, wants=question.wants)
        wait = self._waits.passed_on(question.run, question.client_id, question.wait_heard, self._now)
        self._out.append(Tell(Grant(question.run, question.number, self.term, quota, wait, self.stop_reason)))

    def _returned(self, event: RunReturned) -> None:
        number = event.tenure.shard
        shard = self._shards[number]
        if event.tenure != shard.tenure(number):
            return
        if shard.record.run not in (None, event.run) or shard.phase not in (LeasePhase.OUT, LeasePhase.IDLE):
            return  # Dask may run a task twice, and only the run that owns the epoch counts
        self._free(number)
        if event.run is not None:
            self.totals.ended(number, event.run)
        if event.complete:
            shard.phase = LeasePhase.COLLECTING
            self._out.append(Collect(number, shard.record.generation))
            return
        shard.ended(self._now)
        if event.reason is not None:
            self._stop(event.reason)

    def _stop(self, reason: str) -> None:
        if self.stop_reason is None:
            self.stop_reason = reason
            for shard in self._shards.values():
                if shard.phase is LeasePhase.OUT and shard.record.run is not None:
                    self._out.append(Tell(Notice(shard.record.run, self.term, stop=reason)))

    def _notify(self, client_id: str, reporter: str) -> None:
        """Pass a new wait on at once to all other runs of the app."""
        for shard in self._shards.values():
            run = shard.record.run
            if (
                run is None
                or run == reporter
                or shard.record.client_id != client_id
                or shard.phase is not LeasePhase.OUT
            ):
                continue
            wait = self._waits.passed_on(run, client_id, 0, self._now)
            self._out.append(Tell(Notice(run, self.term, wait)))

    # ------------------------------------------------------------------------------------------------------ who sends

    def _look_at(self, number: int, shard: ShardLease, utc: float) -> None:
        """Fence the shard if its run is silent, take its disk for lost, or give it to a worker."""
        if shard.phase is LeasePhase.OUT and self._now >= shard.fenced_at:
            self._free(number)
            shard.fence()
        if shard.phase is LeasePhase.LOST:
            self._redo(number, shard)
        if shard.phase is not LeasePhase.IDLE or self.stop_reason is not None or self._now < shard.given_again_at:
            return
        record = shard.record
        if record.disk is not None and not record.begun:
            record = replace(record, disk=None)  # nothing was sent by this generation, so that no disk is needed
        worker = self._emptiest(record.disk)
        is_lost = record.disk is not None and self._now >= shard.lost_at
        if worker is not None and not (is_lost and shard.is_missing):
            given = replace(record, epoch=record.epoch + 1, disk=worker.disk, run=None, client_id=worker.client_id)
            self._change(number, given, LeasePhase.OUT)
            shard.given(worker.worker, self._now)
            self._book(worker.client_id).expect(number)
            self._out.append(Give(shard.tenure(number), worker, given.begun))
        elif is_lost:
            self._change(
                number, replace(record, fenced_utc_ms=round((utc - shard.idle_s(self._now)) * 1000)), LeasePhase.LOST
            )
            self._redo(number, shard)

    def _redo(self, number: int, shard: ShardLease) -> None:
        assert shard.record.fenced_utc_ms is not None, "a generation is marked as lost before it is run again"
        shard.phase = LeasePhase.REDOING
        self._out.append(Redo(number, shard.record.generation, shard.record.fenced_utc_ms))

    def _emptiest(self, disk: str | None) -> WorkerSeen | None:
        """Return the worker with the fewest shards that are given out, of those with this disk. None if no such worker is there.

        Of a shard that an earlier coordinator gave, only the disk is known. It counts for all workers there.
        """
        out = [shard for shard in self._shards.values() if shard.phase is LeasePhase.OUT]
        shards = Counter(shard.worker or shard.record.disk for shard in out)
        able = (seen for seen in self._workers if disk in (None, seen.disk))
        return min(able, key=lambda seen: (shards[seen.worker] + shards[seen.disk], seen.worker), default=None)

    def _change(self, number: int, record: ShardRecord, phase: LeasePhase) -> None:
        """Change a record. It is durable before anything that follows."""
        shard = self._shards[number]
        shard.record, shard.phase = record, phase
        self._out.append(Save(self.record))

    def _free(self, number: int) -> None:
        for book in self._books.values():
            book.free(number)

    def _book(self, client_id: str) -> QuotaBook:
        return self._books.setdefault(client_id, QuotaBook(self._total))
