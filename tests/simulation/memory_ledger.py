"""A ledger in memory for tests of the engine alone. It checks the promises for every entry."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from purgeengine.core.messages import BatchSent, Entry, MailboxClosed, MailboxOpened, Returned, Settled
from purgeengine.core.model import FolderRows, Item
from tests.support.fixtures import folder_rows_of


class MemoryLedger:
    """Keeps entries in memory, and checks the promises for each."""

    trouble = None

    def __init__(self, rows_by_mailbox: Sequence[int]) -> None:
        ends = list(accumulate(rows_by_mailbox))
        self._ranges = [(end - rows, end) for end, rows in zip(ends, rows_by_mailbox, strict=True)]
        self._items = [
            Item(f"user{mailbox:05d}@contoso.example", "", f"AAMkAGI2{position:08d}=")
            for mailbox, (first, end) in enumerate(self._ranges)
            for position in range(first, end)
        ]
        self.settled: dict[int, Settled] = {}
        self.closed: dict[int, MailboxClosed] = {}
        self.sent: Counter[int] = Counter()
        self.intents: set[str] = set()

    def __len__(self) -> int:
        return len(self._items)

    def mailboxes(self) -> Iterator[MailboxOpened]:
        """Return all mailboxes, the largest first."""
        order = sorted(range(len(self._ranges)), key=lambda m: self._ranges[m][0] - self._ranges[m][1])
        return iter([MailboxOpened(mailbox, *self._ranges[mailbox]) for mailbox in order])

    def folder_rows(self, runs: Iterable[range]) -> list[FolderRows]:
        """Return the rows at these positions."""
        return folder_rows_of(self._items[position] for run in runs for position in run)

    def user(self, mailbox: int) -> str:
        """Return the name of a mailbox."""
        return self._items[self._ranges[mailbox][0]].user

    user_of = user

    async def write(self, entries: Sequence[Entry], at_utc_ms: int) -> None:
        """Take entries. They are durable at once."""
        await asyncio.sleep(0.001)
        for entry in entries:
            if isinstance(entry, BatchSent):
                self.intents.add(entry.client_request_id)
                for share in entry.shares:
                    for attempt in share.attempts:
                        assert attempt.position not in self.settled, "a settled row was sent again"
                        self.sent[attempt.position] += 1
            elif isinstance(entry, Settled):
                for row in entry.each():
                    assert row.position not in self.settled, "a row was settled twice"
                    self.settled[row.position] = row
            elif isinstance(entry, Returned):
                assert entry.position not in self.settled, "a settled row was returned"
            elif isinstance(entry, MailboxClosed):
                self.closed[entry.mailbox] = entry
