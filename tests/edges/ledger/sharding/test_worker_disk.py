"""Tests of a worker's folder: a shard arrives whole or not at all, goes on after an interruption, and its copies are ledgers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from purgeengine.edges.ledger import LedgerReader
from purgeengine.edges.ledger.sharding.worker_disk import (
    PIECE_BYTES,
    USUAL,
    VARIABLE,
    WorkerDisk,
    files_of,
    install_copy,
    sum_of,
)
from purgeengine.errors import LedgerError
from tests.support.ledger_fixtures import NOW, a_source, ended, open_ledger, opened, sent, settled


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A shard at home."""
    open_ledger(tmp_path / "shard-00", a_source(30, 20)).close()
    return tmp_path / "shard-00"


def send(disk: WorkerDisk, home: Path, name: str = "s-g1", *, but: str = "") -> None:
    """Send all files in small pieces, except for one."""
    for file in files_of(home):
        data = (home / file).read_bytes()
        for at in range(0, max(1, len(data)), 1_000):
            if file != but:
                disk.take(name, file, at, data[at : at + 1_000])


def sums(home: Path) -> dict[str, tuple[int, int]]:
    """Return what the worker must have."""
    return {file: sum_of(home / file) for file in files_of(home)}


def test_a_folder_has_one_id_for_ever(tmp_path: Path) -> None:
    """Workers of one folder agree, another folder is another disk, and the folder is the variable's or below the working folder."""
    disk = WorkerDisk(tmp_path / "a")
    assert disk.id == WorkerDisk(tmp_path / "a").id != WorkerDisk(tmp_path / "b").id
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["disk-id"]
    assert WorkerDisk.here({VARIABLE: str(tmp_path)}).folder == tmp_path
    assert WorkerDisk.here({}).folder == Path.cwd() / USUAL


def test_a_shard_arrives_whole_after_interruptions(home: Path, tmp_path: Path) -> None:
    """What was received is told by file. Without its last file it has no name, with it it is a ledger that can be run."""
    disk = WorkerDisk(tmp_path / "disk")
    last = "ledger.sqlite"
    send(disk, home, but=last)
    assert not disk.has("s-g1")
    assert disk.received("s-g1") == {file: size for file, (size, _) in sums(home).items() if file != last}
    with pytest.raises(LedgerError, match="does not follow"):
        disk.take("s-g1", last, 5, b"x")
    disk.take("s-g1", last, 0, (home / last).read_bytes())
    assert disk.complete("s-g1", sums(home))
    assert disk.complete("s-g1", sums(home)), "a second answer to one question"
    with open_ledger(disk.shard("s-g1"), None) as ledger:
        assert ledger.counts().waiting == 50


def test_a_shard_that_was_changed_on_its_way_is_forgotten(home: Path, tmp_path: Path) -> None:
    """A wrong byte is found, and all of it is sent again."""
    disk = WorkerDisk(tmp_path / "disk")
    send(disk, home)
    part = disk.folder / "s-g1.part" / "ledger.sqlite"
    data = bytearray(part.read_bytes())
    data[500] ^= 1
    part.write_bytes(data)
    assert not disk.complete("s-g1", sums(home))
    assert disk.received("s-g1") == {}
    send(disk, home)
    assert disk.complete("s-g1", sums(home))


def test_a_copy_that_is_made_while_a_run_writes_replaces_the_one_at_home(home: Path, tmp_path: Path) -> None:
    """The copy has what was committed, it is read in pieces, and one that is cut short replaces nothing. A shard in use stays."""
    disk = WorkerDisk(tmp_path / "disk")
    shutil.copytree(home, disk.shard("s-g1"))
    with open_ledger(disk.shard("s-g1"), None) as ledger:
        mailbox = next(iter(opened(ledger)))
        ledger.write([sent(1, (mailbox.mailbox, [0])), ended(1), settled(0, 1)], NOW)
        made = disk.make_copy("s-g1", 7)
        with pytest.raises(LedgerError):
            disk.drop("s-g1")
    data = b"".join(disk.read_copy("s-g1", 7, at) for at in range(0, made.size, PIECE_BYTES))
    assert [path.name for path in disk.folder.iterdir()] == ["s-g1"], "a copy that was read to its end is deleted"
    arrived = tmp_path / "arrived"
    arrived.write_bytes(data[:-1])
    assert not install_copy(arrived, made, home)
    arrived.write_bytes(data)
    assert install_copy(arrived, made, home)
    with LedgerReader.open(home) as reader:
        assert sum(reader.counts().outcomes.values()) == 1
    disk.drop("s-g1")
    disk.drop("s-g1")
    assert not disk.has("s-g1")
