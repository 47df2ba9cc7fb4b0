"""A file being written that can be given up, so that closing its writer is not a second failure.

Writers of other libraries hold back data, write it when they are closed, and close themselves when they are torn down. On a full
disk each of these fails again, long after the failure was told.
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
    """Takes everything and keeps nothing, once it is given up."""

    given_up = False

    def write(self, data: Any, /) -> int:
        if self.given_up:
            return memoryview(data).nbytes
        return super().write(data)


class NewFile(io.BufferedWriter):
    """Written under a temporary name, which the caller chooses; `give_up` or `finish` ends it.

    It is handed to writers as a file and not as a path: they take paths as UTF-8, which not every path is.
    """

    def __init__(self, path: Path) -> None:
        self._file = _Raw(os.fspath(path), "w")
        super().__init__(self._file)
        self._path = path

    def hold(self, make: Callable[[], Made]) -> Made:
        """What ``make`` makes; the file is given up where that fails."""
        try:
            return make()
        except BaseException:
            self.give_up()
            raise

    def finish(self, path: Path) -> None:
        """Close it and give it the name ``path``, once it is on the disk. Raises OSError where that fails."""
        self.close()
        appear(self._path, path)

    def give_up(self, *writers: Any) -> None:
        """Close the writers, the outermost first, and the file. What they still write goes nowhere; nothing is raised."""
        self._file.given_up = True
        for writer in writers:
            if writer is None:
                continue
            with suppress(Exception):
                writer.close()
            if getattr(writer, "is_open", False):  # pyarrow's writer of Parquet tries it again when it is torn down
                writer.is_open = False
        with suppress(OSError, ValueError):
            self.close()
