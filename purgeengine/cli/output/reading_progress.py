"""Shows how far reading an input has come."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from purgeengine.cli.output.transient_line import show_transient
from purgeengine.words import number

SILENT_S = 1.0
"""An input that is read within this many seconds shows no progress."""


def reading_progress(*, quiet: bool, what: str = "the input", as_events: bool = False) -> Callable[[int], None] | None:
    """Return a function that shows how many rows have been read: in place on a terminal, otherwise a line every few seconds.

    None if quiet. With ``as_events``, the lines are events of the log, so that a JSON log holds only JSON.
    """
    if quiet:
        return None
    stream = sys.stderr
    live = stream.isatty()
    every_s = 0.25 if live else 5.0
    told_at = time.monotonic() + SILENT_S - every_s

    def tell(rows: int) -> None:
        nonlocal told_at
        now = time.monotonic()
        if now - told_at < every_s:
            return
        told_at = now
        line = f"Reading {what}: {number(rows)} rows"
        if live and not as_events:
            show_transient(line, stream)
        elif as_events:
            from purgeengine import log_events, logs

            logs.get_logger().info(log_events.INPUT_PROGRESSED, rows=rows)
        else:
            print(line, file=stream, flush=True)

    return tell
