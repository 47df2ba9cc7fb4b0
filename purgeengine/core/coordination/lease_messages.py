"""What the holders of leases and the coordinator tell each other, as values. Any of it may be lost, late or doubled."""

from __future__ import annotations

from dataclasses import dataclass, field

from purgeengine.core.coordination.quota_book import AppQuota
from purgeengine.core.policy.run_figures import RunFigures, StopFigures


@dataclass(frozen=True, slots=True)
class Tenure:
    """Which part of a purge is meant, and as which of its holders."""

    shard: int
    generation: int
    """1 at first. It grows by one each time the disk of the shard's ledger is lost."""
    epoch: int
    """Grows by one each time the shard is given to somebody."""


@dataclass(frozen=True, slots=True)
class ReportedWait:
    """A wait that Graph asked of the whole app, as the run that was asked tells it.

    ``number`` counts the waits of this run, from 1. ``for_s`` is what is left of it. ``cut`` is true if the run has lowered its
    limit on batches in flight because of it.
    """

    number: int
    for_s: float
    cut: bool


@dataclass(frozen=True, slots=True)
class PassedWait:
    """A wait that Graph asked of another run. ``number`` counts the waits of the app, from 1; ``for_s`` is what is left of it."""

    number: int
    for_s: float
    cut: bool


@dataclass(frozen=True, slots=True)
class Question:
    """A run asks to hold its lease for longer, and tells how it stands."""

    tenure: Tenure
    run: str
    """An id that the run has drawn. The first run that asks for an epoch owns it."""
    number: int
    """Counts the questions of the run, from 1. Only the newest one counts."""
    disk: str
    """The disk that has the run's ledger. A task may be started on another worker than the one that it was meant for."""
    client_id: str
    """The app that the run has signed in with."""
    holds: AppQuota
    """What it uses at most until it gets an answer. Nothing if its lease has ended."""
    wants: bool
    """False while all mailboxes of the shard only wait."""
    wait: ReportedWait | None = None
    wait_heard: int = 0
    """The number of the last wait that was passed on to this run."""
    figures: RunFigures = field(default_factory=RunFigures)
    stop_figures: StopFigures = field(default_factory=StopFigures)


@dataclass(frozen=True, slots=True)
class Grant:
    """The lease is extended, from the time before the question was asked.

    ``stop`` is the reason why the run must stop in order, or None.
    """

    run: str
    number: int
    term: int
    """Which coordinator says so. The answer of an earlier one does not count."""
    quota: AppQuota
    wait: PassedWait | None = None
    stop: str | None = None


@dataclass(frozen=True, slots=True)
class Over:
    """The run may never send again, because the shard is somebody else's. ``reason`` is part of a sentence."""

    run: str
    term: int
    reason: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that cannot wait until the run asks next. It extends no lease. If it is lost, the next grant has it."""

    run: str
    term: int
    wait: PassedWait | None = None
    stop: str | None = None


Said = Grant | Over | Notice
