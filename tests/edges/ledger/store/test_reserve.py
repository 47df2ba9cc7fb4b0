"""Tests of a full disk during a run: the reserve takes the answers in flight, nothing more is sent, and the run resumes."""

from __future__ import annotations

import errno
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import NoReturn

import pytest

from purgeengine.core.model import Outcome, Reply
from purgeengine.edges.ledger import Ledger, LedgerReader
from purgeengine.edges.ledger.store.reserve import BATCH_BYTES
from purgeengine.errors import LedgerError
from tests.support.ledger_fixtures import NOW, a_source, ended, open_ledger, sent, settled


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path / "ledger", a_source(200, 50)) as found:
        yield found


def fill(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fill the disk until the reserve is released."""
    connection: sqlite3.Connection = ledger._writing
    reserve = ledger._journal.reserve
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    release = reserve.release

    def give_up() -> None:
        release()
        connection.execute("PRAGMA max_page_count = 1000000")

    monkeypatch.setattr(reserve, "release", give_up)


def test_an_answer_that_came_is_recorded_though_the_disk_is_full(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that meets a full disk is recorded whole by using the reserve.

    The ledger then says why nothing more may be sent.
    """
    ledger.hold_reserve(4)
    assert (ledger.folder / "reserve").stat().st_size >= 4 * BATCH_BYTES
    ledger.write([sent(1, (0, list(range(20))))], NOW)
    fill(ledger, monkeypatch)
    told = [Reply(400, f"ErrorNumber{number}", "long " * 300) for number in range(20)]
    ledger.write([ended(1), *(settled(n, 1, Outcome.REFUSED, reply=told[n]) for n in range(20))], NOW)
    assert ledger.trouble is not None
    assert "the disk is full" in str(ledger.trouble)
    assert not (ledger.folder / "reserve").exists()
    ledger.write([sent(2, (1, [200])), ended(2), settled(200, 2, reply=told[3])], NOW)
    ledger.close()
    with LedgerReader.open(ledger.folder) as reader:
        assert reader.counts().outcomes[Outcome.REFUSED] == 20
        codes = [code for batch in reader.rows() for code in batch.column("code").to_pylist() if code]
    assert sorted(codes) == sorted([reply.code for reply in told] + ["ErrorNumber3"])


def test_without_a_reserve_a_full_disk_shuts_the_ledger(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a reserve, a full disk fails the whole turn, and nothing is written after it."""
    ledger.write([sent(1, (0, [0]))], NOW)
    fill(ledger, monkeypatch)
    told = Reply(400, "ErrorNumber", "long " * 400)
    turns = [[sent(n + 1, (0, [n])), ended(n + 1), settled(n, 1, reply=told)] for n in range(1, 100)]
    with pytest.raises(LedgerError, match="the disk is full"):
        list(map(ledger.write, turns, repeat(NOW)))
    assert ledger.trouble is None


FULL_DISK = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.support.ledger_fixtures import NOW, a_source, ended, open_ledger, sent, settled
from purgeengine.errors import LedgerError
folder = Path(sys.argv[1])
with open_ledger(folder / "ledger", a_source(3000)) as ledger:
    ledger.hold_reserve(2)
    written = 0
    ledger.write([sent(1, (0, [0]))], NOW)
    with (folder / "filler").open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(4096))
        except OSError:
            pass
    while ledger.trouble is None:  # the log's first pages may have room left in the block that they stand in
        written += 1
        ledger.write([sent(written + 1, (0, [written]))], NOW)
    ledger.write([ended(1), settled(0, 1)], NOW)
    (folder / "filler").unlink()
with open_ledger(folder / "ledger", None) as ledger:
    print(ledger.counts().in_doubt == written, sum(ledger.counts().outcomes.values()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs a small file system, which only Linux makes in a moment")
def test_a_really_full_disk_takes_the_last_answers(tmp_path: Path) -> None:
    """On a real file system of 6 MiB, filled to the last page, the answers in flight are recorded."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "none", tmp_path], capture_output=True)
    if mounted.returncode:
        pytest.skip("file systems cannot be mounted here")
    try:
        root = str(Path(__file__).parents[4])
        ended = subprocess.run([sys.executable, "-c", FULL_DISK, tmp_path, root], capture_output=True, text=True)
        assert (ended.stdout, ended.stderr) == ("True 1\n", "")
    finally:
        subprocess.run(["umount", tmp_path], check=True)


@pytest.fixture
def small_files() -> Iterator[None]:
    """Limits files to 64 MiB, so that a mistake in the tested code cannot fill the disk of whoever runs the tests."""
    if sys.platform == "win32":
        yield
        return
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 20, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.usefixtures("small_files")
def test_a_run_does_not_start_where_there_is_no_room_to_keep_back(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run without room for the reserve is refused before anything is sent, with the missing amount."""
    monkeypatch.setattr("purgeengine.edges.ledger.store.reserve.BATCH_BYTES", 1 << 60)
    with pytest.raises(
        LedgerError,
        match=f"{1 + (4 << 40)} MiB for answers in flight cannot be kept free in {re.escape(str(ledger.folder))}: ",
    ):
        ledger.hold_reserve(4)
    assert not (ledger.folder / "reserve").exists()
    assert not ledger._journal.reserve.held


@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EINVAL, None])
def test_the_reserve_is_written_where_it_cannot_be_allocated(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, number: int | None
) -> None:
    """Without fallocate, on such a file system or operating system, the reserve is written as zeros."""

    def refused(*_: int) -> NoReturn:
        raise OSError(number, "It cannot be done")

    if number is None:
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    else:
        monkeypatch.setattr(os, "posix_fallocate", refused, raising=False)
    ledger.hold_reserve(5)
    assert (ledger.folder / "reserve").read_bytes() == bytes(3 << 20)  # 1 MiB and 5 batches are 2.25 MiB, rounded up
    ledger.close()
    assert not (ledger.folder / "reserve").exists()


@pytest.mark.usefixtures("small_files")
def test_room_that_the_file_system_keeps_is_not_written(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """With fallocate, the file system reserves the room and nothing is written."""
    asked: list[tuple[int, ...]] = []
    monkeypatch.setattr(os, "posix_fallocate", lambda file, *room: asked.append(room), raising=False)
    ledger.hold_reserve(4)
    assert asked == [(0, (1 << 20) + 4 * BATCH_BYTES)]
    assert (ledger.folder / "reserve").stat().st_size == 0


def test_a_reserve_that_cannot_be_removed_is_no_worse_than_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reserve that cannot be removed, as another program may hold it, does not stop the ledger from closing."""
    ledger = open_ledger(tmp_path / "L", a_source(2))
    ledger.hold_reserve(1)

    def refused(self: Path, missing_ok: bool = False) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refused)
    ledger.close()
    assert not ledger._journal.reserve.held
