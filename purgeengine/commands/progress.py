"""What a run shows while it goes on: a live display on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol, TextIO

from purgeengine.commands.words import duration, number
from purgeengine.core.model import Outcome
from purgeengine.core.scheduler import Scheduler
from purgeengine.report import Tally

REFRESH_S = 0.25
"""How often a terminal is redrawn: quick enough to feel live, a fraction of a per cent of a core."""
LINE_EVERY_S = 5.0
"""How often a line is written where nobody watches."""


class Display(Protocol):
    """Shows figures until it is closed."""

    every_s: float

    def show(self, tally: Tally, scheduler: Scheduler, elapsed_s: float) -> None:
        """Redraw."""

    def close(self) -> None:
        """Leave the terminal as it was; safe to call twice."""


@asynccontextmanager
async def shown(display: Display, tally: Tally, scheduler: Scheduler) -> AsyncIterator[None]:
    """Refresh the display while inside."""
    started = time.monotonic()

    async def refresh() -> None:
        while True:
            await asyncio.sleep(display.every_s)
            display.show(tally, scheduler, time.monotonic() - started)

    task = asyncio.ensure_future(refresh())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        display.show(tally, scheduler, time.monotonic() - started)
        display.close()


def a_display(*, quiet: bool, stream: TextIO | None = None) -> Display:
    """The display that suits: none when quiet, live on a terminal, lines elsewhere."""
    stream = stream or sys.stderr
    if quiet:
        return Silence()
    return Live(stream) if stream.isatty() else Lines(stream)


class Silence:
    """Shows nothing."""

    every_s = 3600.0

    def show(self, tally: Tally, scheduler: Scheduler, elapsed_s: float) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing to do."""


class Lines:
    """One plain line every few seconds, for logs and automation."""

    every_s = LINE_EVERY_S

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, tally: Tally, scheduler: Scheduler, elapsed_s: float) -> None:
        """Write a line."""
        with contextlib.suppress(OSError, ValueError):  # nobody reads any more; the run goes on
            print(figures(tally, scheduler, elapsed_s), file=self._stream, flush=True)

    def close(self) -> None:
        """Nothing to do."""


class Live:
    """A bar and a line of figures, redrawn in place by rich (which knows Windows consoles too); log lines pass above them."""

    every_s = REFRESH_S

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.live import Live as LiveDisplay
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TimeElapsedColumn

        console = Console(file=stream)
        self._progress = Progress(BarColumn(bar_width=40), TaskProgressColumn(), TimeElapsedColumn(), console=console)
        self._task = self._progress.add_task("purge", total=None)
        self._live = LiveDisplay(self._progress, console=console, auto_refresh=False)
        self._live.start()
        self._open = True

    def show(self, tally: Tally, scheduler: Scheduler, elapsed_s: float) -> None:
        """Redraw."""
        from rich.console import Group
        from rich.text import Text

        if self._open:
            self._progress.update(self._task, total=tally.rows, completed=tally.settled)
            self._live.update(Group(self._progress, Text(figures(tally, scheduler, elapsed_s))), refresh=True)

    def close(self) -> None:
        """Stop drawing and show the cursor again."""
        if self._open:
            self._open = False
            self._live.stop()


def figures(tally: Tally, scheduler: Scheduler, elapsed_s: float) -> str:
    """The one line that tells how a run stands."""
    rate = tally.rate(elapsed_s)
    parts = [f"{number(tally.settled)} of {number(tally.rows)}", f"{number(round(rate))}/s"]
    parts += [f"{outcome.value} {number(count)}" for outcome in Outcome if (count := tally.outcomes[outcome])]
    if throttled := scheduler.throttled_mailboxes():
        parts.append(f"throttled mailboxes {throttled}")
    if scheduler.blocked_for_s >= 1:
        parts.append(f"waiting {duration(scheduler.blocked_for_s)} as Graph asked")
    if scheduler.held_for_s is not None:
        parts.append(f"waiting {duration(scheduler.held_for_s)} for the time to send")
    if tally.left and rate > 0:
        parts.append(f"left {duration(tally.left / rate)}")
    return " · ".join(parts)
