"""A ledger being looked at: while a run is going on, after a crash, or years later. Nothing is changed and nothing is locked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from purgeengine.core.model import Outcome
from purgeengine.core.policy.filters import UserFilter
from purgeengine.edges.ledger.staging import takeover
from purgeengine.edges.ledger.staging.folder import FolderState, state_of
from purgeengine.edges.ledger.store import database
from purgeengine.edges.ledger.store.checking import check
from purgeengine.edges.ledger.store.storage import reading_records
from purgeengine.edges.ledger.views import counts as status
from purgeengine.edges.ledger.views.history import ClosedMailbox, History, closed_mailboxes, history_of
from purgeengine.edges.ledger.views.preview import Preview, preview
from purgeengine.edges.ledger.views.sought import Review, review_of
from purgeengine.errors import LedgerError, LedgerMismatch

if TYPE_CHECKING:
    import pyarrow as pa

    from purgeengine.edges.ledger.views.selection import Selection


class LedgerReader:
    """Answers what became of the rows. Close it, or use it as a context manager."""

    def __init__(self, folder: Path) -> None:
        """For `open` only."""
        self.folder = folder
        """Where it is."""
        with self._readable():
            check(folder)
            self._connection = database.connect_to_read(folder)
            self.about = database.read_meta(self._connection)
            """What staging wrote down."""
            self.deletion = database.deletion_of(self.about)
            """How its contacts are deleted."""

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Raises `LedgerError` when there is no ledger in the folder, or it cannot be read."""
        folder = Path(folder)
        try:
            state = state_of(folder)
        except LedgerMismatch as error:
            raise LedgerError(f"{folder} is not a ledger. Check the name of the folder.") from error
        if state is FolderState.UNFINISHED:
            raise LedgerError(
                f"The ledger in {folder} is still being staged, or that was interrupted; nothing was sent from it. The run "
                "command stages it anew."
            )
        if state is FolderState.EMPTY:
            raise LedgerError(f"There is no ledger in {folder}. Check the name of the folder.")
        return cls(folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Safe to call twice."""
        self._connection.close()

    def counts(self) -> status.Counts:
        """What became of all rows."""
        with self._readable():
            return status.counts(self._connection)

    @property
    def complete(self) -> bool:
        """Whether every row has its outcome."""
        counts = self.counts()
        return counts.waiting + counts.in_doubt == 0

    def pace(self, now_utc_ms: int | None = None) -> status.SettlingRate:
        """How fast rows are being settled, at ``now_utc_ms`` or now."""
        with self._readable():
            return status.pace(self._connection, now_utc_ms)

    def batches(self) -> status.Calls:
        """How many calls were made, and how they ended."""
        with self._readable():
            return status.calls(self._connection)

    def failures(self, most: int) -> list[status.Failure]:
        """What failed rows were told, most frequent first, at most so many."""
        with self._readable():
            return status.failures(self._connection, most)

    def worst_mailboxes(self, most: int) -> list[status.WorstMailbox]:
        """Mailboxes with the most rows that did not end well, at most so many, worst first."""
        with self._readable():
            return status.worst_mailboxes(self._connection, most)

    def review(self, most: int) -> Review:
        """What a summary tells of it, with at most so many mailboxes in which nothing was found."""
        with self._readable():
            return review_of(self._connection, most)

    def preview(self, user_filter: UserFilter) -> Preview:
        """What a run would send now, and what the filter would leave out of it."""
        with self._readable():
            return preview(self._connection, user_filter)

    @property
    def identity(self) -> str:
        """Tells this ledger from every other, its copies excepted."""
        with self._readable():
            return takeover.identity(self._connection)

    def taken_over(self, now_utc_ms: int, quarantine_s: float, window_s: float) -> takeover.Takeover:
        """What a new ledger for some of these rows must know; the arguments are those of `Ledger.mailboxes`."""
        with self._readable():
            return takeover.taken_over(self._connection, now_utc_ms, quarantine_s, window_s)

    def selected(self, selection: Selection) -> Counter[Outcome]:
        """How many rows are meant, by outcome."""
        with self._readable():
            return selection.count(self._connection)

    def answers(self, outcomes: frozenset[Outcome]) -> Counter[tuple[int, str]]:
        """What rows with these outcomes were told, as (status, code), and how many."""
        from purgeengine.edges.ledger.views.selection import answers

        with self._readable():
            return answers(self._connection, outcomes)

    def mailbox_count(self) -> int:
        """Mailboxes with rows that can be sent."""
        with self._readable():
            return int(self._connection.execute("SELECT count(*) FROM mailbox").fetchone()[0])

    def history(self, buckets_max: int) -> History:
        """When the work was done, and how, with its course in at most about so many stretches."""
        with self._readable():
            return history_of(self._connection, buckets_max)

    def closed_mailboxes(self, most: int) -> tuple[int, list[ClosedMailbox]]:
        """How many mailboxes were closed, and those with most rows never sent for it."""
        with self._readable():
            return closed_mailboxes(self._connection, most)

    @property
    def first_sent_ms(self) -> int:
        """When the first batch left, in milliseconds since 1970; long after any other time where none has."""
        with self._readable():
            return int(self._connection.execute("SELECT coalesce(min(sent_ms), 1 << 62) FROM batch").fetchone()[0])

    def rows(
        self,
        only: Collection[Outcome] | None = None,
        on_progress: Callable[[int], None] | None = None,
        columns: Sequence[str] | None = None,
        scratch: Path | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Every row with what became of it, in input order, as of one moment, in bounded memory.

        The columns are those of an export (`purgeengine.edges.ledger.views.rows.schema_of`), typed. ``only`` keeps the rows with
        these outcomes, ``columns`` leaves out all others. Scratch space is taken in the folder ``scratch``, by default where
        temporary files are, and only for many rows. What else is asked of this reader meanwhile is answered as of the same
        moment.
        """
        from purgeengine.edges.ledger.views.rows import rows_of

        with self._readable():
            yield from rows_of(self.folder, self._connection, self.about, only, on_progress, columns, scratch)

    def _readable(self) -> AbstractContextManager[None]:
        return reading_records(self.folder)
