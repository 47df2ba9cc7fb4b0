"""A run, in every second job with deaths, that gives up rows early; then a retry of its failed rows, as soon as it ends.

The two ledgers together are compared with the tenant's own record:

1. Whatever the first run left behind, both ledgers together have every row once. 2. Purged and absent are true. An
absent row was never purged by us, in either of the two runs. 3. A row that was purged and is not called purged is in
doubt. 4. The service's limits and waits hold over both runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from purgeengine.core.model import Outcome
from purgeengine.edges.ledger import Chain, LedgerReader, LedgerRows, Selection
from tests.simulation.judge import Judge
from tests.simulation.scenario import chaos, crashing
from tests.simulation.world import RUNS_MAX, World

SUMMARY = "A run and a retry of its failed rows in simulated time; both ledgers together must equal the truth."
FAILED = Selection(frozenset([Outcome.REFUSED, Outcome.EXHAUSTED, Outcome.SKIPPED]))
GONE = (Outcome.PURGED, Outcome.ABSENT)


def case(seed: int) -> Counter[str]:
    """Play one job and its retry, in a tenant whose mailboxes were repaired in between.

    Raises AssertionError on a broken promise.
    """
    scenario = chaos(seed) if seed % 2 else crashing(seed)
    limits = replace(scenario.limits, attempts_max=2, unclear_attempts_max=2)
    world = World(replace(scenario, limits=limits))
    world.run()
    first = world.folder
    for box in world.tenant.truth:
        box.trouble = None
    with LedgerReader.open(first) as reader:
        failed = reader.selected(FAILED)
        if failed.total():
            _retry(world, LedgerRows(reader, FAILED, limits, lambda: _utc(world)))
        in_doubt = sum(sum(batch.column("in_doubt").to_pylist()) for batch in reader.rows(FAILED.outcomes))
        counts = _judge(world, [first] if world.folder == first else [first, world.folder])
    return counts + Counter(rows=len(world.rows), retried=failed.total(), in_doubt=in_doubt, deaths=world.deaths)


def _utc(world: World) -> float:
    """Return the world's wall clock as a process sees it that starts now."""
    return world.tenant.utc_at_zero_s + world.tenant.now + world.utc_offset_s


def _retry(world: World, rows: LedgerRows) -> None:
    world.folder = world.folder.with_name("retry")
    world.source = rows  # type: ignore[assignment]
    world.acknowledged.clear()
    world.judge_of_runs = Judge(world)
    for _ in range(RUNS_MAX):
        world.run_once()
        if world.judge_of_runs.looks_between_runs():
            return
    raise AssertionError(f"{world}: the retry is not done after {RUNS_MAX} runs; the last ended with {world.error}")


def _judge(world: World, folders: Sequence[Path]) -> Counter[str]:
    with Chain.open(folders) as chain:
        final = chain.final()
    truth, counts = world.tenant.truth, final.counts()
    deceived = world.scenario.faults.item_throttled_after  # a 429 for a request that was carried out: nobody can know
    assert sum(counts.outcomes.values()) == counts.rows == len(world.rows), f"{world}: {counts}"
    assert counts.outcomes == {o: Counter(final.of(n).outcome for n in range(counts.rows))[o] for o in Outcome}
    for number, (user, _, contact) in enumerate(world.rows):
        state, where = final.of(number), f"{world}: row {number}"
        if not contact or state.outcome is Outcome.DUPLICATE:
            continue
        purge = truth.purge_of(user, contact)
        purged = purge is not None and purge.at >= 0  # otherwise it was gone before
        if state.outcome in GONE:
            assert not truth.exists(user, contact), f"{where}: it still exists"
            assert not state.in_doubt, where
        if state.outcome is Outcome.ABSENT and not deceived:
            assert not purged, f"{where}: it was purged by us and is called absent"
        if state.outcome is Outcome.PURGED and not purged:
            assert not world.existed[contact], where  # an answer was lost, and nobody can know that it was gone before
        if purged and state.outcome not in GONE and not deceived:
            assert state.in_doubt, f"{where}: it was purged and nobody doubts"
    counters = world.tenant.counters
    assert counters.refused_rate == 0, f"{world}: the window was overrun: {counters}"
    if not world.answers_lost_in_death:
        assert counters.early_retries == counters.early_calls == 0, f"{world}: a Retry-After was cut short: {counters}"
    return Counter({f"outcome {outcome}": rows for outcome, rows in counts.outcomes.items() if rows})
