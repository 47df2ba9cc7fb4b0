"""Tests of the guard that keeps a log from being flooded."""

from __future__ import annotations

from purgeengine.log_flood import LINE_AGAIN_S, LINES_AT_ONCE, FloodGuard


def test_the_first_lines_pass_and_then_one_a_minute_with_the_number_of_the_others() -> None:
    """Of 1,000 events in a second five pass. A minute later one passes, and says how many did not."""
    now = [0.0]
    guard = FloodGuard(lambda: now[0])
    passed = [guard.admit("mailbox.blocked") for _ in range(1_000)]
    assert passed[:LINES_AT_ONCE] == [0] * LINES_AT_ONCE
    assert passed[LINES_AT_ONCE:] == [None] * (1_000 - LINES_AT_ONCE)
    now[0] = LINE_AGAIN_S
    assert [guard.admit("mailbox.blocked") for _ in range(3)] == [1_000 - LINES_AT_ONCE, None, None]
    assert guard.counts() == {"mailbox.blocked": 997}


def test_kinds_do_not_share_their_lines() -> None:
    """A flood of one kind does not hide another kind."""
    guard = FloodGuard(lambda: 0.0)
    for _ in range(100):
        guard.admit("batch.lost")
    assert guard.admit("mailbox.closed") == 0


def test_a_long_run_has_few_lines_of_a_kind() -> None:
    """Ten hours with ten events a second give at most one line a minute after the first ones."""
    now = [0.0]
    guard = FloodGuard(lambda: now[0])
    lines = 0
    for tenth in range(360_000):
        now[0] = tenth / 10
        lines += guard.admit("mailbox.blocked") is not None
    assert 600 <= lines <= 600 + LINES_AT_ONCE


def test_after_a_pause_as_many_lines_pass_as_at_first_and_no_more() -> None:
    """A quiet hour does not save up lines for a flood after it."""
    now = [0.0]
    guard = FloodGuard(lambda: now[0])
    for _ in range(10):
        guard.admit("batch.lost")
    now[0] = 3_600.0
    assert sum(guard.admit("batch.lost") is not None for _ in range(100)) == LINES_AT_ONCE
