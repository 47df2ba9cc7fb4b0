"""``run --dry-run``: the whole way to the first call, without it. No token is needed, and nothing is written."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from purgeengine.cli.options.connection_options import endpoint_from
from purgeengine.cli.options.filter_options import filter_from, left_out_lines
from purgeengine.cli.options.hour_options import hours_from
from purgeengine.cli.options.purge_options import limits_from
from purgeengine.cli.output.preview_text import as_json, show
from purgeengine.cli.output.reading_progress import reading_progress
from purgeengine.cli.output.reading_text import opened_for, refuse_reading_in_part
from purgeengine.core.policy.input_words import warnings_of
from purgeengine.errors import UsageProblem
from purgeengine.jobs.guard_rails import refusal
from purgeengine.jobs.purge_preview import preview_of_input, preview_of_ledger

if TYPE_CHECKING:
    from purgeengine.edges.ledger.staging.survey import Input


def show_dry_run(options: Mapping[str, Any], open_input: Callable[[], Input | None]) -> int:
    """Say what a run with these options would do, on the ledger as it is. Raises what the run would raise before it sends."""
    from purgeengine.edges.ledger.staging.folder import FolderState, state_of
    from purgeengine.edges.source import Source

    limits = limits_from(options)
    endpoint_from(options)
    hours_from(options, time.time())
    user_filter = filter_from(options)
    folder = None if options["ledger_folder"] is None else Path(options["ledger_folder"])
    source = opened_for(folder, open_input)
    is_staged = folder is not None and state_of(folder) is FolderState.STAGED
    if folder is not None and is_staged:
        purge_preview = preview_of_ledger(folder, source, user_filter)
    else:
        refuse_reading_in_part(source if isinstance(source, Source) else None, options)
        assert source is not None, "only a ledger that is there is resumed without an input"
        purge_preview = preview_of_input(source, user_filter, on_progress=reading_progress(quiet=options["quiet"]))
    unusable = None if purge_preview.unusable is None else str(purge_preview.unusable)
    refused = unusable or refusal(purge_preview.preview, user_filter, options)
    warnings = [*warnings_of(purge_preview.reading), *left_out_lines(purge_preview.preview, user_filter)]
    if options["resolve_users"] and not is_staged:
        warnings.append(
            "A dry run asks Graph nothing: names are not looked up (--resolve-users), so that a mailbox with two of them counts "
            "twice here, and a list finds it by the name in the input only."
        )
    if options["as_json"]:
        found = {"dry_run": True, **as_json(purge_preview, limits), "warnings": warnings, "refused": refused}
        click.echo(msgspec.json.encode(found).decode())
    else:
        click.echo("Dry run: nothing is sent, and nothing is written.")
        show(purge_preview, limits)
        for line in warnings:
            click.echo(line, err=True)
    if refused is not None:
        raise UsageProblem(refused)
    return 0
