"""Tests of the marks of a time axis."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from purgeengine.edges.report_page.time_axis import MARKS_MAX, Mark, marks_of

NOON = datetime(2026, 11, 28, 12, 0, 3, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("span_s", "texts"),
    [
        (4, ["12:00:03", "12:00:04", "12:00:05", "12:00:06", "12:00:07"]),
        (23, ["12:00:10", "12:00:20"]),
        (600, ["12:02", "12:04", "12:06", "12:08", "12:10"]),
        (4 * 3_600, ["13:00", "14:00", "15:00", "16:00"]),
        (40 * 3_600, ["18:00", "29 Nov", "06:00", "12:00", "18:00", "30 Nov"]),
        (20 * 86_400, ["30 Nov", "3 Dec", "6 Dec", "9 Dec", "12 Dec", "15 Dec", "18 Dec"]),
    ],
)
def test_marks_stand_at_round_times(span_s: float, texts: list[str]) -> None:
    """The marks of an axis are round times of a clock, written as short as the distance between them allows."""
    assert [mark.text for mark in marks_of(NOON, span_s)] == texts


def test_marks_stand_where_their_time_is_and_every_second_one_is_minor() -> None:
    """A mark's place is its share of the axis, and a narrow page leaves every second text out."""
    assert marks_of(NOON, 10) == [Mark(20.0, "12:00:05", False), Mark(70.0, "12:00:10", True)]


@pytest.mark.parametrize("span_s", [1, 59, 3_601, 86_401, 7 * 86_400, 400 * 86_400, 4_000 * 86_400])
def test_an_axis_has_few_marks_however_long_it_is(span_s: float) -> None:
    """An axis of any length has at least one mark and at most as many as can be read, all of them on the axis."""
    marks = marks_of(NOON, span_s)
    assert 1 <= len(marks) <= MARKS_MAX + 1
    assert all(0 <= mark.at <= 100 for mark in marks)
