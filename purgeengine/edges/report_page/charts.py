"""Turn figures into shapes that the page draws as SVG. This module knows neither HTML nor colours.

The page draws its own SVG. Libraries were weighed with the same three curves of a ledger with a million rows:

- this module: 6 KB, and 13 KB more for the texts that appear under a pointer
- finished pictures: Vega-Lite (vl-convert) 51 KB, matplotlib 53 KB, pygal 169 KB; the first two also take 90 to 160 MB to install
- scripts: Bokeh 3.9 MB, Plotly 4.8 MB; the page's content policy allows no script

A finished picture has fixed colours and a fixed width. Our paths take their colours from the page, by day, by night and
on paper. They stretch with it, while the text beside them keeps its size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from purgeengine.edges.report_page.time_axis import Mark, marks_of

BAR_WIDTH = 1_000.0
"""Width of the bar of outcomes. A rare outcome still gets `SLIVER`."""
SLIVER = 6.0
HEIGHT = 100
"""Height of every curve in the units of its own view box. One interval is one unit wide."""
SEEN_MIN = 3.0
"""Height of the smallest value that is not 0. One failure among thousands of rows must be seen."""
NICE = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)
"""Round numbers whose halves are round as well, because both are written beside the picture."""
UNITS = ((1, "s"), (60, "min"), (3_600, "h"))
"""Seconds of each unit of time in which a pace is told."""


class Segment(NamedTuple):
    """One piece of a bar: its name, where it begins, its width, and its number of rows."""

    name: str
    x: float
    width: float
    rows: int


class Trace(NamedTuple):
    """A curve below the main one, with a scale of its own. ``most`` is its highest value in one interval."""

    name: str
    path: str
    total: int
    most: int


class Course(NamedTuple):
    """A ledger's work over time. ``scale`` has its lines as (y, text), ``moments`` what each interval tells."""

    intervals: int
    interval_s: float
    well: str
    badly: str
    scale: Sequence[tuple[float, str]]
    unit: str
    traces: Sequence[Trace]
    marks: Sequence[Mark]
    resumed: Sequence[tuple[float, str]]
    """Where later runs began, from 0 to 100 (percent), with the time."""
    moments: Sequence[Mapping[str, Any]]


class Strip(NamedTuple):
    """The work of one mailbox on the same axis. ``begin`` and ``end`` are its first and last interval, or None."""

    well: str
    badly: str
    again: str
    begin: int | None
    end: int | None


def segments(rows_by_name: Mapping[str, int]) -> list[Segment]:
    """Return the pieces of a bar of `BAR_WIDTH`, in proportion to the rows, each wide enough to be seen."""
    present = {name: rows for name, rows in rows_by_name.items() if rows}
    total = sum(present.values())
    widths = {name: max(SLIVER, BAR_WIDTH * rows / total) for name, rows in present.items()}
    excess = sum(widths.values()) - BAR_WIDTH
    if excess > 0:
        widest = max(widths, key=lambda name: widths[name])
        widths[widest] -= excess
    found, x = [], 0.0
    for name, rows in present.items():
        found.append(Segment(name, round(x, 2), round(widths[name], 2), rows))
        x += widths[name]
    return found


def course(timeline: Mapping[str, Any], runs: Sequence[Mapping[str, Any]] = ()) -> Course | None:
    """Return the picture of a ledger's timeline. None if nothing happened yet."""
    buckets, interval_s = timeline["buckets"], timeline["bucket_s"]
    if not buckets:
        return None
    first_s = _seconds(timeline["from_utc"])
    numbered = {round((_seconds(bucket["at_utc"]) - first_s) / interval_s): bucket for bucket in buckets}
    intervals, span_s = max(numbered) + 1, (max(numbered) + 1) * interval_s
    well = _filled({number: bucket["well"] for number, bucket in numbered.items()}, intervals)
    badly = _filled({number: bucket["badly"] for number, bucket in numbered.items()}, intervals)
    per_s = max(a + b for a, b in zip(well, badly, strict=True)) / interval_s
    unit_s, unit = next(((size, name) for size, name in UNITS if per_s * size >= 1), UNITS[-1])
    top = _nice(max(per_s * unit_s, 1e-6))
    most = top * interval_s / unit_s
    traces = [
        Trace(name, area(values, max(values)), sum(values), max(values))
        for name in ("put_off", "lost_calls")
        if any(values := _filled({number: bucket[name] for number, bucket in numbered.items()}, intervals))
    ]
    scale = [(HEIGHT * (1 - part), _written(top * part)) for part in (0.5, 1)]
    starts = [(_seconds(run["at_utc"]), run["at_utc"]) for run in runs]
    resumed = [
        (round(100 * (at - first_s) / span_s, 2), said) for at, said in starts if first_s < at < first_s + span_s
    ]
    return Course(
        intervals, interval_s, area(well, most), band(badly, most, well), scale, unit, traces, marks_of(first_s, span_s),
        resumed, [{"number": number, **bucket} for number, bucket in numbered.items()],
    )  # fmt: skip


def strips(mailboxes: Sequence[Mapping[str, Any]], intervals: int) -> list[Strip]:
    """Return the strips of these mailboxes. All have one scale, so that equal heights are equal numbers of rows."""
    kinds = ("well", "badly", "sent_again")
    values = [[_padded(mailbox[kind], intervals) for kind in kinds] for mailbox in mailboxes]
    heights = [max(a + b, c) for well, badly, again in values for a, b, c in zip(well, badly, again, strict=True)]
    most = max(heights, default=0) or 1
    found = []
    for well, badly, again in values:
        busy = [number for number in range(intervals) if well[number] or badly[number] or again[number]]
        begin, end = (busy[0], busy[-1] + 1) if busy else (None, None)
        found.append(Strip(area(well, most), band(badly, most, well), area(again, most), begin, end))
    return found


def area(values: Sequence[int], most: float) -> str:
    """Return a path of steps: the area under ``values``. ``most`` is the value at the full height. Empty if all are 0."""
    if not any(values):
        return ""
    path, last = f"M0 {HEIGHT}", float(HEIGHT)
    for number, value in enumerate(values):
        y = _y(_height(value, most))
        if y != last:  # neighbours of equal height share a step
            path += f"{f'H{number}' if number else ''}V{y:g}"
            last = y
    return f"{path}H{len(values)}V{HEIGHT}Z"


def band(values: Sequence[int], most: float, below: Sequence[int]) -> str:
    """Return a path of what lies on top of ``below``: one box for each interval with a value."""
    boxes = []
    for number, (value, base) in enumerate(zip(values, below, strict=True)):
        if value:
            low = _height(base, most)
            boxes.append(f"M{number} {_y(low):g}V{_y(low + _height(value, most)):g}h1V{_y(low):g}Z")
    return "".join(boxes)


def _y(height: float) -> float:
    return max(0.0, round(HEIGHT - height, 1))


def _height(value: int, most: float) -> float:
    return max(SEEN_MIN, HEIGHT * value / most) if value else 0.0


def _filled(counts: Mapping[int, int], intervals: int) -> list[int]:
    return [counts.get(number, 0) for number in range(intervals)]


def _padded(counts: Sequence[int], intervals: int) -> list[int]:
    return [*counts, *[0] * (intervals - len(counts))][:intervals]


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _written(value: float) -> str:
    """Return a round number as people write it."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.4g}"


def _nice(value: float) -> float:
    """Return the next round number above."""
    size = 1.0
    while size * 10 < value:
        size *= 10
    while size > value and size > 1e-6:
        size /= 10
    return next(size * step for step in NICE if size * step >= value * 0.999)
