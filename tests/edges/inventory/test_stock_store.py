"""Tests of what an inventory keeps: it survives a kill at every step, and refuses what it does not fit."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from purgeengine.core.inventory.listed_rows import COLUMNS, FolderFigures, ListedRow, MailboxOutcome
from purgeengine.core.model import Reply
from purgeengine.edges.inventory import StockStore, StoredMailbox
from purgeengine.edges.inventory.stock_parts import PARTS
from purgeengine.edges.ledger import LedgerReader
from purgeengine.edges.ledger.store.storage import STOCK
from purgeengine.errors import LedgerError, LedgerMismatch

ABOUT = {"company": ["Fabrikam"], "users": "digest"}
USERS = [f"user{number}@x.example" for number in range(6)]


def rows(user: str, count: int) -> list[ListedRow]:
    """Return so many rows of a mailbox."""
    return [(user, "F", f"c{number}", *[f"{user} {number}"] * (len(COLUMNS) - 3)) for number in range(count)]


def a_mailbox(number: int, count: int, outcome: MailboxOutcome = MailboxOutcome.LISTED) -> StoredMailbox:
    """Return a mailbox that was read."""
    user = USERS[number - 1]
    folders = [FolderFigures("F", "Contacts", 10, count), FolderFigures("G", "Contacts/G", None, 0)]
    return StoredMailbox(number, outcome, Reply(0), rows(user, count), folders, f"root{number}")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StockStore]:
    """Open a store with six mailboxes."""
    with StockStore.open(tmp_path / "found", ABOUT) as made:
        assert made.set_users([*USERS, USERS[0].upper()]) == 1
        yield made


def listed(store: StockStore) -> list[tuple[str, str]]:
    """Return user and contact of each row of the list."""
    return [(row["user"], row["contact"]) for batch in store.list_batches() for row in batch.to_pylist()]


def test_the_list_has_the_order_of_the_mailboxes(store: StockStore) -> None:
    """Mailboxes end in any order and in several parts; the list has them in the order in which they were named."""
    for number, count in ((5, 3), (2, 1), (1, 2)):
        store.add(a_mailbox(number, count))
    store.flush()
    store.add(a_mailbox(3, 0))
    store.add(a_mailbox(6, 1))
    store.add(a_mailbox(4, 2))
    store.flush()
    assert listed(store) == [
        (USERS[number], f"c{at}") for number, count in enumerate([2, 1, 0, 2, 3, 1]) for at in range(count)
    ]
    assert store.figures() == (60, 9)
    assert list(store.unfinished()) == []
    assert store.outcomes() == {"listed": 6}


def test_what_is_written_survives_and_the_rest_is_read_again(store: StockStore) -> None:
    """After a process that ended without a word, the mailboxes of its last flush are done and all others are not."""
    store.add(a_mailbox(2, 2))
    store.wait_until("user1@x.example", 123.0)
    store.wait_until("user1@x.example", 100.0)
    store.flush()
    store.add(a_mailbox(3, 5))
    store.close()
    with StockStore.open(store.folder, ABOUT) as again:
        assert again.has_users
        assert [number for number, _ in again.unfinished()] == [1, 3, 4, 5, 6]
        assert listed(again) == [(USERS[1], "c0"), (USERS[1], "c1")]
        assert again.waits() == {"user1@x.example": 123.0}
        assert again.roots() == {"root2": 2}


def test_a_part_without_its_mailboxes_is_removed(store: StockStore) -> None:
    """A kill between the part and the commit leaves a part that nobody names; the next process removes it."""
    store.add(a_mailbox(1, 1))
    store.flush()
    parts = store.folder / PARTS
    stray = parts / "000002.parquet"
    stray.write_bytes(b"half")
    (parts / "000003.new").write_bytes(b"half")
    store.close()
    with StockStore.open(store.folder, ABOUT) as again:
        assert [path.name for path in parts.iterdir()] == ["000001.parquet"]
        again.add(a_mailbox(2, 1))
        again.flush()
        assert pq.read_table(stray).num_rows == 1
        assert len(listed(again)) == 2


@pytest.mark.parametrize("die_at", ["part", "commit", "never"])
def test_a_kill_at_each_step_of_a_flush_loses_no_more_than_the_flush(tmp_path: Path, die_at: str) -> None:
    """A process that dies before the part, before the commit, or after it, leaves all of the flush or nothing."""
    program = f"""
import os, sys
from purgeengine.edges.inventory import stock_parts, stock_store
from tests.edges.inventory.test_stock_store import *
with StockStore.open(Path({str(tmp_path / "found")!r}), ABOUT) as store:
    store.set_users(USERS)
    store.add(a_mailbox(1, 2))
    store.flush()
    if {die_at!r} == "part":
        stock_parts.appear = lambda *_: os._exit(9)
    if {die_at!r} == "commit":
        stock_store._Transaction.__exit__ = lambda *_: os._exit(9)
    store.add(a_mailbox(2, 3))
    store.flush()
    os._exit(9)
"""
    ended = subprocess.run([sys.executable, "-c", program], env={**os.environ}, check=False)
    assert ended.returncode == 9
    with StockStore.open(tmp_path / "found", ABOUT) as again:
        done = 2 if die_at == "never" else 1
        assert [number for number, _ in again.unfinished()] == list(range(done + 1, 7))
        assert len(listed(again)) == (5 if done == 2 else 2)


def test_other_options_are_refused_by_name(store: StockStore) -> None:
    """An inventory is resumed only with the options that it was begun with; the sentence names those that differ."""
    store.close()
    with pytest.raises(LedgerMismatch, match=r"other options \(company\)"):
        StockStore.open(store.folder, ABOUT | {"company": []})


def test_two_processes_cannot_share_it(store: StockStore) -> None:
    """A second process is refused while the first one has it open."""
    with pytest.raises(LedgerError, match="in use"):
        StockStore.open(store.folder, ABOUT)


def test_another_folder_is_refused(tmp_path: Path) -> None:
    """A folder with other things in it, or a file, is left alone."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("x")
    with pytest.raises(LedgerMismatch, match="holds no inventory"):
        StockStore.open(tmp_path / "other", ABOUT)
    with pytest.raises(LedgerError, match="is a file"):
        StockStore.open(tmp_path / "other" / "letter.txt", ABOUT)


def test_the_commands_of_a_purge_refuse_it_with_a_clear_sentence(store: StockStore) -> None:
    """`status` and the others say that the folder holds an inventory."""
    with pytest.raises(LedgerError, match="holds an inventory, and not the ledger of a purge"):
        LedgerReader.open(store.folder)


def test_a_database_of_another_version_is_refused(store: StockStore) -> None:
    """A later version's database is not touched."""
    store._connection.execute("PRAGMA user_version = 99")
    store.close()
    with pytest.raises(LedgerError, match="another version"):
        StockStore.open(store.folder, ABOUT)


def test_a_damaged_database_is_told(store: StockStore) -> None:
    """A database that is none ends with a sentence."""
    store.close()
    (store.folder / STOCK).write_bytes(b"x" * 5_000)
    for more in ("-wal", "-shm"):
        (store.folder / f"{STOCK}{more}").unlink(missing_ok=True)
    with pytest.raises(LedgerError, match="the database is damaged"):
        StockStore.open(store.folder, ABOUT)


def test_mailboxes_that_failed_can_be_read_again(store: StockStore) -> None:
    """On demand, mailboxes that were refused, exhausted or missing are open again, and a new answer replaces the old one."""
    store.add(StoredMailbox(1, MailboxOutcome.REFUSED, Reply(403, "ErrorAccessDenied", "no"), [], [], ""))
    store.add(a_mailbox(2, 1))
    store.flush()
    (batch,) = store.unread_batches()
    assert batch.to_pylist() == [
        {"user": USERS[0], "outcome": "refused", "status": "403", "code": "ErrorAccessDenied", "message": "no"}
    ]
    assert store.unread_again() == 1
    store.add(a_mailbox(1, 1))
    store.flush()
    assert len(listed(store)) == 2
    assert list(store.unread_batches()) == []


def test_figures_of_folders(store: StockStore) -> None:
    """The figures have a row for each folder, null for one that was not read, and one row for a mailbox that could not be read."""
    store.add(a_mailbox(1, 4))
    store.add(StoredMailbox(2, MailboxOutcome.NO_MAILBOX, Reply(404), [], [], ""))
    store.flush()
    found = [tuple(row.values()) for batch in store.count_batches() for row in batch.to_pylist()]
    assert found[:3] == [
        (USERS[0], "F", "Contacts", 10, 4, "listed"),
        (USERS[0], "G", "Contacts/G", None, 0, "listed"),
        (USERS[1], "", "", None, 0, "no_mailbox"),
    ]
