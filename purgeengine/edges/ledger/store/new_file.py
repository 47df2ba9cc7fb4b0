"""A new file that can be given up without a second error.

The writers of other libraries buffer data, write it when they are closed, and close themselves when they are garbage
collected. On a full disk each of these steps would fail again, long after the first error was reported.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from purgeengine.edges.ledger.store.storage import appear

Made = TypeVar("Made")


class _Raw(io.FileIO):
    """A raw file that discards what is written once it is given up."""

    given_up = False

    def write(self, data: Any, /) -> int:
        if self.given_up:
            return memoryview(data).nbytes
        return super().write(data)


class NewFile(io.BufferedWriter):
    """A file written under a temporary name that the caller chooses. End it with `finish` or `give_up`.

    Hand it to a writer as a file object. Other libraries take a path as UTF-8, and not every path is.
    """

    def __init__(self, path: Path) -> None:
        self._file = _Raw(os.fspath(path), "w")
        super().__init__(self._file)
        self._path = path

    def hold(self, make: Callable[[], Made]) -> Made:
        """Return what ``make`` returns. If ``make`` raises, the file is given up first."""
        try:
            return make()
        except BaseException:
            self.give_up()
            raise

    def finish(self, path: Path) -> None:
        """Close the file, sync it, and rename it to ``path``. Raises OSError if that fails."""
        self.close()
        appear(self._path, path)

    def give_up(self, *writers: Any) -> None:
        """Close the writers, the outermost first, then the file. What they still write is discarded; nothing is raised."""
        self._file.given_up = True
        for writer in writers:
            if writer is None:
                continue
            with suppress(Exception):
                writer.close()
            # pyarrow's Parquet writer would close itself again when it is garbage collected
            if getattr(writer, "is_open", False):
                writer.is_open = False
        with suppress(OSError, ValueError):
            self.close()
