"""``purgeengine report``: one page that tells what was asked, what became of it, when, where it failed and why."""

from __future__ import annotations

from pathlib import Path

import click

from purgeengine.cli.help_groups import GroupedCommand
from purgeengine.cli.options.json_option import json_option
from purgeengine.cli.output.json_printing import print_output, running_command
from purgeengine.errors import UsageProblem

ENDINGS = (".html", ".htm")

EPILOG = """\b
Examples:
  purgeengine report ./cleanup -o report.html
  purgeengine report ./cleanup ./cleanup-2 -o report.html      (a ledger and its retry, together)
  purgeengine report ./cleanup --json"""


@click.command(cls=GroupedCommand, epilog=EPILOG)
@click.argument("folders", metavar="DIR...", nargs=-1, required=True, type=click.Path())
@click.option(
    "-o",
    "--output",
    metavar="report.html",
    type=click.Path(dir_okay=False),
    help="The file to write. An existing one is replaced.",
)
@json_option()
@click.option("--most", type=click.IntRange(1, 1000), default=20, show_default=True, help="Most entries of each list.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def report(folders: tuple[str, ...], output: str | None, as_json: bool, most: int, quiet: bool) -> int:
    """Write a report about the ledger in DIR, or about a ledger and its retries together.

    The report is one HTML page that opens in any browser without a network, and prints well. The ledger may be unfinished.
    """
    if output is None and not as_json:
        raise UsageProblem("Name the file to write with -o report.html, or ask for --json.")
    if output is not None and not output.lower().endswith(ENDINGS):
        raise UsageProblem(f"The name {output} must end in one of {', '.join(ENDINGS)}. Nothing was written.")

    from purgeengine.cli.output.reading_progress import reading_progress
    from purgeengine.cli.output.transient_line import clear_transient
    from purgeengine.edges.ledger import Chain, failures_of
    from purgeengine.edges.report_page import findings_of, write_page

    with Chain.open([Path(folder) for folder in folders]) as chain:
        final = chain.final(reading_progress(quiet=quiet, what="the ledger"))
        clear_transient()
        findings = findings_of(chain, final, failures_of(chain, final), most)
    if output is not None:
        write_page(findings, Path(output))
        click.echo(f"Report written to {output}", err=True)
    if as_json:
        from purgeengine.edges.report_page.report_json import report_output

        print_output(report_output(findings, running_command()))
    return 0
