"""Check whether SQLite's write-ahead log lost transactions that were committed.

SQLite takes the first frame with a wrong checksum for the end of the log, and silently ignores every frame after it.
That is right after a power loss, which leaves at most one unsynced transaction, so at most one end of a transaction
after such a frame. Two or more ends mean that the log was damaged later.

The format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from struct import Struct, unpack
from typing import BinaryIO, NamedTuple

HEADER = Struct(">8I")
FRAME = Struct(">6I")
ORDERS = {0x377F0682: "<", 0x377F0683: ">"}
"""The byte order of the checksums, by the log's magic number."""
LOOKS = 3
"""How often the log is read before it counts as damaged. A log that is being written may look torn for a moment."""


class _Frame(NamedTuple):
    valid: bool
    """True if its checksum and those of all frames before it are right."""
    ends_transaction: bool


def log_is_damaged(path: Path) -> bool:
    """True if transactions in this log are lost. Raises `OSError` if the log cannot be read."""
    return path.exists() and all(_looks_damaged(path) for _ in range(LOOKS))


def _looks_damaged(path: Path) -> bool:
    with path.open("rb") as log:
        header = log.read(HEADER.size)
        if len(header) < HEADER.size or not any(header):
            return False  # nothing was written yet
        magic, _, page_bytes, _, *salts, sum_1, sum_2 = HEADER.unpack(header)
        order = ORDERS.get(magic, "")
        if not order or _sums(order, header[:24]) != (sum_1, sum_2):
            return bool(log.read(1))
        ends = 0
        for frame in _frames(log, page_bytes, order, tuple(salts), (sum_1, sum_2)):
            ends += frame.ends_transaction and not frame.valid
        return ends >= 2


def _frames(
    log: BinaryIO, page_bytes: int, order: str, salts: tuple[int, ...], sums: tuple[int, int]
) -> Iterator[_Frame]:
    """Yield the frames of the log's present generation. Frames of earlier generations have other salts and are left out."""
    valid = True
    while len(head := log.read(FRAME.size)) == FRAME.size and len(page := log.read(page_bytes)) == page_bytes:
        _, pages_after, *salts_here, sum_1, sum_2 = FRAME.unpack(head)
        same_generation = tuple(salts_here) == salts
        if valid:
            sums = _sums(order, page, _sums(order, head[:8], sums))
            valid = same_generation and sums == (sum_1, sum_2)
        if same_generation:
            yield _Frame(valid, pages_after > 0)


def _sums(order: str, data: bytes, sums: tuple[int, int] = (0, 0)) -> tuple[int, int]:
    first, second = sums
    words = iter(unpack(f"{order}{len(data) // 4}I", data))
    for even, odd in zip(words, words, strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second
