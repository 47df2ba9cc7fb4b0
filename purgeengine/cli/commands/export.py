"""``purgeengine export``: writes a ledger to a file or to standard output, in input order."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from purgeengine.cli.help_groups import GroupedCommand
from purgeengine.cli.options.json_option import json_option
from purgeengine.cli.options.output_file import refuse_existing
from purgeengine.cli.options.purge_options import outcomes_named
from purgeengine.cli.output.json_printing import print_output, running_command
from purgeengine.cli.output.reading_progress import reading_progress
from purgeengine.core.graph.text import well_formed
from purgeengine.errors import UsageProblem
from purgeengine.json_output.export_output import ExportFormat, ExportOutput
from purgeengine.json_output.shared import Outcomes
from purgeengine.words import counted

if TYPE_CHECKING:
    from purgeengine.core.model import Outcome
    from purgeengine.edges.ledger import LedgerReader

STANDARD_OUTPUT = "-"

EPILOG = """\b
Examples:
  purgeengine export ./cleanup all.parquet
  purgeengine export ./cleanup failed.csv --only refused,exhausted --json
  purgeengine export ./cleanup - | gzip > all.csv.gz
  purgeengine run failed.csv --ledger ./second-try"""


@click.command(cls=GroupedCommand, epilog=EPILOG)
@click.argument("folder", metavar="DIR", type=click.Path())
@click.argument("out", metavar="OUT", type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--only", metavar="OUTCOME,...", help="Write only rows with these outcomes.")
@click.option(
    "--format", "kind", type=click.Choice(get_args(ExportFormat)), help="Format on standard output; csv if left out."
)
@click.option("--force", is_flag=True, help="Replace OUT if it exists.")
@json_option("Print what was written as one JSON object on stdout; see docs/json.md.")
@click.option("--quiet", is_flag=True, help="Show no progress.")
def export(
    folder: str, out: str, only: str | None, kind: ExportFormat | None, force: bool, as_json: bool, quiet: bool
) -> int:
    """Write the ledger in DIR to OUT, one line for each row, in input order. OUT can be used as an INPUT.

    The ending of OUT says the format: .csv, .csv.gz or .parquet. OUT may be - for standard output. A file that exists is
    replaced only with --force: it may be the list itself, or an export that somebody has corrected.
    """
    from purgeengine.edges.ledger import LedgerReader, export_file

    outcomes = outcomes_named(only) if only is not None else None
    to_stream = out == STANDARD_OUTPUT
    if to_stream and as_json:
        raise UsageProblem(
            "OUT is standard output (-), and --json prints what was written there too. Name a file, or leave --json out."
        )
    if kind is not None and not to_stream:
        raise UsageProblem(
            f"--format is for standard output (-). The ending of {out} says its format: leave --format out."
        )
    if not to_stream:
        refuse_existing(out, force=force)
    tell = reading_progress(quiet=quiet, what="the ledger")
    with LedgerReader.open(Path(folder)) as reader:
        if to_stream:
            rows = _stream(reader, kind or "csv", outcomes, tell)
        else:
            found = export_file(reader, Path(out), outcomes, tell, digest=as_json)
            rows = found.rows
    none = "" if rows or outcomes is None else f"; no row of the ledger is {' or '.join(sorted(outcomes))}"
    click.echo(f"{counted(rows, 'row')} written to {'standard output' if to_stream else out}{none}", err=True)
    if as_json:
        from purgeengine.edges.ledger.outputs.exporting import format_of

        print_output(
            ExportOutput(
                command=running_command(),
                exit_code=0,
                ledger=well_formed(folder),
                file=well_formed(out),
                format=format_of(Path(out)),
                only=None if outcomes is None else sorted(outcome.value for outcome in outcomes),
                rows=rows,
                outcomes=Outcomes.of(found.outcomes),
                without_outcome=found.without_outcome,
                bytes=found.bytes,
                sha256=found.sha256 or "",
            )
        )
    return 0


def _stream(
    reader: LedgerReader, kind: ExportFormat, outcomes: frozenset[Outcome] | None, tell: Callable[[int], None] | None
) -> int:
    """Write to standard output, and return the number of rows. Raises `UsageProblem` if a terminal would get binary data."""
    from purgeengine.edges.ledger import export_stream

    if kind != "csv" and sys.stdout.isatty():
        raise UsageProblem(
            f"Standard output is a terminal, which cannot show {kind}. Name a file, or send the output to a file or a pipe."
        )
    return export_stream(reader, sys.stdout.buffer, kind, outcomes, tell).rows
