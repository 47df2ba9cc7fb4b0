"""Tests of the shapes that the page draws, measured with a reader of paths that does not know how they are made."""

from __future__ import annotations

import re
from typing import Any

import pytest

from purgeengine.edges.report_page import charts

FIRST = "2026-11-25T23:15:29+00:00"


def heights_of(path: str, intervals: int) -> list[float]:
    """Return how high the filled area is in the middle of each interval: the sum of the boxes of a path there."""
    found = [0.0] * intervals
    for piece in filter(None, path.split("M")):
        x, low = map(float, re.match(r"([\d.]+) ([\d.]+)", piece).groups())  # type: ignore[union-attr]
        y = low
        for step, value in re.findall(r"([VHh])([\d.]+)", piece):
            if step == "V":
                y = float(value)
                continue
            end = x + float(value) if step == "h" else float(value)
            for interval in range(intervals):
                if x < interval + 0.5 < end:
                    found[interval] += low - y
            x = end
    return [round(height, 1) for height in found]


def bucket(second: int, **counts: int) -> dict[str, Any]:
    """Return an interval of a timeline, so many seconds after the first one."""
    nothing = {"well": 0, "badly": 0, "calls": 0, "lost_calls": 0, "requests": 0, "put_off": 0}
    return {"at_utc": f"2026-11-25T23:15:{29 + second}+00:00", **nothing, **counts}


def timeline(*buckets: dict[str, Any], bucket_s: float = 1.0) -> dict[str, Any]:
    return {"from_utc": FIRST, "bucket_s": bucket_s, "buckets": buckets}


def test_a_bar_is_filled_and_shows_what_is_rare() -> None:
    """The segments of a bar fill its whole width, and the smallest is wide enough to be seen."""
    bar = charts.segments({"purged": 10_000_000, "refused": 1, "skipped": 0, "invalid": 3})
    assert [segment.name for segment in bar] == ["purged", "refused", "invalid"]
    assert min(segment.width for segment in bar) >= charts.SLIVER
    assert bar[-1].x + bar[-1].width == pytest.approx(charts.BAR_WIDTH)
    assert charts.segments({"purged": 0}) == []


@pytest.mark.parametrize(
    ("rows", "bucket_s", "labels", "unit"),
    [
        (510, 1.0, ["300", "600"], "s"),
        (1_000, 1.0, ["500", "1,000"], "s"),
        (12_345, 1.0, ["7,500", "15,000"], "s"),
        (13, 1.0, ["7.5", "15"], "s"),
        (1, 1.0, ["0.5", "1"], "s"),
        (7, 60.0, ["4", "8"], "min"),
        (1, 600.0, ["3", "6"], "h"),
        (1, 36_000.0, ["0.05", "0.1"], "h"),
    ],
)
def test_a_course_is_measured_in_numbers_as_people_write_them(
    rows: int, bucket_s: float, labels: list[str], unit: str
) -> None:
    """The scale of the chart has two round numbers: one above the highest rate and its half, in a unit that fits."""
    course = charts.course(timeline(bucket(0, well=rows), bucket_s=bucket_s))
    assert course is not None
    assert ([label for _, label in course.scale], course.unit) == (labels, unit)
    assert max(heights_of(course.well, 1)) <= charts.HEIGHT


def test_curves_are_as_high_as_their_numbers() -> None:
    """The rate is drawn to its scale, what ended badly lies on top, and gaps are empty. What is rare can still be seen."""
    course = charts.course(
        timeline(bucket(0, well=600), bucket(1, well=300, badly=300), bucket(4, well=300), bucket(5, badly=1)),
        runs=[{"at_utc": "2026-11-25T23:15:20+00:00"}, {"at_utc": "2026-11-25T23:15:32+00:00"}],
    )
    assert course is not None
    assert course.intervals == 6
    assert heights_of(course.well, 6) == [100, 50, 0, 0, 50, 0]
    assert heights_of(course.badly, 6) == [0, 50, 0, 0, 0, charts.SEEN_MIN]
    assert course.resumed == [(50.0, "2026-11-25T23:15:32+00:00")]
    assert course.traces == []


def test_what_held_the_work_up_has_curves_with_scales_of_their_own() -> None:
    """Requests put off and lost calls each have a curve with its sum and its highest value, also where no row was settled."""
    course = charts.course(timeline(bucket(0, well=9, put_off=4), bucket(2, put_off=1, lost_calls=2)))
    assert course is not None
    put_off, lost = course.traces
    assert (put_off.name, put_off.total, put_off.most, heights_of(put_off.path, 3)) == ("put_off", 5, 4, [100, 0, 25])
    assert (lost.name, lost.total, lost.most, heights_of(lost.path, 3)) == ("lost_calls", 2, 2, [0, 0, 100])


def test_strips_share_a_scale() -> None:
    """Equal numbers of rows are equally high in every mailbox, and a strip ends where the work of its mailbox ends."""
    first, second, idle = charts.strips(
        [
            {"well": [0, 20, 5], "badly": [0, 0, 5], "sent_again": [10]},
            {"well": [10], "badly": [], "sent_again": []},
            {"well": [], "badly": [], "sent_again": []},
        ],
        4,
    )
    assert heights_of(first.well, 4) == [0, 100, 25, 0]
    assert heights_of(first.badly, 4) == [0, 0, 25, 0]
    assert heights_of(first.again, 4) == [50, 0, 0, 0]
    assert (first.begin, first.end) == (0, 3)
    assert (heights_of(second.well, 4), second.begin, second.end) == ([50, 0, 0, 0], 0, 1)
    assert idle == charts.Strip("", "", "", None, None)


def test_a_curve_is_light() -> None:
    """A curve of 120 different values weighs about a kilobyte."""
    assert len(charts.area([number * 37 % 101 for number in range(120)], 100)) < 1_200


def test_nothing_is_drawn_of_nothing() -> None:
    """A ledger of which nothing was sent has no course."""
    assert charts.course({"from_utc": None, "bucket_s": 1.0, "buckets": []}) is None
