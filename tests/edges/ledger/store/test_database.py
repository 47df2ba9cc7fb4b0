"""Tests of opening the database: durable for a writer, readable where nothing can be written, and what is refused."""

from __future__ import annotations

import sqlite3
import zlib
from pathlib import Path
from typing import Any

import pytest

from purgeengine.core.graph.operations import Action, Deletion, IdType
from purgeengine.edges.ledger.store import database, schema
from purgeengine.errors import LedgerError
from tests.support.ledger_fixtures import a_source, open_ledger


class Named:
    """A path with this absolute name, as POSIX writes it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def absolute(self) -> Named:
        return self

    def as_posix(self) -> str:
        return self._name


class Broken:
    """A connection that fails with this code at every statement."""

    def __init__(self, code: int) -> None:
        self.closed = False
        self._error = sqlite3.OperationalError("it failed")
        self._error.sqlite_errorcode = code

    def execute(self, statement: str) -> Any:
        raise self._error

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a staged ledger that was closed cleanly."""
    open_ledger(tmp_path / "L", a_source(3, 2), deletion=Deletion(Action.DELETE, IdType.IMMUTABLE)).close()
    return tmp_path / "L"


# ----------------------------------------------------------------------------------------------------------- connections


@pytest.mark.parametrize(
    ("name", "uri"),
    [
        ("/srv/a ledger/ledger.sqlite", "file:///srv/a%20ledger/ledger.sqlite?mode=ro"),
        ("C:/Users/Änn?/ledger.sqlite", "file:///C%3A/Users/%C3%84nn%3F/ledger.sqlite?mode=ro"),
    ],
)
def test_how_a_database_is_opened(monkeypatch: pytest.MonkeyPatch, name: str, uri: str) -> None:
    """A database is opened by a URI with an empty host on every platform.

    Commits are explicit, threads may share the connection, and a lock is waited for.
    """
    asked: list[Any] = []
    monkeypatch.setattr(database.sqlite3, "connect", lambda *args, **more: asked.append((args, more)))
    database._connect(Named(name), "ro")  # type: ignore[arg-type]
    options = {"uri": True, "isolation_level": None, "check_same_thread": False, "timeout": 10.0}
    assert asked == [((uri,), options)]


def test_whoever_writes_asks_for_all_that_makes_it_durable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer sets every option that makes commits durable, whatever the build of SQLite."""
    said: list[str] = []
    connect = database._connect

    def traced(path: Path, mode: str) -> sqlite3.Connection:
        connection = connect(path, mode)
        connection.set_trace_callback(lambda statement: said.append(statement.casefold()))
        return connection

    monkeypatch.setattr(database, "_connect", traced)
    connection = database.connect_to_write(folder)
    assert said == [
        "pragma journal_mode = wal",
        "pragma synchronous = full",
        "pragma fullfsync = 1",
        "pragma checkpoint_fullfsync = 1",
        "pragma wal_autocheckpoint = 4000",
        "pragma cache_size = -16384",
        "pragma journal_size_limit = 67108864",
        "pragma wal_checkpoint(truncate)",
    ]
    kept = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous", "fullfsync")]
    assert kept == ["wal", 2, 1]
    connection.close()


@pytest.mark.parametrize(
    ("code", "can_be_written", "log", "said"),
    [
        (sqlite3.SQLITE_CANTOPEN, True, None, "it failed"),
        (sqlite3.SQLITE_CANTOPEN, False, None, None),
        (sqlite3.SQLITE_CANTOPEN, False, b"", None),
        (sqlite3.SQLITE_FULL, True, None, None),
        (
            sqlite3.SQLITE_CANTOPEN,
            False,
            b"x",
            "The ledger in {folder} was not closed in good order, and such a one cannot be read where nothing can be written. "
            "Copy the folder to a disk that can be written, and look at it there.",
        ),
    ],
    ids=["trouble", "read-only", "read-only, with an empty log", "full", "read-only, with a log"],
)
def test_a_ledger_is_read_where_nothing_can_be_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch, code: int, can_be_written: bool, log: bytes | None, said: str | None
) -> None:
    """On a read-only disk a ledger is opened as immutable, unless its log holds data. Any other fault is raised."""
    broken, modes, connect = Broken(code), list[str](), database._connect

    def once_broken(path: Path, mode: str) -> Any:
        modes.append(mode)
        return broken if mode == "ro" else connect(path, mode)

    monkeypatch.setattr(database, "_connect", once_broken)
    monkeypatch.setattr(database.os, "access", lambda path, mode: can_be_written)
    if log is not None:
        (folder / "ledger.sqlite-wal").write_bytes(log)
    if said is None:
        connection = database.connect_to_read(folder)
        assert connection.execute("SELECT count(*) FROM mailbox").fetchone() == (2,)
        connection.close()
        assert modes == ["ro", "ro&immutable=1"]
    else:
        with pytest.raises((LedgerError, sqlite3.OperationalError)) as caught:
            database.connect_to_read(folder)
        assert str(caught.value) == said.format(folder=folder)
        assert modes == ["ro"]
    assert broken.closed


# ---------------------------------------------------------------------------------------------------------- what is there


def test_where_there_is_no_database_there_is_no_ledger(tmp_path: Path, folder: Path) -> None:
    """A folder without a database holds no ledger, and a staged one does."""
    assert not database.is_created(tmp_path)
    assert database.is_created(folder)


def test_a_ledger_knows_how_its_contacts_are_deleted(folder: Path) -> None:
    """A ledger knows the action and the kind of ids that it was staged with."""
    connection = database.connect_to_read(folder)
    assert database.deletion_of(database.read_meta(connection)) == Deletion(Action.DELETE, IdType.IMMUTABLE)
    connection.close()


def test_the_checksum_is_over_every_row_that_staging_wrote(folder: Path) -> None:
    """The checksum covers every row that staging wrote: it changes with a change in any table."""
    connection = sqlite3.connect(folder / "ledger.sqlite", isolation_level=None)
    whole = b"".join(repr(row).encode() for query in database.UNCHANGING for row in connection.execute(query))
    kept = connection.execute("SELECT value FROM meta WHERE key = 'crc'").fetchone()[0]
    assert database.crc_of_staged(connection) == zlib.crc32(whole) == int(kept)
    seen = {int(kept)}
    for change in (
        "UPDATE meta SET value = '7' WHERE key = 'rows'",
        "UPDATE file SET bytes = bytes + 1",
        "UPDATE mailbox SET rows = rows + 1 WHERE number = 0",
        "UPDATE mailbox SET key = 'x' WHERE number = 1",
        "INSERT INTO resolved VALUES ('a', 'b', 'c')",
        "INSERT INTO doubt VALUES (0, 1)",
        "INSERT INTO seen VALUES (1, 2, 3)",
    ):
        connection.execute(change)
        seen.add(database.crc_of_staged(connection))
    assert len(seen) == 8
    connection.close()


def test_a_seal_weighs_each_column_by_a_prime_of_its_own() -> None:
    """A seal weighs each column by its own prime, and a null counts too. More columns than primes are refused."""
    assert schema._sum("a bc") == "(31 * coalesce(a, -31) + 127 * coalesce(bc, -127)) % 2147483647"
    columns = "first rows outcome detail attempts in_doubt first_sent_ms settled_ms batch"
    assert schema._sum(columns) == schema.SEALS["outcome"]
    with pytest.raises(AssertionError):
        schema._sum(f"{columns} more")


def test_a_checksum_is_that_of_the_values_as_python_writes_them() -> None:
    """A checksum is that of the values in Python's notation with escapes, so that old ledgers stay readable."""
    assert schema.crc_of(403, "Error", "\u00e4\ud800") == zlib.crc32("(403, 'Error', '\u00e4\\ud800')".encode())
    assert schema.crc_of(None) == zlib.crc32(b"(None,)")
