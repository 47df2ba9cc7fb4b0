"""Tests of the totals over all runs: a threshold and the automatic stop count over all of them."""

from __future__ import annotations

from purgeengine.core.coordination.totals import Totals
from purgeengine.core.model import Outcome, Reply
from purgeengine.core.policy.auto_stop import DENIALS_IN_A_ROW_MAX, AutoStop, FailureThreshold
from purgeengine.core.policy.run_figures import RunFigures, StopFigures

DENIED = Reply(403, "ErrorAccessDenied", "Access is denied.")


def test_failures_of_all_runs_cross_a_threshold_together() -> None:
    """Three failed rows of one run and three of another are more than five; telling them again changes nothing."""
    totals = Totals(FailureThreshold.parse("5"))
    three = RunFigures({Outcome.REFUSED: 3})
    assert totals.take(0, "a", three, StopFigures()) is None
    assert totals.take(0, "a", three, StopFigures()) is None
    assert "6 rows failed" in (totals.take(1, "b", three, StopFigures()) or "")
    assert totals.figures.settled == {Outcome.REFUSED: 6}


def test_mailboxes_that_deny_the_app_are_counted_over_all_runs() -> None:
    """Half of the denials here and half there stop the purge; a purged row in between does not let it happen."""

    def denials(count: int, ended: int = 0) -> StopFigures:
        recent = tuple((mailbox, True) for mailbox in range(count))
        return StopFigures(ended, 0, count, count, count, recent, DENIED)

    half = DENIALS_IN_A_ROW_MAX // 2
    stopping = Totals(auto_stop=AutoStop())
    assert stopping.take(0, "a", RunFigures(), denials(half)) is None
    assert stopping.take(0, "a", RunFigures(), denials(half)) is None
    assert "mailboxes in a row" in (stopping.take(1, "b", RunFigures(), denials(half)) or "")
    going_on = Totals(auto_stop=AutoStop())
    going_on.take(0, "a", RunFigures(), denials(half))
    going_on.take(2, "c", RunFigures(), StopFigures(ended=1))
    assert going_on.take(1, "b", RunFigures(), denials(half)) is None


def test_a_run_that_has_ended_settles_nothing_more_a_second() -> None:
    """Its rows stay counted, its pace does not."""
    totals = Totals()
    totals.take(0, "a", RunFigures({Outcome.PURGED: 9}, per_s=5.0, left_s=60.0), StopFigures())
    totals.take(1, "b", RunFigures({Outcome.PURGED: 1}, per_s=2.0, left_s=10.0), StopFigures())
    totals.ended(0, "a")
    totals.ended(0, "never heard of")
    assert totals.figures == RunFigures({Outcome.PURGED: 10}, per_s=2.0, left_s=10.0)
