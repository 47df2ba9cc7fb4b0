"""Reads a ledger from Python, while a run is going on or years later."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from purgeengine.core.model import Outcome
from purgeengine.edges.ledger.reader import LedgerReader
from purgeengine.edges.ledger.views.counts import Counts, Failure
from purgeengine.errors import UsageProblem
from purgeengine.words import shown

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 65_536
"""Default size of a batch of `OpenedLedger.rows`, in rows: a few megabytes."""
FAILURES_MAX = 1_000
"""Most kinds of failures in `OpenedLedger.failures`. A tenant in trouble has a few dozen."""


def open_ledger(folder: str | Path) -> OpenedLedger:
    """Open the ledger in ``folder`` for reading. This changes nothing and locks nothing, so a run may go on meanwhile.

    Use the result as a context manager, or call its `OpenedLedger.close`:

        with purgeengine.open_ledger("cleanup") as ledger:
            print(ledger.counts.outcomes, ledger.complete)
            for batch in ledger.rows(only=["refused", "exhausted"]):
                print(batch.select(["user", "contact", "status", "code"]).to_pylist())

    Raises `LedgerError` if the folder holds no ledger, or one that cannot be read. The text of the error says why and what to do.
    """
    return OpenedLedger(LedgerReader.open(_named(folder)))


class OpenedLedger:
    """An open ledger, as `open_ledger` returns it: what became of each row.

    ``counts``, ``complete`` and ``failures`` are read from the disk each time, so they follow a run that is going on. While
    `rows` is read, from its first batch to its last, they stay as they were when that reading began. Each may raise
    `LedgerError`, if the ledger cannot be read, and raises `UsageProblem` once the ledger was closed.
    """

    def __init__(self, reader: LedgerReader) -> None:
        self._reader = reader

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the ledger. It is safe to call this twice."""
        self._reader.close()

    @property
    def folder(self) -> Path:
        """The folder of the ledger."""
        return self._reader.folder

    @property
    def counts(self) -> Counts:
        """How many rows have each outcome, and how many have none yet because they are waiting or in doubt."""
        return self._reader.counts()

    @property
    def complete(self) -> bool:
        """True if every row has its outcome. No row is waiting, and none is in doubt."""
        return self._reader.complete

    @property
    def failures(self) -> list[Failure]:
        """The last replies of rows that were refused or exhausted, most frequent first, with the number of rows for each."""
        return self._reader.failures(FAILURES_MAX)

    def rows(
        self, only: Collection[Outcome | str] | None = None, batch_rows: int = BATCH_ROWS
    ) -> Iterator[pa.RecordBatch]:
        """Return the rows in input order, each with what became of it, as pyarrow RecordBatches.

        All batches show one moment: that at which the first one was read. Memory does not grow with the size of the ledger.

        ``only`` names the outcomes to keep, as `Outcome` members or their names (``"refused"``). None keeps all rows, also those
        that have no outcome yet. ``batch_rows`` is the largest number of rows in one batch. Each batch has at least one row.
        The columns and their types are those of a Parquet export; docs/ledger.md describes them.

        Raises `UsageProblem` for an outcome that does not exist, and for ``batch_rows`` below 1.
        """
        if not isinstance(batch_rows, int) or isinstance(batch_rows, bool) or batch_rows < 1:
            raise UsageProblem(f"batch_rows must be a whole number of at least 1, not {shown(batch_rows)}.")
        if only is not None and not isinstance(only, Iterable):
            raise UsageProblem(f"only must be a list of outcomes, not {shown(only)}.")
        outcomes = None if only is None else [_outcome(one) for one in ([only] if isinstance(only, str) else only)]
        return _of_size(self._reader.rows(outcomes), batch_rows)


def _named(folder: object) -> Path:
    """Return the folder with this name. An empty name would be the current folder, which nobody means."""
    if not isinstance(folder, str | Path) or not str(folder).strip():
        raise UsageProblem(f"folder must be the name of a folder, not {shown(folder)}.")
    return Path(folder)


def _outcome(name: Outcome | str) -> Outcome:
    try:
        return Outcome(name)
    except ValueError:
        known = ", ".join(outcome.value for outcome in Outcome)
        raise UsageProblem(f"only names {shown(name)}, which is no outcome; there are {known}.") from None


def _of_size(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """Cut or join the batches to ``rows`` rows each. The last batch may be shorter; none is empty."""
    held: list[pa.RecordBatch] = []
    count = 0
    for batch in batches:
        while batch.num_rows:
            some = batch.slice(0, rows - count)
            held.append(some)
            count += some.num_rows
            batch = batch.slice(some.num_rows)
            if count == rows:
                yield _joined(held)
                held, count = [], 0
    if held:
        yield _joined(held)


def _joined(held: list[pa.RecordBatch]) -> pa.RecordBatch:
    import pyarrow as pa

    (batch,) = pa.Table.from_batches(held).combine_chunks().to_batches()
    return batch
