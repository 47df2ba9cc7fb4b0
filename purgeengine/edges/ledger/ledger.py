"""A ledger being used by a run: staged when it is new, checked when it is not, locked until it is closed."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from purgeengine.core.graph.operations import PERMANENT, Operation
from purgeengine.core.messages import Entry, MailboxOpened
from purgeengine.core.model import FolderRows, Item
from purgeengine.core.policy.filters import UserFilter
from purgeengine.edges.ledger.running.journal import Journal
from purgeengine.edges.ledger.running.unfinished import rest_s, unfinished_mailboxes
from purgeengine.edges.ledger.running.work_rows import WorkRows
from purgeengine.edges.ledger.staging.background import Beside
from purgeengine.edges.ledger.staging.folder import (
    FolderState,
    finish,
    prepare,
    state_of,
)
from purgeengine.edges.ledger.staging.names import Resolve
from purgeengine.edges.ledger.staging.purpose import refuse_other_purge, refuse_other_purpose
from purgeengine.edges.ledger.staging.stage import stage
from purgeengine.edges.ledger.staging.survey import Input, Progress, Reading, users_of
from purgeengine.edges.ledger.store import database
from purgeengine.edges.ledger.store.checking import check
from purgeengine.edges.ledger.store.lock import FolderLock
from purgeengine.edges.ledger.store.parts import Parts
from purgeengine.edges.ledger.store.schema import crc_of
from purgeengine.edges.ledger.store.storage import make_folder, reading_records, translated
from purgeengine.edges.ledger.views import counts as status
from purgeengine.edges.ledger.views.preview import Preview, closings, preview
from purgeengine.edges.ledger.views.sought import Review, review_of
from purgeengine.errors import LedgerError

CLOSE_MS_MAX = 1_000
"""How long closing waits for readers, so that the log can be moved into the database."""
CLOSINGS_MAX = 4_096
"""Entries of mailboxes that are left out that are written at once."""


class Ledger:
    """The record of one purge. `write` may be called from another thread than the rest, one call at a time."""

    def __init__(self, folder: Path, lock: FolderLock) -> None:
        """For `open` only; the folder is staged and locked."""
        self.folder = folder
        """Where it is."""
        self._lock = lock
        with reading_records(folder), ExitStack() as opened:
            self._writing = opened.enter_context(closing(database.connect_to_write(folder)))
            self._reading = opened.enter_context(closing(database.connect_to_read(folder)))
            about = database.read_meta(self._reading)
            self.deletion = database.deletion_of(about)
            """How its contacts are deleted."""
            self.reading = about.get("reading")
            """What was taken from its input and left alone there, as plain values; None in a ledger of an earlier version."""
            self.resolved_users = about["resolve_users"]
            """Whether the users behind its names were looked up."""
            self._journal = Journal(self._writing, folder)
            self._work = WorkRows(folder, Parts(folder, files_of(self._reading)), self._reading)
            opened.pop_all()  # from now on `close` does it
        self._closed = False

    @classmethod
    def open(
        cls,
        folder: Path,
        source: Input | None,
        *,
        tenant_id: str | None = None,
        deletion: Operation = PERMANENT,
        resolve: Resolve | None = None,
        on_progress: Progress | None = None,
        given: Mapping[str, Any] | None = None,
        reading: Reading | None = None,
    ) -> Self:
        """Open the ledger of this input, and stage the input first where the folder is new or was not finished.

        Without a ``source``, an existing ledger is opened whatever its input was. ``on_progress`` is told the rows read.
        ``given`` are the options that change the input's rows (``user``, ``clean``), which must be the same in each run;
        ``reading`` tells what was taken from a new ledger's input, which is kept.
        ``resolve`` looks up the users behind the names of a new ledger's input, so that a mailbox with two names is one; what it
        says is kept, and never asked again.
        Raises `LedgerError` when it is in use, damaged or cannot be written, `LedgerMismatch` when it belongs to another input,
        tenant or way of deleting, and `InputError` as reading the input does.
        """
        folder = Path(folder)
        state = state_of(folder)
        if source is None and state is not FolderState.STAGED:
            raise LedgerError(f"There is no ledger in {folder}. Check the name of the folder.")
        if state is not FolderState.STAGED:
            with translated(f"The folder {folder} cannot be made"):
                make_folder(folder)
        lock = FolderLock(folder)
        lock.acquire()
        try:
            about = {
                "tenant_id": tenant_id,
                "action": deletion.action,
                "id_type": deletion.id_type,
                "resolve_users": resolve is not None,
            }
            if (
                state_of(folder) is not FolderState.STAGED
            ):  # asked again: before the lock, another process may have been at it
                assert source is not None
                _stage(folder, source, {**about, "given": dict(given or {})}, on_progress, resolve, reading)
            else:
                digest = Beside(source.digest) if source is not None else None
                with translated(f"The ledger in {folder} cannot be read"):
                    check(folder)
                refuse_other_purge(folder, source, digest, about, given or {})
            with translated(f"The scratch space of the ledger in {folder} cannot be removed"):
                finish(folder)  # also where its last step was cut short
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
                # A reader (`status`, a backup) may keep the log in use; it can stay as it is, and a stop is to be quick.
                self._writing.execute(f"PRAGMA busy_timeout = {CLOSE_MS_MAX}")
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
            said = json.dumps(options)
            self._writing.execute("INSERT INTO start VALUES (?, ?, ?)", (at_utc_ms, said, crc_of(said)))

    def hold_reserve(self, batches: int) -> None:
        """Keep room on the disk for the answers of so many batches in flight. Raises `LedgerError` where there is none."""
        self._journal.reserve.hold(batches)

    @property
    def trouble(self) -> LedgerError | None:
        """Why nothing more should be sent although everything was written: the disk is full, and the reserve is being used."""
        return self._journal.trouble

    def folder_rows(self, runs: Iterable[range]) -> list[FolderRows]:
        """The rows at these positions, in their order. Raises `LedgerError` where the file that holds them is damaged."""
        with self._readable():
            return self._work.folder_rows(runs)

    def items(self, positions: Sequence[int]) -> list[Item]:
        """The same, one by one."""
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
        """Unfinished mailboxes that are not closed, the largest of them first, read as they are asked for.

        ``quarantine_s`` is how long the service may run a batch whose answer never came; ``window_s`` how long it counts requests.
        """
        with self._readable():
            yield from unfinished_mailboxes(self._reading, now_utc_ms, quarantine_s, window_s)

    def has_work(self) -> bool:
        """Whether a row is left to send."""
        return next(self.mailboxes(now_utc_ms=0, quarantine_s=0.0, window_s=0.0), None) is not None

    def run_blocked_for_s(self, now_utc_ms: int) -> float:
        """The rest of a wait that Graph asked of the whole app, in seconds."""
        with self._readable():
            until_ms, set_ms = self._reading.execute("SELECT blocked_until_ms, blocked_set_ms FROM run").fetchone()
            return rest_s(now_utc_ms, until_ms, set_ms)

    @property
    def next_batch_number(self) -> int:
        """The first number that no batch has yet."""
        return self._number("SELECT coalesce(max(number), 0) + 1 FROM batch")

    def rows_left(self) -> int:
        """Rows without an outcome: waiting, or in doubt."""
        counts = self.counts()
        return counts.waiting + counts.in_doubt

    def slowest_call_s(self) -> float | None:
        """Longest time to an answer so far."""
        with self._readable():
            return status.calls(self._reading).slowest_s

    def answered_calls(self) -> int:
        """Batches that were answered."""
        return self._number("SELECT count(*) FROM batch WHERE status BETWEEN 200 AND 299")

    def counts(self) -> status.Counts:
        """What became of the rows."""
        with self._readable():
            return status.counts(self._reading)

    def review(self, most: int) -> Review:
        """What a summary tells of it, with at most so many mailboxes in which nothing was found."""
        with self._readable():
            return review_of(self._reading, most)

    def preview(self, user_filter: UserFilter) -> Preview:
        """What a run would send, and what the filter would leave out of it."""
        with self._readable():
            return preview(self._reading, user_filter)

    def mailbox_count(self) -> int:
        """Mailboxes with rows that can be sent."""
        return self._number("SELECT count(*) FROM mailbox")

    def leave_out(self, user_filter: UserFilter, at_utc_ms: int) -> None:
        """Close every mailbox that the filter leaves out, for good. Raises `LedgerError` as `write` does."""
        entries: list[Entry] = []
        with self._readable():
            for more in closings(self._reading, user_filter):
                entries += more
                if len(entries) >= CLOSINGS_MAX:
                    self.write(entries, at_utc_ms)
                    entries = []
        if entries:
            self.write(entries, at_utc_ms)

    def mixes_names(self) -> bool:
        """Whether it names mailboxes both by user principal name and by object id, and nobody looked up whose they are."""
        upn = self._number("SELECT EXISTS (SELECT 1 FROM mailbox WHERE key LIKE '%@%')")
        guid = self._number("SELECT EXISTS (SELECT 1 FROM mailbox WHERE key NOT LIKE '%@%')")
        return bool(upn and guid) and not self.resolved_users

    def _number(self, query: str) -> int:
        with self._readable():
            return int(self._reading.execute(query).fetchone()[0])

    def _readable(self) -> Any:
        return reading_records(self.folder)


def files_of(connection: sqlite3.Connection) -> dict[str, tuple[int, int]]:
    """The Parquet files of a ledger: name to size and CRC-32 of the footer."""
    return {name: (size, crc) for name, size, crc in connection.execute("SELECT name, bytes, footer_crc FROM file")}


def _stage(
    folder: Path,
    source: Input,
    about: dict[str, Any],
    on_progress: Progress | None,
    resolve: Resolve | None,
    reading: Reading | None,
) -> None:
    earlier = source.earlier
    if earlier is not None:
        which = f"The ledger in {source.files[0]}, from which the rows are,"
        refuse_other_purpose(which, earlier.about, about, "A retry needs the same")
    about = {**about, "files": [path.name for path in source.files], "extra_columns": list(source.extra_columns)}
    names = resolve(users_of(source)) if resolve is not None else None
    with translated(f"The input cannot be copied into the ledger in {folder}"):
        prepare(folder)
        stage(folder, source, about, earlier, on_progress, names, reading)
