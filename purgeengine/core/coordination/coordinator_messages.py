"""Events and commands of the coordinator. As in the rest of the core, events come in with the time, and commands go out.

*The order of the commands is the promise: a `Save` is durable before any command that follows it is carried out.* If it cannot be
written, or the head has the record of a higher term, nothing that follows is carried out, and this coordinator is over.
"""

from __future__ import annotations

from dataclasses import dataclass

from purgeengine.core.coordination.lease_messages import Question, Said, Tenure
from purgeengine.core.coordination.lost_generation import LostGeneration
from purgeengine.core.coordination.shard_record import HeadRecord

# ---------------------------------------------------------------------------------------------------------- events


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """A worker that is there now: where it can be reached, which disk it has, and with which app it signs in.

    Several workers may have one disk.
    """

    worker: str
    disk: str
    client_id: str


@dataclass(frozen=True, slots=True)
class WorkersSeen:
    """All workers that are there now."""

    workers: tuple[WorkerSeen, ...]


@dataclass(frozen=True, slots=True)
class RunReturned:
    """The task of a run has ended, and what it returned has arrived. It sends no more.

    - ``run`` is its id, or None if it never asked for a lease.
    - ``complete`` is true if every row of the shard has its outcome.
    - ``reason`` says why it did not end complete, as a sentence; None if only its lease or its fence stopped it.
    """

    tenure: Tenure
    run: str | None
    complete: bool
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Collected:
    """The head has everything that this generation of the shard recorded, and the shard is complete."""

    shard: int
    generation: int


@dataclass(frozen=True, slots=True)
class CollectFailed:
    """What a complete generation recorded cannot be brought to the head now: its worker went away first. Its disk still has it."""

    shard: int
    generation: int


@dataclass(frozen=True, slots=True)
class LedgerMissing:
    """A worker has the disk of a shard, and the ledger is not on it. So the run that was given did not begin."""

    tenure: Tenure


@dataclass(frozen=True, slots=True)
class Redone:
    """The next generation of a lost one is staged, and can be given."""

    shard: int
    generation: int


@dataclass(frozen=True, slots=True)
class StopAsked:
    """Somebody wants the whole purge to stop in order. ``reason`` becomes part of a sentence."""

    reason: str


CoordinatorEvent = Question | WorkersSeen | RunReturned | Collected | CollectFailed | LedgerMissing | Redone | StopAsked

# -------------------------------------------------------------------------------------------------------- commands


@dataclass(frozen=True, slots=True)
class Save:
    """Make the record durable, unless the head has one of a higher term."""

    record: HeadRecord


@dataclass(frozen=True, slots=True)
class Give:
    """Start a run of the shard on this worker, with the ledger that its disk has, or else with the one that was staged.

    ``begun`` is true if the ledger on the disk may know of sendings. Then no other may take its place: report `LedgerMissing` if it
    is not there.
    """

    tenure: Tenure
    worker: WorkerSeen
    begun: bool = False


@dataclass(frozen=True, slots=True)
class Tell:
    """Send this to its run. It may be lost."""

    said: Said


@dataclass(frozen=True, slots=True)
class Collect:
    """Merge what this generation of the shard recorded into the head, and report `Collected`, or else `CollectFailed`."""

    shard: int
    generation: int


@dataclass(frozen=True, slots=True)
class Redo:
    """Merge the last copy of a lost generation into the head, stage the rows that are open in the head, and report `Redone`.

    If the copy leaves no row open, report `Collected` instead.

    It may have been begun before a crash, and the head may already have all rows of that generation.
    """

    shard: int
    generation: int
    fenced_utc_ms: int


CoordinatorCommand = Save | Give | Tell | Collect | Redo


def lost(redo: Redo, quarantine_s: float, mailbox_requests: int) -> LostGeneration:
    """Return what the next generation must take for granted."""
    return LostGeneration(redo.fenced_utc_ms, quarantine_s, mailbox_requests)
