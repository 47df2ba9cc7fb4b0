"""Tests of the least time under faults: it meets the bound without faults, and rises as faults add up."""

from __future__ import annotations

import pytest

from benchmarks.fault_levels import LEVELS, faults_of, faults_with_hangs
from benchmarks.makespan import ideal
from benchmarks.makespan.fault_bound import Shares, fault_bound, menu_under
from benchmarks.makespan.ideal import Relaxed, played_s
from purgeengine.core.forecast.call_times import CallTimes
from purgeengine.core.forecast.latency import DISPATCHES, Dispatch, Latency
from purgeengine.core.forecast.shapes import CallKinds, shape_menu
from purgeengine.run_limits import Limits
from purgeengine.sim.graph.faults import Faults


@pytest.mark.parametrize("dispatch", DISPATCHES)
def test_without_faults_the_shapes_cost_what_the_bound_without_faults_takes(dispatch: Dispatch) -> None:
    """With no faults, every shape has the costs of the menu from which the ordinary bound is computed."""
    limits, latency = Limits(), Latency()
    plain = shape_menu(CallTimes(limits.batch_items_max, latency), CallKinds(dispatch, lanes=True), limits)
    menu = menu_under(Shares(Faults()), limits, latency, dispatch)
    assert [shape.rows for shape in menu.hull] == [shape.rows for shape in plain.hull]
    for shape, other in zip(menu.hull, plain.hull, strict=True):
        assert shape.slot_s == pytest.approx(other.slot_s)
        assert shape.connection_s == pytest.approx(other.connection_s)
    assert menu.item_s == pytest.approx(plain.item_s)


def test_rows_are_sent_as_often_as_chance_demands() -> None:
    """Half of the calls fail at once and half of the rows: each row is sent four times, and reaches its mailbox twice."""
    shares = Shares(Faults(call_throttled=0.5, item_error_before=0.5))
    assert shares.sendings == pytest.approx(4.0)
    assert shares.arrivals == pytest.approx(2.0)


def test_a_call_holds_its_connection_only_until_its_client_is_told() -> None:
    """Half of the calls whose work goes unseen are told early: the connection is free after the overhead, the slots are not."""
    connection_s, slot_s = Shares(Faults(reset_after=1.0)).call_s(0.5, 4.5)
    assert connection_s == pytest.approx((0.5 + 4.5) / 2)
    assert slot_s == pytest.approx(4.5)


def test_a_lost_call_holds_its_slots_for_the_cooldown() -> None:
    """Half of the calls are lost and hold their slots for ten seconds from their sending. The connections are free as before."""
    shares = Shares(Faults(reset_after=0.5))
    plain, held = shares.call_s(0.5, 4.5), shares.call_s(0.5, 4.5, 10.0)
    assert held[0] == plain[0]
    assert held[1] - plain[1] == pytest.approx(0.5 * (10.0 - 4.5))
    assert shares.call_s(0.5, 4.5, 3.0) == plain, "the work goes on for longer than the cooldown"


@pytest.mark.parametrize("dispatch", DISPATCHES)
def test_the_safe_bound_is_the_other_without_lost_calls_and_longer_with_them(
    dispatch: Dispatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only calls of which nobody knows when they end make safety cost time."""
    monkeypatch.setattr(ideal, "SEEDS", 2)
    ideal.least_s.cache_clear()
    job, limits, latency = [600], Limits(connections=16), Latency()
    told = fault_bound(job, limits, latency, dispatch, Faults(call_throttled=0.05, item_throttled_before=0.02))
    assert told.safe_s == told.least_s > told.without_faults_s
    lost = fault_bound(job, limits, latency, dispatch, Faults(reset_after=0.15))
    assert lost.safe_dearer_rows_s > lost.dearer_rows_s
    assert lost.safe_slots_s > 1.2 * lost.slots_s
    assert lost.safe_s > lost.least_s
    ideal.least_s.cache_clear()


@pytest.mark.parametrize("dispatch", DISPATCHES)
def test_more_faults_leave_no_schedule_less_time(dispatch: Dispatch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each part of the bound rises from none over few to many faults, and none is below the bound without faults."""
    monkeypatch.setattr(ideal, "SEEDS", 2)  # the mean of more differs by less than the levels do
    ideal.least_s.cache_clear()
    job, limits, latency = [40] * 20 + [200], Limits(connections=16), Latency()
    none, few, many = (fault_bound(job, limits, latency, dispatch, faults_with_hangs(level)) for level in LEVELS)
    assert none.dearer_rows_s == pytest.approx(none.without_faults_s)
    for part in ("dearer_rows_s", "window_s", "connections_s", "slots_s"):
        assert getattr(none, part) < getattr(few, part) < getattr(many, part), part
    assert few.least_s > few.without_faults_s
    ideal.least_s.cache_clear()


def test_the_ideal_client_stands_still_when_the_app_is_told_to_wait() -> None:
    """Two calls at once that are both refused with a wait cost the longest wait before the rows can be sent again."""
    faults = Faults(call_throttled=0.6, retry_after_s_max=30)
    waiting = played_s(Relaxed(2, False, faults, "four", Latency()), 40, seed=1)
    assert waiting > 2 * played_s(Relaxed(2, False, Faults(), "four", Latency()), 40, seed=1)


@pytest.mark.parametrize("by_lanes", [False, True])
def test_the_ideal_client_breaks_no_limit_and_settles_every_row(by_lanes: bool) -> None:
    """With many faults of every kind, the ideal client ends, within the limits (it asserts that) and the same each time."""
    job = Relaxed(4, by_lanes, faults_with_hangs("many"), "all", Latency())
    assert played_s(job, 300, seed=3) == played_s(job, 300, seed=3) > played_s(job, 30, seed=3)


def test_the_levels_spoil_the_shares_that_they_promise() -> None:
    """Few is five calls and two rows of a hundred, many is 15 and six, with and without calls that hang."""
    for level, calls, rows in (("few", 0.05, 0.02), ("many", 0.15, 0.06)):
        for faults in (faults_of(level), faults_with_hangs(level)):  # type: ignore[arg-type]
            shares = Shares(faults)
            assert 1.0 - shares.answered == pytest.approx(calls)
            assert shares.row_fails == pytest.approx(rows)
