"""Shows how a purge over several workers stands: a live block on a terminal, and elsewhere a line now and then, or log events."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from purgeengine import log_events, logs
from purgeengine.cli.output.glyphs import glyphs_for
from purgeengine.cli.output.progress_display import LINE_EVERY_S, Live
from purgeengine.cli.output.run_block import Mood, RunFacts
from purgeengine.core.model import Outcome
from purgeengine.log_outputs import FILE_ONLY
from purgeengine.words import counted, duration, number, rate

if TYPE_CHECKING:
    from purgeengine.jobs.coordination.coordinator_thread import SharedProgress

REFRESH_S = 0.25
"""The fewest seconds between two redraws of a terminal."""


class SharedDisplay:
    """Shows a purge over several workers until it is closed. ``tell`` prints a line."""

    def __init__(
        self, tell: Callable[[str], None], *, quiet: bool, log_format: str, stream: TextIO | None = None
    ) -> None:
        self._tell = tell
        self._quiet = quiet
        self._as_events = log_format == "json"
        self._stream = stream or sys.stderr
        self._live: Live | None = None
        self._shown_at = self._drawn_at = 0.0
        self._last: SharedProgress | None = None

    @property
    def is_live(self) -> bool:
        """True if a block on the terminal shows the purge."""
        return self._live is not None

    def show(self, progress: SharedProgress) -> None:
        """Take in how the purge stands, about every second. A line is shown seldom, and less often in a long run."""
        first, self._last = self._last is None, progress
        if first and not self._quiet and not self._as_events and self._stream.isatty():
            self._live = Live.on(self._stream)  # not before: until now somebody may have been asked something
        every_s = next(every_s for until_s, every_s in LINE_EVERY_S if progress.elapsed_s < until_s)
        if progress.elapsed_s >= self._shown_at + every_s:
            self._shown_at = progress.elapsed_s
            if self._as_events and not self._quiet:
                _log(progress)
            else:
                _log(progress, file_only=True)
                if self._live is None and not self._quiet:
                    self._tell(_line(progress, glyphs_for(self._stream).separator))
        if self._live is not None and (first or progress.elapsed_s >= self._drawn_at + REFRESH_S):
            self._drawn_at = progress.elapsed_s
            self._live.draw(facts_of(progress))

    def close(self) -> None:
        """Draw the last state, and restore the terminal."""
        if self._live is not None:
            if self._last is not None:
                self._live.draw(facts_of(self._last))
            self._live.close()


def facts_of(progress: SharedProgress) -> RunFacts:
    """Return what the block shows."""
    settled = progress.settled
    done = min(progress.before.rows, sum(settled.values()))
    shown = [f"{number(done)} of {counted(progress.before.rows, 'row')}"]
    notes, mood = _troubles(progress), Mood.WELL
    if progress.left:
        shown.append(f"now {rate(progress.figures.per_s)}")
    if progress.stopping is not None:
        notes, mood = [*notes, f"stopping: {progress.stopping}. Ctrl-C again ends at once"], Mood.WAITING
    elif progress.left:
        left_s = progress.left_s
        shown.append("time left not known" if left_s is None else f"left about {duration(max(1.0, left_s))}")
        if waits := _waits(progress):
            notes, mood = [*notes, *waits], Mood.WAITING
    counts = [f"{outcome.value} {number(count)}" for outcome in Outcome if (count := settled.get(outcome, 0))]
    return RunFacts(done, progress.before.rows, shown, counts, [_crew(progress), *notes], mood)


def _crew(progress: SharedProgress) -> str:
    """Return how many workers there are, and how many shards are left."""
    return f"{counted(progress.workers, 'worker')}, {counted(progress.left, 'shard')} left"


def _troubles(progress: SharedProgress) -> list[str]:
    figures = progress.figures
    found = (
        (figures.throttled, "refused as too fast"),
        (figures.lost_calls, "lost calls"),
        (figures.closed_mailboxes, "closed mailboxes"),
    )
    return [f"{words} {number(count)}" for count, words in found if count]


def _waits(progress: SharedProgress) -> list[str]:
    parts = [f"waiting {duration(progress.wait_s)} as Graph asked"] if progress.wait_s >= 1 else []
    if progress.silent:
        parts.append(f"{counted(progress.silent, 'shard')} not heard of")
    elif progress.out < progress.left:
        parts.append(f"{counted(progress.left - progress.out, 'shard')} waiting for a worker")
    return parts


def _line(progress: SharedProgress, separator: str) -> str:
    facts = facts_of(progress)
    return separator.join([*facts.figures, *facts.outcomes, *facts.notes])


def _log(progress: SharedProgress, *, file_only: bool = False) -> None:
    figures, settled = progress.figures, progress.settled
    logs.get_logger().info(
        log_events.WORKERS_PROGRESSED,
        rows=progress.before.rows,
        settled=sum(settled.values()),
        settled_now=sum(figures.settled.values()),
        outcomes={outcome.value: settled.get(outcome, 0) for outcome in Outcome},
        items_per_s=round(figures.per_s, 1),
        left_s=None if progress.left_s is None else round(progress.left_s, 1),
        blocked_for_s=round(progress.wait_s, 3),
        workers=progress.workers,
        shards_left=progress.left,
        elapsed_s=round(progress.elapsed_s, 1),
        **({FILE_ONLY: True} if file_only else {}),
    )
