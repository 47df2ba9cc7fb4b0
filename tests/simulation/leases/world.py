"""Plays one purge of several workers to its end: the product's coordinator and lease holders in a simulated world."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from random import Random
from typing import Any

from purgeengine.core.coordination import coordinator_messages
from purgeengine.core.coordination.coordinator_messages import Give, Redo, RunReturned
from purgeengine.core.coordination.lease_messages import Question, Said, Tenure
from purgeengine.core.coordination.shard_record import HeadRecord, ShardRecord
from tests.simulation.leases.coordinator_process import CoordinatorProcess
from tests.simulation.leases.judge import LeaseJudge
from tests.simulation.leases.machines import Machine, WorkerRun
from tests.simulation.leases.plot import Plot
from tests.simulation.leases.service import PlainLedger, Service

CALM_S_MAX = 7_200.0
"""Seconds from the end of the faults within which every seed must end: full windows for every mailbox, one after the other."""


class LeaseWorld:
    """The agenda, the head's disk, the machines, the coordinators, and the ways between them."""

    def __init__(self, plot: Plot) -> None:
        self.plot = plot
        self.rng = Random(f"lease world {plot.seed}")
        self.now = 0.0
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = 0
        self.counts: Counter[str] = Counter()
        self.service = Service(plot, self.rng)
        rows = plot.shards * plot.mailboxes * plot.rows
        self.mailbox_of = {row: row // plot.rows for row in range(rows)}
        self.staged = {
            (shard, 1): PlainLedger({r: m for r, m in self.mailbox_of.items() if m % plot.shards == shard})
            for shard in range(plot.shards)
        }
        self.head = HeadRecord(0, {shard: ShardRecord() for shard in range(plot.shards)})
        self.head_outcomes: dict[int, str] = {}
        self.mirror: dict[tuple[int, int], dict[int, str]] = {}
        self.results: dict[tuple[int, int], dict[int, str]] = {}
        self.machines = [Machine(self, number, f"disk-{self.next_number()}") for number in range(plot.machines)]
        self.coordinators: list[CoordinatorProcess] = []
        self.judge = LeaseJudge(self)

    # ---------------------------------------------------------------------------------------------------------- agenda

    def next_number(self) -> int:
        """Return a number that nobody has."""
        self._numbers += 1
        return self._numbers

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        """Do something in so many seconds."""
        heapq.heappush(self._agenda, (self.now + seconds, self.next_number(), what))

    def chance(self, of: float) -> float:
        """Return a chance while the faults last, and 0 after that."""
        return of if self.now < self.plot.chaos_s else 0.0

    def play(self) -> Counter[str]:
        """Play to the end, and judge. Raises AssertionError on a broken promise."""
        self.coordinators.append(CoordinatorProcess(self))
        self._each_second()
        while not self._done:
            assert self.now < self.plot.chaos_s + CALM_S_MAX, (
                f"{self.plot}: not done at {self.now:.0f}: {self._standing}"
            )
            self.now, _, what = heapq.heappop(self._agenda)
            what()
        self.judge.looks_at_the_end()
        self.counts["simulated s"] += round(self.now)
        return self.counts

    @property
    def _done(self) -> bool:
        return all(shard.done for shard in self.head.shards.values())

    @property
    def _standing(self) -> str:
        return f"{self.head}, runs {[(run.id, run.tenure, run.holder.quota, run.may_send) for run in self.runs()]}"

    def runs(self) -> Iterator[WorkerRun]:
        """Yield every run of a live process."""
        return (run for machine in self.machines if machine.alive for run in machine.runs if not run.ended)

    # ---------------------------------------------------------------------------------------------------------- faults

    def _each_second(self) -> None:
        plot = self.plot
        for machine in list(self.machines):
            if machine.alive:
                self._trouble(machine)
        for process in self.coordinators:
            if process.active and self.drawn(plot.coordinators_killed, "coordinators killed"):
                process.kill()
            elif process.active and self.drawn(plot.coordinators_stopped, "coordinators stopped"):
                process.stop(self.rng.uniform(1.0, 120.0))
        calm = self.now >= plot.chaos_s
        idle = not any(process.active and not (process.stopped and calm) for process in self.coordinators)
        if (idle and self.rng.random() < 0.15) or self.drawn(plot.second_coordinators, "second coordinators"):
            self.coordinators.append(CoordinatorProcess(self))
        self.after(1.0, self._each_second)

    def _trouble(self, machine: Machine) -> None:
        plot, rng = self.plot, self.rng
        killed, lost = self.drawn(plot.kills, "kills"), self.drawn(plot.disks_lost, "disks lost")
        if killed or lost:
            machine.kill()
            self.after(rng.choice((2.0, 20.0, 200.0)), lambda: self._restart(machine, new_disk=lost))
            return
        if self.drawn(plot.stops, "stops"):
            machine.stop(rng.choice((5.0, 40.0, 90.0, 300.0)))
        if self.drawn(plot.partitions, "partitions"):
            machine.cut_until = self.now + rng.choice((5.0, 40.0, 90.0, 300.0))
        if self.drawn(plot.clock_steps, "clock steps"):
            machine.wall_offset += rng.choice((-3_600.0, -40.0, 40.0, 3_600.0))

    def _restart(self, machine: Machine, *, new_disk: bool) -> None:
        self.machines[machine.number] = machine.restarted(new_disk=new_disk)

    def drawn(self, of: float, what: str) -> bool:
        """Return whether a fault happens on this occasion, and count it."""
        happens = self.rng.random() < self.chance(of)
        self.counts[what] += happens
        return happens

    # ------------------------------------------------------------------------------------------------------------ ways

    def _carry(self, machine: Machine, deliver: Callable[[], None], *, lossy: bool = True) -> None:
        """Carry a message between a machine and a coordinator: it may be lost, late, or doubled."""
        rng, plot = self.rng, self.plot
        for _ in range(2 if lossy and rng.random() < self.chance(plot.messages_doubled) else 1):
            if not machine.reachable or (lossy and rng.random() < self.chance(plot.messages_lost)):
                continue
            late = rng.random() < self.chance(plot.messages_late)
            self.after(rng.uniform(1.0, 90.0) if late else rng.uniform(0.005, 0.2), deliver)

    def to_coordinators(self, machine: Machine, question: Question) -> None:
        """Carry a question to every coordinator that listens."""
        for process in self.coordinators:
            if process.active:
                self._carry(machine, partial(process.receives, question))

    def to_run(self, said: Said) -> None:
        """Carry an answer to its run."""
        sent_at = self.now
        for run in self.runs():
            if run.id == said.run:
                self._carry(run.machine, partial(run.machine.does, partial(run.hears, said, sent_at)))

    def gives(self, give: Give) -> None:
        """Carry a task to its worker. Dask may start it twice, also on another worker, and loses it with the worker."""
        here = [machine for machine in self.machines if machine.seen.disk == give.worker.disk]
        others = [machine for machine in self.machines if machine.alive and machine not in here]
        if others and self.rng.random() < self.chance(0.1):
            self.counts["tasks run twice"] += 1
            here.append(self.rng.choice(others))
        for machine in here:
            if machine.alive:
                self._carry(machine, partial(machine.does, partial(machine.starts, give)), lossy=False)

    def returns(self, machine: Machine, event: RunReturned, result: dict[int, str] | None) -> None:
        """Carry home what a task returned."""

        def arrive() -> None:
            if result is not None:
                self.results[event.tenure.shard, event.tenure.generation] = result
            for process in self.coordinators:
                process.receives(event)

        self._carry(machine, arrive, lossy=False)

    def copies_home(self, machine: Machine, tenure: Tenure, outcomes: dict[int, str]) -> None:
        """Carry a copy of a ledger home. An older one never replaces a newer one."""

        def arrive() -> None:
            key = (tenure.shard, tenure.generation)
            if len(outcomes) > len(self.mirror.get(key, {})):
                self.mirror[key] = outcomes

        self._carry(machine, arrive)

    # ------------------------------------------------------------------------------------------------------------ head

    def staged_copy(self, key: tuple[int, int]) -> PlainLedger:
        """Return a new ledger as it was staged."""
        staged = self.staged[key]
        return PlainLedger(
            dict(staged.rows), set(staged.doubt), seen=_copied(staged.seen, staged), blocked=dict(staged.blocked)
        )

    def collect(self, outcomes: dict[int, str]) -> None:
        """Merge outcomes into the head: one for each row, once."""
        for row, outcome in outcomes.items():
            before = self.head_outcomes.setdefault(row, outcome)
            assert before == outcome, f"{self.plot}: row {row} was {before} and is {outcome}"

    def redo(self, redo: Redo, clock_wall: float) -> None:
        """Merge the last copy of a lost generation, and stage its open rows again."""
        plot, key = self.plot, (redo.shard, redo.generation)
        copy = self.mirror.get(key, {})
        self.collect(copy)
        facts = coordinator_messages.lost(redo, plot.quarantine_s, plot.window_requests)
        rows = {row: mailbox for row, mailbox in self.staged[key].rows.items() if row not in self.head_outcomes}
        fresh = PlainLedger(
            rows, {row for row in rows if facts.in_doubt(settled=row in copy)} | self.staged[key].doubt & set(rows)
        )
        to_true = self.now - clock_wall
        at_ms, requests = facts.seen
        for mailbox in set(rows.values()):
            fresh.seen[mailbox].append((at_ms / 1000.0 + to_true, requests))
            fresh.blocked[mailbox] = facts.blocked[0] / 1000.0 + to_true
        self.staged[redo.shard, redo.generation + 1] = fresh
        self.counts["generations lost"] += 1


def _copied(seen: Any, staged: PlainLedger) -> Any:
    copy = PlainLedger({}).seen
    for mailbox, entries in seen.items():
        copy[mailbox] = list(entries)
    return copy


def play(plot: Plot) -> Counter[str]:
    """Play what a seed has drawn, and judge it."""
    return LeaseWorld(plot).play()
