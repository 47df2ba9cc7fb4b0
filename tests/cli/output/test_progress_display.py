"""Tests of the live display by a terminal emulator that knows nothing of this program."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pyte
import pytest

from purgeengine import log_events, logs
from purgeengine.cli.output.progress_display import (
    FileEvents,
    Lines,
    Live,
    a_display,
    facts_of,
    figures,
)
from purgeengine.core.messages import Batch, BatchLost, Held, Released
from purgeengine.core.model import Outcome
from purgeengine.core.scheduling.scheduler import Scheduler
from purgeengine.engine.tally import Tally
from purgeengine.jobs.progress import RunProgress, Silence
from purgeengine.log_file import LogFile
from tests.support.fixtures import a_scheduler, answer, batches, lost, refusal


class Hand:
    """A clock in hand."""

    def __init__(self) -> None:
        self.at = 0.0

    def monotonic(self) -> float:
        """Return the time that was set."""
        return self.at

    def utc(self) -> float:
        """Return the time that was set."""
        return self.at


class Screen(io.TextIOWrapper):
    """A terminal as standard error, drawn by pyte."""

    def __init__(self, columns: int, encoding: str = "utf-8") -> None:
        self._shown = io.BytesIO()
        super().__init__(self._shown, encoding, "backslashreplace", write_through=True)
        self.pyte = pyte.Screen(columns, 60)
        self._stream = pyte.Stream(self.pyte)
        self._fed = 0

    def isatty(self) -> bool:
        return True

    @property
    def raw(self) -> str:
        """Everything that was written."""
        return self._shown.getvalue().decode(self.encoding)

    @property
    def lines(self) -> list[str]:
        """The rows that hold something. A line feed returns to the first column, as a terminal's driver makes it."""
        new, self._fed = self.raw[self._fed :], len(self.raw)
        self._stream.feed(new.replace("\n", "\r\n"))
        return [line.rstrip() for line in self.pyte.display if line.strip()]

    def resize(self, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """Change the width. Rows that are longer are wrapped, as most terminals of today do."""
        of_columns(columns, monkeypatch)
        rows = [row.rstrip() for row in self.pyte.display[: self.pyte.cursor.y + 1]]
        at = self.pyte.cursor.x
        wrapped = [[row[i : i + columns] for i in range(0, max(1, len(row)), columns)] for row in rows]
        self.pyte = pyte.Screen(columns, 60)
        self._stream = pyte.Stream(self.pyte)
        self._stream.feed("\r\n".join(piece for pieces in wrapped for piece in pieces))
        self.pyte.cursor.x = at % columns


@pytest.fixture(autouse=True)
def an_ordinary_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets a terminal of 80 columns with colours and UTF-8."""
    for name in ("NO_COLOR", "LC_ALL", "LC_CTYPE", "TTY_COMPATIBLE", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("LANG", "en_US.UTF-8")
    for name in ("COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    of_columns(80, monkeypatch)


def of_columns(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the width that the system says the terminal has."""
    monkeypatch.setattr("rich.console.os.get_terminal_size", lambda *_: os.terminal_size((columns, 60)))


def standing_of(done: int = 30, clock: Hand | None = None, drain_left_s: float | None = None) -> RunProgress:
    """Return the state of a run of 60 rows."""
    tally = Tally(60, {Outcome.PURGED: done})
    return RunProgress(tally, a_scheduler(60), clock=clock or Hand(), drain_left_s=lambda: drain_left_s)


def test_the_block_is_drawn_in_place_and_sentences_stand_above_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """After many redraws the screen has one block, and what was written meanwhile stands above it once."""
    screen = Screen(80)
    monkeypatch.setattr(sys, "stderr", screen)
    live = Live(screen)
    for number in range(20):
        live.show(standing_of(30 + number))
        if number == 7:
            sys.stderr.write("12:00:00  The mailbox cannot be served.\n")
    live.close()
    assert screen.lines[0] == "12:00:00  The mailbox cannot be served."
    assert len(screen.lines) == 3
    assert "81 % · 49 of 60 rows" in screen.lines[1]
    assert screen.lines[2] == "purged 49"


def test_the_bar_is_green_while_all_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator sees a green bar, and no red anywhere."""
    screen = Screen(80)
    live = Live(screen)
    live.show(standing_of())
    assert screen.lines
    colours = {cell.fg for row in screen.pyte.buffer.values() for cell in row.values()}
    live.close()
    assert "green" in colours
    assert "red" not in colours


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    """With NO_COLOR the emulator sees no colour, and the bar still shows what is done."""
    monkeypatch.setenv("NO_COLOR", "1")
    screen = Screen(80)
    live = Live(screen)
    live.show(standing_of())
    (first, *_) = screen.lines
    colours = {cell.fg for row in screen.pyte.buffer.values() for cell in row.values()}
    live.close()
    assert colours == {"default"}
    assert "━" in first
    assert "─" in first


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_terminal_without_block_characters_gets_ascii(encoding: str) -> None:
    """Where the encoding has no lines, all that is written is ASCII, and nothing is escaped."""
    screen = Screen(80, encoding)
    live = Live(screen)
    live.show(standing_of())
    live.close()
    assert "###" in screen.lines[0]
    assert screen.raw.isascii()
    assert "\\x" not in screen.raw
    assert "\\u" not in screen.raw


def test_forty_columns_do_not_break(monkeypatch: pytest.MonkeyPatch) -> None:
    """In forty columns ten redraws leave one block without a wrapped line."""
    of_columns(40, monkeypatch)
    screen = Screen(40)
    live = Live(screen)
    for number in range(10):
        live.show(standing_of(30 + number))
    live.close()
    lines = screen.lines
    assert [line for line in lines if "39 of 60 rows" in line], lines
    assert sum("purged" in line for line in lines) == 1
    assert max(map(len, lines)) < 40


@pytest.mark.parametrize("columns", [79, 60, 40, 20])
def test_a_terminal_that_becomes_narrower_keeps_one_block(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that wraps the old block into more rows is left with the new block only, and keeps the text above it."""
    screen = Screen(80)
    print("above", file=screen)
    live = Live(screen)
    live.show(standing_of(30))
    assert len(screen.lines) == 3
    screen.resize(columns, monkeypatch)
    live.show(standing_of(31))
    live.show(standing_of(32))
    live.close()
    lines = screen.lines
    assert lines[0] == "above"
    assert sum("purged" in line for line in lines) == 1, lines
    assert sum("━" in line for line in lines) == 1, lines


def test_a_stop_counts_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that stops says for how many answers and for how long, instead of the time left."""
    scheduler = a_scheduler(60)
    batches(scheduler.handle(now=0.0))
    left_s = [30.0]
    standing = RunProgress(Tally(60, {}), scheduler, clock=Hand(), drain_left_s=lambda: left_s[0])
    screen = Screen(80)
    live = Live(screen)
    for left_s[0] in (29.0, 12.0):
        live.show(standing)
        text = " ".join(screen.lines)
        calls = scheduler.in_flight
        answers = f"{calls} answer{'s' if calls > 1 else ''}"
        assert f"stopping: waiting for {answers}, {left_s[0]:.0f} s at most. Ctrl-C again ends at once" in text
        assert "left about" not in text
        assert f"stopping: waiting for {answers}, {left_s[0]:.0f} s at most" in figures(standing)
    live.close()


def test_trouble_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost calls and closed mailboxes are numbers in the block, and an outage makes its bar red."""
    scheduler, clock = a_scheduler(400, fanout=20, connections=1), Hand()
    tally = Tally(400, {})
    tally.lost_calls, tally.closed_mailboxes = 5, 2
    standing = RunProgress(tally, scheduler, clock=clock)
    assert "lost calls 5" in facts_of(standing).notes
    assert "closed mailboxes 2" in facts_of(standing).notes
    assert facts_of(standing).mood.value == "green"
    sent = batches(scheduler.handle(now=0.0))
    for _ in range(5):
        sent = batches(scheduler.handle(lost(sent[0], sent=False), now=0.0))
    while scheduler.view.blocked_for_s < 1:
        clock.at += scheduler.view.blocked_for_s
        (batch,) = batches(scheduler.handle(now=clock.at))
        scheduler.handle(lost(batch, sent=False), now=clock.at)
    assert facts_of(standing).mood.value == "red"


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (lambda batch: BatchLost(batch.number, False, "graph.example:443 could not be reached (Connection refused)"),
         "calls fail: graph.example:443 could not be reached (Connection refused)"),
        (lambda batch: BatchLost(batch.number, True, "graph.example did not answer in time"),
         "calls fail: graph.example did not answer in time"),
        (lambda batch: refusal(batch, 503, "serviceNotAvailable", "Try later."), "calls fail: 503 serviceNotAvailable Try later"),
    ],
)  # fmt: skip
def test_an_outage_is_shown_with_its_reason_once(failure: Callable[[Any], Any], said: str) -> None:
    """While call after call fails, the block and the line tell what the calls were told, once. After an answer it is gone."""
    scheduler, now = a_scheduler(*[20] * 20, fanout=20, connections=1), 0.0
    standing = RunProgress(Tally(400, {}), scheduler, clock=Hand())
    sent = batches(scheduler.handle(now=now))
    for _ in range(6):
        now += 4.0
        sent = batches(scheduler.handle(failure(sent[0]), now=now)) or next_batches(scheduler)
        now = scheduler.view.now
    assert facts_of(standing).notes.count(said) == 1
    assert figures(standing).count(said) == 1
    scheduler.handle(answer(sent[0]), now=now)
    assert "calls fail" not in figures(standing)


def next_batches(scheduler: Scheduler) -> list[Batch]:
    """Return the batches that leave once the scheduler's next waits are over."""
    for _ in range(50):
        at = scheduler.wake_at()
        assert at is not None
        if sent := batches(scheduler.handle(now=at)):
            return sent
    raise AssertionError("the scheduler sends nothing more")


def test_a_resumed_run_says_that_it_has_no_answers_yet() -> None:
    """Rows of an earlier run are purged already, so that the first answers are those of this run."""
    scheduler = a_scheduler(60)
    batches(scheduler.handle(now=0.0))
    standing = RunProgress(Tally(100, {Outcome.PURGED: 40}), scheduler, clock=Hand())
    assert "waiting for the first answers of this run, " in figures(standing)


def test_a_run_outside_its_hours_says_until_when_it_waits() -> None:
    """The block, the plain line and the figures for other processes name the time at which the run goes on."""
    scheduler, clock = a_scheduler(8), Hand()
    batches(scheduler.handle(Held(5_400.0), now=0.0))
    standing = RunProgress(Tally(8, {}), scheduler, clock=clock)
    at = datetime.fromtimestamp(5_400.0)
    words = f"waiting for the hours of --window until {at:%Y-%m-%d %H:%M}, in 1 h 30 min"
    assert words in facts_of(standing).notes
    assert words in figures(standing)
    assert standing.live.held_until_ms == 5_400_000
    scheduler.handle(Released(), now=10.0)
    assert standing.live.held_until_ms is None


def test_a_terminal_that_cannot_move_its_cursor_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """TERM=dumb gets plain lines, not a display that shows nothing until the end."""
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(a_display(quiet=False, stream=Screen(80)), Lines)


def test_lines_become_rare_in_a_long_run() -> None:
    """A run of ten hours writes fewer than 700 lines, and a short one a line every five seconds."""
    clock, out = Hand(), io.StringIO()
    standing, lines = standing_of(clock=clock), Lines(out)
    assert lines.every_s == 5.0
    while clock.at < 36_000:
        clock.at += lines.every_s
        lines.show(standing)
    assert 600 < out.getvalue().count("\n") < 700


def test_a_quiet_run_with_a_log_file_logs_its_progress(tmp_path: Path) -> None:
    """Quiet shows nothing. With a log file, that gets the events."""
    assert isinstance(a_display(quiet=True), Silence)
    out = io.StringIO()
    logs.configure_logs(quiet=True, stream=out, file=LogFile(tmp_path / "run.log", pytest.fail))
    display = a_display(quiet=True)
    assert isinstance(display, FileEvents)
    display.show(standing_of())
    assert out.getvalue() == ""
    event = json.loads((tmp_path / "run.log").read_text(encoding="utf-8"))
    assert (event["event"], event["settled"], event["rows"]) == (log_events.RUN_PROGRESSED, 30, 60)


def test_a_live_run_with_a_log_file_logs_its_progress_now_and_then(tmp_path: Path) -> None:
    """A redraw every quarter of a second gives an event every five seconds, and none on the screen."""
    clock, screen = Hand(), Screen(80)
    logs.configure_logs(stream=screen, file=LogFile(tmp_path / "run.log", pytest.fail))
    standing, live = standing_of(clock=clock), Live(screen)
    for _ in range(80):
        clock.at += 0.25
        live.show(standing)
    live.close()
    events = (tmp_path / "run.log").read_text(encoding="utf-8").splitlines()
    assert 4 <= len(events) <= 5
    assert log_events.RUN_PROGRESSED not in screen.raw
