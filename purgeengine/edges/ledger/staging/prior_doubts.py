"""Rows of an input that an earlier ledger left in doubt: one of our attempts may have purged them although no answer said so.

These rows come first among the rows of their mailbox, so a run has to remember only one number for each mailbox.
While an input is staged, they take one bit for each row: 12 MB for 100 million rows, and nothing if no row is in
doubt.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa


class PriorDoubts:
    """The rows in doubt.

    Call `see` with all rows in input order, then `repeated` for each duplicate; then ask ``row in doubts``.
    """

    def __init__(self) -> None:
        self.rows_by_mailbox: Counter[int] = Counter()
        """For each mailbox number, how many of its rows to send are in doubt."""
        self._bits = bytearray()

    def __contains__(self, row: int) -> bool:
        place = row >> 3
        return place < len(self._bits) and bool(self._bits[place] & 1 << (row & 7))

    def see(self, valid: pa.RecordBatch, mailboxes: Any) -> None:
        """Take the valid rows of a batch, with the array of their mailbox numbers."""
        if "in_doubt" not in valid.schema.names:
            return
        rows: Any = valid.column("row").to_pylist()
        for row, mailbox, in_doubt in zip(
            rows, mailboxes.to_pylist(), valid.column("in_doubt").to_pylist(), strict=True
        ):
            if in_doubt:
                self._add(row, mailbox)

    def repeated(self, row: int, first_row: int, mailbox: int) -> None:
        """Take a duplicate: ``row`` will not be sent, so its doubt passes to ``first_row``, which asks for the same contact."""
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
