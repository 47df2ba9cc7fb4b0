"""Write to the ledger in a thread, so that the event loop does not wait for the disk. One write runs at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from purgeengine.core.messages import Entry
from purgeengine.core.model import FolderRows
from purgeengine.edges.ledger import Ledger
from purgeengine.edges.ledger.running.live_figures import LiveFigures, write_live
from purgeengine.errors import LedgerError


class Recorder:
    """The ledger as the engine uses it (`LedgerPort`).

    The entries of one turn of the engine's loop are one transaction, so that a commit serves many entries.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")

    async def write(self, entries: Sequence[Entry], at_utc_ms: int) -> None:
        """Return once the entries are durable.

        Raises `LedgerError` if they cannot be written; the caller must send nothing then.
        """
        await asyncio.get_running_loop().run_in_executor(self._thread, self._ledger.write, entries, at_utc_ms)

    async def tell(self, figures: LiveFigures) -> None:
        """Write what the run says about itself, for other processes. This never fails."""
        await asyncio.get_running_loop().run_in_executor(self._thread, write_live, self._ledger.folder, figures)

    @property
    def trouble(self) -> LedgerError | None:
        """The reason to stop sending although all entries were written (the disk is nearly full), or None."""
        return self._ledger.trouble

    def folder_rows(self, runs: Iterable[range]) -> list[FolderRows]:
        """Return the rows at these positions. Raises `LedgerError` if a file of the ledger is damaged."""
        return self._ledger.folder_rows(runs)

    def user_of(self, mailbox: int) -> str:
        """Return the name of a mailbox, for messages."""
        return self._ledger.user_of(mailbox)

    def close(self) -> None:
        """Wait for the last write to end."""
        self._thread.shutdown(wait=True)
