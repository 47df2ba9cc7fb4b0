"""Where a time axis has its marks, and what stands beside them: round times in UTC, few enough to be read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

MARKS_MAX = 7
"""Marks of an axis. More would touch each other on paper; a telephone shows every second one."""
WITH_SECONDS_MAX = 4
"""Marks of an axis whose texts have seconds, and are longer therefore."""
STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400)
"""Distances between marks in seconds: those of a clock."""
DAY_S = 86_400
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
"""English, whatever the locale of the machine."""


class Mark(NamedTuple):
    """A mark: its place from 0 to 100 (percent of the axis), its text, and whether a narrow page leaves the text out."""

    at: float
    text: str
    minor: bool


def marks_of(first_s: float, span_s: float) -> Sequence[Mark]:
    """Return the marks of an axis that begins at ``first_s`` (seconds since 1970) and is ``span_s`` seconds long."""
    step_s = next((step for step in STEPS_S if span_s / step <= (MARKS_MAX if step >= 60 else WITH_SECONDS_MAX)), 0)
    if not step_s:
        days = -(-span_s // (DAY_S * MARKS_MAX))
        step_s = int(days) * DAY_S
    begin = -(-first_s // step_s) * step_s
    times = [begin + number * step_s for number in range(MARKS_MAX + 1) if begin + number * step_s <= first_s + span_s]
    return [
        Mark(round(100 * (at - first_s) / span_s, 2), _written(at, step_s), number % 2 == 1)
        for number, at in enumerate(times)
    ]


def _written(at_s: float, step_s: int) -> str:
    at = datetime.fromtimestamp(at_s, UTC)
    if at_s % DAY_S == 0:
        return f"{at.day} {MONTHS[at.month - 1]}"
    return at.strftime("%H:%M:%S" if step_s < 60 else "%H:%M")
