"""The ledger of a run. It is staged if it is new, checked if it is not, and locked until it is closed."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from purgeengine.core.graph.operations import PERMANENT, Operation
from purgeengine.core.limits.app_rate import LearnedRate
from purgeengine.core.messages import Entry, MailboxOpened
from purgeengine.core.model import FolderRows, Item
from purgeengine.core.policy.filters import UserFilter
from purgeengine.edges.ledger.running.app_limit import app_limit
from purgeengine.edges.ledger.running.journal import Journal
from purgeengine.edges.ledger.running.live_figures import remove_live
from purgeengine.edges.ledger.running.shard_events import mark_of
from purgeengine.edges.ledger.running.unfinished import QUARANTINE_S, rest_s, unfinished_mailboxes
from purgeengine.edges.ledger.running.work_rows import WorkRows
from purgeengine.edges.ledger.staging.background import ThreadedCall
from purgeengine.edges.ledger.staging.folder import (
    FolderState,
    finish,
    prepare,
    state_of,
)
from purgeengine.edges.ledger.staging.names import Resolve
from purgeengine.edges.ledger.staging.purpose import refuse_other_purge, refuse_other_purpose
from purgeengine.edges.ledger.staging.removal import missing_folders, remove_unsent
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
from purgeengine.errors import LedgerError, PurgeEngineError

CLOSE_MS_MAX = 1_000
"""Milliseconds that `Ledger.close` waits for readers before it moves the write-ahead log into the database."""
CLOSINGS_MAX = 4_096
"""Entries that `Ledger.leave_out` writes in one transaction, so that memory stays bounded."""


class Ledger:
    """The record of one purge, open for a run.

    Close it, or use it as a context manager. `write` may run in another thread than the other methods, one call at a
    time.
    """

    def __init__(self, folder: Path, lock: FolderLock) -> None:
        """Connect to a ledger that is staged and locked. Only `open` calls this."""
        self.folder = folder
        """The ledger's folder."""
        self._made: Sequence[Path] | None = None
        # The folders that were made for it, while it may be removed again: this opening staged it, and no run has begun.
        self._lock = lock
        with reading_records(folder), ExitStack() as opened:
            self._writing = opened.enter_context(closing(database.connect_to_write(folder)))
            self._reading = opened.enter_context(closing(database.connect_to_read(folder)))
            about = database.read_meta(self._reading)
            self.deletion = database.deletion_of(about)
            """Which kind of deletion the ledger's rows get."""
            self.reading = about.get("reading")
            """Which columns were used and what was ignored when the input was read. None if an earlier version made the ledger."""
            self.resolved_users = about["resolve_users"]
            """True if the users behind the names of the input were looked up."""
            self.mark = mark_of(about)
            """Which shard of which ledger this is. None if it is no shard."""
            self._journal = Journal(self._writing, folder)
            self._work = WorkRows(folder, Parts(folder, files_of(self._reading)), self._reading)
            opened.pop_all()  # no error can follow: from now on `close` closes them
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
        """Open the ledger in ``folder``, and stage the input first if the folder is new or its staging was cut short.

        - ``source`` is the input. None opens an existing ledger, whatever its input was.
        - ``tenant_id`` and ``deletion`` are kept in a new ledger. They must match those of an existing one.
        - ``resolve`` looks up the users behind the names of a new ledger's input, so that a user with two names is one mailbox.
          The ledger keeps the result and never asks again.
        - ``on_progress`` is called with the number of rows read so far.
        - ``given`` holds the options that change the rows of the input (``user``, ``clean``). Each run must give the same ones.
        - ``reading`` returns what was used of a new ledger's input. The ledger keeps it.

        Raises `LedgerError` if the ledger is in use, is damaged, or cannot be written. Raises `LedgerMismatch` if the
        ledger belongs to another input, tenant or kind of deletion. Raises `InputError` if the input cannot be read.
        What staging had made so far is removed then.
        """
        folder = Path(folder)
        state = state_of(folder)
        no_ledger = LedgerError(f"There is no ledger in {folder}. Check the name of the folder.")
        if source is None and state is not FolderState.STAGED:
            raise no_ledger
        made, is_new = missing_folders(folder), False
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
            ):  # asked again, now under the lock: another process may have staged it
                if source is None:  # another process has removed it, because its purge was refused
                    raise no_ledger
                is_new = True
                _stage(folder, source, {**about, "given": dict(given or {})}, on_progress, resolve, reading)
            else:
                digest = ThreadedCall(source.digest) if source is not None else None
                with translated(f"The ledger in {folder} cannot be read"):
                    check(folder)
                refuse_other_purge(folder, source, digest, about, given or {})
            with translated(f"The scratch space of the ledger in {folder} cannot be removed"):
                finish(folder)  # also removes what is left if the last step of staging was cut short
            ledger = cls(folder, lock)
            ledger._made = made if is_new else None
            return ledger
        except BaseException as error:
            still_there = remove_unsent(folder, made, lock) if is_new else None
            if still_there is not None and isinstance(error, PurgeEngineError):
                error.args = (f"{error} {still_there}",)
            lock.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def remove_if_new(self) -> str | None:
        """Close the ledger, and remove it if this opening has staged it. Call it only if nothing will be sent.

        Once a run has begun, the ledger stays. Returns None, or a sentence that says why the new ledger is still there.
        """
        made = self._made
        if made is None or self._closed:
            self.close()
            return None
        self._close_files()
        return remove_unsent(self.folder, made, self._lock)

    def close(self) -> None:
        """Move everything into the database file and release the lock. Safe to call twice, and after an error."""
        if self._closed:
            return
        try:
            self._close_files()
        finally:
            self._lock.release()

    def _close_files(self) -> None:
        self._closed = True
        self._journal.reserve.release()
        remove_live(self.folder)
        try:
            self._work.close()
            self._reading.close()
            with translated(f"The ledger in {self.folder} cannot be closed"):
                # A reader (`status`, a backup) may keep the log in use. The log may stay as it is then, because a
                # stop must be quick.
                self._writing.execute(f"PRAGMA busy_timeout = {CLOSE_MS_MAX}")
                self._writing.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except LedgerError:
            pass  # nothing is lost: commits stay in the write-ahead log, and the next connection reads them from there
        finally:
            self._writing.close()

    # -------------------------------------------------------------------------------------------------------- while running

    def write(self, entries: Sequence[Entry], at_utc_ms: int) -> None:
        """Write the entries durably, in their order. ``at_utc_ms`` is the wall-clock time in milliseconds since 1970.

        Raises `LedgerError` if the entries cannot be written. The caller must send nothing after that.
        """
        self._journal.write(entries, at_utc_ms)

    def begin(self, at_utc_ms: int, options: Mapping[str, Any]) -> None:
        """Record that a run begins at ``at_utc_ms`` with these options. Raises `LedgerError` if that cannot be written."""
        self._made = None
        remove_live(self.folder)  # an earlier run that died may have left its figures
        with translated(f"The ledger in {self.folder} cannot be written"):
            said = json.dumps(options)
            self._writing.execute("INSERT INTO start VALUES (?, ?, ?)", (at_utc_ms, said, crc_of(said)))

    def hold_reserve(self, batches: int) -> None:
        """Reserve disk space for the answers of this many batches in flight.

        Raises `LedgerError` if the disk has too little space.
        """
        self._journal.reserve.hold(batches)

    @property
    def trouble(self) -> LedgerError | None:
        """The reason to stop sending although all entries were written, or None.

        The only such reason is a full disk: the entries then use up the reserve.
        """
        return self._journal.trouble

    def folder_rows(self, runs: Iterable[range]) -> list[FolderRows]:
        """Return the rows at these positions, in their order, grouped by folder.

        Raises `LedgerError` if the file that holds them is damaged.
        """
        with self._readable():
            return self._work.folder_rows(runs)

    def items(self, positions: Sequence[int]) -> list[Item]:
        """Return the rows at these positions one by one. Raises `LedgerError` as `folder_rows` does."""
        with self._readable():
            return self._work.items(positions)

    def user_of(self, mailbox: int) -> str:
        """Return the name of a mailbox, for messages."""
        with self._readable():
            return self._work.user(mailbox)

    def rows_of(self, positions: Sequence[int]) -> list[int]:
        """Return the row numbers, in the input, of the rows at these positions."""
        with self._readable():
            return self._work.rows(positions)

    # -------------------------------------------------------------------------------------------- what earlier runs left

    def mailboxes(
        self, *, now_utc_ms: int, cooldown_s: float, window_s: float, quarantine_s: float = QUARANTINE_S
    ) -> Iterator[MailboxOpened]:
        """Yield the unfinished mailboxes that are not closed, the largest first. Each is read when the caller asks for it.

        ``cooldown_s`` is the time in seconds, from its sending on, for which the service may run a batch whose answer
        was lost (the cooldown). If it was waited for longer, the service may run it for as long again, ``quarantine_s``
        at most. ``window_s`` is the time in seconds for which the service counts a request.
        """
        with self._readable():
            yield from unfinished_mailboxes(self._reading, now_utc_ms, cooldown_s, window_s, quarantine_s)

    def has_work(self) -> bool:
        """True if at least one row is left to send."""
        return next(self.mailboxes(now_utc_ms=0, cooldown_s=0.0, window_s=0.0), None) is not None

    def run_blocked_for_s(self, now_utc_ms: int) -> float:
        """Seconds left of a wait that Graph asked of the whole app."""
        with self._readable():
            until_ms, set_ms = self._reading.execute("SELECT blocked_until_ms, blocked_set_ms FROM run").fetchone()
            return rest_s(now_utc_ms, until_ms, set_ms)

    def learned_rate(self, now_utc_ms: int) -> LearnedRate | None:
        """What Graph took from the whole app a second, as earlier runs or the retried ledger found out. None if unknown."""
        with self._readable():
            limit = app_limit(self._reading)
            return None if limit is None else LearnedRate(limit.per_s, limit.age_s(now_utc_ms))

    @property
    def next_batch_number(self) -> int:
        """The number for the next batch: one more than the highest that was used."""
        return self._number("SELECT coalesce(max(number), 0) + 1 FROM batch")

    def rows_left(self) -> int:
        """Rows without an outcome: waiting, or in doubt."""
        counts = self.counts()
        return counts.waiting + counts.in_doubt

    def slowest_call_s(self) -> float | None:
        """The longest time to an answer so far, in seconds. None if no call was answered."""
        with self._readable():
            return status.calls(self._reading).slowest_s

    def answered_calls(self) -> int:
        """The number of batches that Graph answered with a status from 200 to 299."""
        return self._number("SELECT count(*) FROM batch WHERE status BETWEEN 200 AND 299")

    def counts(self) -> status.Counts:
        """Count the rows by outcome and state."""
        with self._readable():
            return status.counts(self._reading)

    def review(self, most: int) -> Review:
        """Collect what a summary reports. ``most`` limits the mailboxes listed as ones in which nothing was found."""
        with self._readable():
            return review_of(self._reading, most)

    def preview(self, user_filter: UserFilter) -> Preview:
        """Count what a run would send now, and what the filter would leave out."""
        with self._readable():
            return preview(self._reading, user_filter)

    def mailbox_count(self) -> int:
        """Count the mailboxes that have rows to send."""
        return self._number("SELECT count(*) FROM mailbox")

    def leave_out(self, user_filter: UserFilter, at_utc_ms: int) -> None:
        """Close, for good, every mailbox that the filter leaves out. Raises `LedgerError` as `write` does."""
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
        """True if some mailboxes go by user principal name, others by object id, and no lookup joined them."""
        upn = self._number("SELECT EXISTS (SELECT 1 FROM mailbox WHERE key LIKE '%@%')")
        guid = self._number("SELECT EXISTS (SELECT 1 FROM mailbox WHERE key NOT LIKE '%@%')")
        return bool(upn and guid) and not self.resolved_users

    def _number(self, query: str) -> int:
        with self._readable():
            return int(self._reading.execute(query).fetchone()[0])

    def _readable(self) -> Any:
        return reading_records(self.folder)


def files_of(connection: sqlite3.Connection) -> dict[str, tuple[int, int]]:
    """Return the Parquet files of a ledger: name to (size in bytes, CRC-32 of the footer)."""
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
    names = earlier.names if earlier is not None else None
    if names is None and resolve is not None:
        names = resolve(users_of(source))
    about["resolve_users"] = names is not None
    with translated(f"The input cannot be copied into the ledger in {folder}"):
        prepare(folder)
        stage(folder, source, about, earlier, on_progress, names, reading)
