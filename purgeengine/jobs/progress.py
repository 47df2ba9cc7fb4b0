"""How a run stands while it goes on, and what shows it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import inf
from typing import Protocol

from purgeengine.core.model import Outcome
from purgeengine.core.scheduling.scheduler import Scheduler
from purgeengine.edges.clock import SystemClock
from purgeengine.engine.ports import Clock, Hours
from purgeengine.engine.tally import Tally
from purgeengine.jobs.sending_hours import seconds_until_done

LOOK_EVERY_S = 2.0
"""How often the end is foreseen anew: that takes a millisecond, and some forty with ten thousand mailboxes open."""


class RunProgress:
    """How a run stands. What takes time to work out is worked out at most once in `LOOK_EVERY_S`."""

    def __init__(
        self, tally: Tally, scheduler: Scheduler, hours: Hours | None = None, clock: Clock | None = None
    ) -> None:
        self.tally = tally
        self.scheduler = scheduler
        self._hours = hours
        self._clock = clock or SystemClock()
        self._started = self._clock.monotonic()
        self._looked_at = -inf
        self._ends_at: float | None = None

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return self._clock.monotonic() - self._started

    @property
    def rate(self) -> float:
        """Rows a second of late."""
        return self.tally.rate(self.elapsed_s)

    @property
    def left_s(self) -> float | None:
        """Seconds that are likely left, with the hours in which nothing may be sent; None where the run is ended before."""
        now = self._clock.monotonic()
        if not self.tally.left:
            return 0.0
        if now >= self._looked_at + LOOK_EVERY_S:
            self._looked_at, self._ends_at = now, self.scheduler.view.ends_at
            if self._hours is not None:
                left_s = seconds_until_done(self._hours, self._clock.utc(), max(0.0, self._ends_at - now))
                self._ends_at = None if left_s is None else now + left_s
        return None if self._ends_at is None else max(0.0, self._ends_at - now)


@dataclass(frozen=True, slots=True)
class Progress:
    """How a run stood at one moment."""

    rows: int
    """All rows of the ledger."""
    settled: Mapping[Outcome, int]
    """Rows that have their outcome, by outcome; those of earlier runs are among them."""
    left: int
    """Rows without an outcome."""
    per_s: float
    """Rows settled a second, over the last half minute."""
    calls: int
    """Calls to Graph so far."""
    throttled_mailboxes: int
    """Mailboxes that wait because Graph asked them to."""
    blocked_for_s: float
    """Seconds for which nothing is sent at all, because Graph asked the app to wait or does not answer; else 0."""
    elapsed_s: float
    """Seconds since the run began to send."""
    left_s: float | None
    """Seconds that are likely left; None where the hours end the run before."""

    @classmethod
    def of(cls, standing: RunProgress) -> Progress:
        """How the run stands now."""
        tally, view = standing.tally, standing.scheduler.view
        return cls(
            rows=tally.rows,
            settled=dict(tally.outcomes),
            left=tally.left,
            per_s=standing.rate,
            calls=tally.calls,
            throttled_mailboxes=view.throttled_mailboxes(),
            blocked_for_s=view.blocked_for_s,
            elapsed_s=standing.elapsed_s,
            left_s=standing.left_s,
        )


class Display(Protocol):
    """Shows figures until it is closed."""

    every_s: float

    def show(self, standing: RunProgress) -> None:
        """Redraw."""

    def close(self) -> None:
        """Leave the terminal as it was; safe to call twice."""


class Silence:
    """Shows nothing."""

    every_s = 3600.0

    def show(self, standing: RunProgress) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing to do."""


class ProgressDisplay:
    """Hands a `Progress` to a function, at most every `LOOK_EVERY_S` seconds, and once more when the run has ended."""

    every_s = LOOK_EVERY_S

    def __init__(self, hand_over: Callable[[Progress], None]) -> None:
        self._hand_over = hand_over

    def show(self, standing: RunProgress) -> None:
        """Hand it over. The function must not raise."""
        self._hand_over(Progress.of(standing))

    def close(self) -> None:
        """Nothing to do."""


@asynccontextmanager
async def shown(display: Display, standing: RunProgress) -> AsyncIterator[None]:
    """Refresh the display while inside."""

    async def refresh() -> None:
        while True:
            await asyncio.sleep(display.every_s)
            display.show(standing)

    task = asyncio.ensure_future(refresh())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        display.show(standing)
        display.close()
