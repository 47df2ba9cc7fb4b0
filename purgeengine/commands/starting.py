"""From options to a summary: what `run` does once it knows its input, for every command that purges."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from purgeengine.commands.connecting import connect, way_from
from purgeengine.commands.options import deletion_from, limits_from
from purgeengine.commands.words import counted, number
from purgeengine.core.action import Action, Deletion, IdType
from purgeengine.core.guard import FailureThreshold
from purgeengine.errors import RunStopped, UsageProblem

if TYPE_CHECKING:
    from purgeengine.edges.source import Source


DELETES = {Action.PERMANENT_DELETE: "permanently deletes", Action.DELETE: "deletes (--action delete)"}
MEANS = {
    Action.PERMANENT_DELETE: "They cannot be brought back by the users.",
    Action.DELETE: "They go to Deleted Items, from where their users can put them back until the folder is emptied.",
}
MEANS_TWICE = (
    "With immutable ids, a contact whose delete is repeated after a lost answer is removed from Deleted Items as well."
)


def start_purge(options: dict[str, Any], open_input: Callable[[], Source]) -> int:
    """Purge what ``open_input`` opens, with the options of `purge_options`, `connection_options` and `limit_options`.

    Answers the exit code. Whatever can fail without a token or a ledger fails first.
    """
    from purgeengine import logs
    from purgeengine.commands.preflight import about_names, tell_of_token, warn
    from purgeengine.commands.probing import REQUESTS_MAX, look_first
    from purgeengine.commands.progress import a_display
    from purgeengine.commands.purging import Purge, log_end
    from purgeengine.commands.resolving import resolver
    from purgeengine.commands.staging import staged_ledger
    from purgeengine.commands.summary import show_summary

    limits = limits_from(options)
    threshold = FailureThreshold.parse(options["max_failures"]) if options["max_failures"] else None
    way, deletion = way_from(options), deletion_from(options)
    logs.configure_logs(options["log_format"], quiet=options["quiet"], verbose=options["verbose"])
    source = open_input()
    tokens, identity = connect(way)
    tell_of_token(tokens, identity, way)
    resolve = resolver(tokens, way, quiet=options["quiet"]) if options["resolve_users"] else None
    folder = Path(options["ledger_folder"])
    with staged_ledger(
        folder, source, identity.tenant_id, quiet=options["quiet"], deletion=deletion, resolve=resolve
    ) as ledger:
        warn(about_names(ledger.mixes_names()))
        counts = ledger.counts()
        to_purge = counts.waiting + counts.in_doubt
        _check_size(to_purge, options["max_items"])
        if to_purge:
            if options["probe"]:
                look_first(ledger, tokens, way, options["probe"], options["seed"], quiet=options["quiet"])
                limits = replace(limits, mailbox_requests=max(1, limits.mailbox_requests - REQUESTS_MAX))
            _confirm(to_purge, ledger.mailbox_count(), identity.tenant_id, deletion, yes=options["yes"])
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


def _confirm(to_purge: int, mailboxes: int, tenant: str, deletion: Deletion, *, yes: bool) -> None:
    """Ask for the number of rows; without a terminal there is nobody to ask. Raises when the answer is another."""
    if yes:
        return
    deletes = DELETES[deletion.action]
    contacts = counted(to_purge, "contact")
    if not sys.stdin.isatty():
        raise UsageProblem(
            f"This run {deletes} {contacts} and nobody can be asked: there is no terminal. Add --yes once you are sure. "
            "Nothing was sent."
        )
    click.echo(f"This {deletes} {contacts} in {counted(mailboxes, 'mailbox')} of tenant {tenant}.", err=True)
    click.echo(MEANS[deletion.action], err=True)
    if deletion == Deletion(Action.DELETE, IdType.IMMUTABLE):
        click.echo(MEANS_TWICE, err=True)
    typed = click.prompt("Type the number of contacts to go on", default="", show_default=False, err=True)
    if typed.strip().replace(",", "") != str(to_purge):
        raise RunStopped("The number was not confirmed; nothing was sent. The same command asks again.")
