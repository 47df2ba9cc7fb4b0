"""Whether SQLite's write-ahead log lost transactions that had been acknowledged.

SQLite takes the first frame whose checksum is wrong for the end of the log, and forgets what comes after without a word. That is
right after a power loss, which leaves at most one transaction that was not yet synced, so at most one end of a transaction after
such a frame. Two or more mean that the log was damaged later.
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
"""By the magic number: in which order of bytes the checksums are reckoned."""
LOOKS = 3
"""A log that is being written may look torn for a moment; a damaged one stays as it is."""


class _Frame(NamedTuple):
    valid: bool
    """Whether its checksum, and those of all before it, are right."""
    ends_transaction: bool


def log_is_damaged(path: Path) -> bool:
    """Whether transactions are lost in this log. Raises `OSError` when it cannot be read."""
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
    """The frames of the log's present generation; those of earlier ones, which carry other salts, are left out."""
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
