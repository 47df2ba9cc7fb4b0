"""Tests of large inputs in small: the order of the rows costs nothing, and data on the disk equals data in memory."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from benchmarks.scale.filling import fill_ledger
from benchmarks.scale.inputs import Format, Job, Order, write_input
from benchmarks.scale.playing import Played, play_ledger
from purgeengine.core.model import Outcome
from purgeengine.edges.ledger import Ledger, LedgerReader, export
from purgeengine.edges.ledger.staging.background import Background
from purgeengine.edges.ledger.store import grouping
from purgeengine.edges.source import open_source

ROWS = 6_000


def purged(folder: Path, order: Order, files: int = 1) -> Played:
    """Play a whole run in simulated time."""
    ledger = staged(folder, order, "csv", files)
    return play_ledger(ledger, 1.0, "four")


def staged(folder: Path, order: Order, kind: Format, files: int = 1) -> Path:
    source = open_source(write_input(folder / "input", Job(ROWS, order, kind, files)))
    Ledger.open(folder / "ledger", source, tenant_id="contoso").close()
    return folder / "ledger"


def test_rows_of_a_mailbox_that_stand_far_apart_do_not_cost_the_schedule(tmp_path: Path) -> None:
    """Shuffled rows, in one file or five, need as many calls and as much time as sorted ones, within two per cent."""
    plain = purged(tmp_path / "sorted", "sorted")
    assert plain.settled > ROWS * 0.99
    for name, files in (("shuffled", 1), ("several", 5)):
        other = purged(tmp_path / name, "shuffled", files)
        assert other.settled == plain.settled
        assert other.calls == pytest.approx(plain.calls, rel=0.02)
        assert other.makespan_s == pytest.approx(plain.makespan_s, rel=0.02)


def test_an_export_is_the_same_through_memory_and_through_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export through scratch files equals the one through memory, with half of the rows settled and some repeated."""
    ledger = staged(tmp_path, "shuffled", "csv")
    fill_ledger(ledger, 0.5)
    with LedgerReader.open(ledger) as reader:
        export(reader, tmp_path / "memory.csv")
        counts = reader.counts()
        assert counts.waiting > 0
        assert counts.outcomes[Outcome.DUPLICATE] == ROWS // 1_000
        monkeypatch.setattr(grouping, "PENDING_BYTES_MAX", 10_000)
        monkeypatch.setattr(grouping, "BUCKET_BITS", 6)
        (tmp_path / "out").mkdir()
        export(reader, tmp_path / "out" / "disk.csv")
    assert (tmp_path / "memory.csv").read_bytes() == (tmp_path / "out" / "disk.csv").read_bytes()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["disk.csv"]


def test_parquet_and_csv_make_the_same_ledger(tmp_path: Path) -> None:
    """A CSV and a Parquet input give the same rows to send, in the same order."""
    found = []
    for kind in ("csv", "parquet"):
        ledger = staged(tmp_path / kind, "shuffled", kind)  # type: ignore[arg-type]
        with Ledger.open(ledger, None) as opened:
            found.append(opened.items(range(opened.counts().waiting)))
    assert found[0] == found[1]


def test_calls_behind_are_made_in_order_and_what_they_raise_is_raised() -> None:
    """Background calls run in order, the first two on the main thread. A call that raises makes `end` raise."""
    made: list[tuple[int, bool]] = []
    main = threading.current_thread()
    behind = Background(at_once=2)
    for number in range(20):
        behind.do(lambda number: made.append((number, threading.current_thread() is main)), number)
    behind.end()
    assert made == [(number, number < 2) for number in range(20)]

    def fail() -> None:
        raise OSError(28, "No space left on device")

    behind = Background(at_once=0)
    behind.do(fail)
    with pytest.raises(OSError, match="space"):
        behind.end()
    behind.abandon()
