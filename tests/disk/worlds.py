"""A job of the simulated world on a disk that fails or loses its power."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import pytest

from purgeengine.edges.ledger.staging.folder import FolderState, state_of
from purgeengine.edges.ledger.store import database
from purgeengine.edges.ledger.store.database import connect_to_read
from purgeengine.edges.ledger.store.request_ids import unpacked
from purgeengine.errors import LedgerError
from tests.disk.power import PowerDisk
from tests.disk.python_calls import PythonCalls
from tests.disk.sqlite_calls import sqlite_calls
from tests.disk.watching import Watcher
from tests.simulation.judge import Judge
from tests.simulation.scenario import Scenario
from tests.simulation.world import Death, Mortality, World

CHECKPOINT_PAGES = 24
"""Pages between checkpoints: few, so that small jobs see checkpoints too."""
CALLS_IN_STEP = 3
"""Calls to the disk for each step of a `Crash`. Staging makes about 70, a turn about seven."""
SYNC_FAILURES = 0.02
"""Probability that a sync fails, in jobs where syncs fail."""

needs_sqlite_calls = pytest.mark.skipif(
    sqlite_calls() is None, reason="the SQLite library that Python uses cannot be reached from here"
)


@contextmanager
def watching(root: Path, watcher: Watcher) -> Iterator[None]:
    """Watch every call to the disk below ``root`` inside the context."""
    calls = sqlite_calls()
    assert calls is not None
    with ExitStack() as stack:
        stack.enter_context(patch.object(database, "CHECKPOINT_PAGES", CHECKPOINT_PAGES))
        stack.enter_context(PythonCalls(root, watcher).watched())
        stack.enter_context(calls.watched(watcher))
        yield


class DiskWorld(World):
    """A `World` whose every call to the disk is watched during a run."""

    def __init__(self, scenario: Scenario | None = None, **more: Any) -> None:
        super().__init__(scenario, **more)
        self.judge_of_runs: DiskJudge = DiskJudge(self)
        self.sat_out = False
        """True if the fault was harmless."""

    def watched_run(self, watcher: Watcher) -> None:
        """Do one run, to its end or to what stopped it."""
        with watching(self.scratch, watcher):
            super().run_once()
        if isinstance(self.error, LedgerError):
            self.broken_off += 1
            self.answers_lost_in_death += self.answers_not_recorded


class DiskJudge(Judge):
    """Checks from outside, because the faults would meet a connection of its own too."""

    def sees_a_batch_leave(self, client_request_id: str) -> None:
        return

    def looks_between_runs(self) -> bool:
        """Check that the ledger has everything that left, and everything that was acknowledged."""
        world = self._world
        seen = {entry.client_request_id for entry in world.tenant.log}
        try:
            staged = state_of(world.folder) is FolderState.STAGED
        except LedgerError as error:
            raise AssertionError(f"{world}: {error}") from error
        if not staged:
            assert not seen, f"{world}: batches left, and the ledger is gone"
            assert not world.acknowledged, f"{world}: rows were acknowledged, and the ledger is gone"
            return False
        kept = self._batches("batch")
        assert seen <= kept, f"{world}: batches left that the ledger does not know: {seen - kept}"
        return super().looks_between_runs()

    def ended_batches(self) -> set[str]:
        """Return the batches that the ledger knows as ended, by their client request ids."""
        return self._batches("batch WHERE ended_ms IS NOT NULL")

    def _batches(self, which: str) -> set[str]:
        with closing(connect_to_read(self._world.folder)) as connection:
            return {str(unpacked(name)) for (name,) in connection.execute(f"SELECT client_request_id FROM {which}")}


class _Powered(Mortality):
    """The process dies with the power."""

    def __init__(self, disk: PowerDisk) -> None:
        super().__init__(None)
        self._disk = disk

    def step(self) -> None:
        self.dead = self._disk.off
        if self.dead:
            raise Death


class PowerWorld(DiskWorld):
    """The power goes where the scenario lets the process die. In every fourth job, some syncs fail before that too."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario)
        self.disk = PowerDisk(self.scratch, Random(f"power {scenario.seed}"))

    def mortality(self, dies_at_step: int | None) -> Mortality:
        return _Powered(self.disk)

    def run_once(self, dies_at_step: int | None = None) -> None:
        disk = self.disk
        disk.calls = 0
        disk.goes_off_at = dies_at_step and dies_at_step * CALLS_IN_STEP
        disk.sync_failures = SYNC_FAILURES if dies_at_step and self.scenario.seed % 4 == 0 else 0.0
        deaths = self.deaths
        self.watched_run(disk)
        if disk.off:
            self.deaths = deaths + 1
            self.answers_lost_in_death += self.answers_not_recorded
            root = self.scratch / f"after-{self.deaths}"
            root.mkdir()
            disk.leave(root)
            disk.plug_in(root)
            self.folder = root / "ledger"

    def _leave_behind(self) -> None:
        """Do nothing: the disk does it when the run has ended."""
