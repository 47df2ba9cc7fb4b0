"""``Retry-After``. An input is the header, a line end, and the answer's ``Date``; without a ``Date``, our clock counts.

1. The result is a wait within limits or none; never an exception. 2. It is never shorter than any of the values asks
for, as far as numbers and dates of the standard form are concerned.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from purgeengine.core.graph.retry_after import WAIT_S_MAX, retry_after_s

NOW_UTC = 1_767_225_600.0
TOKENS = (
    b"Thu, 01 Jan 2026 00:00:30 GMT", b"Thursday, 01-Jan-26 00:00:30 GMT", b"Thu Jan  1 00:00:30 2026", b" +0200", b" -0000", b", ",
    b"0.249", b"120", b"-1", b"1e3", b"nan", b"inf", b"Feb 30", b"9999", b":60", b"24:00:00", b"\xd9\xa5", b"GMT", b"EST", b"\t",
)  # fmt: skip
READ_CHARS_MAX = 500
_STANDARD = re.compile(r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT")


def case(data: bytes) -> None:
    """Check one header."""
    header, _, date = data.decode("utf-8", "replace").partition("\n")
    check_wait(header, date)


def check_wait(header: str, date: str) -> None:
    for counted_from, date_header in ((standard_date(date), date), (None, None)):
        wait_s = retry_after_s(header, date_header, NOW_UTC)
        assert wait_s is None or 0 <= wait_s <= WAIT_S_MAX
        if counted_from is not None or date_header is None:
            for asked_s in asked(header, NOW_UTC if counted_from is None else counted_from):
                assert wait_s is not None
                assert wait_s >= min(asked_s, WAIT_S_MAX), (header, date)


def asked(header: str, now_utc: float) -> list[float]:
    """Return every wait that the header plainly asks for, in seconds from now."""
    if len(header) > READ_CHARS_MAX:
        return []
    values = re.findall(rf"{_STANDARD.pattern}(?=,|$)|[^,]+", header)
    numbers = [float(text) for text in values if re.fullmatch(r"[ \t]*[0-9]{1,99}(\.[0-9]{1,99})?[ \t]*", text)]
    return numbers + [at - now_utc for at in map(standard_date, values) if at is not None]


def standard_date(text: str) -> float | None:
    """Return the time of a date in the one form that servers should write, read by another reader than ours."""
    if not _STANDARD.fullmatch(text):
        return None
    try:
        return datetime.strptime(text, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
