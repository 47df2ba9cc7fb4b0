"""Tests of `benchmarks.app_limit`."""

from __future__ import annotations

from benchmarks.app_limit import Case, play


def test_the_learned_rate_is_compared_with_waits_of_single_mailboxes() -> None:
    """Both ways end. The learned rate is refused less often, and no way is quicker than the least time allows."""
    case = Case("100 in 5 s", 100, 5.0, 60, 600)
    learned, without = (play(case, learns=learns) for learns in (True, False))
    assert learned.refused < without.refused < 10
    assert min(learned.ratio, without.ratio) > 0.9
