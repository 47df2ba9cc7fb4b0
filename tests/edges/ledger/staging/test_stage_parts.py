"""Tests of the steps of staging, each alone: counts, progress, and duplicates that do not fit into memory."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from purgeengine.edges.ledger.staging import row_order
from purgeengine.edges.ledger.staging.names import User
from purgeengine.edges.ledger.staging.row_order import Repeats
from purgeengine.edges.ledger.staging.takeover import Takeover
from purgeengine.edges.ledger.store import grouping, parts
from purgeengine.edges.ledger.store.database import connect_to_read, read_meta
from purgeengine.edges.ledger.store.parts import Parts, PartWriter
from tests.support.ledger_fixtures import ID, FakeSource, open_ledger, rows_of


def test_rows_of_each_kind_are_counted(tmp_path: Path) -> None:
    """Rows to send, duplicates and invalid rows are counted, and progress covers all rows."""
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
    """Duplicates are written to disk when the buffer of three is full, and each is found for its part of the input."""
    monkeypatch.setattr(Repeats, "BUFFER_PAIRS_MAX", 3)
    monkeypatch.setattr(row_order, "PART_ROWS_MAX", 10)
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


def test_parts_are_filled_however_many_rows_come_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All part files but the last, and all row groups but the last, are full, however many rows come at once."""
    monkeypatch.setattr(parts, "PART_ROWS_MAX", 8)
    writer = PartWriter(tmp_path, "kind", pa.schema([pa.field("row", pa.int64())]), 4, repetitive=[])
    for first, end in ((0, 6), (6, 7), (7, 18), (18, 19)):
        writer.write(pa.table({"row": pa.array(range(first, end), pa.int64())}))
    writer.finish()
    assert [file.name for file in writer.files] == [f"kind/part-0000{number}.parquet" for number in range(3)]
    reading = Parts(tmp_path, {name: (size, crc) for name, size, crc in writer.files})
    found = [[batch.column("row").to_pylist() for batch in reading.batches(file.name)] for file in writer.files]
    assert found == [
        [[0, 1, 2, 3], [4, 5, 6, 7]], [[8, 9, 10, 11], [12, 13, 14, 15]], [[16, 17, 18]],
    ]  # fmt: skip


def test_rows_of_a_user_with_two_names_are_staged_as_one_mailbox(tmp_path: Path) -> None:
    """Rows of a user under two names are staged as one mailbox, and the names are kept in the ledger."""
    user = User(ID.format(1), "a@contoso.example")
    source = FakeSource([*rows_of("a", 2), *rows_of("b", 3), (user.object_id, "", "x")])
    open_ledger(tmp_path / "L", source, resolve=lambda names: {name: user for name in names if name[0] != "b"}).close()
    with closing(connect_to_read(tmp_path / "L")) as connection:
        mailboxes = connection.execute("SELECT user, rows FROM mailbox ORDER BY number").fetchall()
        kept = connection.execute("SELECT * FROM resolved ORDER BY key DESC").fetchall()
    assert mailboxes == [("b@contoso.example", 3), ("a@contoso.example", 3)]
    assert kept == [(name, *user) for name in (user.upn, user.object_id)]


def test_rows_that_do_not_fit_in_memory_are_grouped_in_the_folder_of_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that do not fit in memory are grouped in the ledger's folder.

    The temporary folder may be small or in memory.
    """
    taken: list[Path] = []
    temporary = tempfile.TemporaryFile

    def noted(**more: Any) -> Any:
        taken.append(more["dir"])
        return temporary(**more)

    monkeypatch.setattr(grouping, "PENDING_BYTES_MAX", 0)
    monkeypatch.setattr("purgeengine.edges.ledger.store.grouping.tempfile.TemporaryFile", noted)
    with open_ledger(
        tmp_path / "L", FakeSource([*rows_of("b", 1), *rows_of("a", 2), ("b@contoso.example", "", "x")])
    ) as ledger:
        assert ledger.rows_of(range(4)) == [1, 2, 0, 3]
    assert taken == [tmp_path / "L" / "staging"]


def test_what_an_earlier_ledger_hands_over_is_staged(tmp_path: Path) -> None:
    """A ledger takes over the waits and recent requests of an earlier one, under its own mailbox numbers."""
    about = {"tenant_id": "contoso", "action": "permanentDelete", "id_type": "default", "resolve_users": False}
    earlier = Takeover("root", "parent", (9, 8), {3: (7, 6)}, {3: [(5, 4)]}, {"b@contoso.example": 3}, about)
    open_ledger(tmp_path / "L", FakeSource([*rows_of("a", 2), *rows_of("b", 1)], earlier=earlier)).close()
    with closing(connect_to_read(tmp_path / "L")) as connection:
        assert connection.execute("SELECT blocked_until_ms, blocked_set_ms FROM run").fetchall() == [(9, 8)]
        waits = connection.execute("SELECT blocked_until_ms, blocked_set_ms FROM mailbox ORDER BY number").fetchall()
        assert waits == [(None, None), (7, 6)]
        assert connection.execute("SELECT mailbox, at_ms, rows FROM seen").fetchall() == [(1, 5, 4)]
        meta = read_meta(connection)
        assert (meta["root"], meta["parent"]) == ("root", "parent")
