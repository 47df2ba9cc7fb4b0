"""The figures of a run while it goes on, and the displays that show them."""

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
"""Seconds between two estimates of the end. One takes about 1 ms, and about 40 ms with 10,000 mailboxes open."""


class RunProgress:
    """The figures of a run, read live. The estimate of the end is made at most once in `LOOK_EVERY_S` seconds."""

    def __init__(
        self,
        tally: Tally,
        scheduler: Scheduler,
        hours: Hours | None = None,
        clock: Clock | None = None,
        drain_left_s: Callable[[], float | None] = lambda: None,
    ) -> None:
        """``drain_left_s`` returns for how many seconds a run that stops still waits for answers; None while it does not stop."""
        self.tally = tally
        self.scheduler = scheduler
        self._hours = hours
        self._clock = clock or SystemClock()
        self._started = self._clock.monotonic()
        self._looked_at = -inf
        self._ends_at: float | None = None
        self._drain_left_s = drain_left_s

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return self._clock.monotonic() - self._started

    @property
    def stops_within_s(self) -> float | None:
        """Seconds for which a run that stops still waits for answers, at most. None while it does not stop."""
        return self._drain_left_s()

    @property
    def rate(self) -> float:
        """Rows settled per second, lately."""
        return self.tally.rate(self.elapsed_s)

    @property
    def left_s(self) -> float | None:
        """Seconds that the run will probably still take, including the hours in which it may not send.

        None if the time set for its end comes first.
        """
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
    """The figures of a run at one moment, as ``on_progress`` receives them."""

    rows: int
    """All rows of the ledger."""
    settled: Mapping[Outcome, int]
    """Number of rows by outcome, for all rows that have one. Rows settled by earlier runs of this ledger are included."""
    left: int
    """Rows without an outcome."""
    per_s: float
    """Rows settled per second, over the last half minute."""
    calls: int
    """Calls to Graph in this run so far. One call carries one batch."""
    throttled_mailboxes: int
    """Mailboxes that are waiting because Graph throttled them."""
    app_limit_per_s: float | None
    """Requests per second that Graph takes from the whole app, as the run has found out. None if it has met no such limit."""
    blocked_for_s: float
    """Seconds for which nothing will be sent at all, because Graph asked the app to wait or does not answer. Otherwise 0."""
    elapsed_s: float
    """Seconds since the run began to send."""
    left_s: float | None
    """Seconds that the run will probably still take. None if ``hours.until_utc`` ends the run first."""

    @classmethod
    def of(cls, standing: RunProgress) -> Progress:
        """Read the figures now."""
        tally, view = standing.tally, standing.scheduler.view
        return cls(
            rows=tally.rows,
            settled=dict(tally.outcomes),
            left=tally.left,
            per_s=standing.rate,
            calls=tally.calls,
            throttled_mailboxes=view.throttled_mailboxes(),
            app_limit_per_s=view.app_limit_per_s,
            blocked_for_s=view.blocked_for_s,
            elapsed_s=standing.elapsed_s,
            left_s=standing.left_s,
        )


class Display(Protocol):
    """Shows the figures of a run until it is closed."""

    @property
    def every_s(self) -> float:
        """Seconds until the next redraw."""

    def show(self, standing: RunProgress) -> None:
        """Draw the figures anew."""

    def close(self) -> None:
        """Restore the terminal. It is safe to call this twice."""


class Silence:
    """Shows nothing."""

    every_s = 3600.0

    def show(self, standing: RunProgress) -> None:
        """Show nothing."""

    def close(self) -> None:
        """There is nothing to close."""


class ProgressDisplay:
    """Gives a `Progress` to a function, at most every `LOOK_EVERY_S` seconds, and once more when the run has ended."""

    every_s = LOOK_EVERY_S

    def __init__(self, hand_over: Callable[[Progress], None]) -> None:
        self._hand_over = hand_over

    def show(self, standing: RunProgress) -> None:
        """Call the function. It must not raise."""
        self._hand_over(Progress.of(standing))

    def close(self) -> None:
        """There is nothing to close."""


@asynccontextmanager
async def shown(display: Display, standing: RunProgress) -> AsyncIterator[None]:
    """Redraw the display regularly while inside, and once more at the end."""

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
