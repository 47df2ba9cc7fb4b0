"""Runs a purge for the command line: with its progress, signals, prompts, log and summary."""

from __future__ import annotations

import sys
from functools import partial

from purgeengine.cli.confirmation import confirm
from purgeengine.cli.login_guard import forbid_core_dumps
from purgeengine.cli.options.request_options import OutputOptions
from purgeengine.cli.output.reading_progress import reading_progress
from purgeengine.cli.signals import keep_outcome, leave_on_signal, stop_on_signal
from purgeengine.cli.terminal import tell_aside
from purgeengine.jobs.callbacks import Callbacks
from purgeengine.jobs.progress import Display
from purgeengine.jobs.purge_request import PurgeRequest
from purgeengine.jobs.request_input import Opener
from purgeengine.jobs.run_telemetry import Telemetry


def start_purge(request: PurgeRequest, output: OutputOptions, open_input: Opener) -> int:
    """Purge the input that ``open_input`` opens, print the summary, and return the exit code.

    If ``open_input`` returns None, the ledger is resumed without its input.
    """
    from purgeengine import logs

    logs.configure_logs(output.log_format, quiet=output.quiet, verbose=output.verbose)
    forbid_core_dumps()
    with output.telemetry.watching() as telemetry:
        return _purge(request, output, open_input, telemetry)


def _purge(request: PurgeRequest, output: OutputOptions, open_input: Opener, telemetry: Telemetry) -> int:
    from purgeengine.cli.output.summary_text import show_summary
    from purgeengine.cli.standard_streams import to_whoever_reads
    from purgeengine.jobs.purge import log_doubt, log_end
    from purgeengine.jobs.purge_steps import purge

    callbacks = Callbacks(
        confirm=confirm,
        tell=None if output.quiet else tell_aside,
        tell_sign_in=tell_aside,
        tell_reading=tell_aside,
        on_reading=reading_progress(quiet=output.quiet),
        display=partial(a_display_of_a_run, output),
        signing_in=leave_on_signal,
        stopping=stop_on_signal,
        on_outcome=keep_outcome,
        telemetry=telemetry,
    )
    summary = purge(request, callbacks, open_input)
    if not _is_told_on_screen(output):
        log_doubt(summary)
    log_end(summary)
    with to_whoever_reads():
        show_summary(summary, as_json=output.as_json)
    return summary.exit_code


def a_display_of_a_run(output: OutputOptions) -> Display:
    """What shows a run that is about to send: all that it needs has been imported, and is spared by the collector from now on."""
    from purgeengine.cli.output.progress_display import a_display
    from purgeengine.memory import spare_the_collector

    spare_the_collector()
    return a_display(quiet=output.quiet, log_format=output.log_format)


def _is_told_on_screen(output: OutputOptions) -> bool:
    """Whether the summary and the log are read by one person on one screen: what the summary tells is not logged as well."""
    is_for_programs = output.as_json or output.log_format == "json"
    return not is_for_programs and sys.stdout.isatty() and sys.stderr.isatty()
