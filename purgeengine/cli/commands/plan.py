"""``purgeengine plan``: look at an input before anything is sent."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from purgeengine.cli.inputs import opening
from purgeengine.cli.options.purge_options import input_arguments, limit_options, limits_from
from purgeengine.cli.output.preview_text import as_json, show
from purgeengine.cli.output.reading_progress import reading_progress
from purgeengine.core.policy.filters import UserFilter
from purgeengine.core.policy.input_words import warnings_of
from purgeengine.jobs.purge_preview import preview_of_input

EPILOG = """\b
Examples:
  purgeengine plan contacts.csv
  purgeengine plan exports/ --columns user=Owner,contact=ItemId
  purgeengine plan contacts.parquet --json"""


@click.command(epilog=EPILOG)
@input_arguments
@limit_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def plan(**options: Any) -> int:
    """Read INPUT and say what a run would do: rows, mailboxes, bad rows, duplicates, calls, time. Sends nothing."""
    limits = limits_from(options)
    with opening(options) as open_input:
        purge_preview = preview_of_input(
            open_input().needing_rows(), UserFilter(), on_progress=reading_progress(quiet=False)
        )
    refused = purge_preview.unusable
    if options["as_json"]:
        warnings = warnings_of(purge_preview.reading)
        click.echo(msgspec.json.encode({**as_json(purge_preview, limits), "warnings": warnings}).decode())
    else:
        show(purge_preview, limits)
        for line in warnings_of(purge_preview.reading):
            click.echo(f"Warning: {line}", err=True)
    if refused is not None:
        raise refused
    return 0
