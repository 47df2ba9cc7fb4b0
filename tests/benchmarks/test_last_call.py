"""Tests of the benchmark of the last call: the call that hangs is the last, and only that one."""

from __future__ import annotations

from benchmarks.last_call import Case, play_case


def test_the_last_call_hangs_and_the_run_ends_after_it() -> None:
    """The run ends after the run without a fault, nothing is refused, and what hung left when that run was nearly over."""
    figures = play_case(Case("100 x 40", "four", 16, done=False))
    assert figures.end_s > figures.without_s
    assert 0.5 * figures.without_s < figures.hung_at_s < figures.without_s
    assert figures.last_answer_s <= figures.without_s
    assert figures.refused == 0
    assert figures.times > 0
