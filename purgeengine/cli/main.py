"""The command line: it takes arguments and ends with an exit code.

A command's module is imported only when the command is called, so ``--help`` and completion are fast.
"""

from __future__ import annotations

import atexit
import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

import click
from click.core import ParameterSource

from purgeengine.cli.output import json_printing
from purgeengine.cli.output.transient_line import clear_transient
from purgeengine.cli.setting_names import GROUPED_COMMANDS, SELF_CONTAINED, WITHOUT_SETTINGS
from purgeengine.cli.settings import attach
from purgeengine.cli.signals import heeded_signals, interrupt_on_signal, keep_outcome
from purgeengine.cli.standard_streams import prepare_streams, reader_has_gone, silence_output
from purgeengine.errors import ErrorKind, LedgerError, PurgeEngineError, RunStopped, UsageProblem
from purgeengine.memory import lean_memory, require_room
from purgeengine.shortages import shortage
from purgeengine.version import __version__

COMMANDS = {
    "inventory": "Find contacts in the tenant, and write the list that run takes. Deletes nothing.",
    "plan": "Read an input: rows, mailboxes, invalid and duplicate rows, expected time. Sends nothing.",
    "check": "Check the token, Graph and the clock, and look at a few mailboxes of an input. Deletes nothing.",
    "run": "Purge the contacts of an input. The same command resumes a run.",
    "status": "Show what became of the rows of a ledger, also while a run is going on.",
    "export": "Write a ledger as CSV or Parquet, in input order. The file can be used as an input.",
    "retry": "Run the rows of a ledger that did not end well again, in a new ledger.",
    "shard": "Cut a purge into ledgers for several machines, and collect them.",
    "restore": "Write the PowerShell script that brings back what a ledger deleted. Sends nothing.",
    "report": "Write a page about a ledger: what was asked, what became of it, and what to do next.",
    "simulate": "Serve a simulated tenant (login and Graph) on this machine.",
    "config": "Show every setting in effect, and where it comes from.",
    "demo": "Purge a sample list from a simulated tenant. Needs no account.",
    "schema": "Print the JSON Schema of what a command prints with --json.",
    "completion": "Print the script that completes commands and options in a shell.",
    "version": "Show the version, Python, the platform and the extras that are installed.",
}
RESUMING = frozenset({"inventory", "run", "retry", "shard cut", "shard collect"})
"""Commands that write a ledger and can resume it."""
UNSET = frozenset({*SELF_CONTAINED, *WITHOUT_SETTINGS, "config show", None})
"""Commands whose options have no variables."""
STOPPED = 4
EPILOG = """\b
Examples:
  purgeengine demo
  purgeengine inventory --users users.txt --company Fabrikam --ledger ./found -o contacts.csv
  purgeengine plan contacts.csv
  purgeengine run contacts.csv --ledger ./cleanup
  purgeengine status ./cleanup
  purgeengine report ./cleanup -o report.html
  purgeengine retry ./cleanup --ledger ./cleanup-2

\b
Exit codes:
  0  every row purged, already gone, or a duplicate of such a row
  1  finished, some rows did not end well; the ledger says which
  2  wrong usage or unusable input; nothing sent
  3  no token, or Graph refused the app
  4  stopped by a threshold, an outage or by you; give the same command again to resume
  5  the ledger cannot be written or read"""


class Commands(click.Group):
    """The group of all commands. It holds a line of help for each, and imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which a user needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command of that name. None if there is none."""
        if cmd_name not in COMMANDS:
            return None
        require_room()
        module = importlib.import_module(f"purgeengine.cli.commands.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        if cmd_name in GROUPED_COMMANDS and isinstance(command, click.Group):
            for name, one in command.commands.items():
                attach(f"{cmd_name} {name}", one)
        plain = isinstance(command, click.Group) or cmd_name in WITHOUT_SETTINGS
        return command if plain else attach(cmd_name, command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command as click does. For an unknown name, the error suggests a similar one."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            meant = get_close_matches(args[0], COMMANDS, n=1)
            if not meant:
                raise
            raise click.UsageError(f"{error.message} (Did you mean {meant[0]!r}?)", ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EPILOG,
    name="purgeengine",
)
@click.version_option(__version__, prog_name="purgeengine")
def cli() -> None:
    """Permanently delete Outlook contacts in bulk through Microsoft Graph.

    Users cannot bring back what is permanently deleted. Use plan first, then run. The ledger folder records what became of
    every row, and survives a crash.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and end the process with its exit code. Nothing that a user can cause shows a traceback."""
    code = STOPPED
    try:
        prepare_streams()
        lean_memory()
        interrupt_on_signal()  # SIGTERM acts as Ctrl-C; a run drains, see signals
        code = _run(arguments)
    except KeyboardInterrupt:  # it came while an error was being printed
        code = STOPPED
    end_process(code)


def end_process(code: int) -> NoReturn:
    """End the process with this exit code at once.

    Python's own exit restores the default signal handlers first, so that a signal could change the exit code. It also waits for
    threads, which may hang.
    """
    keep_outcome(code)
    with suppress(Exception):
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # the output of a command has been flushed by `_run`
            stream.flush()
    os._exit(code)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code. The signal handlers of before are restored afterwards."""
    before = {number: signal.getsignal(number) for number in heeded_signals()}
    try:
        return _run(arguments)
    finally:
        for number, handler in before.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)


def _named_in(arguments: Sequence[str]) -> str | None:
    """Return the name of the command that the arguments call, as far as it can be told before they are read."""
    words = [argument for argument in arguments if not argument.startswith("-")]
    named = words[0] if words and words[0] in COMMANDS else None
    if named in GROUPED_COMMANDS and words[1:] and words[1] in GROUPED_COMMANDS[named]:
        return f"{named} {words[1]}"
    return "config show" if named == "config" and "show" in words else named


def _after_stop(command: str | None) -> str:
    """Return a sentence on how to go on after a stop. A command that writes no ledger has nothing to resume."""
    return "To resume, give the same command again." if command in RESUMING else "The same command begins again."


def _run(arguments: Sequence[str] | None) -> int:
    code: int | None = None
    given = list(sys.argv[1:] if arguments is None else arguments)
    command = _named_in(given)
    json_printing.begin(given, command, reads_settings=command not in UNSET)
    try:
        answered = cli.main(args=given, prog_name="purgeengine", standalone_mode=False, obj=given)
        code = answered if isinstance(answered, int) else 0
        sys.stdout.flush()
        return code
    except PurgeEngineError as error:
        return _end(error.kind, str(error), error.exit_code)
    except click.ClickException as error:
        _name_variable(error)
        if _asks_for_json(error):
            json_printing.ask()
        said = io.StringIO()
        error.show(said)
        _print(said.getvalue().rstrip("\n"))
        json_printing.print_error(UsageProblem.kind, error.format_message(), UsageProblem.exit_code)
        return UsageProblem.exit_code
    except (click.Abort, KeyboardInterrupt):
        if code is not None:  # it had ended
            return code
        return _end(RunStopped.kind, f"Stopped. {_after_stop(command)}", STOPPED)
    except SystemExit as end:
        # Click marks in this way that the reader of our output has closed the pipe (``| head``). That is no error.
        if "PacifyFlushWrapper" in sys.stdout.__class__.__name__:
            silence_output()
            return 0
        raise end
    except Exception as error:
        if (sentence := shortage(error)) is not None:
            return _end(RunStopped.kind, sentence, STOPPED)
        if isinstance(error, UnicodeEncodeError) and sys.getfilesystemencoding().startswith(error.encoding):
            from purgeengine.edges.paths import unspellable  # a name out of a file of settings

            return _end(UsageProblem.kind, str(unspellable(error.object)), UsageProblem.exit_code)
        if not isinstance(error, OSError):
            raise
        # The result cannot be written. What the command did is done, and the ledger keeps it.
        silence_output()
        if reader_has_gone(error):
            return code or 0
        _say(f"The output could not be written: {error.strerror or error}. Free some space, or send it elsewhere.")
        return LedgerError.exit_code


def _name_variable(error: click.ClickException) -> None:
    """Name the environment variable in the error if a wrong value comes from there and not from the command line."""
    if (
        not isinstance(error, click.BadParameter)
        or error.param is None
        or error.ctx is None
        or error.param.name is None
    ):
        return
    if error.ctx.get_parameter_source(error.param.name) is ParameterSource.ENVIRONMENT:
        error.param_hint = f"{error.param.envvar} in the environment"


def _asks_for_json(error: click.ClickException) -> bool:
    """True if the file of settings asks for JSON. It has been read if the error is about an option."""
    ctx = error.ctx if isinstance(error, click.UsageError) else None
    return bool(ctx is not None and ctx.default_map and ctx.default_map.get("as_json"))


def _end(kind: ErrorKind, message: str, exit_code: int) -> int:
    """Tell the error on standard error, and as JSON on standard output if that was asked for. Return the exit code."""
    _say(message)
    json_printing.print_error(kind, message, exit_code)
    return exit_code


def _say(message: str) -> None:
    _print(f"purgeengine: {message}")


def _print(text: str) -> None:
    """Print on standard error, with lines that fit if that is a terminal."""
    from purgeengine.cli.output.fitted_text import fitted

    clear_transient()
    click.echo(fitted(text, sys.stderr), err=True)
