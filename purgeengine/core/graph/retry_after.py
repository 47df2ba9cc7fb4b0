"""Read the ``Retry-After`` header, in every form in which it has been seen.

It may hold whole seconds, decimals or HTTP dates, one value or several. This module has no clock: the caller passes
the time. Sources: RFC 9110 (10.2.3 and 5.6.7) for seconds and the three forms of a date; captures of the live service
for decimals such as ``0.249``.
"""

from __future__ import annotations

import calendar
import math
import re
from email.utils import parsedate_tz

WAIT_S_MAX = 1e9
"""Longest wait in seconds, about thirty years. A longer one counts as this, so that a hostile number stays usable."""
_TEXT_MAX = 500
"""Characters of a header that are read. A real one has fewer than forty."""

_SECONDS = re.compile(r"[+-]?(?:[0-9]{1,100}(?:\.[0-9]{0,100})?|\.[0-9]{1,100})")
_DATE = re.compile(r"[A-Za-z]{3,9},? *[0-9A-Za-z][0-9A-Za-z :+-]*:[0-9A-Za-z :+-]*")
_PARTS = re.compile(
    r"[ \t]*(?:Mon|Tues?|Wed(?:nes)?|Thu(?:rs)?|Fri|Sat(?:ur)?|Sun)(?:day)?,(?=[ \t]*[0-9])[^,]*|[^,]+", re.IGNORECASE
)
"""One date with the comma after its weekday, or the text between two other commas."""


def retry_after_s(header: object, date_header: object, now_utc: float) -> float | None:
    """Return the seconds to wait from now. None if the header is missing or means nothing.

    A date counts from ``date_header`` (the answer's own ``Date``, so that our clock need not be right), else from
    ``now_utc`` (seconds since 1970). One second is added, because dates have no fractions. A time that has passed
    gives 0. Of several values the longest counts, so that a wait is never cut short.
    """
    if isinstance(header, int | float) and not isinstance(header, bool):
        return _bounded(float(min(max(header, -WAIT_S_MAX), WAIT_S_MAX)))
    if not isinstance(header, str):
        return None
    if _SECONDS.fullmatch(header):  # nearly always
        return _bounded(float(header))
    waits = [_one_value_s(part.strip(), date_header, now_utc) for part in _values(header[:_TEXT_MAX])]
    return max((wait for wait in waits if wait is not None), default=None)


def http_date_utc(text: object) -> float | None:
    """Return the time of an HTTP date in seconds since 1970. None if the text is not one."""
    if not isinstance(text, str) or len(text) > 64 or not _DATE.fullmatch(text.strip()):
        return None
    try:
        parts = parsedate_tz(text.strip())
        if parts is None or not (1 <= parts[2] <= 31 and parts[3] <= 23 and parts[4] <= 59 and parts[5] <= 60):
            return None
        return float(calendar.timegm(parts[:9]) - (parts[9] or 0))
    except (ValueError, OverflowError, IndexError, TypeError):
        return None  # a month 13, a year 0, or a form that the parser itself cannot read


def _values(header: str) -> list[str]:
    return [match.group() for match in _PARTS.finditer(header)]


def _one_value_s(text: str, date_header: object, now_utc: float) -> float | None:
    if _SECONDS.fullmatch(text):
        return _bounded(float(text))
    until_utc = http_date_utc(text)
    if until_utc is None:
        _, comma, after = text.partition(",")
        # the comma did not follow a weekday
        return _one_value_s(after.strip(), date_header, now_utc) if comma else None
    counted_from_utc = http_date_utc(date_header)
    return _bounded(until_utc - (now_utc if counted_from_utc is None else counted_from_utc) + 1.0)


def _bounded(seconds: float) -> float | None:
    return None if math.isnan(seconds) else min(max(seconds, 0.0), WAIT_S_MAX)
