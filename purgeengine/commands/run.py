"""``purgeengine run``: purge the contacts of an input, or resume doing so."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from purgeengine.commands.options import column_map, input_arguments, limit_options, limits_from
from purgeengine.commands.words import counted, number
from purgeengine.config import CLOUDS
from purgeengine.core.guard import FailureThreshold
from purgeengine.errors import RunStopped, UsageProblem

EPILOG = """\b
Examples:
  purgeengine run contacts.csv --ledger ./cleanup
  purgeengine run exports/ --ledger ./cleanup --yes --max-failures 2% --json
  purgeengine run contacts.csv --ledger ./cleanup          (again: resumes)

\b
Credentials come from the environment: AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or a ready
token in PURGEENGINE_ACCESS_TOKEN. HTTPS_PROXY and NO_PROXY are honoured."""


@click.command(epilog=EPILOG)
@input_arguments
@click.option(
    "--ledger", "ledger_folder", required=True, type=click.Path(), help="Folder of the ledger; made when new."
)
@click.option("--yes", is_flag=True, help="Do not ask before purging.")
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing.")
@click.option("--max-items", type=click.IntRange(min=0), metavar="N", help="Refuse an input with more rows to purge.")
@click.option("--max-failures", metavar="N|P%", help="Stop when more rows than this have failed.")
@click.option("--cloud", type=click.Choice(list(CLOUDS)), default="global", show_default=True, help="National cloud.")
@click.option("--graph-url", metavar="URL", help="Graph root, instead of the cloud's.")
@click.option("--authority", metavar="URL", help="Login root, instead of the cloud's.")
@click.option("--ca-file", type=click.Path(), metavar="PEM", help="Certificates to trust for login and Graph.")
@limit_options
@click.option("--seed", type=int, help="Repeat the same random choices.")
@click.option("--json", "as_json", is_flag=True, help="The summary as one JSON object on stdout.")
@click.option("--log-format", type=click.Choice(["console", "json"]), default="console", show_default=True)
@click.option("--verbose", is_flag=True, help="Log every batch and row.")
@click.option("--quiet", is_flag=True, help="No progress, and only warnings in the log.")
def run(**options: Any) -> int:
    """Permanently delete the contacts listed in INPUT (CSV or Parquet files, or a folder of them).

    The same command again resumes: nothing that has its outcome is sent again. Ctrl-C stops in an orderly way, a second
    Ctrl-C at once; both are resumable.
    """
    limits = limits_from(options)
    threshold = FailureThreshold.parse(options["max_failures"]) if options["max_failures"] else None
    columns = column_map(options["columns"])
    cloud = CLOUDS[options["cloud"]]
    if not cloud.has_permanent_delete:
        raise UsageProblem(
            f"The {cloud.name} cloud has no contact permanentDelete; Microsoft offers it in the global cloud only. "
            "Nothing was sent."
        )
    if options["dry_run"]:
        from purgeengine.commands.plan import show_plan

        return show_plan(options["inputs"], columns, limits, as_json=options["as_json"], max_items=options["max_items"])
    return _purge(options, limits, threshold, columns)


def _purge(options: dict[str, Any], limits: Any, threshold: FailureThreshold | None, columns: Any) -> int:
    from purgeengine import logs
    from purgeengine.commands.progress import a_display
    from purgeengine.commands.purging import Purge, Way, log_end, run_loop
    from purgeengine.commands.signals import leave_on_signal
    from purgeengine.commands.staging import staged_ledger
    from purgeengine.commands.summary import show_summary
    from purgeengine.edges.source import open_source
    from purgeengine.edges.tokens import tokens_from_environment
    from purgeengine.streams import to_whoever_reads

    logs.configure_logs(options["log_format"], quiet=options["quiet"], verbose=options["verbose"])
    cloud = CLOUDS[options["cloud"]]
    way = Way(
        graph_url=options["graph_url"] or cloud.graph_url,
        authority_url=options["authority"] or cloud.authority_url,
        ca_file=Path(options["ca_file"]) if options["ca_file"] else None,
    )
    source = open_source(options["inputs"], columns)
    tokens = tokens_from_environment(
        os.environ, authority_url=way.authority_url, graph_url=way.graph_url, ca_file=way.ca_file
    )
    with leave_on_signal():
        run_loop(tokens.token())  # fails now rather than after staging
    identity = tokens.describe()
    with staged_ledger(Path(options["ledger_folder"]), source, identity.tenant_id, quiet=options["quiet"]) as ledger:
        counts = ledger.counts()
        to_purge = counts.waiting + counts.in_doubt
        _check_size(to_purge, options["max_items"])
        if to_purge:
            _confirm(to_purge, ledger.mailbox_count(), identity.tenant_id, yes=options["yes"])
        purge = Purge(ledger, tokens, way, limits, a_display(quiet=options["quiet"]), threshold, options["seed"])
        summary = purge.run()
    log_end(summary)
    with to_whoever_reads():
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
