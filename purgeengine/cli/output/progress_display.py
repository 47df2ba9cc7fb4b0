"""Shows the progress of a run: a live block on a terminal, a line now and then elsewhere. The log file gets an event as well."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import replace
from typing import Any, TextIO

from purgeengine import log_events, logs
from purgeengine.cli.output.glyphs import glyphs_for
from purgeengine.cli.output.run_block import (
    Mood,
    RunFacts,
    block_lines,
    rows_when_wrapped,
    stopping_words,
)
from purgeengine.cli.output.transient_line import clear_transient
from purgeengine.core.forecast.time_left import Awaited, in_words
from purgeengine.core.graph.text import printable
from purgeengine.core.graph.verdicts import one_line
from purgeengine.core.model import Outcome
from purgeengine.jobs.progress import Display, RunProgress, Silence
from purgeengine.log_outputs import FILE_ONLY
from purgeengine.words import clock_time, counted, duration, limits_the_app, number, rate

REFRESH_S = 0.25
"""Seconds between two redraws of a terminal: short enough to look live, at a fraction of a per cent of a core."""
STOPPED = "stopped"
REASON_MAX = 200
"""Most characters of the reason of an outage: two lines of the block."""
LINE_EVERY_S = ((60.0, 5.0), (600.0, 15.0), (float("inf"), 60.0))
"""Seconds between two lines where there is no terminal, by the seconds that the run has taken: a run of ten hours has 650 lines."""


def a_display(*, quiet: bool, log_format: str = "console", stream: TextIO | None = None) -> Display:
    """Return the display for this output: live on a terminal, otherwise lines, or log events for a JSON log.

    If quiet, it shows nothing, and only a log file gets the events.
    """
    stream = stream or sys.stderr
    if quiet:
        return FileEvents() if logs.has_file() else Silence()
    if stream.isatty() and (live := Live.on(stream)) is not None:
        return live
    return Events() if log_format == "json" else Lines(stream)


class _Paced:
    """Knows when the next line is due: often at first, and seldom in a long run."""

    def __init__(self) -> None:
        self._elapsed_s = 0.0

    @property
    def every_s(self) -> float:
        """Seconds until the next line."""
        return next(every_s for until_s, every_s in LINE_EVERY_S if self._elapsed_s < until_s)

    def shown(self, standing: RunProgress) -> None:
        """Record that a line was due."""
        self._elapsed_s = standing.elapsed_s


class Lines(_Paced):
    """Writes one plain line now and then, for logs and automation."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._separator = glyphs_for(stream).separator

    def show(self, standing: RunProgress) -> None:
        """Write the line."""
        self.shown(standing)
        if logs.has_file():
            log_progress(standing, file_only=True)
        with contextlib.suppress(OSError, ValueError):  # nobody reads any more; the run goes on
            print(figures(standing, self._separator), file=self._stream, flush=True)

    def close(self) -> None:
        """Return at once: every line has been written already."""


class Events(_Paced):
    """Logs an event now and then, so that a JSON log holds only JSON."""

    file_only = False

    def show(self, standing: RunProgress) -> None:
        """Log the event."""
        self.shown(standing)
        log_progress(standing, file_only=self.file_only)

    def close(self) -> None:
        """Return at once: every line has been written already."""


class FileEvents(Events):
    """Logs the events to the log file only."""

    file_only = True


class Live:
    """Draws a block of lines in place, with rich. What else is written to standard error is printed above it."""

    every_s = REFRESH_S

    def __init__(self, stream: TextIO, console: Any = None) -> None:
        from rich.live import Live as LiveDisplay
        from rich.text import Text

        self._console = console or _console_on(stream)
        self._glyphs = glyphs_for(stream, legacy_windows=self._console.legacy_windows)
        self._live = LiveDisplay(
            Text(""), console=self._console, auto_refresh=False, redirect_stdout=False, vertical_overflow="crop"
        )
        clear_transient()
        self._live.start()
        self._open = True
        self._standing: RunProgress | None = None
        self._texts: list[str] = []
        self._width = self._console.width
        self._file_event_at = 0.0
        self._paced = _Paced()

    @classmethod
    def on(cls, stream: TextIO) -> Live | None:
        """Return a live display on this terminal. None if the terminal cannot move its cursor (``TERM=dumb``)."""
        console = _console_on(stream)
        return cls(stream, console) if console.is_terminal and not console.is_dumb_terminal else None

    def show(self, standing: RunProgress) -> None:
        """Draw the figures anew."""
        if logs.has_file() and standing.elapsed_s >= self._file_event_at:
            self._paced.shown(standing)
            self._file_event_at = standing.elapsed_s + self._paced.every_s
            log_progress(standing, file_only=True)
        self._standing = standing
        self.draw(facts_of(standing))

    def draw(self, facts: RunFacts) -> None:
        """Draw these facts, unless it is closed."""
        if self._open:
            self._draw(facts)

    def close(self) -> None:
        """Stop drawing and show the cursor again. Nothing is awaited any more, and the block that stays does not say so."""
        if self._open:
            self._open = False
            if self._standing is not None and self._standing.stops_within_s is not None:
                self._draw(facts_of(self._standing, is_over=True))
            self._live.stop()

    def _draw(self, facts: RunFacts) -> None:
        from rich.text import Text

        width, height = self._console.size
        # The last column stays free: after a letter there, terminals differ in where the cursor is.
        lines = block_lines(facts, width - 1, self._glyphs)[: max(1, height - 1)]
        self._climb(width)
        text = Text("\n", no_wrap=True, overflow="crop").join(Text.assemble(*line.pieces) for line in lines)
        text.no_wrap, text.overflow = True, "crop"
        self._texts, self._width = [line.text for line in lines], width
        self._live.update(text, refresh=True)

    def _climb(self, width: int) -> None:
        """If the terminal became narrower, its lines were wrapped: move up over the rows that rich does not know of."""
        if width >= self._width or not self._texts:
            return
        from rich.control import Control
        from rich.segment import ControlType

        more = rows_when_wrapped(self._texts, width) - len(self._texts)
        steps = [(ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1)] * more
        if steps:
            self._console.control(Control(*steps))


def _console_on(stream: TextIO) -> Any:
    """Return a console that asks the terminal for its size. A variable COLUMNS may be old, and the block would be wrapped."""
    from rich.console import Console

    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    return Console(file=stream, highlight=False, _environ=environment)


def facts_of(standing: RunProgress, *, is_over: bool = False) -> RunFacts:
    """Return what the block shows of a run. If ``is_over`` is true, it waits for no answers any more."""
    tally, view = standing.tally, standing.scheduler.view
    shown = [f"{number(tally.settled)} of {counted(tally.rows, 'row')}", *_pace_of(standing)]
    notes = waits_of(standing)
    mood = Mood.WELL
    if tally.left and view.blocked_for_s >= 1 and view.unanswered:
        mood = Mood.OUT
    elif tally.left and notes:
        mood = Mood.WAITING
    if tally.left and (stop := stopping_of(standing)) is not None:
        notes, mood = [STOPPED if is_over or stop == STOPPED else f"{stop}. Ctrl-C again ends at once"], Mood.WAITING
    elif tally.left:
        shown.append(left_words(standing))
    counts = [f"{outcome.value} {number(count)}" for outcome in Outcome if (count := tally.outcomes[outcome])]
    return RunFacts(tally.settled, tally.rows, shown, counts, [*troubles_of(standing), *notes], mood)


def _pace_of(standing: RunProgress) -> list[str]:
    """Return the pace of the last seconds. At the end there is none: the summary has that of the whole run."""
    ended = not standing.tally.left or stopping_of(standing) == STOPPED
    return [] if ended else [f"now {rate(standing.rate)}"]


def troubles_of(standing: RunProgress) -> list[str]:
    """Return what is counted of the trouble that a run met. Empty where there was none."""
    tally, view = standing.tally, standing.scheduler.view
    parts = []
    if throttled := view.throttled_mailboxes():
        parts.append(f"throttled mailboxes {number(throttled)}")
    if refused := view.throttled:
        parts.append(f"refused as too fast {number(refused)}")
    if tally.lost_calls:
        parts.append(f"lost calls {number(tally.lost_calls)}")
    if tally.late_answers:
        parts.append(f"late answers {number(tally.late_answers)}")
    if tally.closed_mailboxes:
        parts.append(f"closed mailboxes {number(tally.closed_mailboxes)}")
    return parts


def waits_of(standing: RunProgress) -> list[str]:
    """Return what slows down or holds up the whole run. Empty if nothing does."""
    view = standing.scheduler.view
    parts = []
    if (per_s := view.app_limit_per_s) is not None:
        parts.append(limits_the_app(per_s))
    if (failing := outage_words(standing)) is not None:
        parts.append(failing)
    if view.blocked_for_s >= 1:
        why = "before Graph is tried again" if view.unanswered else "as Graph asked"
        parts.append(f"waiting {duration(view.blocked_for_s)} {why}")
    if (until_s := standing.held_until_s) is not None and view.held_for_s is not None:
        parts.append(held_words(until_s, view.held_for_s))
    return parts


def outage_words(standing: RunProgress) -> str | None:
    """Return why call after call fails, such as a refused connection or a 503. None if calls go through."""
    reply = standing.scheduler.view.outage_reply
    if reply is None:
        return None
    said = printable(one_line(reply), REASON_MAX).rstrip(".")
    return f"calls fail: {said or 'Graph did not answer in time'}"


def held_words(until_s: float, for_s: float) -> str:
    """Return what people read of a run that may not send until ``until_s`` (seconds since 1970), in ``for_s`` seconds."""
    return f"waiting for the hours of --window until {clock_time(until_s)}, in {duration(for_s)}"


def left_words(standing: RunProgress) -> str:
    """Return the time left in words, or what is waited for: the one place where a display says it.

    A wait that Graph asked for stands in the line already, see `waits_of`.
    """
    left = standing.time_left
    return in_words(replace(left, awaited=None) if left.awaited is Awaited.RETRY_AFTER else left)


def stopping_of(standing: RunProgress) -> str | None:
    """Return what a run that stops waits for, and for how long. None if it does not stop."""
    left_s, calls = standing.stops_within_s, standing.scheduler.in_flight
    if left_s is None:
        return None
    return stopping_words(calls, left_s) if calls else STOPPED


def figures(standing: RunProgress, separator: str = " · ") -> str:
    """Return the figures of a run as one line."""
    tally = standing.tally
    parts = [f"{number(tally.settled)} of {number(tally.rows)}", *_pace_of(standing)]
    parts += [f"{outcome.value} {number(count)}" for outcome in Outcome if (count := tally.outcomes[outcome])]
    parts += [*troubles_of(standing), *waits_of(standing)]
    if tally.left:
        parts.append(stopping_of(standing) or left_words(standing))
    return separator.join(parts)


def log_progress(standing: RunProgress, *, file_only: bool) -> None:
    """Log how the run stands, for programs."""
    tally, view = standing.tally, standing.scheduler.view
    logs.get_logger().info(
        log_events.RUN_PROGRESSED,
        settled=tally.settled,
        rows=tally.rows,
        outcomes={outcome.value: tally.outcomes[outcome] for outcome in Outcome},
        items_per_s=round(standing.rate, 1),
        throttled_mailboxes=view.throttled_mailboxes(),
        blocked_for_s=round(view.blocked_for_s, 3),
        app_limit_per_s=None if view.app_limit_per_s is None else round(view.app_limit_per_s, 1),
        held_for_s=None if view.held_for_s is None else round(view.held_for_s),
        elapsed_s=round(standing.elapsed_s, 1),
        **standing.time_left.as_json(),
        **({FILE_ONLY: True} if file_only else {}),
    )
