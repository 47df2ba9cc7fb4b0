"""``purgeengine export``: writes a ledger to a file, in input order."""

from __future__ import annotations

from pathlib import Path

import click

from purgeengine.cli.help_groups import GroupedCommand
from purgeengine.cli.options.purge_options import outcomes_named
from purgeengine.words import counted

EPILOG = """\b
Examples:
  purgeengine export ./cleanup all.parquet
  purgeengine export ./cleanup failed.csv --only refused,exhausted
  purgeengine run failed.csv --ledger ./second-try"""


@click.command(cls=GroupedCommand, epilog=EPILOG)
@click.argument("folder", metavar="DIR", type=click.Path())
@click.argument("out", metavar="OUT", type=click.Path(dir_okay=False))
@click.option("--only", metavar="OUTCOME,...", help="Write only rows with these outcomes.")
def export(folder: str, out: str, only: str | None) -> int:
    """Write the ledger in DIR to OUT (.csv or .parquet), one line for each row, in input order. OUT can be used as an INPUT."""
    from purgeengine.edges.ledger import LedgerReader
    from purgeengine.edges.ledger import export as write_export

    outcomes = outcomes_named(only) if only is not None else None
    with LedgerReader.open(Path(folder)) as reader:
        rows = write_export(reader, Path(out), outcomes)
    none = "" if rows or outcomes is None else f"; no row of the ledger is {' or '.join(sorted(outcomes))}"
    click.echo(f"{counted(rows, 'row')} written to {out}{none}", err=True)
    return 0
