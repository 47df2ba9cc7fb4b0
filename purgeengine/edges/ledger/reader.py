"""Read a ledger: during a run, after a crash, or years later.

Reading changes nothing in the ledger and locks nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from purgeengine.core.model import Outcome
from purgeengine.core.policy.filters import UserFilter
from purgeengine.edges.ledger.running.app_limit import AppLimit, app_limit
from purgeengine.edges.ledger.running.live_figures import LiveFigures, read_live
from purgeengine.edges.ledger.running.shard_events import Cut, ShardMark, cut_of, mark_of
from purgeengine.edges.ledger.staging import takeover
from purgeengine.edges.ledger.staging.folder import FolderState, state_of
from purgeengine.edges.ledger.store import database
from purgeengine.edges.ledger.store.checking import check
from purgeengine.edges.ledger.store.storage import reading_records
from purgeengine.edges.ledger.views import counts as status
from purgeengine.edges.ledger.views.history import ClosedMailbox, History, average_work, closed_mailboxes, history_of
from purgeengine.edges.ledger.views.preview import Preview, preview
from purgeengine.edges.ledger.views.sought import Review, review_of
from purgeengine.edges.ledger.views.work_over_time import (
    CallsInInterval,
    MailboxWork,
    TimeGrid,
    calls_over_time,
    work_of_largest,
)
from purgeengine.errors import LedgerError, LedgerMismatch, UsageProblem

if TYPE_CHECKING:
    import pyarrow as pa

    from purgeengine.edges.ledger.views.selection import Selection


class LedgerReader:
    """Tells what became of the rows of a ledger. Close it, or use it as a context manager.

    Every method raises `LedgerError` if the ledger cannot be read, and `UsageProblem` once it is closed.
    """

    def __init__(self, folder: Path) -> None:
        """Connect to a staged ledger. Only `open` calls this."""
        self.folder = folder
        """The ledger's folder."""
        self._closed = False
        with self._readable():
            check(folder)
            self._connection = database.connect_to_read(folder)
            self.about = database.read_meta(self._connection)
            """What staging recorded about the purge."""
            self.deletion = database.deletion_of(self.about)
            """Which kind of deletion the ledger's rows get."""

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open the ledger in ``folder``. Raises `LedgerError` if there is none, or if it cannot be read."""
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
        """Close the connection. Safe to call twice."""
        self._closed = True
        self._connection.close()

    def counts(self) -> status.Counts:
        """Count the rows by outcome and state."""
        with self._readable():
            return status.counts(self._connection)

    @property
    def complete(self) -> bool:
        """True if every row has its outcome."""
        counts = self.counts()
        return counts.waiting + counts.in_doubt == 0

    def left_in_doubt(self) -> int:
        """Count the rows with an outcome that is no success, whose contacts may be gone all the same."""
        with self._readable():
            return status.left_in_doubt(self._connection)

    @property
    def in_use(self) -> bool | None:
        """True if a process runs over this ledger now, False if none does. None if that cannot be known, as on a read-only disk."""
        from purgeengine.edges.ledger.store.lock import is_in_use

        return is_in_use(self.folder)

    def pace(self, now_utc_ms: int | None = None) -> status.SettlingRate:
        """Return how fast rows are being settled, at ``now_utc_ms`` (milliseconds since 1970) or now."""
        with self._readable():
            return status.pace(self._connection, now_utc_ms)

    def batches(self) -> status.Calls:
        """Count the calls and how they ended."""
        with self._readable():
            return status.calls(self._connection)

    def failures(self, most: int) -> list[status.Failure]:
        """Return what Graph answered to failed rows: the ``most`` most frequent answers, most frequent first."""
        with self._readable():
            return status.failures(self._connection, most)

    def worst_mailboxes(self, most: int) -> list[status.WorstMailbox]:
        """Return the ``most`` mailboxes with the most failed rows, worst first."""
        with self._readable():
            return status.worst_mailboxes(self._connection, most)

    def review(self, most: int) -> Review:
        """Collect what a summary reports. ``most`` limits the mailboxes listed as ones in which nothing was found."""
        with self._readable():
            return review_of(self._connection, most)

    def preview(self, user_filter: UserFilter) -> Preview:
        """Count what a run would send now, and what the filter would leave out."""
        with self._readable():
            return preview(self._connection, user_filter)

    @property
    def mark(self) -> ShardMark | None:
        """Which shard of which ledger this is. None if it is no shard."""
        with self._readable():
            return mark_of(self.about)

    @property
    def begun(self) -> bool:
        """True if a run over this ledger has begun. What it was asked for is then recorded."""
        query = "SELECT EXISTS (SELECT 1 FROM start) OR EXISTS (SELECT 1 FROM batch)"
        with self._readable():
            return bool(self._connection.execute(query).fetchone()[0])

    def cut(self) -> Cut | None:
        """Return the latest cut of this ledger into shards, or None."""
        with self._readable():
            return cut_of(self._connection)

    @property
    def identity(self) -> str:
        """A text that tells this ledger from every other one, except from its copies."""
        with self._readable():
            return takeover.identity(self._connection)

    def taken_over(self, now_utc_ms: int, cooldown_s: float, window_s: float, quarantine_s: float) -> takeover.Takeover:
        """Return what a new ledger for some of these rows must know. The arguments are those of `Ledger.mailboxes`."""
        with self._readable():
            return takeover.taken_over(self._connection, now_utc_ms, cooldown_s, window_s, quarantine_s)

    def selected(self, selection: Selection) -> Counter[Outcome]:
        """Count the rows that a selection chooses, by outcome."""
        with self._readable():
            return selection.count(self._connection)

    def answers(self, outcomes: frozenset[Outcome]) -> Counter[tuple[int, str]]:
        """Count the rows with these outcomes by the (status, code) that Graph answered."""
        from purgeengine.edges.ledger.views.selection import answers

        with self._readable():
            return answers(self._connection, outcomes)

    def mailbox_count(self) -> int:
        """Count the mailboxes that have rows to send."""
        with self._readable():
            return int(self._connection.execute("SELECT count(*) FROM mailbox").fetchone()[0])

    def history(self, buckets_max: int) -> History:
        """Return when the work was done, and how. ``buckets_max`` limits, roughly, the intervals of its course."""
        with self._readable():
            return history_of(self._connection, buckets_max)

    def average_work(self) -> tuple[int, float]:
        """Return the rows that calls have decided, and the seconds in which runs were at work."""
        with self._readable():
            return average_work(self._connection)

    def calls_over_time(self, grid: TimeGrid) -> dict[int, CallsInInterval]:
        """Return how the calls fared that ended in each interval. Intervals without such a call are left out."""
        with self._readable():
            return calls_over_time(self._connection, grid)

    def work_of_largest(self, grid: TimeGrid, most: int) -> list[MailboxWork]:
        """Return when the rows of the ``most`` largest mailboxes were settled, largest first."""
        with self._readable():
            return work_of_largest(self._connection, grid, most)

    def app_limit(self) -> AppLimit | None:
        """Return the limit of the whole app that the runs found last, or None."""
        with self._readable():
            return app_limit(self._connection)

    def live(self, now_utc_ms: int | None = None) -> LiveFigures | None:
        """Return what the run that is going on says about itself, at ``now_utc_ms`` or now.

        None if no run is going on, or if it has not told anything in the last seconds.
        """
        if self.in_use is False:
            return None  # a process that died has left its figures
        return read_live(self.folder, round(time.time() * 1000) if now_utc_ms is None else now_utc_ms)

    @property
    def running(self) -> bool | None:
        """True if a run goes on over this ledger, False if none does. None if that cannot be known.

        The lock tells it. Where the lock cannot be tried, young figures of a run do.
        """
        in_use = self.in_use
        return in_use if in_use is not None else True if self.live() is not None else None

    def closed_mailboxes(self, most: int) -> tuple[int, list[ClosedMailbox]]:
        """Return the number of closed mailboxes, and the ``most`` of them with the most skipped rows."""
        with self._readable():
            return closed_mailboxes(self._connection, most)

    @property
    def first_sent_ms(self) -> int:
        """When the first batch was sent, in milliseconds since 1970. ``1 << 62`` if none was sent."""
        with self._readable():
            return int(self._connection.execute("SELECT coalesce(min(sent_ms), 1 << 62) FROM batch").fetchone()[0])

    def rows(
        self,
        only: Collection[Outcome] | None = None,
        on_progress: Callable[[int], None] | None = None,
        columns: Sequence[str] | None = None,
        scratch: Path | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Yield every row with its outcome, in input order, in bounded memory, all as of one moment.

        The columns are those of an export, typed (`purgeengine.edges.ledger.views.rows.schema_of`). ``only`` keeps
        the rows with these outcomes. ``columns`` keeps these columns. ``on_progress`` is called with the number of
        rows so far.

        Many rows need scratch space: it lies in the folder ``scratch``, or in the system's folder for temporary
        files. Until the last row is read, the other methods of this reader answer as of the same moment.
        """
        from purgeengine.edges.ledger.views.rows import rows_of

        with self._readable():
            yield from rows_of(self.folder, self._connection, self.about, only, on_progress, columns, scratch)

    @contextmanager
    def _readable(self) -> Iterator[None]:
        self._refuse_closed()
        try:
            with reading_records(self.folder):
                yield
        except LedgerError as error:
            if self._closed and _was_abandoned(error):
                return  # rows that nobody reads any more, after the ledger was closed
            self._refuse_closed()  # the ledger is sound: the program closed it meanwhile
            raise

    def _refuse_closed(self) -> None:
        if self._closed:
            raise UsageProblem(
                f"The ledger in {self.folder} was read after this program had closed it. Open it again to read it."
            )


def _was_abandoned(error: BaseException) -> bool:
    """Return whether the error came while Python ended a generator that nobody reads any more."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, GeneratorExit):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
