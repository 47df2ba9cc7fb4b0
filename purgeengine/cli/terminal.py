"""The person in front of the terminal: asked there, and not on standard input, which may be the list of contacts."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

LINE_LENGTH_MAX = 100
"""Characters read of an answer: more than any number has."""


def tell_aside(sentence: str) -> None:
    """Tell something on standard error, where it does not stand in the way of a result."""
    import click

    click.echo(sentence, err=True)


def ask(text: str, question: str) -> str | None:
    """Show ``text``, ask the question, and answer the line typed; None where there is nobody to be asked.

    The controlling terminal is asked even when standard input, output and error all go elsewhere. A process in the background has
    nobody either: it would be stopped by reading.
    """
    with _opened_terminal() as terminal:
        if terminal is None:
            return None
        keyboard, screen = terminal
        screen.write(f"{text}\n{question}: ")
        screen.flush()
        typed = keyboard.readline(LINE_LENGTH_MAX)
        if not typed.endswith("\n"):  # the end of the input, with nothing that moved the cursor
            screen.write("\n")
            screen.flush()
        return typed.strip()


@contextmanager
def _opened_terminal() -> Iterator[tuple[TextIO, TextIO] | None]:
    """The keyboard and the screen; standard input where it is a terminal and there is no other way."""
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
