"""Tests of the file in which a run that is going on tells its time left: believed while it is fresh, and never needed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from purgeengine.core.forecast.time_left import Awaited, TimeLeft
from purgeengine.edges.ledger.running.live_figures import (
    LIVE_S,
    LiveFigures,
    as_json,
    read_live,
    remove_live,
    write_live,
)
from purgeengine.edges.ledger.store.storage import LIVE

FIGURES = LiveFigures(1_000_000, 51.5, TimeLeft(80.0, largest_left=73))


def test_what_a_run_writes_another_process_reads_less_its_age(tmp_path: Path) -> None:
    """Four seconds after the writing, four seconds fewer are left. A second writing replaces the first."""
    write_live(tmp_path, FIGURES)
    assert read_live(tmp_path, 1_004_000) == FIGURES._replace(time_left=TimeLeft(76.0, largest_left=73))
    waiting = FIGURES._replace(at_ms=1_005_000, time_left=TimeLeft(None, Awaited.ANSWERS, 3, 6.0))
    write_live(tmp_path, waiting)
    assert read_live(tmp_path, 1_005_000) == waiting
    assert [path.name for path in tmp_path.iterdir()] == [LIVE]


def test_the_figures_of_a_dead_run_are_not_believed(tmp_path: Path) -> None:
    """A file that is older than the limit is left by a dead process. One from the future means that the clock was set."""
    write_live(tmp_path, FIGURES)
    limit_ms = round(LIVE_S * 1000)
    assert read_live(tmp_path, FIGURES.at_ms + limit_ms) is not None
    assert read_live(tmp_path, FIGURES.at_ms + limit_ms + 1) is None
    assert read_live(tmp_path, FIGURES.at_ms - limit_ms - 1) is None


FAR = json.dumps({**FIGURES._replace(held_until_ms=10**30).as_json()}).encode()
"""Figures of a run that waits until a time that no calendar has."""


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'{"at_ms": "x"}', b"\xff\xfe", b'{"at_ms": 1e999}', b"[" * 5_000, FAR]
)
def test_a_file_that_says_something_else_is_as_good_as_none(tmp_path: Path, content: bytes) -> None:
    """No content of the file makes status fail."""
    (tmp_path / LIVE).write_bytes(content)
    assert read_live(tmp_path, 1_000_000) is None


def test_hours_that_have_come_are_not_waited_for(tmp_path: Path) -> None:
    """The instant until which a run waits is told as long as it lies ahead. A file of an older version has none."""
    write_live(tmp_path, FIGURES._replace(held_until_ms=1_004_000))
    told = [read_live(tmp_path, now_ms) for now_ms in (1_003_999, 1_004_000)]
    assert [figures and figures.held_until_ms for figures in told] == [1_004_000, None]
    older = FIGURES.as_json()
    del older["held_until_ms"]
    (tmp_path / LIVE).write_text(json.dumps(older))
    assert read_live(tmp_path, 1_000_000) == FIGURES


def test_a_run_ends_without_the_file_and_without_a_folder(tmp_path: Path) -> None:
    """The file is removed at the end. A folder that cannot be written stops nothing."""
    write_live(tmp_path, FIGURES)
    remove_live(tmp_path)
    assert list(tmp_path.iterdir()) == []
    remove_live(tmp_path / "missing")
    write_live(tmp_path / "missing", FIGURES)
    assert read_live(tmp_path / "missing", 1_000_000) is None


def test_status_tells_programs_whether_a_run_is_going_on(tmp_path: Path) -> None:
    """With a run, its time left; without one, none, or zero if every row has its outcome."""
    assert as_json(FIGURES, running=True, complete=False) == {
        "running": True,
        "left_s": 80.0,
        "waiting_for": None,
        "waiting_count": None,
        "waiting_s": None,
        "held_until_utc": None,
    }
    none = as_json(None, running=False, complete=False)
    assert (none["running"], none["left_s"]) == (False, None)
    assert as_json(None, running=False, complete=True)["left_s"] == 0.0
    assert as_json(FIGURES, running=True, complete=True)["left_s"] == 0.0
    held = FIGURES._replace(held_until_ms=1_767_225_600_000)
    assert as_json(held, running=True, complete=False)["held_until_utc"] == "2026-01-01T00:00:00.000Z"
