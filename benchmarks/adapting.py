"""What it brings to adapt the number of connections to a service whose limits are unknown.

    python -m benchmarks.adapting                     (a minute)
    python -m benchmarks.adapting --full              (four times the rows)
    python -m benchmarks.adapting --json out.json

Everything runs in simulated time, like `benchmarks.makespan`. The service carries a certain number of rows per
second. More rows wait in line; if the service refuses, a call that would wait too long is turned away (429). A ratio
is the makespan divided by the least time: the rows divided by what the service carries, or by what all connections
carry if that is less. In parentheses: calls that were turned away.
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
    """A fixed number of connections, whatever happens."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.limit = most

    def answered(self, now: float, sent_at: float, *, expected_s: float, in_flight: int) -> None:
        """Learn nothing."""

    def refused(self, now: float, sent_at: float, status: int) -> None:
        """Learn nothing."""


@dataclass(frozen=True, slots=True)
class Case:
    """A service and a number of connections."""

    service: str
    connections: int
    adapts: bool
    scale: int


@dataclass(frozen=True, slots=True)
class Figures:
    """The result of a case."""

    case: Case
    least_s: float
    makespan_s: float
    calls: int
    turned_away: int

    @property
    def ratio(self) -> float:
        """The makespan divided by the least time."""
        return self.makespan_s / self.least_s


def play(case: Case) -> Figures:
    """Play one case. It has many small mailboxes, so that only the service and the connections set the pace."""
    rows = ROWS * case.scale
    job = [rows // (MAILBOXES * case.scale)] * MAILBOXES * case.scale
    limits, latency, capacity = Limits(connections=case.connections), Latency(), SERVICES[case.service]
    service = Service(
        latency, "four", window_requests=limits.mailbox_requests, window_s=limits.mailbox_window_s, capacity=capacity
    )
    connections = ConcurrencyLimit(case.connections) if case.adapts else FixedConnections(case.connections)
    makespan_s = engine.run(job, limits, service, connections)
    most = Limits(connections=max(FIXED))  # what a fully known service would allow
    least_s = max(bound(by_rows(job), most, latency, "four").least_s, _carried_s(rows, capacity))
    return Figures(case, least_s, makespan_s, service.calls, service.turned_away)


def _carried_s(rows: int, capacity: Capacity) -> float:
    """Return the seconds in which the service carries this number of rows."""
    first_s = rows / capacity.rows_s
    if first_s <= capacity.changes_at_s:
        return first_s
    return capacity.changes_at_s + (rows - capacity.rows_s * capacity.changes_at_s) / capacity.rows_s_later


def main() -> None:
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
