"""Lets the event loop go on while the ledger waits for the disk: one thread, one write at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from purgeengine.core.messages import Entry
from purgeengine.core.model import FolderRows
from purgeengine.edges.ledger import Ledger
from purgeengine.errors import LedgerError


class Recorder:
    """The ledger as the engine wants it. What a turn of the loop gathers is one transaction, so that commits are grouped."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")

    async def write(self, entries: Sequence[Entry], at_utc_ms: int) -> None:
        """Return when the entries are durable. Raises `LedgerError` when they cannot be; nothing may be sent then."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._ledger.write, entries, at_utc_ms)

    @property
    def trouble(self) -> LedgerError | None:
        """The reason to send nothing more, although everything so far was written (the disk is nearly full, say); None for none."""
        return self._ledger.trouble

    def folder_rows(self, runs: Iterable[range]) -> list[FolderRows]:
        """The rows at these positions. Raises `LedgerError` when a part of the ledger is damaged."""
        return self._ledger.folder_rows(runs)

    def user_of(self, mailbox: int) -> str:
        """The name of a mailbox, for people."""
        return self._ledger.user_of(mailbox)

    def close(self) -> None:
        """Wait for the last write."""
        self._thread.shutdown(wait=True)
