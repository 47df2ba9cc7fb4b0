"""Figures as people read them, and settings as they write them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from reprlib import Repr

_BRIEF = Repr()
_BRIEF.maxstring = _BRIEF.maxother = 80
"""Characters of a value that a sentence shows: enough to know it again."""


def number(value: int) -> str:
    """Return a number with separators: 1,234,567."""
    return f"{value:,}"


def rate(per_s: float) -> str:
    """Return rows per second, or per minute if they are few: 1,234/s, 4.5/s, 2.4/min."""
    if not per_s or per_s >= 9.95:
        return f"{number(round(per_s))}/s"
    return f"{per_s:.1f}/s" if per_s >= 0.1 else f"{per_s * 60:.1f}/min"


def limits_the_app(per_s: float) -> str:
    """Return what people read about a limit of the whole app: Graph limits the app to about 18 requests/s."""
    return f"Graph limits the app to about {rate(per_s).replace('/', ' requests/')}"


def times(factor: float) -> str:
    """Return a factor with as many digits as matter: 1.07 times, 8.8 times, 114 times."""
    digits = 2 if factor < 1.995 else 1 if factor < 9.95 else 0
    return f"{factor:,.{digits}f} times"


def duration(seconds: float, *, tenths: bool = False) -> str:
    """A time in two units at most: 45 s, 3 min 20 s, 2 h 5 min, 3 d 4 h. With ``tenths``, 4.5 s where it is under ten seconds."""
    whole = max(0, round(seconds))
    if tenths and seconds < 10:
        return f"{round(max(0.0, seconds), 1):g} s"
    if whole < 60:
        return f"{whole} s"
    for size, unit, smaller, name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit}" + (f" {rest} {name}" if rest else "")
    raise AssertionError("unreachable: the last size is a minute")


def utc_text(at_s: float) -> str:
    """Return a time (seconds since 1970) as RFC 3339 in UTC with milliseconds: 2026-01-31T12:00:00.000Z."""
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock_time(at_s: float) -> str:
    """Return a time (seconds since 1970) as the clock of this machine shows it: 22:00, or 2026-01-31 22:00 if it is not today."""
    at, now = datetime.fromtimestamp(at_s), datetime.now()
    return f"{at:%H:%M}" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M}"


def counted(count: int, noun: str) -> str:
    """Return a number with its noun: 1 row, 2 rows; mailbox becomes mailboxes."""
    plural = noun + ("es" if noun.endswith(("x", "s", "ch")) else "s")
    return f"{number(count)} {noun if count == 1 else plural}"


def shown(value: object) -> str:
    """Return a value as Python writes it, shortened and on one line: for a sentence that refuses it, whatever it is."""
    try:
        text = _BRIEF.repr(value)
    except Exception:  # an object may refuse to be shown, and Python itself refuses an int of thousands of digits
        return f"a value of the type {type(value).__name__}"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


Spelling = Callable[[str], str]
"""How the front end in use writes a setting, given by the name of its field, or by field and value (``auto_stop=False``).

It also writes `AGAIN`.
"""

AGAIN = "call purge with the same request again"
"""How to resume or repeat a purge, in the words of a caller of the API. Other front ends have their own words for it."""


def as_fields(setting: str) -> str:
    """The spelling for a caller of the API, who knows the fields."""
    return setting
