"""Nothing grows: small soaks of `tests.campaigns.soak`, and proof that they notice growth.

The ledger's caches are made small, so that they are full within the first third, as they are in the long runs.
"""

from __future__ import annotations

from typing import Any

import pytest

from purgeengine.core.scheduling.batch_results import BatchResults
from purgeengine.core.scheduling.flights import Flight
from purgeengine.edges.http.transport import Timeouts
from purgeengine.edges.ledger.running import work_rows
from purgeengine.edges.ledger.store import database
from purgeengine.run_limits import Limits
from purgeengine.sim.graph.faults import Faults
from tests.campaigns import soak

CONNECTIONS = 4
SAMPLES = 30
IN_A_HURRY = Limits(quarantine_s=0.5, quarantine_s_min=0.1)


@pytest.fixture(autouse=True)
def _small_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_rows, "CACHE_BYTES_MAX", 256 << 10)
    monkeypatch.setattr(work_rows, "USERS_CACHED_MAX", 20)
    monkeypatch.setattr(database, "CACHE_KIB", 256)


def test_nothing_grows_in_10_000_simulated_rows() -> None:
    """With every fault, the last third needs no more than the first, and no task or descriptor outlives the run."""
    report = soak.simulated(10_000, faults=Faults.everything(0.001), connections=CONNECTIONS, samples=SAMPLES)
    assert report.broken(soak.SMALL) == []
    assert report.left == {"tasks": 0, "descriptors": 0, "threads": 0}
    assert max(sample.spare_tasks for sample in report.samples) <= soak.SMALL.spare_tasks
    assert len({sample.descriptors for sample in report.samples}) == 1
    assert report.lost_calls > 0


def test_nothing_grows_in_3_000_rows_over_sockets() -> None:
    """With connections reset and calls hanging, no socket, thread or task is left behind, during the run or after it."""
    report = soak.over_sockets(
        3_000,
        faults=Faults(reset_before=0.02, reset_after=0.02, hang_after=0.01, truncated=0.01),
        connections=CONNECTIONS,
        limits=IN_A_HURRY,
        timeouts=Timeouts(call_s=0.5),
        calm_from=2_000,
        samples=SAMPLES,
    )
    assert report.broken(soak.SMALL) == []
    assert report.left == {"tasks": 0, "descriptors": 0, "threads": 0}
    assert max(sample.spare_tasks for sample in report.samples) <= soak.SMALL.spare_tasks
    lowest = min(sample.descriptors for sample in report.samples)
    assert max(sample.descriptors for sample in report.samples) - lowest <= CONNECTIONS
    assert report.lost_calls > 0


def test_a_leak_of_what_a_call_was_about_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """If code keeps ended batches anywhere, the blocks of memory that stay show it."""
    kept: list[Flight] = []
    landed = BatchResults._landed

    def leaking(self: BatchResults, flight: Flight, *arguments: Any) -> Any:
        kept.append(flight)
        return landed(self, flight, *arguments)

    monkeypatch.setattr(BatchResults, "_landed", leaking)
    report = soak.simulated(10_000, faults=Faults(), connections=CONNECTIONS, samples=SAMPLES)
    assert any(said.startswith("blocks grew") for said in report.broken(soak.SMALL))
