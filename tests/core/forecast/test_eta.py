"""Tests of the forecast during a run: the time left, and how close the run came to the least time. Worked out by hand."""

from __future__ import annotations

import io
import json
import random
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from purgeengine import log_events, logs
from purgeengine.cli.output.progress_display import Events, Lines, Live, Silence, a_display, figures
from purgeengine.cli.output.summary_text import show_summary
from purgeengine.cli.signals import tell
from purgeengine.core.forecast.eta import Closeness
from purgeengine.core.forecast.latency import USUAL
from purgeengine.core.forecast.time_left import Awaited, TimeLeft, in_words
from purgeengine.core.limits.window import Window
from purgeengine.core.messages import Held, MailboxOpened, Released
from purgeengine.core.model import Attempt, Outcome, Reply
from purgeengine.core.scheduling.scheduler import Scheduler
from purgeengine.engine.tally import Tally
from purgeengine.jobs.progress import Progress, RunProgress
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


def left_s(scheduler: Scheduler, now: float | None = None) -> float:
    """Return the seconds that the run tells."""
    seconds = scheduler.view.time_left(now).seconds
    assert seconds is not None, scheduler.view.time_left(now)
    return seconds


def test_before_the_first_answer_nobody_knows_how_long_calls_take() -> None:
    """A run without an answer says that it waits for one, for as long as a first call is waited for."""
    scheduler = full_batches(60)
    (batch,) = batches(scheduler.handle(now=0.0))
    scheduler.may_leave(batch.number, 0.0)
    assert scheduler.view.time_left(10.0) == TimeLeft(None, Awaited.FIRST_ANSWERS, for_s=20.0)


def test_what_is_left_is_reckoned_with_calls_as_timed() -> None:
    """Two batches of 2 s are left after the first of three. Some more is told, because an answer may be slow."""
    scheduler = full_batches(60)
    (batch,) = batches(scheduler.handle(now=0.0))
    (batch,) = batches(scheduler.handle(answer(batch), now=2.0))
    assert 4.0 <= left_s(scheduler) < 5.5
    (batch,) = batches(scheduler.handle(answer(batch), now=4.0))
    assert 2.0 <= left_s(scheduler) < 3.5
    scheduler.handle(answer(batch), now=6.0)
    assert scheduler.finished
    assert scheduler.view.time_left() == TimeLeft(0.0)


def test_what_is_left_follows_the_calls_of_late() -> None:
    """After 200 calls of 1 s and 200 of 3 s, the rest is expected to take three seconds a batch."""
    scheduler = full_batches(20_000, mailbox_requests=100_000)
    sent = batches(scheduler.handle(now=0.0))
    now = 0.0
    for number in range(400):
        now += 1.0 if number < 200 else 3.0
        sent = batches(scheduler.handle(answer(sent[0]), now=now))
        scheduler.view.time_left()
    assert left_s(scheduler) == pytest.approx(600 * 3.0, rel=0.15)


def test_rows_of_mailboxes_that_are_not_open_yet_are_left_as_well() -> None:
    """Rows of mailboxes that are not open yet count: twenty open rows and 65 to come, at twenty a second."""
    limits = Limits(fanout=20, connections=1, lanes=False)
    scheduler = Scheduler(limits, random.Random(1), rows_left=105)
    (batch,) = batches(scheduler.handle(MailboxOpened(0, 0, 40), now=0.0))
    scheduler.handle(answer(batch), now=1.0)
    assert 85 / 20 <= left_s(scheduler) < 1.4 * 85 / 20


def test_a_wait_of_the_whole_app_comes_before_what_is_left() -> None:
    """After a wait of 30 s for the whole app, three batches are left, at the assumed times because none was timed."""
    scheduler = full_batches(60)
    (batch,) = batches(scheduler.handle(now=0.0))
    scheduler.handle(refusal(batch, 429, wait=30.0), now=1.0)
    assert 30.0 + 3 * 0.942 <= left_s(scheduler) < 40.0


def test_a_run_that_has_nothing_left_ends_now_whatever_graph_asked_for() -> None:
    """A run without rows left ends now, even if its last answer asks for a wait of 30 s."""
    scheduler = full_batches(20)
    (batch,) = batches(scheduler.handle(now=0.0))
    scheduler.handle(answer(batch, outer=Reply(200, retry_after_s=30.0)), now=1.0)
    assert scheduler.view.time_left() == TimeLeft(0.0)


def test_rows_that_a_closing_mailbox_has_not_asked_for_are_not_waited_for() -> None:
    """Of a closing mailbox only the rows in flight count: sixty in three lanes, and not the other 920."""
    scheduler = a_scheduler(1_000, lanes=True, connections=8)
    lane, *_ = batches(scheduler.handle(now=0.0))
    scheduler.handle(answer(lane, CLOSED, rest=Reply(424, "FailedDependency")), now=0.5)
    assert left_s(scheduler) < 10.0


def test_a_mailbox_that_waits_ends_no_sooner() -> None:
    """A mailbox that waits for 500 s decides the end, while the other mailbox has forty rows. After it comes one row."""
    scheduler = full_batches(60, 20, connections=2)
    first, second = batches(scheduler.handle(now=0.0))
    scheduler.handle(answer(first), answer(second, THROTTLED._replace(retry_after_s=500.0)), now=1.0)
    assert 500.0 <= left_s(scheduler) < 525.0
    assert 300.0 <= left_s(scheduler, 201.0) < 325.0


def test_a_full_window_is_waited_for_and_so_are_those_after_it() -> None:
    """With ten requests in 101 s, 25 rows leave in three windows: ten at once, ten at 103 s, and five 101 s later."""
    scheduler = full_batches(25, mailbox_requests=10, mailbox_window_s=100.0)
    (batch,) = batches(scheduler.handle(now=0.0))
    assert batch.size == 10
    scheduler.handle(answer(batch), now=1.0)
    assert 102.0 + 101.0 < left_s(scheduler) < 102.0 + 101.0 + 10.0


def test_waits_so_far_are_expected_again() -> None:
    """Every other answer of a mailbox asks for a wait of 20 s. So more waits are expected for the rows that are left.

    By what the calls alone need, these rows would take some seconds.
    """
    scheduler = full_batches(300)
    now, sent = 0.0, batches(scheduler.handle(now=0.0))
    for number in range(10):
        now += 1.0
        said = THROTTLED._replace(retry_after_s=20.0) if number % 2 == 0 else Reply(204)
        sent = batches(scheduler.handle(answer(sent[0], rest=said), now=now))
        while not sent:
            at = scheduler.wake_at()
            assert at is not None
            now = max(now, at)
            sent = batches(scheduler.handle(now=now))
    assert left_s(scheduler) > now


def test_lost_calls_are_expected_again() -> None:
    """If every other call is lost, the end is told no sooner than at the pace so far."""
    scheduler = full_batches(400, quarantine_s=1.0)
    now, sent = 0.0, batches(scheduler.handle(now=0.0))
    for number in range(20):
        now += 3.0
        commands = scheduler.handle(lost(sent[0]) if number % 2 else answer(sent[0]), now=now)
        while not (sent := batches(commands)):
            at = scheduler.wake_at()
            assert at is not None
            now = at
            commands = scheduler.handle(now=now)
    assert left_s(scheduler) > 0.8 * now * 200 / 200


def test_a_call_that_is_late_is_waited_for_with_its_time_limit() -> None:
    """The last rows are in flight, and their answer is late: the run says so, with the most seconds until it is given up."""
    scheduler = full_batches(220)
    now, sent = 0.0, batches(scheduler.handle(now=0.0))
    for _ in range(10):
        scheduler.may_leave(sent[0].number, now)
        now += 1.0
        sent = batches(scheduler.handle(answer(sent[0]), now=now))
    scheduler.may_leave(sent[0].number, now)
    assert scheduler.view.time_left(now + 1.0).seconds is not None
    overdue_at = scheduler.wake_at()
    assert overdue_at is not None
    assert overdue_at > now + 2.0
    usual_s = scheduler.view.eta.usual_s(scheduler.view.batching.kinds)[False]
    late = now + 3.0 * usual_s + 0.01
    if late < overdue_at:
        expected = TimeLeft(None, Awaited.ANSWERS, 1, pytest.approx(overdue_at - late))  # type: ignore[arg-type]
        assert scheduler.view.time_left(late) == expected


def test_a_run_with_nothing_in_flight_says_that_graph_asked_for_the_wait() -> None:
    """During a wait of 30 s for the whole app, the figure is told with the reason, and the line says it once."""
    scheduler = full_batches(60)
    (batch,) = batches(scheduler.handle(now=0.0))
    (batch,) = batches(scheduler.handle(answer(batch), now=1.0))
    scheduler.handle(refusal(batch, 429, wait=30.0), now=2.0)
    told = scheduler.view.time_left(12.0)
    assert (told.awaited, told.for_s) == (Awaited.RETRY_AFTER, 20.0)
    assert told.seconds is not None
    assert told.seconds > 20.0
    line = figures(RunProgress(Tally(60, {}), scheduler, clock=Hand(2.0)))
    assert line.count("as Graph asked") == 1


def test_a_run_with_nothing_in_flight_says_that_it_waits_after_lost_calls() -> None:
    """The only mailbox has no free slot after a lost call: the figure is told with the reason, and with the next try."""
    scheduler = full_batches(60, quarantine_s=40.0)
    (batch,) = batches(scheduler.handle(now=0.0))
    (batch,) = batches(scheduler.handle(answer(batch), now=1.0))
    assert not batches(scheduler.handle(lost(batch), now=2.0))
    told = scheduler.view.time_left(5.0)
    assert (told.awaited, told.count) == (Awaited.LOST_CALLS, 1)
    again_at = scheduler.wake_at()
    assert again_at is not None
    assert told.for_s == pytest.approx(again_at - 5.0)
    assert told.seconds is not None
    assert told.seconds > told.for_s
    (batch,) = batches(scheduler.handle(now=again_at))
    assert scheduler.view.time_left(again_at).awaited is None


def test_slots_that_lost_calls_hold_do_not_stop_a_mailbox_whose_other_slots_work() -> None:
    """One of four lanes is lost and holds its slot for 40 s; the other three carry 60 rows in a second each. It is no pause."""
    scheduler = a_scheduler(2_000, lanes=True, connections=4, fanout=20, quarantine_s=40.0, quarantine_s_min=40.0)
    now, sent = 0.0, batches(scheduler.handle(now=0.0))
    lanes = 0
    for _ in range(12):
        now += 1.0
        lane = next((one for one in sent if one.lane), None) if lanes == 0 and now > 5.0 else None
        lanes += lane is not None
        events = [lost(one) if one is lane else answer(one) for one in sent]
        sent = batches(scheduler.handle(*events, now=now))
    assert lanes == 1
    (mailbox,) = scheduler.view.open_mailboxes
    assert mailbox.slots_held(now) == 1
    left = mailbox.remaining + mailbox.rows_in_flight
    assert left_s(scheduler) < 20.0 + 2.0 * left / 60.0


def test_an_outage_has_no_known_end() -> None:
    """After five failed calls in a row the run waits for Graph, until the next try."""
    scheduler = full_batches(400)
    sent = batches(scheduler.handle(now=0.0))
    sent = batches(scheduler.handle(answer(sent[0]), now=1.0))
    for _ in range(5):
        sent = batches(scheduler.handle(lost(sent[0], sent=False), now=1.0))
    told = scheduler.view.time_left()
    assert (told.seconds, told.awaited) == (None, Awaited.GRAPH)
    assert told.for_s == pytest.approx(scheduler.view.blocked_for_s)


def test_a_token_that_is_being_renewed_is_waited_for() -> None:
    """While another token is fetched, nobody knows how long the login takes."""
    scheduler = full_batches(400)
    sent = batches(scheduler.handle(now=0.0))
    sent = batches(scheduler.handle(answer(sent[0]), now=1.0))
    scheduler.handle(refusal(sent[0], 401), now=2.0)
    assert scheduler.view.time_left() == TimeLeft(None, Awaited.TOKEN)


def test_a_mailbox_that_lets_nothing_through_is_named_once_the_others_would_be_done() -> None:
    """Five answers in a row without progress: the run waits for one mailbox, and says when it is tried again."""
    scheduler = full_batches(40, 20, connections=2)
    now, sent = 0.0, batches(scheduler.handle(now=0.0))
    fault = Reply(503, "ErrorServerBusy")
    for _ in range(40):
        events = [answer(one, rest=fault) if one.shares[0].mailbox == 0 else answer(one) for one in sent]
        now += 1.0
        sent = batches(scheduler.handle(*events, now=now))
        told = scheduler.view.time_left()
        if told.awaited is Awaited.MAILBOXES:
            break
        if not sent:
            at = scheduler.wake_at()
            assert at is not None
            now = at
            sent = batches(scheduler.handle(now=now))
    assert (told.awaited, told.count) == (Awaited.MAILBOXES, 1)


def held_up(*mailboxes: int, seconds: int) -> TimeLeft:
    """Return what a run tells after so many seconds. Of each answer of the first mailbox, one row goes through, and the rest waits.

    The other mailboxes purge all their rows.
    """
    scheduler = full_batches(*mailboxes, connections=2)
    now, sent = 0.0, batches(scheduler.handle(now=0.0))
    refused = THROTTLED._replace(retry_after_s=4.0)
    while now < seconds:
        now += 1.0
        events = []
        for one in sent:
            said = [
                refused if share.mailbox == 0 and row else Reply(204)
                for share in one.shares
                for row in range(len(share.attempts))
            ]
            events.append(answer(one, *said))
        sent = batches(scheduler.handle(*events, now=now))
    return scheduler.view.time_left()


def test_a_mailbox_that_is_throttled_again_and_again_is_named_if_it_decides() -> None:
    """The other mailbox purged 400 rows without a wait, and has none left. Nobody knows when the first one will be done."""
    told = held_up(300, 400, seconds=40)
    assert (told.awaited, told.count) == (Awaited.MAILBOXES, 1)
    assert told.for_s is not None
    assert 0.0 <= told.for_s <= 4.0


def test_such_a_mailbox_does_not_hide_the_end_of_others_that_take_longer() -> None:
    """The other mailbox has rows for an hour, so that the end is told."""
    told = held_up(60, 60_000, seconds=40)
    assert told.seconds is not None
    assert told.seconds > 2_000.0


def test_a_mailbox_on_its_own_is_compared_with_no_other() -> None:
    """If all rows are in one mailbox, its own waits are the best guess of what is to come."""
    told = held_up(300, seconds=40)
    assert told.seconds is not None


def test_the_last_moments_of_a_quick_run_are_told() -> None:
    """With calls of a tenth of a second, the last rows are expected to take less than a second."""
    scheduler = full_batches(40)
    (batch,) = batches(scheduler.handle(now=0.0))
    scheduler.handle(answer(batch), now=0.1)
    assert 0.1 <= left_s(scheduler) < 0.5


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


def test_the_line_tells_the_time_that_is_left_and_counts_down_between_two_looks() -> None:
    """The line shows the time left. It looks again after a quarter of it, two seconds at most, and counts down until then."""
    scheduler, clock, tally = full_batches(400), Hand(), Tally(400, {})
    standing = RunProgress(tally, scheduler, clock=clock)
    (batch,) = batches(scheduler.handle(now=0.0))
    (batch,) = batches(scheduler.handle(answer(batch), now=2.0))
    clock.at = 2.0
    first = left_s(scheduler)
    assert standing.left_s == first
    assert figures(standing) == f"0 of 400 · now 0/s · left about {round(first)} s"
    scheduler.handle(answer(batch), now=3.0)
    clock.at = 3.9
    assert standing.left_s == pytest.approx(first - 1.9)
    clock.at = 4.0
    assert standing.left_s == left_s(scheduler, 4.0)


def test_the_line_says_what_is_waited_for() -> None:
    """Before the first answer, the line says that it is waited for, and so do a log event and a function of the caller."""
    scheduler, clock = full_batches(60), Hand()
    (batch,) = batches(scheduler.handle(now=0.0))
    scheduler.may_leave(batch.number, 0.0)
    standing = RunProgress(Tally(60, {}), scheduler, clock=clock)
    assert figures(standing) == "0 of 60 · now 0/s · waiting for the first answers of this run, 30 s at most"
    told = Progress.of(standing)
    assert (told.left_s, told.waiting_for) == (None, "waiting for the first answers of this run, 30 s at most")


def test_the_line_says_when_the_run_will_be_ended_before() -> None:
    """The line says if ``--until`` comes before the end, and does not if it comes an hour later."""
    scheduler = full_batches(60)
    (batch,) = batches(scheduler.handle(now=9.0))
    scheduler.handle(answer(batch), now=10.0)
    standing = RunProgress(Tally(60, {}), scheduler, SendingHours((), UTC, until_utc=71.0), Hand(10.0))
    assert figures(standing).endswith(" · --until comes before the end")
    standing = RunProgress(Tally(60, {}), scheduler, SendingHours((), UTC, until_utc=3_671.0), Hand(10.0))
    assert standing.left_s == pytest.approx(left_s(scheduler))


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
    assert told["event"] == log_events.RUN_PROGRESSED
    assert (told["settled"], told["rows"], told["elapsed_s"]) == (1, 60, 2.0)
    assert (told["left_s"], told["waiting_for"]) == (round(left_s(scheduler), 1), None)
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
    ended = next(event for event in events if event["event"] == log_events.RUN_ENDED)
    assert ended["times_the_least"] == found["times_the_least"]
    progressed = [event for event in events if event["event"] == log_events.RUN_PROGRESSED]
    assert progressed[-1]["settled"] == 400
    assert progressed[-1]["left_s"] == 0.0


def test_the_largest_mailbox_is_named_once_it_alone_decides_the_end() -> None:
    """While sixty mailboxes are alike nothing is named. Once one with 400 rows is left, its rows are told, in words too."""
    scheduler = a_scheduler(*[20] * 60, 400, connections=30, fanout=4)
    census = scheduler.view.open_mailboxes.census
    flying, now, told = batches(scheduler.handle(now=0.0)), 0.0, []
    while not scheduler.finished:
        now += 1.0
        flying = [sent for batch in flying for sent in batches(scheduler.handle(answer(batch), now=now))]
        found = scheduler.view.time_left(now)
        told.append((census.left, found))
    assert all(found.largest_left is None for left, found in told if left > 2 * 400)
    alone = [(left, found) for left, found in told if left <= 360 and (found.seconds or 0.0) > 6.0]
    assert len(alone) > 60
    for left, found in alone:
        assert found.largest_left == left
        assert in_words(found).endswith(f", the largest mailbox decides: {left} rows left")
    assert told[-1][1].largest_left is None


def test_the_only_mailbox_of_a_run_is_not_named() -> None:
    """A list with one mailbox is told without it, because the rows of the run are its rows."""
    scheduler = full_batches(400)
    (batch,) = batches(scheduler.handle(now=0.0))
    scheduler.handle(answer(batch), now=2.0)
    assert scheduler.view.time_left(2.0).largest_left is None
