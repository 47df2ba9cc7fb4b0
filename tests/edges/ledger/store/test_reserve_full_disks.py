"""Tests of commands on real file systems that are full or read-only: sentences, exit codes, and nothing lost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from purgeengine.edges.ledger.store.database import connect_to_write
from purgeengine.sim.graph.tenant import Tenant
from purgeengine.sim.tenant_settings import TenantSettings
from tests.disk.damage import command
from tests.support.cli_fixtures import Bench, a_bench, rows_of
from tests.support.ledger_fixtures import NOW, a_source, ended, open_ledger, sent, settled

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="needs a file system of its own, which only Linux makes in a moment"
)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 6 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    if mounted("-t", "tmpfs", "-o", "size=6m", "none", str(place)):
        pytest.skip("file systems cannot be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def mounted(*arguments: str) -> int:
    return subprocess.run(["mount", *arguments], capture_output=True).returncode


def make_read_only(disk: Path) -> None:
    assert mounted("-o", "remount,ro", str(disk)) == 0


def fill(disk: Path) -> Path:
    """Fill the disk to the last byte and return the file that does it."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as out:
        try:
            while True:
                out.write(bytes(4096))
        except OSError:
            return filler


def a_ledger(folder: Path) -> None:
    with open_ledger(folder, a_source(300)) as ledger:
        ledger.write([sent(1, (0, [0, 1]))], NOW)
        ledger.write([ended(1), settled(0, 1), settled(1, 1)], NOW)


def test_a_ledger_on_a_read_only_disk_can_be_looked_at(disk: Path, tmp_path: Path) -> None:
    """On a read-only disk, status and export work, and an export to that disk is refused with a sentence."""
    a_ledger(disk / "L")
    make_read_only(disk)
    code, out, _ = command("status", str(disk / "L"))
    said = (
        "300 rows, not complete; whether a run is going on is not known, because the lock of the ledger cannot be tried"
    )
    assert (code, out.splitlines()[0]) == (0, said)
    assert command("export", str(disk / "L"), str(tmp_path / "out.csv"))[0] == 0
    for out_name in ("out.csv", "out.csv.gz", "out.parquet"):
        code, _, err = command("export", str(disk / "L"), str(disk / out_name))
        assert code == 5
        assert f"{disk / out_name} cannot be written: it may not be written by this user" in err


def test_a_killed_ledger_on_a_read_only_disk_is_refused_with_the_way_out(disk: Path) -> None:
    """A ledger with a log on a read-only disk is refused, because SQLite must write first; the sentence advises a copy."""
    a_ledger(disk / "L")
    with closing(connect_to_write(disk / "L")) as connection:
        connection.execute("PRAGMA user_version = 1")
        log = (disk / "L" / "ledger.sqlite-wal").read_bytes()
    (disk / "L" / "ledger.sqlite-wal").write_bytes(log)
    make_read_only(disk)
    code, _, err = command("status", str(disk / "L"))
    assert code == 5
    assert "Copy the folder to a disk that can be written, and look at it there." in err


def test_a_full_disk_can_be_looked_at_and_not_exported_to(disk: Path, tmp_path: Path) -> None:
    """On a full disk, status and export to another disk work, and an export to the full disk leaves no incomplete file."""
    a_ledger(disk / "L")
    fill(disk)
    before = sorted(path.name for path in disk.iterdir())
    assert command("status", str(disk / "L"))[0] == 0
    assert command("export", str(disk / "L"), str(tmp_path / "out.csv"))[0] == 0
    for out_name in ("out.csv", "out.csv.gz", "out.parquet"):
        code, _, err = command("export", str(disk / "L"), str(disk / out_name))
        assert (code, err) == (
            5,
            f"purgeengine: {disk / out_name} cannot be written: the disk is full. Free some space and export again.\n",
        )
    assert sorted(path.name for path in disk.iterdir()) == before


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_a_disk_that_fills_up_in_the_middle_of_an_export_is_said_to_be_full(
    disk: Path, tmp_path: Path, ending: str
) -> None:
    """A disk that fills up during an export is reported as full, even if closing the file fails too."""
    open_ledger(tmp_path / "L", a_source(40_000)).close()
    filler = fill(disk)
    with filler.open("r+b") as file:
        file.truncate(filler.stat().st_size - 65_536)
    code, _, err = command("export", str(tmp_path / "L"), str(disk / f"out.{ending}"))
    said = f"purgeengine: {disk}/out.{ending} cannot be written: the disk is full. Free some space and export again.\n"
    assert (code, err) == (5, said)
    assert [path.name for path in disk.iterdir()] == ["filler"]


@pytest.fixture
def bench(disk: Path) -> Iterator[Bench]:
    tenant = Tenant(TenantSettings(anything_exists=True, latency_median_s=0.001))
    with a_bench(disk, tenant, rows_of([30, 10])) as found:
        yield found


def test_a_run_on_a_disk_that_can_not_be_written_sends_nothing_and_resumes(bench: Bench, disk: Path) -> None:
    """A run on a full or read-only disk ends with exit code 5 and sends nothing.

    With the disk repaired, it purges every row.
    """
    filler = fill(disk)
    ended = bench.run()
    assert (ended.code, ended.json["error"]["kind"]) == (5, "ledger")
    assert "the disk is full. Free some space and give the same command again." in ended.err
    filler.unlink()
    make_read_only(disk)
    ended = bench.run()
    assert (ended.code, ended.json["error"]["kind"]) == (5, "ledger")
    assert "it may not be written by this user" in ended.err
    assert "Traceback" not in ended.err
    assert mounted("-o", "remount,rw", str(disk)) == 0
    assert bench.server.tenant.counters.requests == 0
    ended = bench.run("--connections", "2")
    assert ended.code == 0, ended.err
    assert ended.json["outcomes"]["purged"] == 40
