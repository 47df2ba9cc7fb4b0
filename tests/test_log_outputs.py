"""Tests of where events go: lines that are limited on standard error, and every event in the log file."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from purgeengine import log_events, logs
from purgeengine.log_file import LogFile
from purgeengine.log_flood import LINES_AT_ONCE
from purgeengine.log_outputs import FILE_ONLY, MORE

SUMMARY: dict[str, Any] = {
    "rows": 1_200, "outcomes": {"purged": 1_080, "absent": 26, "refused": 0}, "waiting": 0, "in_doubt": 0,
    "calls": 84, "duration_s": 23.4, "nothing_found": None, "exit_code": 1, "columns": ["a"], "stopped": None,
    "advice": [{"sentence": "8 rows: look at them.", "commands": ["purgeengine retry L --ledger NEW-FOLDER"]}],
}  # fmt: skip


@pytest.fixture(autouse=True)
def unconfigured_afterwards() -> Iterator[None]:
    """Resets the log after the test."""
    yield
    logs.configure_logs()
    structlog.reset_defaults()


def never(sentence: str) -> None:
    """Fail: nothing should be told."""
    raise AssertionError(sentence)


def both(path: Path, **options: Any) -> tuple[Any, io.StringIO]:
    """Return a logger with a file, and the stream that stands for standard error."""
    out = io.StringIO()
    logs.configure_logs(stream=out, file=LogFile(path, never), **options)
    return logs.get_logger(), out


def events(path: Path) -> list[dict[str, Any]]:
    """Return the events in a log file, as a JSON parser reads them."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_flood_is_limited_on_standard_error_and_whole_in_the_file(tmp_path: Path, form: str) -> None:
    """Of a hundred waiting mailboxes standard error has five and their number, and the file has all."""
    log, out = both(tmp_path / "run.log", format=form)
    for number in range(100):
        log.info(log_events.MAILBOX_BLOCKED, mailbox=f"u{number}", for_s=1.0)
    logs.tell_counts()
    lines = out.getvalue().splitlines()
    assert len(lines) == LINES_AT_ONCE + 1
    assert "95" in lines[-1]
    assert log_events.EVENTS_COUNTED in lines[-1]
    assert [event["mailbox"] for event in events(tmp_path / "run.log")[:100]] == [f"u{number}" for number in range(100)]


def test_verbose_limits_nothing(tmp_path: Path) -> None:
    """With verbose, standard error has every event, and the file has batches and rows as well."""
    log, out = both(tmp_path / "run.log", verbose=True)
    for _ in range(100):
        log.debug(log_events.BATCH_SENT)
    logs.tell_counts()
    assert out.getvalue().count(log_events.BATCH_SENT) == len(events(tmp_path / "run.log")) == 100


def test_a_quiet_run_has_its_events_in_the_file(tmp_path: Path) -> None:
    """With quiet, standard error has warnings only, and the file has information as well."""
    log, out = both(tmp_path / "run.log", quiet=True)
    log.info(log_events.RUN_STARTED, rows_left=3)
    log.warning(log_events.RUN_BLOCKED, for_s=3)
    assert log_events.RUN_STARTED not in out.getvalue()
    assert [event["event"] for event in events(tmp_path / "run.log")] == [
        log_events.RUN_STARTED,
        log_events.RUN_BLOCKED,
    ]


def test_what_is_for_the_file_only_is_not_on_standard_error(tmp_path: Path) -> None:
    """An event for the file only is not on standard error, and the mark itself is nowhere."""
    log, out = both(tmp_path / "run.log")
    log.info(log_events.RUN_PROGRESSED, settled=3, **{FILE_ONLY: True})
    assert out.getvalue() == ""
    (event,) = events(tmp_path / "run.log")
    assert (event["settled"], FILE_ONLY in event) == (3, False)


def test_no_secret_reaches_the_file(tmp_path: Path) -> None:
    """Values are redacted before the file gets them."""
    log, _ = both(tmp_path / "run.log")
    log.warning(log_events.BATCH_LOST, reason="sent Bearer abc123def456", access_token="hunter2")
    text = (tmp_path / "run.log").read_text(encoding="utf-8")
    assert "abc123def456" not in text
    assert "hunter2" not in text


def test_the_end_of_a_run_is_one_line_for_people_and_whole_for_programs(tmp_path: Path) -> None:
    """The end of a run is one line without brackets or missing values, and has all its keys in the file."""
    log, out = both(tmp_path / "run.log")
    log.info(log_events.RUN_ENDED, **SUMMARY)
    (line,) = out.getvalue().splitlines()
    assert "{" not in line
    assert "None" not in line
    for told in ("rows=1200", "purged=1080", "absent=26", "exit_code=1", "duration_s=23.4"):
        assert told in line
    (event,) = events(tmp_path / "run.log")
    assert {key: event[key] for key in SUMMARY} == SUMMARY


def test_the_next_line_of_a_flood_says_how_many_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line after a flood has the number of events that were not logged."""
    now = [0.0]
    monkeypatch.setattr("purgeengine.log_outputs.FloodGuard", lambda: _guard(now))
    log, out = both(tmp_path / "run.log", format="json")
    for _ in range(50):
        log.warning(log_events.BATCH_LOST, reason="x")
    now[0] = 60.0
    log.warning(log_events.BATCH_LOST, reason="x")
    assert json.loads(out.getvalue().splitlines()[-1])[MORE] == 50 - LINES_AT_ONCE


def _guard(now: list[float]) -> Any:
    from purgeengine.log_flood import FloodGuard

    return FloodGuard(lambda: now[0])


def test_sentences_replace_lines_and_are_asked_only_for_what_would_be_shown(tmp_path: Path) -> None:
    """At a terminal each event becomes its sentence or nothing, and the file has all of them."""
    asked: list[str] = []

    def sentence(event: Any) -> str | None:
        asked.append(event["event"])
        return "Graph asks to wait." if event["event"] == log_events.RUN_BLOCKED else None

    log, out = both(tmp_path / "run.log", sentences=sentence, quiet=True)
    log.info(log_events.RUN_STARTED)
    log.warning(log_events.RUN_BLOCKED, for_s=3)
    log.warning(log_events.BATCH_LOST, reason="x")
    assert out.getvalue() == "Graph asks to wait.\n"
    assert asked == [log_events.RUN_BLOCKED, log_events.BATCH_LOST]
    assert len(events(tmp_path / "run.log")) == 3
