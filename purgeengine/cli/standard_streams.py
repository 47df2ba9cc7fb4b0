"""Keeps the three standard streams usable: a process may start without them, and lose them while it runs.

A failure to write messages (standard error) never ends a run. Results (standard output) are the purpose of a command, so a failure
to write them is an error that the command line reports, unless the reader has gone, as
``| head`` does, which is its right.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Talk(io.TextIOWrapper):
    """Standard error that never fails."""

    def write(self, text: str, /) -> int:
        """Write the text, and ignore a failure."""
        with suppress(OSError, ValueError):
            return super().write(text)
        return len(text)

    def flush(self) -> None:
        """Flush the stream, and ignore a failure."""
        with suppress(OSError, ValueError):
            super().flush()


def prepare_streams() -> None:
    """Open the streams that the process was started without (``2>&-``, some service managers). Standard error then never fails.

    Otherwise the next file to be opened would get the free file descriptor. That may be a ledger, and error messages would be
    written into it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            _take_if_free(number)
            setattr(sys, name, open(os.devnull, "w" if number else "r", encoding="utf-8"))  # noqa: SIM115, PTH123 - for good
    results = sys.stdout
    if isinstance(results, io.TextIOWrapper) and results.errors == "strict":
        results.reconfigure(errors="backslashreplace")  # a name that the locale has no letters for is no reason to fail
    talk = sys.stderr
    if isinstance(talk, io.TextIOWrapper) and not isinstance(talk, Talk):
        encoding, errors = talk.encoding, talk.errors
        sys.stderr = sys.__stderr__ = Talk(talk.detach(), encoding, errors, line_buffering=True)  # type: ignore[misc]


@contextmanager
def to_whoever_reads() -> Iterator[None]:
    """Ignore a failure to write results while inside, if the reader has gone. The command goes on and keeps its exit code."""
    try:
        yield
    except OSError as error:
        if not reader_has_gone(error):
            raise
        silence_output()


def reader_has_gone(error: OSError) -> bool:
    """Return whether standard output failed because the reader has gone: a broken pipe, or a closed terminal."""
    if isinstance(error, BrokenPipeError):
        return True
    try:
        kind = os.fstat(sys.stdout.fileno()).st_mode
    except (OSError, ValueError):
        return False
    if os.name == "nt":
        return error.errno == errno.EINVAL and stat.S_ISFIFO(kind)  # what a closed pipe answers there
    return error.errno == errno.EIO and stat.S_ISCHR(kind)


def silence_output() -> None:
    """Discard everything that is still to be written to standard output, buffered text included."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _take_if_free(number: int) -> None:
    try:
        os.fstat(number)
    except OSError:
        nowhere = os.open(os.devnull, os.O_RDWR)
        if nowhere != number:
            os.dup2(nowhere, number)
            os.close(nowhere)
