"""Cut a stream of text into blocks, wherever its pieces end.

This module knows line ends: LF, CR LF, and CR alone. It does not know quotes or columns.
"""

from __future__ import annotations

from collections.abc import Iterator

from purgeengine.errors import InputError


class Blocks:
    """Cuts a stream of pieces into blocks, none of which ends between a CR and its LF.

    ``ended`` is true when nothing follows. ``failure`` is the error that ended the stream early, or None. What was
    read before the error is returned as usual; the reader raises the error after that.
    """

    def __init__(self, pieces: Iterator[bytes], block_bytes: int) -> None:
        self._pieces = pieces
        self._block_bytes = block_bytes
        self._held = b""
        self.ended = False
        self.failure: InputError | None = None

    def take(self) -> bytes:
        """Return about one block more. Empty at the end."""
        parts = [self._held]
        size = 0
        while not self.ended and size < self._block_bytes:
            parts.append(self._next_piece())
            size += len(parts[-1])
        data, self._held = b"".join(parts), b""
        if not self.ended and data.endswith(b"\r"):
            data, self._held = data[:-1], b"\r"
        return data

    def _next_piece(self) -> bytes:
        try:
            piece = next(self._pieces, None)
        except InputError as failure:
            self.failure, piece = failure, None
        self.ended = piece is None
        return piece or b""


def after_last_line(data: bytes) -> int:
    """Return where the last whole line ends. 0 if no line ends."""
    return max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
