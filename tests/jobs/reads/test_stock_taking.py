"""Whole inventories in simulated time: the list holds exactly what the tenant's own record says, whatever interrupts it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from purgeengine.core.inventory.conditions import Condition, ConditionKind, ContactFilter
from purgeengine.core.inventory.equal_contacts import DuplicateKey, Keep
from purgeengine.core.inventory.listed_rows import DuplicateSearch
from purgeengine.edges.inventory import StockStore
from purgeengine.errors import PurgeEngineError, TokenError, UsageProblem
from purgeengine.jobs.reads.reading import PATIENT, ReadSession
from purgeengine.jobs.reads.stock_taking import StockRequest, StockSummary, StockTaking, unread_path, write_list
from purgeengine.run_limits import Limits
from purgeengine.sim.graph.faults import Faults
from purgeengine.sim.graph.made_up_people import SYNCED_COMPANY, MadeUpPeople
from purgeengine.sim.graph.tenant import Tenant
from purgeengine.sim.login.login_endpoint import LoginEndpoint
from purgeengine.sim.server.simulated_transport import SimulatedTransport
from purgeengine.sim.tenant_settings import TenantSettings
from purgeengine.sim.wire.answers import Trouble
from tests.simulation.virtual_time import VirtualClock, run_virtually
from tests.simulation.world import SimulatedTokens

SYNCED = ContactFilter([Condition(ConditionKind.COMPANY, SYNCED_COMPANY)])
GROUP = "5157a1ed-0000-4000-8000-000000000002"


def users(count: int) -> list[str]:
    """Names of so many users."""
    return [f"user{number:03}@contoso.example" for number in range(count)]


def a_tenant(count: int, contacts: int = 40, faults: Faults | None = None, seed: int = 3, **settings: Any) -> Tenant:
    """Return a tenant with people in so many mailboxes."""
    tenant = Tenant(TenantSettings(**settings), faults=faults, seed=seed)
    people = MadeUpPeople(5)
    for user in users(count):
        people.fill(tenant.truth, user, contacts)
    return tenant


def a_request(folder: Path, **more: Any) -> StockRequest:
    """Return a request for the contacts of the sync tool."""
    asked = {"users": users(20), "wanted": SYNCED, "limits": Limits(connections=4), **more}
    return StockRequest(about={}, folder=folder / "found", out=folder / "list.parquet", **asked)


def taken(tenant: Tenant, request: StockRequest, *, stop_after_s: float | None = None) -> StockSummary | None:
    """Run one process of an inventory in simulated time. None if it was stopped, after so many seconds of it."""
    with StockStore.open(request.folder, request.about) as store:

        async def main() -> StockTaking:
            loop = asyncio.get_running_loop()
            login = LoginEndpoint()
            clock = VirtualClock(loop, tenant.utc_at_zero_s + tenant.now)
            transport = SimulatedTransport(tenant, login=login, timeout_s=60.0, zero_s=loop.time() - tenant.now)
            tokens = SimulatedTokens(login, clock, -tenant.now)
            session = ReadSession(transport, tokens, PATIENT, clock=clock)
            taking = StockTaking(
                request, store, transport, tokens, again="again", clock=clock, session=session, in_thread=False
            )
            async with asyncio.timeout(stop_after_s):
                await taking.run()
            return taking

        try:
            taking = run_virtually(main())
        except TimeoutError:
            return None
        return write_list(request, store, taking.left_out, taking.named_twice)


def listed(request: StockRequest) -> list[dict[str, str]]:
    """Return the rows of the list."""
    found: list[dict[str, str]] = pq.read_table(request.out).to_pylist()
    return found


def truth(tenant: Tenant, company: str = SYNCED_COMPANY) -> list[tuple[str, str, str]]:
    """Return what should be in a list, from the tenant's own record."""
    return [
        (box.key, folder or box.contacts_folder, contact)
        for box in tenant.truth
        if box.trouble is None
        for contact, folder in box.contacts.items()
        if box.card_of(contact).fields.get("companyName") == company
    ]


def addresses(request: StockRequest) -> list[tuple[str, str, str]]:
    """Return user, folder and contact of each row."""
    return [(row["user"], row["folder"], row["contact"]) for row in listed(request)]


def test_the_list_holds_exactly_what_matches(tmp_path: Path) -> None:
    """Every contact of the company is in the list once, with its fields and the reason; no other one is."""
    tenant, request = a_tenant(20), a_request(tmp_path)
    summary = taken(tenant, request)
    assert summary is not None
    assert sorted(addresses(request)) == sorted(truth(tenant))
    assert (summary.mailboxes, summary.contacts, summary.unread) == ({"listed": 20}, 800, 0)
    assert summary.listed == len(truth(tenant)) > 200
    for row in listed(request):
        card = tenant.truth.mailbox(row["user"]).card_of(row["contact"])
        assert row["display_name"] == card.fields["displayName"]
        assert row["matched"] == f"company={SYNCED_COMPANY}"
        assert row["emails"] == ";".join(one["address"] for one in card.fields.get("emailAddresses", []))
        assert (row["company"], row["id_type"], row["duplicate_of"]) == (SYNCED_COMPANY, "default", "")
    assert [row["user"] for row in listed(request)] == sorted(row["user"] for row in listed(request))


@pytest.mark.parametrize("seed", range(4))
def test_an_inventory_that_is_stopped_again_and_again_lists_the_same(tmp_path: Path, seed: int) -> None:
    """Stopped every few seconds, with faults, the list is exact in the end, and mailboxes that were done were not read again."""
    tenant = a_tenant(60, 30, Faults.everything(0.01), seed=seed, latency_median_s=0.3)
    request = a_request(tmp_path, users=users(60), limits=Limits(connections=2))
    stops = 0
    while (summary := taken(tenant, request, stop_after_s=4.0 + seed + stops)) is None:
        stops += 1
        assert stops < 100
        assert not request.out.exists()
    assert stops > 1
    failed = {str(row["user"]) for row in unread(request)} if summary.unread else set()
    assert sorted(addresses(request)) == sorted(row for row in truth(tenant) if row[0] not in failed)
    assert len(failed) < 6
    before = tenant.counters.calls
    assert taken(tenant, request) == summary
    assert tenant.counters.calls == before


def unread(request: StockRequest) -> list[dict[str, str]]:
    """Return the mailboxes that could not be read."""
    import csv

    with unread_path(request.out).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def test_mailboxes_that_cannot_be_read_are_told_beside_the_list(tmp_path: Path) -> None:
    """They are counted by outcome and named with Graph's answer; read again, they are in the list and the file is gone."""
    tenant, request = a_tenant(20), a_request(tmp_path, users=[*users(20), "nobody@contoso.example"])
    tenant.truth.mailbox(users(20)[3]).trouble = Trouble.DENIED
    tenant.truth.mailbox(users(20)[8]).trouble = Trouble.NOT_HOSTED
    summary = taken(tenant, request)
    assert summary is not None
    assert summary.mailboxes == {"listed": 18, "refused": 2, "no_mailbox": 1}
    assert summary.unread == 3
    assert [(row["user"], row["outcome"], row["code"]) for row in unread(request)] == [
        (users(20)[3], "refused", "ErrorAccessDenied"),
        (users(20)[8], "refused", "MailboxNotHostedInExchangeOnline"),
        ("nobody@contoso.example", "no_mailbox", "ErrorInvalidUser"),
    ]
    assert sorted(addresses(request)) == sorted(truth(tenant))
    for box in tenant.truth:
        box.trouble = None
    tenant.truth.add_mailbox("nobody@contoso.example")
    again = taken(tenant, a_request(tmp_path, users=[*users(20), "nobody@contoso.example"], again_unread=True))
    assert again is not None
    assert again.mailboxes == {"listed": 21}
    assert not unread_path(request.out).exists()
    assert sorted(addresses(request)) == sorted(truth(tenant))


def test_one_mailbox_with_two_names_is_listed_once(tmp_path: Path) -> None:
    """A mailbox that is named by its name and by its object id is told by its Contacts folder."""
    tenant = a_tenant(3)
    request = a_request(tmp_path, users=[*users(3), tenant.truth.mailbox(users(3)[1]).object_id])
    summary = taken(tenant, request)
    assert summary is not None
    assert summary.mailboxes == {"listed": 3, "duplicate": 1}
    assert (summary.unread, summary.unread_file) == (0, None)
    assert sorted(row[2] for row in addresses(request)) == sorted(row[2] for row in truth(tenant))


def test_mailboxes_whose_folders_have_one_short_id_are_not_taken_for_one(tmp_path: Path) -> None:
    """A tenant made by hand may give all mailboxes a folder ``F``: each of them is listed."""
    tenant = Tenant(contacts=[(user, "F", f"c{number}") for number, user in enumerate(users(3))])
    summary = taken(tenant, a_request(tmp_path, users=users(3), wanted=ContactFilter()))
    assert summary is not None
    assert (summary.mailboxes, summary.listed) == ({"listed": 3}, 3)


@pytest.mark.parametrize("groups", [(), (GROUP, GROUP)])
def test_the_directory_names_the_users(tmp_path: Path, groups: tuple[str, ...]) -> None:
    """All users of the tenant are read, or those of groups, each once; one without a mailbox is nothing unusual."""
    tenant = a_tenant(1_100, 2, latency_sigma=0.0)
    tenant.truth.mailbox(users(5)[4]).trouble = Trouble.NOT_ENABLED
    tenant.truth.add_group(GROUP, users(7))
    request = a_request(tmp_path, users=(), groups=groups)
    summary = taken(tenant, request)
    assert summary is not None
    assert summary.mailboxes == {"listed": 6 if groups else 1_099, "no_mailbox": 1}
    assert summary.unread == 0
    assert summary.named_twice == (7 if groups else 0)
    wanted = set(users(7)) if groups else set(users(1_100))
    assert sorted(addresses(request)) == sorted(row for row in truth(tenant) if row[0] in wanted)


def test_what_the_directory_refuses_is_said(tmp_path: Path) -> None:
    """Without the permission, or for a group that does not exist, nothing is read and the sentence says what to do."""
    with pytest.raises(TokenError, match=r"User\.ReadBasic\.All"):
        taken(a_tenant(2, directory=False), a_request(tmp_path, users=()))
    with pytest.raises(UsageProblem, match="There is no group"):
        taken(a_tenant(2), a_request(tmp_path, users=(), groups=(GROUP,)))


@pytest.mark.parametrize("keep", list(Keep))
def test_duplicates_leave_one_of_each(tmp_path: Path, keep: Keep) -> None:
    """Of contacts with one name in a mailbox all but one are in the list, and each row names the one that stays."""
    tenant = a_tenant(10, 200)
    request = a_request(
        tmp_path, users=users(10), wanted=ContactFilter(), duplicates=DuplicateSearch((DuplicateKey.NAME,), keep)
    )
    assert taken(tenant, request) is not None
    rows = {(row["user"], row["contact"]): row for row in listed(request)}
    assert rows
    for user in users(10):
        box = tenant.truth.mailbox(user)
        by_name: dict[str, list[str]] = {}
        for contact in box.contacts:
            by_name.setdefault(box.card_of(contact).fields["displayName"].casefold(), []).append(contact)
        for group in by_name.values():
            extra = [contact for contact in group if (user, contact) in rows]
            assert len(extra) == len(group) - 1
            kept = ({*group} - {*extra}).pop()
            assert {rows[user, contact]["duplicate_of"] for contact in extra} <= {kept}
            made = [box.card_of(contact).created_s for contact in group]
            if keep is not Keep.FULLEST:
                assert box.card_of(kept).created_s == (min(made) if keep is Keep.OLDEST else max(made))


def test_counts_give_figures_and_no_contacts(tmp_path: Path) -> None:
    """With counts, the file has a row a folder, which adds up to the tenant's record, and no column for contacts."""
    tenant, request = a_tenant(5), a_request(tmp_path, users=users(5), counts=True)
    summary = taken(tenant, request)
    assert summary is not None
    rows = listed(request)
    assert "contact" not in rows[0]
    assert sum(row["contacts"] for row in rows) == 200 == summary.contacts  # type: ignore[misc]
    assert sum(row["listed"] for row in rows) == len(truth(tenant)) == summary.listed  # type: ignore[misc]


def test_a_wait_of_graph_outlives_the_process(tmp_path: Path) -> None:
    """A mailbox that asked for a wait is left alone by the next process until the wait is over."""
    tenant = a_tenant(4, 30, Faults(item_throttled_before=0.2), latency_median_s=0.3)
    request = a_request(tmp_path, users=users(4))
    stops = 0
    while taken(tenant, request, stop_after_s=2.0 + stops) is None:
        stops += 1
    assert stops > 1
    assert sorted(addresses(request)) == sorted(truth(tenant))
    assert tenant.counters.early_retries == 0


def test_an_error_ends_it_and_what_was_read_stays(tmp_path: Path) -> None:
    """If the token is refused half-way, the mailboxes that were read stay read."""
    tenant = a_tenant(120, 20, latency_median_s=0.3)
    request = a_request(tmp_path, users=users(120), limits=Limits(connections=1))
    original = tenant.begin

    def begin(*arguments: Any, **more: Any) -> Any:
        return original(*arguments, **more | ({"token_ok": False} if tenant.now > 30.0 else {}))

    tenant.begin = begin  # type: ignore[method-assign]
    with pytest.raises(PurgeEngineError, match="refused the token"):
        taken(tenant, request)
    tenant.begin = original  # type: ignore[method-assign]
    with StockStore.open(request.folder, request.about) as store:
        left = len(list(store.unfinished()))
    assert 0 < left < 120
    assert taken(tenant, request) is not None
    assert sorted(addresses(request)) == sorted(truth(tenant))
