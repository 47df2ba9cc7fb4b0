"""A ledger looked at by a program, while a run is going on or years later."""

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
"""Rows of a batch unless another number is asked for: some megabytes."""
FAILURES_MAX = 1_000
"""Kinds of failures that are told; a tenant in trouble has a few dozen."""


def open_ledger(folder: str | Path) -> OpenedLedger:
    """The ledger in ``folder``, to be used as a context manager. Nothing of it is changed or locked.

    Raises `LedgerError` where there is no ledger in the folder, or it cannot be read.
    """
    return OpenedLedger(LedgerReader.open(_named(folder)))


class OpenedLedger:
    """Answers what became of the rows. Made by `open_ledger`. Each question may raise `LedgerError`."""

    def __init__(self, reader: LedgerReader) -> None:
        self._reader = reader

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Safe to call twice."""
        self._reader.close()

    @property
    def folder(self) -> Path:
        """Where the ledger is."""
        return self._reader.folder

    @property
    def counts(self) -> Counts:
        """Rows by outcome, and those that have none yet: waiting, or in doubt. Asked anew each time."""
        return self._reader.counts()

    @property
    def complete(self) -> bool:
        """True if every row has its outcome."""
        return self._reader.complete

    @property
    def failures(self) -> list[Failure]:
        """What rows that were refused or exhausted were told, most frequent first: status, code, message, count."""
        return self._reader.failures(FAILURES_MAX)

    def rows(
        self, only: Collection[Outcome | str] | None = None, batch_rows: int = BATCH_ROWS
    ) -> Iterator[pa.RecordBatch]:
        """Every row with what became of it, in input order, as of the moment of the first one.

        The columns are those of an export (docs/ledger.md), typed. ``only`` keeps the rows with these outcomes. A batch has 1 to
        ``batch_rows`` rows; memory does not grow with the ledger. Raises `UsageProblem` for an outcome that does not exist.
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
    """The same rows in batches of ``rows``, the last one shorter; none is empty."""
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
