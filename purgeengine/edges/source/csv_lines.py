"""Blocks of whole lines, however long the lines and wherever the pieces of a stream end.

It knows line ends: LF, CR LF, and a CR by itself. It must not know quotes or columns.
"""

from __future__ import annotations

from collections.abc import Iterator

from purgeengine.edges.source.rows import ROW_BYTES_MAX
from purgeengine.errors import InputError

LINE_BYTES_MAX = ROW_BYTES_MAX
"""Longest line that is looked at; a longer one is an invalid row, of which only the beginning is held in memory."""


class LineBlocks:
    """Cuts a stream of pieces into blocks of whole lines.

    ``ended`` tells that nothing follows. ``failure`` holds the error that ended the stream early: the whole lines before it
    are handed out as usual, and the reader raises it when it has dealt with them.
    """

    def __init__(self, pieces: Iterator[bytes], block_bytes: int, line_bytes_max: int = LINE_BYTES_MAX) -> None:
        self._pieces = pieces
        self._block_bytes = block_bytes
        self._line_bytes_max = line_bytes_max
        self._tail = b""
        self.ended = False
        self.failure: InputError | None = None

    def take(self, carry: bytes) -> bytes:
        """Return ``carry`` (whole lines not yet dealt with) and about a block of whole lines more; only ``carry`` at the end.

        A last line without line end gets one. A line longer than ``line_bytes_max`` comes cut, yet still longer than that.
        """
        data = carry + self._tail
        self._tail = b""
        while True:
            data = self._filled(data, len(carry))
            if self.ended:
                return self._last(data)
            end = _after_last_line(data)
            if end > len(carry):
                self._tail = data[end:]
                return data[:end]
            if len(data) - len(carry) > self._line_bytes_max:
                data = data[: len(carry) + self._line_bytes_max + 1] + self._skipped_to_line_end()

    def _filled(self, data: bytes, known: int) -> bytes:
        """Add pieces to at least a block beyond the ``known`` bytes, and at least one: the line end may be in it."""
        parts, size = [data], len(data)
        while True:
            piece = self._next_piece()
            parts.append(piece)
            size += len(piece)
            if self.ended or size - known >= self._block_bytes:
                return b"".join(parts)

    def _next_piece(self) -> bytes:
        try:
            piece = next(self._pieces, None)
        except InputError as failure:
            self.failure, piece = failure, None
        self.ended = piece is None
        return piece or b""

    def _last(self, data: bytes) -> bytes:
        if self.failure:
            return data[: _after_last_line(data)]  # half a line of a damaged file could be half an id
        return data if not data or data.endswith((b"\n", b"\r")) else data + b"\n"

    def _skipped_to_line_end(self) -> bytes:
        while not self.ended:
            piece = self._next_piece()
            ends = [end for end in (piece.find(b"\n"), piece.find(b"\r")) if end >= 0]
            if ends:
                return piece[min(ends) :]
        return b""


def _after_last_line(data: bytes) -> int:
    """Where the last whole line ends. A CR as last byte is left alone: an LF may follow it."""
    return max(data.rfind(b"\n"), data.rfind(b"\r", 0, max(len(data) - 1, 0))) + 1
