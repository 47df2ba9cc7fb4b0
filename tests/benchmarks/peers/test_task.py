"""Tests of what the scripts of the other clients share: waits that they obey."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from benchmarks.peers.task import BACKOFF_S_MAX, backoff_s, wait_in


@pytest.mark.parametrize(("text", "wait_s"), [("2", 2.0), ("0.249", 0.249), ("", None), ("soon", None)])
def test_a_wait_is_read_as_a_number(text: str, wait_s: float | None) -> None:
    """Whole and decimal seconds are read; what is neither a number nor a date is no wait."""
    assert wait_in(text) == wait_s


def test_a_wait_is_read_as_a_date() -> None:
    """A date in the future is a wait until then, one in the past is none."""
    ahead_s = wait_in(formatdate(time.time() + 1_000, usegmt=True))
    assert ahead_s is not None
    assert 900 < ahead_s <= 1_000
    assert wait_in(formatdate(0, usegmt=True)) == 0.0


def test_waits_without_a_retry_after_grow_to_half_a_minute() -> None:
    """Each wait is twice the one before, up to the longest."""
    assert [backoff_s(attempt) for attempt in range(4)] == [1.0, 2.0, 4.0, 8.0]
    assert backoff_s(9) == BACKOFF_S_MAX
