"""``purgeengine plan``: look at an input before anything is sent."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from purgeengine.commands.inputs import opening
from purgeengine.commands.options import input_arguments, limit_options, limits_from
from purgeengine.commands.prospect import as_json, prospect_of_input, show
from purgeengine.core.filters import UserFilter
from purgeengine.core.input_words import warnings_of

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
        prospect = prospect_of_input(open_input().needing_rows(), UserFilter())
    refused = prospect.unusable
    if options["as_json"]:
        warnings = warnings_of(prospect.reading)
        click.echo(msgspec.json.encode({**as_json(prospect, limits), "warnings": warnings}).decode())
    else:
        show(prospect, limits)
        for line in warnings_of(prospect.reading):
            click.echo(f"Warning: {line}", err=True)
    if refused is not None:
        raise refused
    return 0
