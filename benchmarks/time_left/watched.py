"""A job in simulated time whose time left is looked at as a person would look at it, and compared with the truth afterwards."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Any

from benchmarks.time_left.shapes import Shape
from purgeengine.core.forecast.latency import Dispatch
from purgeengine.core.forecast.time_left import TimeLeft
from purgeengine.jobs.progress import RunProgress
from purgeengine.run_limits import Limits
from purgeengine.sim.tenant_settings import TenantSettings
from tests.simulation.scenario import user
from tests.simulation.virtual_time import VirtualClock
from tests.simulation.world import World

LOOK_S = 0.25
"""Seconds between two looks: the display of a terminal is drawn so often."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was shown at one moment, and how many rows were settled then."""

    at_s: float
    settled: int
    shown: TimeLeft


class WatchedWorld(World):
    """Looks at the time left again and again while the job runs."""

    def __init__(self, shape: Shape, dispatch: Dispatch, seed: int) -> None:
        settings: dict[str, Any] = {"dispatch": dispatch, "log": False, **shape.settings}
        limits: dict[str, Any] = {"connections": shape.connections, **shape.limits}
        super().__init__(
            seed=seed,
            rows_by_mailbox=shape.rows_by_mailbox,
            limits=Limits(**limits),
            settings=TenantSettings(**settings),
            faults=shape.faults,
            shuffled=shape.shuffled,
        )
        self.looks: list[Look] = []
        self._others = shape.others
        self._others_rng = Random(f"others {seed}")

    async def _run(self, ledger: Any, mortality: Any) -> None:
        watching = asyncio.ensure_future(self._watch())
        self._let_others_work()
        try:
            await super()._run(ledger, mortality)
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        standing: RunProgress | None = None
        while True:
            await asyncio.sleep(LOOK_S)
            standing = standing or RunProgress(self.tally, self.scheduler, self.hours, VirtualClock(loop))
            self.looks.append(Look(loop.time(), self.tally.settled, standing.time_left))

    def _let_others_work(self) -> None:
        """Let the other program take and give back its slots for as long as the job runs."""
        others, loop = self._others, asyncio.get_running_loop()
        if others is None:
            return

        def change(mailbox: Any, takes: bool) -> None:
            mailbox.running += others.slots if takes else -others.slots
            mean_s = others.works_s if takes else others.rests_s
            loop.call_later(self._others_rng.uniform(0.5, 1.5) * mean_s, change, mailbox, not takes)

        for number in others.mailboxes:
            change(self.tenant.truth.mailbox(user(number)), True)


def watch(shape: Shape, dispatch: Dispatch, seed: int) -> tuple[list[Look], float]:
    """Run the job. Return what was shown, and when the run ended, in simulated seconds."""
    world = WatchedWorld(shape, dispatch, seed)
    world.run_once()
    if world.error is not None:
        raise SystemExit(f"The run ended early: {world.error}")
    return world.looks, world.duration_s
