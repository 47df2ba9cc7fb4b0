"""Rows of an input that an earlier ledger left in doubt: an attempt of ours may have purged them although no answer said so.

They come first among the rows of their mailbox, so that a number for each mailbox is all that a run has to remember of them. While
an input is staged, they are a bit for each row: 12 MB for 100 million rows, and nothing where no row is in doubt.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa


class PriorDoubts:
    """Told the rows in input order, then the duplicates; afterwards it answers which rows to send are in doubt."""

    def __init__(self) -> None:
        self.rows_by_mailbox: Counter[int] = Counter()
        """Rows to send that are in doubt, by the number of their mailbox."""
        self._bits = bytearray()

    def __contains__(self, row: int) -> bool:
        place = row >> 3
        return place < len(self._bits) and bool(self._bits[place] & 1 << (row & 7))

    def see(self, valid: pa.RecordBatch, mailboxes: Any) -> None:
        """Take in the valid rows of a batch, each with its mailbox's number (an array)."""
        if "in_doubt" not in valid.schema.names:
            return
        rows: Any = valid.column("row").to_pylist()
        for row, mailbox, in_doubt in zip(
            rows, mailboxes.to_pylist(), valid.column("in_doubt").to_pylist(), strict=True
        ):
            if in_doubt:
                self._add(row, mailbox)

    def repeated(self, row: int, first_row: int, mailbox: int) -> None:
        """``row`` asks for the contact of ``first_row`` and will not be sent: its doubt is that of the first one."""
        if row in self:
            self.rows_by_mailbox[mailbox] -= 1
            if first_row not in self:
                self._add(first_row, mailbox)

    def _add(self, row: int, mailbox: int) -> None:
        place = row >> 3
        if place >= len(self._bits):
            self._bits.extend(bytes(place + 1 - len(self._bits)))
        self._bits[place] |= 1 << (row & 7)
        self.rows_by_mailbox[mailbox] += 1
