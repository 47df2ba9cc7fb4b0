"""Asks the user at the terminal. It does not use standard input, which may be the list of contacts."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from purgeengine.cli.output.fitted_text import fitted
from purgeengine.cli.output.transient_line import clear_transient

LINE_LENGTH_MAX = 100
"""Most characters read of an answer: more than any number of rows has."""
KEYS_MAX = 10_000
"""Most keys dropped that were typed ahead, on Windows: more than its console keeps."""


def tell_aside(sentence: str) -> None:
    """Print a sentence on standard error, so that it does not mix with a result on standard output."""
    import click

    clear_transient()
    click.echo(fitted(sentence, sys.stderr), err=True)


def ask(text: str, question: str, *, again: bool = False) -> str | None:
    """Show ``text``, ask the question, and return the line typed then. None if nobody can be asked.

    ``again`` is true if the question has stood there before, so that keys typed since then may answer it.

    It uses the controlling terminal, even if standard input, output and error all go elsewhere. A process in the background cannot
    ask either, because reading from the terminal would stop it.
    """
    clear_transient()
    with _opened_terminal() as terminal:
        if terminal is None:
            return None
        keyboard, screen = terminal
        if not again:
            drop_typed_ahead(keyboard)
        screen.write(fitted(f"{text}\n{question}:", screen) + " ")
        screen.flush()
        typed = keyboard.readline(LINE_LENGTH_MAX)
        if not typed.endswith("\n"):  # the end of the input, with nothing that moved the cursor
            screen.write("\n")
            screen.flush()
        return typed.strip()


def drop_typed_ahead(keyboard: TextIO) -> None:
    """Drop the keys that were typed before the question stood there: they cannot have meant it.

    What is no terminal keeps its data.
    """
    if not keyboard.isatty():
        return
    if sys.platform == "win32":
        import msvcrt

        for _ in range(KEYS_MAX):
            if not msvcrt.kbhit():
                return
            msvcrt.getwch()
        return
    import termios

    with suppress(termios.error, OSError):  # a terminal that has gone answers nothing either
        termios.tcflush(keyboard.fileno(), termios.TCIFLUSH)


def can_ask() -> bool:
    """Return whether there is a terminal at which a question can be asked now."""
    with _opened_terminal() as terminal:
        return terminal is not None


@contextmanager
def _opened_terminal() -> Iterator[tuple[TextIO, TextIO] | None]:
    """Open the terminal for reading and for writing. If it cannot be opened, take standard input if that is a terminal."""
    names = ("CONIN$", "CONOUT$") if sys.platform == "win32" else ("/dev/tty", "/dev/tty")
    try:
        keyboard = open(names[0], encoding="utf-8", errors="replace")  # noqa: SIM115, PTH123 - a device
    except OSError:
        yield (sys.stdin, sys.stderr) if sys.stdin is not None and sys.stdin.isatty() else None
        return
    with keyboard:
        if not _in_foreground(keyboard):
            yield None
            return
        with open(names[1], "w", encoding="utf-8", errors="replace") as screen:  # noqa: PTH123
            yield keyboard, screen


def _in_foreground(keyboard: TextIO) -> bool:
    if sys.platform == "win32":
        return True
    try:
        return os.tcgetpgrp(keyboard.fileno()) == os.getpgrp()
    except OSError:
        return False
