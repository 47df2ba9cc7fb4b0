"""Shows the progress of a run: a live display on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import contextlib
import sys
from typing import TextIO

from purgeengine import logs
from purgeengine.core.forecast.time_left import in_words
from purgeengine.core.model import Outcome
from purgeengine.jobs.progress import Display, RunProgress, Silence
from purgeengine.words import duration, limits_the_app, number, rate

REFRESH_S = 0.25
"""Seconds between two redraws of a terminal: short enough to look live, at a fraction of a per cent of a core."""
LINE_EVERY_S = 5.0
"""Seconds between two lines where there is no terminal."""


def a_display(*, quiet: bool, log_format: str = "console", stream: TextIO | None = None) -> Display:
    """Return the display for this output: none if quiet, live on a terminal, otherwise lines, or log events for a JSON log."""
    stream = stream or sys.stderr
    if quiet:
        return Silence()
    if stream.isatty():
        return Live(stream)
    return Events() if log_format == "json" else Lines(stream)


class Lines:
    """Writes one plain line every few seconds, for logs and automation."""

    every_s = LINE_EVERY_S

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, standing: RunProgress) -> None:
        """Write the line."""
        with contextlib.suppress(OSError, ValueError):  # nobody reads any more; the run goes on
            print(figures(standing), file=self._stream, flush=True)

    def close(self) -> None:
        """Return at once: every line has been written already."""


class Events:
    """Logs an event every few seconds, so that a JSON log holds only JSON."""

    every_s = LINE_EVERY_S

    def show(self, standing: RunProgress) -> None:
        """Log the event."""
        tally, scheduler = standing.tally, standing.scheduler
        logs.get_logger().info(
            logs.RUN_PROGRESSED,
            settled=tally.settled,
            rows=tally.rows,
            outcomes={outcome.value: tally.outcomes[outcome] for outcome in Outcome},
            items_per_s=round(standing.rate, 1),
            throttled_mailboxes=scheduler.view.throttled_mailboxes(),
            blocked_for_s=round(scheduler.view.blocked_for_s, 3),
            app_limit_per_s=None
            if scheduler.view.app_limit_per_s is None
            else round(scheduler.view.app_limit_per_s, 1),
            held_for_s=None if scheduler.view.held_for_s is None else round(scheduler.view.held_for_s),
            elapsed_s=round(standing.elapsed_s, 1),
            **standing.time_left.as_json(),
        )

    def close(self) -> None:
        """Return at once: every line has been written already."""


class Live:
    """Draws a bar and a line of figures in place, with rich. Log lines are printed above them."""

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

    def show(self, standing: RunProgress) -> None:
        """Draw the figures anew."""
        from rich.console import Group
        from rich.text import Text

        if self._open:
            self._progress.update(self._task, total=standing.tally.rows, completed=standing.tally.settled)
            self._live.update(Group(self._progress, Text(figures(standing))), refresh=True)

    def close(self) -> None:
        """Stop drawing and show the cursor again."""
        if self._open:
            self._open = False
            self._live.stop()


def figures(standing: RunProgress) -> str:
    """Return the figures of a run as one line."""
    tally, scheduler = standing.tally, standing.scheduler
    parts = [f"{number(tally.settled)} of {number(tally.rows)}", rate(standing.rate)]
    parts += [f"{outcome.value} {number(count)}" for outcome in Outcome if (count := tally.outcomes[outcome])]
    if throttled := scheduler.view.throttled_mailboxes():
        parts.append(f"throttled mailboxes {throttled}")
    if (per_s := scheduler.view.app_limit_per_s) is not None:
        parts.append(limits_the_app(per_s))
    if scheduler.view.blocked_for_s >= 1:
        why = "before Graph is tried again" if scheduler.view.unanswered else "as Graph asked"
        parts.append(f"waiting {duration(scheduler.view.blocked_for_s)} {why}")
    if scheduler.view.held_for_s is not None:
        parts.append(f"waiting {duration(scheduler.view.held_for_s)} for the time to send")
    if tally.left:
        parts.append(in_words(standing.time_left))
    return " · ".join(parts)
