"""How long a purge must take at least, and is likely to take, from the rows of each mailbox alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

from purgeengine.config import Limits

CALL_S = 0.94
"""Expected seconds of a full batch that Graph runs four at a time: 20 items of 80 ms median on 4 workers, and 60 ms overhead."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """``calls`` are full batches; ``least_s`` is what Graph's request limits alone demand; ``expected_s`` adds usual latency."""

    calls: int
    least_s: float
    expected_s: float
    deciding_mailbox_rows: int
    """Rows of the mailbox that decides the time, or 0 when the connections do."""


def estimate(rows_by_mailbox: Iterable[int], limits: Limits) -> Estimate:
    """Estimate from the number of rows of each mailbox (any order, consumed once)."""
    total = largest = 0
    for rows in rows_by_mailbox:
        total += rows
        largest = max(largest, rows)
    per_row_s = CALL_S / limits.batch_items_max
    full_windows = max(0, largest - 1) // limits.mailbox_requests
    windows_s = full_windows * limits.mailbox_window_s
    last_window_s = (largest - full_windows * limits.mailbox_requests) * per_row_s
    by_mailbox_s = max(windows_s + last_window_s, largest * per_row_s)
    by_connections_s = total * per_row_s / limits.connections
    by_app_s = total / limits.requests_per_s
    return Estimate(
        calls=ceil(total / limits.batch_items_max),
        least_s=max(windows_s, by_app_s),
        expected_s=max(by_mailbox_s, by_connections_s, by_app_s),
        deciding_mailbox_rows=largest if by_mailbox_s > max(by_connections_s, by_app_s) else 0,
    )
