"""Leaks and time: a long run needs no more memory, tasks or descriptors at its end than at its beginning.

python -m tests.campaigns.soak [--rows N] [--socket-rows N] [--json]

Two soaks, both over the real ledger in a temporary folder. The first runs the engine and the scheduler in virtual
time, against a tenant in the same process with a low rate of every fault. The second runs what ``purgeengine run``
consists of, over real connections with TLS, against a simulated tenant in a process of its own, which resets some
calls and stays silent on others. Everything that could grow is measured at fixed row counts; the last third of a run
is compared with the first.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import json
import multiprocessing
import sys
import threading
import time
from array import array
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import click
import psutil
import pyarrow as pa

from purgeengine import logs
from purgeengine.core.messages import Entry
from purgeengine.edges.clock import SystemClock
from purgeengine.edges.http.transport import HttpTransport, Timeouts
from purgeengine.edges.ledger import Ledger
from purgeengine.edges.ledger.recorder import Recorder
from purgeengine.edges.ledger.running import work_rows
from purgeengine.edges.ledger.store import database
from purgeengine.edges.login import tokens_from_environment
from purgeengine.engine.event_loop import run_loop
from purgeengine.engine.loop import Engine
from purgeengine.engine.tally import Tally
from purgeengine.jobs.resume import take_up
from purgeengine.memory import spare_the_collector
from purgeengine.run_limits import Limits
from purgeengine.sim.graph.faults import Faults
from purgeengine.sim.graph.tenant import Tenant
from purgeengine.sim.server.http_server import SimulatedTenant
from purgeengine.sim.server.simulated_transport import SimulatedTransport
from purgeengine.sim.tenant_settings import TenantSettings
from tests.simulation.virtual_time import VirtualClock, VirtualLoop, run_virtually

ROWS, SOCKET_ROWS = 2_000_000, 200_000
WARM_UP_ROWS = 100
SAMPLES = 120
STAGED_APART_ROWS = 50_000
"""From this many rows on, another process stages the input, so that what staging leaves behind hides no growth."""
MAILBOX_SIZES = (1, 3, 20, 76, 400)
"""Rows of one mailbox after another: 100 on average, so that thousands come and go."""
ENOUGH = 30
"""Attempts of a row: with faults as rare as here, no row is given up before."""
TIMERS_OF_A_ROW_MAX = 10
"""Most timers per row in virtual time. A row needs one; with more than this, the run makes no progress."""
CACHES = ("WorkRows._groups", "WorkRows._users", "WorkRows._files", "WorkRows._firsts", "_Group.", "Journal._details")
"""What the ledger keeps on purpose, each up to a limit of its own. The limit on memory includes them."""
PART_FILES = "WorkRows._files"
CACHES_FULL_SOON = {
    (work_rows, "CACHE_BYTES_MAX"): 12 << 20,
    (work_rows, "USERS_CACHED_MAX"): 256,
    (work_rows, "OPEN_FILES_MAX"): 2,
    (database, "CACHE_KIB"): 1_024,
}
"""Smaller limits in place of 24 MiB of rows, 4,096 names, 16 files of 1.2 MiB each and 16 MiB of pages.

The real ones would fill up slowly during 2 million rows.
"""


# ------------------------------------------------------------------------------------------------------------ what is measured


@dataclass(frozen=True)
class Sample:
    """Everything that could grow, at one moment of a run."""

    rows: int
    memory: int
    """Bytes of the process in RAM."""
    blocks: int
    """Blocks of Python's own allocator. Nearly every object has one, however small."""
    objects: int
    """Objects that the garbage collector knows, after it has run."""
    spare_tasks: int
    """Tasks besides the main one and one for each batch in flight.

    Answers that nobody has looked at yet have no task any more.
    """
    descriptors: int
    """Open files and sockets, without the ledger's Parquet files, whose cache has a limit of its own. Unknown on Windows."""
    threads: int
    kept: int
    """Elements in all containers of the engine, the scheduler, the recorder and the tally."""


METRICS = ("memory", "blocks", "objects", "spare_tasks", "descriptors", "threads", "kept")


@dataclass(frozen=True)
class Bounds:
    """The most that the median of the last third may exceed that of the first."""

    memory: int = 12 << 20
    """As much as the cache of rows (`CACHES_FULL_SOON`) may still take after the first third of a short run.

    One more object for each row, of 56 bytes at least, would be 70 MiB after 2 million rows.
    """
    blocks: int = 5_000
    """Some objects for each batch in flight and each waiting mailbox, whose number varies by chance.

    One object for each call would be 67,000 after 2 million rows.
    """
    objects: int = 5_000
    """As ``blocks``, for objects that hold others."""
    spare_tasks: int = 2
    """Chance: a token being renewed, a connection being made."""
    descriptors: int = 2
    """Chance: connections that have just been replaced."""
    threads: int = 0
    kept: int = 1_000
    """Chance: waiting mailboxes. Besides them 8 for each connection are open, with some rows and times each."""


SMALL = Bounds(memory=16 << 20, blocks=3_000, objects=500, kept=400)
"""Bounds for a few thousand rows over four connections.

The allocators still take their first pages then, so that memory says little, and the other metrics must show a leak.
32 mailboxes are open, each with up to 20 times at which it sent; one thing kept for each call is 340.
"""


@dataclass(frozen=True)
class Report:
    """What a soak found. ``left`` are descriptors, tasks and threads that outlived the run, by name."""

    name: str
    rows: int
    duration_s: float
    outcomes: dict[str, int]
    faults: dict[str, int]
    calls: int
    lost_calls: int
    samples: list[Sample] = field(repr=False)
    left: dict[str, int]
    containers: dict[str, tuple[int, int]]
    """Elements at the end of the first third and at the end, for containers that have any."""

    def thirds(self, metric: str) -> tuple[float, float]:
        """Return the median of a metric over the first and over the last third of the rows."""
        first = [getattr(s, metric) for s in self.samples if s.rows <= self.rows / 3]
        last = [getattr(s, metric) for s in self.samples if s.rows > self.rows * 2 / 3]
        return median(first), median(last)

    def growth(self, metric: str) -> float:
        """Return how much the last third exceeds the first."""
        first, last = self.thirds(metric)
        return last - first

    def broken(self, bounds: Bounds) -> list[str]:
        """Return sentences about what grew beyond its bound, or outlived the run."""
        said = [
            f"{metric} grew by {self.growth(metric):,.0f}, more than {getattr(bounds, metric):,}"
            for metric in METRICS
            if self.growth(metric) > getattr(bounds, metric)
        ]
        return said + [f"{count} {name} outlived the run" for name, count in self.left.items() if count > 0]

    def as_json(self, bounds: Bounds) -> dict[str, Any]:
        """Return plain values."""
        found = {name: value for name, value in asdict(self).items() if name != "samples"}
        figures = {
            metric: {
                "first_third": self.thirds(metric)[0],
                "last_third": self.thirds(metric)[1],
                "highest": max(getattr(s, metric) for s in self.samples),
                "growth_max": getattr(bounds, metric),
            }
            for metric in METRICS
        }
        return found | {"figures": figures, "broken": self.broken(bounds)}


def containers_of(*roots: object) -> Counter[str]:
    """Count the elements in every container that our objects hold, by class and attribute, without the simulated tenant."""
    counts: Counter[str] = Counter()
    seen: set[int] = set()
    todo = list(roots)
    while todo:
        thing = todo.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, dict):
            todo += thing.values()
        elif isinstance(thing, (list, tuple, set, deque)):
            todo += thing
        elif _is_ours(thing):
            for name, value in _attributes(thing):
                if isinstance(value, (list, dict, set, deque, array)):
                    counts[f"{type(thing).__name__}.{name}"] += len(value)
                if not isinstance(value, (str, bytes, int, float, array)):
                    todo.append(value)
    return counts


def _is_ours(thing: object) -> bool:
    if isinstance(thing, Sampler):
        return False
    module = type(thing).__module__  # this module is "__main__" when it runs as a command
    return module.startswith(("purgeengine.", "tests.", "__main__")) and not module.startswith("purgeengine.sim.")


def _attributes(thing: object) -> Iterator[tuple[str, Any]]:
    names = [name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())]
    for name in (*getattr(thing, "__dict__", ()), *names):
        if not name.startswith("__") and hasattr(thing, name):
            yield name, getattr(thing, name)


def open_descriptors() -> int:
    """Count the open files and sockets of this process. 0 on Windows, whose libraries open and close handles as they please."""
    if sys.platform == "win32":
        return 0
    found: int = psutil.Process().num_fds()
    return found


class Sampler:
    """A watcher of the engine that counts for the tally, and measures at fixed row counts."""

    def __init__(
        self, name: str, tally: Tally, rows: int, samples: int, at_rows: Callable[[int], None] | None = None
    ) -> None:
        self.engine: Engine | None = None
        self.samples: list[Sample] = []
        self.containers: dict[bool, dict[str, int]] = {}
        """The containers as last seen within the first third (False) and after it.

        Keeping all samples would itself be a leak.
        """
        self._name = name
        self._tally = tally
        self._rows = rows
        self._step = max(1, rows // samples)
        self._next = self._step
        self._at_rows = at_rows
        self._process = psutil.Process()
        self._started = time.monotonic()

    def seen(self, entries: Sequence[Entry]) -> str | None:
        """Count, and measure when the next row count is reached."""
        said = self._tally.seen(entries)
        rows = self._tally.settled_now.total()
        if rows >= self._next and rows < self._rows:
            self._next = rows - rows % self._step + self._step
            self._measure(rows)
        return said

    def _measure(self, rows: int) -> None:
        assert self.engine is not None, "measured before it began"
        if self._at_rows is not None:
            self._at_rows(rows)
        gc.collect()
        counts = containers_of(self.engine, self._tally)
        self.containers[rows > self._rows / 3] = counts
        self.samples.append(
            Sample(
                rows=rows,
                memory=self._process.memory_info().rss,
                blocks=sys.getallocatedblocks(),
                objects=len(gc.get_objects()),
                spare_tasks=max(0, len(asyncio.all_tasks()) - 1 - self.engine.scheduler.in_flight),
                descriptors=max(0, open_descriptors() - counts[PART_FILES]),
                threads=threading.active_count(),
                kept=sum(count for name, count in counts.items() if not name.startswith(CACHES)),
            )
        )
        elapsed_s = time.monotonic() - self._started
        text = f"\r{self._name}: {rows:,} of {self._rows:,} rows, {rows / elapsed_s:,.0f}/s, "
        click.echo(f"{text}{self.samples[-1].memory / 2**20:,.0f} MiB ", nl=False, err=True)


# ------------------------------------------------------------------------------------------------------------ the job


class Stream:
    """An input that makes its rows when they are asked for."""

    files = (Path("soak.csv"),)
    extra_columns = ()
    earlier = None

    def __init__(self, rows: int) -> None:
        self._rows = rows

    def digest(self) -> str:
        """Return its identity."""
        return f"soak of {self._rows}"

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield rows sorted by mailbox, with ids of ordinary length."""
        users = _users()
        tail = "T" * 96
        for first in range(0, self._rows, 8_192):
            numbers = range(first, min(first + 8_192, self._rows))
            yield pa.RecordBatch.from_pydict(
                {
                    "row": pa.array(numbers, pa.int64()),
                    "line": pa.array(numbers, pa.int64()),
                    "source": pa.array([0] * len(numbers), pa.int32()),
                    "user": pa.array([next(users) for _ in numbers], pa.string()),
                    "folder": pa.array([""] * len(numbers), pa.string()),
                    "contact": pa.array([f"AAMkAGI2{tail}{number:012d}=" for number in numbers], pa.string()),
                    "reason": pa.array([None] * len(numbers), pa.string()),
                }
            )


def _users() -> Iterator[str]:
    mailbox = 0
    while True:
        for size in MAILBOX_SIZES:
            mailbox += 1
            for _ in range(size):
                yield f"user{mailbox:07d}@contoso.example"


def stage(folder: Path, rows: int) -> None:
    """Make the ledger of a soak."""
    Ledger.open(folder, Stream(rows), tenant_id="contoso").close()


@contextlib.contextmanager
def staged(rows: int) -> Iterator[Path]:
    """Make a ledger with this many rows to purge, inside the context. Yields its folder."""
    with TemporaryDirectory(prefix="soak-") as scratch:
        folder = Path(scratch) / "ledger"
        if rows >= STAGED_APART_ROWS:
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as apart:
                apart.submit(stage, folder, rows).result()
        else:
            stage(folder, rows)
        yield folder


@contextlib.contextmanager
def caches_full_soon() -> Iterator[None]:
    """Make the ledger's caches so small that they are full within the first third: while a cache fills, it looks like a leak."""
    before = {(module, name): getattr(module, name) for module, name in CACHES_FULL_SOON}
    try:
        for (module, name), size in CACHES_FULL_SOON.items():
            setattr(module, name, size)
        yield
    finally:
        for (module, name), size in before.items():
            setattr(module, name, size)


@contextlib.contextmanager
def collector_as_in_a_run() -> Iterator[None]:
    """Set the garbage collector as `purgeengine run` does, and set it back."""
    thresholds = gc.get_threshold()
    spare_the_collector()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)


def _soak(
    name: str,
    rows: int,
    samples: int,
    run: Callable[[Coroutine[Any, Any, None]], None],
    work: Callable[[Ledger, Tally, Sampler], Coroutine[Any, Any, None]],
    at_rows: Callable[[int], None] | None = None,
) -> tuple[Tally, Sampler, float, dict[str, int]]:
    """Stage, run, and count what is left over, for both soaks."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(staged(rows))
        gc.unfreeze()  # a command of an earlier test may have kept its garbage from the collector
        gc.collect()  # descriptors that earlier work left behind are not this run's
        threads, descriptors = threading.active_count(), open_descriptors()
        ledger = stack.enter_context(Ledger.open(folder, None))
        tally = Tally(rows, {})
        sampler = Sampler(name, tally, rows, samples, at_rows)
        started = time.monotonic()
        tasks_left: list[int] = []

        async def main() -> None:
            await work(ledger, tally, sampler)
            await asyncio.sleep(0)  # what was just closed reports it in the loop's next turn
            tasks_left.append(len(asyncio.all_tasks()) - 1)

        with collector_as_in_a_run():
            run(main())
        duration_s = time.monotonic() - started
        counts = ledger.counts()
        assert counts.waiting + counts.in_doubt == 0, f"{name}: {counts.waiting + counts.in_doubt} rows are unfinished"
        assert sum(counts.outcomes.values()) == rows, f"{name}: {counts.outcomes} are not {rows} rows"
    sampler.engine = None
    click.echo(err=True)
    gc.collect()
    left = {
        "tasks": tasks_left[0],
        "descriptors": open_descriptors() - descriptors,
        "threads": threading.active_count() - threads,
    }
    return tally, sampler, duration_s, left


def _report(
    name: str, tally: Tally, sampler: Sampler, duration_s: float, left: dict[str, int], faults: dict[str, int]
) -> Report:
    return Report(
        name=name,
        rows=tally.rows,
        duration_s=round(duration_s, 1),
        outcomes={outcome.value: count for outcome, count in tally.outcomes.items()},
        faults=faults,
        calls=tally.calls,
        lost_calls=tally.lost_calls,
        samples=sampler.samples,
        left=left,
        containers={
            name: (sampler.containers[False].get(name, 0), count)
            for name, count in sorted(sampler.containers[True].items())
            if count
        },
    )


# ------------------------------------------------------------------------------------------------------------ simulated


class _Direct(Recorder):
    """The ledger without a thread. In virtual time, a commit takes two milliseconds."""

    async def write(self, entries: Sequence[Entry], at_utc_ms: int) -> None:
        await asyncio.sleep(0.002)
        self._ledger.write(entries, at_utc_ms)


class _Tokens:
    """Gives a new token whenever one is refused."""

    def __init__(self) -> None:
        self._number = 1

    async def token(self) -> str:
        return f"token-{self._number}"

    async def renew(self, stale: str, claims: str = "") -> str:
        self._number += 1
        return f"token-{self._number}"


def simulated(
    rows: int, *, faults: Faults | None = None, connections: int = 16, samples: int = SAMPLES, seed: int = 1
) -> Report:
    """Run this many rows in virtual time, by default with every fault at a probability of one in two thousand."""
    tenant = Tenant(
        # Contacts exist for ever and nothing is remembered, so that the tenant grows with its mailboxes only.
        TenantSettings(anything_exists=True, track=False, log=False, mailbox_requests=None),
        faults=Faults.everything(0.0005) if faults is None else faults,
        seed=seed,
    )

    async def work(ledger: Ledger, tally: Tally, sampler: Sampler) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        clock = VirtualClock(loop)
        scheduler, mailboxes = take_up(ledger, Limits(connections=connections, attempts_max=ENOUGH), clock, seed)
        sampler.engine = Engine(
            scheduler,
            mailboxes,
            ledger=_Direct(ledger),
            transport=SimulatedTransport(tenant),
            tokens=_Tokens(),
            clock=clock,
            watcher=sampler,
        )
        await sampler.engine.run()
        _check_ended(sampler.engine)

    name, run = "simulated", partial(run_virtually, jumps_max=TIMERS_OF_A_ROW_MAX * rows)
    tally, sampler, duration_s, left = _soak(name, rows, samples, run, work, lambda _: forget_idle(tenant))
    return _report(name, tally, sampler, duration_s, left, tenant.faults_drawn)


def forget_idle(tenant: Tenant) -> None:
    """Let the tenant forget mailboxes at rest. What it remembers of them would be its own growth, not ours."""
    boxes = tenant.truth._mailboxes
    for box in [box for box in boxes.values() if not box.running and box.waits.over_at <= tenant.now]:
        del boxes[box.key]


def _check_ended(engine: Engine) -> None:
    assert engine.scheduler.finished, "the run ended before its rows did"
    assert engine.halted is None, f"the run was halted: {engine.halted}"
    assert engine.stop_reason is None, f"the run was stopped: {engine.stop_reason}"


# ------------------------------------------------------------------------------------------------------------ over sockets


def serve(pipe: Connection, ca_file: Path, faults: Faults, seed: int) -> None:
    """Run a simulated tenant in this process.

    It takes other faults from the pipe until the pipe ends, or None and sends its counts.
    """
    settings = TenantSettings(
        anything_exists=True, track=False, log=False, latency_median_s=0.002, overhead_s=0.0, mailbox_requests=None
    )
    tenant = Tenant(settings, faults=faults, seed=seed)

    async def until_told() -> None:
        async with SimulatedTenant(tenant, ca_file=ca_file) as server:
            app = asdict(server.login.app)
            endpoint = {"graph_url": server.graph_url, "authority_url": server.authority_url, "ca_file": str(ca_file)}
            pipe.send(
                endpoint | {f"AZURE_{name.upper()}": app[name] for name in ("tenant_id", "client_id", "client_secret")}
            )
            loop = asyncio.get_running_loop()
            with contextlib.suppress(EOFError):
                while (others := await loop.run_in_executor(None, pipe.recv)) is not None:
                    tenant.set_faults(others)

    asyncio.run(until_told())
    with contextlib.suppress(OSError):
        pipe.send(tenant.faults_drawn)


@contextlib.contextmanager
def simulator(faults: Faults, seed: int) -> Iterator[tuple[dict[str, str], Connection, dict[str, int]]]:
    """Run a simulated tenant over TLS in a process of its own.

    Yields its addresses and credentials, a pipe to change its faults, and a dict that has its counts at the end.
    """
    spawning = multiprocessing.get_context("spawn")
    with TemporaryDirectory(prefix="soak-") as scratch:
        ours, theirs = spawning.Pipe()
        process = spawning.Process(target=serve, args=(theirs, Path(scratch) / "ca.pem", faults, seed), daemon=True)
        process.start()
        theirs.close()
        counted: dict[str, int] = {}
        try:
            yield ours.recv(), ours, counted
            ours.send(None)
            counted |= ours.recv()
        finally:
            ours.close()
            process.join(30)


def over_sockets(
    rows: int,
    *,
    faults: Faults | None = None,
    connections: int = 16,
    limits: Limits | None = None,
    timeouts: Timeouts | None = None,
    calm_from: int | None = None,
    samples: int = SAMPLES,
    seed: int = 1,
) -> Report:
    """Run this many rows over real connections, by default with every fault at a probability of one in a thousand.

    When ``calm_from`` rows are done, the faults stop, so that a small soak does not wait long for its last rows.
    """
    limits = replace(limits or Limits(), connections=connections, attempts_max=ENOUGH)

    def a_run(name: str, count: int, endpoint: dict[str, str]) -> tuple[Tally, Sampler, float, dict[str, int]]:
        ca_file = Path(endpoint["ca_file"])

        async def work(ledger: Ledger, tally: Tally, sampler: Sampler) -> None:
            tokens = tokens_from_environment(
                endpoint, authority_url=endpoint["authority_url"], graph_url=endpoint["graph_url"], ca_file=ca_file
            )
            clock = SystemClock()
            scheduler, mailboxes = take_up(ledger, limits, clock, seed)
            recorder = Recorder(ledger)
            try:
                async with HttpTransport.open(
                    graph_url=endpoint["graph_url"],
                    connections=connections,
                    ca_file=ca_file,
                    timeouts=timeouts or Timeouts(call_s=5.0),
                ) as transport:
                    sampler.engine = Engine(
                        scheduler,
                        mailboxes,
                        ledger=recorder,
                        transport=transport,
                        tokens=tokens,
                        clock=clock,
                        watcher=sampler,
                    )
                    await sampler.engine.run()
                    _check_ended(sampler.engine)
            finally:
                recorder.close()
            loop = asyncio.get_running_loop()
            await loop.shutdown_default_executor()  # the login ran there
            for _ in range(100):  # connections close in the next turns of the loop, TLS ones in several
                await asyncio.sleep(0)

        def at_rows(done: int) -> None:
            if calm_from is not None and done >= calm_from:
                pipe.send(Faults())

        return _soak(name, count, samples, run_loop, work, at_rows)

    with simulator(faults or Faults.everything(0.001), seed) as (endpoint, pipe, counted):
        a_run("over sockets, warming up", WARM_UP_ROWS, endpoint)  # what is opened once and kept is open after this
        tally, sampler, duration_s, left = a_run("over sockets", rows, endpoint)
    return _report("over sockets", tally, sampler, duration_s, left, counted)


# ------------------------------------------------------------------------------------------------------------ the command


def show(report: Report, bounds: Bounds) -> None:
    """Print a table."""
    click.echo(f"{report.name}: {report.rows:,} rows in {report.duration_s:,.0f} s, {report.calls:,} calls")
    click.echo(f"  outcomes: {', '.join(f'{name} {count:,}' for name, count in report.outcomes.items())}")
    click.echo(f"  the tenant counted: {', '.join(f'{name} {count:,}' for name, count in report.faults.items())}")
    click.echo(f"  {'':<12} {'first third':>14} {'last third':>14} {'highest':>14} {'growth':>12} {'at most':>12}")
    for metric in METRICS:
        first, last = report.thirds(metric)
        values = (first, last, max(getattr(s, metric) for s in report.samples), last - first, getattr(bounds, metric))
        unit = 2**20 if metric == "memory" else 1
        cells = [f"{value / unit:,.1f}" if unit > 1 else f"{value:,.0f}" for value in values]
        label = "memory, MiB" if unit > 1 else metric.replace("_", " ")
        click.echo(f"  {label:<12} {cells[0]:>14} {cells[1]:>14} {cells[2]:>14} {cells[3]:>12} {cells[4]:>12}")
    kept = ", ".join(f"{name} {first:,}/{last:,}" for name, (first, last) in report.containers.items())
    click.echo(f"  containers at the end of the first and of the last third: {kept}")
    click.echo(f"  left after the run: {', '.join(f'{name} {count}' for name, count in report.left.items())}")
    for said in report.broken(bounds) or ["nothing grew"]:
        click.echo(f"  {said}")


@click.command()
@click.option("--rows", default=ROWS, show_default=True, help="Rows in virtual time; 0 for none.")
@click.option("--socket-rows", default=SOCKET_ROWS, show_default=True, help="Rows over real connections; 0 for none.")
@click.option("--seed", default=1, show_default=True, help="Repeat the same misfortunes.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout instead of tables.")
def main(rows: int, socket_rows: int, seed: int, as_json: bool) -> None:
    """Run both soaks and report what grew. Exit code 1 if anything did."""
    logs.configure_logs("console", quiet=True, stream=io.StringIO())
    bounds = Bounds()
    reports = []
    for count, soak in ((rows, simulated), (socket_rows, over_sockets)):
        if count:
            with caches_full_soon():
                reports.append(soak(count, seed=seed))
            if not as_json:
                show(reports[-1], bounds)
    if as_json:
        click.echo(json.dumps([report.as_json(bounds) for report in reports], indent=2))
    sys.exit(any(report.broken(bounds) for report in reports))


if __name__ == "__main__":
    main()
