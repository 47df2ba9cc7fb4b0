"""Tests of the rows that went through lately."""

from __future__ import annotations

from purgeengine.core.limits.throughput import LATELY_S, STEP_S, Throughput


def test_rows_of_the_last_seconds_count() -> None:
    """One row each tenth of a second is ten a second, over any length, and older rows are forgotten."""
    passed = Throughput(0.0)
    for step in range(1, 1_001):
        passed.count(1, step / 10)
    assert round(passed.per_s(100.0)) == round(passed.per_s(100.0, 2.0)) == 10
    assert len(passed._rows) <= LATELY_S / STEP_S + 2
    assert passed.per_s(150.0) == 0.0


def test_a_young_count_is_not_thinned() -> None:
    """In the first seconds only these seconds count."""
    passed = Throughput(50.0)
    passed.count(30, 51.0)
    assert passed.per_s(52.0) == 15.0


def test_standing_still_counts_until_it_goes_on() -> None:
    """A pause lowers what went through, however long it is; then the count begins anew."""
    passed = Throughput(0.0)
    for second in range(1, 31):
        passed.count(10, float(second))
    passed.stand(30.0)
    passed.count(1, 60.0)
    assert passed.per_s(60.0) == (11 * 10 + 1) / 40.0
    passed.go_on(60.0)
    assert passed.per_s(61.0) == 1.0


def test_time_that_is_left_out_does_not_count() -> None:
    """Ten rows in the ten seconds before a stop of ten seconds, of which eight are left out: ten rows in twelve seconds."""
    throughput = Throughput(0.0)
    throughput.count(10, 10.0)
    throughput.stand(10.0)
    throughput.leave_out(8.0)
    assert throughput.per_s(20.0) == 10 / 12
    throughput.go_on(20.0)
    throughput.count(4, 22.0)
    assert throughput.per_s(22.0) == 2.0
