"""What is outside the purge: the service with its truth and its log, and the ledgers on the machines' disks. No product code."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from random import Random

from tests.simulation.leases.plot import Plot


@dataclass(slots=True)
class PlainLedger:
    """The ledger of a shard: what was sent, what became of it, and what the service may count. Times are true seconds."""

    rows: dict[int, int]
    """The mailbox of each row."""
    doubt: set[int] = field(default_factory=set)
    outcomes: dict[int, str] = field(default_factory=dict)
    seen: dict[int, list[tuple[float, int]]] = field(default_factory=lambda: defaultdict(list))
    blocked: dict[int, float] = field(default_factory=dict)
    flying: dict[int, tuple[int, tuple[int, ...], float]] = field(default_factory=dict)
    wait_until: float = 0.0

    @property
    def complete(self) -> bool:
        """True if every row has its outcome."""
        return len(self.outcomes) == len(self.rows)

    def resume(self, quarantine_s: float) -> None:
        """Take up the ledger after a run that is no more: what it had in flight is in doubt, and may still be running."""
        for call in list(self.flying):
            self.lose(call, quarantine_s)

    def lose(self, call: int, quarantine_s: float) -> None:
        """Record that no answer came."""
        mailbox, rows, sent_at = self.flying.pop(call)
        self.doubt |= set(rows)
        self.seen[mailbox].append((sent_at + quarantine_s, len(rows)))
        self.blocked[mailbox] = max(self.blocked.get(mailbox, 0.0), sent_at + quarantine_s)

    def settle(self, call: int, statuses: dict[int, int], now: float) -> None:
        """Record the answers to a call."""
        mailbox, rows, _ = self.flying.pop(call)
        self.seen[mailbox].append((now, len(rows)))
        for row in rows:
            if statuses[row] == 204 or row in self.doubt:
                self.outcomes[row] = "purged"
            else:
                self.outcomes[row] = "absent"

    def refuse(self, call: int) -> None:
        """Record that a call was refused as a whole, and nothing of it was run."""
        self.flying.pop(call)

    def next_call(self, plot: Plot, now: float) -> tuple[int, tuple[int, ...]] | None:
        """Return a mailbox and rows that may be sent now, or None."""
        busy = {mailbox for mailbox, _, _ in self.flying.values()}
        left: dict[int, list[int]] = defaultdict(list)
        for row, mailbox in self.rows.items():
            if row not in self.outcomes and mailbox not in busy and self.blocked.get(mailbox, 0.0) <= now:
                left[mailbox].append(row)
        for mailbox, rows in left.items():
            counted = sum(n for at, n in self.seen[mailbox] if at > now - plot.window_s - 1.0)
            room = min(4, plot.window_requests - counted)
            if room > 0:
                return mailbox, tuple(rows[:room])
        return None


class Service:
    """The simulated service: it deletes rows, counts requests, and now and then asks a whole app to wait."""

    def __init__(self, plot: Plot, rng: Random) -> None:
        self._plot = plot
        self._rng = rng
        rows = plot.shards * plot.mailboxes * plot.rows
        self.gone_before = {row for row in range(rows) if rng.random() < plot.gone_before}
        self.there = set(range(rows)) - self.gone_before
        self.requests: dict[tuple[str, int], list[float]] = defaultdict(list)
        self.over_the_window = 0

    def run(self, client_id: str, mailbox: int, rows: tuple[int, ...], now: float) -> dict[int, int]:
        """Run a call, and return the status of each row."""
        log = self.requests[client_id, mailbox]
        log += [now] * len(rows)
        self.over_the_window += sum(at > now - self._plot.window_s for at in log) > self._plot.window_requests
        statuses = {row: 204 if row in self.there else 404 for row in rows}
        self.there -= set(rows)
        return statuses
