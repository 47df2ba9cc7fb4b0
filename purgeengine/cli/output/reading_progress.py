"""Shows how far reading an input has come."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from purgeengine.cli.output.transient_line import show_transient
from purgeengine.words import number

SILENT_S = 1.0
"""An input that is read within this many seconds shows no progress."""


def reading_progress(*, quiet: bool, what: str = "the input") -> Callable[[int], None] | None:
    """Return a function that shows how many rows have been read: in place on a terminal, otherwise a line every few seconds.

    None if quiet.
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
        if live:
            show_transient(line, stream)
        else:
            print(line, file=stream, flush=True)

    return tell
