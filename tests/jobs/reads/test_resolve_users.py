"""A mailbox that stands in an input under two names: looked up, joined, kept in the ledger, and refused where that cannot be."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from purgeengine.edges.ledger.staging.names import User, other_names
from purgeengine.errors import LedgerMismatch, RunStopped
from purgeengine.sim.graph.tenant import Tenant
from purgeengine.sim.tenant_settings import TenantSettings
from tests.support.cli_fixtures import a_bench
from tests.support.ledger_fixtures import FakeSource, open_ledger, opened

ANN, BOB = "ann@contoso.example", "bob@contoso.example"
ANN_ID = "0f0f0f0f-0000-4000-8000-00000000000a"
TWO_NAMES = FakeSource(
    [
        (ANN, "", "a-0"),
        (ANN_ID.upper(), "", "a-0"),
        (ANN_ID, "", "a-1"),
        (BOB, "", "b-0"),
        ("Ann@Contoso.example", "", "a-2"),
    ]
)


def look_up(users: Sequence[str]) -> dict[str, User | None]:
    """The directory of these tests, which knows nobody but Ann."""
    return {user.lower(): User(ANN_ID.upper(), ANN) if user.lower() in (ANN, ANN_ID) else None for user in users}


def forget(folder: Path, *keys: str) -> None:
    """Make a ledger as an older program would have."""
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as connection, connection:
        connection.executemany("DELETE FROM meta WHERE key = ?", [(key,) for key in keys])
        connection.execute("DROP TABLE resolved")


# ---------------------------------------------------------------------------------------------------------- the ledger


def test_names_of_one_user_are_one_mailbox_with_its_duplicates(tmp_path: Path) -> None:
    """Rows are joined under the name that came first, the same contact under another name is a duplicate, and it is all kept."""
    with open_ledger(tmp_path / "L", TWO_NAMES, resolve=look_up) as ledger:
        assert [(box.next, box.end) for box in opened(ledger)] == [(1, 4), (0, 1)]
        assert [item.user for item in ledger.items([1, 2, 3])] == [ANN] * 3
        assert ledger.counts().outcomes["duplicate"] == 1  # type: ignore[index]
        assert not ledger.mixes_names()
    with closing(sqlite3.connect(tmp_path / "L" / "ledger.sqlite")) as connection:
        kept = connection.execute("SELECT * FROM resolved ORDER BY key").fetchall()
        assert kept == [(ANN_ID, ANN_ID, ANN), (ANN, ANN_ID, ANN), (BOB, None, None)]
        assert connection.execute("SELECT key FROM mailbox ORDER BY number").fetchall() == [(BOB,), (ANN,)]
        assert other_names(connection) == {ANN: {ANN_ID}}


def test_a_name_that_the_input_does_not_hold_is_known_too(tmp_path: Path) -> None:
    """Who is on a list by user principal name is found there although the input has the object id only."""
    with open_ledger(tmp_path / "L", FakeSource([(ANN_ID, "", "a-0")]), resolve=look_up):
        pass
    with closing(sqlite3.connect(tmp_path / "L" / "ledger.sqlite")) as connection:
        assert other_names(connection) == {ANN_ID: {ANN}}
    open_ledger(tmp_path / "M", TWO_NAMES).close()
    with closing(sqlite3.connect(tmp_path / "M" / "ledger.sqlite")) as connection:
        assert other_names(connection) == {}
        connection.execute("DROP TABLE resolved")
        assert other_names(connection) == {}


def test_without_looking_up_they_are_two_and_that_is_noticed(tmp_path: Path) -> None:
    """Letter case is seen from the text, another name is not."""
    with open_ledger(tmp_path / "L", TWO_NAMES) as ledger:
        assert len(opened(ledger)) == 3
        assert ledger.mixes_names()
    with open_ledger(tmp_path / "M", FakeSource([(ANN, "", "a"), (BOB, "", "b")])) as ledger:
        assert not ledger.mixes_names()


def test_a_ledger_keeps_what_was_looked_up(tmp_path: Path) -> None:
    """Resuming asks nobody again, with the option and without; one made without it cannot take it up later."""

    def fail(users: Sequence[str]) -> dict[str, User | None]:
        raise AssertionError(f"asked again for {users}")

    open_ledger(tmp_path / "L", TWO_NAMES, resolve=look_up).close()
    for resolve in (fail, None):
        with open_ledger(tmp_path / "L", TWO_NAMES, resolve=resolve) as ledger:
            assert len(opened(ledger)) == 2
    open_ledger(tmp_path / "M", TWO_NAMES).close()
    with pytest.raises(LedgerMismatch) as raised:
        open_ledger(tmp_path / "M", TWO_NAMES, resolve=fail)
    assert str(raised.value) == (
        f"The ledger in {tmp_path / 'M'} was made without --resolve-users, and its rows have their mailboxes already. Nothing was "
        "sent. Leave the option out to resume, or use another folder for this purge."
    )


def test_a_look_up_that_fails_leaves_a_folder_that_starts_anew(tmp_path: Path) -> None:
    """Nothing is staged by halves: the same command looks up again."""

    def fail(users: Sequence[str]) -> dict[str, User | None]:
        raise RunStopped("no answer")

    with pytest.raises(RunStopped):
        open_ledger(tmp_path / "L", TWO_NAMES, resolve=fail)
    with open_ledger(tmp_path / "L", TWO_NAMES, resolve=look_up) as ledger:
        assert len(opened(ledger)) == 2


# ------------------------------------------------------------------------------------------------------ the command line


def test_run_joins_what_it_looked_up(tmp_path: Path) -> None:
    """Four rows of one mailbox under two names: three contacts, one duplicate, and nothing over the mailbox's limit."""
    rows = [tuple(row) for row in TWO_NAMES.rows]
    tenant = Tenant(TenantSettings(latency_median_s=0.01, overhead_s=0.01))
    tenant.truth.seed([(ANN, "", f"a-{n}") for n in range(3)] + [(BOB, "", "b-0")])
    tenant.truth.alias(ANN_ID, ANN)
    with a_bench(tmp_path, tenant, rows) as bench:  # type: ignore[arg-type]
        ended = bench.run("--resolve-users")
        assert ended.code == 0, ended.err
        assert (ended.json["outcomes"]["purged"], ended.json["outcomes"]["duplicate"]) == (4, 1)
        assert bench.exported()[1]["message"] == "same contact as row 0"
        assert "topic=names" not in ended.err
        other = bench.command(*bench.run_arguments("--ledger", str(tmp_path / "other")))
        assert "--resolve-users" in other.err


def test_an_app_that_may_not_look_up_users_is_told_what_it_needs(tmp_path: Path) -> None:
    """Exit 3, the permission by name, and nothing was sent."""
    rows = [tuple(row) for row in TWO_NAMES.rows]
    tenant = Tenant(TenantSettings(latency_median_s=0.01, overhead_s=0.01, directory=False))
    with a_bench(tmp_path, tenant, rows) as bench:  # type: ignore[arg-type]
        ended = bench.run("--resolve-users")
        assert ended.code == 3
        assert "User.ReadBasic.All" in ended.err
        assert len(tenant.log) == 0
