"""Where people and programs read that Graph limits the app: progress, log, summary, status and report."""

from __future__ import annotations

import json
import time
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from purgeengine.cli.commands.report import report
from purgeengine.cli.commands.status import status
from purgeengine.cli.output.progress_display import figures
from purgeengine.cli.output.summary_text import show_summary
from purgeengine.core.messages import AppLimited
from purgeengine.core.model import Reply
from purgeengine.engine.tally import Tally
from purgeengine.jobs.progress import Progress, RunProgress
from purgeengine.jobs.summary import Summary
from purgeengine.words import limits_the_app
from tests.support.fixtures import a_scheduler, answer, batches
from tests.support.ledger_fixtures import a_source, open_ledger


def summed_up(per_s: float | None) -> Summary:
    return Summary(
        ledger="L", rows=0, outcomes={}, waiting=0, in_doubt=0, complete=True, calls=0, requests=0, throttled=0,
        lost_calls=0, closed_mailboxes=0, settled_now=0, duration_s=1.0, exit_code=0, app_limit_per_s=per_s,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("per_s", "words"), [(18.04, "18 requests/s"), (1.55, "1.6 requests/s"), (0.05, "3.0 requests/min")]
)
def test_the_sentence_has_a_rate_that_people_can_read(per_s: float, words: str) -> None:
    """Slow rates are told by the minute."""
    assert limits_the_app(per_s) == f"Graph limits the app to about {words}"


def test_the_progress_says_it() -> None:
    """The line of figures says it, and so does what a program receives."""
    scheduler = a_scheduler(*[4] * 10, connections=1)
    standing = RunProgress(Tally(40, {}), scheduler)
    (batch,) = batches(scheduler.handle(now=0.0))
    assert "Graph limits" not in figures(standing)
    assert Progress.of(standing).app_limit_per_s is None
    (batch,) = batches(scheduler.handle(answer(batch), now=1.0))
    scheduler.handle(answer(batch, rest=Reply(429, "TooManyRequests", retry_after_s=1.0)), now=2.0)
    assert "Graph limits the app to about 10 requests/s" in figures(standing)
    assert Progress.of(standing).app_limit_per_s == 10.0


def test_the_summary_says_it_and_what_it_means(capsys: pytest.CaptureFixture[str]) -> None:
    """In words and as JSON; without a limit there is no such sentence."""
    show_summary(summed_up(18.04), as_json=False)
    assert "Graph limits the app to about 18 requests/s. More connections do not help;" in capsys.readouterr().out
    assert summed_up(18.04).as_json()["app_limit_per_s"] == 18.0
    show_summary(summed_up(None), as_json=False)
    assert "Graph limits" not in capsys.readouterr().out
    assert summed_up(None).as_json()["app_limit_per_s"] is None


def test_status_and_report_read_it_from_the_ledger(tmp_path: Path) -> None:
    """The status says when it was found. The report says it among when and how."""
    folder, now_ms = tmp_path / "L", round(time.time() * 1000)
    with open_ledger(folder, a_source(3)) as ledger:
        ledger.begin(now_ms - 60_000, {})
    runner = CliRunner()
    assert "Graph limits" not in runner.invoke(status, [str(folder)], standalone_mode=False).output
    with open_ledger(folder, None) as ledger:
        ledger.write([AppLimited(18.04)], now_ms - 60_000)
    told = runner.invoke(status, [str(folder)], standalone_mode=False).output
    assert "Graph limits the app to about 18 requests/s (found 1 min" in told
    found = json.loads(runner.invoke(status, [str(folder), "--json"], standalone_mode=False).output)
    assert found["app_limit"] == {"per_s": 18.04, "at_ms": now_ms - 60_000}
    assert found["app_limit_per_s"] == 18.0
    assert datetime.fromisoformat(found["app_limit_found_utc"]).timestamp() == (now_ms - 60_000) / 1000
    page = tmp_path / "report.html"
    runner.invoke(report, [str(folder), "-o", str(page)], standalone_mode=False)
    assert "it took about 18.0 requests per second" in page.read_text(encoding="utf-8")
