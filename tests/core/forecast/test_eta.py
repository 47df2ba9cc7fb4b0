"""Tests of the forecast during a run: the time left, and how close the run came to the least time. Worked out by hand."""

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
from purgeengine.core.forecast.call_times import RECENT_CALLS, CallTimes
from purgeengine.core.forecast.eta import Closeness, Eta
from purgeengine.core.forecast.latency import USUAL
from purgeengine.core.forecast.shapes import CallKinds
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

CLOSED = Reply(403, "ErrorAccessDenied", "Access is denied.")


def full_batches(*mailboxes: int | MailboxOpened, **limits: Any) -> Scheduler:
    """Return a scheduler with one connection and batches of twenty rows of one mailbox, which is easy to work out by hand."""
    return a_scheduler(*mailboxes, **{"fanout": 20, "connections": 1, **limits})


def test_a_window_tells_when_the_last_of_many_may_leave() -> None:
    """A window of ten requests in 100 s says when many requests can all have left.

    With six requests counted in second 0 and two in second 3, two may leave now, six more at 101 s, and two more at 104 s.
    """
    window = Window(10, 100.0)
    window.sent(8)
    window.answered(6, 0.0)
    window.answered(2, 3.0)
    for requests, at in ((0, 5.0), (2, 5.0), (3, 101.0), (8, 101.0), (9, 104.0), (10, 104.0)):
        assert window.carries_at(requests, 5.0) == at
    assert (
        window.carries_at(12 + 10, 5.0) == 5.0 + 200.0
    )  # the two that may leave now stay in the window for its length


# ------------------------------------------------------------------------------------------------ the time that is left


def as_slow_as_one_row(duration_s: float) -> float:
    """Return the seconds of a row in a full lane if a lane of one row took this long."""
    return duration_s / (0.06 + USUAL.item_s) * (0.06 + 20 * USUAL.item_s) / 20


def test_what_is_left_is_reckoned_with_calls_as_timed() -> None:
    """Two batches of 2 s are left after the first of three, so that the run ends at 6 s."""
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
    """The time left follows recent calls: after 500 calls of 3 s, 2,000 earlier calls of 1 s keep a share of 1 / e."""
    recent, all_calls = CallTimes(20, remembered=RECENT_CALLS), CallTimes(20)
    eta = Eta(Limits(connections=1), recent, all_calls, 0.0)
    for duration_s, calls in ((1.0, 2_000), (3.0, 500)):
        for _ in range(calls):
            recent.batch_answered(20, duration_s)
    ends_at = eta.ends_at([], 20, 50_000, 0, 0.0, 0.0, CallKinds("four", lanes=False))
    old, new = exp(-1) * (1 - exp(-4)), 1 - exp(-1)
    assert ends_at == pytest.approx((old + 3 * new) / (old + new), rel=1e-3)


def test_rows_of_mailboxes_that_are_not_open_yet_are_left_as_well() -> None:
    """Rows of mailboxes that are not open yet count: twenty open rows and 65 to come, at twenty a second."""
    limits = Limits(fanout=20, connections=1, lanes=False)
    scheduler = Scheduler(limits, random.Random(1), rows_left=105)
    (batch,) = batches(scheduler.handle(MailboxOpened(0, 0, 40), now=0.0))
    (batch,) = batches(scheduler.handle(answer(batch), now=1.0))
    assert scheduler.view.ends_at == pytest.approx(1.0 + 85 / 20)
    assert Scheduler(limits, random.Random(1), rows_left=105).view.ends_at == pytest.approx(105 / 20 * 0.942, rel=1e-3)


def test_a_wait_of_the_whole_app_comes_before_what_is_left() -> None:
    """After a wait of 30 s for the whole app, three batches are left, at the assumed times because none was timed."""
    scheduler = full_batches(60)
    (batch,) = batches(scheduler.handle(now=0.0))
    scheduler.handle(refusal(batch, 429, wait=30.0), now=1.0)
    assert scheduler.view.ends_at == pytest.approx(31.0 + 3 * 0.942, rel=1e-3)


def test_a_run_that_has_nothing_left_ends_now_whatever_graph_asked_for() -> None:
    """A run without rows left ends now, even if its last answer asks for a wait of 30 s."""
    scheduler = full_batches(20)
    (batch,) = batches(scheduler.handle(now=0.0))
    scheduler.handle(answer(batch, outer=Reply(200, retry_after_s=30.0)), now=1.0)
    assert scheduler.view.ends_at == 1.0


def test_rows_that_a_closing_mailbox_has_not_asked_for_are_not_waited_for() -> None:
    """Of a closing mailbox only the rows in flight count.

    It had a hundred rows in four lanes of twenty, and the first lane was denied: sixty rows need an answer, in three lanes. One
    row took 0.5 s, where 0.06 s and a row were assumed, so that the rest takes as many times longer than assumed.
    """
    scheduler = a_scheduler(100, lanes=True, connections=8)
    lane, *_ = batches(scheduler.handle(now=0.0))
    scheduler.handle(answer(lane, CLOSED, rest=Reply(424, "FailedDependency")), now=0.5)
    assert scheduler.view.ends_at == pytest.approx(0.5 + 60 * as_slow_as_one_row(0.5) / 4)


def test_a_mailbox_that_waits_needs_time_for_all_of_its_rows() -> None:
    """All three rows left of a waiting mailbox count, with as many refusals for them as so far (three in 137 rows)."""
    scheduler = full_batches(60, 20, connections=2)
    first, second = batches(scheduler.handle(now=0.0))
    waiting = THROTTLED._replace(retry_after_s=500.0)
    scheduler.handle(answer(first), answer(second, *[waiting] * 3), now=1.0)
    assert scheduler.view.ends_at == pytest.approx(501.0 + (1 + 3 / 137) * 3 * 0.05, abs=1e-5)


def test_a_mailbox_that_waits_ends_no_sooner() -> None:
    """A mailbox that waits for 500 s ends one row after that, while the other mailbox has forty rows.

    One refusal in 139 rows is expected for the rest.
    """
    scheduler = full_batches(60, 20, connections=2)
    first, second = batches(scheduler.handle(now=0.0))
    scheduler.handle(answer(first), answer(second, THROTTLED._replace(retry_after_s=500.0)), now=1.0)
    assert scheduler.view.ends_at == pytest.approx(501.0 + (1 + 1 / 139) * 0.05, abs=1e-5)


def test_a_full_window_is_waited_for_and_so_are_those_after_it() -> None:
    """With ten requests in 101 s, 25 rows leave in three windows: ten at once, ten at 103 s, and five 101 s later."""
    scheduler = full_batches(25, mailbox_requests=10, mailbox_window_s=100.0)
    (batch,) = batches(scheduler.handle(now=0.0))
    assert batch.size == 10
    scheduler.handle(answer(batch), now=1.0)
    assert 103.0 + 101.0 < scheduler.view.ends_at < 103.0 + 101.0 + 0.5  # half a second covers the time of a row


def test_rows_of_a_lane_that_were_not_tried_took_no_time() -> None:
    """A lane that broke at its first row took a second for that row: the other rows are expected to be as slow."""
    scheduler = a_scheduler(1_000, lanes=True, connections=8)
    lane, *_ = batches(scheduler.handle(now=0.0))
    assert lane.lane
    fault, not_tried = Reply(500, "ErrorInternalServerError"), Reply(424, "FailedDependency")
    scheduler.handle(answer(lane, fault, rest=not_tried), now=1.0)
    assert scheduler.view.ends_at == pytest.approx(1.0 + 1_000 * as_slow_as_one_row(1.0) / 4)


def test_where_graph_throttles_the_pace_so_far_holds() -> None:
    """If Graph throttles, the run ends no sooner than at the pace so far: after 39 of 100 rows in 100 s, 61 take 156 s.

    Hours without sending do not count as time spent. The pace is not used in the first minute, or if nothing was refused.
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
    """If calls are lost, the run ends no sooner than at the pace so far, because other rows will fare likewise."""
    scheduler = full_batches(200)
    (batch,) = batches(scheduler.handle(now=0.0))
    for done in range(1, 6):
        (batch,) = batches(scheduler.handle(answer(batch), now=float(done)))
    (batch,) = batches(scheduler.handle(lost(batch), now=35.0))
    scheduler.handle(lost(batch), now=110.0)
    assert scheduler.view.ends_at == pytest.approx(110.0 + 110.0 * 100 / 100)


def test_the_pace_so_far_counts_from_the_start_of_the_run_and_for_all_rows_to_come() -> None:
    """The pace counts from the start of the run (at 1,000 s), and for all 401 rows left, most of them in mailboxes to come."""
    limits = Limits(fanout=20, connections=1, lanes=False)
    scheduler = Scheduler(limits, random.Random(1), now=1_000.0, rows_left=440)
    (batch,) = batches(scheduler.handle(MailboxOpened(0, 0, 40), now=1_000.0))
    scheduler.handle(answer(batch, THROTTLED._replace(retry_after_s=58.0)), now=1_001.0)
    (batch,) = batches(scheduler.handle(now=1_059.0))
    scheduler.handle(answer(batch), now=1_060.0)
    assert scheduler.view.ends_at == pytest.approx(1_060.0 + 60.0 * 401 / 39)


def test_the_pace_of_the_first_minute_is_not_held_against_a_run() -> None:
    """After 25 s, most of it a wait, the other 61 rows are expected to take as long as timed calls, and not the pace so far."""
    scheduler = full_batches(100)
    (batch,) = batches(scheduler.handle(now=0.0))
    scheduler.handle(answer(batch, THROTTLED._replace(retry_after_s=23.0)), now=1.0)
    (batch,) = batches(scheduler.handle(now=24.0))
    scheduler.handle(answer(batch), now=25.0)
    assert 28.0 < scheduler.view.ends_at < 29.0


def test_where_nothing_went_through_there_is_no_pace() -> None:
    """If no row went through, there is no pace, and the rows that wait are expected to take what they take after the wait."""
    scheduler = full_batches(20)
    (batch,) = batches(scheduler.handle(now=0.0))
    scheduler.handle(answer(batch, rest=THROTTLED._replace(retry_after_s=70.0)), now=1.0)
    scheduler.handle(now=65.0)
    assert 71.0 < scheduler.view.ends_at < 76.0


def test_the_last_moments_of_a_quick_run_are_told() -> None:
    """With calls of a tenth of a second, the last rows are expected to take less than a second."""
    scheduler = full_batches(40)
    (batch,) = batches(scheduler.handle(now=0.0))
    scheduler.handle(answer(batch), now=0.1)
    assert scheduler.view.ends_at == pytest.approx(0.2)


def test_hours_without_sending_come_on_top() -> None:
    """With nights of ten hours, twelve hours of work from 23:00 on end 26 hours later, unless ``--until`` comes first."""
    start = datetime(2026, 1, 1, 23, 0, tzinfo=UTC).timestamp()
    nights = SendingHours(((20 * 60, 6 * 60),), UTC)
    assert seconds_until_done(nights, start, 3_600.0) == 3_600.0
    assert seconds_until_done(nights, start, 12 * 3_600.0) == 26 * 3_600.0
    assert seconds_until_done(nights, start - 5 * 3_600, 3_600.0) == 2 * 3_600 + 3_600.0  # the start is at 18:00
    ended = SendingHours(nights.windows, UTC, start + 10 * 3_600)
    assert seconds_until_done(ended, start, 7 * 3_600.0) == 7 * 3_600.0
    assert seconds_until_done(ended, start, 7 * 3_600.0 + 1) is None
    assert seconds_until_done(SendingHours((), UTC), start, 1e12) is not None


# ------------------------------------------------------------------------------------------------- how it is shown


@dataclass
class Hand:
    """A clock that a test moves. It begins one minute past midnight."""

    at: float = 0.0

    def monotonic(self) -> float:
        return self.at

    def utc(self) -> float:
        return 60.0 + self.at


def test_a_wait_is_told_with_whose_it_is() -> None:
    """The display says whether Graph asked for the wait or calls fail, by the longer of the two waits."""
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
    """The line shows the time left, asks for it every two seconds, and counts down in between."""
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
    """The line says if ``--until`` comes before the end, and does not if it comes an hour later."""
    scheduler = full_batches(60)
    scheduler.handle(now=10.0)
    standing = RunProgress(Tally(60, {}), scheduler, SendingHours((), UTC, until_utc=71.0), Hand(10.0))
    assert figures(standing).endswith(" · --until comes before the end")
    standing = RunProgress(Tally(60, {}), scheduler, SendingHours((), UTC, until_utc=3_671.0), Hand(10.0))
    assert standing.left_s == pytest.approx(3 * (0.06 + USUAL.in_fours_s(20)), rel=1e-3)


class Terminal(io.TextIOWrapper):
    """Standard error at a terminal: bytes below, text above."""

    def __init__(self) -> None:
        self.shown = io.BytesIO()
        super().__init__(self.shown, "utf-8", "backslashreplace", write_through=True)

    def isatty(self) -> bool:
        return True


def test_the_display_suits_who_watches() -> None:
    """The display suits its reader: none if quiet, a line at a terminal, and log lines for people or for programs."""
    assert isinstance(a_display(quiet=True), Silence)
    assert isinstance(a_display(quiet=False, stream=io.StringIO()), Lines)
    assert isinstance(a_display(quiet=False, log_format="json", stream=io.StringIO()), Events)
    live = a_display(quiet=False, log_format="json", stream=Terminal())
    live.close()
    assert isinstance(live, Live)


def test_what_is_said_on_a_signal_passes_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence on a signal takes away the bar, stands on a line of its own, and the bar is drawn again below."""
    monkeypatch.setenv("TERM", "xterm")
    terminal, tally = Terminal(), Tally(60, {})
    monkeypatch.setattr(sys, "stderr", terminal)
    live = Live(terminal)
    live.show(RunProgress(tally, full_batches(60), clock=Hand()))
    drawn = len(terminal.shown.getvalue())
    tell("Stopping.")
    live.close()
    taken_away, said, anew = terminal.shown.getvalue()[drawn:].decode().partition("purgeengine: Stopping.\n")
    assert taken_away == "\r\x1b[2K" + "\x1b[1A\x1b[2K" * terminal.shown.getvalue()[:drawn].count(b"\n")
    assert said == "purgeengine: Stopping.\n"
    assert "0 of 60" in anew


def test_an_event_tells_programs_how_the_run_stands() -> None:
    """A log event has rows, outcomes and the time left as one JSON object."""
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
    """The least time of a run is that of its settled rows at the timed latencies, whatever is still in flight."""
    scheduler = full_batches(60)
    assert scheduler.view.closeness == Closeness(0.0, timed=False)
    (batch,) = batches(scheduler.handle(now=0.0))
    (batch,) = batches(scheduler.handle(answer(batch), now=2.0))
    scheduler.handle(answer(batch), now=4.0)
    assert scheduler.view.closeness == Closeness(pytest.approx(4.0), timed=True)


def test_rows_that_a_closed_mailbox_skips_count_for_nothing_and_those_that_came_back_once() -> None:
    """Skipped rows of a closed mailbox do not count, and a row that was sent twice counts once."""
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
    """A resumed run is measured by its own rows: of sixty, twenty were settled before and twenty were in doubt."""
    doubts = tuple(Attempt(position, 1, 0, True) for position in range(20))
    scheduler = full_batches(MailboxOpened(0, 40, 60, doubts))
    (batch,) = batches(scheduler.handle(now=0.0))
    (batch,) = batches(scheduler.handle(answer(batch), now=2.0))
    scheduler.handle(answer(batch), now=4.0)
    assert scheduler.finished
    assert scheduler.view.closeness == Closeness(pytest.approx(4.0), timed=True)


def test_the_hours_in_which_it_was_not_to_send_are_counted_once() -> None:
    """Time without sending is counted once: from 1 s to 101 s although it is reported again at 50 s, and from 200 s on."""
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
    """The summary shows 1.25 times the least time for 80 s of sending and a least time of 64 s, in words and as JSON."""
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
    """The summary says whether latencies were timed or assumed, and has no ratio if nothing was settled.

    Short runs show the ratio only as JSON.
    """
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
    """A run over HTTP has timed latencies in summary and log alike, and the same command again has no ratio."""
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
