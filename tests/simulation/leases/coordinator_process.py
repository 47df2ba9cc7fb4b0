"""The process around the product's coordinator."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from purgeengine.core.coordination.coordinator import Coordinator
from purgeengine.core.coordination.coordinator_messages import (
    Collect,
    Collected,
    CollectFailed,
    CoordinatorCommand,
    CoordinatorEvent,
    Give,
    Redo,
    Redone,
    Save,
    Tell,
    WorkersSeen,
)
from purgeengine.core.coordination.lease_messages import Question
from tests.simulation.leases.machines import Host
from tests.simulation.leases.plot import TIMES

if TYPE_CHECKING:
    from tests.simulation.leases.world import LeaseWorld


class CoordinatorProcess(Host):
    """The process around a coordinator: it keeps the order of the commands, and may die between any two of them."""

    def __init__(self, world: LeaseWorld) -> None:
        super().__init__(world)
        self.wall_offset = 0.0  # all coordinators of a head run on the machine that has its disk
        world.head = replace(world.head, term=world.head.term + 1)
        world.counts["coordinators"] += 1
        clock = self.clock
        self._core = Coordinator(world.head, world.plot.total, now=clock.boot, utc=clock.wall, times=TIMES)
        self._each_second()

    @property
    def active(self) -> bool:
        """True if the process lives and has not found that another one has taken over."""
        return self.alive and self._core.superseded is None

    def receives(self, event: CoordinatorEvent) -> None:
        """Take in a message, as soon as the process is not stopped."""
        self.does(lambda: self._turn(event))

    def _each_second(self) -> None:
        world = self.world
        seen = tuple(m.seen for m in world.machines if m.alive and not m.stopped and m.reachable)
        self._turn(WorkersSeen(seen))
        self.after(1.0, self._each_second)

    def _turn(self, event: CoordinatorEvent) -> None:
        if not self.active:
            return
        world, clock = self.world, self.clock
        commands = self._core.handle(event, now=clock.boot, utc=clock.wall, term_on_disk=world.head.term)
        for command in commands:
            if world.drawn(world.plot.crashes_between_commands, "crashes between commands"):
                self.kill()
            if not self.alive or not self._carries_out(command, event):
                return

    def _carries_out(self, command: CoordinatorCommand, event: CoordinatorEvent) -> bool:
        """Carry out one command. Return False if none may follow."""
        world = self.world
        match command:
            case Save(record):
                if record.term < world.head.term:
                    return False
                if isinstance(event, Question) and record.waits != world.head.waits and event.wait is not None:
                    self._notes_wait(event)
                world.head = record
            case Tell(said):
                world.to_run(said)
            case Give():
                world.counts["gives"] += 1
                world.gives(command)
            case Collect(shard, generation) if world.drawn(0.2, "collects that failed"):
                failed = CollectFailed(shard, generation)
                self.after(world.rng.uniform(0.0, 20.0), lambda: self._turn(failed))
            case Collect(shard, generation):
                world.collect(world.results[shard, generation])
                self.after(world.rng.uniform(0.0, 2.0), lambda: self._turn(Collected(shard, generation)))
            case Redo():
                world.redo(command, self.clock.wall)
                fresh = Redone(command.shard, command.generation + 1)
                self.after(world.rng.uniform(0.0, 2.0), lambda: self._turn(fresh))
        return True

    def _notes_wait(self, question: Question) -> None:
        for run in self.world.runs():
            if run.id == question.run and question.wait is not None:
                until = run.waits[question.wait.number - 1]
                self.world.judge.notes_wait(question.client_id, question.run, until)
