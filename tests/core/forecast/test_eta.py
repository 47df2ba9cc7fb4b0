"""Tests of the time left in a run and of how close it came to the least time, calculated by hand."""

from __future__ import annotations

import io
import json
import random
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from math import exp
from pathlib import Path
from typing import Any

import pytest

from purgeengine import logs
from purgeengine.cli.output.progress_display import Events, Lines, Live, Silence, a_display, figures
from purgeengine.cli.output.summary_text import show_summary
from purgeengine.cli.signals import tell
from purgeengine.core.forecast.bound import USUAL, Latency, Shape
from purgeengine.core.forecast.eta import Closeness, Eta
from purgeengine.core.forecast.latency import Timing
from purgeengine.core.limits.window import Window
from purgeengine.core.messages import Held, MailboxOpened, Released
from purgeengine.core.model import Attempt, Outcome, Reply
from purgeengine.core.scheduling.scheduler import Scheduler
from purgeengine.engine.tally import Tally
from purgeengine.jobs.progress import RunProgress
from purgeengine.jobs.sending_hours import SendingHours, seconds_until_done
from purgeengine.jobs.summary import Summary
from purgeengine.run_limits import Limits
from purgeengine.sim.graph.tenant import Tenant
from purgeengine.sim.tenant_settings import TenantSettings
from tests.support.cli_fixtures import a_bench, rows_of
from tests.support.fixtures import THROTTLED, a_scheduler, answer, batches, lost, refusal

EVEN = Latency(overhead_s=0.1, item_median_s=0.2, item_sigma=1e-9)
"""Every row takes 0.2 s and every call 0.1 s: a full batch, four rows at a time, 1.1 s; all at once, 0.3 s."""
LIMITS = Limits()
CLOSED = Reply(403, "ErrorAccessDenied", "Access is denied.")


def full_batches(*mailboxes: int | MailboxOpened, **limits: Any) -> Scheduler:
    """Make a scheduler with one connection and batches of twenty rows of one mailbox, which are easy to calculate."""
    return a_scheduler(*mailboxes, **{"fanout": 20, "connections": 1, **limits})


# ---------------------------------------------------------------------------------------------------- times of calls


def test_ways_are_as_assumed_until_calls_are_timed() -> None:
    """Before calls are timed, shapes have the assumed latencies: lanes at 0.205 s a row, and full batches of 1.1 s."""
    timing = Timing(20, EVEN)
    ways = timing.ways(LIMITS, wide=True, lanes=True)
    assert not timing.timed
    assert ways.item_s == pytest.approx(0.205, rel=1e-3)
    assert [shape.rows for shape in ways.hull] == [0, 20]
    assert ways.hull[1] == pytest.approx(Shape(20, 0.22, 0.055), rel=1e-3)
    assert timing.ways(LIMITS, wide=False, lanes=False).hull == (pytest.approx(Shape(20, 0.3, 0.015), rel=1e-3),)


def test_what_was_not_timed_is_as_much_slower_as_what_was() -> None:
    """Sizes that were not timed count as slower by the same factor as those that were.

    Ten rows in 3.5 s instead of 0.7 s make all five times slower.
    """
    timing = Timing(20, EVEN)
    timing.call(10, 5 * (0.1 + 3 * 0.2))
    ways = timing.ways(LIMITS, wide=True, lanes=True)
    assert timing.timed
    assert ways.item_s == pytest.approx(5 * 0.205, rel=1e-3)
    assert ways.hull[-1].connection_s == pytest.approx(5 * 1.1 / 20, rel=1e-3)


def test_five_calls_of_a_size_have_a_mean_of_their_own() -> None:
    """With five calls of a size, that size has its own mean; with four it has the common factor."""
    timing = Timing(20, EVEN)
    for _ in range(4):
        timing.call(20, 2.2)
        timing.call(10, 0.7)
    common = (2.2 + 0.7) / (1.1 + 0.7)
    assert timing.ways(LIMITS, wide=True, lanes=False).hull[0].connection_s == pytest.approx(
        common * 1.1 / 20, rel=1e-3
    )
    timing.call(20, 2.2)
    assert timing.ways(LIMITS, wide=True, lanes=False).hull[0].connection_s == pytest.approx(2.2 / 20)


def test_lanes_are_timed_by_their_rows_and_tell_of_batches_where_there_were_none() -> None:
    """Lanes are timed by their rows: 0.3075 s a row, half more than usual.

    Batches that were not timed are then half slower too.
    """
    timing = Timing(20, EVEN)
    timing.lane(20, 7.0)
    timing.lane(10, 2.225)
    ways = timing.ways(LIMITS, wide=True, lanes=True)
    assert timing.timed
    assert ways.item_s == pytest.approx(0.3075)
    assert ways.hull[-1].connection_s == pytest.approx(1.65 / 20, rel=1e-3)


def test_lanes_have_times_of_their_own_beside_those_of_batches() -> None:
    """A slow lane makes only lanes slower if batches were timed too."""
    timing = Timing(20, EVEN)
    timing.call(20, 1.1)
    timing.lane(20, 8.2)
    ways = timing.ways(LIMITS, wide=True, lanes=True)
    assert ways.item_s == pytest.approx(0.41)
    assert ways.hull[-1].connection_s == pytest.approx(1.1 / 20, rel=1e-3)


def test_older_lanes_fade() -> None:
    """Older lanes lose weight: with a fade of one half, ten rows in 1 s and then ten in 4 s give 4.5 s for 15 rows."""
    timing = Timing(20, EVEN, fade=0.5)
    timing.lane(10, 1.0)
    timing.lane(10, 4.0)
    assert timing.ways(LIMITS, wide=True, lanes=True).item_s == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("wide", "lanes", "sizes"),
    [(False, False, [20]), (True, False, [20]), (True, True, [0, 20]), (False, True, [0, *range(6, 21)])],
)
def test_smaller_batches_pay_only_where_batches_run_at_once_and_lanes_are_used(
    wide: bool, lanes: bool, sizes: list[int]
) -> None:
    """Smaller batches are worth their call only where batches run at once and lanes are used, at usual latencies."""
    hull = Timing(20).ways(LIMITS, wide=wide, lanes=lanes).hull
    assert [shape.rows for shape in hull] == sizes
    for shape in hull if not wide else ():
        assert shape.slot_s == pytest.approx(shape.connection_s * max(1, shape.rows))


def test_batches_of_two_pay_where_they_are_quick() -> None:
    """Batches of two are the best shape if five of them took 0.02 s each."""
    timing = Timing(20)
    for _ in range(100):
        timing.call(20, USUAL.overhead_s + USUAL.longest_of_s(20))
    for _ in range(5):
        timing.call(2, 0.02)
    assert timing.ways(LIMITS, wide=False, lanes=True).hull == (pytest.approx(Shape(2, 0.02, 0.01)),)


def test_older_calls_fade() -> None:
    """Older calls lose weight: with a fade of one half, 1 s and then 4 s average to 3 s, and a hundred at 2 s replace both."""
    timing = Timing(20, EVEN, fade=0.5)
    timing.call(1, 1.0)
    timing.call(1, 4.0)
    assert timing.ways(LIMITS, wide=True, lanes=True).item_s == pytest.approx(0.205 * 3.0 / 0.3, rel=1e-3)
    for _ in range(100):
        timing.call(1, 2.0)
    assert timing.ways(LIMITS, wide=True, lanes=True).item_s == pytest.approx(0.205 * 2.0 / 0.3, rel=1e-3)


def test_a_window_tells_when_the_last_of_many_may_leave() -> None:
    """A request window tells when the last of many requests may leave.

    With ten in 100 s, two may leave now, six more at 101 s and two at 104 s.
    """
    window = Window(10, 100.0)
    window.sent(8)
    window.answered(6, 0.0)
    window.answered(2, 3.0)
    for requests, at in ((0, 5.0), (2, 5.0), (3, 101.0), (8, 101.0), (9, 104.0), (10, 104.0)):
        assert window.carries_at(requests, 5.0) == at
    assert window.carries_at(12 + 10, 5.0) == 5.0 + 200.0  # the two of now leave the window after its whole length


# ------------------------------------------------------------------------------------------------ the time that is left


def test_what_is_left_is_reckoned_with_calls_as_timed() -> None:
    """The time left uses timed calls: of sixty rows in batches of twenty at 2 s, the run ends at 6 s."""
    scheduler = full_batches(60)
    (batch,) = batches(scheduler.handle(now=0.0))
    assert scheduler.view.ends_at == pytest.approx(3 * (0.06 + USUAL.in_fours_s(20)), rel=1e-3)
    (batch,) = batches(scheduler.handle(answer(batch), now=2.0))
    assert scheduler.view.ends_at == pytest.approx(6.0)
    (batch,) = batches(scheduler.handle(answer(batch), now=4.0))
    scheduler.handle(answer(batch), now=6.0)
    assert scheduler.finished
    assert scheduler.view.ends_at == 6.0


def test_what_is_left_is_reckoned_with_the_calls_of_late() -> None:
    """The time left weighs recent calls more: after 2,000 calls of 1 s and 500 of 3 s, the old ones weigh 1 / e."""
    eta = Eta(Limits(connections=1), 0.0)
    for duration_s, calls in ((1.0, 2_000), (3.0, 500)):
        for _ in range(calls):
            eta.call(20, duration_s)
    ends_at = eta.ends_at([], 20, 50_000, 0, 0.0, 0.0, wide=True, lanes=False)
    old, new = exp(-1) * (1 - exp(-4)), 1 - exp(-1)
    assert ends_at == pytest.approx((old + 3 * new) / (old + new), rel=1e-3)


def test_rows_of_mailboxes_that_are_not_open_yet_are_left_as_well() -> None:
    """Rows of mailboxes that are not open yet count in the time left."""
    limits = Limits(fanout=20, connections=1, serial_lanes=False)
    scheduler = Scheduler(limits, random.Random(1), rows_left=105)
    (batch,) = batches(scheduler.handle(MailboxOpened(0, 0, 40), now=0.0))
    (batch,) = batches(scheduler.handle(answer(batch), now=1.0))
    assert scheduler.view.ends_at == pytest.approx(1.0 + 85 / 20)
    assert Scheduler(limits, random.Random(1), rows_left=105).view.ends_at == pytest.approx(105 / 20 * 0.942, rel=1e-3)


def test_a_wait_of_the_whole_app_comes_before_what_is_left() -> None:
    """A wait of the whole app of 30 s comes before the time of the three batches that are left."""
    scheduler = full_batches(60)
    (batch,) = batches(scheduler.handle(now=0.0))
    scheduler.handle(refusal(batch, 429, wait=30.0), now=1.0)
    assert scheduler.view.ends_at == pytest.approx(31.0 + 3 * 0.942, rel=1e-3)


def test_a_run_that_has_nothing_left_ends_now_whatever_graph_asked_for() -> None:
    """A run with nothing left ends now, even if the last answer asks for a wait of 30 s."""
    scheduler = full_batches(20)
    (batch,) = batches(scheduler.handle(now=0.0))
    scheduler.handle(answer(batch, outer=Reply(200, retry_after_s=30.0)), now=1.0)
    assert scheduler.view.ends_at == 1.0


def test_rows_that_a_closing_mailbox_has_not_asked_for_are_not_waited_for() -> None:
    """Rows of a closing mailbox that were never sent take no time: of a hundred, sixty need an answer at half a second each."""
    scheduler = a_scheduler(100, serial_lanes=True, connections=8)
    lane, *_ = batches(scheduler.handle(now=0.0))
    scheduler.handle(answer(lane, CLOSED, rest=Reply(424, "FailedDependency")), now=0.5)
    assert scheduler.view.ends_at == pytest.approx(0.5 + 60 * 0.5 / 4)


def test_a_mailbox_that_waits_needs_time_for_all_of_its_rows() -> None:
    """A mailbox that waits for 500 s needs the time of its three rows and of the refusals foreseen for them after the wait."""
    scheduler = full_batches(60, 20, connections=2)
    first, second = batches(scheduler.handle(now=0.0))
    waiting = THROTTLED._replace(retry_after_s=500.0)
    scheduler.handle(answer(first), answer(second, *[waiting] * 3), now=1.0)
    assert scheduler.view.ends_at == pytest.approx(501.0 + (1 + 3 / 137) * 3 * 0.05, abs=1e-5)


def test_a_mailbox_that_waits_ends_no_sooner() -> None:
    """A mailbox with one row that waits for 500 s ends after its wait, although another one has forty rows.

    One refusal in 139 rows is foreseen for what is left.
    """
    scheduler = full_batches(60, 20, connections=2)
    first, second = batches(scheduler.handle(now=0.0))
    scheduler.handle(answer(first), answer(second, THROTTLED._replace(retry_after_s=500.0)), now=1.0)
    assert scheduler.view.ends_at == pytest.approx(501.0 + (1 + 1 / 139) * 0.05, abs=1e-5)


def test_a_full_window_is_waited_for_and_so_are_those_after_it() -> None:
    """A mailbox with 25 rows and a window of ten in 100 s waits for two windows."""
    scheduler = full_batches(25, mailbox_requests=10, mailbox_window_s=100.0)
    (batch,) = batches(scheduler.handle(now=0.0))
    assert batch.size == 10
    scheduler.handle(answer(batch), now=1.0)
    assert 103.0 + 101.0 < scheduler.view.ends_at < 103.0 + 101.0 + 0.5  # and the time of a row


def test_rows_of_a_lane_that_were_not_tried_took_no_time() -> None:
    """Rows of a lane that were not attempted took no time: 1 s for the first row makes 250 s for a thousand rows in four lanes."""
    scheduler = a_scheduler(1_000, serial_lanes=True, connections=8)
    lane, *_ = batches(scheduler.handle(now=0.0))
    assert lane.serial
    fault, not_tried = Reply(500, "ErrorInternalServerError"), Reply(424, "FailedDependency")
    scheduler.handle(answer(lane, fault, rest=not_tried), now=1.0)
    assert scheduler.view.ends_at == pytest.approx(1.0 + 1_000 / 4)


def test_where_graph_throttles_the_pace_so_far_holds() -> None:
    """After a refusal the run's own pace gives the time left: 39 of 100 rows in 100 s leave 156 s.

    Hours in which the run must not send do not count. The pace is not used in the first minute, which tells little, nor
    where nothing was refused: then the model knows of the wait.
    """
    for held_s in (0.0, 50.0):
        scheduler = full_batches(100)
        (batch,) = batches(scheduler.handle(now=0.0))
        scheduler.handle(answer(batch, THROTTLED._replace(retry_after_s=98.0)), now=1.0)
        if held_s:
            scheduler.handle(Held(held_s), now=99.0)
        (batch,) = batches(scheduler.handle(*([Released()] if held_s else []), now=99.0 + held_s))
        scheduler.handle(answer(batch), now=100.0 + held_s)
        assert scheduler.view.ends_at == pytest.approx(100.0 + held_s + 100.0 * 61 / 39)

    for refused, began_at in ((THROTTLED._replace(retry_after_s=1.0), 0.0), (Reply(204), 98.0)):
        scheduler = full_batches(100)
        (batch,) = batches(scheduler.handle(now=began_at))
        again = scheduler.handle(answer(batch, refused), now=began_at + 1.0)
        (batch,) = batches([*again, *scheduler.handle(now=began_at + 2.0)])
        scheduler.handle(answer(batch), now=began_at + 3.0)
        assert scheduler.view.ends_at < began_at + 3.0 + 5.0


def test_where_calls_are_lost_the_pace_so_far_holds() -> None:
    """After lost calls the run's own pace gives the time left: a hundred rows in 110 s make 110 s for the other hundred."""
    scheduler = full_batches(200)
    (batch,) = batches(scheduler.handle(now=0.0))
    for done in range(1, 6):
        (batch,) = batches(scheduler.handle(answer(batch), now=float(done)))
    scheduler.handle(lost(batch), now=35.0)
    (batch,) = batches(scheduler.handle(now=80.0))
    scheduler.handle(lost(batch), now=110.0)
    assert scheduler.view.ends_at == pytest.approx(110.0 + 110.0 * 100 / 100)


def test_the_pace_so_far_counts_from_the_start_of_the_run_and_for_all_rows_to_come() -> None:
    """The run's own pace counts from its start, and its rest includes the rows of mailboxes that are not open yet."""
    limits = Limits(fanout=20, connections=1, serial_lanes=False)
    scheduler = Scheduler(limits, random.Random(1), now=1_000.0, rows_left=440)
    (batch,) = batches(scheduler.handle(MailboxOpened(0, 0, 40), now=1_000.0))
    scheduler.handle(answer(batch, THROTTLED._replace(retry_after_s=58.0)), now=1_001.0)
    (batch,) = batches(scheduler.handle(now=1_059.0))
    scheduler.handle(answer(batch), now=1_060.0)
    assert scheduler.view.ends_at == pytest.approx(1_060.0 + 60.0 * 401 / 39)


def test_the_pace_of_the_first_minute_is_not_held_against_a_run() -> None:
    """The pace of the first minute is not used: 61 rows are estimated with calls of 1 s, although 39 took 25 s."""
    scheduler = full_batches(100)
    (batch,) = batches(scheduler.handle(now=0.0))
    scheduler.handle(answer(batch, THROTTLED._replace(retry_after_s=23.0)), now=1.0)
    (batch,) = batches(scheduler.handle(now=24.0))
    scheduler.handle(answer(batch), now=25.0)
    assert 28.0 < scheduler.view.ends_at < 29.0


def test_where_nothing_went_through_there_is_no_pace() -> None:
    """Without a settled row there is no pace, and the time left is the wait and the calls after it."""
    scheduler = full_batches(20)
    (batch,) = batches(scheduler.handle(now=0.0))
    scheduler.handle(answer(batch, rest=THROTTLED._replace(retry_after_s=70.0)), now=1.0)
    scheduler.handle(now=65.0)
    assert 71.0 < scheduler.view.ends_at < 76.0


def test_the_last_moments_of_a_quick_run_are_told() -> None:
    """The time left may be less than a second."""
    scheduler = full_batches(40)
    (batch,) = batches(scheduler.handle(now=0.0))
    scheduler.handle(answer(batch), now=0.1)
    assert scheduler.view.ends_at == pytest.approx(0.2)


def test_hours_without_sending_come_on_top() -> None:
    """Hours without sending are added to the time left, which is None if --until comes first."""
    start = datetime(2026, 1, 1, 23, 0, tzinfo=UTC).timestamp()
    nights = SendingHours(((20 * 60, 6 * 60),), UTC)
    assert seconds_until_done(nights, start, 3_600.0) == 3_600.0
    assert seconds_until_done(nights, start, 12 * 3_600.0) == 26 * 3_600.0
    assert seconds_until_done(nights, start - 5 * 3_600, 3_600.0) == 2 * 3_600 + 3_600.0  # it is 18:00
    ended = SendingHours(nights.windows, UTC, start + 10 * 3_600)
    assert seconds_until_done(ended, start, 7 * 3_600.0) == 7 * 3_600.0
    assert seconds_until_done(ended, start, 7 * 3_600.0 + 1) is None
    assert seconds_until_done(SendingHours((), UTC), start, 1e12) is not None


# ------------------------------------------------------------------------------------------------- how it is shown


@dataclass
class Hand:
    """A clock that a test moves; it begins at one minute past midnight."""

    at: float = 0.0

    def monotonic(self) -> float:
        return self.at

    def utc(self) -> float:
        return 60.0 + self.at


def test_a_wait_is_told_with_whose_it_is() -> None:
    """The progress line says whether Graph asked for the wait or the run waits by itself, and shows the longer one."""
    scheduler, clock = full_batches(400), Hand()
    standing = RunProgress(Tally(400, {}), scheduler, clock=clock)
    sent = batches(scheduler.handle(now=0.0))
    for _ in range(5):
        sent = batches(scheduler.handle(lost(sent[0], sent=False), now=0.0))
    assert (sent, scheduler.view.unanswered) == ([], True)
    while scheduler.view.blocked_for_s < 1:
        clock.at += scheduler.view.blocked_for_s
        (batch,) = batches(scheduler.handle(now=clock.at))
        scheduler.handle(lost(batch, sent=False), now=clock.at)
    assert f"waiting {round(scheduler.view.blocked_for_s)} s before Graph is tried again" in figures(standing)
    clock.at += scheduler.view.blocked_for_s
    (batch,) = batches(scheduler.handle(now=clock.at))
    scheduler.handle(refusal(batch, 503, wait=500.0), now=clock.at)
    assert "waiting 8 min 20 s as Graph asked" in figures(standing)


def test_the_line_tells_the_time_that_is_left_and_looks_every_two_seconds() -> None:
    """The progress line shows the time left, asks for it every two seconds, and counts down in between."""
    scheduler, clock, tally = full_batches(60), Hand(), Tally(60, {})
    standing = RunProgress(tally, scheduler, clock=clock)
    (batch,) = batches(scheduler.handle(now=0.0))
    (batch,) = batches(scheduler.handle(answer(batch), now=2.0))
    clock.at = 2.0
    assert standing.left_s == pytest.approx(4.0)
    assert figures(standing) == "0 of 60 · 0/s · left about 4 s"
    scheduler.handle(answer(batch), now=3.0)
    clock.at = 3.9
    assert standing.left_s == pytest.approx(2.1)
    clock.at = 4.0
    assert standing.left_s == pytest.approx(3.0 + 1.5 - 4.0, abs=0.01)
    clock.at = 60.0
    assert standing.left_s == 0.0


def test_the_line_says_when_the_run_will_be_ended_before() -> None:
    """The progress line says if --until comes before the end of the run."""
    scheduler = full_batches(60)
    scheduler.handle(now=10.0)
    standing = RunProgress(Tally(60, {}), scheduler, SendingHours((), UTC, until_utc=71.0), Hand(10.0))
    assert figures(standing).endswith(" · --until comes before the end")
    standing = RunProgress(Tally(60, {}), scheduler, SendingHours((), UTC, until_utc=3_671.0), Hand(10.0))
    assert standing.left_s == pytest.approx(3 * (0.06 + USUAL.in_fours_s(20)), rel=1e-3)


class Terminal(io.TextIOWrapper):
    """A stream that claims to be a terminal, with bytes below and text above, as standard error is."""

    def __init__(self) -> None:
        self.shown = io.BytesIO()
        super().__init__(self.shown, "utf-8", "backslashreplace", write_through=True)

    def isatty(self) -> bool:
        return True


def test_the_display_suits_who_watches() -> None:
    """The display is silent, live, for people or for programs, by --quiet, the terminal and the log format."""
    assert isinstance(a_display(quiet=True), Silence)
    assert isinstance(a_display(quiet=False, stream=io.StringIO()), Lines)
    assert isinstance(a_display(quiet=False, log_format="json", stream=io.StringIO()), Events)
    live = a_display(quiet=False, log_format="json", stream=Terminal())
    live.close()
    assert isinstance(live, Live)


def test_what_is_said_on_a_signal_passes_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence on a signal appears on its own line above the progress bar, which is drawn again."""
    monkeypatch.setenv("TERM", "xterm")
    terminal, tally = Terminal(), Tally(60, {})
    monkeypatch.setattr(sys, "stderr", terminal)
    live = Live(terminal)
    live.show(RunProgress(tally, full_batches(60), clock=Hand()))
    drawn = len(terminal.shown.getvalue())
    tell("Stopping.")
    live.close()
    taken_away, said, anew = terminal.shown.getvalue()[drawn:].decode().partition("purgeengine: Stopping.\n")
    assert (taken_away, said) == ("\r\x1b[2K\x1b[1A\x1b[2K", "purgeengine: Stopping.\n")
    assert "0 of 60" in anew


def test_an_event_tells_programs_how_the_run_stands() -> None:
    """A progress event has the rows, outcomes and time left as one JSON object."""
    scheduler, clock, tally, log = full_batches(60), Hand(), Tally(60, {Outcome.INVALID: 1}), io.StringIO()
    standing = RunProgress(tally, scheduler, clock=clock)
    (batch,) = batches(scheduler.handle(now=0.0))
    scheduler.handle(answer(batch), now=2.0)
    clock.at = 2.0
    logs.configure_logs("json", stream=log)
    Events().show(standing)
    told = json.loads(log.getvalue())
    assert told["event"] == logs.RUN_PROGRESSED
    assert (told["settled"], told["rows"], told["left_s"], told["elapsed_s"]) == (1, 60, 4.0, 2.0)
    assert told["outcomes"]["invalid"] == 1
    assert told["held_for_s"] is None


# --------------------------------------------------------------------------------------------- how close a run came


def test_the_least_time_is_that_of_the_rows_settled_at_latencies_as_timed() -> None:
    """The least time is that of the settled rows at timed latencies: two batches of 2 s on one connection take 4 s."""
    scheduler = full_batches(60)
    assert scheduler.view.closeness == Closeness(0.0, timed=False)
    (batch,) = batches(scheduler.handle(now=0.0))
    (batch,) = batches(scheduler.handle(answer(batch), now=2.0))
    scheduler.handle(answer(batch), now=4.0)
    assert scheduler.view.closeness == Closeness(pytest.approx(4.0), timed=True)


def test_rows_that_a_closed_mailbox_skips_count_for_nothing_and_those_that_came_back_once() -> None:
    """The least time does not count rows that a closed mailbox skips, and counts a row that was returned once."""
    scheduler = full_batches(30, 20)
    (batch,) = batches(scheduler.handle(now=0.0))
    (batch,) = batches(scheduler.handle(answer(batch, CLOSED), now=2.0))
    assert not batches(scheduler.handle(answer(batch, THROTTLED._replace(retry_after_s=1.0)), now=2.5))
    (batch,) = batches(scheduler.handle(now=3.5))
    as_slow_s = 2.0 * (0.06 + USUAL.item_s) / (0.06 + USUAL.in_fours_s(20))
    scheduler.handle(answer(batch), now=3.5 + as_slow_s)
    assert scheduler.finished
    assert scheduler.view.closeness == Closeness(pytest.approx(4.0), timed=True)


def test_a_run_that_resumes_is_measured_by_what_was_left_to_it() -> None:
    """The least time of a resumed run counts only the rows that were left to it."""
    doubts = tuple(Attempt(position, 1, 0, True) for position in range(20))
    scheduler = full_batches(MailboxOpened(0, 40, 60, doubts))
    (batch,) = batches(scheduler.handle(now=0.0))
    (batch,) = batches(scheduler.handle(answer(batch), now=2.0))
    scheduler.handle(answer(batch), now=4.0)
    assert scheduler.finished
    assert scheduler.view.closeness == Closeness(pytest.approx(4.0), timed=True)


def test_the_hours_in_which_it_was_not_to_send_are_counted_once() -> None:
    """The time in which a run must not send is counted once, even if it is announced twice."""
    scheduler = full_batches(60)
    scheduler.handle(now=0.0)
    assert scheduler.view.held_s == 0.0
    scheduler.handle(Held(100.0), now=1.0)
    scheduler.handle(Held(51.0), now=50.0)
    assert scheduler.view.held_s == 49.0
    scheduler.handle(Released(), now=101.0)
    scheduler.handle(now=150.0)
    assert scheduler.view.held_s == 100.0
    scheduler.handle(Held(10.0), now=200.0)
    scheduler.handle(now=203.0)
    assert scheduler.view.held_s == 103.0


def summed_up(**more: Any) -> Summary:
    """Return the summary of a run of 100 s over 60 rows."""
    values: dict[str, Any] = {
        "ledger": "L", "rows": 60, "outcomes": {Outcome.PURGED: 60}, "waiting": 0, "in_doubt": 0, "complete": True, "calls": 3,
        "requests": 60, "throttled": 0, "lost_calls": 0, "closed_mailboxes": 0, "settled_now": 60, "duration_s": 100.0,
        "exit_code": 0,
    }  # fmt: skip
    return Summary(**{**values, **more})


def test_the_summary_tells_how_close_the_run_came(capsys: pytest.CaptureFixture[str]) -> None:
    """The summary shows how close the run came to the least time, as text and as JSON.

    Here 80 s of sending are 1.25 times the least time of 64 s.
    """
    summary = summed_up(held_s=20.0, closeness=Closeness(64.0, timed=True), throttled=3)
    found = summary.as_json()
    assert (found["least_s"], found["times_the_least"], found["latencies"], found["held_s"]) == (
        64.0,
        1.25,
        "timed",
        20.0,
    )
    show_summary(summary, as_json=False)
    assert (
        "At the latencies timed in this run these rows take 1 min 4 s at least; it took 1.25 times that, "
        "waits for Graph included, 20 s left out in which it was not to send\n"
    ) in capsys.readouterr().out


def test_the_summary_says_which_latencies_and_tells_no_ratio_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """The summary says whether latencies were assumed, and shows no ratio if nothing was settled or the run was short."""
    assumed = summed_up(closeness=Closeness(50.0, timed=False))
    assert (assumed.as_json()["times_the_least"], assumed.as_json()["latencies"]) == (2.0, "assumed")
    show_summary(assumed, as_json=False)
    assert "At the latencies assumed these rows take 50 s at least; it took 2.0 times that\n" in capsys.readouterr().out
    for closeness in (None, Closeness(0.0, timed=False), Closeness(0.9, timed=True)):
        summary = summed_up(closeness=closeness)
        show_summary(summary, as_json=False)
        assert "at least" not in capsys.readouterr().out
        if closeness is None or not closeness.least_s:
            found = summary.as_json()
            assert (found["least_s"], found["times_the_least"], found["latencies"]) == (None, None, None)


def test_a_run_over_http_tells_how_close_it_came_and_programs_how_it_stands(tmp_path: Path) -> None:
    """A run over HTTP shows its ratio in summary and log, and its progress events.

    A repeated run with nothing to settle has no ratio.
    """
    rows = rows_of([400])
    settings = TenantSettings(latency_median_s=0.05, overhead_s=0.05, log=False)
    with a_bench(tmp_path, Tenant(settings, contacts=rows), rows) as bench:
        arguments = [word for word in bench.run_arguments("--log-format", "json") if word != "--quiet"]
        first = bench.command(*arguments)
        again = bench.run()
    assert (first.code, again.code) == (0, 0), first.err + again.err
    found = first.json
    assert found["latencies"] == "timed"
    assert 400 * 0.05 / 4 < found["least_s"] < found["duration_s"]
    assert found["times_the_least"] == pytest.approx(found["duration_s"] / found["least_s"], abs=0.01)
    assert (again.json["least_s"], again.json["times_the_least"], again.json["latencies"]) == (None, None, None)
    events = [json.loads(line) for line in first.err.splitlines()]
    ended = next(event for event in events if event["event"] == logs.RUN_ENDED)
    assert ended["times_the_least"] == found["times_the_least"]
    progressed = [event for event in events if event["event"] == logs.RUN_PROGRESSED]
    assert progressed[-1]["settled"] == 400
    assert progressed[-1]["left_s"] == 0.0
