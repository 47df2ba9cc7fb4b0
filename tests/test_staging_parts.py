"""The parts of staging, each alone: what is counted, what progress is told, and duplicates that do not fit into memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from purgeengine.edges.ledger import staging
from purgeengine.edges.ledger.database import connect_to_read, read_meta
from purgeengine.edges.ledger.staging import Repeats
from tests.ledger_fixtures import FakeSource, open_ledger, rows_of


def test_rows_of_each_kind_are_counted(tmp_path: Path) -> None:
    """Six to send, three that repeat one of them, two that are no rows of ours; and progress hears of all eleven."""
    good = rows_of("a", 6)
    source = FakeSource([*good, *good[:3], ("", "", "A"), ("ann@x", "", "..")], batch_rows=4)
    told: list[int] = []
    open_ledger(tmp_path / "L", source, on_progress=told.append).close()
    connection = connect_to_read(tmp_path / "L")
    meta = read_meta(connection)
    connection.close()
    assert (meta["rows"], meta["work_rows"], meta["duplicates"], meta["invalid"]) == (11, 6, 3, 2)
    assert told == [4, 8, 11]


def test_duplicates_are_spilled_when_there_are_as_many_as_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three fit: the third empties the memory, the sixth once more; nothing is lost, whichever part of the input it is of."""
    monkeypatch.setattr(Repeats, "BUFFER_PAIRS_MAX", 3)
    monkeypatch.setattr(staging, "PART_ROWS_MAX", 10)
    repeats = Repeats(tmp_path)
    pairs = [(5, 1), (25, 2), (7, 3), (26, 4), (8, 5), (9, 6), (27, 7)]
    spilled = []
    for row, first_row in pairs:
        repeats.add(row, first_row)
        spilled.append(sum(path.stat().st_size for path in tmp_path.iterdir()) // 16)
    assert spilled == [0, 0, 3, 3, 3, 6, 6]
    assert repeats.of_part(0) == {5: 1, 7: 3, 8: 5, 9: 6}
    assert repeats.of_part(1) == {}
    assert repeats.of_part(2) == {25: 2, 26: 4, 27: 7}
