"""``purgeengine retry``: runs the rows of a ledger that did not end well again, in a new ledger."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from purgeengine.cli.help_groups import GroupedCommand
from purgeengine.cli.options.connection_options import connection_options
from purgeengine.cli.options.purge_options import limit_options, purge_options
from purgeengine.cli.options.request_options import OutputOptions, request_from
from purgeengine.cli.output.json_printing import print_output, running_command
from purgeengine.cli.terminal import tell_aside
from purgeengine.core.model import WORTH_RETRYING, Outcome
from purgeengine.core.policy.absent_rows import MAILBOXES_SHOWN
from purgeengine.words import counted, number

if TYPE_CHECKING:
    from purgeengine.jobs.opened_retry import Retry
    from purgeengine.jobs.purge_request import PurgeRequest

__all__ = ["WORTH_RETRYING", "retry"]

EPILOG = """\b
Examples:
  purgeengine retry ./cleanup --ledger ./cleanup-2
  purgeengine retry ./cleanup --ledger ./cleanup-2 --codes ErrorAccessDenied,5xx
  purgeengine retry ./cleanup --ledger ./cleanup-2 --only exhausted --dry-run
  purgeengine status ./cleanup ./cleanup-2               (both together)

\b
Credentials come from the environment, as for run."""


@click.command(cls=GroupedCommand, epilog=EPILOG)
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
    from purgeengine.jobs.opened_retry import opened_retry

    request, output = _request_from(options), OutputOptions.of(options)
    with opened_retry(request) as retry:
        if options["dry_run"]:
            if not output.as_json:
                _tell(retry)
            chosen = bool(retry.found.total()) or not retry.begins
            refuse = (lambda: None) if chosen else retry.refuse_wrong_choice
            return show_dry_run(retry.request, output, retry.rows, refuse)
        if not retry.has_work():
            return _nothing_to_retry(retry, as_json=output.as_json)
        if retry.begins:
            _tell_what_is_of_no_use(retry.found)
        with retry.nobody_else_running():
            return start_purge(retry.request, output, retry.rows)


def _request_from(options: Mapping[str, Any]) -> PurgeRequest:
    """Return what the options ask for. The action and the type of ids come from the earlier ledger unless they were given."""
    source_of = click.get_current_context().get_parameter_source
    asked: dict[str, Any] = {name: None for name in ("action", "id_type") if source_of(name) is ParameterSource.DEFAULT}
    asked |= {name: None if options[name] is None else (options[name],) for name in ("only", "codes")}
    return replace(
        request_from(options, time.time()),
        retry_of=options["folder"],
        unfinished=options["unfinished"],
        **asked,
    )


def _tell_what_is_of_no_use(found: Counter[Outcome]) -> None:
    """Warn about rows that were named with ``--only`` although a retry will hardly change their outcome."""
    if invalid := found[Outcome.INVALID]:
        tell_aside(f"{counted(invalid, 'row')} will be invalid again: correct the list, or an export of it.")
    if gone := sum(rows for outcome, rows in found.items() if outcome.is_gone):
        tell_aside(f"{counted(gone, 'contact')} should be gone already, and will be asked for once more.")


def _tell(retry: Retry) -> None:
    click.echo(f"{counted(retry.found.total(), 'row')} of {number(retry.reader.counts().rows)} would be retried.")
    for outcome in Outcome:
        if retry.found[outcome]:
            click.echo(f"{outcome.value:>9}  {number(retry.found[outcome])}")


def _nothing_to_retry(retry: Retry, *, as_json: bool) -> int:
    """Say that every row ended well, and return 0."""
    if as_json:
        print_output(retry.nothing().output(running_command()))
    reader = retry.reader
    counts = reader.counts()
    absence = reader.review(MAILBOXES_SHOWN).absence
    how = "has its outcome, and none failed" if absence else "ended well"
    which = "Every row of the ledger" if counts.rows else "There is no row in the ledger"
    tell_aside(f"{which} in {reader.folder}{f' {how}' if counts.rows else ''}: there is nothing to retry.")
    from purgeengine.cli.output.summary_text import absence_lines

    for line in absence_lines(absence):
        tell_aside(line)
    return 0
