"""How far this machine's clock is from the service's, read from the ``Date`` of answers.

Nothing here depends on the difference: tokens age on the monotonic clock. But an assertion signed with a certificate carries
our time, and times in the ledger are compared with the service's by people.
"""

from __future__ import annotations

from purgeengine import logs
from purgeengine.core.graph.retry_after import http_date_utc
from purgeengine.words import duration

SKEW_S_MAX = 300.0
"""A larger difference is told. The login grants five minutes to the times in an assertion."""


class SkewWatch:
    """Remembers the difference seen last, and warns of a large one, once."""

    def __init__(self, of: str) -> None:
        self._of = of
        self._told = False
        self.skew_s: float | None = None
        """Seconds that our clock is ahead, negative when it is behind; None before the first answer with a date."""

    def saw(self, date_header: object, now_utc: float) -> None:
        """An answer's ``Date`` (whole seconds), and our time when it came."""
        date_utc = http_date_utc(date_header)
        if date_utc is None:
            return
        self.skew_s = round(now_utc - date_utc - 0.5, 1)
        if abs(self.skew_s) > SKEW_S_MAX and not self._told:
            self._told = True
            logs.get_logger().warning(logs.CLOCK_SKEWED, skew_s=round(self.skew_s), of=self._of)


def skew_in_words(skew_s: float | None) -> str:
    """A sentence for people when the difference is large, else nothing."""
    if skew_s is None or abs(skew_s) <= SKEW_S_MAX:
        return ""
    return f" This machine's clock is {duration(abs(skew_s))} {'ahead of' if skew_s > 0 else 'behind'} the service's."
