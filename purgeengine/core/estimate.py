"""How long a purge must take at least, and is likely to take, from the rows of each mailbox alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

from purgeengine.config import Limits
from purgeengine.core.bound import bound, by_rows


@dataclass(frozen=True, slots=True)
class Estimate:
    """``calls`` are full batches; ``least_s`` is what Graph's request limits alone demand; ``expected_s`` adds usual latency."""

    calls: int
    least_s: float
    expected_s: float
    deciding_mailbox_rows: int
    """Rows of the mailbox that decides the time, or 0 when the connections do."""


def estimate(rows_by_mailbox: Iterable[int], limits: Limits) -> Estimate:
    """Estimate from the number of rows of each mailbox (any order, consumed once).

    The scheduler comes within a few per cent of the bound, so that the bound at usual latency is what to expect.
    """
    mailboxes = by_rows(rows_by_mailbox)
    total = sum(rows * count for rows, count in mailboxes.items())
    largest = max(mailboxes, default=0)
    bounds = bound(mailboxes, limits)
    windows_s = max(0, largest - 1) // limits.mailbox_requests * limits.mailbox_window_s
    mailbox_decides = bounds.least_s > max(bounds.connections_s, bounds.app_s)
    return Estimate(
        calls=ceil(total / limits.batch_items_max),
        least_s=max(windows_s, bounds.app_s),
        expected_s=bounds.least_s,
        deciding_mailbox_rows=largest if mailbox_decides else 0,
    )
