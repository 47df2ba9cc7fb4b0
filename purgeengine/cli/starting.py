"""From options to a summary: what `run` does once it knows its input, for every command that purges."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from purgeengine.cli.confirmation import confirm
from purgeengine.cli.options.connection_options import endpoint_from
from purgeengine.cli.options.filter_options import filter_from, left_out_lines
from purgeengine.cli.options.hour_options import hours_from
from purgeengine.cli.options.purge_options import deletion_from, limits_from
from purgeengine.cli.output.reading_progress import reading_progress
from purgeengine.cli.output.reading_text import opened_for, refuse_reading_in_part
from purgeengine.cli.sign_in import connect
from purgeengine.cli.signals import keep_outcome, stop_on_signal
from purgeengine.cli.terminal import tell_aside
from purgeengine.core.policy.auto_stop import FailureThreshold
from purgeengine.core.policy.input_words import lines_of, warnings_of
from purgeengine.errors import UsageProblem
from purgeengine.jobs.guard_rails import refusal

if TYPE_CHECKING:
    from purgeengine.core.policy.filters import UserFilter
    from purgeengine.edges.ledger import Ledger, Preview
    from purgeengine.edges.ledger.staging.survey import Input


def start_purge(options: dict[str, Any], open_input: Callable[[], Input | None]) -> int:
    """Purge what ``open_input`` opens, with the options of `purge_options`, `connection_options` and `limit_options`.

    Where it opens nothing (None), the ledger is resumed as it is. Answers the exit code. Whatever can fail without a token or a
    ledger fails first.
    """
    from purgeengine import logs
    from purgeengine.cli.output.progress_display import a_display
    from purgeengine.cli.output.summary_text import show_summary
    from purgeengine.cli.standard_streams import to_whoever_reads
    from purgeengine.edges.ledger.staging.folder import FolderState, state_of
    from purgeengine.edges.source import Source
    from purgeengine.jobs.preflight import about_cloud, about_names, tell_of_token, warn
    from purgeengine.jobs.probe import REQUESTS_MAX, look_first
    from purgeengine.jobs.purge import Purge, log_doubt, log_end
    from purgeengine.jobs.resolve_users import resolver
    from purgeengine.jobs.staging import staged_ledger

    limits = limits_from(options)
    threshold = FailureThreshold.parse(options["max_failures"]) if options["max_failures"] else None
    hours = hours_from(options, time.time())
    endpoint, deletion = endpoint_from(options), deletion_from(options)
    logs.configure_logs(options["log_format"], quiet=options["quiet"], verbose=options["verbose"])
    user_filter = filter_from(options)
    folder = Path(options["ledger_folder"])
    source = opened_for(folder, open_input)
    read = source if isinstance(source, Source) else None
    if state_of(folder) is not FolderState.STAGED:  # what a ledger was made from was agreed on
        refuse_reading_in_part(read, options)
    tokens, identity = connect(endpoint)
    tell_of_token(tokens, identity, endpoint)
    warn([about_cloud(endpoint, deletion.action)])
    resolve = resolver(tokens, endpoint, quiet=options["quiet"], tell=tell_aside) if options["resolve_users"] else None
    with staged_ledger(
        folder,
        source,
        identity.tenant_id,
        on_progress=reading_progress(quiet=options["quiet"]),
        deletion=deletion,
        resolve=resolve,
        given=None if read is None else {"user": read.user, "clean": read.clean},
        reading=None if read is None else read.reading,
    ) as ledger:
        warn(about_names(ledger.mixes_names()))
        preview = _allowed(ledger, user_filter, options)
        if preview.rows:
            _tell_of_reading(ledger, options)
        if preview.rows and options["probe"]:
            look_first(
                ledger, tokens, endpoint, options["probe"], options["seed"], quiet=options["quiet"], tell=tell_aside
            )
            limits = replace(limits, mailbox_requests=max(1, limits.mailbox_requests - REQUESTS_MAX))
        if preview.rows:
            confirm(preview, identity.tenant_id, deletion, yes=options["yes"])
        ledger.leave_out(user_filter, round(time.time() * 1000))
        display = a_display(quiet=options["quiet"], log_format=options["log_format"])
        purge = Purge(
            ledger,
            tokens,
            endpoint,
            limits,
            display,
            threshold,
            options["seed"],
            options["auto_stop"],
            hours,
            stopping=stop_on_signal,
            on_outcome=keep_outcome,
        )
        summary = replace(purge.run(), reading=ledger.reading)
    if not _is_told_on_screen(options):
        log_doubt(summary)
    log_end(summary)
    with to_whoever_reads():
        show_summary(summary, as_json=options["as_json"])
    return summary.exit_code


def _is_told_on_screen(options: Mapping[str, Any]) -> bool:
    """Whether the summary and the log are read by one person on one screen: what the summary tells is not logged as well."""
    is_for_programs = options["as_json"] or options["log_format"] == "json"
    return not is_for_programs and sys.stdout.isatty() and sys.stderr.isatty()


def _tell_of_reading(ledger: Ledger, options: dict[str, Any]) -> None:
    """What was taken from the input, before anybody is asked about it: on standard error, and for programs in the log."""
    from purgeengine import logs
    from purgeengine.jobs.preflight import Finding, Level, warn

    if options["yes"]:
        logs.get_logger().info(logs.INPUT_OPENED, columns=lines_of(ledger.reading))
    else:
        for line in lines_of(ledger.reading):
            click.echo(line, err=True)
    warn(Finding(Level.WARNING, "input", line) for line in warnings_of(ledger.reading))


def _allowed(ledger: Ledger, user_filter: UserFilter, options: dict[str, Any]) -> Preview:
    """What would be sent, and that it may be. Nothing of the filter is recorded before somebody has said yes."""
    from purgeengine import logs

    preview = ledger.preview(user_filter)
    for line in left_out_lines(preview, user_filter):
        logs.get_logger().warning(logs.FILTER_APPLIED, because=line)
    if (sentence := refusal(preview, user_filter, options)) is not None:
        raise UsageProblem(sentence)
    return preview
