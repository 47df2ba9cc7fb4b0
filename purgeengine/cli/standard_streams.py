"""The three standard streams: a process may be started without them, and lose them while it runs.

Talk (standard error) is worth no run: where nobody reads it any more, it goes nowhere. Results (standard output) are a
command's purpose: that they could not be written is an error for the command line to tell, unless the reader has gone, as
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
        """Write what can be written."""
        with suppress(OSError, ValueError):
            return super().write(text)
        return len(text)

    def flush(self) -> None:
        """Flush what can be flushed."""
        with suppress(OSError, ValueError):
            super().flush()


def prepare_streams() -> None:
    """Open what the process was started without (``2>&-``, some service managers), and make standard error one that never fails.

    A number left free would be given to the next file opened. That may be a ledger, and what prints an error would write into it.
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
    """Results written inside are nobody's loss where nobody reads: the command goes on, and keeps its exit code."""
    try:
        yield
    except OSError as error:
        if not reader_has_gone(error):
            raise
        silence_output()


def reader_has_gone(error: OSError) -> bool:
    """Whether standard output failed because nobody reads it: a broken pipe, or a terminal that was closed."""
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
    """Let what is still to be written to standard output, buffered text included, go nowhere."""
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
