"""A stream that somebody else has opened and will close, such as standard output, as a file for writers of other libraries."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO, TypeVar

Made = TypeVar("Made")


class OpenStream(io.RawIOBase):
    """Passes on what is written, and counts it: a pipe cannot tell its position. End it with `close` or `give_up`.

    Closing it leaves the stream open. It can be given up like a `NewFile`.
    """

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream = stream
        self._bytes = 0
        self._given_up = False

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: Any, /) -> int:
        """Write all of the data. Discard it once the stream is given up. Raises OSError if the stream cannot be written."""
        size = memoryview(data).nbytes
        if not self._given_up:
            self._stream.write(data)
        self._bytes += size
        return size

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self._bytes

    def flush(self) -> None:
        """Hand everything to the system. Raises OSError if the stream cannot be written."""
        if not self._given_up and not self.closed:
            self._stream.flush()

    def hold(self, make: Callable[[], Made]) -> Made:
        """Return what ``make`` returns. If ``make`` raises, the stream is given up first."""
        try:
            return make()
        except BaseException:
            self.give_up()
            raise

    def give_up(self, *writers: Any) -> None:
        """Close the writers, the outermost first. What they still write is discarded; nothing is raised."""
        self._given_up = True
        for writer in writers:
            with suppress(Exception):
                writer.close()
            # pyarrow's Parquet writer would close itself again when it is garbage collected
            if getattr(writer, "is_open", False):
                writer.is_open = False
        self.close()
