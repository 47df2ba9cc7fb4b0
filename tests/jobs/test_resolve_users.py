"""A mailbox that stands in an input under two names: looked up, joined, kept in the ledger, and refused where that cannot be."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable, Coroutine, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import pytest

from purgeengine.edges.http.reading import GraphReader
from purgeengine.edges.ledger.staging.names import User, other_names
from purgeengine.errors import LedgerMismatch, RunStopped, TokenError
from purgeengine.jobs.preflight import organization
from purgeengine.sim.graph.faults import Faults
from purgeengine.sim.graph.tenant import Tenant
from purgeengine.sim.login.login_endpoint import LoginEndpoint
from purgeengine.sim.server.simulated_transport import SimulatedTransport
from purgeengine.sim.tenant_settings import TenantSettings
from tests.simulation.virtual_time import VirtualClock, run_virtually
from tests.simulation.world import SimulatedTokens
from tests.support.cli_fixtures import a_bench
from tests.support.ledger_fixtures import FakeSource, open_ledger, opened

Answer = TypeVar("Answer")

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


# ----------------------------------------------------------------------------------------------------------- the reader


def asking(tenant: Tenant, question: Callable[[GraphReader], Coroutine[Any, Any, Answer]]) -> Answer:
    """What a reader is told, in simulated time."""

    async def main() -> Answer:
        login = LoginEndpoint()
        clock = VirtualClock(asyncio.get_running_loop(), tenant.utc_at_zero_s)
        transport = SimulatedTransport(tenant, login=login, timeout_s=30.0)
        tokens = SimulatedTokens(login, clock, 0.0)
        reader = GraphReader(transport, tokens, clock=clock, rng=random.Random(1))  # type: ignore[arg-type]
        answer = await question(reader)
        assert abs(reader.skew_s or 0.0) < 1.0
        return answer

    return run_virtually(main())


def reading(tenant: Tenant, urls: Sequence[str]) -> list[int]:
    """The statuses of the answers."""
    return [said.reply.status for said in asking(tenant, lambda reader: reader.read(urls))]


USERS = [f"user{number}@contoso.example" for number in range(90)]
URLS = [f"/users/{user}?$select=id" for user in USERS]


def a_tenant(faults: Faults | None = None, **settings: object) -> Tenant:
    """A tenant in which every second of these users exists."""
    tenant = Tenant(TenantSettings(**settings), faults=faults, seed=3)  # type: ignore[arg-type]
    for user in USERS[::2]:
        tenant.truth.add_mailbox(user)
    return tenant


@pytest.mark.parametrize(
    "faults", [Faults(), Faults(item_throttled_before=0.2, item_missing=0.1, reset_after=0.1, odd_body=0.1)]
)
def test_every_question_has_its_own_answer_whatever_goes_wrong(faults: Faults) -> None:
    """Answers come in any order, late, twice or not at all; each question gets its own, and no Retry-After is cut short."""
    tenant = a_tenant(faults)
    assert reading(tenant, URLS) == [200, 404] * 45
    assert (tenant.counters.early_calls, tenant.counters.violations) == (0, 0)


def test_questions_to_a_mailbox_keep_its_limits() -> None:
    """Throttled ones wait as long as they are told, twenty at a time."""
    tenant = Tenant(TenantSettings(mailbox_concurrent_max=2), contacts=[(ANN, "", f"a-{n}") for n in range(40)], seed=3)
    assert reading(tenant, [f"/users/{ANN}/contacts/a-{n}?$select=id" for n in range(6)]) == [200] * 6
    assert tenant.counters.refused_concurrency > 0
    assert (tenant.counters.early_retries, tenant.counters.early_calls) == (0, 0)


def test_an_expired_token_is_renewed_and_a_refused_one_reported() -> None:
    """One renewal suffices where the login gives a good one."""
    tenant = a_tenant(Faults(item_unauthorized=0.05))
    assert reading(tenant, URLS[:20]) == [200, 404] * 10
    assert tenant.counters.requests > 20, "nothing was refused"
    with pytest.raises(TokenError, match="401 to every question"):
        reading(a_tenant(Faults(item_unauthorized=1.0)), URLS[:2])


def test_a_service_that_cannot_be_reached_or_asks_for_hours_is_a_sentence() -> None:
    """Resumable, and nothing was deleted."""
    with pytest.raises(RunStopped, match=r"could not be reached.*Nothing was deleted"):
        reading(a_tenant(Faults(unreachable=1.0)), URLS[:2])
    with pytest.raises(RunStopped, match="asks to wait"):
        reading(a_tenant(Faults(call_throttled=1.0, retry_after_s_max=100_000)), URLS[:2])


def test_who_was_never_reached_is_given_up_sooner() -> None:
    """In seconds where nothing has ever answered, as with a wrong address; after an answer, an outage is waited for."""
    nowhere = a_tenant(Faults(unreachable=1.0))
    with pytest.raises(RunStopped):
        reading(nowhere, URLS[:1])
    assert nowhere.faults_drawn["unreachable"] == 3

    tenant = a_tenant()

    async def lost_later(reader: GraphReader) -> None:
        assert [said.reply.status for said in await reader.read(URLS[:1])] == [200]
        tenant.set_faults(Faults(unreachable=1.0))
        await reader.read(URLS[:1])

    with pytest.raises(RunStopped):
        asking(tenant, lost_later)
    assert tenant.faults_drawn["unreachable"] == 8


def test_a_tenant_is_named_where_that_may_be_read_and_no_answer_is_not_taken_for_one() -> None:
    """Who may not read the name has been answered all the same; a service that says nothing has not."""
    assert asking(a_tenant(), organization) == "Simulated tenant"
    assert asking(a_tenant(directory=False), organization) == ""
    with pytest.raises(RunStopped, match="no proper answer"):
        asking(a_tenant(Faults(item_missing=1.0)), organization)


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
