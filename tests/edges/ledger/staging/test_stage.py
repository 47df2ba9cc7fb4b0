"""Tests of staging: a new ledger holds the whole input in the order of sending, and interrupted staging starts anew."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from purgeengine.core.graph.operations import Action, IdType, deletion_by
from purgeengine.core.model import Item, Outcome
from purgeengine.core.policy.filters import UserFilter
from purgeengine.edges.ledger import Ledger, LedgerReader
from purgeengine.edges.ledger.staging import stage
from purgeengine.edges.ledger.staging.folder import finish, prepare
from purgeengine.edges.ledger.store.storage import README_TEXT
from purgeengine.errors import InputError, LedgerError, LedgerMismatch
from tests.support.ledger_fixtures import NOW, FakeSource, a_source, open_ledger, opened, rows_of, sent


def test_staging_groups_rows_by_mailbox(tmp_path: Path) -> None:
    """Positions follow the mailboxes in the order in which they end, and a mailbox keeps the first spelling of its user."""
    rows = [
        ("Ann@x.example", "", "1"),
        ("bob@x.example", "F", "2"),
        ("ann@x.example", "G", "3"),
        ("ANN@x.example", "", "4"),
    ]
    with open_ledger(tmp_path / "L", FakeSource(rows)) as ledger:
        assert [(m.mailbox, m.next, m.end) for m in opened(ledger)] == [(1, 1, 4), (0, 0, 1)]
        assert ledger.items(range(4)) == [
            Item("bob@x.example", "F", "2"),
            Item("Ann@x.example", "", "1"),
            Item("Ann@x.example", "G", "3"),
            Item("Ann@x.example", "", "4"),
        ]
        assert ledger.rows_of([3, 0, 1, 2]) == [3, 1, 0, 2]
        assert ledger.preview(UserFilter()).mailboxes == 2


def test_order_of_the_input_does_not_change_the_mailboxes(tmp_path: Path) -> None:
    """A shuffled input makes the same mailboxes with the same contacts as a sorted one."""
    source = a_source(40, 7, 300)
    shuffled = list(source.rows)
    random.Random(1).shuffle(shuffled)
    contents = []
    for name, rows in (("sorted", source.rows), ("shuffled", shuffled)):
        with open_ledger(tmp_path / name, FakeSource(rows, batch_rows=50)) as ledger:
            mailboxes = opened(ledger)
            contents.append([(m.end - m.next, set(ledger.items(range(m.next, m.end)))) for m in mailboxes])
    assert contents[0] == contents[1]


def test_items_are_found_anywhere_and_in_any_order(tmp_path: Path) -> None:
    """Items are found at any positions, in any order, across mailboxes and row groups."""
    source = a_source(1_300, 700, 50)
    with open_ledger(tmp_path / "L", source) as ledger:
        positions = [*range(500, 530), 2_049, *range(1_295, 1_305), 0, 511, 512]
        expected = [Item(*source.rows[position]) for position in positions]
        assert ledger.items(positions) == expected
        assert ledger.rows_of(positions) == positions
        assert ledger.items([]) == []


def test_staging_many_rows_keeps_arrow_memory_bounded(tmp_path: Path) -> None:
    """Staging 300,000 rows with spilled duplicates keeps the memory that Arrow holds below 40 MiB."""
    count, seen = 300_000, []

    class Many(FakeSource):
        def batches(self) -> Iterator[pa.RecordBatch]:
            for start in range(0, count, 8_192):
                rows = range(start, min(start + 8_192, count))
                users = pa.array([f"u{row % 700}@x.example" for row in rows])
                contacts = pa.array([f"c-{row % 280_000}" for row in rows])
                blank, none = pa.array([""] * len(rows)), pa.nulls(len(rows), pa.string())
                number = pa.array(rows, pa.int64())
                columns = [number, number, pa.array([0] * len(rows), pa.int32()), users, blank, contacts, none]
                names = ["row", "line", "source", "user", "folder", "contact", "reason"]
                yield pa.RecordBatch.from_arrays(columns, names=names)
                seen.append(pa.total_allocated_bytes())

        def digest(self) -> str:
            return "many"

    before = pa.total_allocated_bytes()
    with open_ledger(tmp_path / "L", Many([])) as ledger:
        counts = ledger.counts()
        repeated = 20_000
        assert counts.outcomes[Outcome.DUPLICATE] == repeated
        assert counts.waiting == count - repeated
        assert len(list((tmp_path / "L" / "work").iterdir())) == 2
        assert ledger.rows_of([0, 1, 279_999]) == [0, 700, 279_999]
    assert max(seen) - before < 40 << 20


# -------------------------------------------------------------------------------------------------- interrupted staging


class Broken(FakeSource):
    """Fails after its first batch."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        yield next(super().batches())
        raise InputError("contacts.csv is damaged.")


@pytest.mark.parametrize("there_before", [False, True])
def test_staging_that_fails_leaves_nothing_behind(tmp_path: Path, there_before: bool) -> None:
    """The folders that were made for the ledger go. A folder that was there before stays, and is empty again."""
    folder = tmp_path / "above" / "L"
    if there_before:
        folder.mkdir(parents=True)
    with pytest.raises(InputError, match=r"^contacts.csv is damaged\.$"):
        open_ledger(folder, Broken(a_source(20).rows, batch_rows=5))
    assert list(tmp_path.rglob("*")) == ([folder.parent, folder] if there_before else [])


def test_a_new_ledger_that_cannot_be_removed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence names the folder. The lock is free, and the rows can still be staged anew."""
    folder = tmp_path / "L"
    remove = Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if path.suffix == ".parquet" or path.name.endswith(".new"):
            raise PermissionError(13, "Permission denied", str(path))
        remove(path, missing_ok=missing_ok)

    with open_ledger(folder, a_source(3)) as ledger:
        monkeypatch.setattr(Path, "unlink", unlink)
        said = ledger.remove_if_new()
        monkeypatch.undo()
    assert said is not None
    assert said.startswith(f"The new ledger in {folder} could not be removed: ")
    with open_ledger(folder, a_source(4)) as ledger:
        assert ledger.counts().waiting == 4


def test_only_a_new_ledger_without_a_run_is_removed(tmp_path: Path) -> None:
    """One that was there before stays, and so does one whose run has begun. What others keep in the folder stays as well."""
    folder, other = tmp_path / "L", tmp_path / "M"
    with open_ledger(folder, a_source(3)) as ledger:
        ledger.begin(1, {})
        assert ledger.remove_if_new() is None
    with open_ledger(folder, a_source(3)) as ledger:
        assert ledger.remove_if_new() is None
    with LedgerReader.open(folder) as reader:
        assert reader.counts().waiting == 3
    with open_ledger(other, a_source(3)) as ledger:
        (other / "work" / "notes.txt").write_text("mine", encoding="utf-8")
        (other / "notes.txt").write_text("mine", encoding="utf-8")
        assert ledger.remove_if_new() is None
    left = {path.relative_to(other).as_posix() for path in other.rglob("*")}
    assert left == {"notes.txt", "work", "work/notes.txt"}


def test_staging_cut_short_is_started_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Staging that is killed while it reads leaves a folder that readers call unstaged, and that the next run stages anew."""
    folder = tmp_path / "L"
    with monkeypatch.context() as killed:
        killed.setattr(
            "purgeengine.edges.ledger.ledger.remove_unsent", lambda *_: None
        )  # a killed process removes nothing
        with pytest.raises(InputError):
            open_ledger(folder, Broken(a_source(20).rows, batch_rows=5))
    with pytest.raises(LedgerError) as raised:
        LedgerReader.open(folder)
    assert str(raised.value) == (
        f"The ledger in {folder} is still being staged, or that was interrupted; nothing was sent from it. The run command stages "
        "it anew."
    )
    with open_ledger(folder, a_source(3)) as ledger:
        assert ledger.counts().waiting == 3
    assert not (folder / "staging").exists()


@pytest.mark.parametrize(
    "left",
    [
        ["lock"],
        ["lock", "staging/"],
        ["lock", "staging/", "README.txt.new"],
        ["lock", "staging/", "README.txt"],
        ["lock", "staging/", "README.txt", "input/part-00000.parquet.new", "staging/digests-000"],
    ],
)
def test_whatever_an_interrupted_staging_leaves_is_no_obstacle(tmp_path: Path, left: list[str]) -> None:
    """Whatever files an interrupted staging leaves, the same command stages anew."""
    folder = tmp_path / "L"
    for name in left:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
        else:
            path.write_text(README_TEXT if name == "README.txt" else "", encoding="utf-8")
    with open_ledger(folder, a_source(3)) as ledger:
        assert ledger.counts().waiting == 3
    assert not (folder / "staging").exists()


def test_what_an_earlier_staging_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    """The files of an earlier staging are removed and no others, because the new ledger would take them for its own."""
    logs = [f"ledger.sqlite{new}-{kind}" for new in ("", ".new") for kind in ("wal", "shm")]
    left = [*logs, "ledger.sqlite.new", "staging/digests-000"]
    left += [f"{kind}/part-00007.parquet{new}" for kind in ("input", "work", "order") for new in ("", ".new")]
    kept = ["notes.txt", "input/mine.parquet"]
    for name in (*left, *kept):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    for _ in range(2):  # preparing may be interrupted and repeated
        prepare(tmp_path)
        found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
        assert found == {*kept, "README.txt", "staging", "input", "work", "order"}
    assert (tmp_path / "README.txt").read_text(encoding="utf-8") == README_TEXT


@pytest.mark.parametrize("moment", ["first_positions", "_regroup", "database.create"])
def test_killed_staging_is_started_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    """Staging that is killed at any of three steps is started anew without losing a row."""

    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(f"purgeengine.edges.ledger.staging.stage.{moment}", die)
        with pytest.raises(Killed):
            open_ledger(tmp_path / "L", a_source(5, 3))
    with open_ledger(tmp_path / "L", a_source(5, 3)) as ledger:
        assert ledger.counts().waiting == 8


def test_half_made_database_is_not_taken_for_a_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that was being made when staging was killed is not taken for a ledger."""

    class Killed(BaseException):
        pass

    def die(folder: Path, *_: object) -> None:
        connection = sqlite3.connect(folder / "ledger.sqlite.new")
        connection.execute("CREATE TABLE meta (key, value)")
        connection.close()
        (folder / "ledger.sqlite.new-wal").write_bytes(b"of before")
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("purgeengine.edges.ledger.staging.stage.database.create", die)
        with pytest.raises(Killed):
            open_ledger(tmp_path / "L", a_source(5))
    with open_ledger(tmp_path / "L", a_source(5)) as ledger:
        assert ledger.counts().waiting == 5


def test_death_between_the_database_and_the_last_step_keeps_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a crash between the database and the last step, the ledger counts as staged, and left-over files are removed."""
    with monkeypatch.context() as patch:
        patch.setattr("purgeengine.edges.ledger.ledger.finish", lambda _: None)
        open_ledger(tmp_path / "L", a_source(5)).close()
    assert (tmp_path / "L" / "staging").exists()
    with open_ledger(tmp_path / "L", None) as ledger:
        assert ledger.counts().waiting == 5
    assert not (tmp_path / "L" / "staging").exists()


def test_a_staged_database_never_needs_a_rollback_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A staged database is in write-ahead mode from the start.

    A run that was killed while it changed modes could not be resumed.
    """
    journal_modes = []

    def look(folder: Path) -> None:
        header = (folder / "ledger.sqlite").read_bytes()[18:20]  # write and read version: 2 is a write-ahead log
        journal_modes.append((header, (folder / "staging").exists()))
        finish(folder)

    monkeypatch.setattr("purgeengine.edges.ledger.ledger.finish", look)
    open_ledger(tmp_path / "L", a_source(5)).close()
    assert journal_modes == [(b"\x02\x02", True)]


def test_full_disk_while_staging_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk during staging raises a sentence, and the next attempt stages anew."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(stage.PartWriter, "write", full)
        with pytest.raises(LedgerError, match="disk is full"):
            open_ledger(tmp_path / "L", a_source(5))
    open_ledger(tmp_path / "L", a_source(5)).close()


# -------------------------------------------------------------------------------------------------- whose folder it is


def test_folder_with_other_things_is_refused_and_left_alone(tmp_path: Path) -> None:
    """A folder with other things is refused and not changed, even if the names equal ours."""
    (tmp_path / "input").mkdir()
    (tmp_path / "input" / "part-00000.parquet").write_bytes(b"precious")
    with pytest.raises(LedgerMismatch, match="not a ledger"):
        open_ledger(tmp_path, a_source(1))
    assert [path.name for path in tmp_path.iterdir()] == ["input"]
    assert (tmp_path / "input" / "part-00000.parquet").read_bytes() == b"precious"


def test_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    """A file in place of the ledger folder is refused."""
    (tmp_path / "L").write_bytes(b"")
    with pytest.raises(LedgerError, match="is a file"):
        open_ledger(tmp_path / "L", a_source(1))


def test_another_input_tenant_or_action_is_refused(tmp_path: Path) -> None:
    """Another input, tenant, action or id type is refused with a sentence that names the difference.

    The original still resumes.
    """
    files = tuple(Path(f"{name}\n.csv") for name in "abcd")
    open_ledger(tmp_path / "L", a_source(2, files=files)).close()
    with pytest.raises(LedgerMismatch) as raised:
        open_ledger(tmp_path / "L", a_source(3))
    assert str(raised.value) == (
        f"The ledger in {tmp_path / 'L'} was made from another input (a .csv, b .csv, c .csv). Nothing was sent. Give the "
        "original input, unchanged and with the same columns, or none at all, to resume; or use another folder for this one."
    )
    for tenant in ("fabrikam", None):
        with pytest.raises(LedgerMismatch) as raised:
            open_ledger(tmp_path / "L", a_source(2), tenant_id=tenant)
        assert str(raised.value) == (
            f"The ledger in {tmp_path / 'L'} belongs to the tenant contoso, not {tenant}. Nothing was sent. Use another folder for "
            "this purge."
        )
    with pytest.raises(
        LedgerMismatch, match="belongs to the tenant contoso, and the token of now does not say of which tenant"
    ):
        open_ledger(tmp_path / "L", a_source(2), tenant_id="")
    open_ledger(tmp_path / "opaque", a_source(2), tenant_id="").close()
    with pytest.raises(LedgerMismatch, match="made with a token that did not say of which tenant it was"):
        open_ledger(tmp_path / "opaque", a_source(2))
    open_ledger(tmp_path / "opaque", a_source(2), tenant_id="").close()
    with pytest.raises(
        LedgerMismatch, match=r"action permanentDelete, not delete\..*, or give --action permanentDelete to"
    ):
        open_ledger(tmp_path / "L", a_source(2), deletion=deletion_by(Action.DELETE))
    with pytest.raises(LedgerMismatch, match=r"id type default, not immutable.*--id-type default to resume"):
        open_ledger(tmp_path / "L", a_source(2), deletion=deletion_by(id_type=IdType.IMMUTABLE))
    open_ledger(tmp_path / "L", a_source(2)).close()


def test_ledger_without_input_needs_a_staged_folder(tmp_path: Path) -> None:
    """Opening a ledger without an input needs a staged folder, and makes none."""
    with pytest.raises(LedgerError, match="no ledger"):
        open_ledger(tmp_path / "L", None)
    assert not (tmp_path / "L").exists()


def test_ledger_without_its_database_is_not_staged_over(tmp_path: Path) -> None:
    """A ledger without its database is refused instead of staged anew, because every row would be sent again."""
    open_ledger(tmp_path / "L", a_source(2)).close()
    (tmp_path / "L" / "ledger.sqlite").unlink()
    with pytest.raises(LedgerError, match=r"lost its ledger\.sqlite"):
        open_ledger(tmp_path / "L", a_source(2))


def test_newer_ledger_is_refused(tmp_path: Path) -> None:
    """A ledger of a newer version is refused."""
    open_ledger(tmp_path / "L", a_source(2)).close()
    connection = sqlite3.connect(tmp_path / "L" / "ledger.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(LedgerError, match="newer purgeengine"):
        open_ledger(tmp_path / "L", a_source(2))


def test_second_process_is_refused_until_the_first_has_gone(tmp_path: Path) -> None:
    """A second process is refused until the first ends, even by a kill: the operating system releases the lock."""
    open_ledger(tmp_path / "L", a_source(2)).close()
    script = f"""
        import sys
        from pathlib import Path
        from purgeengine.edges.ledger import Ledger
        ledger = Ledger.open(Path({str(tmp_path / "L")!r}), None)
        print("open", flush=True)
        sys.stdin.read()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open" + other_line_end()
        with pytest.raises(LedgerError, match="in use by another process"):
            open_ledger(tmp_path / "L", a_source(2))
        with LedgerReader.open(tmp_path / "L") as reader:
            assert reader.counts().waiting == 2
        other.kill()
    open_ledger(tmp_path / "L", a_source(2)).close()


def other_line_end() -> bytes:
    return b"\r\n" if sys.platform == "win32" else b"\n"


# ------------------------------------------------------------------------------------------------- damaged part files


@pytest.mark.parametrize("place", [0.1, 0.5, 0.98])
def test_damaged_part_is_named(tmp_path: Path, place: float) -> None:
    """A flipped byte in a part file, in its rows or its footer, is found, and the message names the file."""
    open_ledger(tmp_path / "L", FakeSource(rows_of("a", 2_000))).close()
    part = tmp_path / "L" / "work" / "part-00000.parquet"
    data = bytearray(part.read_bytes())
    data[int(len(data) * place)] ^= 0x10
    part.write_bytes(data)
    with (
        open_ledger(tmp_path / "L", None) as ledger,
        pytest.raises(LedgerError, match=r"part-00000\.parquet is damaged"),
    ):
        read_everything(ledger, 2_000)


def read_everything(ledger: Ledger, rows: int) -> None:
    for first in range(0, rows, 100):
        ledger.items(range(first, first + 100))
        ledger.rows_of(range(first, first + 100))


def test_missing_part_is_named(tmp_path: Path) -> None:
    """A missing part file is reported by name."""
    open_ledger(tmp_path / "L", a_source(2)).close()
    (tmp_path / "L" / "work" / "part-00000.parquet").unlink()
    with (
        open_ledger(tmp_path / "L", None) as ledger,
        pytest.raises(LedgerError, match=r"part-00000\.parquet.* missing"),
    ):
        ledger.items([0])


def test_damaged_database_is_a_sentence(tmp_path: Path) -> None:
    """A damaged database is reported, and neither read nor staged over."""
    open_ledger(tmp_path / "L", a_source(2)).close()
    database = tmp_path / "L" / "ledger.sqlite"
    database.write_bytes(b"not a database at all, but long enough to be read as one".ljust(4096, b"."))
    with pytest.raises(LedgerError, match="damaged"):
        open_ledger(tmp_path / "L", a_source(2))
    with pytest.raises(LedgerError, match="damaged"):
        LedgerReader.open(tmp_path / "L")


def test_closing_twice_and_opening_again_is_fine(tmp_path: Path) -> None:
    """A ledger may be closed twice, and a clean close leaves one database file and no lock."""
    ledger = open_ledger(tmp_path / "L", a_source(2))
    ledger.close()
    ledger.close()
    assert not (tmp_path / "L" / "ledger.sqlite-wal").exists()
    with open_ledger(tmp_path / "L", None) as again:
        assert again.has_work()


def test_a_close_leaves_everything_in_the_database_though_somebody_is_looking(tmp_path: Path) -> None:
    """A close moves everything into the database file even if a reader has it open, so that a copy of that file is complete."""
    with open_ledger(tmp_path / "L", a_source(2)) as ledger, LedgerReader.open(tmp_path / "L"):
        ledger.write([sent(1, (0, [0]))], NOW)
        assert (tmp_path / "L" / "ledger.sqlite-wal").stat().st_size > 0
        ledger.close()
        assert (tmp_path / "L" / "ledger.sqlite-wal").stat().st_size == 0


def test_a_second_close_takes_nothing_from_whoever_has_opened_it_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second close of a ledger takes neither the lock nor the reserve from whoever has opened it since."""
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("waited for a lock"))
    first = open_ledger(tmp_path / "L", a_source(2))
    first.close()
    with open_ledger(tmp_path / "L", None) as second:
        second.hold_reserve(1)
        first.close()
        assert (tmp_path / "L" / "reserve").exists()
        with pytest.raises(LedgerError, match="in use by this process already"):
            open_ledger(tmp_path / "L", None)


def test_another_thread_may_close_what_one_has_opened(tmp_path: Path) -> None:
    """A thread may close a ledger that another thread has opened."""
    opened_there: list[Ledger] = []
    thread = threading.Thread(target=lambda: opened_there.append(open_ledger(tmp_path / "L", a_source(2))))
    thread.start()
    thread.join()
    opened_there[0].close()
    open_ledger(tmp_path / "L", None).close()
