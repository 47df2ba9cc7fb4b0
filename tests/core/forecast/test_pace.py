"""Tests of the pace of late: over which time it is taken, and which time does not count."""

from __future__ import annotations

from purgeengine.core.forecast.pace import Pace, PaceMark


def test_the_pace_is_that_of_the_last_part_of_the_work() -> None:
    """After 100 s, the rows of the first 40 s do not matter any more: sixty of the last hundred seconds count."""
    pace = Pace(1_000.0)
    for second in range(1, 101):
        found = pace.lately(PaceMark(float(second), min(second, 40) * 10 + max(0, second - 40)))
    assert found == PaceMark(60.0, 60)


def test_the_first_seconds_are_taken_whole() -> None:
    """In the first 15 seconds all of the run counts, because a part of them would be chance."""
    pace = Pace(0.0)
    pace.lately(PaceMark(6.0, 40))
    assert pace.lately(PaceMark(12.0, 100, waited_s=1.5)) == PaceMark(12.0, 100, waited_s=1.5)


def test_an_outage_is_forgotten_and_so_is_the_slow_start_after_it() -> None:
    """The eight seconds after an outage say nothing. After them the pace is that of the time since."""
    pace = Pace(0.0)
    pace.begin_anew(PaceMark(30.0, 100))
    assert pace.lately(PaceMark(36.0, 110)).settled == 0
    pace.lately(PaceMark(37.9, 120))
    assert pace.lately(PaceMark(47.9, 420)) == PaceMark(10.0, 300)


def test_time_without_work_does_not_count() -> None:
    """Thirty seconds in which every mailbox waited are left out, also while they last."""
    pace = Pace(0.0)
    pace.turned(5.0, works=False)
    pace.turned(6.0, works=False)
    assert pace.worked_s(20.0) == 5.0
    pace.turned(35.0, works=True)
    assert pace.worked_s(40.0) == 10.0


def test_the_marks_are_bounded_however_often_somebody_looks() -> None:
    """A look every tenth of a second for three hours keeps at most one mark for each second of ten minutes."""
    pace = Pace(0.0)
    for tenth in range(0, 3 * 36_000, 5):
        pace.lately(PaceMark(tenth / 10, tenth))
    assert len(pace._marks) <= 602
