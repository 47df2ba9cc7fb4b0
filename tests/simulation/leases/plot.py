"""What one seed draws: the shards, the machines, the limits, and how often what goes wrong."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from random import Random

from purgeengine.core.coordination.quota_book import AppQuota
from purgeengine.core.coordination.shard_lease import LeaseTimes

TIMES = LeaseTimes(start_s=60.0, lost_s=40.0)
"""The times of the product; only what is waited for a lost disk is shorter, so that a seed ends."""


@dataclass(frozen=True, slots=True)
class Plot:
    """One job and its faults. Rates are per second, chances are of each occasion."""

    seed: int
    shards: int
    machines: int
    mailboxes: int
    rows: int
    """Rows of each mailbox."""
    total: AppQuota
    window_s: float
    window_requests: int
    quarantine_s: float
    chaos_s: float
    two_apps: bool
    kills: float
    stops: float
    partitions: float
    disks_lost: float
    coordinators_killed: float
    coordinators_stopped: float
    second_coordinators: float
    clock_steps: float
    messages_lost: float
    messages_doubled: float
    messages_late: float
    answers_lost: float
    app_waits: float
    crashes_between_commands: float
    gone_before: float
    copy_s: float

    def __str__(self) -> str:
        return f"seed {self.seed}, {asdict(self)}"


def drawn(seed: int) -> Plot:
    """Return what this seed draws. About a third of all faults is left out of each seed, so that others show alone."""
    rng = Random(f"leases {seed}")

    def some(most: float) -> float:
        return rng.uniform(0.1, 1.0) * most if rng.random() < 0.65 else 0.0

    window_requests = rng.choice((12, 20, 1_000))
    return Plot(
        seed=seed,
        shards=rng.randint(1, 5),
        machines=rng.randint(2, 4),
        mailboxes=rng.randint(2, 5),
        rows=rng.randint(10, 60),
        total=AppQuota(rng.choice((3, 8, 40)), rng.choice((2, 6, 16))),
        window_s=rng.choice((30.0, 60.0, 200.0)),
        window_requests=window_requests,
        quarantine_s=rng.choice((3.0, 10.0)),
        chaos_s=rng.uniform(60.0, 400.0),
        two_apps=rng.random() < 0.2,
        kills=some(0.02),
        stops=some(0.02),
        partitions=some(0.02),
        disks_lost=some(0.008),
        coordinators_killed=some(0.015),
        coordinators_stopped=some(0.015),
        second_coordinators=some(0.01),
        clock_steps=some(0.02),
        messages_lost=some(0.3),
        messages_doubled=some(0.2),
        messages_late=some(0.1),
        answers_lost=some(0.1),
        app_waits=some(0.03),
        crashes_between_commands=some(0.04),
        gone_before=some(0.2),
        copy_s=rng.choice((10.0, 30.0)),
    )
