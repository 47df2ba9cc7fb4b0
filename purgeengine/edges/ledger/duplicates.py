"""Rows that ask for a contact which an earlier row asks for, anywhere in an input of any size.

A contact is known by the 16-byte BLAKE2b digest of its mailbox and id: two different ones never share it in practice (one chance in
10^24 for 10 million rows). Few rows are compared in memory; many are spread by digest over files, each small enough to be compared
in memory by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from struct import Struct
from typing import NamedTuple

IN_MEMORY_MAX = 131_072
"""Contacts compared in memory: about 25 MB, for long enough that small inputs never touch the disk."""
PARTITIONS = 256
"""Files that the rest is spread over: 100 million rows make 400,000 each."""
BUFFER_BYTES_MAX = 4 << 20
"""Gathered over all files before it is written."""

_RECORD = Struct("<16sqI")
_TAIL = Struct("<qI")


class Duplicate(NamedTuple):
    """A row that asks for the same contact as ``first_row``, which stands earlier, in the same mailbox."""

    row: int
    first_row: int
    mailbox: int


class Duplicates:
    """Told every valid row in input order, it answers which are duplicates. ``scratch`` makes a folder when one is needed."""

    def __init__(self, scratch: Callable[[], Path], in_memory_max: int = IN_MEMORY_MAX) -> None:
        self._scratch = scratch
        self._in_memory_max = in_memory_max
        self._seen: dict[bytes, int] | None = {}
        self._found: list[Duplicate] = []
        self._folder: Path | None = None
        self._buffers = [bytearray() for _ in range(PARTITIONS)]
        self._buffered = 0

    def add(self, rows: Sequence[int], mailboxes: Sequence[int], contacts: Sequence[bytes]) -> None:
        """Take in valid rows, each with its mailbox's number and contact id."""
        digests = [
            blake2b(b"%d/%b" % (mailbox, contact), digest_size=16).digest()
            for mailbox, contact in zip(mailboxes, contacts, strict=True)
        ]
        if self._seen is None:
            self._spill(rows, mailboxes, digests)
            return
        seen = self._seen
        for row, mailbox, digest in zip(rows, mailboxes, digests, strict=True):
            first = seen.setdefault(digest, row)
            if first != row:
                self._found.append(Duplicate(row, first, mailbox))
        if len(seen) > self._in_memory_max:
            self._seen = None
            # Only a duplicate's mailbox is ever asked for, and these are all first rows.
            self._spill(list(seen.values()), [0] * len(seen), list(seen))

    def found(self) -> Iterator[Duplicate]:
        """Every duplicate, once, in no particular order; to be asked when all rows have been told."""
        yield from self._found
        if self._seen is None:
            self._flush()
            for partition in range(PARTITIONS):
                yield from self._compared(partition)

    def _spill(self, rows: Sequence[int], mailboxes: Sequence[int], digests: Sequence[bytes]) -> None:
        buffers, tail = self._buffers, _TAIL.pack
        for row, mailbox, digest in zip(rows, mailboxes, digests, strict=True):
            buffers[digest[0]] += digest + tail(row, mailbox)
        self._buffered += len(rows) * _RECORD.size
        if self._buffered > BUFFER_BYTES_MAX:
            self._flush()

    def _flush(self) -> None:
        if self._folder is None:
            self._folder = self._scratch()
        for partition, buffer in enumerate(self._buffers):
            with self._file(partition).open("ab") as file:
                file.write(buffer)
            buffer.clear()
        self._buffered = 0

    def _compared(self, partition: int) -> Iterator[Duplicate]:
        """Records stand in input order, so that the first of equal ones is the earliest row."""
        seen: dict[bytes, int] = {}
        for digest, row, mailbox in _RECORD.iter_unpack(self._file(partition).read_bytes()):
            first = seen.setdefault(digest, row)
            if first != row:
                yield Duplicate(row, first, mailbox)
        self._file(partition).unlink()

    def _file(self, partition: int) -> Path:
        assert self._folder is not None
        return self._folder / f"digests-{partition:03d}"
