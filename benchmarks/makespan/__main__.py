"""How close the engine's own scheduler comes to the least time that any schedule can take, beside what others do.

    python -m benchmarks.makespan                     (jobs at a twentieth of their size; about two minutes)
    python -m benchmarks.makespan --full              (as they are, up to 3,000,000 rows; about an hour of CPU)
    python -m benchmarks.makespan --others            (the usual policies side by side)
    python -m benchmarks.makespan --without lanes     (what the lanes and small batches bring)
    python -m benchmarks.makespan --faults few --faults many   (some minutes; `--shape` and `--connections` make it shorter)
    python -m benchmarks.makespan --shape "100 x 40"  (a job of `benchmarks.peers`)
    python -m benchmarks.makespan --json out.json

Nothing runs in real time and nothing leaves this process: the scheduler is told what a simulated service answers, whose calls
take as long as `purgeengine.core.forecast.latency.Latency` says. Ratios are makespan / bound; ``>`` means that the policy was
given up there. On a service that runs batches all at once, the first probe of the fanout is refused four rows: that is its
price, and more would be our fault.

With ``--faults`` calls are refused, lost, cut off and hang, and rows are refused, as `benchmarks.fault_levels` says.
*Bound* is then the least time without faults, and *faults* the least time of a schedule that is told of each fault only
when it happens (`benchmarks.makespan.fault_bound`). *Safe* is the least time of such a schedule that also leaves the
slots of lost calls alone for as long as they may still be running. *Ratio* is the mean of the runs divided by *faults*,
and *to safe* is the mean divided by the safe bound. The difference of both is the price of safety. *Refused*
counts rows over a mailbox's limits, none of them a fault that was drawn. *Early* counts what left before the end of a
wait that Graph had asked for. Short jobs are played several times.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.fault_levels import LEVELS
from benchmarks.makespan import engine, policies, with_faults
from benchmarks.makespan.service import Service
from benchmarks.makespan.shapes import SHAPES, SHORT_SHAPES, rows_by_mailbox
from purgeengine.core.forecast.bound import bound, by_rows
from purgeengine.core.forecast.latency import Dispatch, Latency
from purgeengine.run_limits import Limits

CONNECTIONS = (16, 64)
DISPATCHES: tuple[Dispatch, ...] = ("four", "all")
QUICK_SCALE = 0.05
OURS = "purgeengine"


@dataclass(frozen=True, slots=True)
class Case:
    """One play: a job on a service, with a policy."""

    shape: str
    scale: float
    dispatch: Dispatch
    connections: int
    policy: str
    lanes: bool


@dataclass(frozen=True, slots=True)
class Figures:
    """The result of a case. ``ended`` is false if the policy was given up."""

    case: Case
    bound_s: float
    makespan_s: float
    ended: bool
    calls: int
    refused_concurrency: int
    refused_rate: int

    @property
    def ratio(self) -> float:
        """The makespan divided by the least time."""
        return self.makespan_s / self.bound_s


def play(case: Case) -> Figures:
    """Play one case."""
    job = rows_by_mailbox(case.shape, case.scale)
    limits = Limits(connections=case.connections, lanes=case.lanes)
    latency = Latency()
    service = Service(latency, case.dispatch, window_requests=limits.mailbox_requests, window_s=limits.mailbox_window_s)
    least_s = bound(by_rows(job), limits, latency, case.dispatch).least_s
    if case.policy == OURS:
        makespan_s, ended = engine.run(job, limits, service), True
    else:
        makespan_s, ended = policies.run(case.policy, job, case.connections, service)
    return Figures(case, least_s, makespan_s, ended, service.calls, service.refused_concurrency, service.refused_rate)


def cases(scale: float, names: list[str], *, others: bool, lanes: bool) -> Iterator[Case]:
    """Yield the cases to play."""
    for shape in names:
        for dispatch in DISPATCHES:
            for connections in CONNECTIONS:
                for policy in (OURS, *(policies.POLICIES if others else ())):
                    yield Case(shape, scale, dispatch, connections, policy, lanes)


def main() -> None:
    """Play and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="jobs at their full size")
    parser.add_argument(
        "--shape", action="append", choices=[*SHAPES, *SHORT_SHAPES], help="only this one; may be given again"
    )
    parser.add_argument("--faults", action="append", choices=LEVELS[1:], help="with faults; may be given again")
    parser.add_argument(
        "--connections", action="append", type=int, help="with faults: only so many; may be given again"
    )
    parser.add_argument("--others", action="store_true", help="also the usual policies")
    parser.add_argument("--without", choices=["lanes"], help="leave a part of the scheduler out, to see what it brings")
    parser.add_argument("--json", type=Path, help="the figures as a file")
    arguments = parser.parse_args()
    scale = 1.0 if arguments.full else QUICK_SCALE
    if arguments.faults:
        play_with_faults(arguments, scale)
        return
    wanted = cases(scale, arguments.shape or list(SHAPES), others=arguments.others, lanes=not arguments.without)
    found = []
    print(f"{'job':22} {'service':7} {'conns':>5} {'policy':13} {'bound':>10} {'ratio':>7} {'calls':>9} {'refused':>9}")
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for figures in pool.map(play, wanted):
            found.append(figures)
            case = figures.case
            ratio = f"{'' if figures.ended else '>'}{figures.ratio:.3f}"
            refused = figures.refused_concurrency + figures.refused_rate
            print(
                f"{case.shape:22} {case.dispatch:7} {case.connections:5} {case.policy:13} {figures.bound_s:8,.0f} s "
                f"{ratio:>7} {figures.calls:9,} {refused:9,}"
            )
            sys.stdout.flush()
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(figures) for figures in found], indent=2), encoding="utf-8")


def play_with_faults(arguments: argparse.Namespace, scale: float) -> None:
    """Play and print the cases with faults."""
    names = arguments.shape or [*SHAPES, *SHORT_SHAPES]
    connections = tuple(arguments.connections or CONNECTIONS)
    wanted = with_faults.cases(arguments.faults, names, connections, scale, lanes=not arguments.without)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = with_faults.table(wanted, pool)
    if arguments.json:
        told = [figures.as_json() for figures in found]
        arguments.json.write_text(json.dumps(told, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
