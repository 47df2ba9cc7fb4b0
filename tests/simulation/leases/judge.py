"""Judges a simulated purge of several workers by what left the machines, and by the service's truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.leases.world import LeaseWorld, WorkerRun


CLOCKS_S = 0.1
"""Seconds by which clocks that do not run alike may end a wait too early: a ten-thousandth of ten minutes, and a little."""


class LeaseJudge:
    """Looks at every call that leaves, and at the end."""

    def __init__(self, world: LeaseWorld) -> None:
        self._world = world
        self._highest: dict[int, int] = {}
        self._waits: list[tuple[str, str, float, float]] = []
        """Waits of an app that a coordinator has made durable: (client id, the run that was asked, when, until)."""

    def notes_wait(self, client_id: str, reporter: str, until: float) -> None:
        """Note that the coordinator knows a wait from now on."""
        self._waits.append((client_id, reporter, self._world.now, until))

    def sees_call(self, run: WorkerRun) -> None:
        """Judge a call at the instant at which it leaves."""
        world, tenure = self._world, run.tenure
        holders = [other for other in world.runs() if other.may_send]
        rivals = [other.id for other in holders if other is not run and other.tenure.shard == tenure.shard]
        self._holds(not rivals, f"{run.id} sends for shard {tenure.shard} while {rivals} may send as well")
        highest = self._highest[tenure.shard] = max(self._highest.get(tenure.shard, 0), tenure.epoch)
        self._holds(tenure.epoch == highest, f"{run.id} of epoch {tenure.epoch} sends after one of epoch {highest}")
        for place, total in enumerate(world.plot.total):
            used = sum(other.holder.quota[place] for other in holders if other.client_id == run.client_id)
            self._holds(used <= total, f"the shares of {[other.id for other in holders]} are {used}, of {total}")
        for client_id, reporter, since, until in self._waits:
            if client_id == run.client_id and reporter != run.id and world.now < until - CLOCKS_S:
                self._holds(run.granted_at <= since, f"{run.id} sends in a wait of the app known since {since:.1f}")

    def looks_at_the_end(self) -> None:
        """Judge what is left: every row has one true outcome, and no window was exceeded."""
        world, service = self._world, self._world.service
        self._holds(len(world.head_outcomes) == len(world.mailbox_of), "some rows have no outcome")
        self._holds(not service.over_the_window, f"{service.over_the_window} calls exceeded the window of a mailbox")
        for row, outcome in world.head_outcomes.items():
            self._holds(row not in service.there, f"row {row} is called {outcome}, and is still there")
            if outcome == "absent":
                self._holds(row in service.gone_before, f"row {row} is called absent, and we purged it")

    def _holds(self, true: bool, otherwise: str) -> None:
        assert true, f"{self._world.plot}: at {self._world.now:.2f}: {otherwise}"
