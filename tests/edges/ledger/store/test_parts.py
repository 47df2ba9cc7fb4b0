"""Tests of the files of a ledger: synced before they get their names, cut by number of rows, and checked when read."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from purgeengine.edges.ledger.store import parts, storage
from purgeengine.edges.ledger.store.parts import PartFile, Parts, PartWriter, footer_of, part_name, reading
from purgeengine.edges.ledger.store.storage import durable_file, make_folder
from purgeengine.errors import LedgerError
from tests.support.ledger_fixtures import a_source, open_ledger

posix = pytest.mark.skipif(os.name == "nt", reason="Windows keeps the names of files by itself")
SCHEMA = pa.schema([("row", pa.int64()), ("kind", pa.string())])


class Watched:
    """Records the syncs, closes and renames that the operating system was asked for, with the final names of the files."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[str, int | None]] = []
        fsync, close, rename = os.fsync, os.close, Path.replace

        def synced(descriptor: int) -> None:
            self.calls.append(("sync", os.fstat(descriptor).st_ino))
            fsync(descriptor)

        def closed(descriptor: int) -> None:
            self.calls.append(("close", os.fstat(descriptor).st_ino))
            close(descriptor)

        def renamed(path: Path, target: Path) -> Path:
            self.calls.append(("rename", path.stat().st_ino))
            return rename(path, target)

        monkeypatch.setattr(storage.os, "fsync", synced)
        monkeypatch.setattr(storage.os, "close", closed)
        monkeypatch.setattr(Path, "replace", renamed)

    def told(self, *paths: Path) -> list[tuple[str, str]]:
        """Return the calls for these paths."""
        names = {path.stat().st_ino: path.name for path in paths}
        return [(what, names[inode]) for what, inode in self.calls if inode in names]


# --------------------------------------------------------------------------------------------------- on the disk


@posix
def test_a_file_has_its_name_when_it_is_on_the_disk_and_then_the_name_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A durable file is synced, closed and renamed, and then its folder is synced. Until then it has another name."""
    watched, path = Watched(monkeypatch), tmp_path / "input"
    with durable_file(path) as file:
        file.write(b"rows")
        assert [found.name for found in tmp_path.iterdir()] == ["input.new"]
    assert path.read_bytes() == b"rows"
    assert watched.told(path, tmp_path) == [
        ("sync", "input"),
        ("close", "input"),
        ("rename", "input"),
        ("sync", tmp_path.name),
        ("close", tmp_path.name),
    ]


def test_a_file_that_could_not_be_written_to_its_end_has_no_name(tmp_path: Path) -> None:
    """A file that could not be written completely gets no name, and an older file stays."""
    path = tmp_path / "input"
    path.write_bytes(b"before")
    with pytest.raises(TypeError), durable_file(path) as file:
        file.writelines([b"half", None])
    assert path.read_bytes() == b"before"


@posix
def test_a_sync_that_fails_gives_no_name_and_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sync that fails raises its error, gives no name and leaves no file open."""
    closed: list[int] = []
    close = os.close

    def refused(_: int) -> None:
        raise OSError(5, "Input/output error")

    def counted(descriptor: int) -> None:
        closed.append(descriptor)
        close(descriptor)

    monkeypatch.setattr(storage.os, "fsync", refused)
    monkeypatch.setattr(storage.os, "close", counted)
    with pytest.raises(OSError, match="Input/output error"), durable_file(tmp_path / "input") as file:
        file.write(b"rows")
    assert len(closed) == 1
    assert not (tmp_path / "input").exists()


@posix
def test_a_folder_is_kept_with_all_new_ones_above_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new folder is synced with all new folders above it, up to one that existed before."""
    watched = Watched(monkeypatch)
    make_folder(tmp_path / "a" / "b" / "c")
    assert (tmp_path / "a" / "b" / "c").is_dir()
    synced = watched.told(tmp_path.parent, tmp_path, tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "c")
    assert [name for what, name in synced if what == "sync"] == ["b", "a", tmp_path.name]
    make_folder(tmp_path / "a" / "b" / "c")  # the folder may exist already
    monkeypatch.chdir(tmp_path)
    make_folder(Path("d"))
    assert watched.told(tmp_path)[-2:] == [("sync", tmp_path.name), ("close", tmp_path.name)]


@posix
def test_the_folder_of_a_new_ledger_is_kept_with_those_above_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of a new ledger is synced with those above it.

    A power loss must not take the first answers with the folder's name.
    """
    monkeypatch.setattr(parts, "PART_ROWS_MAX", 8_192)  # as many rows as a row group of a ledger has
    watched, folder = Watched(monkeypatch), tmp_path / "a" / "L"
    open_ledger(folder, a_source(1)).close()
    made = [name for what, name in watched.told(tmp_path, tmp_path / "a") if what == "sync"]
    assert made == ["a", tmp_path.name]
    watched.calls.clear()
    open_ledger(folder, a_source(1)).close()
    assert watched.told(tmp_path, tmp_path / "a") == []


@posix
def test_a_folder_above_that_may_not_be_looked_into_is_no_hindrance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder above that may not be read is no error, because it may be closed to the user; any other error is raised."""

    def refused(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(storage, "sync_folder", refused)
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()

    def broken(_: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(storage, "sync_folder", broken)
    with pytest.raises(OSError, match="Input/output"):
        make_folder(tmp_path / "c")


# ---------------------------------------------------------------------------------------------------- part files


def table(first: int, count: int) -> pa.Table:
    """Return a table with so many rows."""
    return pa.table({"row": range(first, first + count), "kind": ["k"] * count}, schema=SCHEMA)


def written(folder: Path, *counts: int, **more: Any) -> list[PartFile]:
    """Write so many rows at a time, and return the part files: at most eight rows each, in row groups of four."""
    writer = PartWriter(folder, "work", SCHEMA, 4, ["kind"], **more)
    first = 0
    for count in counts:
        writer.write(table(first, count))
        first += count
    writer.finish()
    return writer.files


def readable(folder: Path, files: list[PartFile]) -> Parts:
    """Return the part files as a ledger knows them."""
    return Parts(folder, {file.name: (file.bytes, file.footer_crc) for file in files})


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits part files to eight rows."""
    monkeypatch.setattr(parts, "PART_ROWS_MAX", 8)


@pytest.mark.parametrize(
    ("counts", "groups"),
    [
        ([], []),
        ([0], []),
        ([3], [[3]]),
        ([4], [[4]]),
        ([8], [[4, 4]]),
        ([9], [[4, 4], [1]]),
        ([1] * 9, [[4, 4], [1]]),
        ([3, 3, 3, 0, 3], [[4, 4], [4]]),
        ([21], [[4, 4], [4, 4], [4, 1]]),
    ],
)
def test_rows_are_cut_into_parts_and_groups_by_their_number_alone(
    tmp_path: Path, counts: list[int], groups: list[list[int]]
) -> None:
    """Rows are cut into part files and row groups by their number alone, however they come, and none is lost."""
    files = written(tmp_path, *counts)
    assert [file.name for file in files] == [part_name("work", number) for number in range(len(groups))]
    found = readable(tmp_path, files)
    rows: list[int] = []
    for name, sizes in zip(found.names("work"), groups, strict=True):
        assert [batch.num_rows for batch in found.batches(name)] == sizes
        assert {column for batch in found.batches(name, ["kind"]) for column in batch.schema.names} == {"kind"}
        rows += [row for batch in found.batches(name, ["row"]) for row in batch.column(0).to_pylist()]
    assert rows == list(range(sum(counts)))
    assert found.names("wor") == []
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == [Path(file.name).name for file in files]


def test_full_groups_are_written_and_the_rest_waits(tmp_path: Path) -> None:
    """A part file appears with its last row, and the remaining rows are written at the end."""
    writer = PartWriter(tmp_path, "work", SCHEMA, 4, ["kind"])
    writer.write(table(0, 7))
    assert writer.files == []
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["part-00000.parquet.new"]
    writer.write(table(7, 2))
    assert [file.name for file in writer.files] == ["work/part-00000.parquet"]
    writer.finish()
    assert [file.name for file in writer.files] == ["work/part-00000.parquet", "work/part-00001.parquet"]


def test_an_abandoned_part_has_no_name(tmp_path: Path) -> None:
    """An abandoned part file gets no name, and those before it keep theirs.

    Abandoning nothing, or twice, is allowed.
    """
    writer = PartWriter(tmp_path, "work", SCHEMA, 4, ["kind"])
    writer.abandon()
    writer.write(table(0, 14))
    writer.abandon()
    writer.abandon()
    names = {path.name for path in (tmp_path / "work").iterdir()}
    assert "part-00000.parquet" in names
    assert "part-00001.parquet" not in names


@pytest.mark.parametrize(
    "trouble", [OSError(28, "No space left on device"), ValueError("a closed file"), MemoryError()]
)
def test_giving_up_is_no_trouble_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    """Abandoning a part file raises nothing even if it cannot be closed: the caller reports the first error."""

    def refused(_: object) -> None:
        raise trouble

    writer = PartWriter(tmp_path, "work", SCHEMA, 4, ["kind"])
    writer.write(table(0, 4))
    monkeypatch.setattr(pq.ParquetWriter, "close", refused)
    inner = writer._writer
    writer.abandon()
    assert not inner.is_open  # an open one would report an error when it is deleted
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["part-00000.parquet.new"]
    monkeypatch.undo()


def test_columns_are_stored_as_they_are_best_read(tmp_path: Path) -> None:
    """Repeated texts are stored as dictionaries and numbers as differences, with the given compression."""
    for kind, name in (("zstd", "ZSTD"), ("lz4", "LZ4")):
        folder = tmp_path / kind
        folder.mkdir()
        (file,) = written(folder, 8, compression=kind)
        about = pq.ParquetFile(folder / file.name).metadata
        row, text = about.row_group(0).column(0), about.row_group(0).column(1)
        assert (row.compression, text.compression) == (name, name)
        assert "DELTA_BINARY_PACKED" in row.encodings
        assert "RLE_DICTIONARY" in text.encodings
        assert not row.is_stats_set
    (file,) = written(tmp_path, 8)
    path = tmp_path / file.name
    assert pq.ParquetFile(path).metadata.row_group(0).column(0).compression == "ZSTD"


def test_several_groups_can_be_read_at_once(tmp_path: Path) -> None:
    """Several row groups are read as one table, and only the columns that are asked for."""
    writer = PartWriter(tmp_path, "work", SCHEMA, 2, ["kind"])
    writer.write(table(0, 7))
    writer.finish()
    found = readable(tmp_path, writer.files)
    tables = list(found.tables("work/part-00000.parquet", ["row"], 3))
    assert [part.num_rows for part in tables] == [6, 1]
    assert [part.column_names for part in tables] == [["row"], ["row"]]
    assert [part.column("row").num_chunks for part in tables] == [1, 1]
    (whole,) = found.tables("work/part-00000.parquet", None, 4)
    assert whole.column_names == ["row", "kind"]
    dictionary = found.open("work/part-00000.parquet", ["kind"])
    assert pa.types.is_dictionary(dictionary.read_row_group(0).column("kind").type)
    dictionary.close()


# ------------------------------------------------------------------------------------------------------- damage


def test_the_footer_is_what_stands_before_its_length(tmp_path: Path) -> None:
    """The footer's checksum covers the footer, its length and the mark at the end; a too short file is summed as it is."""
    path = tmp_path / "file"
    path.write_bytes(b"rows" + b"footer" + (6).to_bytes(4, "little") + b"PAR1")
    assert footer_of(path) == (18, zlib.crc32(b"footer\x06\0\0\0PAR1"))
    path.write_bytes(b"abc")
    assert footer_of(path) == (3, zlib.crc32(b"abc"))
    path.write_bytes((99).to_bytes(4, "little") + b"PAR1")
    assert footer_of(path) == (8, zlib.crc32(b"\x63\0\0\0PAR1"))


@pytest.mark.parametrize("place", ["page", "footer", "end", "unknown", "missing"])
def test_a_part_that_is_not_as_it_was_written_is_refused_by_name(tmp_path: Path, place: str) -> None:
    """A part file that was changed, extended, never written or deleted is refused by name."""
    (file,) = written(tmp_path, 8)
    path, found = tmp_path / file.name, readable(tmp_path, [file])
    about = pq.ParquetFile(path).metadata.row_group(1).column(0)
    last_of_a_page = about.data_page_offset + about.total_compressed_size - 1
    data = bytearray(path.read_bytes())
    if place == "end":
        data += b"PAR1"
    elif place in ("page", "footer"):
        data[last_of_a_page if place == "page" else -20] ^= 1
    path.write_bytes(data)
    if place == "unknown":
        found = readable(tmp_path, [])
    if place == "missing":
        path.unlink()
    with pytest.raises(LedgerError) as raised:
        list(found.batches(file.name))
    assert str(raised.value) == (
        f"{path} cannot be read: {path} is missing. Restore the folder from a copy, or use a new one."
        if place == "missing"
        else f"{path} is damaged or was changed. Restore the ledger's folder from a copy."
    )


def test_only_what_reading_may_raise_is_taken_for_damage() -> None:
    """Only errors that reading can raise count as damage; a mistake of ours is raised unchanged."""
    for error in (KeyError("x"), ValueError("x")):
        with pytest.raises(type(error)), reading(Path("part")):
            raise error
    with (
        pytest.raises(LedgerError, match="part cannot be read: it may not be written by this user"),
        reading(Path("part")),
    ):
        raise PermissionError(13, "Permission denied")
