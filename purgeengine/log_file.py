"""The file of ``--log-file``: every event as one line of JSON, in files whose size and number are bounded."""

from __future__ import annotations

import logging
import logging.handlers
import os
import stat
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from purgeengine.errors import UsageProblem

FILE_BYTES_MAX = 10 * 2**20
"""Bytes of one file. That is about 50,000 events, and any editor opens it."""
FILES_BEFORE = 5
"""Full files that are kept beside the one that is written: FILE.1 is the latest. With it, a log has at most 60 MiB."""
LINE_BYTES_MAX = 1 << 20
"""Bytes read of the first line of an existing file. No event is nearly as long."""
INSTEAD = "Name another file with --log-file. Nothing was sent."


class LogFile:
    """A rotating log file. A failure to write it is told once, in a sentence, and never ends a run.

    After a failure nothing more is written to it, because the line that failed may be cut.
    """

    def __init__(self, path: Path, tell: Callable[[str], None]) -> None:
        """Open the file. ``tell`` gets the sentence about a failure, also if the file cannot be opened."""
        self._path = path
        self._tell = tell
        self._handler: _Rotating | None = None
        try:
            self._handler = _Rotating(path, self._failed)
        except (OSError, ValueError) as error:
            self._failed(error)

    def write(self, line: str) -> None:
        """Append a line, without its line break."""
        if self._handler is not None:
            self._handler.handle(logging.LogRecord("", logging.INFO, "", 0, line, None, None))

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        handler, self._handler = self._handler, None
        if handler is not None:
            try:
                handler.close()
            except (OSError, ValueError) as error:
                self._failed(error)

    def _failed(self, error: BaseException) -> None:
        self._handler = None
        why = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
        self._tell(
            f"The log file {self._path} cannot be written ({why}). The run goes on without it. Its ledger has every row."
        )


class _Rotating(logging.handlers.RotatingFileHandler):
    """The handler of the standard library. Only its owner may read the files, because they name users."""

    def __init__(self, path: Path, failed: Callable[[BaseException], None]) -> None:
        self._failed = failed
        super().__init__(path, maxBytes=FILE_BYTES_MAX, backupCount=FILES_BEFORE, encoding="utf-8", errors="replace")

    def _open(self) -> Any:
        return open(self.baseFilename, self.mode, encoding=self.encoding, errors=self.errors, opener=_private)

    def handleError(self, record: logging.LogRecord) -> None:
        """Pass the error on that `emit` has caught."""
        error = sys.exception()
        stream, self.stream = self.stream, None
        try:
            if stream is not None:
                stream.close()
        except (OSError, ValueError):  # what was left in its buffer; the first error tells enough
            pass
        self._failed(error or OSError())


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def refuse_unsuitable(path: Path, ledgers: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Raise `UsageProblem` if a log must not be written to this path.

    A log is appended to its file, so a file that is something else would be damaged: an input, a part of a ledger, a device, any
    other document. A log in a folder of inputs would be read as one of them.
    """
    try:
        whole = path.resolve()
        for ledger in ledgers:
            if ledger.resolve() in (whole, *whole.parents):
                raise UsageProblem(
                    f"The log file {path} lies in the folder of the ledger {ledger}, where only its own files may be. {INSTEAD}"
                )
        for given in inputs:
            if given.resolve() in (whole, *whole.parents):
                raise UsageProblem(f"The log file {path} is or lies in the INPUT {given}. {INSTEAD}")
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise UsageProblem(f"The log file {path} is no file. {INSTEAD}")
        with path.open("rb") as file:
            line = file.readline(LINE_BYTES_MAX)
            if line and not (line.startswith(b"{") and b'"event": "' in line and b'"timestamp": "' in line):
                raise UsageProblem(
                    f"The file {path} exists and is no log of this program, so nothing was written to it. {INSTEAD}"
                )
    except (OSError, RuntimeError, ValueError):  # it is missing, or cannot be read: opening it will say so
        return
