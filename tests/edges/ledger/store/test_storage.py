"""Tests of errors of the operating system and SQLite, as the user reads them, and of inputs with several part files."""

from __future__ import annotations

import errno
import sqlite3
import warnings
from pathlib import Path
from typing import Any, NoReturn

import filelock
import pyarrow as pa
import pytest

from purgeengine.core.model import Item, Outcome, Reply
from purgeengine.edges.ledger import LedgerReader, export
from purgeengine.edges.ledger.running import journal, work_rows
from purgeengine.edges.ledger.staging import row_order
from purgeengine.edges.ledger.store import database, parts
from purgeengine.edges.ledger.store.storage import cause_of, reading_records, translated
from purgeengine.errors import LedgerError
from purgeengine.shortages import FILES
from tests.support.ledger_fixtures import NOW, FakeSource, a_source, ended, open_ledger, sent, settled

FULL = "the disk is full. Free some space and give the same command again."
READ_ONLY = "it may not be written by this user. Check the permissions of the folder."
DAMAGED = "the database is damaged. Restore the folder from a copy."
LOCKED = "another program keeps it locked. Close that program and give the same command again."
CANNOT_OPEN = "the database cannot be opened. Check that the folder is there and its permissions."
BROKEN = "the disk reported an error. Check the disk and the system's log, then give the same command again."


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), FULL),
        (OSError(122, "Disk quota exceeded"), FULL),
        (sqlite3.OperationalError("database or disk is full"), FULL),
        (pa.ArrowInvalid("[Errno 28] No space left on device"), FULL),
        (
            sqlite3.IntegrityError("UNIQUE constraint failed: outcome.first"),
            "a row was settled twice (UNIQUE constraint failed: outcome.first). This is a mistake in purgeengine, not in your "
            "input: please report it.",
        ),
        (PermissionError(errno.EACCES, "Permission denied"), READ_ONLY),
        (OSError(errno.EROFS, "Not to be written"), READ_ONLY),
        (sqlite3.OperationalError("attempt to write a readonly database"), READ_ONLY),
        (pa.ArrowInvalid("a read-only file system"), READ_ONLY),
        (
            FileNotFoundError(errno.ENOENT, "No such file", "ledger.sqlite"),
            "ledger.sqlite is missing. Restore the folder from a copy, or use a new one.",
        ),
        (FileNotFoundError(), "a file is missing. Restore the folder from a copy, or use a new one."),
        (sqlite3.DatabaseError("database disk image is malformed"), DAMAGED),
        (sqlite3.DatabaseError("file is not a database"), DAMAGED),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), DAMAGED),
        (pa.ArrowInvalid("a malformed page"), "a malformed page."),
        (sqlite3.OperationalError("database is locked"), LOCKED),
        (pa.ArrowInvalid("locked"), "locked."),
        (sqlite3.OperationalError("unable to open database file"), CANNOT_OPEN),
        (pa.ArrowInvalid("unable to open"), "unable to open."),
        (OSError(errno.EIO, "Input/output error"), BROKEN),
        (sqlite3.OperationalError("disk I/O error"), BROKEN),
        (OSError(errno.EMFILE, "Too many open files"), FILES[0].lower() + FILES[1:]),
        (OSError("odd"), "odd."),
        (sqlite3.OperationalError("no such table: x"), "no such table: x."),
        (pa.ArrowInvalid("odd bytes"), "odd bytes."),
    ],
)
def test_every_cause_is_a_sentence(error: Exception, sentence: str) -> None:
    """Every error becomes a sentence that says what happened and what to do, whoever raised it."""
    with (
        pytest.raises(LedgerError) as raised,
        translated("The ledger cannot be read"),
    ):
        raise error
    assert raised.value.__cause__ is error
    assert str(raised.value) == f"The ledger cannot be read: {sentence}"
    assert cause_of(error) == sentence


def test_records_that_contradict_each_other_are_told_with_where_they_stand() -> None:
    """Records that contradict each other are reported with the kind of error, its text cut to 100 characters, and the remedy."""
    with pytest.raises(LedgerError) as raised, reading_records(Path("L")):
        raise TypeError("x" * 200)
    assert str(raised.value) == (
        f"The ledger in L cannot be read: its records contradict each other (TypeError: {'x' * 100}). "
        "It was damaged or changed; restore the folder from a copy."
    )
    with (
        pytest.raises(LedgerError, match=r"^The ledger in L cannot be read: the disk is full\."),
        reading_records(Path("L")),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_mistake_of_ours_is_not_dressed_up_as_a_problem_of_the_disk() -> None:
    """A plain `ValueError` is raised unchanged, because our own code made it, and a ready `LedgerError` keeps its sentence."""
    with pytest.raises(ValueError, match=r"^a mistake$"), translated("The ledger cannot be read"):
        raise ValueError("a mistake")
    with pytest.raises(LedgerError, match=r"^told already$"), translated("The ledger cannot be read"):
        raise LedgerError("told already")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            NotImplementedError(),
            "The file system of {} has no locks, so that two runs could not be kept apart. Put the ledger on a local disk.",
        ),
        (PermissionError(errno.EACCES, "Permission denied"), "The ledger in {} cannot be locked: " + READ_ONLY),
    ],
)
def test_a_folder_that_cannot_be_locked_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str
) -> None:
    """A folder that cannot be locked is refused, because two runs could send rows twice."""

    def acquire(self: object) -> NoReturn:
        raise error

    monkeypatch.setattr(filelock.FileLock, "acquire", acquire)
    with pytest.raises(LedgerError) as raised:
        open_ledger(tmp_path / "L", a_source(2))
    assert str(raised.value) == sentence.format(tmp_path / "L")
    assert not (tmp_path / "L" / "ledger.sqlite").exists()


def test_a_lock_that_a_dead_process_would_leave_behind_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that is a mere file, as newer versions of the library make it, is refused and its file is removed."""

    class Soft(filelock.SoftFileLock):
        def acquire(self, *arguments: Any, **more: Any) -> Any:
            warnings.warn("falls back to a file", stacklevel=2)  # our own sentence says what this warning would
            return super().acquire(*arguments, **more)

    monkeypatch.setattr(filelock, "FileLock", Soft)
    with pytest.raises(LedgerError, match=r"has no locks, so that two runs could not be kept apart\."):
        open_ledger(tmp_path / "L", a_source(2))
    assert list((tmp_path / "L").iterdir()) == []


def test_a_mistake_of_ours_shuts_the_ledger(tmp_path: Path) -> None:
    """An entry of unknown type shuts the ledger: nothing is written after it, and earlier entries are kept."""
    with open_ledger(tmp_path / "L", a_source(4)) as ledger:
        ledger.write([sent(1, (0, [0])), ended(1), settled(0, 1)], NOW)
        odd: Any = "not an entry"
        with pytest.raises(AssertionError):
            ledger.write([odd], NOW)
        with pytest.raises(LedgerError, match="not written any further after a mistake"):
            ledger.write([sent(2, (0, [1]))], NOW)
    with LedgerReader.open(tmp_path / "L") as reader:
        assert reader.counts().outcomes[Outcome.PURGED] == 1


def test_each_answer_is_stored_once_however_many_are_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With more kinds of answers than the cache holds, each kind is stored once and counted by its own words."""
    monkeypatch.setattr(journal, "DETAILS_CACHED_MAX", 2)
    replies = [Reply(403, f"Error{kind}", "No.") for kind in range(3)]
    with open_ledger(tmp_path / "L", a_source(30)) as ledger:
        for row in range(30):
            refused = settled(row, row + 1, Outcome.REFUSED, reply=replies[row % 3])
            ledger.write([sent(row + 1, (0, [row])), ended(row + 1), refused], NOW + row)
    with LedgerReader.open(tmp_path / "L") as reader:
        failures = reader.failures(10)
    assert [(failure.code, failure.count) for failure in failures] == [("Error0", 10), ("Error1", 10), ("Error2", 10)]


def test_a_database_of_another_program_is_not_touched(tmp_path: Path) -> None:
    """A file ``ledger.sqlite`` with tables of another program is refused."""
    (tmp_path / "L").mkdir()
    with sqlite3.connect(tmp_path / "L" / "ledger.sqlite") as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()
    with pytest.raises(LedgerError, match="is not a database of purgeengine"):
        open_ledger(tmp_path / "L", a_source(2))


def test_a_connection_that_cannot_be_made_durable_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database whose durable settings cannot be made is refused."""
    open_ledger(tmp_path / "L", a_source(2)).close()
    monkeypatch.setattr(database, "CHECKPOINT_PAGES", "= =")
    with pytest.raises(LedgerError, match=r"cannot be (opened|read)"):
        open_ledger(tmp_path / "L", None)


# -------------------------------------------------------------------------------------------------- several part files


@pytest.fixture
def several_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits part files to 8,192 rows, so that an input of 20,000 has three, and keeps few files and rows in memory."""
    for module in (parts, work_rows, row_order):
        monkeypatch.setattr(module, "PART_ROWS_MAX", 8_192)
    monkeypatch.setattr(work_rows, "OPEN_FILES_MAX", 1)
    monkeypatch.setattr(work_rows, "CACHE_BYTES_MAX", 1)
    monkeypatch.setattr(work_rows, "USERS_CACHED_MAX", 1)
    monkeypatch.setattr(row_order.Repeats, "BUFFER_PAIRS_MAX", 2)


@pytest.mark.usefixtures("several_parts")
def test_rows_of_several_parts_are_found_and_told_in_input_order(tmp_path: Path) -> None:
    """Rows of several part files are found at any position and exported in input order, with duplicates across part files."""
    rows: list[tuple[str, str, str]] = [(f"u{n % 7}@contoso.example", f"F{n % 3}", f"c-{n}") for n in range(20_000)]
    again = {9_000: 5, 17_000: 8_193, 17_001: 12, 19_999: 19_998}
    for row, first in again.items():
        rows[row] = rows[first]
    with open_ledger(tmp_path / "L", FakeSource(rows)) as ledger:
        assert sorted(name.name for name in (tmp_path / "L" / "input").iterdir()) == [
            f"part-{number:05d}.parquet" for number in range(3)
        ]
        work = 20_000 - len(again)
        positions = [0, 511, 512, 8_191, 8_192, 8_193, 16_383, 16_384, work - 1]
        for position in positions:
            (row,) = ledger.rows_of([position])
            assert list(ledger.items([position])) == [Item(*rows[row])]
        spread = [0, 1, 2, 9_000, 9_001, work - 1, 5]
        assert ledger.items(spread) == [Item(*rows[row]) for row in ledger.rows_of(spread)]
        first_mailbox = range(20)
        ledger.write([sent(1, (0, list(first_mailbox))), ended(1)] + [settled(n, 1) for n in first_mailbox], NOW)
        purged = set(ledger.rows_of(list(first_mailbox)))
    with LedgerReader.open(tmp_path / "L") as reader:
        told = pa.Table.from_batches(list(reader.rows()))
    assert told.column("row").to_pylist() == list(range(20_000))
    assert [
        tuple(row) for row in zip(*(told.column(n).to_pylist() for n in ("user", "folder", "contact")), strict=True)
    ] == rows
    outcomes, messages = told.column("outcome").to_pylist(), told.column("message").to_pylist()
    assert {row for row in range(20_000) if outcomes[row] == "purged"} == purged
    assert {row: messages[row] for row in range(20_000) if outcomes[row] == "duplicate"} == {
        row: f"same contact as row {first}" for row, first in again.items()
    }


@pytest.mark.usefixtures("several_parts")
@pytest.mark.parametrize(("rows", "groups"), [(16_384, [16_384, 3_616]), (3_000, [8_192, 8_192, 3_616])])
def test_a_large_parquet_export_is_written_in_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, groups: list[int]
) -> None:
    """A large Parquet export is written in row groups, with every row once and in order."""
    import pyarrow.parquet as pq

    monkeypatch.setattr("purgeengine.edges.ledger.outputs.exporting.GROUP_ROWS", rows)
    open_ledger(tmp_path / "L", a_source(15_000, 5_000)).close()
    with LedgerReader.open(tmp_path / "L") as reader:
        assert export(reader, tmp_path / "out.parquet") == 20_000
    written = pq.ParquetFile(tmp_path / "out.parquet")
    assert [written.metadata.row_group(group).num_rows for group in range(written.num_row_groups)] == groups
    assert written.read().column("row").to_pylist() == list(range(20_000))
