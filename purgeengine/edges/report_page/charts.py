"""Turn figures into the shapes that the page draws as SVG, in the units of its view boxes. This module does not know HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

BAR_WIDTH = 1_000.0
"""Width of the bar of outcomes. A rare outcome still gets `SLIVER`."""
SLIVER = 6.0
COURSE_WIDTH, COURSE_HEIGHT = 720.0, 150.0
NICE = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)
"""Round numbers whose halves are round as well, because both are written beside the picture."""


class Segment(NamedTuple):
    """One piece of a bar: its name, where it begins, its width, and its number of rows."""

    name: str
    x: float
    width: float
    rows: int


class Column(NamedTuple):
    """One interval of time: rows that ended well at the bottom, all others above them."""

    x: float
    width: float
    well_y: float
    well_height: float
    badly_y: float
    badly_height: float
    at_utc: str
    well: int
    badly: int


class Curve(NamedTuple):
    """Rows settled over time, with the lines of the scale as (y, rows per second)."""

    columns: Sequence[Column]
    scale: Sequence[tuple[float, str]]
    bucket_s: float


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


def course(timeline: Mapping[str, Any]) -> Curve | None:
    """Return the picture of a ledger's timeline. None if no row was settled."""
    buckets, bucket_s = timeline["buckets"], timeline["bucket_s"]
    if not buckets:
        return None
    times = [datetime.fromisoformat(bucket["at_utc"]).timestamp() for bucket in buckets]
    span_s = times[-1] - times[0] + bucket_s
    top = _nice(max(bucket["well"] + bucket["badly"] for bucket in buckets) / bucket_s)
    width = COURSE_WIDTH * bucket_s / span_s
    columns = []
    for at, bucket in zip(times, buckets, strict=True):
        well, badly = (COURSE_HEIGHT * bucket[kind] / bucket_s / top for kind in ("well", "badly"))
        x = COURSE_WIDTH * (at - times[0]) / span_s
        base = COURSE_HEIGHT - well
        columns.append(
            Column(
                round(x, 2), round(max(1.0, width * 0.92), 2), round(base, 2), round(well, 2), round(base - badly, 2),
                round(badly, 2), bucket["at_utc"], bucket["well"], bucket["badly"],
            )
        )  # fmt: skip
    scale = [(round(COURSE_HEIGHT * (1 - part), 2), _written(top * part)) for part in (0.5, 1)]
    return Curve(columns, scale, bucket_s)


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
