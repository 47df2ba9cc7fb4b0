"""The whole engine in simulated time from one seed: real scheduler, engine, codec and ledger against the simulated tenant.

Nothing here opens a socket or sleeps. The ledger is the real one, in a temporary folder. A `World` runs a `Scenario`,
lets the process die where the scenario says so, gives the same command again until the job is done, and lets the
judge check it.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import weakref
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from purgeengine.core.graph.operations import IdType, deletion_by
from purgeengine.core.messages import BatchEnded, BatchSent, Entry, Settled
from purgeengine.core.model import Item, Outcome
from purgeengine.core.scheduling.scheduler import Scheduler
from purgeengine.edges.ledger import Ledger
from purgeengine.edges.ledger.staging.names import User
from purgeengine.engine.loop import Engine
from purgeengine.engine.ports import Hours
from purgeengine.engine.tally import Tally
from purgeengine.errors import PurgeEngineError, RunStopped
from purgeengine.jobs.resume import take_up
from purgeengine.run_limits import Limits
from purgeengine.sim.graph.faults import Faults
from purgeengine.sim.graph.tenant import Tenant
from purgeengine.sim.login.login_endpoint import LoginEndpoint
from purgeengine.sim.server.simulated_transport import SimulatedTransport
from purgeengine.sim.tenant_settings import TenantSettings
from purgeengine.sim.wire.answers import Trouble
from tests.simulation.judge import Judge
from tests.simulation.scenario import Crash, Scenario, guid, upn_of, user
from tests.simulation.virtual_time import VirtualClock, run_virtually
from tests.support.ledger_fixtures import FakeSource

CALL_TIMEOUT_S = 30.0
RUNS_MAX = 40
"""Most runs of a job. A job that needs more will never end."""
MEMORY_DISK = Path("/dev/shm")
"""Folder where a ledger needs no disk, on Linux. These tests are not about syncs."""


class Death(BaseException):
    """The process is gone. Nothing may catch this."""


class Mortality:
    """Counts the steps of a process and ends it at one of them. After that, nothing of it reaches the disk or the tenant."""

    def __init__(self, at_step: int | None) -> None:
        self._at_step = at_step
        self.steps = 0
        self.dead = False

    def step(self) -> None:
        """Count one more step. Raises `Death` at the last one, and always after it."""
        self.steps += 1
        if self.dead or self.steps == self._at_step:
            self.dead = True
            raise Death


class MortalLedger:
    """The real ledger as the engine uses it, on the loop's own thread. It remembers what it has acknowledged."""

    def __init__(self, world: World, ledger: Ledger, mortality: Mortality) -> None:
        self._world = world
        self._ledger = ledger
        self._mortality = mortality
        self.folder_rows = ledger.folder_rows
        self.user_of = ledger.user_of

    @property
    def trouble(self) -> PurgeEngineError | None:
        return self._ledger.trouble

    async def write(self, entries: Sequence[Entry], at_utc_ms: int) -> None:
        await asyncio.sleep(0.001)
        self._mortality.step()
        self._ledger.write(entries, at_utc_ms)
        self._world.notes_given_up(entries)
        self._mortality.step()
        settled = [row for entry in entries if isinstance(entry, Settled) for row in entry.each()]
        rows = self._ledger.rows_of([entry.position for entry in settled])
        self._world.acknowledged.update(zip(rows, (entry.outcome for entry in settled), strict=True))
        self._world.answers_not_recorded -= sum(isinstance(e, BatchEnded) and e.status is not None for e in entries)


class SimulatedTokens:
    """Tokens of the simulated login, renewed when refused."""

    def __init__(self, login: LoginEndpoint, clock: VirtualClock, started_at: float) -> None:
        self._login = login
        self._clock = clock
        self._started_at = started_at
        self._token = ""
        self.renewals = 0

    async def token(self) -> str:
        """Return the current token."""
        if not self._token:
            self._token = self._login.issue(self._started_at + self._clock.monotonic())
        return self._token

    async def renew(self, stale: str, claims: str = "") -> str:
        """Return another token than ``stale``."""
        await asyncio.sleep(0.2)
        if stale == self._token:
            self.renewals += 1
            self._token = self._login.issue(self._started_at + self._clock.monotonic())
        return self._token


class MortalTransport(SimulatedTransport):
    """Carries a batch only if the ledger on disk has recorded it."""

    def __init__(self, world: World, mortality: Mortality, login: LoginEndpoint, zero_s: float) -> None:
        super().__init__(world.tenant, login=login, timeout_s=CALL_TIMEOUT_S, zero_s=zero_s)
        self._world = world
        self._mortality = mortality

    async def post(self, body: bytes, client_request_id: str, token: str) -> Any:
        self._mortality.step()
        self._world.left.add(client_request_id)
        self._world.judge_of_runs.sees_a_batch_leave(client_request_id)
        received = await super().post(body, client_request_id, token)
        self._world.answers_not_recorded += 1
        self._world.answered.add(client_request_id)
        self._mortality.step()
        return received


class MortalScheduler(Scheduler):
    """Dies between two turns."""

    mortality: Mortality

    def handle(self, *events: Any, now: float) -> list[Any]:
        self.mortality.step()
        return super().handle(*events, now=now)


class World:
    """One job, from its input to its last outcome."""

    def __init__(self, scenario: Scenario | None = None, **more: Any) -> None:
        """Make the job. ``more`` are fields of a `Scenario`, for tests that need only a few of them."""
        if scenario is None:
            scenario = Scenario(**{**more, "rows_by_mailbox": tuple(more.get("rows_by_mailbox", (100,)))})
        self.scenario = scenario
        self.deletion = deletion_by(scenario.action, scenario.id_type)
        rng = Random(scenario.seed)
        self.rows = input_of(scenario, rng)
        self.contacts = list(dict.fromkeys(Item(*row) for row in self.rows if row[2]))
        self.existed = {item.contact: rng.random() >= scenario.absent for item in self.contacts}
        there = [item._replace(user=upn_of(item.user)) for item in self.contacts if self.existed[item.contact]]
        settings = replace(scenario.settings, immutable_ids=scenario.id_type is IdType.IMMUTABLE)
        self.tenant = Tenant(settings, contacts=there, faults=scenario.faults, seed=scenario.seed)
        for number in range(len(scenario.rows_by_mailbox)):
            self.tenant.truth.add_mailbox(user(number), scenario.troubles.get(number))
            self.tenant.truth.alias(guid(number), user(number))
        for item in [item for item in self.contacts if not self.existed[item.contact]][::2]:
            self.tenant.truth.purge_before(item.user, item.contact)
        scratch = tempfile.mkdtemp(prefix="purgeengine-", dir=MEMORY_DISK if MEMORY_DISK.is_dir() else None)
        weakref.finalize(self, shutil.rmtree, scratch, ignore_errors=True)
        self.scratch = Path(scratch).resolve()
        self.folder = self.scratch / "ledger"
        self.source = FakeSource(self.rows)
        self.utc_offset_s = 0.0
        self.deaths = 0
        self.answers_not_recorded = 0
        self.answers_lost_in_death = 0
        self.broken_off = 0
        """Runs that an error of the disk ended."""
        self.left: set[str] = set()
        """Batches that have left, by their client request ids."""
        self.answered: set[str] = set()
        """Batches whose answer reached us."""
        self.given_up: set[str] = set()
        """Batches that were recorded as ended without an answer. Their answer may have come later."""
        self._ids: dict[int, str] = {}
        self.calls = 0
        self.duration_s = 0.0
        self.faults_ended_at: float | None = None
        self.error: PurgeEngineError | None = None
        """The error that ended the last run."""
        self.acknowledged: dict[int, Outcome] = {}
        """The outcomes that the ledger has acknowledged, by row."""
        self.hours: Hours | None = None
        """When the runs may send, by the wall clock. None for any time."""
        self.login = LoginEndpoint()
        self.judge_of_runs = Judge(self)

    # -------------------------------------------------------------------------------------------------------- what happens

    def stage(self) -> Ledger:
        """Give the same command again: make a new ledger, or open the one that is there."""
        return Ledger.open(
            self.folder,
            self.source,
            tenant_id="contoso",
            deletion=self.deletion,
            resolve=self._resolve if self.scenario.resolved else None,
        )

    def _resolve(self, users: Sequence[str]) -> dict[str, User | None]:
        return {name.lower(): User(self.tenant.truth.mailbox(name).object_id, upn_of(name)) for name in users}

    def run(self) -> World:
        """Give the command again and again until the job has ended."""
        crashes = list(self.scenario.crashes)
        for _ in range(RUNS_MAX):
            crash = crashes.pop(0) if crashes else None
            self.run_once(crash.step if crash else None)
            if self.judge_of_runs.looks_between_runs():
                return self
            if crash:
                self._wait_after(crash)
        raise AssertionError(f"{self}: not done after {RUNS_MAX} runs; the last ended with {self.error}")

    def run_once(self, dies_at_step: int | None = None) -> None:
        """Do one run, to its end, to what stopped it, or to its death."""
        mortality = self.mortality(dies_at_step)
        self.answers_not_recorded = 0
        ledger = self.error = None
        try:
            ledger = self.stage()
            ledger.hold_reserve(self.scenario.limits.connections)
            run_virtually(self._run(ledger, mortality))
        except Death:
            pass
        except PurgeEngineError as error:
            self.error = error
        self.judge_of_runs.stops_watching()
        if mortality.dead:
            self.deaths += 1
            self.answers_lost_in_death += self.answers_not_recorded
            self._leave_behind()
        if ledger is not None:
            ledger.close()

    def notes_given_up(self, entries: Sequence[Entry]) -> None:
        """Note which batches the ledger records as ended without an answer."""
        for entry in entries:
            if isinstance(entry, BatchSent):
                self._ids[entry.batch] = entry.client_request_id
            elif isinstance(entry, BatchEnded) and entry.status is None:
                self.given_up.add(self._ids.get(entry.batch, ""))

    def mortality(self, dies_at_step: int | None) -> Mortality:
        """Return what ends the next process."""
        return Mortality(dies_at_step)

    def _leave_behind(self) -> None:
        """Continue with the folder as it is at this moment: a dead process does not close its ledger."""
        left = self.folder.with_name(f"ledger-{self.deaths}")
        shutil.copytree(self.folder, left, ignore=shutil.ignore_patterns("*-shm", "lock", "reserve"))
        self.folder = left

    def _wait_after(self, crash: Crash) -> None:
        self.tenant.advance(self.tenant.now + crash.pause_s)
        self.utc_offset_s -= crash.clock_back_s

    async def _run(self, ledger: Ledger, mortality: Mortality) -> None:
        loop = asyncio.get_running_loop()
        started_at = self.tenant.now
        clock = VirtualClock(loop, self.tenant.utc_at_zero_s + started_at + self.utc_offset_s)
        if self.scenario.faults != Faults():
            self._end_of_chaos(loop, started_at)
        for at_s, by_s in self.scenario.clock_steps:
            if at_s > started_at:
                loop.call_at(at_s - started_at, self._set_clock, clock, by_s)
        for at_s, for_s in self.scenario.suspensions:
            if at_s > started_at:
                loop.call_at(at_s - started_at, loop.jump, for_s)  # type: ignore[attr-defined]
        ledger.begin(round(clock.utc() * 1000), {})
        self.tokens = SimulatedTokens(self.login, clock, started_at)
        counts = ledger.counts()
        self.tally = Tally(counts.rows, counts.outcomes)
        self.scheduler, mailboxes = take_up(ledger, self.scenario.limits, clock, self.scenario.seed)
        self.scheduler.__class__ = MortalScheduler
        self.scheduler.mortality = mortality  # type: ignore[attr-defined]
        self.engine = Engine(
            self.scheduler,
            mailboxes,
            ledger=MortalLedger(self, ledger, mortality),
            transport=MortalTransport(self, mortality, self.login, -started_at),
            tokens=self.tokens,
            clock=clock,
            watcher=self.tally,
            hours=self.hours,
            operation=ledger.deletion,
        )
        try:
            await self.engine.run()
        finally:
            self.tenant.advance(max(self.tenant.now, started_at + loop.time()))
            self.duration_s = self.tenant.now
            self.calls += self.tally.calls
        if self.engine.halted is not None:
            raise RunStopped(f"halted: {self.engine.halted.reason}")

    def _end_of_chaos(self, loop: asyncio.AbstractEventLoop, started_at: float) -> None:
        """Let the faults stop. From then on, a job that does not end has no excuse."""

        def heal() -> None:
            self.tenant.set_faults(Faults())
            self.faults_ended_at = self.scenario.chaos_s

        if self.faults_ended_at is None:
            loop.call_at(max(0.0, self.scenario.chaos_s - started_at), heal)

    def _set_clock(self, clock: VirtualClock, by_s: float) -> None:
        clock.set_forward(by_s)
        self.utc_offset_s += by_s

    # -------------------------------------------------------------------------------------------------------- what is left

    def judge(self) -> None:
        """Compare the ledger with the truth. Every broken promise is an AssertionError that names the scenario."""
        self.judge_of_runs.judges()

    @property
    def counts(self) -> Counter[Outcome | None]:
        """Rows by outcome."""
        return Counter(Outcome(row["outcome"]) if row["outcome"] else None for row in self.judge_of_runs.exported())

    def __str__(self) -> str:
        return f"seed {self.scenario.seed}, scenario {self.scenario.to_json()}"


def input_of(scenario: Scenario, rng: Random) -> list[tuple[str, str, str]]:
    """Return the rows of the input, with duplicates and invalid ones, in the scenario's order."""
    rows = [
        (user(number), "", f"AAMkAGI2{number:04d}{row:06d}=")
        for number, count in enumerate(scenario.rows_by_mailbox)
        for row in range(count)
    ]
    more = [(name.upper(), folder, contact) for name, folder, contact in rows if rng.random() < scenario.duplicates]
    more += [(name, folder, "") for name, folder, _ in rows if rng.random() < scenario.invalid]
    rows += more
    if scenario.two_names:
        rows = [
            (guid(int(name[4:9])) if rng.random() < 0.5 else name, folder, contact) for name, folder, contact in rows
        ]
    if scenario.shuffled:
        rng.shuffle(rows)
    return rows


def play(scenario: Scenario, kind: type[World] = World) -> Counter[str]:
    """Run a scenario to its end, judge it, and return what happened in it."""
    world = kind(scenario)
    try:
        world.run()
        world.judge()
        drawn = Counter({f"fault {name}": count for name, count in world.tenant.faults_drawn.items()})
        ends = Counter({f"outcome {outcome}": count for outcome, count in world.counts.items()})
        return drawn + ends + Counter(rows=len(world.rows), calls=world.calls, deaths=world.deaths)
    except Exception as error:
        if str(world) in str(error):
            raise
        raise AssertionError(f"{world}: {type(error).__name__}: {error}") from error


__all__ = ["Limits", "Scenario", "TenantSettings", "Trouble", "World", "play"]
