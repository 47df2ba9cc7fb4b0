"""Where people and programs read about a run that is going on in another process: `status`, as text and as JSON.

The ledger's lock tells whether a process is at work. It is released when that process is killed. The file of live figures tells
the time left, and nothing else.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from purgeengine.cli.commands.status import status
from purgeengine.core.forecast.time_left import Awaited, TimeLeft
from purgeengine.core.model import Outcome, Reply
from purgeengine.edges.ledger.running.live_figures import LiveFigures, write_live
from purgeengine.edges.ledger.store import lock
from purgeengine.edges.ledger.store.storage import LIVE
from tests.cli.commands.test_retry import DENIED, ending
from tests.edges.ledger.outputs.test_chain import retried
from tests.support.ledger_fixtures import NOW, FakeSource, a_source, ended, open_ledger, sent, settled
from tests.support.ledger_fixtures import rows_of as input_rows

HOLDING = (
    "import sys, filelock\nwith filelock.FileLock(sys.argv[1]):\n    print('held', flush=True)\n    sys.stdin.read()"
)
RESUME = "To resume, give the same command again"


def told(*arguments: Path | str) -> str:
    """Return what status prints about these ledgers."""
    return CliRunner().invoke(status, [str(argument) for argument in arguments], standalone_mode=False).output


def told_as_json(*folders: Path) -> dict[str, Any]:
    """Return the object that status prints about these ledgers."""
    found: dict[str, Any] = json.loads(told(*folders, "--json"))
    return found


def figures(left: TimeLeft, *, age_s: float = 0.0, **more: Any) -> LiveFigures:
    """Return what a run told some seconds ago."""
    return LiveFigures(round((time.time() - age_s) * 1000), 52.0, left, **more)


@contextmanager
def at_work(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Hold the lock of a ledger in another process, as a run does."""
    command = [sys.executable, "-c", HOLDING, str(folder / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A ledger of three rows, of which none has an outcome."""
    open_ledger(tmp_path / "L", a_source(3)).close()
    return tmp_path / "L"


def test_status_tells_the_time_left_of_a_run_that_is_going_on(folder: Path) -> None:
    """While a run is at work, status shows its figures, and it does not advise to resume what is running."""
    with at_work(folder):
        write_live(folder, figures(TimeLeft(7_200.0)))
        said = told(folder)
        assert "3 rows, not complete; a run is going on" in said
        assert "52/s, left about 2 h" in said
        assert "resume" not in said
        found = told_as_json(folder)
        assert (found["running"], found["waiting_for"], found["advice"]) == (True, None, [])
        assert 7_100 < found["left_s"] <= 7_200.0
        write_live(folder, figures(TimeLeft(None, Awaited.ANSWERS, 38, 5_000.0)))
        assert "waiting for 38 answers, 1 h 23 min at most" in told(folder)
        assert told_as_json(folder)["waiting_for"] == "answers"


def test_a_run_that_was_just_killed_is_not_running(folder: Path) -> None:
    """The figures are a second old, and nobody holds the lock: status says so, and tells how to resume."""
    with at_work(folder) as process:
        process.kill()
        process.wait()
        write_live(folder, figures(TimeLeft(7_200.0), age_s=1.0))
        said = told(folder)
        assert "3 rows, not complete; no run is going on" in said
        assert RESUME in said
        assert "left about" not in said
        found = told_as_json(folder)
        assert (found["running"], found["left_s"], len(found["advice"])) == (False, None, 1)


def test_a_complete_ledger_has_nothing_left_however_young_its_figures_are(tmp_path: Path) -> None:
    """A run was killed after its last row, or is just ending: no time left is shown, and JSON says 0."""
    folder = tmp_path / "L"
    with open_ledger(folder, a_source(2)) as ledger:
        ledger.write([sent(0, (0, [0, 1])), ended(0), settled(0, 0), settled(1, 0)], NOW)
    write_live(folder, figures(TimeLeft(7_200.0)))
    for running in (False, True):
        if running:
            with at_work(folder):
                said, found = told(folder), told_as_json(folder)
        else:
            said, found = told(folder), told_as_json(folder)
        assert "2 rows, complete\n" in said
        assert "left" not in said
        assert (found["running"], found["left_s"], found["advice"]) == (running, 0.0, [])


@pytest.mark.parametrize("age_s", [None, 60.0])
def test_a_run_whose_figures_are_missing_or_old_is_running_all_the_same(folder: Path, age_s: float | None) -> None:
    """Its disk takes no new file, or it has only begun: it is told as running, with a time left that is not known."""
    with at_work(folder):
        if age_s is not None:
            write_live(folder, figures(TimeLeft(7_200.0), age_s=age_s))
        said = told(folder)
        assert "not complete; a run is going on" in said
        assert "time left not known" in said
        assert "left about" not in said
        assert RESUME not in said
        found = told_as_json(folder)
        assert (found["running"], found["left_s"], found["waiting_for"]) == (True, None, None)


def test_where_the_lock_cannot_be_tried_young_figures_are_believed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a read-only disk nobody can try the lock. Without young figures it is not known whether a run goes on."""

    def refuse(_: object) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(lock.filelock.FileLock, "acquire", refuse)
    write_live(folder, figures(TimeLeft(7_200.0)))
    assert "not complete; a run is going on" in told(folder)
    write_live(folder, figures(TimeLeft(7_200.0), age_s=60.0))
    said = told(folder)
    assert "whether a run is going on is not known" in said
    assert f"{RESUME}, unless a run is going on" in said
    assert told_as_json(folder)["running"] is False


def test_a_run_that_waits_for_its_hours_says_until_when(folder: Path) -> None:
    """Before its window opens, status names the time of day, and not a rate of 0."""
    opens_s = (time.time() // 60 + 117) * 60
    at, now = datetime.fromtimestamp(opens_s), datetime.now()
    shown = f"{at:%H:%M}" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M}"
    with at_work(folder):
        write_live(folder, figures(TimeLeft(7_200.0), held_until_ms=round(opens_s * 1000)))
        said = told(folder)
        assert f"waiting for the hours of --window until {shown}, in 1 h 5" in said
        assert "/s" not in said
        found = told_as_json(folder)
        assert datetime.fromisoformat(found["held_until_utc"]).timestamp() == opens_s


def test_a_ledger_and_its_retry_are_told_as_running_by_their_locks(folder: Path) -> None:
    """Together they are running while one of them is, and then nobody is advised to resume that one."""
    with open_ledger(folder.parent / "A", FakeSource(input_rows("a", 2))) as ledger:
        ending(ledger, 0, *[(Outcome.REFUSED, DENIED, False)] * 2)
    retried(folder.parent / "A", folder.parent / "B", [(Outcome.PURGED, Reply(204), False)])
    chain = [folder.parent / "A", folder.parent / "B"]
    for one in chain:
        write_live(one, figures(TimeLeft(7_200.0)))
    assert "not complete; no run is going on" in told(*chain)
    assert RESUME in told(*chain)
    assert told_as_json(*chain)["running"] is False
    with at_work(chain[1]):
        said = told(*chain)
        assert "not complete; a run is going on" in said
        assert RESUME not in said
        assert told_as_json(*chain)["running"] is True


def test_a_new_run_does_not_tell_the_figures_of_one_that_died(folder: Path) -> None:
    """When it begins, it removes the file that the dead one left."""
    write_live(folder, figures(TimeLeft(7_200.0)))
    with open_ledger(folder, None) as ledger:
        ledger.begin(NOW, {})
        assert not (folder / LIVE).exists()
