"""Machines with clocks of their own, and the runs on them. A run is the product's lease holder and a simple engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from purgeengine.core.coordination.coordinator_messages import Give, RunReturned, WorkerSeen
from purgeengine.core.coordination.lease_clock import Instant
from purgeengine.core.coordination.lease_holder import LeaseHolder
from purgeengine.core.coordination.lease_messages import Grant, Said, Tenure
from purgeengine.core.messages import AskedToWait
from tests.simulation.leases.plot import TIMES
from tests.simulation.leases.service import PlainLedger

if TYPE_CHECKING:
    from tests.simulation.leases.world import LeaseWorld

DRIFT = 1e-4
"""The most by which a clock runs too fast or too slow. Clocks of real machines are ten times better."""


class Host:
    """A process on a machine with clocks. What comes while it is stopped happens when it is woken."""

    def __init__(self, world: LeaseWorld) -> None:
        self.world = world
        self.alive = True
        self.stopped = False
        self._rate = 1.0 + world.rng.uniform(-DRIFT, DRIFT)
        self._boot_at_zero = world.rng.uniform(0.0, 1e6)
        self.wall_offset = world.rng.uniform(-5.0, 5.0)
        self._pending: list[Callable[[], None]] = []

    @property
    def clock(self) -> Instant:
        """Both clocks."""
        return Instant(self._boot_at_zero + self.world.now * self._rate, 1.7e9 + self.world.now + self.wall_offset)

    def does(self, what: Callable[[], None]) -> None:
        """Do something now, or when the process is woken, or never if it is dead."""
        if self.stopped:
            self._pending.append(what)
        elif self.alive:
            what()

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        """Do something in so many seconds."""
        self.world.after(seconds, lambda: self.does(what))

    def stop(self, for_s: float) -> None:
        """Stop the process for a while, as SIGSTOP does."""
        if self.alive and not self.stopped:
            self.stopped = True
            self.world.after(for_s, self._wake)

    def kill(self) -> None:
        """Kill the process."""
        self.alive = self.stopped = False
        self._pending.clear()

    def _wake(self) -> None:
        self.stopped = False
        pending, self._pending = self._pending, []
        for what in pending:
            self.does(what)


class Machine(Host):
    """A worker: a process, a disk, and a way to the coordinator that may be cut."""

    def __init__(self, world: LeaseWorld, number: int, disk: str) -> None:
        super().__init__(world)
        self.number = number
        self.cut_until = 0.0
        self.seen = WorkerSeen(f"worker-{number}", disk, f"app-{number % 2 if world.plot.two_apps else 0}")
        self.ledgers: dict[tuple[int, int], PlainLedger] = {}
        self.locked: set[tuple[int, int]] = set()
        self.runs: list[WorkerRun] = []

    @property
    def reachable(self) -> bool:
        """True if messages pass."""
        return self.world.now >= self.cut_until

    def starts(self, give: Give) -> None:
        """Start a run, as a task does."""
        run = WorkerRun(self, give.tenure)
        self.runs.append(run)
        run.begins()

    def restarted(self, *, new_disk: bool) -> Machine:
        """Return the process that is started after this one, on the same disk or on a new one."""
        after = Machine(self.world, self.number, f"disk-{self.world.next_number()}" if new_disk else self.seen.disk)
        if not new_disk:
            after.ledgers = self.ledgers
        return after


class WorkerRun:
    """One run over the ledger of a shard."""

    def __init__(self, machine: Machine, tenure: Tenure) -> None:
        self.machine = machine
        self.world = machine.world
        self.tenure = tenure
        self.client_id = machine.seen.client_id
        self.id = f"run-{self.world.next_number()}"
        self.holder = LeaseHolder(tenure, self.id, machine.seen.disk, self.client_id, TIMES.lease_s)
        self.granted_at = -1.0
        """When a coordinator decided on the lease that the run has."""
        self.ended = False
        self.ledger: PlainLedger | None = None
        self._asked = 0
        self.waits: list[float] = []

    @property
    def may_send(self) -> bool:
        """True if nothing keeps the run from sending for its shard at this instant, also if it is stopped and may be woken."""
        return self.machine.alive and not self.ended and self.holder.left_s(self.machine.clock) > 0.0

    def begins(self) -> None:
        """Lock the ledger, as soon as no other run of this process has it, and ask for the lease."""
        key = (self.tenure.shard, self.tenure.generation)
        if key in self.machine.locked:
            self.machine.after(1.0, self.begins)
            return
        self.machine.locked.add(key)
        if key not in self.machine.ledgers:
            self.machine.ledgers[key] = self.world.staged_copy(key)
        self.ledger = self.machine.ledgers[key]
        self.ledger.resume(self.world.plot.quarantine_s)
        self._renews()
        self._works()
        self.machine.after(self.world.plot.copy_s, self._copies)

    # ------------------------------------------------------------------------------------------------------------ lease

    def _renews(self) -> None:
        if not self.ended:
            self._asks()
            self.machine.after(TIMES.ask_s, self._renews)

    def _asks(self) -> None:
        question = self.holder.ask(self.machine.clock)
        self._asked = question.number
        self.world.to_coordinators(self.machine, question)

    def hears(self, said: Said, sent_at: float) -> None:
        """Take in what a coordinator said at ``sent_at``."""
        if self.ended:
            return
        before = self.holder.left_s(self.machine.clock)
        for event in self.holder.heard(said):
            if isinstance(event, AskedToWait):
                assert self.ledger is not None, "it has asked"
                self.ledger.wait_until = max(self.ledger.wait_until, self.world.now + event.for_s)
        if isinstance(said, Grant) and (said.number == self._asked or self.holder.left_s(self.machine.clock) > before):
            self.granted_at = sent_at
        if self.holder.over is not None or self.holder.stop is not None:
            self._ends(complete=False)
        elif self.holder.asks_now:
            self._asks()

    # ------------------------------------------------------------------------------------------------------------- work

    def _works(self) -> None:
        """Send one call if it may leave, and look again when the next one may."""
        if self.ended or self.ledger is None:
            return
        world, ledger, share = self.world, self.ledger, self.holder.quota
        if ledger.complete:
            self._ends(complete=True)
            return
        call = ledger.next_call(world.plot, world.now)
        self.holder.want(call is not None or bool(ledger.flying))
        if self.holder.asks_now:
            self._asks()
        free = len(ledger.flying) < share.connections and share.requests_per_s and ledger.wait_until <= world.now
        if call is None or not free or not self.holder.left_s(self.machine.clock) > 0.0:
            self.machine.after(0.7, self._works)
            return
        number = world.next_number()
        mailbox, rows = call
        ledger.flying[number] = (mailbox, rows, world.now)
        world.judge.sees_call(self)
        world.after(world.rng.uniform(0.01, 0.3), lambda: self._arrives(number, mailbox, rows))
        self.machine.after(len(rows) / share.requests_per_s, self._works)

    def _arrives(self, number: int, mailbox: int, rows: tuple[int, ...]) -> None:
        """Let the service run the call, whatever became of the run."""
        world, rng, plot = self.world, self.world.rng, self.world.plot
        answer: Callable[[], None]
        if rng.random() < world.chance(plot.app_waits):
            for_s = rng.uniform(5.0, 60.0)
            answer = lambda: self._told_to_wait(number, for_s, world.now)  # noqa: E731
        else:
            late_s = rng.uniform(0.0, plot.quarantine_s - 0.5) if rng.random() < 0.05 else 0.0
            world.after(late_s, lambda: self._runs(number, mailbox, rows))
            return
        self.machine.after(rng.uniform(0.05, 0.5), answer)

    def _runs(self, number: int, mailbox: int, rows: tuple[int, ...]) -> None:
        world, rng = self.world, self.world.rng
        statuses = world.service.run(self.client_id, mailbox, rows, world.now)
        if rng.random() < world.chance(world.plot.answers_lost):
            self.machine.after(world.plot.quarantine_s, lambda: self._loses(number))
        else:
            self.machine.after(rng.uniform(0.05, 0.5), lambda: self._settles(number, statuses))

    def _settles(self, number: int, statuses: dict[int, int]) -> None:
        if self.ledger is not None and not self.ended and number in self.ledger.flying:
            self.ledger.settle(number, statuses, self.world.now)

    def _loses(self, number: int) -> None:
        if self.ledger is not None and not self.ended and number in self.ledger.flying:
            self.ledger.lose(number, self.world.plot.quarantine_s)

    def _told_to_wait(self, number: int, for_s: float, said_at: float) -> None:
        if self.ledger is None or self.ended or number not in self.ledger.flying:
            return
        self.ledger.refuse(number)
        if self.world.now + for_s > self.ledger.wait_until:
            self.ledger.wait_until = self.world.now + for_s
        self.holder.asked_to_wait(for_s, self.machine.clock, cut=False)
        self.waits.append(self.world.now + for_s)
        if self.holder.asks_now:
            self._asks()

    # -------------------------------------------------------------------------------------------------------------- end

    def _copies(self) -> None:
        if not self.ended and self.ledger is not None:
            self.world.copies_home(self.machine, self.tenure, dict(self.ledger.outcomes))
            self.machine.after(self.world.plot.copy_s, self._copies)

    def _ends(self, *, complete: bool) -> None:
        """End the run, and let its task return."""
        assert self.ledger is not None, "it has begun"
        self.ended = True
        self.machine.locked.discard((self.tenure.shard, self.tenure.generation))
        result: Any = dict(self.ledger.outcomes) if complete else None
        self.world.returns(self.machine, RunReturned(self.tenure, self.id, complete), result)
