"""``purgeengine report``: one page that tells what was asked, what became of it, when, where it failed and why."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from purgeengine.cli.help_groups import GroupedCommand
from purgeengine.cli.options.json_option import json_option
from purgeengine.cli.output.json_printing import print_output, running_command
from purgeengine.errors import UsageProblem

ENDINGS = (".html", ".htm")
REFRESH_S_MIN, REFRESH_S_MAX = 2, 3_600
"""Seconds between two pages. With fewer, people see no more. With more, they can as well make the page by hand."""

EPILOG = """\b
Examples:
  purgeengine report ./cleanup -o report.html
  purgeengine report ./cleanup -o report.html --refresh 10     (while the run goes on: the page renews itself)
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
@click.option(
    "--refresh",
    "refresh_s",
    metavar="SECONDS",
    type=click.IntRange(REFRESH_S_MIN, REFRESH_S_MAX),
    help="Write the page anew every so many seconds until the run has ended or Ctrl-C comes. A browser that shows it follows.",
)
@json_option()
@click.option("--most", type=click.IntRange(1, 1000), default=20, show_default=True, help="Most entries of each list.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def report(
    folders: tuple[str, ...], output: str | None, refresh_s: int | None, as_json: bool, most: int, quiet: bool
) -> int:
    """Write a report about the ledger in DIR, or about a ledger and its retries together.

    The report is one HTML page that opens in any browser without a network, and prints well. The ledger may be unfinished.
    """
    if output is None and not as_json:
        raise UsageProblem("Name the file to write with -o report.html, or ask for --json.")
    if output is not None and not output.lower().endswith(ENDINGS):
        raise UsageProblem(f"The name {output} must end in one of {', '.join(ENDINGS)}. Nothing was written.")
    if refresh_s is not None and (output is None or as_json):
        raise UsageProblem("--refresh renews a page: give it with -o report.html, and without --json.")

    from purgeengine.cli.output.reading_progress import reading_progress
    from purgeengine.cli.output.transient_line import clear_transient

    on_progress = reading_progress(quiet=quiet or refresh_s is not None, what="the ledger")
    if refresh_s is not None and output is not None:
        return _follow(folders, Path(output), most, refresh_s, quiet)
    findings = _read(folders, most, on_progress)
    clear_transient()
    if output is not None:
        from purgeengine.edges.report_page import write_page

        write_page(findings, Path(output))
        click.echo(f"Report written to {output}", err=True)
    if as_json:
        from purgeengine.edges.report_page.report_json import report_output

        print_output(report_output(findings, running_command()))
    return 0


def _read(folders: tuple[str, ...], most: int, on_progress: Callable[[int], None] | None = None) -> dict[str, Any]:
    from purgeengine.edges.ledger import Chain, failures_of
    from purgeengine.edges.report_page import findings_of

    with Chain.open([Path(folder) for folder in folders]) as chain:
        final = chain.final(on_progress)
        return findings_of(chain, final, failures_of(chain, final), most)


def _follow(folders: tuple[str, ...], output: Path, most: int, refresh_s: int, quiet: bool) -> int:
    """Write the page until the run has ended. Ctrl-C ends it too, and is no failure: the page is whole."""
    from purgeengine.edges.report_page import follow, write_page

    if not quiet:
        click.echo(f"Writing {output} every {refresh_s} s until the run has ended; Ctrl-C ends it", err=True)
    end = follow(
        lambda: _read(folders, most),
        lambda findings, every_s: write_page(findings, output, every_s),
        refresh_s,
        clock=time.monotonic,
        wait=time.sleep,
    )
    click.echo(f"Report written to {output}. It does not renew itself any more: {end}.", err=True)
    return 0
