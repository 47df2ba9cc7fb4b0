"""Tests of looking at the lock of a ledger: it tells whether a run goes on, and refuses none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from purgeengine.edges.ledger import LedgerReader
from purgeengine.edges.ledger.store import lock
from purgeengine.edges.ledger.store.lock import FolderLock, is_in_use
from purgeengine.errors import LedgerError
from tests.support.ledger_fixtures import a_source, open_ledger

HOLDING = (
    "import sys, filelock\nwith filelock.FileLock(sys.argv[1]):\n    print('held', flush=True)\n    sys.stdin.read()"
)


def test_a_ledger_is_in_use_as_long_as_another_process_holds_it(tmp_path: Path) -> None:
    """A reader knows whether a process runs over the ledger, and sees it as soon as that process has ended."""
    open_ledger(tmp_path / "L", a_source(1)).close()
    with LedgerReader.open(tmp_path / "L") as reader:
        assert not reader.in_use
        command = [sys.executable, "-c", HOLDING, str(tmp_path / "L" / "lock")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdin is not None
            assert process.stdout.readline() == "held\n"
            assert reader.in_use
            process.stdin.close()
        assert not reader.in_use


def test_looking_neither_makes_a_lock_nor_keeps_one(tmp_path: Path) -> None:
    """A folder without a lock gets none, and a ledger can be opened right after somebody looked."""
    assert not is_in_use(tmp_path)
    assert list(tmp_path.iterdir()) == []
    open_ledger(tmp_path / "L", a_source(1)).close()
    assert not is_in_use(tmp_path / "L")
    open_ledger(tmp_path / "L", None).close()


def test_where_the_lock_cannot_be_tried_nothing_is_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a read-only disk, or without locks, it is unknown whether a run goes on."""
    (tmp_path / "lock").touch()
    for error in (PermissionError("read-only"), NotImplementedError("no locks")):

        def refuse(_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(lock.filelock.FileLock, "acquire", refuse)
        assert is_in_use(tmp_path) is None


def test_a_lock_that_another_holds_is_refused(tmp_path: Path) -> None:
    """A second holder is refused with a sentence."""
    first, second = FolderLock(tmp_path), FolderLock(tmp_path)
    first.acquire()
    with pytest.raises(LedgerError, match="in use by this process already: another thread works with it"):
        second.acquire()
    first.release()
    second.acquire()
    second.release()


def test_the_holder_is_told_as_this_process_only_while_it_is(tmp_path: Path) -> None:
    """A lock that another process holds is told as such, also if this process held it before."""
    first = FolderLock(tmp_path)
    first.acquire()
    first.release()
    command = [sys.executable, "-c", HOLDING, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(LedgerError, match="in use by another process"):
            first.acquire()
        first.release()  # it holds nothing, and releases nothing
        with pytest.raises(LedgerError, match="in use by another process"):
            first.acquire()
        process.kill()
