"""``purgeengine plan``: reads an input and shows what a run would do."""

from __future__ import annotations

import time
from typing import Any

import click

from purgeengine.cli.help_groups import GroupedCommand
from purgeengine.cli.inputs import opening
from purgeengine.cli.options.json_option import json_option
from purgeengine.cli.options.purge_options import input_arguments, limit_options
from purgeengine.cli.options.request_options import request_from
from purgeengine.cli.output.json_printing import print_output
from purgeengine.cli.output.preview_text import output_of, show
from purgeengine.cli.output.reading_progress import reading_progress
from purgeengine.cli.output.transient_line import clear_transient
from purgeengine.cli.terminal import tell_aside
from purgeengine.jobs.purge_preview import preview_of, refusal_of

EPILOG = """\b
Examples:
  purgeengine plan contacts.csv
  purgeengine plan exports/ --columns user=Owner,contact=ItemId
  purgeengine plan contacts.parquet --json"""


@click.command(cls=GroupedCommand, epilog=EPILOG)
@input_arguments
@limit_options
@json_option()
def plan(**options: Any) -> int:
    """Read INPUT and show what a run would do: rows, mailboxes, invalid rows, duplicates, calls, time. Sends nothing."""
    request = request_from(options, time.time())
    with opening(request) as open_input:
        found = preview_of(request, reading_progress(quiet=False), open_input)
    error = refusal_of(found)
    clear_transient()
    if options["as_json"]:
        print_output(output_of(found, request.limits, dry_run=False, error=error))
    else:
        show(found, request.limits)
        for line in found.warnings:
            tell_aside(f"Warning: {line}")
    if error is not None:
        raise error
    return 0
