"""The figures of a run while it goes on, and the displays that show them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from math import inf
from typing import Protocol

from purgeengine.core.forecast.time_left import NOTHING_LEFT, Awaited, TimeLeft, awaited_words
from purgeengine.core.model import Outcome
from purgeengine.core.scheduling.scheduler import Scheduler
from purgeengine.edges.clock import SystemClock
from purgeengine.edges.ledger.running.live_figures import WRITE_EVERY_S, LiveFigures
from purgeengine.engine.ports import Clock, Hours
from purgeengine.engine.tally import Tally
from purgeengine.jobs.sending_hours import seconds_until_done

LOOK_EVERY_S = 2.0
"""The most seconds between two looks for the time left. One takes two or three milliseconds, however many mailboxes are open."""
LOOK_S_MIN, LOOK_SHARE = 0.5, 0.25
"""The fewest seconds between two looks, and the share of the time left after which there is another one. So the last seconds of a
run are told as well as the hours before."""
COST_TIMES = 100.0
"""The next look comes after this many times what the last one took, at the earliest, so that looks cost at most a hundredth of a
core."""


class RunProgress:
    """The figures of a run, read live. The time left is found at most once in `LOOK_EVERY_S` seconds."""

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
        self._drain_left_s = drain_left_s
        self._look_again_at = -inf
        self._found = NOTHING_LEFT

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
        """Rows settled per second, over the last ten seconds."""
        return self.tally.rate(self.elapsed_s)

    @property
    def time_left(self) -> TimeLeft:
        """The time that the run will probably still take, or what is waited for, including hours in which it may not send."""
        now = self._clock.monotonic()
        if not self.tally.left:
            return NOTHING_LEFT
        if now >= self._look_again_at:
            began = time.perf_counter()
            self._looked_at, self._found = now, self._look(now)
            every_s = min(LOOK_EVERY_S, max(LOOK_S_MIN, LOOK_SHARE * (self._found.seconds or 0.0)))
            self._look_again_at = now + max(every_s, COST_TIMES * (time.perf_counter() - began))
        found = self._found.later(now - self._looked_at)
        return found if found.largest_left is None else replace(found, largest_left=self.scheduler.view.largest_left)

    @property
    def left_s(self) -> float | None:
        """The seconds of `time_left`. None if they are not known, or if the time set for the end comes first."""
        return self.time_left.seconds

    @property
    def live(self) -> LiveFigures:
        """What other processes are told of the run."""
        held_until_ms = None if (at_s := self.held_until_s) is None else round(at_s * 1000)
        return LiveFigures(round(self._clock.utc() * 1000), self.rate, self.time_left, held_until_ms)

    @property
    def held_until_s(self) -> float | None:
        """When the run may send again, in seconds since 1970, if it waits for its hours. None if it may send."""
        held_for_s = self.scheduler.view.held_for_s
        return None if held_for_s is None else self._clock.utc() + held_for_s

    def _look(self, now: float) -> TimeLeft:
        found = self.scheduler.view.time_left(now)
        if self._hours is None or found.seconds is None:
            return found
        left_s = seconds_until_done(self._hours, self._clock.utc(), found.seconds)
        return TimeLeft(None, Awaited.UNTIL) if left_s is None else replace(found, seconds=left_s)


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
    """Rows settled per second, over the last ten seconds."""
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
    """Seconds that the run will probably still take. None if nobody can know, or if ``hours.until_utc`` ends the run first."""
    waiting_for: str | None = None
    """What the run waits for, in words, if ``left_s`` is None or if nothing is in flight. Otherwise None."""

    @classmethod
    def of(cls, standing: RunProgress) -> Progress:
        """Read the figures now."""
        tally, view, left = standing.tally, standing.scheduler.view, standing.time_left
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
            left_s=left.seconds,
            waiting_for=awaited_words(left) or None,
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


async def no_one(standing: RunProgress) -> None:
    """Tell nobody."""


@asynccontextmanager
async def shown(
    display: Display, standing: RunProgress, tell: Callable[[RunProgress], Awaitable[None]] = no_one
) -> AsyncIterator[None]:
    """Redraw the display regularly while inside, and once more at the end. ``tell`` is called every `WRITE_EVERY_S` seconds."""

    async def refresh() -> None:
        while True:
            await asyncio.sleep(display.every_s)
            display.show(standing)

    async def keep_telling() -> None:
        while True:
            await asyncio.sleep(WRITE_EVERY_S)
            await tell(standing)

    tasks = [asyncio.ensure_future(refresh()), asyncio.ensure_future(keep_telling())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        display.show(standing)
        display.close()
