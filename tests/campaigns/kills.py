"""Real processes over real HTTP and TLS, killed with SIGKILL at random moments, and given the same command again until done."""

from __future__ import annotations

import csv
import random
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from purgeengine.edges.ledger import LedgerReader, export
from purgeengine.edges.ledger.staging.folder import FolderState, state_of
from purgeengine.sim.graph.faults import Faults
from purgeengine.sim.graph.tenant import Tenant
from purgeengine.sim.tenant_settings import TenantSettings
from tests.simulation.scenario import LATER
from tests.support.cli_fixtures import Bench, a_bench, rows_of

SUMMARY = "Real runs killed at random moments, compared with the tenant's truth."
JOBS_PER_CORE = 3
"""Jobs for each core. A killed run mostly waits: for answers, and for cooldowns after each death."""
SEEDS_PER_CHUNK = 1
KILLS_MAX = 5
COOLDOWN_S = 2.0
"""Seconds of the cooldown. The tenant below runs a batch for one second at most: five times four requests of 200 ms."""
LOOK_EVERY_S = 0.004
RUN_S_MAX = 600.0
"""Seconds after which a run of these small jobs must be hanging, even on a busy machine."""


def case(seed: int) -> Counter[str]:
    """Play one job of a few hundred rows, killed up to five times. Raises AssertionError on a broken promise."""
    job = Job(random.Random(f"kills {seed}"), seed)
    with (
        tempfile.TemporaryDirectory(prefix="purgeengine-") as folder,
        a_bench(Path(folder), job.tenant, job.rows) as bench,
    ):
        return job.play(bench)


@dataclass
class Job:
    """A list, a tenant, and what is known of both between two runs."""

    rng: random.Random
    seed: int
    counts: Counter[str] = field(default_factory=Counter)
    settled: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Contacts with an outcome: which outcome, and how often the tenant had been asked for them by then."""
    batches: int = 0

    def __post_init__(self) -> None:
        rng = self.rng
        self.rows = rows_of([rng.randint(1, 30) for _ in range(rng.randint(3, 14))])
        self.gone = rng.choice([0, 0, 5])
        names = [
            name
            for name in Faults.probabilities()
            if not name.startswith("hang") and name != "item_throttled_after" and name not in LATER
        ]
        self.faults = Faults(**rng.choice([{}, {name: 0.03 for name in names if rng.random() < 0.3}]))
        self.settings = TenantSettings(latency_median_s=rng.choice([0.01, 0.05]), overhead_s=0.02, latency_s_max=0.2)
        there = self.rows[: len(self.rows) - self.gone]
        self.tenant = Tenant(self.settings, contacts=there, faults=self.faults, seed=self.seed)
        for user, _, _ in self.rows:
            self.tenant.truth.add_mailbox(user)
        self.options = ["--connections", str(rng.choice([1, 2, 8])), "--quarantine-s", f"{COOLDOWN_S:g}"]

    def __str__(self) -> str:
        rows = f"{len(self.rows)} rows, {self.gone} gone"
        return f"seed {self.seed}: {rows}, {self.options}, {self.settings}, {self.faults}, {dict(self.counts)}"

    def play(self, bench: Bench) -> Counter[str]:
        """Kill, compare, and repeat; then let the job end."""
        for _ in range(KILLS_MAX):
            phase = self._killed(bench, self.rng.choice(list(MOMENTS)))
            if phase is None:
                break
            self.counts["kills"] += 1
            self.counts[f"killed {phase}"] += 1
            self._compare(bench)
        ended = bench.run(*self.options, timeout_s=RUN_S_MAX)
        assert ended.code in (0, 1), f"{self}: exit {ended.code}: {ended.err}"
        self._compare(bench)
        self._judge(bench)
        assert ended.json["outcomes"]["purged"] == self.counts["outcome purged"], self
        return self.counts + Counter(rows=len(self.rows))

    def _killed(self, bench: Bench, moment: str) -> str | None:
        """Start a run and kill it at such a moment. Return what it was doing, or None if it had ended before."""
        with bench.start(*bench.run_arguments(*self.options), how={"start_new_session": True}) as process:
            try:
                MOMENTS[moment](self, bench, process)
                ended = process.poll() is not None
            finally:
                process.kill()
                _, err = process.communicate()
        assert "Traceback" not in err, f"{self}: {err}"
        if ended:
            assert process.returncode in (0, 1, 4), f"{self}: exit {process.returncode}: {err}"
            return None
        return self._phase(bench, err)

    def _phase(self, bench: Bench, err: str) -> str:
        """Return what a run was doing when it died, as its ledger and its last output tell."""
        state = state_of(bench.ledger)
        if state is not FolderState.STAGED:
            return "at start-up" if state is FolderState.EMPTY else "while staging"
        with LedgerReader.open(bench.ledger) as reader:
            batches, complete = reader.batches().calls, reader.complete
        before, self.batches = self.batches, batches
        if complete:
            return "while closing"
        if "Stopping" in err:
            return "while draining"
        return "while taking up" if batches == before else "while running"

    # ------------------------------------------------------------------------------------------------------- moments

    def _after_a_while(self, bench: Bench, process: subprocess.Popen[str]) -> None:
        """Wait a random time: from the first import to the middle of the run."""
        time.sleep(self.rng.uniform(0.02, 2.0))

    def _while_staging(self, bench: Bench, process: subprocess.Popen[str]) -> None:
        """Wait until shortly after the folder exists or, in a later run, shortly after its lock was taken."""
        self._look(process, bench.ledger.exists)
        time.sleep(self.rng.uniform(0.0, 0.1))

    def _while_running(self, bench: Bench, process: subprocess.Popen[str]) -> None:
        """Wait for some more requests than there have been."""
        enough = self.tenant.counters.requests + self.rng.randint(1, max(2, len(self.rows) // 2))
        self._look(process, lambda: self.tenant.counters.requests >= enough)
        time.sleep(self.rng.uniform(0.0, 0.05))

    def _while_draining(self, bench: Bench, process: subprocess.Popen[str]) -> None:
        """Wait until shortly after the run was asked to stop."""
        self._while_running(bench, process)
        process.send_signal(signal.SIGTERM)
        time.sleep(self.rng.uniform(0.0, 0.3))

    def _while_closing(self, bench: Bench, process: subprocess.Popen[str]) -> None:
        """Wait until shortly after the last contact was purged."""
        self._look(process, lambda: self.tenant.truth.remaining() == 0)
        time.sleep(self.rng.uniform(0.0, 0.15))

    def _look(self, process: subprocess.Popen[str], seen: Callable[[], bool]) -> None:
        """Wait until ``seen`` is true, or the process has ended."""
        deadline = time.monotonic() + RUN_S_MAX
        while not seen() and process.poll() is None:
            assert time.monotonic() < deadline, f"{self}: a run goes on and on"
            time.sleep(LOOK_EVERY_S)

    # ------------------------------------------------------------------------------------------------------- judging

    def _compare(self, bench: Bench) -> None:
        """Check that no recorded outcome is lost or changed, and that the tenant sees no settled row again."""
        rows = {row["contact"]: row["outcome"] for row in exported(bench)}
        if not rows:
            return
        asked = Counter(seen.contact for seen in self.tenant.log)
        for contact, (outcome, times) in self.settled.items():
            assert rows[contact] == outcome, f"{self}: {contact} was {outcome} and is {rows[contact]}"
            assert asked[contact] == times, f"{self}: {contact} had its outcome and was sent again"
        self.settled.update({contact: (outcome, asked[contact]) for contact, outcome in rows.items() if outcome})

    def _judge(self, bench: Bench) -> None:
        """Check that every row has a true outcome, and that the service's limits were kept."""
        rows = exported(bench)
        assert [(row["user"], row["folder"], row["contact"]) for row in rows] == self.rows, self
        for row, was_there in zip(rows, self._were_there(), strict=True):
            outcome = row["outcome"]
            assert outcome in ("purged", "absent", "exhausted", "refused"), f"{self}: {row}"
            if outcome in ("purged", "absent"):
                assert not self.tenant.truth.exists(row["user"], row["contact"]), f"{self}: {row} still exists"
            if outcome == "absent":
                assert not was_there, f"{self}: {row} was there before"
            self.counts[f"outcome {outcome}"] += 1
        counters = self.tenant.counters
        # The test of the fanout may cost four refusals, and each process tests anew.
        assert counters.refused_concurrency <= 4 * (1 + self.counts["kills"]), f"{self}: {counters}"
        assert counters.refused_rate == counters.violations == 0, f"{self}: {counters}"
        if not self.counts["kills"]:  # a process that died with the answer in hand cannot know the wait in it
            assert counters.early_retries == 0, f"{self}: {counters}"

    def _were_there(self) -> list[bool]:
        return [number < len(self.rows) - self.gone for number in range(len(self.rows))]


MOMENTS: dict[str, Callable[[Job, Bench, subprocess.Popen[str]], None]] = {
    "after a while": Job._after_a_while,
    "while staging": Job._while_staging,
    "while running": Job._while_running,
    "while draining": Job._while_draining,
    "while closing": Job._while_closing,
}
"""Ways to choose the moment of a death. What a process was really doing is read from what it left."""


def exported(bench: Bench) -> list[dict[str, str]]:
    """Export the ledger and read the file back. No rows if the process died before there was a ledger."""
    if state_of(bench.ledger) is not FolderState.STAGED:
        return []
    out = bench.folder / "export.csv"
    with LedgerReader.open(bench.ledger) as reader:
        export(reader, out)
    with out.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))
