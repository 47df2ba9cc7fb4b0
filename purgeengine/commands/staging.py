"""Opening a ledger while the user can see that something happens."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from purgeengine import logs
from purgeengine.commands.words import number
from purgeengine.core.action import PERMANENT, Deletion
from purgeengine.edges.ledger import Ledger
from purgeengine.edges.ledger.names import Resolve
from purgeengine.edges.ledger.survey import Input, Reading

SILENT_S = 1.0
"""Inputs that are read within a second need no progress."""


@contextmanager
def staged_ledger(
    folder: Path,
    source: Input | None,
    tenant_id: str,
    *,
    quiet: bool,
    deletion: Deletion = PERMANENT,
    resolve: Resolve | None = None,
    given: Mapping[str, Any] | None = None,
    reading: Reading | None = None,
) -> Iterator[Ledger]:
    """The ledger of this input (of whatever input it was made from, where none is given), staged on its first opening.

    It is locked while inside. Raises `LedgerError` when it is in use or cannot be read or written, `LedgerMismatch` when it
    belongs to another input.
    """
    started = time.monotonic()
    ledger = Ledger.open(
        folder,
        source,
        tenant_id=tenant_id,
        deletion=deletion,
        resolve=resolve,
        on_progress=reading_progress(quiet=quiet),
        given=given,
        reading=reading,
    )
    try:
        counts = ledger.counts()
        logs.get_logger().info(
            logs.LEDGER_OPENED, rows=counts.rows, waiting=counts.waiting, seconds=round(time.monotonic() - started, 2)
        )
        yield ledger
    finally:
        ledger.close()


def reading_progress(*, quiet: bool, what: str = "the input") -> Callable[[int], None] | None:
    """Tells how many rows have been read: in place on a terminal, every few seconds elsewhere, not at all when quiet."""
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
        print(f"\r\x1b[K{line}\r" if live else line, end="" if live else "\n", file=stream, flush=True)

    return tell
