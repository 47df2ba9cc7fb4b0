"""``run --dry-run``: does everything before the sign-in, shows what a run would do, and writes nothing."""

from __future__ import annotations

from collections.abc import Callable

import click

from purgeengine.cli.options.request_options import OutputOptions
from purgeengine.cli.output.json_printing import print_output
from purgeengine.cli.output.preview_text import output_of, show
from purgeengine.cli.output.reading_progress import reading_progress
from purgeengine.cli.output.transient_line import clear_transient
from purgeengine.cli.terminal import tell_aside
from purgeengine.errors import UsageProblem
from purgeengine.jobs.purge_preview import PurgePreview, plan, refusal_of
from purgeengine.jobs.purge_request import PurgeRequest
from purgeengine.jobs.request_input import Opener


def show_dry_run(
    request: PurgeRequest, output: OutputOptions, open_input: Opener, refuse: Callable[[], None] = lambda: None
) -> int:
    """Show what a run of this request would do with the ledger as it is. Raises what the run would raise before it signs in.

    Raises `UsageProblem` as well if the request's limits or filters would refuse the run, or if ``refuse`` does. What is shown is
    shown before.
    """
    found = plan(request, reading_progress(quiet=output.quiet), open_input)
    error = _refusal(found, refuse)
    clear_transient()
    if output.as_json:
        print_output(output_of(found, request.limits, dry_run=True, error=error))
    else:
        click.echo("Dry run: nothing is sent, and nothing is written.")
        show(found, request.limits)
        for line in found.warnings:
            tell_aside(line)
    if error is not None:
        raise error
    return 0


def _refusal(found: PurgePreview, refuse: Callable[[], None]) -> UsageProblem | None:
    if (refused := refusal_of(found)) is not None:
        return refused
    try:
        refuse()
    except UsageProblem as error:
        return error
    return None
