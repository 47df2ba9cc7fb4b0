"""``purgeengine plan``: reads an input and shows what a run would do."""

from __future__ import annotations

import time
from typing import Any

import click
import msgspec

from purgeengine.cli.help_groups import GroupedCommand
from purgeengine.cli.inputs import opening
from purgeengine.cli.options.purge_options import input_arguments, limit_options
from purgeengine.cli.options.request_options import request_from
from purgeengine.cli.output.preview_text import as_json, show
from purgeengine.cli.output.reading_progress import reading_progress
from purgeengine.cli.output.transient_line import clear_transient
from purgeengine.jobs.purge_preview import preview_of, refuse_planned

EPILOG = """\b
Examples:
  purgeengine plan contacts.csv
  purgeengine plan exports/ --columns user=Owner,contact=ItemId
  purgeengine plan contacts.parquet --json"""


@click.command(cls=GroupedCommand, epilog=EPILOG)
@input_arguments
@limit_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def plan(**options: Any) -> int:
    """Read INPUT and show what a run would do: rows, mailboxes, invalid rows, duplicates, calls, time. Sends nothing."""
    request = request_from(options, time.time())
    with opening(request) as open_input:
        found = preview_of(request, reading_progress(quiet=False), open_input)
    clear_transient()
    if options["as_json"]:
        click.echo(msgspec.json.encode({**as_json(found, request.limits), "warnings": found.warnings}).decode())
    else:
        show(found, request.limits)
        for line in found.warnings:
            click.echo(f"Warning: {line}", err=True)
    refuse_planned(found)
    return 0
