"""Real processes over real HTTP and TLS, killed with SIGKILL at random moments, and given the same command again until done."""

from __future__ import annotations

import csv
import random
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

from purgeengine.edges.ledger import LedgerReader, export
from purgeengine.edges.ledger.folder import FolderState, state_of
from purgeengine.sim.faults import Faults
from purgeengine.sim.graph import Tenant
from purgeengine.sim.settings import TenantSettings
from tests.cli_fixtures import Bench, a_bench, rows_of

SUMMARY = "Real runs killed at random moments, compared with the tenant's truth."
KILLS_MAX = 5
LIFE_S_MIN, LIFE_S_MAX = 0.2, 2.5
"""From the first imports to the middle of a run."""


def case(seed: int) -> Counter[str]:
    """One job of some hundred rows, killed up to five times. Raises AssertionError on a broken promise."""
    rng = random.Random(f"kills {seed}")
    rows = rows_of([rng.randint(1, 60) for _ in range(rng.randint(3, 25))])
    gone = rng.choice([0, 0, 5])
    chances = {
        name: 0.03
        for name in Faults.probabilities()
        if rng.random() < 0.3 and not name.startswith("hang") and name != "item_throttled_after"
    }
    faults = Faults(**rng.choice([{}, chances]))
    settings = TenantSettings(latency_median_s=rng.choice([0.02, 0.1]), overhead_s=0.02, latency_s_max=0.5)
    tenant = Tenant(settings, contacts=rows[: len(rows) - gone], faults=faults, seed=seed)
    for user, _, _ in rows:
        tenant.truth.add_mailbox(user)
    connections = str(rng.choice([1, 2, 8]))
    drawn = f"seed {seed}: {len(rows)} rows, {gone} gone, {connections} connections, {settings}, {faults}"
    counts: Counter[str] = Counter(rows=len(rows))
    with tempfile.TemporaryDirectory(prefix="purgeengine-") as folder, a_bench(Path(folder), tenant, rows) as bench:
        settled: dict[str, tuple[str, int]] = {}
        for _ in range(KILLS_MAX):
            if not _killed(bench, connections, rng.uniform(LIFE_S_MIN, LIFE_S_MAX)):
                break
            counts["kills"] += 1
            _compare(bench, tenant, settled, drawn)
        ended = bench.run("--connections", connections)
        assert ended.code in (0, 1), f"{drawn}: {ended.err}"
        _compare(bench, tenant, settled, drawn)
        exported = _exported(bench)
    assert [(row["user"], row["folder"], row["contact"]) for row in exported] == rows, drawn
    for number, row in enumerate(exported):
        outcome, user, contact = row["outcome"], row["user"], row["contact"]
        assert outcome in ("purged", "absent", "exhausted", "refused"), f"{drawn}: {row}"
        if outcome in ("purged", "absent"):
            assert not tenant.truth.exists(user, contact), f"{drawn}: {row} still exists"
        if outcome == "absent":
            assert number >= len(rows) - gone, f"{drawn}: {row} was there before"
        counts[f"outcome {outcome}"] += 1
    assert ended.json["outcomes"].get("purged", 0) == counts["outcome purged"], drawn
    counters = tenant.counters
    # The probe of the fanout may cost four refusals, and each process probes anew.
    assert counters.refused_concurrency <= 4 * (1 + counts["kills"]), f"{drawn}: {counters}"
    assert counters.refused_rate == counters.violations == 0, f"{drawn}: {counters}"
    if not counts["kills"]:
        assert counters.early_retries == counters.early_calls == 0, f"{drawn}: {counters}"
    return counts


def _exported(bench: Bench) -> list[dict[str, str]]:
    """The ledger as a file, read back; no rows when the process died before there was one."""
    if state_of(bench.ledger) is not FolderState.STAGED:
        return []
    out = bench.folder / "export.csv"
    with LedgerReader.open(bench.ledger) as reader:
        export(reader, out)
    with out.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def _killed(bench: Bench, connections: str, life_s: float) -> bool:
    """Start a run and kill it after so long; answers False when it had ended before."""
    with bench.start(*bench.run_arguments("--connections", connections)) as process:
        try:
            process.communicate(timeout=life_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return True
    return False


def _compare(bench: Bench, tenant: Tenant, settled: dict[str, tuple[str, int]], drawn: str) -> None:
    """No outcome that was recorded is lost or changed, and no row that had one is seen by the tenant again."""
    rows = {row["contact"]: row["outcome"] for row in _exported(bench)}
    if not rows:
        return
    asked = Counter(seen.contact for seen in tenant.log)
    for contact, (outcome, times) in settled.items():
        assert rows[contact] == outcome, f"{drawn}: {contact} was {outcome} and is {rows[contact]}"
        assert asked[contact] == times, f"{drawn}: {contact} had its outcome and was sent again"
    settled.update({contact: (outcome, asked[contact]) for contact, outcome in rows.items() if outcome})
