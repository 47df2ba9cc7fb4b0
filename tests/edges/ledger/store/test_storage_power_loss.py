"""Tests of power loss: data that was not synced may be lost or torn, and nothing acknowledged is."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from purgeengine.edges.ledger import LedgerReader
from purgeengine.errors import LedgerError
from tests.disk.power import SECTOR, PowerDisk
from tests.disk.watching import Call
from tests.disk.worlds import PowerWorld, needs_sqlite_calls, watching
from tests.simulation.scenario import crashing
from tests.simulation.world import play
from tests.support.ledger_fixtures import NOW, a_source, ended, open_ledger, sent, settled


@needs_sqlite_calls
@pytest.mark.parametrize("seed", range(1, 41))
def test_power_loss_in_any_call_breaks_no_promise(seed: int) -> None:
    """After one to five power losses the same command finishes the job, and nothing recorded is lost or sent again."""
    play(crashing(seed), PowerWorld)


@needs_sqlite_calls
def test_a_turn_that_could_not_be_synced_takes_no_later_one_with_it(tmp_path: Path) -> None:
    """A turn whose sync failed does not damage later turns, although its pages are read back as if they were on the disk."""
    root = tmp_path.resolve() / "root"
    root.mkdir()
    disk = PowerDisk(root, Random(1))
    with watching(root, disk):
        with open_ledger(root / "L", a_source(10)) as ledger:
            ledger.write([sent(1, (0, [0]))], NOW)
            disk.sync_failures = 1.0
            with pytest.raises(LedgerError, match="the disk reported an error"):
                ledger.write([ended(1), settled(0, 1)], NOW)
        assert (root / "L" / "ledger.sqlite-wal").stat().st_size, "closing could not move it into the database, either"
        disk.sync_failures = 0.0
        with open_ledger(root / "L", None) as ledger:
            ledger.write([sent(2, (0, [1]))], NOW)
            ledger.write([ended(2), settled(1, 2)], NOW)
            lefts = [root.with_name(f"left-{number}") for number in range(20)]
            for left in lefts:
                left.mkdir()
                disk.leave(left)
    for left in lefts:
        with LedgerReader.open(left / "L") as reader:
            (rows,) = reader.rows()
            assert rows.column("outcome")[1].as_py() == "purged"


def found_after(root: Path, disk: PowerDisk, times: int = 50) -> list[dict[str, bytes]]:
    """Return the files below the root after each of so many power losses at this moment."""
    found = []
    for number in range(times):
        left = root.with_name(f"{root.name}-{number}")
        left.mkdir()
        disk.leave(left)
        found.append({str(path.relative_to(left)): path.read_bytes() for path in left.rglob("*") if path.is_file()})
    return found


def test_the_disk_keeps_what_was_synced_and_tears_the_rest(tmp_path: Path) -> None:
    """The simulated disk keeps synced data, and keeps, loses or tears later writes by the sector; other tests rely on it."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").write_bytes(b"before")
    disk, name = PowerDisk(root, Random(1)), str(root / "file")
    disk.asked(Call("write", name, b"synced"))
    disk.asked(Call("sync", name))
    disk.asked(Call("write", name, b"x" * 2 * SECTOR, 6))
    contents = {found["file"] for found in found_after(root, disk)}
    assert all(content.startswith(b"synced") for content in contents)
    assert {b"synced", b"synced" + b"x" * 2 * SECTOR} < contents
    torn = b"synced".ljust(SECTOR, b"\0") + b"x" * SECTOR
    assert torn in {content[: 2 * SECTOR] for content in contents}


def test_the_disk_forgets_names_that_no_sync_of_the_folder_kept(tmp_path: Path) -> None:
    """The simulated disk may lose a new name, and a renamed file may have either name, until its folder is synced."""
    root = tmp_path / "root"
    root.mkdir()
    disk, old, new = PowerDisk(root, Random(1)), str(root / "old"), str(root / "new")
    disk.asked(Call("create", old))
    disk.asked(Call("write", old, b"data"))
    disk.asked(Call("sync", old))
    disk.asked(Call("rename", old, target=new))
    assert {tuple(found.items()) for found in found_after(root, disk)} == {
        (),
        (("old", b"data"),),
        (("new", b"data"),),
    }
    disk.asked(Call("sync folder", str(root)))
    left = tmp_path / "left"
    left.mkdir()
    disk.leave(left)
    assert [path.name for path in left.iterdir()] == ["new"]


def test_what_a_failed_sync_left_is_in_doubt_for_ever(tmp_path: Path) -> None:
    """After a failed sync, data may be missing for ever: a later successful sync does not write it."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").write_bytes(b"")
    disk, name = PowerDisk(root, Random(1)), str(root / "file")
    disk.asked(Call("write", name, b"data"))
    disk.sync_failures = 1.0
    assert disk.asked(Call("sync", name)) != 0
    disk.sync_failures = 0.0
    assert disk.asked(Call("sync", name)) == 0
    assert {found["file"] for found in found_after(root, disk)} == {b"", b"data"}
