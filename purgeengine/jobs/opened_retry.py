"""Retry the failed rows of an earlier ledger as a new purge, which has a ledger of its own. The earlier ledger is only read."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from purgeengine.core.graph.text import printable
from purgeengine.core.model import WORTH_RETRYING, Outcome
from purgeengine.core.policy.advice import advice_for, advice_lines
from purgeengine.edges.ledger import LedgerReader, LedgerRows, Selection
from purgeengine.edges.ledger.staging.folder import FolderState, state_of
from purgeengine.edges.ledger.store.lock import FolderLock
from purgeengine.errors import UsageProblem
from purgeengine.jobs.summary import Summary, exit_code_of
from purgeengine.words import counted, number

if TYPE_CHECKING:
    from purgeengine.jobs.purge_request import PurgeRequest

ANSWERS_SHOWN = 8
"""Kinds of answers of Graph that an error lists if no row fits the choice. They fill about two lines."""


@contextmanager
def opened_retry(request: PurgeRequest) -> Iterator[Retry]:
    """Open the ledger that ``request.retry_of`` names, and choose the rows. Nothing is sent, written or locked.

    Raises `UsageProblem` if the new ledger would lie in the folder of the earlier one, or if the earlier ledger has rows without an
    outcome, unless the request says ``unfinished=True`` or the retry has begun before. Raises `LedgerError` if the earlier ledger
    cannot be read.
    """
    assert request.retry_of is not None, "the caller has looked"
    folder, new = Path(request.retry_of), request.folder
    if new is not None:
        _refuse_same_folder(folder, new, request)
    with LedgerReader.open(folder) as reader:
        selection = request.selection()
        found = reader.selected(selection)
        begins = new is None or state_of(new) is not FolderState.STAGED
        if begins and not request.unfinished:
            _refuse_unfinished(reader, request)
        deletion = reader.deletion
        known = replace(request, action=request.action or deletion.action, id_type=request.id_type or deletion.id_type)
        yield Retry(known, reader, selection, found, begins)


@dataclass(frozen=True, slots=True)
class Retry:
    """An open earlier ledger and the rows of it that are to be retried. Valid inside `opened_retry`."""

    request: PurgeRequest
    """The request. Its action and id type are those of the earlier ledger, unless it names others, which staging refuses."""
    reader: LedgerReader
    """The earlier ledger."""
    selection: Selection
    found: Counter[Outcome]
    """The number of chosen rows, by their outcome in the earlier ledger."""
    begins: bool
    """True if the new ledger does not exist yet. False if an earlier call of the same retry is resumed."""

    def rows(self) -> LedgerRows:
        """Return the chosen rows as the input of the new ledger."""
        return LedgerRows(self.reader, self.selection, self.request.limits)

    def has_work(self) -> bool:
        """Return False if there is nothing to retry because no row of the earlier ledger failed.

        Raises `UsageProblem` if rows failed but none of them was chosen, or if all chosen rows are invalid.
        """
        if not self.begins:
            return True
        if not self.found.total():
            self.refuse_wrong_choice()
            return False
        if self.found.total() == self.found[Outcome.INVALID]:
            rows = self.found.total()
            raise UsageProblem(
                f"A retry would find {'the row' if rows == 1 else f'all {number(rows)} rows'} invalid again. Nothing was sent. "
                f"{self._instead()}"
            )
        return True

    def refuse_wrong_choice(self) -> None:
        """Raise `UsageProblem` if rows of the earlier ledger failed. To be called if the request chose none of them."""
        counts = self.reader.counts()
        if exit_code_of(counts.outcomes, counts.waiting + counts.in_doubt):
            raise UsageProblem(
                f"No row of the ledger in {self.reader.folder} is {self._asked_for()}. It has {self._what_there_is()}. "
                f"Nothing was sent. {self._instead()}"
            )

    def nothing(self) -> Summary:
        """Return the summary of a retry without rows. It names the new ledger, which is not made."""
        return Summary(
            ledger=str(self.request.ledger), rows=0, outcomes={}, waiting=0, in_doubt=0, complete=True, calls=0, requests=0,
            throttled=0, lost_calls=0, closed_mailboxes=0, settled_now=0, duration_s=0.0, exit_code=0,
        )  # fmt: skip

    @contextmanager
    def nobody_else_running(self) -> Iterator[None]:
        """Lock the earlier ledger if it is unfinished, so that nobody resumes it: two runs would send to the same mailboxes.

        A folder that cannot be written cannot be resumed either, and is not locked. Raises `LedgerError` if another process uses
        the ledger now.
        """
        if self.reader.complete or not os.access(self.reader.folder, os.W_OK):
            yield
            return
        lock = FolderLock(self.reader.folder)
        lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _asked_for(self) -> str:
        """Return the choice in words."""
        only, codes = self.request.only, self.request.codes
        outcomes = "refused, exhausted or skipped" if only is None else printable(",".join(only))
        if codes is None:
            outcomes += ", apart from rows that a filter left out"
        return outcomes if codes is None else f"{outcomes} and was told {printable(','.join(map(str, codes)))}"

    def _what_there_is(self) -> str:
        """Return the outcomes of the earlier ledger, and what Graph answered for its failed rows."""
        counts = self.reader.counts().outcomes
        outcomes = [f"{number(count)} {outcome.value}" for outcome, count in counts.items() if count]
        told = [
            f"{number(rows)} × {status or 'no answer'} {printable(code)}".rstrip()
            for (status, code), rows in self.reader.answers(WORTH_RETRYING).most_common(ANSWERS_SHOWN)
        ]
        rows = "row" if sum(counts.values()) == 1 else "rows"
        return f"{', '.join(outcomes)} {rows}" + (f"; told: {', '.join(told)}" if told else "")

    def _instead(self) -> str:
        """Return what to do instead of this retry, with the commands for it."""
        situation = self.reader.review(0).situation(str(self.reader.folder))
        return "\n".join(advice_lines(advice_for([situation], windows=os.name == "nt")))


def _refuse_same_folder(folder: Path, new: Path, request: PurgeRequest) -> None:
    with suppress(OSError, RuntimeError, ValueError):  # opening such a folder fails later, and says why
        old, other = folder.resolve(), new.resolve()
        if other == old or old in other.parents:
            inside = "" if other == old else "inside "
            raise UsageProblem(
                f"A retry needs a ledger of its own, and {new} is {inside}the folder of the earlier ledger. "
                f"Name another folder with {request.spelling('ledger')}. Nothing was sent."
            )


def _refuse_unfinished(reader: LedgerReader, request: PurgeRequest) -> None:
    counts = reader.counts()
    left = counts.waiting + counts.in_doubt
    if left:
        raise UsageProblem(
            f"The ledger in {reader.folder} is not finished: {counted(left, 'row')} of it "
            f"{'has' if left == 1 else 'have'} no outcome yet. Resume that run first, and then retry. Or add "
            f"{request.spelling('unfinished=True')} to retry only the rows that have failed so far. Nothing was sent."
        )
