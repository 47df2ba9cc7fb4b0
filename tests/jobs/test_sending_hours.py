"""When a run may send: windows of the day and an end, and that nothing leaves at another time."""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_left
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest

from purgeengine.cli.options.hour_options import hours_from
from purgeengine.core.messages import Held, Released, SendWindow
from purgeengine.engine.loop import Engine
from purgeengine.errors import UsageProblem
from purgeengine.jobs.sending_hours import CombinedHours, SendingHours, combined
from purgeengine.run_limits import Limits
from purgeengine.sim.graph.faults import Faults
from purgeengine.sim.tenant_settings import UTC_AT_ZERO_S, TenantSettings
from tests.engine.test_loop import Scene
from tests.simulation.world import World
from tests.support.fixtures import a_scheduler, answer, batches, lost

try:
    BERLIN = ZoneInfo("Europe/Berlin")
except ZoneInfoNotFoundError:  # pragma: no cover
    pytest.skip("this machine has no time zones; install Python's tzdata", allow_module_level=True)

RUNNING_S_MAX = 10.0
"""A batch that left in time may run on for so long: the tenant notes when it begins each row."""
INSTANT = TenantSettings(latency_median_s=0.0, overhead_s=0.01)


def utc(text: str) -> float:
    """Seconds since 1970 of an ISO date and time, of UTC unless it says another."""
    when = datetime.fromisoformat(text)
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def some_hours(*windows: str, now: str = "2026-01-01T00:00", **more: Any) -> SendingHours:
    """What the options make of these windows; in UTC unless ``time_zone`` says another."""
    options = {"window": windows, "until": None, "time_zone": "UTC", **more}
    hours = hours_from(options, utc(now))
    assert hours is not None
    return hours


# ------------------------------------------------------------------------------------------------------------- windows


@pytest.mark.parametrize(
    ("window", "at", "allowed", "for_s"),
    [
        ("20:00-06:00", "2026-03-10T19:59:30", False, 30),
        ("20:00-06:00", "2026-03-10T20:00:00", True, 10 * 3600),
        ("20:00-06:00", "2026-03-10T23:59:59", True, 6 * 3600 + 1),
        ("20:00-06:00", "2026-03-11T05:59:59", True, 1),
        ("20:00-06:00", "2026-03-11T06:00:00", False, 14 * 3600),
        ("09:00-17:30", "2026-03-11T17:29:00", True, 60),
        ("22:00-24:00", "2026-03-11T23:00:00", True, 3600),
        ("22:00-24:00", "2026-03-12T00:00:00", False, 22 * 3600),
    ],
)
def test_a_window_is_open_from_its_first_minute_to_before_its_end(
    window: str, at: str, allowed: bool, for_s: int
) -> None:
    """Across midnight too; it tells to the second how long that lasts."""
    assert some_hours(window).at(utc(at)) == (allowed, for_s, None)


def test_all_day_is_always_open_and_several_windows_add_up() -> None:
    """A window of 24 hours, and a lunch break beside a night."""
    for hour in range(24):
        assert some_hours("00:00-24:00").at(utc(f"2026-03-10T{hour:02}:00")).allowed
    both = some_hours("20:00-06:00", "12:00-13:00")
    open_at = [hour for hour in range(24) if both.at(utc(f"2026-03-10T{hour:02}:30")).allowed]
    assert open_at == [0, 1, 2, 3, 4, 5, 12, 20, 21, 22, 23]


@pytest.mark.parametrize(
    ("evening", "hours"),
    [("2026-03-28T20:00+01:00", 9), ("2026-10-24T20:00+02:00", 11), ("2026-06-01T20:00+02:00", 10)],
)
def test_the_night_in_which_clocks_are_set_is_as_long_as_it_is(evening: str, hours: int) -> None:
    """20:00 to 06:00 in Berlin: nine hours when clocks are set forward, eleven when they are set back."""
    spell = some_hours("20:00-06:00", time_zone="Europe/Berlin").at(utc(evening))
    assert spell == (True, hours * 3600, None)


def test_a_window_that_the_clock_jumps_over_or_shows_twice() -> None:
    """02:00 to 03:00 does not exist in the night of spring, and comes twice in that of autumn."""
    hours = some_hours("02:00-03:00", time_zone="Europe/Berlin")
    assert hours.at(utc("2026-03-29T00:30")) == (False, 23.5 * 3600, None)  # it is 01:30; 02:00 comes on the 30th
    assert hours.at(utc("2026-10-25T00:30")) == (True, 1.5 * 3600, None)  # 02:30 summer time, and again an hour later
    assert not hours.at(utc("2026-10-25T02:00")).allowed


def test_a_window_that_ends_within_the_hour_that_is_left_out_ends_where_it_is_left_out() -> None:
    """01:00 to 02:30 on the night of spring: open until the clock shows 03:00, for an hour."""
    hours = some_hours("01:00-02:30", time_zone="Europe/Berlin")
    assert hours.at(utc("2026-03-29T00:00")) == (True, 3600, None)


@pytest.mark.parametrize(
    "text", ["20:00", "20-06", "25:00-06:00", "20:60-06:00", "08:00-08:00", "24:00-06:00", "x-y", ""]
)
def test_a_window_that_is_none_is_refused(text: str) -> None:
    """With an example of one."""
    with pytest.raises(UsageProblem, match="20:00-06:00"):
        some_hours(text)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../secrets", "Europe", ""])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    """Whatever the library that knows zones makes of it."""
    with pytest.raises(UsageProblem, match="--time-zone"):
        some_hours("20:00-06:00", time_zone=zone)


def test_without_options_there_are_no_hours() -> None:
    """A zone alone says nothing."""
    assert hours_from({"window": (), "until": None, "time_zone": "UTC"}, 0.0) is None


# --------------------------------------------------------------------------------------------------------------- until


@pytest.mark.parametrize(
    ("until", "ends"),
    [
        ("06:00", "2026-03-11T06:00"),
        ("21:30", "2026-03-10T21:30"),
        ("00:00", "2026-03-11T00:00"),
        ("24:00", "2026-03-11T00:00"),
        ("2026-03-12T06:15", "2026-03-12T06:15"),
        ("2026-03-12T06:15+02:00", "2026-03-12T04:15"),
        ("2026-03-12", "2026-03-12T00:00"),
    ],
)
def test_until_is_the_next_such_time_or_a_date(until: str, ends: str) -> None:
    """Told at 21:00; a date without a zone is in that of the option."""
    hours = some_hours(now="2026-03-10T21:00:10", until=until)
    assert hours.until_utc == utc(ends)
    spell = hours.at(utc(ends) - 5)
    assert spell == (True, 5, None)
    assert "--until" in (hours.at(utc(ends)).over or "")


def test_until_a_time_that_the_clock_jumps_over_is_when_it_jumps() -> None:
    """02:30 on the night of spring is 03:00, not a day later."""
    hours = some_hours(now="2026-03-28T23:00", until="02:30", time_zone="Europe/Berlin")
    assert hours.until_utc == utc("2026-03-29T01:00")


@pytest.mark.parametrize("until", ["2026-03-10T20:00", "yesterday", "25:00", "06:61"])
def test_an_end_that_is_over_or_none_is_refused(until: str) -> None:
    """Nothing was sent."""
    with pytest.raises(UsageProblem, match="--until"):
        some_hours(now="2026-03-10T21:00", until=until)


def test_how_long_a_spell_lasts_is_what_looking_at_every_minute_tells() -> None:
    """Random windows and moments around both nights in which clocks are set."""
    rng = random.Random(1)

    def is_open(at: float) -> bool:
        shown = datetime.fromtimestamp(at, BERLIN)
        minute = shown.hour * 60 + shown.minute
        return any(first <= minute < end or (end < first and not end <= minute < first) for first, end in hours.windows)

    for night in ("2026-03-28T12:00", "2026-10-24T12:00"):
        for _ in range(15):
            windows = tuple((rng.randrange(1_440), rng.randrange(1, 1_441)) for _ in range(rng.randint(1, 3)))
            hours = SendingHours(tuple((first, end) for first, end in windows if first != end), BERLIN)
            at = utc(night) + rng.randrange(86_400)
            spell = hours.at(at)
            minutes = (at // 60 * 60 + 60 * n for n in range(1, 2_880))
            changes = (minute - at for minute in minutes if is_open(minute) != spell.allowed)
            assert next(changes, None) in (spell.for_s, None)


# ------------------------------------------------------------------------------------------------------- the scheduler


def test_a_held_scheduler_sends_nothing_and_takes_answers() -> None:
    """What is in flight is settled; what is ready waits, without a timer of its own; then it goes on."""
    scheduler = a_scheduler(8)
    (first,) = batches(scheduler.handle(now=0.0))
    assert batches(scheduler.handle(Held(100.0), answer(first), now=1.0)) == []
    assert (scheduler.wake_at(), scheduler.view.held_for_s) == (None, 100.0)
    assert batches(scheduler.handle(now=50.0)) == []
    assert scheduler.view.held_for_s == 51.0
    assert len(batches(scheduler.handle(Released(), now=101.0))) == 1
    assert scheduler.view.held_for_s is None


def test_a_night_without_sending_is_no_outage() -> None:
    """A call that failed before the end of the window does not stop the run when the next begins."""
    scheduler = a_scheduler(8, outage_s_max=900.0)
    (first,) = batches(scheduler.handle(now=0.0))
    scheduler.handle(lost(first), Held(50_000.0), now=1.0)
    assert scheduler.handle(now=40_000.0) == []
    assert batches(scheduler.handle(Released(), now=50_000.0))
    assert not scheduler.finished


# ---------------------------------------------------------------------------------------------------- the whole engine


def started(world: World) -> list[float]:
    """When the tenant was asked, in seconds since 1970."""
    return sorted(UTC_AT_ZERO_S + seen.started_at for seen in world.tenant.log)


def test_nothing_is_sent_outside_the_window_whatever_goes_wrong() -> None:
    """A job that takes several windows of a minute, with faults: every batch leaves in one, and the job ends."""
    hours = some_hours("01:00-01:01", "13:00-13:01")
    world = World(
        seed=3,
        rows_by_mailbox=(2_600, 20),
        faults=Faults(item_error_before=0.02, reset_after=0.02, call_throttled=0.02),
    )
    world.hours = hours
    world.run().judge()
    asked = started(world)
    assert all(hours.at(at).allowed or hours.at(at - RUNNING_S_MAX).allowed for at in asked)
    assert asked[0] >= UTC_AT_ZERO_S + 3600
    assert len({(at - UTC_AT_ZERO_S) // 43_200 for at in asked}) >= 2


def test_until_ends_the_run_in_order_and_the_next_one_goes_on() -> None:
    """The first run ends by itself with rows left and none in doubt; the same command finishes the job."""
    world = World(seed=4, rows_by_mailbox=(2_000,))
    world.hours = SendingHours(zone=UTC, until_utc=UTC_AT_ZERO_S + 60.0, until_named="--until")
    world.run_once()
    assert "--until" in (world.engine.stop_reason or "")
    assert max(started(world)) < UTC_AT_ZERO_S + 60.0 + RUNNING_S_MAX
    with world.stage() as ledger:
        counts = ledger.counts()
    assert (counts.in_doubt, counts.waiting > 0) == (0, True)
    world.hours = None
    world.run().judge()


def test_an_end_that_comes_while_it_waits_for_the_window_ends_the_run() -> None:
    """It need not wait for the night to find that it is over."""
    world = World(seed=5, rows_by_mailbox=(10,))
    world.hours = some_hours("20:00-06:00", now="2026-01-01T12:00", until="18:00")
    world.tenant.advance(12 * 3600.0)
    world.run_once()
    assert len(world.tenant.log) == 0
    assert world.duration_s == pytest.approx(18 * 3600.0, abs=1.0)


def test_a_stop_while_it_waits_for_the_window_ends_at_once() -> None:
    """Ctrl-C in the night does not wait for the morning."""

    async def stop(engine: Engine) -> None:
        await asyncio.sleep(100.0)
        engine.stop("SIGINT was received")

    scene = Scene(rows=40, hours=some_hours("06:00-20:00")).run(stop)
    assert (scene.ended_at, scene.history) == (pytest.approx(100.0, abs=0.1), [])


def test_a_batch_that_could_not_leave_in_time_is_never_sent_and_goes_in_the_next_window() -> None:
    """Its token came after the window had closed: it is recorded as not sent, and its rows are not in doubt."""
    waits = iter([100.0])

    async def wait() -> None:
        await asyncio.sleep(next(waits, 0.0))

    scene = Scene(rows=4, hours=some_hours("00:00-00:01", "02:00-03:00"), before_token=wait).run()
    assert [line.split()[0] for line in scene.history] == ["intent", "intent", "post"]
    assert scene.ended_at == pytest.approx(2 * 3600.0, abs=1.0)
    assert scene.settled == 4
    assert not any(getattr(entry, "in_doubt", False) for entry in scene.entries)


def test_a_clock_that_is_set_is_noticed_within_a_minute() -> None:
    """Somebody sets the wall clock out of the window: sending ends soon, and goes on once it is time."""
    world = World(seed=7, rows_by_mailbox=(7_800,), clock_steps=((100.0, 7_200.0),))
    world.hours = some_hours("00:00-01:00", "05:00-06:00")
    world.run_once()
    asked = [seen.started_at for seen in world.tenant.log]
    assert not [at for at in asked if 161.0 < at < 3 * 3600.0]
    assert max(asked) >= 3 * 3600.0


def test_the_rate_holds_in_any_stretch_of_time() -> None:
    """At 10 rows a second, no stretch of the run has more than the burst and what the time allows."""
    world = World(seed=8, rows_by_mailbox=(60,) * 20, limits=Limits(requests_per_s=10), settings=INSTANT)
    world.run().judge()
    asked = started(world)
    for first, at in enumerate(asked):
        in_a_minute = bisect_left(asked, at + 60.0) - first
        assert in_a_minute <= 60 * 10 + 20
    assert asked[-1] - asked[0] == pytest.approx((1_200 - 20) / 10, rel=0.1)


class Fixed:
    """Hours that always say the same."""

    def __init__(self, allowed: bool, for_s: float, over: str | None = None) -> None:
        self._window = SendWindow(allowed, for_s, over)

    def at(self, utc: float) -> SendWindow:
        return self._window


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (Fixed(True, 60.0), Fixed(True, 20.0), SendWindow(True, 20.0, None)),
        (Fixed(True, 60.0), Fixed(False, 0.2), SendWindow(False, 0.2, None)),
        (Fixed(False, 3_600.0), Fixed(False, 0.2), SendWindow(False, 3_600.0, None)),
        (Fixed(True, 60.0), Fixed(False, 0.0, "fenced"), SendWindow(False, 0.0, "fenced")),
    ],
)
def test_hours_of_two_sources_allow_what_both_allow(one: Fixed, other: Fixed, both: SendWindow) -> None:
    """Both must allow it, in either order; what closes longest says when to look again, and either may end the run."""
    assert CombinedHours(one, other).at(0.0) == both
    assert CombinedHours(other, one).at(0.0) == both


def test_hours_of_one_source_are_taken_as_they_are() -> None:
    """Without a second source nothing stands between the run and its hours, and without any there are none."""
    window = some_hours("20:00-06:00")
    assert combined(None, window, None) is window
    assert combined(None, None) is None
    assert isinstance(combined(window, window), CombinedHours)
