"""Inputs without files, and ledgers made from them, with defaults. So whatever a test sets is what the test is about."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from purgeengine.core.graph.identifiers import row_problem
from purgeengine.core.messages import BatchEnded, BatchSent, Returned, Settled
from purgeengine.core.model import Attempt, MailboxShare, Outcome, Reply
from purgeengine.edges.ledger import Ledger

PURGED = Reply(204)
NOW = 1_767_225_600_000
"""The first instant of 2026, in milliseconds since 1970."""
ID = "11111111-2222-4333-8444-{:012d}"

InputRow = Sequence[Any]
"""(user, folder, contact) and the extra columns."""


@dataclass
class FakeSource:
    """Rows in memory, with the interface of a source."""

    rows: Sequence[InputRow]
    extra_columns: tuple[str, ...] = ()
    files: tuple[Path, ...] = (Path("contacts.csv"),)
    batch_rows: int = 8_192
    rows_estimate: int | None = None
    size_bytes: int = 0
    earlier: Any = None
    doubtful: frozenset[int] = frozenset()
    """Rows that an earlier ledger left in doubt."""

    def digest(self) -> str:
        return hashlib.sha256(json.dumps(self.rows).encode()).hexdigest()

    def batches(self) -> Iterator[pa.RecordBatch]:
        names = ["row", "line", "source", "user", "folder", "contact", "reason", *self.extra_columns]
        names += ["in_doubt"] if self.doubtful else []
        for start in range(0, len(self.rows), self.batch_rows):
            rows = self.rows[start : start + self.batch_rows]
            numbers = range(start, start + len(rows))
            columns: list[pa.Array] = [
                pa.array(numbers, pa.int64()),
                pa.array([number + 2 for number in numbers], pa.int64()),
                pa.array([number * len(self.files) // len(self.rows) for number in numbers], pa.int32()),
                *(pa.array([row[place] for row in rows], pa.string()) for place in range(3)),
                pa.array([row_problem(*row[:3]) for row in rows], pa.string()),
                *(pa.array([row[3 + n] for row in rows], pa.string()) for n in range(len(self.extra_columns))),
            ]
            if self.doubtful:
                columns.append(pa.array([number in self.doubtful for number in numbers]))
            yield pa.RecordBatch.from_arrays(columns, names=names)


def a_source(*mailboxes: int, **more: Any) -> FakeSource:
    """Return an input with so many rows for each of a, b, c and so on, mailbox by mailbox."""
    return FakeSource(
        [row for number, count in enumerate(mailboxes) for row in rows_of(chr(97 + number), count)], **more
    )


def rows_of(name: str, count: int) -> list[InputRow]:
    """Return rows of one mailbox."""
    return [(f"{name}@contoso.example", "F", f"{name}-{number}") for number in range(count)]


def open_ledger(folder: Path, source: FakeSource | None, **more: Any) -> Ledger:
    return Ledger.open(folder, source, **{"tenant_id": "contoso", **more})


def sent(batch: int, *parts: tuple[int, Sequence[Attempt | int]]) -> BatchSent:
    """Return an intent. A plain position is a first attempt."""
    return BatchSent(
        batch,
        ID.format(batch),
        tuple(
            MailboxShare(mailbox, tuple(a if isinstance(a, Attempt) else Attempt(a) for a in attempts))
            for mailbox, attempts in parts
        ),
    )


def ended(batch: int, status: int | None = 200) -> BatchEnded:
    return BatchEnded(batch, status, f"request-{batch}" if status else "")


def settled(
    position: int,
    batch: int,
    outcome: Outcome = Outcome.PURGED,
    *,
    attempts: int = 1,
    in_doubt: bool = False,
    reply: Reply = PURGED,
) -> Settled:
    return Settled(position, outcome, attempts, in_doubt, batch, reply)


def returned(position: int, number: int = 1, failures: int = 0, *, in_doubt: bool = False) -> Returned:
    return Returned(position, number, failures, in_doubt)


def opened(ledger: Ledger, now: int = NOW, cooldown_s: float = 40.0, window_s: float = 600.0) -> list[Any]:
    """Return the mailboxes that a run starting at ``now`` would get."""
    return list(ledger.mailboxes(now_utc_ms=now, cooldown_s=cooldown_s, window_s=window_s))
