"""Opens a ledger for a run, and closes it afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from purgeengine import logs
from purgeengine.core.graph.operations import PERMANENT, Operation
from purgeengine.edges.ledger import Ledger
from purgeengine.edges.ledger.staging.names import Resolve
from purgeengine.edges.ledger.staging.survey import Input, Reading


@contextmanager
def staged_ledger(
    folder: Path,
    source: Input | None,
    tenant_id: str,
    *,
    on_progress: Callable[[int], None] | None = None,
    deletion: Operation = PERMANENT,
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
        on_progress=on_progress,
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
