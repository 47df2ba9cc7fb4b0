"""Tests of the log file: its bounds, what it refuses, and that its failures never end a run."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import pytest

from purgeengine import log_file
from purgeengine.errors import UsageProblem
from purgeengine.log_file import FILES_BEFORE, LogFile, refuse_unsuitable

EVENT = json.dumps({"rows": 1, "event": "run.started", "level": "info", "timestamp": "2026-11-28T20:00:00Z"})


def never(sentence: str) -> None:
    """Fail: nothing should be told."""
    raise AssertionError(sentence)


def test_the_size_and_the_number_of_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log of twenty times its size keeps the latest lines in six files, none larger than the bound, and no line is cut."""
    monkeypatch.setattr(log_file, "FILE_BYTES_MAX", 2_000)
    log = LogFile(tmp_path / "run.log", never)
    for number in range(20 * 2_000 // 40):
        log.write(json.dumps({"event": "item.settled", "n": number}))
    log.close()
    files = sorted(tmp_path.iterdir())
    assert len(files) == 1 + FILES_BEFORE
    assert all(0 < file.stat().st_size <= 2_000 for file in files)
    numbers = [json.loads(line)["n"] for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    assert sorted(numbers) == list(range(1_000 - len(numbers), 1_000))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")
def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    """The file names users, so nobody else may read it."""
    LogFile(tmp_path / "run.log", never).close()
    assert stat.S_IMODE((tmp_path / "run.log").stat().st_mode) == 0o600


def test_it_is_continued(tmp_path: Path) -> None:
    """A second run appends to the file of the first."""
    for _ in range(2):
        log = LogFile(tmp_path / "run.log", never)
        log.write(EVENT)
        log.close()
    assert (tmp_path / "run.log").read_text(encoding="utf-8") == f"{EVENT}\n" * 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a disk that is always full")  # noqa: PTH110
def test_a_full_disk_is_told_once_and_ends_nothing() -> None:
    """A file that cannot be written is told in one sentence, whatever is logged after it."""
    told: list[str] = []
    log = LogFile(Path("/dev/full"), told.append)
    for _ in range(3):
        log.write(EVENT)
    log.close()
    assert len(told) == 1
    assert told[0].startswith("The log file /dev/full cannot be written (No space left on device). The run goes on")


def test_a_file_that_cannot_be_opened_is_told_once_and_ends_nothing(tmp_path: Path) -> None:
    """A folder that does not exist is told in one sentence."""
    told: list[str] = []
    log = LogFile(tmp_path / "nowhere" / "run.log", told.append)
    log.write(EVENT)
    log.close()
    assert len(told) == 1
    assert "No such file or directory" in told[0]


@pytest.mark.parametrize("content", ["", EVENT + "\n"])
def test_a_log_and_an_empty_file_are_accepted(tmp_path: Path, content: str) -> None:
    """An earlier log, an empty file and a new name are accepted."""
    path = tmp_path / "run.log"
    path.write_text(content, encoding="utf-8")
    refuse_unsuitable(path, [tmp_path / "ledger"], [tmp_path / "in.csv"])
    refuse_unsuitable(tmp_path / "new.log", [tmp_path / "ledger"], [tmp_path / "in.csv"])


@pytest.mark.parametrize("name", ["in.csv", "ledger/run.log", "ledger", "folder", "other.json", "inputs/run.log"])
def test_what_a_log_would_damage_is_refused(tmp_path: Path, name: str) -> None:
    """An input, a folder, a place inside a ledger or an input folder, and any other document are refused, and stay as they are."""
    for folder in ("ledger", "folder", "inputs"):
        (tmp_path / folder).mkdir()
    (tmp_path / "in.csv").write_text("user,contact\n", encoding="utf-8")
    (tmp_path / "other.json").write_text('{"a": 1}\n', encoding="utf-8")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(UsageProblem, match=r"log.*--log-file\. Nothing was sent\."):
        refuse_unsuitable(tmp_path / name, [tmp_path / "ledger"], [tmp_path / "in.csv", tmp_path / "inputs"])
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
