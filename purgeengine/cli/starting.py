"""Runs a purge for the command line: with its progress, signals, prompts, log, summary and next command."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from purgeengine.cli.confirmation import confirm
from purgeengine.cli.inputs import STANDARD_INPUT
from purgeengine.cli.login_guard import forbid_core_dumps
from purgeengine.cli.options.request_options import OutputOptions
from purgeengine.cli.output.reading_progress import reading_progress
from purgeengine.cli.signals import keep_outcome, leave_on_signal, stop_on_signal, tell
from purgeengine.cli.terminal import can_ask, tell_aside
from purgeengine.jobs.callbacks import Callbacks
from purgeengine.jobs.progress import Display
from purgeengine.jobs.purge_request import PurgeRequest
from purgeengine.jobs.request_input import Opener, paths_of
from purgeengine.jobs.run_telemetry import UNWATCHED, Telemetry

if TYPE_CHECKING:
    from purgeengine.jobs.summary import Summary


class CarryOut(Protocol):
    """Carries out a purge."""

    def __call__(self, request: PurgeRequest, *, callbacks: Callbacks, open_input: Opener) -> Summary: ...  # noqa: D102


def start_purge(request: PurgeRequest, output: OutputOptions, open_input: Opener) -> int:
    """Purge the input that ``open_input`` opens, print the summary, and return the exit code.

    If ``open_input`` returns None, the ledger is resumed without its input.
    """
    set_up_logs(request, output)
    forbid_core_dumps()
    with output.telemetry.watching() as telemetry:
        return _purge(request, output, open_input, telemetry)


def start_shared_purge(
    request: PurgeRequest,
    output: OutputOptions,
    open_input: Opener,
    workers: int | None,
    scheduler: str | None,
    lost_after_s: float | None,
) -> int:
    """Purge as `start_purge` does, with so many worker processes of this machine, or with the workers of a scheduler."""
    from purgeengine.cli.output.shared_progress import SharedDisplay
    from purgeengine.errors import UsageProblem
    from purgeengine.jobs.coordination.shared_purge import purge_on_cluster, purge_with_workers

    if output.telemetry.metrics_port is not None or output.telemetry.metrics_file is not None:
        option = "--workers" if scheduler is None else "--scheduler"
        raise UsageProblem(f"--metrics-port and --metrics-file cannot be used with {option}. Nothing was sent.")
    set_up_logs(request, output)
    forbid_core_dumps()
    how: dict[str, Any] = {"workers": workers, "lost_after_s": lost_after_s}

    def carry_out(request: PurgeRequest, *, callbacks: Callbacks, open_input: Opener) -> Summary:
        with closing(SharedDisplay(tell_aside, quiet=output.quiet, log_format=output.log_format)) as display:
            how["on_progress"] = display.show
            if scheduler is None:
                return purge_with_workers(request, callbacks=callbacks, open_input=open_input, **how)
            return purge_on_cluster(request, scheduler, callbacks=callbacks, open_input=open_input, **how)

    return _purge(request, output, open_input, UNWATCHED, carry_out)


def _purge(
    request: PurgeRequest,
    output: OutputOptions,
    open_input: Opener,
    telemetry: Telemetry,
    carry_out: CarryOut | None = None,
) -> int:
    from purgeengine import logs
    from purgeengine.cli.next_command import next_step, resuming_command
    from purgeengine.cli.output.summary_text import show_summary
    from purgeengine.cli.standard_streams import to_whoever_reads
    from purgeengine.jobs.purge import log_doubt, log_end
    from purgeengine.jobs.purge_steps import purge

    show, is_shown = display_and_whether_it_counts(output)
    resume = None if output.as_json else resuming_command(request)
    callbacks = Callbacks(
        confirm=confirm,
        wants_tenant_name=can_ask,
        tell=None if output.quiet else tell_aside,
        tell_sign_in=tell_aside,
        tell_reading=tell_aside,
        on_reading=reading_progress(quiet=output.quiet, as_events=output.log_format == "json"),
        display=show,
        signing_in=leave_on_signal,
        stopping=partial(stop_on_signal, is_shown=is_shown, resume=resume),
        on_outcome=keep_outcome,
        telemetry=telemetry,
    )
    try:
        carry_out = carry_out or purge
        summary = carry_out(request, callbacks=callbacks, open_input=open_input)
        log_doubt(summary, file_only=not _is_for_programs(output))  # a summary that people read tells the doubt
        logs.tell_counts()
        log_end(summary)
    finally:
        logs.close_file()
    with to_whoever_reads():
        step = None if output.as_json else next_step(summary, request)
        show_summary(summary, as_json=output.as_json, step=step)
    if summary.stopped and output.as_json and output.quiet and output.log_format == "console":
        # A log that is not quiet has said so, and one of JSON holds only JSON.
        tell_aside(f"purgeengine: {summary.stopped}")
    return summary.exit_code


def set_up_logs(request: PurgeRequest, output: OutputOptions) -> None:
    """Set up the log. At a terminal a person reads sentences, and only those that they must know.

    Raises `UsageProblem` if the log file is something else than a log.
    """
    from purgeengine import logs
    from purgeengine.cli.output.notices import Notices
    from purgeengine.log_file import LogFile, refuse_unsuitable

    file = None
    if output.log_file is not None:
        ledgers = [Path(folder) for folder in (request.ledger, request.retry_of) if folder is not None]
        inputs = [Path(path) for path in paths_of(request) or () if path != STANDARD_INPUT]
        refuse_unsuitable(output.log_file, ledgers, inputs)
        file = LogFile(output.log_file, tell)
    is_read_live = sys.stderr.isatty() and output.log_format == "console" and not output.verbose
    logs.configure_logs(
        output.log_format,
        quiet=output.quiet,
        verbose=output.verbose,
        file=file,
        sentences=Notices().sentence if is_read_live else None,
    )


def display_and_whether_it_counts(output: OutputOptions) -> tuple[Callable[[], Display], Callable[[], bool]]:
    """Return what makes the display of a run, and what says whether it shows for how many answers a run that stops still waits."""
    made: list[Display] = []

    def show() -> Display:
        made.append(a_display_of_a_run(output))
        return made[-1]

    def is_shown() -> bool:
        from purgeengine.cli.output.progress_display import Live

        return bool(made) and isinstance(made[-1], Live)

    return show, is_shown


def a_display_of_a_run(output: OutputOptions) -> Display:
    """What shows a run that is about to send: all that it needs has been imported, and is spared by the collector from now on."""
    from purgeengine.cli.output.progress_display import a_display
    from purgeengine.memory import spare_the_collector

    spare_the_collector()
    return a_display(quiet=output.quiet, log_format=output.log_format)


def _is_for_programs(output: OutputOptions) -> bool:
    """Whether programs read the summary or the log, so that each must tell everything."""
    return output.as_json or output.log_format == "json"
