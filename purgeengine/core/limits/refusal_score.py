"""Tells a rate that the service refuses from refusals by chance: a CUSUM chart of refused rows against rows that went through."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

MAILBOXES_MIN = 3
"""Mailboxes that must have been refused lately. One or two may have a cause of their own, such as other software."""


class Threshold(NamedTuple):
    """When refused rows show that the app is too fast."""

    rows: float
    """The score from which on the app is too fast."""
    passed_weight: float
    """How much one row that went through lowers the score. A refused row raises it by 1.

    If it is 1, nothing is concluded from less than a half of refused rows; if it is a third, from less than a quarter. The waits of
    single mailboxes cope with fewer.
    """


NO_LIMIT_KNOWN = Threshold(rows=20.0, passed_weight=1.0)
"""While no limit is known: a full batch must be refused, because a limit that is not there would slow the run down."""
LIMIT_KNOWN = Threshold(rows=4.0, passed_weight=1.0 / 3.0)
"""While a limit is known: a few rows are enough, so that an attempt at a higher rate costs few refusals."""


class RefusalScore:
    """Counts refused rows up, and rows that went through down, never below 0."""

    def __init__(self) -> None:
        self._score = 0.0
        self._mailboxes: set[int] = set()
        """Mailboxes behind the score, up to `MAILBOXES_MIN`."""

    def add(self, passed: int, refused: Collection[tuple[int, int]], threshold: Threshold) -> bool:
        """Count the rows of an answer. Return True if the score has reached the threshold, with enough mailboxes behind it.

        ``refused`` has the number of each mailbox and its refused rows.
        """
        rows = sum(count for _, count in refused)
        self._score = max(0.0, self._score + rows - passed * threshold.passed_weight)
        if not self._score:
            self._mailboxes.clear()
            return False
        for mailbox, _ in refused:
            if len(self._mailboxes) < MAILBOXES_MIN:
                self._mailboxes.add(mailbox)
        return self._score >= threshold.rows and len(self._mailboxes) >= MAILBOXES_MIN

    def clear(self) -> None:
        """Count anew."""
        self._score = 0.0
        self._mailboxes.clear()
