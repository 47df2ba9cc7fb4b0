"""Tests of the rows to send as the ledger gives them: which rows, what is kept in memory, and what is refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from purgeengine.core.model import FolderRows, Item
from purgeengine.edges.ledger.ledger import files_of
from purgeengine.edges.ledger.running import work_rows
from purgeengine.edges.ledger.running.work_rows import WorkRows, _Group, runs
from purgeengine.edges.ledger.store import parts
from purgeengine.edges.ledger.store.database import connect_to_read
from purgeengine.edges.ledger.store.parts import Parts
from purgeengine.edges.ledger.store.request_ids import LENGTH_MAX, packed, unpacked
from tests.support.ledger_fixtures import FakeSource, a_source, open_ledger, rows_of

UUID = "0123abcd-4567-89ef-0123-456789abcdef"


@pytest.fixture
def drawn(tmp_path: Path) -> Iterator[WorkRows]:
    """Return the rows of mailboxes c, b and a with 1,000, 600 and 3 rows, in four groups of 512.

    The mailboxes end in this order in the input.
    """
    a, b, c = rows_of("a", 3), rows_of("b", 600), rows_of("c", 1_000)
    open_ledger(tmp_path / "L", FakeSource([a[0], b[0], *c, *b[1:], *a[1:]])).close()
    connection = connect_to_read(tmp_path / "L")
    rows = WorkRows(tmp_path / "L", Parts(tmp_path / "L", files_of(connection)), connection)
    yield rows
    rows.close()
    connection.close()


def item(name: str, number: int) -> Item:
    """Return a row as the input has it."""
    return Item(f"{name}@contoso.example", "F", f"{name}-{number}")


# ------------------------------------------------------------------------------------------------------ request ids


@pytest.mark.parametrize("text", ["", "request-1", UUID.upper(), UUID + "0", "x" * LENGTH_MAX, UUID[:-1]])
def test_an_id_that_is_no_uuid_is_kept_as_it_is(text: str) -> None:
    """An id that is not a UUID, or only looks like one, is stored as text and comes back unchanged."""
    assert packed(text) == text
    assert unpacked(packed(text)) == text


def test_a_uuid_takes_sixteen_bytes_and_comes_back() -> None:
    """A UUID is stored in sixteen bytes and comes back with its dashes."""
    assert packed(UUID) == bytes.fromhex(UUID.replace("-", ""))
    assert len(packed(UUID)) == 16
    assert unpacked(packed(UUID)) == UUID


def test_what_cannot_be_stored_is_cut_or_replaced() -> None:
    """A too long id is cut, half a surrogate pair is replaced, and a missing id is the empty text."""
    assert packed("x" * (LENGTH_MAX + 1)) == "x" * LENGTH_MAX
    assert packed("a\ud800b") == "a?b"
    assert unpacked(None) == ""


# ------------------------------------------------------------------------------------------------------- the rows


def test_positions_are_grouped_by_folder() -> None:
    """Positions are joined into ranges of neighbours, in the given order."""
    assert list(runs([])) == []
    assert list(runs([7])) == [range(7, 8)]
    assert list(runs([3, 4, 5, 9, 1, 2, 2])) == [range(3, 6), range(9, 10), range(1, 3), range(2, 3)]


def test_rows_are_drawn_across_mailboxes_and_groups(drawn: WorkRows) -> None:
    """Rows are read across the borders of mailboxes and of row groups, and to the last row."""
    whole = [item(name, number) for name, rows in (("c", 1_000), ("b", 600), ("a", 3)) for number in range(rows)]
    assert drawn.items(range(1_603)) == whole
    assert drawn.items(range(1_598, 1_602)) == [item("b", 598), item("b", 599), item("a", 0), item("a", 1)]
    assert drawn.items([511, 512, 1_602, 0, 1_000]) == [whole[at] for at in (511, 512, 1_602, 0, 1_000)]
    of_the_input = [*range(2, 1_002), 1, *range(1_002, 1_601), 0, 1_601, 1_602]
    assert drawn.rows(range(1_603)) == of_the_input
    assert drawn.rows([1_602, 511, 512, 513, 1_000]) == [of_the_input[at] for at in (1_602, 511, 512, 513, 1_000)]


def test_a_group_is_read_once_while_there_is_room_and_the_longest_unused_goes_first(
    drawn: WorkRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row group is read once while there is room. With room for two groups, the one unused for longest is dropped."""
    read: list[int] = []
    whole = WorkRows._read

    def counted(self: WorkRows, group: int, columns: list[str]) -> Any:
        read.append(group)
        return whole(self, group, columns)

    monkeypatch.setattr(WorkRows, "_read", counted)
    drawn.items([0])
    size = drawn._groups[0].size_bytes
    monkeypatch.setattr(work_rows, "CACHE_BYTES_MAX", int(2.5 * size))
    for position in (0, 512, 1, 1_024, 2, 1_025, 513):
        drawn.items([position])
    assert read == [0, 1, 2, 1]
    assert sum(group.size_bytes for group in drawn._groups.values()) == drawn._groups_bytes <= 2.5 * size


def test_one_group_may_be_larger_than_the_memory(drawn: WorkRows, monkeypatch: pytest.MonkeyPatch) -> None:
    """A group larger than the limit is kept alone."""
    monkeypatch.setattr(work_rows, "CACHE_BYTES_MAX", 1)
    for position in (0, 512, 1_024):
        assert drawn.items([position]) == [drawn.items([position])[0]]
        assert list(drawn._groups) == [position // 512]


def test_what_a_group_takes_is_counted_by_its_ids(drawn: WorkRows) -> None:
    """A group's size counts its contact and folder ids, 16 bytes a row, and 1,000 bytes for the rest."""
    drawn.items([0])
    assert drawn._groups[0].size_bytes == sum(len(f"c-{n}") for n in range(512)) + 16 * 512 + len("F") + 1_000


def test_names_are_asked_for_once_and_the_first_is_forgotten_first(
    drawn: WorkRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two user names are cached, and the oldest is dropped first."""
    monkeypatch.setattr(work_rows, "USERS_CACHED_MAX", 2)
    assert [drawn.user(number) for number in (0, 1, 2)] == [f"{name}@contoso.example" for name in "cba"]
    assert list(drawn._users) == [1, 2]


def test_few_files_are_open_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of three part files are open at once, the last used one among them, and all are closed in the end."""
    for module in (parts, work_rows):
        monkeypatch.setattr(module, "PART_ROWS_MAX", 8_192)
    monkeypatch.setattr(work_rows, "OPEN_FILES_MAX", 2)
    open_ledger(tmp_path / "L", a_source(16_400)).close()
    connection = connect_to_read(tmp_path / "L")
    rows = WorkRows(tmp_path / "L", Parts(tmp_path / "L", files_of(connection)), connection)
    rows.rows([0, 8_192, 1])
    first, second = rows._files[0], rows._files[1]
    assert rows.rows([16_384]) == [16_384]
    assert list(rows._files) == [0, 2]
    assert (first.reader.closed, second.reader.closed) == (False, True)
    rows.items([0])
    rows.close()
    assert first.reader.closed
    assert (list(rows._files), list(rows._groups)) == ([], [])
    connection.close()


def test_a_name_that_was_changed_into_none_is_not_asked_for(tmp_path: Path) -> None:
    """A user name that was changed into an unusable one in the database is refused, so that no row of the mailbox is sent."""
    open_ledger(tmp_path / "L", a_source(1)).close()
    with sqlite3.connect(tmp_path / "L" / "ledger.sqlite") as changed:
        changed.execute("UPDATE mailbox SET user = '../me'")
    changed.close()
    connection = connect_to_read(tmp_path / "L")
    rows = WorkRows(tmp_path / "L", Parts(tmp_path / "L", files_of(connection)), connection)
    with pytest.raises(ValueError, match=r".+ in mailbox 0$"):
        rows.items([0])
    connection.close()


@pytest.mark.parametrize(
    ("folder", "contact"),
    [("F", "a/b"), ("F", ""), ("F", "x" * 513), ("F/..", "a"), ("F", "ä")],
)
def test_an_id_that_is_none_is_never_drawn(folder: str, contact: str) -> None:
    """A row group with an unusable id is refused, whichever row holds it."""
    for contacts in (["a", contact], [contact, "a"]):
        table = pa.table({"folder": pa.array([folder] * 2).dictionary_encode(), "contact": pa.array(contacts)})
        with pytest.raises(ValueError, match=r"^(a row to send has an id that is none|'ascii' codec can't decode .*)$"):
            _Group(table)


def test_a_group_gives_its_rows_whatever_it_was_cut_from() -> None:
    """A group gives its rows with ids of the greatest length, without a folder, and if it is a slice of a larger table."""
    contacts, folders = ["z", "x" * 512, "a", "bb"], ["F", "", "G", "F"]
    table = pa.table({"folder": pa.array(folders).dictionary_encode(), "contact": pa.array(contacts)})
    each = [FolderRows("u", folder, [contact]) for folder, contact in zip(folders, contacts, strict=True)]
    assert list(_Group(table).folder_rows("u", 0, 4)) == each
    assert list(_Group(table.slice(1)).folder_rows("u", 1, 3)) == each[2:]


def test_neighbours_of_one_folder_are_drawn_together() -> None:
    """Neighbours with the same folder are returned together, wherever a folder ends in the group."""
    folders, contacts = ["F", "F", "", "G", "G", "G", "F"], list("abcdefg")
    table = pa.table({"folder": pa.array(folders).dictionary_encode(), "contact": pa.array(contacts)})
    together = [("F", ["a", "b"]), ("", ["c"]), ("G", ["d", "e", "f"]), ("F", ["g"])]
    assert list(_Group(table).folder_rows("u", 0, 7)) == [FolderRows("u", *some) for some in together]
    assert list(_Group(table).folder_rows("u", 1, 5)) == [
        FolderRows("u", "F", ["b"]), FolderRows("u", "", ["c"]), FolderRows("u", "G", ["d", "e"])
    ]  # fmt: skip
    two = pa.table({"folder": pa.array(["F"] * 6 + [""]).dictionary_encode(), "contact": pa.array(contacts)})
    assert list(_Group(two).folder_rows("u", 4, 7)) == [FolderRows("u", "F", ["e", "f"]), FolderRows("u", "", ["g"])]
    alone = pa.table({"folder": pa.array(["F"] * 7).dictionary_encode(), "contact": pa.array(contacts)})
    assert list(_Group(alone).folder_rows("u", 2, 6)) == [FolderRows("u", "F", ["c", "d", "e", "f"])]


def test_a_ledger_without_rows_to_send_has_none(tmp_path: Path) -> None:
    """A ledger of an empty list has no rows to send."""
    open_ledger(tmp_path / "L", FakeSource([])).close()
    connection = connect_to_read(tmp_path / "L")
    rows = WorkRows(tmp_path / "L", Parts(tmp_path / "L", files_of(connection)), connection)
    assert (rows.items([]), rows.rows([])) == ([], [])
    connection.close()
