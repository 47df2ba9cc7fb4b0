"""A line on a terminal that is shown in place and disappears: how far reading an input has come."""

from __future__ import annotations

from contextlib import suppress
from typing import TextIO

_stream: list[TextIO] = []
"""The stream on which a transient line stands, if there is one."""


def show_transient(line: str, stream: TextIO) -> None:
    """Show a line in place on a terminal, until the next one or until `clear_transient`."""
    _stream[:] = [stream]
    stream.write(f"\r\x1b[K{line}\r")
    stream.flush()


def clear_transient() -> None:
    """Remove the line that `show_transient` has shown. Whatever prints on the terminal next must call this before."""
    while _stream:
        with suppress(OSError, ValueError):
            stream = _stream.pop()
            stream.write("\r\x1b[K")
            stream.flush()
