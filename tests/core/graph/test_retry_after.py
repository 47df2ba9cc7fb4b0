"""Tests of Retry-After: how long Graph asks to wait."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime, formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purgeengine.core.graph.retry_after import WAIT_S_MAX, http_date_utc, retry_after_s
from tests.fuzz.targets import waits
from tests.support.properties import examples

NOON = "Thu, 01 Jan 2026 12:00:00 GMT"
NOON_UTC = 1_767_268_800.0


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("0", 0.0),
        ("5", 5.0),
        (" 5 ", 5.0),
        ("+5", 5.0),
        ("0.249", 0.249),
        (".5", 0.5),
        ("3.", 3.0),
        ("-3", 0.0),
        ("1, 7, 3", 7.0),
        ("1,,soon,2", 2.0),
        ("Thu,7", 7.0),
        ("Thu,Thu, 01 Jan 2026 12:00:30 GMT", 31.0),
        (5, 5.0),
        (0.5, 0.5),
        (-1, 0.0),
        (10**400, WAIT_S_MAX),
        ("9" * 50, WAIT_S_MAX),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 31.0),
        ("Thursday, 01-Jan-26 12:00:30 GMT", 31.0),
        ("Thu Jan  1 12:00:30 2026", 31.0),
        ("Thu, 01 Jan 2026 14:00:30 +0200", 31.0),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0.0),
        ("Thu, 01 Jan 2026 12:00:30 GMT, Thu, 01 Jan 2026 12:00:40 GMT", 41.0),
        ("60, Thu, 01 Jan 2026 12:00:30 GMT", 60.0),
        ("Thu, 01 Jan 2026 12:00:30 GMT, 5", 31.0),
        ("", None),
        ("soon", None),
        ("1e3", None),
        ("nan", None),
        ("inf", None),
        ("1_000", None),
        ("٥", None),
        ("5 s", None),
        ("Thu, 99 Foo 2026 12:00:30 GMT", None),
        ("Thu, 01 Jan 2026 25:00:00 GMT", None),
        (None, None),
        (True, None),
        (float("nan"), None),
        ([], None),
        ({}, None),
    ],
)
def test_the_wait_asked_for(header: object, expected: float | None) -> None:
    """A wait may be whole or decimal seconds, a date in three forms, or several values.

    Other text gives no wait, and a past date 0 s.
    """
    assert retry_after_s(header, NOON, 0.0) == expected


def test_a_date_counts_from_our_clock_where_the_answer_has_no_date() -> None:
    """A date counts from our clock if the answer has no date, with one second more, because dates have no fractions."""
    assert retry_after_s("Thu, 01 Jan 2026 12:00:30 GMT", None, NOON_UTC + 0.5) == 30.5
    assert retry_after_s("Thu, 01 Jan 2026 12:00:30 GMT", "yesterday", NOON_UTC) == 31.0


def test_an_http_date() -> None:
    """An HTTP date becomes seconds since 1970, whatever this machine's time zone; other text gives None."""
    assert http_date_utc(NOON) == NOON_UTC
    assert http_date_utc("12:00") is None
    assert http_date_utc("Thu, 01 Xyz 2026 12:00:00 GMT") is None
    assert http_date_utc("Thu, 31 Feb 99999 12:00:00 GMT") is None


@pytest.mark.parametrize(
    ("text", "means_something"),
    [
        ("Sat, 31 Jan 2026 12:00:00 GMT", True),
        ("Sat, 32 Jan 2026 12:00:00 GMT", False),
        ("Sat, 31 Jan 2026 23:59:59 GMT", True),
        ("Sat, 31 Jan 2026 24:00:00 GMT", False),
        ("Sat, 31 Jan 2026 23:60:00 GMT", False),
        ("Wed, 31 Dec 2025 23:59:60 GMT", True),
        ("Wed, 31 Dec 2025 23:59:61 GMT", False),
        (NOON.ljust(64), True),
        (NOON.ljust(65), False),
    ],
)
def test_a_date_is_one_that_a_calendar_and_a_clock_have(text: str, means_something: bool) -> None:
    """A date must exist in the calendar and on the clock, with leap seconds, and have at most 64 characters."""
    assert (http_date_utc(text) is not None) == means_something


numbers = st.integers(0, 10**12).map(str) | st.decimals(0, 10**6, places=3).map(str)
dates = st.datetimes(datetime(1, 1, 1), timezones=st.just(UTC)).map(lambda at: format_datetime(at, usegmt=True))
dates_about_now = st.integers(-100_000, 100_000).map(lambda ahead: formatdate(NOON_UTC + ahead, usegmt=True))
garbage = st.text(max_size=20) | st.sampled_from(
    ["soon", "Thu", "1e3", "-1", "nan", "", " ", "Thu, 32 Jan 2026 12:00:00 GMT"]
)
values = st.lists(numbers | dates | dates_about_now | garbage, min_size=1, max_size=4)


@examples(300)
@given(values, st.sampled_from([",", ", ", " ,\t"]), dates_about_now | garbage)
def test_no_wait_is_shorter_than_any_value_asks_for(some: list[str], between: str, date: str) -> None:
    """A wait is at least as long as every value of the header asks, never negative, and bounded."""
    waits.check_wait(between.join(some), date)


@given(st.text(max_size=80) | st.from_regex(r"(Mon|Thu), [0-9]{2} [A-Z][a-z]{2} [0-9]{2,5} [0-9:]{5,8} [A-Z+0-9]{2,5}"))
def test_no_header_breaks_the_reader(header: str) -> None:
    """Any text gives a bounded wait or none."""
    waits.check_wait(header, header)
