"""What adapting the number of connections brings on a service whose limits nobody has told.

    python -m benchmarks.adapting                     (a minute)
    python -m benchmarks.adapting --full              (four times the rows)
    python -m benchmarks.adapting --json out.json

In simulated time, like `benchmarks.makespan`. The service carries so many rows a second over all; more wait in line, and where it
refuses, a call that would wait for long is turned away (429). Ratios are makespan over the least time: rows over what the service
carries, or over what all connections carry where that is less. Beside each: calls that were turned away.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.makespan import engine
from benchmarks.makespan.service import AMPLE, Capacity, Service
from purgeengine.core.forecast.bound import bound, by_rows
from purgeengine.core.forecast.latency import Latency
from purgeengine.core.limits.concurrency_limit import ConcurrencyLimit
from purgeengine.run_limits import Limits

SERVICES = {
    "ample": AMPLE,
    "2,000/s, slower above": Capacity(2_000, 2_000, wait_s_max=5.0),
    "2,000/s, then 600/s": Capacity(2_000, 600, changes_at_s=25.0, wait_s_max=5.0),
    "300/s, slower above": Capacity(300, 300, wait_s_max=5.0),
    "3,000/s, refuses above": Capacity(3_000, 3_000, wait_s_max=0.5),
    "3,000/s, then 1,000/s, refuses": Capacity(3_000, 1_000, changes_at_s=20.0, wait_s_max=0.5),
    "200/s, refuses above": Capacity(200, 200, wait_s_max=0.5),
}
FIXED = (16, 64, 512)
ADAPTING = (64, 512)
ROWS, MAILBOXES = 100_000, 5_000


class FixedConnections(ConcurrencyLimit):
    """So many from the first moment to the last, whatever happens."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.limit = most

    def answered(self, now: float, sent_at: float, *, expected_s: float, in_flight: int) -> None:
        """Nothing is learned."""

    def refused(self, now: float, sent_at: float, status: int) -> None:
        """Nothing is learned."""


@dataclass(frozen=True, slots=True)
class Case:
    """A service and a number of connections."""

    service: str
    connections: int
    adapts: bool
    scale: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of a case."""

    case: Case
    least_s: float
    makespan_s: float
    calls: int
    turned_away: int

    @property
    def ratio(self) -> float:
        """How many times the least time it took."""
        return self.makespan_s / self.least_s


def play(case: Case) -> Figures:
    """One case. Mailboxes are many and small, so that nothing but the service and the connections sets the pace."""
    rows = ROWS * case.scale
    job = [rows // (MAILBOXES * case.scale)] * MAILBOXES * case.scale
    limits, latency, capacity = Limits(connections=case.connections), Latency(), SERVICES[case.service]
    service = Service(
        latency, "four", window_requests=limits.mailbox_requests, window_s=limits.mailbox_window_s, capacity=capacity
    )
    connections = ConcurrencyLimit(case.connections) if case.adapts else FixedConnections(case.connections)
    makespan_s = engine.run(job, limits, service, connections)
    most = Limits(connections=max(FIXED))  # what a service of which everything is known would allow
    least_s = max(bound(by_rows(job), most, latency, "four").least_s, _carried_s(rows, capacity))
    return Figures(case, least_s, makespan_s, service.calls, service.turned_away)


def _carried_s(rows: int, capacity: Capacity) -> float:
    """Seconds in which the service carries so many rows."""
    first_s = rows / capacity.rows_s
    if first_s <= capacity.changes_at_s:
        return first_s
    return capacity.changes_at_s + (rows - capacity.rows_s * capacity.changes_at_s) / capacity.rows_s_later


def main() -> None:
    """Play and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="four times the rows")
    parser.add_argument("--json", type=Path, help="the figures as a file")
    arguments = parser.parse_args()
    scale = 4 if arguments.full else 1
    ways = [*((number, False) for number in FIXED), *((number, True) for number in ADAPTING)]
    heads = [f"{'up to' if adapts else 'fixed'} {number}" for number, adapts in ways]
    print(f"{'service':32}" + "".join(f"{head:>18}" for head in heads))
    found: list[Figures] = []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for name in SERVICES:
            row = list(pool.map(play, [Case(name, number, adapts, scale) for number, adapts in ways]))
            found += row
            print(f"{name:32}" + "".join(f"{figures.ratio:9.2f} {f'({figures.turned_away:,})':>8}" for figures in row))
            sys.stdout.flush()
    if arguments.json:
        told = [
            {
                "service": figures.case.service,
                "connections": figures.case.connections,
                "adapts": figures.case.adapts,
                "ratio": round(figures.ratio, 3),
                "makespan_s": round(figures.makespan_s, 1),
                "least_s": round(figures.least_s, 1),
                "calls": figures.calls,
                "turned_away": figures.turned_away,
            }
            for figures in found
        ]
        arguments.json.write_text(json.dumps(told, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
