"""Tests of the schedule plan: when the run ends, which mailboxes are critical, and which shape is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from random import Random

import pytest

from purgeengine.core.forecast.bound import bound, by_rows
from purgeengine.core.forecast.call_times import CallTimes
from purgeengine.core.forecast.shapes import CallKinds, Shape, shape_menu
from purgeengine.core.limits.lost_calls import LostCallCooldown
from purgeengine.core.limits.window import Window
from purgeengine.core.scheduling.critical import CriticalPlan, _rounded
from purgeengine.core.scheduling.mailbox import Mailbox
from purgeengine.run_limits import Limits
from tests.support.plain_times import FULL_CALL_S, LANE_ROW_S, WIDE_CALL_S, Root

HULL = shape_menu(CallTimes(20, Root()), CallKinds("all", lanes=True), Limits()).hull
NARROW, WIDE = 4, 20


def mailboxes(*rows: int) -> list[Mailbox]:
    """Return mailboxes with these numbers of rows."""
    made = []
    for number, count in enumerate(rows):
        made.append(Mailbox(number, 0, count, Window(10_000, 600.0), LostCallCooldown(Limits()), limit_max=4))
    return made


def a_plan(
    *rows: int,
    connections: int = 16,
    unread: int = 0,
    width: int = NARROW,
    now: float = 0.0,
    requests_per_s: int = 12_000,
) -> CriticalPlan:
    """Return a plan that was refreshed at ``now`` for mailboxes with these numbers of rows."""
    plan = CriticalPlan(
        Limits(connections=connections, requests_per_s=requests_per_s), Random(1), CallTimes(20, Root(), 500)
    )
    plan.refresh(mailboxes(*rows), unread, width, connections, now)
    return plan


# ---------------------------------------------------------------------------------------------------- when the run ends


@pytest.mark.parametrize(
    "rows",
    [[2_048], [5_120] * 20, [*[5_120] * 20, *[8] * 3_000], [8] * 300, [12_288, *[1] * 4_000]],
    ids=["one", "large", "large and small", "small", "over the window"],
)
@pytest.mark.parametrize("connections", [4, 16])
def test_the_end_is_the_least_time_that_the_job_can_take(rows: Sequence[int], connections: int) -> None:
    """The end is what connections and slots together allow, as in the lower bound, or what the window demands if later."""
    limits = Limits(connections=connections)
    least = bound(by_rows(rows), limits, Root(), "all")
    windows, last = divmod(max(rows) - 1, 10_000)
    window_s = windows * 600.0 + (last + 1) * LANE_ROW_S / 4
    plan = a_plan(*rows, connections=connections, now=100.0)
    assert plan._ends_at == pytest.approx(100.0 + max(least.coupled_s, window_s), rel=2e-6)


@pytest.mark.parametrize(("rows", "left_s"), [(20_000, 857.5), (20_001, 1_200.02575), (20_002, 1_200.0515)])
def test_the_window_of_the_largest_mailbox_decides_where_it_is_full(rows: int, left_s: float) -> None:
    """The end of a mailbox over its window is whole windows, and then the rows of the last window in lanes."""
    assert a_plan(rows, 8)._ends_at == pytest.approx(left_s, rel=1e-9)


def test_the_rate_of_the_app_decides_where_it_is_low() -> None:
    """At ten rows a second, 2,400 rows end after 240 s."""
    assert a_plan(*[8] * 300, requests_per_s=10)._ends_at == pytest.approx(240.0)


@pytest.mark.parametrize(("width", "least_s"), [(NARROW, FULL_CALL_S), (WIDE, WIDE_CALL_S)])
def test_no_run_ends_before_one_call_has(width: int, least_s: float) -> None:
    """The end is never sooner than one call takes, even if next to nothing is left."""
    for rows in ((), (1,)):
        assert a_plan(*rows, width=width, now=7.0)._ends_at == pytest.approx(7.0 + least_s)


def test_rows_in_flight_are_not_done_yet() -> None:
    """Rows in flight count like other rows, in the end and in what is critical."""
    plan = CriticalPlan(Limits(), Random(1), CallTimes(20, Root()))
    (mailbox,) = mailboxes(2_048)
    mailbox.draw(4, 0.0)
    plan.refresh([mailbox], 0, NARROW, 16, 0.0)
    assert plan._ends_at == pytest.approx(2_048 * LANE_ROW_S / 4, rel=1e-5)
    assert plan.is_critical(mailbox, 0.0)


def test_rows_not_opened_yet_count_as_mailboxes_like_the_smallest_that_is_open() -> None:
    """Rows that are not opened yet count as mailboxes of the smallest open size, because none of them can be larger."""
    for rows, unread, as_if in (
        ([2_048], 4_096, {2_048: 3}),
        ([2_048, 512, 1_024], 5_120, {2_048: 1, 1_024: 1, 512: 11}),
        ([], 40_000, {1: 40_000}),
    ):
        least = bound(as_if, Limits(connections=4), Root(), "all")
        plan = a_plan(*rows, connections=4, unread=unread)
        assert plan._ends_at == pytest.approx(least.coupled_s, rel=2e-6)


def test_sizes_count_together_by_an_eighth_of_their_octave() -> None:
    """Sizes up to fifteen rows count exactly; larger ones are rounded down in steps of an eighth of their octave."""
    assert [_rounded(rows) for rows in (1, 7, 15, 16, 17, 31, 255, 1_000, 1_024)] == [
        1,
        7,
        15,
        16,
        16,
        30,
        240,
        960,
        1_024,
    ]


@pytest.mark.parametrize(("rows", "due_s"), [([2_048], 1.0), ([20_001], 0.01 * 1_200.02575)])
def test_the_end_is_estimated_anew_when_that_is_due(rows: Sequence[int], due_s: float) -> None:
    """The end is estimated anew after a second or a hundredth of the time left, and at once when batches become wider."""
    plan = a_plan(*rows, now=50.0)
    before = plan._ends_at
    plan.refresh(mailboxes(16), 0, NARROW, 16, 50.0 + due_s * 0.999)
    assert plan._ends_at == before
    plan.refresh(mailboxes(16), 0, NARROW, 16, 50.0 + due_s)
    assert plan._ends_at == pytest.approx(50.0 + due_s + FULL_CALL_S)
    plan.refresh(mailboxes(16), 0, WIDE, 16, 50.0 + due_s)
    assert plan._ends_at == pytest.approx(50.0 + due_s + WIDE_CALL_S)


# ------------------------------------------------------------------------------------------------- how its rows travel


def test_what_a_row_may_cost() -> None:
    """A row may cost slots times time over rows: of all rows, or of the last ones after full windows if that is less."""
    plan = a_plan(20_001, now=100.0)
    left_s = 1_200.02575
    assert plan._slot_s(1, 100.0) == inf
    assert plan._slot_s(2, 100.0) == pytest.approx(4 * left_s / 2)
    assert plan._slot_s(1_000, 300.0) == pytest.approx(4 * (left_s - 200.0) / 1_000)
    assert plan._slot_s(10_000, 100.0) == pytest.approx(4 * left_s / 10_000)
    assert plan._slot_s(10_001, 100.0) == pytest.approx(4 * left_s / 10_001)
    assert plan._slot_s(20_000, 100.0) == pytest.approx(4 * left_s / 20_000)
    assert plan._slot_s(20_001, 600.0) == pytest.approx(4 * (left_s - 1_700.0))
    assert plan._slot_s(20_002, 100.0) == pytest.approx(4 * (left_s - 1_200.0) / 2)


def test_the_shapes_worth_using_follow_what_calls_have_taken() -> None:
    """The shapes follow the times that calls took; with a wide fanout only full batches and lanes are used."""
    plan = a_plan(5_120)
    assert plan._hull == HULL
    assert len(HULL) > 3
    plan.refresh(mailboxes(5_120), 0, WIDE, 16, 0.0)
    full = Shape(20, pytest.approx(4 * WIDE_CALL_S / 20), pytest.approx(WIDE_CALL_S / 20))
    assert plan._hull == (Shape(0, LANE_ROW_S, LANE_ROW_S), full)
    for _ in range(2_000):
        plan._times.batch_answered(20, FULL_CALL_S)
        plan._times.batch_answered(2, 0.11)
    plan.refresh(mailboxes(5_120), 0, NARROW, 16, 100.0)
    assert [shape.rows for shape in plan._hull[:2]] == [0, 2]


def test_before_the_first_estimate_batches_are_narrow_and_nothing_is_critical() -> None:
    """Before the first estimate the end is not known, so that no mailbox is critical."""
    plan = CriticalPlan(Limits(), Random(1), CallTimes(20, Root()))
    assert plan.dispatch == "all"
    (mailbox,) = mailboxes(1_000_000)
    assert not plan.is_critical(mailbox, 0.0)
    assert plan.size_for(mailbox, 0.0) == 20


class Drawn(Random):
    """A generator that returns a given number."""

    value = 0.0

    def random(self) -> float:
        return self.value


class At(CriticalPlan):
    """A plan in which every row may cost a given number of slot-seconds."""

    def __init__(self, slot_s: float, *, width: int = NARROW) -> None:
        self.drawn = Drawn()
        super().__init__(Limits(), self.drawn, CallTimes(20, Root()))
        self.refresh([], 0, width, 16, 0.0)
        self._at_slot_s = slot_s

    def _slot_s(self, rows: int, now: float, held: int = 0) -> float:
        return self._at_slot_s

    def sizes(self, *draws: float) -> list[int]:
        """Return the sizes that follow if these numbers are drawn."""
        (mailbox,) = mailboxes(100)
        found = []
        for self.drawn.value in draws:
            found.append(self.size_for(mailbox, 0.0))
        return found


def test_only_a_mailbox_in_a_hurry_is_critical() -> None:
    """A mailbox that has time for full batches is not critical."""
    (mailbox,) = mailboxes(100)
    for slot_s, critical in ((HULL[-1].slot_s, False), (HULL[-1].slot_s * 0.999, True), (HULL[-2].slot_s, True)):
        assert At(slot_s).is_critical(mailbox, 0.0) is critical


def test_a_mailbox_with_time_gets_full_batches_and_one_without_gets_lanes() -> None:
    """A mailbox gets full batches at the slowest shape and beyond, and lanes at the quickest, whatever is drawn."""
    for slot_s in (HULL[-1].slot_s, inf):
        assert At(slot_s).sizes(0.0, 0.999) == [20, 20]
    for slot_s in (HULL[0].slot_s, 0.01, -5.0):
        assert At(slot_s).sizes(0.0, 0.999) == [0, 0]
    between = LANE_ROW_S + 0.005
    assert At(between, width=WIDE).sizes(0.0, 0.999) == [0, 0]  # with a wide fanout: full batches or lanes
    assert At(4 * WIDE_CALL_S / 20 + 1e-9, width=WIDE).sizes(0.0, 0.999) == [20, 20]


@pytest.mark.parametrize("pair", range(len(HULL) - 1))
@pytest.mark.parametrize("quicker", [0.25, 0.6])
def test_between_two_shapes_the_draw_mixes_them_by_calls(pair: int, quicker: float) -> None:
    """Between two shapes the draw mixes calls so that the intended share of rows is in the quicker shape."""
    quick, slow = HULL[pair], HULL[pair + 1]
    slot_s = slow.slot_s - quicker * (slow.slot_s - quick.slot_s)
    quick_calls, slow_calls = quicker / max(quick.rows, 20), (1 - quicker) / slow.rows
    share = quick_calls / (quick_calls + slow_calls)
    assert At(slot_s).sizes(0.0, share - 1e-6, share + 1e-6, 0.999) == [quick.rows, quick.rows, slow.rows, slow.rows]


def test_a_lane_is_as_long_as_six_seconds_are_expected_to_carry() -> None:
    """A lane has as many rows as six seconds carry: twenty at 0.1 s, eight at 0.7 s, and at least one."""
    plan = a_plan(5_120)
    assert plan.lane_rows_max == 20
    for row_s, rows in ((0.7, 8), (50.0, 1)):
        for _ in range(10_000):
            plan._times.lane_answered(10, 0.06 + 10 * row_s)
        assert plan.lane_rows_max == rows


def test_a_mailbox_with_full_windows_ahead_is_critical_where_its_slots_decide() -> None:
    """A mailbox of 25,000 rows is critical at half a second a row: its slots take 52 minutes, and its windows take 20."""
    times = CallTimes(20)
    for _ in range(1_000):
        times.lane_answered(10, 5.0)
        times.batch_answered(20, 2.5)
    plan = CriticalPlan(Limits(connections=16), Random(1), times)
    heavy, light = mailboxes(25_000, 10)
    plan.refresh([heavy, light], 0, 4, 16, now=0.0)
    assert plan.is_critical(heavy, 0.0)
    assert not plan.is_critical(light, 0.0)
    assert plan.size_for(heavy, 0.0) == 0


def test_the_last_rows_behind_full_windows_are_critical_where_the_windows_decide() -> None:
    """Of 50,000 rows the last 10,000 are critical, because they may leave only after 40 minutes."""
    plan = CriticalPlan(Limits(connections=16), Random(1), CallTimes(20))
    mailbox = mailboxes(50_000)[0]
    plan.refresh([mailbox], 0, 20, 16, now=0.0)
    assert plan.is_critical(mailbox, 0.0)


# -------------------------------------------------------------------------------------- lanes where batches are wide


def test_so_many_mailboxes_may_have_lanes_that_the_other_critical_ones_get_a_connection() -> None:
    """Of 17 connections two are for two critical mailboxes, and the others for five mailboxes in lanes."""
    plan = a_plan(5_120, 5_120, *[8] * 10, connections=17, width=WIDE)
    (mailbox,) = mailboxes(100)
    assert [plan.may_have_lanes(mailbox, in_lanes) for in_lanes in (0, 4, 5, 6)] == [True, True, False, False]
    mailbox.draw_lane(20, 0.0)
    assert plan.may_have_lanes(mailbox, 99)  # it has lanes already


def test_one_mailbox_may_always_have_lanes() -> None:
    """One mailbox may have lanes, however few connections there are."""
    plan = a_plan(5_120, 5_120, 5_120, connections=4, width=WIDE)
    (mailbox,) = mailboxes(100)
    assert [plan.may_have_lanes(mailbox, in_lanes) for in_lanes in (0, 1)] == [True, False]


def test_narrow_batches_leave_room_for_any_lanes() -> None:
    """With a narrow fanout any number of mailboxes may have lanes."""
    (mailbox,) = mailboxes(100)
    assert a_plan(5_120).may_have_lanes(mailbox, 99)
