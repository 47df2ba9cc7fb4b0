"""Real schedulers, workers and coordinators, disturbed at random moments, and given the same command again until done."""

from __future__ import annotations

import random
import re
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from purgeengine.sim.graph.faults import Faults
from purgeengine.sim.graph.tenant import Tenant
from purgeengine.sim.tenant_settings import TenantSettings
from tests.support.cli_fixtures import Bench, a_bench, rows_of
from tests.support.clock_shim import FILE
from tests.support.cluster_judge import arrivals, calls_in, judge_limits, judge_rows
from tests.support.dask_cluster import DaskCluster, a_cluster
from tests.support.dropping_proxy import DroppingProxy

SUMMARY = "A Dask cluster of real processes, disturbed at random, and judged by the tenant's own record. Needs the extra dask."
JOBS_PER_CORE = 1
SEEDS_PER_CHUNK = 1
LEASES = "3 1 1"
"""Lease, margin and time to the next copy, in seconds."""
LEASE_S, MARGIN_S = 3.0, 1.0
WINDOW_S, REQUESTS = 3.0, 60
RUN_S_MAX = 240.0
"""Seconds after which a command over these few rows must be hanging, even on a busy machine."""
DISTURBANCES = (
    "worker killed",
    "disk deleted",
    "worker stopped",
    "coordinator killed",
    "coordinator stopped",
    "scheduler killed",
    "network cut",
    "clock set",
    "second coordinator",
)


def case(seed: int) -> Counter[str]:
    """Play one purge of a few hundred rows. Raises AssertionError on a broken promise."""
    drill = Drill(random.Random(f"cluster {seed}"), seed)
    with tempfile.TemporaryDirectory(prefix="purgeengine-") as folder, drill.set_up(Path(folder)):
        return drill.play()


@dataclass
class Drill:
    """What a seed has drawn, and the processes."""

    rng: random.Random
    seed: int
    counts: Counter[str] = field(default_factory=Counter)
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        rng = self.rng
        self.workers = rng.randint(2, 3)
        self.rows = rows_of([rng.randint(20, 90) for _ in range(rng.randint(6, 9))])
        self.never_there = set(rng.sample(self.rows, 5))
        self.faults = rng.choice(
            [Faults(), Faults(item_throttled_before=0.01, call_error_before=0.01), Faults(reset_after=0.02)]
        )
        settings = TenantSettings(
            mailbox_requests=REQUESTS,
            mailbox_window_s=WINDOW_S,
            latency_median_s=0.02,
            latency_s_max=0.3,
            overhead_s=0.02,
        )
        self.tenant = Tenant(
            settings,
            contacts=[row for row in self.rows if row not in self.never_there],
            faults=self.faults,
            seed=self.seed,
        )
        for user, _, _ in self.rows:
            self.tenant.truth.add_mailbox(user)
        self.options = [
            *("--mailbox-window-s", f"{WINDOW_S:g}", "--mailbox-requests", str(REQUESTS), "--connections", "12"),
            *("--rate", str(rng.choice([50, 90])), "--workers", str(self.workers + rng.choice([0, 0, 1]))),
            *("--lost-after", rng.choice(["0.05", "0.1"]), "--no-auto-stop"),
        ]
        self.planned = [rng.choice(DISTURBANCES) for _ in range(rng.randint(1, 4))]

    def __str__(self) -> str:
        return f"seed {self.seed}: {len(self.rows)} rows, {self.options}, {self.faults}, {self.planned}: {self.told}"

    @contextmanager
    def set_up(self, folder: Path) -> Iterator[None]:
        """Start everything, and end it at the end."""
        with ExitStack() as stack:
            self.bench: Bench = stack.enter_context(a_bench(folder, self.tenant, self.rows))
            self.cluster: DaskCluster = stack.enter_context(a_cluster(self.bench, 0))
            self.proxies = [stack.enter_context(DroppingProxy.running(self.cluster.port)) for _ in range(self.workers)]
            for number in range(self.workers):
                self.start_worker(number)
            self.started: list[subprocess.Popen[str]] = []
            stack.callback(self.end_all)
            yield

    def end_all(self) -> None:
        """Leave no command behind."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.communicate()

    def start_worker(self, number: int) -> None:
        """Start a worker behind its proxy, with a clock that is right at first."""
        place = self.cluster.folder / f"worker-{number}"
        place.mkdir(exist_ok=True)
        (place / FILE).write_text("0", encoding="ascii")
        self.proxies[number].heal()
        self.cluster.start_worker(
            number, to=f"tls://127.0.0.1:{self.proxies[number].port}", more=("--preload", "tests.support.clock_shim")
        )

    def revive(self) -> None:
        """Start again what has ended: a service manager would."""
        if self.cluster.processes["scheduler"].poll() is not None:
            self.cluster.start_scheduler()
        for number in range(self.workers):
            if self.cluster.processes[f"worker-{number}"].poll() is not None:
                self.start_worker(number)

    def command(self) -> subprocess.Popen[str]:
        """Start the command."""
        process = self.cluster.coordinator(*self.options, QUICK_LEASES=LEASES)
        self.started.append(process)
        return process

    # --------------------------------------------------------------------------------------------------------- playing

    def play(self) -> Counter[str]:
        """Disturb, compare, and let it end."""
        process = self.command()
        planned = [*self.planned]
        at = time.monotonic() + self.rng.uniform(2.0, 6.0)
        end = time.monotonic() + RUN_S_MAX
        while True:
            assert time.monotonic() < end, f"{self}: it hangs. {self.last_words(process)}"
            if process.poll() is not None:
                out, err = process.communicate()
                if process.returncode == 0 and not planned:
                    break
                if process.returncode == 0:
                    self.counts["done before the last disturbance"] += 1
                    break
                if (
                    process.returncode == 2 and "The clock of worker" in err
                ):  # somebody sets it right, and gives the command again
                    self.counts["refused for the clock"] += 1
                    for number in range(self.workers):
                        (self.cluster.folder / f"worker-{number}" / FILE).write_text("0", encoding="ascii")
                else:
                    assert process.returncode in (4, -signal.SIGKILL), f"{self}: {process.returncode} {out} {err}"
                self.revive()
                process = self.command()
            if planned and time.monotonic() >= at and self.tenant.counters.purged:
                what = planned.pop(0)
                self.disturb(what, process)
                at = time.monotonic() + self.rng.uniform(0.5, 4.0)
            self.revive()
            time.sleep(0.1)
        self.judge()
        self.counts["seeds with a lost disk"] += self.lost() > 0
        return self.counts

    def last_words(self, process: subprocess.Popen[str]) -> str:
        """Return what the command has said, for a report."""
        process.kill()
        return process.communicate()[1][-2_000:]

    def disturb(self, what: str, process: subprocess.Popen[str]) -> None:
        """Do what the seed has drawn."""
        number, rng, cluster = self.rng.randrange(self.workers), self.rng, self.cluster
        name = f"worker-{number}"
        self.counts[what] += 1
        self.told.append(f"{what} ({number}, {self.tenant.counters.purged} purged)")
        if what in ("worker killed", "disk deleted"):
            cluster.kill(name)
            if what == "disk deleted":
                shutil.rmtree(cluster.disk(number), ignore_errors=True)
        elif what in ("worker stopped", "coordinator stopped"):
            for_s = rng.uniform(1.0, 3.0 * (LEASE_S + MARGIN_S))
            stopped = cluster.processes[name] if what == "worker stopped" else process
            stopped.send_signal(signal.SIGSTOP)
            time.sleep(for_s)
            stopped.send_signal(signal.SIGCONT)
        elif what == "coordinator killed":
            process.kill()
            time.sleep(rng.choice([0.0, LEASE_S + 0.5]))
        elif what == "scheduler killed":
            cluster.kill("scheduler")
            time.sleep(rng.uniform(0.0, 4.0))
        elif what == "network cut":
            self.proxies[number].cut()
            time.sleep(rng.uniform(1.0, 3.0 * (LEASE_S + MARGIN_S)))
            if rng.random() < 0.5:
                self.proxies[number].break_off()
            self.proxies[number].heal()
        elif what == "clock set":
            (cluster.folder / name / FILE).write_text(rng.choice(["2", "3600"]), encoding="ascii")
        elif what == "second coordinator":
            second = self.command()
            out, err = second.communicate(timeout=RUN_S_MAX)
            if process.poll() is None:
                assert second.returncode == 5, (
                    f"{self}: a second coordinator ended with {second.returncode} {out} {err}"
                )

    # --------------------------------------------------------------------------------------------------------- judging

    def judge(self) -> None:
        """Judge the end by the tenant's record."""
        try:
            there = {*self.rows} - self.never_there
            self.counts += judge_rows(self.bench, self.rows, there, blurred=self.lost() > 0)
            judge_limits(self.tenant, REQUESTS, WINDOW_S)
            for ledger, fenced_utc in self.replaced():
                late = [at for at in arrivals(self.tenant, calls_in([ledger])) if at > fenced_utc]
                assert not late, f"{len(late)} requests of {ledger.name} after it was replaced"
        except AssertionError as error:
            raise AssertionError(f"{self}: {error}") from None
        self.counts["calls"] += self.tenant.counters.calls

    def losses(self) -> list[tuple[int, int, float]]:
        """Return the losses that the head knows: shard, generation that came after, and when, in seconds since 1970."""
        query = "SELECT at_ms, options ->> 'number', options ->> 'generation' FROM start WHERE options ->> 'shard_event' = 'lost'"
        with closing(sqlite3.connect(self.bench.ledger / "ledger.sqlite")) as head:
            return [(shard, generation, at_ms / 1000.0) for at_ms, shard, generation in head.execute(query)]

    def lost(self) -> int:
        """Return how many disks were taken for lost."""
        return len(self.losses())

    def replaced(self) -> Iterator[tuple[Path, float]]:
        """Yield the ledgers of lost generations that are still on some disk, each with the time at which it was replaced."""
        for shard, generation, at in self.losses():
            for number in range(self.workers):
                for place in self.cluster.disk(number).glob(f"*-g{generation - 1}"):
                    if re.search(rf"shard-0{shard}-g", place.name) and (place / "ledger.sqlite").exists():
                        self.counts["replaced ledgers looked at"] += 1
                        yield place, at
