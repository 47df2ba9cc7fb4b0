"""A ledger being used by a run: staged when it is new, checked when it is not, locked until it is closed."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from purgeengine.core.messages import Entry, MailboxOpened
from purgeengine.core.model import Item
from purgeengine.edges.ledger import database, status
from purgeengine.edges.ledger.folder import FolderState, finish, prepare, state_of
from purgeengine.edges.ledger.items import WorkRows
from purgeengine.edges.ledger.journal import Journal
from purgeengine.edges.ledger.lock import FolderLock
from purgeengine.edges.ledger.parts import Parts
from purgeengine.edges.ledger.resume import rest_s, unfinished_mailboxes
from purgeengine.edges.ledger.staging import stage
from purgeengine.edges.ledger.storage import translated
from purgeengine.edges.ledger.survey import Input, Progress
from purgeengine.errors import LedgerError, LedgerMismatch


class Ledger:
    """The record of one purge. `write` may be called from another thread than the rest, one call at a time."""

    def __init__(self, folder: Path, lock: FolderLock) -> None:
        """For `open` only; the folder is staged and locked."""
        self.folder = folder
        """Where it is."""
        self._lock = lock
        with translated(f"The ledger in {folder} cannot be opened"):
            self._writing = database.connect_to_write(folder)
            self._reading = database.connect_to_read(folder)
            self._journal = Journal(self._writing, folder)
            self._work = WorkRows(folder, Parts(folder, files_of(self._reading)), self._reading)
        self._closed = False

    @classmethod
    def open(
        cls,
        folder: Path,
        source: Input | None,
        *,
        tenant_id: str | None = None,
        action: str = "permanentDelete",
        on_progress: Progress | None = None,
    ) -> Self:
        """Open the ledger of this input, and stage the input first where the folder is new or was not finished.

        Without a ``source``, an existing ledger is opened as it is. ``on_progress`` is told the rows read while staging.
        Raises `LedgerError` when it is in use, damaged or cannot be written, `LedgerMismatch` when it belongs to another input,
        tenant or action, and `InputError` as reading the input does.
        """
        folder = Path(folder)
        state = state_of(folder)
        if source is None and state is not FolderState.STAGED:
            raise LedgerError(f"There is no ledger in {folder}. Check the name of the folder.")
        with translated(f"The folder {folder} cannot be made"):
            folder.mkdir(parents=True, exist_ok=True)
        lock = FolderLock(folder)
        lock.acquire()
        try:
            about = {"tenant_id": tenant_id, "action": action}
            if (
                state_of(folder) is not FolderState.STAGED
            ):  # asked again: before the lock, another process may have been at it
                assert source is not None
                _stage(folder, source, about, on_progress)
            elif source is not None:
                _compare(folder, source, about)
            return cls(folder, lock)
        except BaseException:
            lock.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Move everything into the database file and release the lock. Safe to call twice, and after an error."""
        if self._closed:
            return
        self._closed = True
        self._journal.reserve.release()
        try:
            self._work.close()
            self._reading.close()
            with translated(f"The ledger in {self.folder} cannot be closed"):
                self._writing.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except LedgerError:
            pass  # nothing is lost: what was committed stands in the write-ahead log, which the next opening takes in
        finally:
            self._writing.close()
            self._lock.release()

    # -------------------------------------------------------------------------------------------------------- while running

    def write(self, entries: Sequence[Entry], at_utc_ms: int) -> None:
        """Make the entries durable, in their order; ``at_utc_ms`` is the time by the wall clock.

        Raises `LedgerError` when that fails; then nothing may be sent any more.
        """
        self._journal.write(entries, at_utc_ms)

    def begin(self, at_utc_ms: int, options: Mapping[str, Any]) -> None:
        """Note that a run begins, and what it was asked for. Raises `LedgerError` when that cannot be written."""
        with translated(f"The ledger in {self.folder} cannot be written"):
            self._writing.execute("INSERT INTO start VALUES (?, ?)", (at_utc_ms, json.dumps(options)))

    def hold_reserve(self, batches: int) -> None:
        """Keep room on the disk for the answers of so many batches in flight. Raises `LedgerError` where there is none."""
        self._journal.reserve.hold(batches)

    @property
    def trouble(self) -> LedgerError | None:
        """Why nothing more should be sent although everything was written: the disk is full, and the reserve is being used."""
        return self._journal.trouble

    def items(self, positions: Sequence[int]) -> list[Item]:
        """The rows at these positions, in their order. Raises `LedgerError` where the file that holds them is damaged."""
        with self._readable():
            return self._work.items(positions)

    def user_of(self, mailbox: int) -> str:
        """The name of a mailbox, for people."""
        with self._readable():
            return self._work.user(mailbox)

    def rows_of(self, positions: Sequence[int]) -> list[int]:
        """The numbers of these rows in the input."""
        with self._readable():
            return self._work.rows(positions)

    # -------------------------------------------------------------------------------------------- what earlier runs left

    def mailboxes(self, *, now_utc_ms: int, quarantine_s: float, window_s: float) -> Iterator[MailboxOpened]:
        """Unfinished mailboxes that are not closed, largest first, read as they are asked for.

        ``quarantine_s`` is how long the service may run a batch whose answer never came; ``window_s`` how long it counts requests.
        """
        with self._readable():
            yield from unfinished_mailboxes(self._reading, now_utc_ms, quarantine_s, window_s)

    def has_work(self) -> bool:
        """Whether a row is left to send."""
        return next(self.mailboxes(now_utc_ms=0, quarantine_s=0.0, window_s=0.0), None) is not None

    def run_blocked_for_s(self, now_utc_ms: int) -> float:
        """The rest of a wait that Graph asked of the whole app, in seconds."""
        until_ms, set_ms = self._row("SELECT blocked_until_ms, blocked_set_ms FROM run")
        return rest_s(now_utc_ms, until_ms, set_ms)

    @property
    def next_batch_number(self) -> int:
        """The first number that no batch has yet."""
        return int(self._row("SELECT coalesce(max(number), 0) + 1 FROM batch")[0])

    def slowest_call_s(self) -> float | None:
        """Longest time to an answer so far."""
        with self._readable():
            return status.calls(self._reading).slowest_s

    def answered_calls(self) -> int:
        """Batches that were answered."""
        return int(self._row("SELECT count(*) FROM batch WHERE status BETWEEN 200 AND 299")[0])

    def counts(self) -> status.Counts:
        """What became of the rows."""
        with self._readable():
            return status.counts(self._reading)

    def mailbox_count(self) -> int:
        """Mailboxes with rows to send or sent."""
        return int(self._row("SELECT count(*) FROM mailbox")[0])

    def _row(self, query: str) -> Any:
        with self._readable():
            return self._reading.execute(query).fetchone()

    def _readable(self) -> Any:
        return translated(f"The ledger in {self.folder} cannot be read")


def files_of(connection: sqlite3.Connection) -> dict[str, tuple[int, int]]:
    """The Parquet files of a ledger: name to size and CRC-32 of the footer."""
    return {name: (size, crc) for name, size, crc in connection.execute("SELECT name, bytes, footer_crc FROM file")}


def _stage(folder: Path, source: Input, about: dict[str, Any], on_progress: Progress | None) -> None:
    names = [path.name for path in source.files]
    earlier = source.earlier
    if earlier is not None:
        which = f"The ledger in {source.files[0]}, from which the rows are,"
        _refuse_other_purpose(which, earlier.about, about, "A retry needs the same.")
    with translated(f"The input cannot be copied into the ledger in {folder}"):
        prepare(folder)
        stage(
            folder, source, {**about, "files": names, "extra_columns": list(source.extra_columns)}, earlier, on_progress
        )
        finish(folder)


def _compare(folder: Path, source: Input, about: dict[str, Any]) -> None:
    """Refuse to mix two purges in one ledger."""
    with translated(f"The ledger in {folder} cannot be read"):
        connection = database.connect_to_read(folder)
        try:
            kept = database.read_meta(connection)
        finally:
            connection.close()
    _refuse_other_purpose(f"The ledger in {folder}", kept, about, "Use another folder for this purge.")
    if kept["digest"] != source.digest() or kept["extra_columns"] != list(source.extra_columns):
        raise LedgerMismatch(
            f"The ledger in {folder} was made from another input ({', '.join(kept['files'][:3])}). Nothing was sent. Give the "
            "original input, unchanged and with the same columns, to resume, or use another folder for this one."
        )


def _refuse_other_purpose(which: str, kept: Mapping[str, Any], about: Mapping[str, Any], advice: str) -> None:
    for what, name in (("tenant", "tenant_id"), ("action", "action")):
        if kept[name] != about[name]:
            raise LedgerMismatch(
                f"{which} belongs to the {what} {kept[name]}, not {about[name]}. Nothing was sent. {advice}"
            )
