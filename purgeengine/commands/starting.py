"""From options to a summary: what `run` does once it knows its input, for every command that purges."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from purgeengine.commands.connecting import connect, way_from
from purgeengine.commands.options import limits_from
from purgeengine.commands.words import counted, number
from purgeengine.core.guard import FailureThreshold
from purgeengine.errors import RunStopped, UsageProblem

if TYPE_CHECKING:
    from purgeengine.edges.ledger.survey import Input


def start_purge(options: dict[str, Any], open_input: Callable[[], Input]) -> int:
    """Purge what ``open_input`` opens, with the options of `purge_options`, `connection_options` and `limit_options`.

    Answers the exit code. Whatever can fail without a token or a ledger fails first.
    """
    from purgeengine import logs
    from purgeengine.commands.progress import a_display
    from purgeengine.commands.purging import Purge, log_end
    from purgeengine.commands.staging import staged_ledger
    from purgeengine.commands.summary import show_summary

    limits = limits_from(options)
    threshold = FailureThreshold.parse(options["max_failures"]) if options["max_failures"] else None
    way = way_from(options)
    logs.configure_logs(options["log_format"], quiet=options["quiet"], verbose=options["verbose"])
    source = open_input()
    tokens, identity = connect(way)
    with staged_ledger(Path(options["ledger_folder"]), source, identity.tenant_id, quiet=options["quiet"]) as ledger:
        counts = ledger.counts()
        to_purge = counts.waiting + counts.in_doubt
        _check_size(to_purge, options["max_items"])
        if to_purge:
            _confirm(to_purge, ledger.mailbox_count(), identity.tenant_id, yes=options["yes"])
        purge = Purge(ledger, tokens, way, limits, a_display(quiet=options["quiet"]), threshold, options["seed"])
        summary = purge.run()
    log_end(summary)
    show_summary(summary, as_json=options["as_json"])
    return summary.exit_code


def _check_size(to_purge: int, max_items: int | None) -> None:
    if max_items is not None and to_purge > max_items:
        raise UsageProblem(
            f"The input holds {counted(to_purge, 'row')} to purge, more than the {number(max_items)} that --max-items "
            "allows. Nothing was sent."
        )


def _confirm(to_purge: int, mailboxes: int, tenant: str, *, yes: bool) -> None:
    """Ask for the number of rows; without a terminal there is nobody to ask. Raises when the answer is another."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageProblem(
            f"This would permanently delete {counted(to_purge, 'contact')} and nobody can be asked: there is no terminal. "
            "Add --yes once you are sure. Nothing was sent."
        )
    click.echo(
        f"This permanently deletes {counted(to_purge, 'contact')} in {counted(mailboxes, 'mailbox')} of tenant {tenant}.\n"
        "They cannot be brought back by the users.",
        err=True,
    )
    typed = click.prompt("Type the number of contacts to go on", default="", show_default=False, err=True)
    if typed.strip().replace(",", "") != str(to_purge):
        raise RunStopped("The number was not confirmed; nothing was sent. The same command asks again.")
