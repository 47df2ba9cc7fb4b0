"""How long a run waits for its last call, if that call hangs.

    python -m benchmarks.last_call                    (a minute)
    python -m benchmarks.last_call --json out.json

A job is played in simulated time as in `benchmarks.makespan`, first without a fault, to count its calls. Then it is played
again, and the call that left last in the first play never answers. In half of the cases its work is done all the same.
*Slowest* is the slowest answer of the run before that, *last answer* the last one from any call that left before the one that
hangs, and *end* is the end of the run. The aim is an end within twice the slowest answer after the last answer, or after the
time at which the call that hangs left, if that is later.
"""

from __future__ import annotations

import argparse
import json
import os
import random
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.makespan.engine import Wire, mailboxes_of, play
from benchmarks.makespan.faulty_wire import HANG_GIVEN_UP_S
from benchmarks.makespan.service import Service
from benchmarks.makespan.shapes import rows_by_mailbox
from purgeengine.core.forecast.latency import DISPATCHES, Dispatch, Latency
from purgeengine.core.messages import BatchLost, Event
from purgeengine.core.model import Batch
from purgeengine.core.scheduling.scheduler import Scheduler
from purgeengine.run_limits import Limits

SHAPES = ("single 2k", "100 x 40", "150 x 40", "20 x 5k", "uniform 1M/5k")
SCALE = 0.05
CONNECTIONS = (16, 64)
AIM = 2.0
NO_CALL = 0


class LastCallHangs(Wire):
    """Lets one call hang, and notes the times of the calls. ``hangs`` counts the calls from 1."""

    def __init__(self, service: Service, hangs: int, *, done: bool) -> None:
        super().__init__(service)
        self._hangs = hangs
        self._done = done
        self.calls = 0
        self.hung_at = 0.0
        self.slowest_s = 0.0
        self.last_answer_s = 0.0
        """When the last of the calls was answered that left before the one that hangs."""

    def send(self, batch: Batch, now: float) -> tuple[float, Event]:
        """Begin a call."""
        self.calls += 1
        if self.calls == self._hangs:
            self.hung_at = now
            if self._done:
                super().send(batch, now)
            return now + HANG_GIVEN_UP_S, BatchLost(batch.number, sent=True, reason="hung")
        at, event = super().send(batch, now)
        if self.calls < self._hangs:
            self.slowest_s = max(self.slowest_s, at - now)
            self.last_answer_s = max(self.last_answer_s, at)
        return at, event


@dataclass(frozen=True, slots=True)
class Case:
    """A job whose last call hangs. ``done`` is true if the service does the work of that call."""

    shape: str
    dispatch: Dispatch
    connections: int
    done: bool


@dataclass(frozen=True, slots=True)
class Figures:
    """The result of a case, in simulated seconds."""

    case: Case
    without_s: float
    """The end of the run in which no call hangs."""
    slowest_s: float
    hung_at_s: float
    last_answer_s: float
    end_s: float
    refused: int

    @property
    def times(self) -> float:
        """How often the slowest answer fits between the last answer and the end."""
        return (self.end_s - max(self.last_answer_s, self.hung_at_s)) / self.slowest_s


def play_case(case: Case) -> Figures:
    """Play a job twice: as it is, and with its last call hanging."""
    job = rows_by_mailbox(case.shape, SCALE)
    without_s, wire, _ = _play(case, job, NO_CALL)
    end_s, hung, service = _play(case, job, wire.calls)
    refused = service.refused_concurrency + service.refused_rate
    return Figures(case, without_s, hung.slowest_s, hung.hung_at, hung.last_answer_s, end_s, refused)


def _play(case: Case, job: list[int], hangs: int) -> tuple[float, LastCallHangs, Service]:
    limits = Limits(connections=case.connections)
    service = Service(
        Latency(), case.dispatch, window_requests=limits.mailbox_requests, window_s=limits.mailbox_window_s
    )
    wire = LastCallHangs(service, hangs, done=case.done)
    scheduler = Scheduler(limits, random.Random(7), rows_left=sum(job))
    return play(scheduler, iter(mailboxes_of(job)), wire), wire, service


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", action="append", choices=SHAPES, help="only this one; may be given again")
    parser.add_argument("--json", type=Path, help="the figures as a file")
    arguments = parser.parse_args()
    cases = [
        Case(shape, dispatch, connections, done)
        for shape in arguments.shape or SHAPES
        for dispatch in DISPATCHES
        for connections in CONNECTIONS
        for done in (False, True)
    ]
    found = []
    print(
        f"{'job':16} {'service':7} {'conns':>5} {'work':6} {'without':>9} {'slowest':>8} {'last answer':>11} {'end':>9} "
        f"{'times':>6}"
    )
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for figures in pool.map(play_case, cases):
            found.append(figures)
            case = figures.case
            print(
                f"{case.shape:16} {case.dispatch:7} {case.connections:5} {'done' if case.done else 'undone':6} "
                f"{figures.without_s:7.1f} s {figures.slowest_s:6.2f} s {figures.last_answer_s:9.1f} s {figures.end_s:7.1f} s "
                f"{figures.times:6.2f}",
                flush=True,
            )
    reached = sum(figures.times <= AIM for figures in found)
    print(f"{reached} of {len(found)} runs end within {AIM:g} times the slowest answer.")
    if arguments.json:
        told = [{**asdict(figures), "times": figures.times} for figures in found]
        arguments.json.write_text(json.dumps(told, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
