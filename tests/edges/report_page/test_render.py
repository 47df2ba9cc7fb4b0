"""Tests of the words and numbers on the page."""

from __future__ import annotations

import pytest

from purgeengine.edges.report_page.render import _days, _duration, _period, _share


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.64, "0.6 s"),
        (1.0, "1 s"),
        (12.4, "12 s"),
        (60, "1 min"),
        (3_725, "1 h 2 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_a_duration_on_the_page_is_told_in_two_units_at_most(seconds: float | None, text: str) -> None:
    """A duration on the page has at most two units, joined by spaces that do not break."""
    assert _duration(seconds) == text.replace(" ", "\u00a0")


@pytest.mark.parametrize(
    ("count", "rows", "text"),
    [
        (0, 0, "0 %"),
        (0, 10, "0 %"),
        (10, 10, "100 %"),
        (1, 3, "33.3 %"),
        (1, 1_000_000, "< 0.1 %"),
        (999_999, 1_000_000, "> 99.9 %"),
    ],
)
def test_a_share_is_never_rounded_to_nothing_or_to_all(count: int, rows: int, text: str) -> None:
    """One row of a million is not 0 %, and all rows but one are not 100 %."""
    assert _share(count, rows) == text


@pytest.mark.parametrize(
    ("last", "text"),
    [
        ("2026-11-28T23:59:59+00:00", "28 Nov 2026"),
        ("2026-11-29T00:00:00+00:00", "28 Nov 2026 to 29 Nov 2026"),
        (None, "28 Nov 2026"),
    ],
)
def test_the_days_of_the_work_are_named(last: str | None, text: str) -> None:
    """The picture says on which days the work was done."""
    assert _days({"first_sent_utc": "2026-11-28T23:00:00+00:00", "last_settled_utc": last}) == text


@pytest.mark.parametrize(
    ("last", "text"),
    [
        ("2026-11-28T23:00:00+00:00", "2026-11-28 23:00:00 UTC"),
        ("2026-11-28T23:59:59+00:00", "2026-11-28 23:00:00 to 23:59:59 UTC"),
        ("2026-11-29T00:00:00+00:00", "2026-11-28 23:00:00 to 2026-11-29 00:00:00 UTC"),
        (None, "2026-11-28 23:00:00 to –"),
    ],
)
def test_the_time_of_the_work_names_a_day_once(last: str | None, text: str) -> None:
    """The day of the last outcome is left out if it is that of the first call, and so is a time that is the same."""
    assert _period({"first_sent_utc": "2026-11-28T23:00:00+00:00", "last_settled_utc": last}) == text
