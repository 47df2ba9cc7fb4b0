"""The engine's own scheduler on a service with faults, beside the least time that faults leave."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from benchmarks.fault_levels import Level, faults_with_hangs
from benchmarks.makespan.engine import Watcher, mailboxes_of, play
from benchmarks.makespan.fault_bound import FaultBound, fault_bound
from benchmarks.makespan.faulty_wire import FaultyWire
from benchmarks.makespan.service import Service
from benchmarks.makespan.shapes import rows_by_mailbox
from purgeengine.core.forecast.latency import DISPATCHES, Dispatch, Latency
from purgeengine.core.messages import Entry, Settled
from purgeengine.core.scheduling.scheduler import Scheduler
from purgeengine.run_limits import Limits

AIMS: dict[Level, float] = {"few": 1.3, "many": 1.6}
"""The ratios that are aimed at."""
SEEDS = 3
"""Draws over which the makespan of a short job is averaged."""
SHORT_ROWS = 20_000
"""The most rows of a short job."""


@dataclass(frozen=True, slots=True)
class Case:
    """A job on a service with faults."""

    shape: str
    scale: float
    dispatch: Dispatch
    connections: int
    faults: Level
    lanes: bool


@dataclass(frozen=True, slots=True)
class Figures:
    """The result of a case: sums over its runs, and the mean of their makespans."""

    case: Case
    bound: FaultBound
    makespans_s: tuple[float, ...]
    calls: int
    refused_concurrency: int
    refused_rate: int
    early: int
    """Calls, and loads of mailboxes, that left before the end of a wait that Graph had asked for."""
    not_gone: int
    """Rows that the run does not report as gone."""

    @property
    def ratio(self) -> float:
        """The mean makespan divided by the least time."""
        return fmean(self.makespans_s) / self.bound.least_s

    @property
    def safe_ratio(self) -> float:
        """The mean makespan divided by the least time of a schedule that leaves the slots of lost calls alone for a cooldown."""
        return fmean(self.makespans_s) / self.bound.safe_s

    @property
    def reaches_aim(self) -> bool:
        """Whether the ratio is within the aim."""
        return self.ratio <= AIMS[self.case.faults]

    def as_json(self) -> dict[str, Any]:
        """Return the figures for a file."""
        return {
            **asdict(self),
            "bound_s": self.bound.least_s,
            "safe_s": self.bound.safe_s,
            "ratio": self.ratio,
            "safe_ratio": self.safe_ratio,
            "reaches_aim": self.reaches_aim,
        }


class CountsGone(Watcher):
    """Counts the rows that are settled as gone."""

    def __init__(self) -> None:
        self.gone = 0

    def record(self, entries: list[Entry], now: float) -> bool:
        """Count, and go on."""
        self.gone += sum(entry.rows for entry in entries if isinstance(entry, Settled) and entry.outcome.is_gone)
        return False


def cases(
    levels: list[Level], names: list[str], connections: tuple[int, ...], scale: float, *, lanes: bool
) -> Iterator[Case]:
    """Yield the cases to play."""
    for level in levels:
        for shape in names:
            for dispatch in DISPATCHES:
                for number in connections:
                    yield Case(shape, scale, dispatch, number, level, lanes)


def play_case(case: Case) -> Figures:
    """Play one case, a short job several times."""
    job, latency = rows_by_mailbox(case.shape, case.scale), Latency()
    limits, faults = Limits(connections=case.connections, lanes=case.lanes), faults_with_hangs(case.faults)
    services, wires, makespans_s, gone = [], [], [], 0
    seeds = range(1, 1 + (SEEDS if sum(job) <= SHORT_ROWS else 1))
    for seed in seeds:
        service = Service(
            latency, case.dispatch, window_requests=limits.mailbox_requests, window_s=limits.mailbox_window_s, seed=seed
        )
        wire, counts = FaultyWire(service, faults, latency.overhead_s, seed=seed), CountsGone()
        scheduler = Scheduler(limits, random.Random(seed), rows_left=sum(job))
        makespans_s.append(play(scheduler, iter(mailboxes_of(job)), wire, counts))
        services.append(service)
        wires.append(wire)
        gone += counts.gone
    return Figures(
        case=case,
        bound=fault_bound(job, limits, latency, case.dispatch, faults),
        makespans_s=tuple(makespans_s),
        calls=sum(service.calls for service in services),
        refused_concurrency=sum(service.refused_concurrency for service in services),
        refused_rate=sum(service.refused_rate for service in services),
        early=sum(wire.early for wire in wires),
        not_gone=len(seeds) * sum(job) - gone,
    )


def table(wanted: Iterator[Case], pool: Executor) -> list[Figures]:
    """Play the cases, and print a line for each."""
    print(
        f"{'job':22} {'faults':6} {'service':7} {'conns':>5} {'bound':>8} {'faults':>8} {'safe':>8} {'mean':>8} {'ratio':>6} "
        f"{'to safe':>7} {'aim':>4} {'runs':>4} {'calls':>8} {'refused':>7} {'early':>5} {'not gone':>8}"
    )
    found = []
    for figures in pool.map(play_case, wanted):
        found.append(figures)
        case = figures.case
        print(
            f"{case.shape:22} {case.faults:6} {case.dispatch:7} {case.connections:5} {figures.bound.without_faults_s:6,.0f} s "
            f"{figures.bound.least_s:6,.0f} s {figures.bound.safe_s:6,.0f} s {fmean(figures.makespans_s):6,.0f} s "
            f"{figures.ratio:6.2f} {figures.safe_ratio:7.2f} "
            f"{'yes' if figures.reaches_aim else 'no':>4} {len(figures.makespans_s):4} {figures.calls:8,} "
            f"{figures.refused_concurrency + figures.refused_rate:7,} {figures.early:5,} {figures.not_gone:8,}",
            flush=True,
        )
    reached = sum(figures.reaches_aim for figures in found)
    print(f"{reached} of {len(found)} cells reach the aim.")
    return found
