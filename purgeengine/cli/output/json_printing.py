"""Prints the one JSON object of a command on standard output: its result, or the error that ended it before it had one.

It is ASCII on one line. So no code page of a console or a pipe changes it, and no text in it controls a terminal.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from purgeengine.errors import ErrorKind
    from purgeengine.json_output.envelope import Output

OPTION = "--json"
VARIABLE = "PURGEENGINE_JSON"
_TRUE = frozenset({"1", "true", "t", "yes", "y", "on"})
"""What click takes for true in a variable of the environment."""


@dataclass(slots=True)
class _Call:
    """The command that is running: its name, whether it was asked for JSON, and whether it has printed its object."""

    command: str | None = None
    asked: bool = False
    printed: bool = False


_call = _Call()


def begin(arguments: Sequence[str], command: str | None, *, reads_settings: bool = True) -> None:
    """Note which command was called, and whether its arguments or the environment ask for JSON.

    A wrong argument ends a command before its options are known. So the arguments are looked through here as well.
    """
    words = list(arguments)
    given = words[: words.index("--")] if "--" in words else words
    preset = reads_settings and os.environ.get(VARIABLE, "").strip().lower() in _TRUE
    _call.command, _call.asked, _call.printed = command, preset or OPTION in given, False


def ask() -> None:
    """Note that the running command was asked for JSON, by an option, a variable or the file of settings."""
    _call.asked = True


def running_command() -> str:
    """Return the name of the running command, such as ``run`` or ``config show``."""
    import click

    names: list[str] = []
    ctx: click.Context | None = click.get_current_context()
    while ctx is not None:
        if ctx.parent is not None or not isinstance(ctx.command, click.Group):  # without the name of the program
            names.append(str(ctx.info_name))
        ctx = ctx.parent
    return " ".join(reversed(names))


def print_output(output: Output) -> None:
    """Print the result of a command. Nothing more is printed for an error that follows, because the result tells it."""
    import click

    _call.printed = True
    click.echo(as_line(output))


def print_error(kind: ErrorKind, message: str, exit_code: int) -> None:
    """Print the error that ended the command, if JSON was asked for and nothing has been printed. A failure to print is ignored."""
    import click

    if (line := _line_of(kind, message, exit_code)) is not None:
        with suppress(OSError, ValueError):
            click.echo(line)
            sys.stdout.flush()


def print_error_at_once(message: str, exit_code: int) -> None:
    """Do the same for a command that a signal ends at once. It writes past all buffers, because a write may be going on."""
    if (line := _line_of("stopped", message, exit_code)) is not None:
        with suppress(OSError, ValueError):
            os.write(sys.stdout.fileno(), f"{line}{os.linesep}".encode("ascii"))


def _line_of(kind: ErrorKind, message: str, exit_code: int) -> str | None:
    if not _call.asked or _call.printed:
        return None
    from purgeengine.json_output.envelope import Error, Failed

    _call.printed = True
    return as_line(Failed(command=_call.command, exit_code=exit_code, error=Error.of(kind, message)))


def as_line(output: Output) -> str:
    """Return the object as one line of JSON in ASCII, without the end of the line."""
    import msgspec

    return json.dumps(msgspec.to_builtins(output), separators=(",", ":"), allow_nan=False)
