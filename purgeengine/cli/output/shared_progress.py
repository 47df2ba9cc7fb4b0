"""Shows how a purge over several workers stands: one line now and then, or log events for a JSON log."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from purgeengine import log_events, logs
from purgeengine.cli.output.glyphs import glyphs_for
from purgeengine.cli.output.progress_display import LINE_EVERY_S
from purgeengine.core.model import Outcome
from purgeengine.words import counted, number, rate

if TYPE_CHECKING:
    from purgeengine.jobs.sharing.coordinating import SharedProgress


def shared_progress(tell: Callable[[str], None], *, quiet: bool, log_format: str) -> Callable[[SharedProgress], None]:
    """Return what is told how the purge stands, about every second. It shows it seldom, and less often in a long run.

    ``tell`` prints a line.
    """
    shown_at = 0.0

    def show(progress: SharedProgress) -> None:
        nonlocal shown_at
        every_s = next(every_s for until_s, every_s in LINE_EVERY_S if progress.elapsed_s < until_s)
        if quiet or progress.elapsed_s < shown_at + every_s:
            return
        shown_at = progress.elapsed_s
        if log_format == "json":
            _log(progress)
        else:
            tell(_line(progress))

    return show


def _line(progress: SharedProgress) -> str:
    settled = progress.figures.settled
    parts = [f"{counted(sum(settled.values()), 'row')} settled by this command", rate(progress.figures.per_s)]
    parts += [f"{outcome.value} {number(count)}" for outcome in Outcome if (count := settled.get(outcome, 0))]
    parts += [counted(progress.workers, "worker"), f"{counted(progress.left, 'shard')} left"]
    return glyphs_for(sys.stderr).separator.join(parts)


def _log(progress: SharedProgress) -> None:
    figures = progress.figures
    logs.get_logger().info(
        log_events.WORKERS_PROGRESSED,
        settled_now=sum(figures.settled.values()),
        outcomes={outcome.value: figures.settled.get(outcome, 0) for outcome in Outcome},
        items_per_s=round(figures.per_s, 1),
        workers=progress.workers,
        shards_left=progress.left,
        elapsed_s=round(progress.elapsed_s, 1),
    )
