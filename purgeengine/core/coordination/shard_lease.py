"""The lease of one shard, as the coordinator counts it: when its run is silent, fenced, and taken for lost."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import inf

from purgeengine.core.coordination.lease_messages import Question, Tenure
from purgeengine.core.coordination.shard_record import ShardRecord


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """The times of a lease, in seconds."""

    lease_s: float = 30.0
    """How long a run may send without an answer, from the time before it asked. Long enough to lose three questions in a row."""
    ask_s: float = 7.5
    """How often a run asks."""
    margin_s: float = 15.0
    """How much longer the coordinator waits before it takes the run for fenced: for what was about to leave, and for clocks that do
    not run alike."""
    start_s: float = 120.0
    """How long a run may take from its giving to its first question: a worker may have to import everything from a slow disk."""
    again_s: float = 5.0
    """How long a shard rests after a run ended without being complete, so that one that cannot begin is not begun all the time."""
    lost_s: float = 1_200.0
    """How long the disk of a fenced run is waited for. Then its ledger is taken for lost."""


class LeasePhase(StrEnum):
    """Where a shard is."""

    IDLE = "nobody may send for it"
    OUT = "a run may be sending for it"
    COLLECTING = "it is complete, and its records are being merged into the head"
    LOST = "its disk is lost, and that is durable"
    REDOING = "its open rows are being staged again"
    DONE = "the head has everything"


class ShardLease:
    """What the coordinator knows of a shard. ``record`` is durable, the rest is not. Instants are monotonic seconds."""

    def __init__(self, record: ShardRecord, times: LeaseTimes, now: float) -> None:
        """Whatever an earlier coordinator left given out may be sending until it is fenced, counted from ``now``."""
        self.record = record
        self.worker: str | None = None
        """The worker to which this coordinator gave it last; None if it gave it to none."""
        self.is_missing = False
        """True if its disk is there and its ledger is not on it, as the last worker that it was given to has told."""
        self._times = times
        self._heard_at = now
        self._question = 0
        self._run_ended = False
        self._fenced_at = now
        self.given_again_at = now
        """When it may be given again, if it is idle."""
        if record.done:
            self.phase = LeasePhase.DONE
        elif record.fenced_utc_ms is not None:
            self.phase = LeasePhase.LOST
        else:
            self.phase = LeasePhase.OUT if record.epoch and record.disk is not None else LeasePhase.IDLE

    def tenure(self, number: int) -> Tenure:
        """Return the latest tenure of this shard, whose number is given."""
        return Tenure(number, self.record.generation, self.record.epoch)

    def is_silent(self, now: float) -> bool:
        """Return True if its run should have asked long ago. Its lease has ended, unless a question is on its way."""
        return (
            self.phase is LeasePhase.OUT and self.record.run is not None and now >= self._heard_at + self._times.lease_s
        )

    @property
    def fenced_at(self) -> float:
        """From when on its run sends no more, whatever happened to it. A run that has never asked has never sent."""
        if self.record.run is None:
            return self._heard_at + self._times.start_s
        return self._heard_at + self._times.lease_s + self._times.margin_s

    @property
    def lost_at(self) -> float:
        """From when on its disk is taken for lost, if it is idle and no worker has the disk."""
        return self._fenced_at + self._times.lost_s

    def idle_s(self, now: float) -> float:
        """Return for how many seconds nobody could send for it, at least. It is idle."""
        return max(0.0, now - self._fenced_at)

    def wake_at(self, now: float, *, stopping: bool) -> float:
        """Return the next instant after ``now`` that changes something; `inf` for none."""
        instants: tuple[float, ...] = ()
        if self.phase is LeasePhase.OUT:
            instants = (self.fenced_at,)
        elif self.phase is LeasePhase.IDLE and not stopping:
            instants = (self.given_again_at, self.lost_at) if self.record.disk is not None else (self.given_again_at,)
        return min((at for at in instants if at > now), default=inf)

    def belongs_to(self, question: Question) -> bool:
        """Return True if the run that asks may hold this shard."""
        tenure = question.tenure
        return (
            self.phase in (LeasePhase.OUT, LeasePhase.IDLE)
            and (tenure.generation, tenure.epoch) == (self.record.generation, self.record.epoch)
            and self.record.run in (None, question.run)
            and self.record.disk == question.disk
            and not self._run_ended
        )

    def is_news(self, question: Question) -> bool:
        """Return True if no newer question of the run was heard."""
        return question.number > self._question

    def heard(self, question: Question, now: float) -> None:
        """Extend the lease. A run that was fenced and is not replaced yet may go on."""
        self._question = question.number
        self.is_missing = False
        self._heard_at = now
        self.phase = LeasePhase.OUT

    def given(self, worker: str, now: float) -> None:
        """Take in that the shard is given to a worker, which has not asked yet."""
        self.worker = worker
        self._heard_at = now
        self._question = 0
        self._run_ended = False

    def fence(self) -> None:
        """Take in that its run sends no more: it was silent for too long."""
        self._fenced_at = self.given_again_at = self.fenced_at
        self.phase = LeasePhase.IDLE

    def ended(self, now: float) -> None:
        """Take in that its run has ended in order, and is not complete."""
        self._run_ended = True
        self.phase = LeasePhase.IDLE
        self.rest(now)

    def missed(self, now: float) -> None:
        """Take in that its ledger is not on its disk. It is looked for again, until the disk counts as lost."""
        self.is_missing = True
        self._run_ended = True
        self.phase = LeasePhase.IDLE
        self.given_again_at = now + self._times.again_s

    def rest(self, now: float) -> None:
        """Give it again after a while only. Its disk is waited for from now on."""
        self._fenced_at = now
        self.given_again_at = now + self._times.again_s
