"""A job in simulated time whose time left is looked at as a person would look at it, and compared with the truth afterwards."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

from benchmarks.time_left.replays import Replay, replays
from benchmarks.time_left.shapes import Shape
from purgeengine.core.forecast.latency import Dispatch
from purgeengine.core.forecast.time_left import TimeLeft
from purgeengine.edges.ledger import Ledger
from purgeengine.jobs.progress import RunProgress
from purgeengine.run_limits import Limits
from purgeengine.sim.tenant_settings import TenantSettings
from tests.simulation.scenario import user
from tests.simulation.virtual_time import VirtualClock
from tests.simulation.world import MortalLedger, World

LOOK_S = 0.25
"""Seconds between two looks: the display of a terminal is drawn so often."""
PARTS = (0.25, 0.5, 0.75, 0.9)
"""The parts of the rows at which what was shown is compared with the truth."""
WRITE_S = 0.001
"""Seconds of a write to the ledger, as in `MortalLedger`."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was shown at one moment, how many rows were settled then, and what plays of the rest took, if there were any."""

    at_s: float
    settled: int
    shown: TimeLeft
    replays_s: tuple[float, ...] = ()


class WatchedWorld(World):
    """Looks at the time left again and again while the job runs.

    At each of `PARTS` of the rows, its rest is played as often as ``plays`` says.
    """

    def __init__(self, shape: Shape, dispatch: Dispatch, seed: int, plays: int = 0) -> None:
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
        self._plays = plays
        self._replay: Replay | None = None

    async def _run(self, ledger: Any, mortality: Any) -> None:
        watching = asyncio.ensure_future(self._watch())
        self._let_others_work()
        try:
            await super()._run(ledger, mortality)
            if self._replay is not None:
                self._replay.ends(self.duration_s)
        except Exception:
            if self._replay is not None:
                self._replay.fails()
            raise
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        standing: RunProgress | None = None
        parts = list(PARTS)
        while True:
            await asyncio.sleep(LOOK_S)
            standing = standing or RunProgress(self.tally, self.scheduler, self.hours, VirtualClock(loop))
            at_s, settled, shown = loop.time(), self.tally.settled, standing.time_left
            ended_at: tuple[float, ...] = ()
            if parts and settled >= parts[0] * len(self.rows):
                parts = [part for part in parts if settled < part * len(self.rows)]
                found = replays(self._plays, partial(self._go_on, loop))
                if found is None:
                    return
                ended_at = found
            self.looks.append(Look(at_s, settled, shown, tuple(end - at_s for end in ended_at)))

    def _go_on(self, loop: asyncio.AbstractEventLoop, replay: Replay) -> None:
        """From now on, draw other faults and latencies, and leave the ledger of the first process alone."""
        asyncio._set_running_loop(loop)  # asyncio remembers it for one process only
        self._replay = replay
        self.judge_of_runs.sees_a_batch_leave = _seen  # type: ignore[assignment]
        self.tenant._chance.rng = Random(f"replay {replay.number} of {self.scenario.seed}")
        self._others_rng = Random(f"replay {replay.number} of others {self.scenario.seed}")
        MortalLedger.write = _forgotten  # type: ignore[assignment]
        Ledger.write = _not_written  # type: ignore[assignment]

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


def _seen(_: str) -> None:
    """Ask nothing of the ledger, which this process does not write."""


def _not_written(*_: Any) -> None:
    """Write nothing. A write may have begun before the fork."""


async def _forgotten(*_: Any) -> None:
    await asyncio.sleep(WRITE_S)


def watch(shape: Shape, dispatch: Dispatch, seed: int, plays: int = 0) -> tuple[list[Look], float]:
    """Run the job. Return what was shown, and when the run ended, in simulated seconds.

    ``plays`` is how often the rest of the job is played at each of `PARTS` of the rows.
    """
    world = WatchedWorld(shape, dispatch, seed, plays)
    world.run_once()
    if world.error is not None:
        raise SystemExit(f"The run ended early: {world.error}")
    return world.looks, world.duration_s
