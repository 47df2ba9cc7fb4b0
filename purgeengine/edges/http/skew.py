"""How far this machine's clock differs from the service's, as the ``Date`` header of answers shows.

Nothing here depends on the difference, because tokens age by the monotonic clock. But an assertion that a certificate
signs carries our time, and people compare times in the ledger with the service's.
"""

from __future__ import annotations

from purgeengine import log_events, logs
from purgeengine.core.graph.retry_after import http_date_utc
from purgeengine.words import duration

SKEW_S_MAX = 300.0
"""A larger difference in seconds is reported. The login accepts five minutes in the times of an assertion."""


class SkewWatch:
    """Remembers the last difference, and warns once of a large one."""

    def __init__(self, of: str) -> None:
        self._of = of
        self._told = False
        self.skew_s: float | None = None
        """Seconds that our clock is ahead. Negative if it is behind. None before the first answer with a date."""

    def saw(self, date_header: object, now_utc: float) -> None:
        """Take an answer's ``Date`` (whole seconds), and our time when the answer came, in seconds since 1970."""
        date_utc = http_date_utc(date_header)
        if date_utc is None:
            return
        self.skew_s = round(now_utc - date_utc - 0.5, 1)
        if abs(self.skew_s) > SKEW_S_MAX and not self._told:
            self._told = True
            logs.get_logger().warning(log_events.CLOCK_SKEWED, skew_s=round(self.skew_s), of=self._of)


def skew_in_words(skew_s: float | None) -> str:
    """Return a sentence for people if the difference is large. Empty otherwise."""
    if skew_s is None or abs(skew_s) <= SKEW_S_MAX:
        return ""
    return f" This machine's clock is {duration(abs(skew_s))} {'ahead of' if skew_s > 0 else 'behind'} the service's."
