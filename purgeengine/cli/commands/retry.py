"""``purgeengine retry``: runs the rows of a ledger that did not end well again, in a new ledger."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from purgeengine.cli.options.connection_options import connection_options
from purgeengine.cli.options.purge_options import limit_options, outcomes_named, purge_options
from purgeengine.cli.options.request_options import OutputOptions, request_from
from purgeengine.core.graph.text import printable
from purgeengine.core.model import Outcome
from purgeengine.core.policy.absent_rows import MAILBOXES_SHOWN
from purgeengine.core.policy.advice import advice_for
from purgeengine.errors import UsageProblem
from purgeengine.words import counted, number

if TYPE_CHECKING:
    from purgeengine.edges.ledger import LedgerReader

WORTH_RETRYING = frozenset(outcome for outcome in Outcome if outcome.worth_retrying)
ANSWERS_TOLD = 8
"""Most answers that an error lists if no row has the answer that was asked for."""

EPILOG = """\b
Examples:
  purgeengine retry ./cleanup --ledger ./cleanup-2
  purgeengine retry ./cleanup --ledger ./cleanup-2 --codes ErrorAccessDenied,5xx
  purgeengine retry ./cleanup --ledger ./cleanup-2 --only exhausted --dry-run
  purgeengine status ./cleanup ./cleanup-2               (both together)

\b
Credentials come from the environment, as for run."""


@click.command(epilog=EPILOG)
@click.argument("folder", metavar="DIR", type=click.Path())
@click.option(
    "--only", metavar="OUTCOME,...", help="Retry rows with these outcomes, instead of refused, exhausted and skipped."
)
@click.option(
    "--codes",
    metavar="CODE,...",
    help="Of these, only rows with such a last answer: ErrorAccessDenied, 429, 5xx, none.",
)
@click.option("--unfinished", is_flag=True, help="Accept a DIR in which some rows have no outcome yet.")
@click.option(
    "--dry-run", is_flag=True, help="Show how many rows would be retried and what a run would do. Send nothing."
)
@purge_options
@connection_options
@limit_options
def retry(**options: Any) -> int:
    """Run the rows of the ledger in DIR that did not end well again, in a new ledger. DIR is not changed.

    Every row keeps the number that it has in the first ledger of the chain. A row that DIR left in doubt and whose contact is gone
    now counts as purged. The waits that Graph asked for, and its limit on requests in ten minutes, hold for the retry as well. To
    resume a retry, give the same command again.

    Purged, absent, duplicate and invalid rows are retried only if --only names them. Purged and absent contacts will be found
    gone, and invalid rows will be invalid again.
    """
    from purgeengine.cli.dry_run import show_dry_run
    from purgeengine.cli.starting import start_purge
    from purgeengine.edges.ledger import AnswerFilter, LedgerReader, LedgerRows, Selection

    folder, new = Path(options["folder"]), Path(options["ledger_folder"])
    _refuse_same_folder(folder, new)
    outcomes = WORTH_RETRYING if options["only"] is None else outcomes_named(options["only"])
    said = None if options["codes"] is None else AnswerFilter.parse(options["codes"])
    selection, asked_for = Selection(outcomes, said), _asked_for(options["only"], options["codes"])
    request, output = request_from(options, time.time()), OutputOptions.of(options)
    with LedgerReader.open(folder) as reader:
        request = replace(request, **_deletion_of(reader))
        found = reader.selected(selection)
        begins = not _is_ledger(new)
        if begins:
            _refuse_unfinished(reader, asked=options["unfinished"])
        if options["dry_run"]:
            if not output.as_json:
                _tell(reader, found)
            code = show_dry_run(request, output, lambda: LedgerRows(reader, selection, request.limits))
            if begins and not found.total():
                _refuse_others(reader, asked_for)
            return code
        if begins:
            if not found.total():
                _refuse_others(reader, asked_for)
                return _nothing_to_retry(reader, options["ledger_folder"], as_json=output.as_json)
            if found.total() == found[Outcome.INVALID]:
                raise _only_invalid(reader, found.total())
            _tell_what_is_of_no_use(found)
        with _nobody_else_running(reader):
            return start_purge(request, output, lambda: LedgerRows(reader, selection, request.limits))


def _deletion_of(reader: LedgerReader) -> dict[str, Any]:
    """Return the action and the type of ids of the earlier ledger, for options that were not given. Others are refused later."""
    said = {"action": reader.deletion.action, "id_type": reader.deletion.id_type}
    source_of = click.get_current_context().get_parameter_source
    return {name: value for name, value in said.items() if source_of(name) is ParameterSource.DEFAULT}


def _refuse_same_folder(folder: Path, new: Path) -> None:
    old, other = folder.resolve(), new.resolve()
    if other == old or old in other.parents:
        raise UsageProblem(
            f"A retry has a ledger of its own, and {new} is {'that of the run itself' if other == old else 'inside it'}. "
            "Name another folder with --ledger."
        )


def _is_ledger(folder: Path) -> bool:
    """Return whether the new ledger exists already. Opening it checks that it holds the same rows."""
    from purgeengine.edges.ledger.staging.folder import FolderState, state_of

    return state_of(folder) is FolderState.STAGED


def _refuse_unfinished(reader: LedgerReader, *, asked: bool) -> None:
    counts = reader.counts()
    left = counts.waiting + counts.in_doubt
    if left and not asked:
        raise UsageProblem(
            f"The ledger in {reader.folder} is not finished: {counted(left, 'row')} of it "
            f"{'has' if left == 1 else 'have'} no outcome yet. Give the command that made it again, which resumes it, and "
            "then retry; or add --unfinished to retry what has ended. Nothing was sent."
        )


@contextmanager
def _nobody_else_running(reader: LedgerReader) -> Iterator[None]:
    """Lock an unfinished ledger, so that nobody resumes it meanwhile: two runs would send to the same mailboxes.

    Where nothing can be written, it cannot be resumed either. Raises `LedgerError` when it is being used now.
    """
    from purgeengine.edges.ledger.store.lock import FolderLock

    if reader.complete or not os.access(reader.folder, os.W_OK):
        yield
        return
    lock = FolderLock(reader.folder)
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _only_invalid(reader: LedgerReader, rows: int) -> UsageProblem:
    """Return the error for a retry of invalid rows only, which would send nothing."""
    return UsageProblem(
        f"A retry would find {'the row' if rows == 1 else f'all {number(rows)} rows'} invalid again. Nothing was sent. "
        f"{_instead(reader)}"
    )


def _instead(reader: LedgerReader) -> str:
    """Return what to do instead of a retry: the sentences of `purgeengine.core.policy.advice` with their commands."""
    advice = advice_for([reader.review(0).situation(str(reader.folder))], windows=os.name == "nt")
    from purgeengine.cli.output.summary_text import advice_lines

    return "\n".join(advice_lines(advice))


def _tell_what_is_of_no_use(found: Counter[Outcome]) -> None:
    """Warn about rows that were named with ``--only`` although a retry will hardly change their outcome."""
    if invalid := found[Outcome.INVALID]:
        click.echo(f"{counted(invalid, 'row')} will be invalid again: correct the list, or an export of it.", err=True)
    if gone := sum(rows for outcome, rows in found.items() if outcome.is_gone):
        click.echo(f"{counted(gone, 'contact')} should be gone already, and will be asked for once more.", err=True)


def _tell(reader: LedgerReader, found: Counter[Outcome]) -> None:
    click.echo(f"{counted(found.total(), 'row')} of {number(reader.counts().rows)} would be retried.")
    for outcome in Outcome:
        if found[outcome]:
            click.echo(f"{outcome.value:>9}  {number(found[outcome])}")


def _refuse_others(reader: LedgerReader, asked_for: str) -> None:
    """Raise `UsageProblem` if rows did not end well, but none of them is among those asked for."""
    from purgeengine.jobs.summary import exit_code_of

    counts = reader.counts()
    if exit_code_of(counts.outcomes, counts.waiting + counts.in_doubt):
        raise UsageProblem(
            f"No row of the ledger in {reader.folder} is {asked_for}. It has {_what_there_is(reader)}. "
            f"Nothing was sent. {_instead(reader)}"
        )


def _nothing_to_retry(reader: LedgerReader, new: str, *, as_json: bool) -> int:
    """Say that every row ended well, and return 0. ``new`` is the ledger that would have been made."""
    from purgeengine.jobs.summary import Summary

    counts = reader.counts()
    if as_json:
        import msgspec

        nothing = Summary(
            ledger=new, rows=0, outcomes={}, waiting=0, in_doubt=0, complete=True, calls=0, requests=0,
            throttled=0, lost_calls=0, closed_mailboxes=0, settled_now=0, duration_s=0.0, exit_code=0,
        )  # fmt: skip
        click.echo(msgspec.json.encode(nothing.as_json()).decode())
    absence = reader.review(MAILBOXES_SHOWN).absence
    how = "has its outcome, and none failed" if absence else "ended well"
    which = "Every row of the ledger" if counts.rows else "There is no row in the ledger"
    click.echo(
        f"{which} in {reader.folder}{f' {how}' if counts.rows else ''}: there is nothing to retry.",
        err=True,
    )
    from purgeengine.cli.output.summary_text import absence_lines

    for line in absence_lines(absence):
        click.echo(line, err=True)
    return 0


def _asked_for(only: str | None, codes: str | None) -> str:
    """Return in words which rows were asked for."""
    outcomes = printable(only) or "refused, exhausted or skipped"
    return f"{outcomes} and was told {printable(codes)}" if codes is not None else outcomes


def _what_there_is(reader: LedgerReader) -> str:
    """Return the outcomes in the ledger, and the last answers of rows worth retrying, in words."""
    outcomes = [f"{number(count)} {outcome.value}" for outcome, count in reader.counts().outcomes.items() if count]
    told = [
        f"{number(rows)} × {status or 'no answer'} {printable(code)}".rstrip()
        for (status, code), rows in reader.answers(WORTH_RETRYING).most_common(ANSWERS_TOLD)
    ]
    rows = "row" if sum(reader.counts().outcomes.values()) == 1 else "rows"
    return f"{', '.join(outcomes)} {rows}" + (f"; told: {', '.join(told)}" if told else "")
