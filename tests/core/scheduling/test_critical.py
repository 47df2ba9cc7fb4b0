"""Tests of the schedule plan: what it learns of calls, when the run would end, and in which shape a mailbox sends."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from random import Random

import pytest

from purgeengine.core.forecast.bound import Shape, bound, by_rows, frontier, shapes
from purgeengine.core.limits.lost_calls import LostCallCooldown
from purgeengine.core.limits.window import Window
from purgeengine.core.scheduling.critical import CallTimes, CriticalPlan, _rounded
from purgeengine.core.scheduling.mailbox import Mailbox
from purgeengine.run_limits import Limits
from tests.support.plain_times import FULL_CALL_S, LANE_ROW_S, WIDE_CALL_S, Root

HULL = frontier(shapes(Root(), "all"))
NARROW, WIDE = 4, 20


def mailboxes(*rows: int) -> list[Mailbox]:
    """Return mailboxes with so many rows each."""
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
    """Make a plan for mailboxes of so many rows at that moment."""
    plan = CriticalPlan(Limits(connections=connections, requests_per_s=requests_per_s), Random(1), Root())
    plan.refresh(mailboxes(*rows), unread, width, connections, now)
    return plan


# ------------------------------------------------------------------------------------------------------- times of calls


def test_calls_take_what_is_assumed_until_they_are_timed() -> None:
    """Calls that were not timed take the assumed times, on services that run whole batches and on those that run four rows."""
    at_once, in_fours = CallTimes(Root(), "all", 20), CallTimes(Root(), "four", 20)
    for size in range(1, 21):
        assert at_once.call_s(size) == pytest.approx(0.06 + 0.1 * size**0.5)
        assert in_fours.call_s(size) == pytest.approx(0.06 + 0.025 * size)
    assert at_once.lane_row_s == in_fours.lane_row_s == pytest.approx(0.1 + 0.06 / 20)


def test_a_timed_call_moves_its_size_most_and_the_others_by_how_slow_it_was() -> None:
    """A timed call moves the time of its own size most and the others by its slowness.

    The assumption weighs as much as ten calls.
    """
    pace = CallTimes(Root(), "four", 20)
    pace.timed(10, 0.93)  # assumed: 0.31
    slower = (10 + 3) / 11
    assert [pace.call_s(9), pace.call_s(11)] == pytest.approx([0.285 * slower, 0.335 * slower])
    assert pace.call_s(10) == pytest.approx((10 * 0.31 * slower + 0.93) / 11)


def test_a_mean_is_of_five_hundred_at_most() -> None:
    """A mean weighs at most five hundred calls: one that is 5 s slower moves it by about ten milliseconds.

    Lanes do the same.
    """
    pace = CallTimes(Root(), "four", 20)
    for _ in range(1_000):
        pace.timed(10, 0.31)
        pace.timed_lane(10, 1.06)
    pace.timed(10, 5.31)
    assert pace.call_s(10) == pytest.approx(0.31 + 5 / 500, abs=0.0004)
    pace.timed_lane(10, 6.06)
    assert pace.lane_row_s == pytest.approx(0.1 + 0.5 / 500 + 0.003, abs=0.0002)


def test_where_batches_are_slow_lanes_will_be_and_a_quick_service_does_not_make_them_quicker() -> None:
    """Slow batches make lanes count as slow until lanes are timed, and quick batches do not make lanes quicker."""
    pace = CallTimes(Root(), "four", 20)
    pace.timed(10, 0.93)
    assert pace.lane_row_s == pytest.approx(0.1 * (10 + 3) / 11 + 0.003)
    pace.timed_lane(20, 2.06)
    assert pace.lane_row_s == pytest.approx((10 * 0.1 * 13 / 11 + 0.1) / 11 + 0.003)
    quick = CallTimes(Root(), "four", 20)
    quick.timed(10, 0.1)
    assert quick.lane_row_s == pytest.approx(0.103)


def test_timed_lanes_say_what_a_row_of_them_takes() -> None:
    """A timed lane gives the time of one row: without the overhead, divided by the rows that were attempted."""
    pace = CallTimes(Root(), "four", 20)
    pace.timed_lane(20, 4.46)
    assert pace.lane_row_s == pytest.approx(0.1 + 0.12 / 11 + 0.003)
    pace.timed_lane(10, 1.06)
    assert pace.lane_row_s == pytest.approx(0.1 + 0.12 / 12 + 0.003)


def test_a_lane_that_took_no_time_counts_as_a_millisecond() -> None:
    """A lane that broke before its overhead was over counts as one millisecond, never as less than nothing."""
    pace = CallTimes(Root(), "four", 20)
    pace.timed_lane(1, 0.01)
    assert pace.lane_row_s == pytest.approx(0.1 - 0.099 / 11 + 0.003)


# ---------------------------------------------------------------------------------------------------- when the run ends


@pytest.mark.parametrize(
    "rows",
    [[2_048], [5_120] * 20, [*[5_120] * 20, *[8] * 3_000], [8] * 300, [12_288, *[1] * 4_000]],
    ids=["one", "large", "large and small", "small", "over the window"],
)
@pytest.mark.parametrize("connections", [4, 16])
def test_the_end_is_the_least_time_that_the_job_can_take(rows: Sequence[int], connections: int) -> None:
    """The estimated end is the lower bound of connections and slots together, or that of the request window if it is later."""
    limits = Limits(connections=connections)
    least = bound(by_rows(rows), limits, Root(), "all")
    windows, last = divmod(max(rows) - 1, 10_000)
    window_s = windows * 600.0 + (last + 1) * LANE_ROW_S / 4
    plan = a_plan(*rows, connections=connections, now=100.0)
    assert plan._ends_at == pytest.approx(100.0 + max(least.coupled_s, window_s), rel=2e-6)


@pytest.mark.parametrize(("rows", "left_s"), [(20_000, 857.5), (20_001, 1_200.02575), (20_002, 1_200.0515)])
def test_the_window_of_the_largest_mailbox_decides_where_it_is_full(rows: int, left_s: float) -> None:
    """The request window of the largest mailbox decides if it is full: whole windows, then the last rows in lanes."""
    assert a_plan(rows, 8)._ends_at == pytest.approx(left_s, rel=1e-9)


def test_the_rate_of_the_app_decides_where_it_is_low() -> None:
    """A low rate of the app decides the end: 2,400 rows at ten a second take 240 s."""
    assert a_plan(*[8] * 300, requests_per_s=10)._ends_at == pytest.approx(240.0)


@pytest.mark.parametrize(("width", "least_s"), [(NARROW, FULL_CALL_S), (WIDE, WIDE_CALL_S)])
def test_no_run_ends_before_one_call_has(width: int, least_s: float) -> None:
    """A run ends no sooner than after one call, even with nothing open."""
    for rows in ((), (1,)):
        assert a_plan(*rows, width=width, now=7.0)._ends_at == pytest.approx(7.0 + least_s)


def test_rows_in_flight_are_not_done_yet() -> None:
    """Rows in flight count in the estimate, and in whether a mailbox is critical."""
    plan = CriticalPlan(Limits(), Random(1), Root())
    (mailbox,) = mailboxes(2_048)
    mailbox.draw(4, 0.0)
    plan.refresh([mailbox], 0, NARROW, 16, 0.0)
    assert plan._ends_at == pytest.approx(2_048 * LANE_ROW_S / 4, rel=1e-5)
    assert plan.is_critical(mailbox, 0.0)


def test_rows_not_opened_yet_count_as_mailboxes_like_the_smallest_that_is_open() -> None:
    """Rows that are not open yet count as mailboxes as large as the smallest open one, because none can be larger."""
    for rows, unread, as_if in (
        ([2_048], 4_096, {2_048: 3}),
        ([2_048, 512, 1_024], 5_120, {2_048: 1, 1_024: 1, 512: 11}),
        ([], 40_000, {1: 40_000}),
    ):
        least = bound(as_if, Limits(connections=4), Root(), "all")
        plan = a_plan(*rows, connections=4, unread=unread)
        assert plan._ends_at == pytest.approx(least.coupled_s, rel=2e-6)


def test_sizes_count_together_by_an_eighth_of_their_octave() -> None:
    """Sizes of mailboxes are exact up to fifteen rows and rounded down to an eighth of their octave above that."""
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
    """The end is estimated again after a second or a hundredth of the time left, and at once if the width of batches changes."""
    plan = a_plan(*rows, now=50.0)
    before = plan._ends_at
    plan.refresh(mailboxes(16), 0, NARROW, 16, 50.0 + due_s * 0.999)
    assert plan._ends_at == before
    plan.refresh(mailboxes(16), 0, NARROW, 16, 50.0 + due_s)
    assert plan._ends_at == pytest.approx(50.0 + due_s + FULL_CALL_S)
    plan.refresh(mailboxes(16), 0, WIDE, 16, 50.0 + due_s)
    assert plan._ends_at == pytest.approx(50.0 + due_s + WIDE_CALL_S)


# --------------------------------------------------------------------------------------------- in which shape it sends


def test_what_a_row_may_cost() -> None:
    """A row may take slots times time over rows: all rows, or those after full windows if that is less.

    A single row may take any time.
    """
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
    """The shapes follow timed calls: a size that turns out quick is used.

    Where batches are wide, there are full ones and lanes.
    """
    plan = a_plan(5_120)
    assert plan._hull == HULL
    assert len(HULL) > 3
    for _ in range(2_000):
        plan.pace.timed(2, 0.11)
    plan.refresh(mailboxes(5_120), 0, NARROW, 16, 100.0)
    assert [shape.rows for shape in plan._hull[:2]] == [0, 2]
    assert plan._hull[-1].rows == 20
    plan.refresh(mailboxes(5_120), 0, WIDE, 16, 100.0)
    assert plan._hull[0] == Shape(0, LANE_ROW_S, LANE_ROW_S)
    assert plan._hull[1:] == (Shape(20, pytest.approx(4 * WIDE_CALL_S / 20), pytest.approx(WIDE_CALL_S / 20)),)


def test_before_the_first_estimate_batches_are_narrow_and_nothing_is_critical() -> None:
    """Before the first estimate batches are narrow and no mailbox is critical."""
    plan = CriticalPlan(Limits(), Random(1), Root())
    assert plan.pace.call_s(20) == pytest.approx(FULL_CALL_S)
    (mailbox,) = mailboxes(1_000_000)
    assert not plan.is_critical(mailbox, 0.0)
    assert plan.size_for(mailbox, 0.0) == 20


class Drawn(Random):
    """A generator that draws the given value."""

    value = 0.0

    def random(self) -> float:
        return self.value


class At(CriticalPlan):
    """A plan in which every row may take so many slot-seconds."""

    def __init__(self, slot_s: float, *, width: int = NARROW) -> None:
        self.drawn = Drawn()
        super().__init__(Limits(), self.drawn, Root())
        self.refresh([], 0, width, 16, 0.0)
        self._at_slot_s = slot_s

    def _slot_s(self, rows: int, now: float) -> float:
        return self._at_slot_s

    def sizes(self, *draws: float) -> list[int]:
        """Return the sizes that the plan gives for these draws."""
        (mailbox,) = mailboxes(100)
        found = []
        for self.drawn.value in draws:
            found.append(self.size_for(mailbox, 0.0))
        return found


def test_only_a_mailbox_in_a_hurry_is_critical() -> None:
    """Only a mailbox that has less time than full batches need is critical."""
    (mailbox,) = mailboxes(100)
    for slot_s, critical in ((HULL[-1].slot_s, False), (HULL[-1].slot_s * 0.999, True), (HULL[-2].slot_s, True)):
        assert At(slot_s).is_critical(mailbox, 0.0) is critical


def test_a_mailbox_with_time_gets_full_batches_and_one_without_gets_lanes() -> None:
    """A mailbox with enough time gets full batches and one without gets lanes, whatever is drawn."""
    for slot_s in (HULL[-1].slot_s, inf):
        assert At(slot_s).sizes(0.0, 0.999) == [20, 20]
    for slot_s in (HULL[0].slot_s, 0.01, -5.0):
        assert At(slot_s).sizes(0.0, 0.999) == [0, 0]
    between = LANE_ROW_S + 0.005
    assert At(between, width=WIDE).sizes(0.0, 0.999) == [0, 0]  # wide: full or a lane
    assert At(4 * WIDE_CALL_S / 20 + 1e-9, width=WIDE).sizes(0.0, 0.999) == [20, 20]


@pytest.mark.parametrize("pair", range(len(HULL) - 1))
@pytest.mark.parametrize("quicker", [0.25, 0.6])
def test_between_two_shapes_the_draw_mixes_them_by_calls(pair: int, quicker: float) -> None:
    """Between two shapes the draw mixes them by calls, so that the shares of rows fit.

    A quicker shape carries fewer rows, and a lane twenty.
    """
    quick, slow = HULL[pair], HULL[pair + 1]
    slot_s = slow.slot_s - quicker * (slow.slot_s - quick.slot_s)
    quick_calls, slow_calls = quicker / max(quick.rows, 20), (1 - quicker) / slow.rows
    share = quick_calls / (quick_calls + slow_calls)
    assert At(slot_s).sizes(0.0, share - 1e-6, share + 1e-6, 0.999) == [quick.rows, quick.rows, slow.rows, slow.rows]


def test_a_lane_is_as_long_as_six_seconds_are_expected_to_carry() -> None:
    """A lane has as many rows as six seconds are expected to carry, at most 20 and at least one."""
    plan = a_plan(5_120)
    assert plan.lane_rows_max == 20
    for row_s, rows in ((0.7, 8), (50.0, 1)):
        for _ in range(10_000):
            plan.pace.timed_lane(10, 0.06 + 10 * row_s)
        assert plan.lane_rows_max == rows


# -------------------------------------------------------------------------------------- lanes where batches are wide


def test_so_many_mailboxes_may_have_lanes_that_the_other_critical_ones_get_a_connection() -> None:
    """With wide batches, so many mailboxes may have lanes that each other critical one keeps a connection."""
    plan = a_plan(5_120, 5_120, *[8] * 10, connections=17, width=WIDE)
    (mailbox,) = mailboxes(100)
    assert [plan.may_have_lanes(mailbox, in_lanes) for in_lanes in (0, 4, 5, 6)] == [True, True, False, False]
    mailbox.draw_lane(20, 0.0)
    assert plan.may_have_lanes(mailbox, 99)  # it has some already


def test_one_mailbox_may_always_have_lanes() -> None:
    """One mailbox may always have lanes, however few the connections."""
    plan = a_plan(5_120, 5_120, 5_120, connections=4, width=WIDE)
    (mailbox,) = mailboxes(100)
    assert [plan.may_have_lanes(mailbox, in_lanes) for in_lanes in (0, 1)] == [True, False]


def test_narrow_batches_leave_room_for_any_lanes() -> None:
    """With narrow batches any mailbox may have lanes."""
    (mailbox,) = mailboxes(100)
    assert a_plan(5_120).may_have_lanes(mailbox, 99)
