"""The command line: arguments in, exit code out.

Commands are imported when they are asked for, so that ``--help`` and completion answer at once.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from purgeengine import __version__
from purgeengine.errors import LedgerError, PurgeEngineError

COMMANDS = {
    "plan": "Look at an input: rows, mailboxes, bad and duplicate rows, the time it will take. Sends nothing.",
    "run": "Purge the contacts of an input. The same command again resumes.",
    "status": "Show what became of the rows of a ledger, also while a run is going on.",
    "export": "Write a ledger as CSV or Parquet, in input order; the file is itself an input.",
    "retry": "Run the rows of a ledger that did not end well as a new run.",
    "report": "Write one page that tells what was asked, what became of it, and what to do about the rest.",
    "simulate": "Serve a simulated tenant (login and Graph) on this machine.",
    "demo": "Watch a whole run against a simulated tenant. Needs no account.",
}
EXIT_CODES = """\b
Exit codes:
  0  every row purged, already gone, or a duplicate of such a row
  1  finished, some rows did not end well; the ledger says which
  2  wrong usage or unusable input; nothing sent
  3  no token, or Graph refused the app
  4  stopped by a threshold or by you; the same command resumes
  5  the ledger cannot be written or read"""


class Commands(click.Group):
    """Knows the names and one line of help of all commands, and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which a user meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now; None where there is none."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"purgeengine.commands.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EXIT_CODES,
    name="purgeengine",
)
@click.version_option(__version__, prog_name="purgeengine")
def cli() -> None:
    r"""Permanently delete Outlook contacts in bulk through Microsoft Graph.

    What it deletes cannot be brought back by the user. Look first (plan), then run; the ledger folder keeps what became of
    every row, survives a crash, and can be fed back in.

    \b
    Examples:
      purgeengine demo
      purgeengine plan contacts.csv
      purgeengine run contacts.csv --ledger ./cleanup
      purgeengine status ./cleanup
      purgeengine report ./cleanup -o report.html
      purgeengine retry ./cleanup --ledger ./cleanup-2
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit with its code. A user never sees a traceback for something that a user can cause."""
    for name in (
        "SIGTERM",
        "SIGHUP",
        "SIGBREAK",
    ):  # asked to end, a command ends as it does on Ctrl-C; a run drains, see signals
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.default_int_handler)
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command and answer its exit code."""
    try:
        code = cli.main(args=list(arguments) if arguments is not None else None, standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except PurgeEngineError as error:
        _say(str(error))
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        _say("Stopped. The same command resumes where it was.")
        return 4
    except SystemExit as end:
        # Click's mark that the reader of our output has gone (``| head``), which is its right.
        if "PacifyFlushWrapper" in sys.stdout.__class__.__name__:
            return 0
        raise end
    except OSError as error:
        # Nowhere to write the result to; what the command did is done, and a ledger keeps it.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - lasts until the process ends
        if isinstance(error, BrokenPipeError):
            return 0
        _say(f"The output could not be written: {error.strerror or error}. Free some space, or send it elsewhere.")
        return LedgerError.exit_code


def _say(message: str) -> None:
    click.echo(f"purgeengine: {message}", err=True)
