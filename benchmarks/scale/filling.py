"""Write outcomes to a ledger as fast as it takes them: through its own interface, without a scheduler or waits for the disk.

A call has twenty rows of one mailbox, as most calls of a run have, so that there are as many records.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from math import ceil
from pathlib import Path
from uuid import UUID

from benchmarks.scale.playing import BEGINS_S, outcome_of, share_left
from purgeengine.core.messages import BatchEnded, BatchSent, Entry, MailboxOpened, Settled
from purgeengine.core.model import Attempt, MailboxShare
from purgeengine.edges.ledger import Ledger

ROWS = 20
TURN_CALLS = 500
TURN_MS = 60_000
"""Milliseconds between two turns. The service forgets what it saw ten minutes ago, so the next process need not read it."""


def fill_ledger(folder: Path, share: float) -> int:
    """Settle this share of the rows to send, including earlier runs. Return how many rows were settled."""
    with Ledger.open(folder, None) as ledger:
        ledger._writing.execute("PRAGMA synchronous = OFF")
        wanted, _ = share_left(ledger, share)
        at_ms, settled = round(BEGINS_S * 1000) + 10_000_000_000, 0
        mailboxes = ledger.mailboxes(now_utc_ms=at_ms, cooldown_s=0.0, window_s=0.0)
        calls = _calls(mailboxes, ledger.next_batch_number)
        while settled < wanted and (turn := list(islice(calls, min(TURN_CALLS, ceil((wanted - settled) / ROWS))))):
            entries: list[Entry] = [sent for sent, _ in turn]
            for _, ended in turn:
                entries += ended
            ledger.write(entries, at_ms)
            settled += sum(entry.rows for entry in entries if isinstance(entry, Settled))
            at_ms += TURN_MS
        return settled


def _calls(mailboxes: Iterator[MailboxOpened], number: int) -> Iterator[tuple[BatchSent, list[Entry]]]:
    for mailbox in mailboxes:
        for first in range(mailbox.next, mailbox.end, ROWS):
            rows = range(first, min(first + ROWS, mailbox.end))
            part = MailboxShare(mailbox.mailbox, tuple(map(Attempt, rows)))
            settled = [Settled(row, *outcome_of(row, number)) for row in rows]
            ended = BatchEnded(number, 200, str(UUID(int=number << 64)))
            yield BatchSent(number, str(UUID(int=number)), (part,)), [ended, *settled]
            number += 1
