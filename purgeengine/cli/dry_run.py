"""``run --dry-run``: does everything before the sign-in, shows what a run would do, and writes nothing."""

from __future__ import annotations

import click
import msgspec

from purgeengine.cli.options.request_options import OutputOptions
from purgeengine.cli.output.preview_text import as_json, show
from purgeengine.cli.output.reading_progress import reading_progress
from purgeengine.cli.output.transient_line import clear_transient
from purgeengine.errors import UsageProblem
from purgeengine.jobs.purge_preview import plan
from purgeengine.jobs.purge_request import PurgeRequest
from purgeengine.jobs.request_input import Opener


def show_dry_run(request: PurgeRequest, output: OutputOptions, open_input: Opener) -> int:
    """Show what a run of this request would do with the ledger as it is. Raises what the run would raise before it signs in.

    Raises `UsageProblem` as well if the request's limits or filters would refuse the run.
    """
    found = plan(request, reading_progress(quiet=output.quiet), open_input)
    clear_transient()
    if output.as_json:
        told = {"dry_run": True, **as_json(found, request.limits), "warnings": found.warnings, "refused": found.refused}
        click.echo(msgspec.json.encode(told).decode())
    else:
        click.echo("Dry run: nothing is sent, and nothing is written.")
        show(found, request.limits)
        for line in found.warnings:
            click.echo(line, err=True)
    if found.refused is not None:
        raise UsageProblem(found.refused)
    return 0
