"""Where people and programs read the time left of a run that is going on in another process: `status`, as text and as JSON."""

from __future__ import annotations

import json
import time
from pathlib import Path

from click.testing import CliRunner

from purgeengine.cli.commands.status import status
from purgeengine.core.forecast.time_left import Awaited, TimeLeft
from purgeengine.edges.ledger.running.live_figures import LiveFigures, write_live
from purgeengine.edges.ledger.store.storage import LIVE
from tests.support.ledger_fixtures import a_source, open_ledger


def told(folder: Path, *options: str) -> str:
    """Return what status prints about this ledger."""
    return CliRunner().invoke(status, [str(folder), *options], standalone_mode=False).output


def test_status_tells_the_time_left_of_a_run_that_is_going_on_and_of_no_other(tmp_path: Path) -> None:
    """While a run writes its figures, status shows them. Once they are old, or the run has ended, it shows no time left."""
    folder = tmp_path / "L"
    with open_ledger(folder, a_source(3)):
        now_ms = round(time.time() * 1000)
        write_live(folder, LiveFigures(now_ms, 52.0, TimeLeft(7_200.0)))
        assert "52/s, left about 2 h" in told(folder)
        found = json.loads(told(folder, "--json"))
        assert (found["running"], found["waiting_for"]) == (True, None)
        assert 7_100 < found["left_s"] <= 7_200.0
        write_live(folder, LiveFigures(now_ms, 0.0, TimeLeft(None, Awaited.ANSWERS, 38, 5_000.0)))
        assert "waiting for 38 answers, 1 h 23 min at most" in told(folder)
        assert json.loads(told(folder, "--json"))["waiting_for"] == "answers"
        write_live(folder, LiveFigures(now_ms - 60_000, 52.0, TimeLeft(7_200.0)))
        assert "left about" not in told(folder)
        found = json.loads(told(folder, "--json"))
        assert (found["running"], found["left_s"]) == (False, None)
    assert not (folder / LIVE).exists()
