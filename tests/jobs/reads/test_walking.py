"""Walks against the simulated tenant in simulated time: every contact once, whatever goes wrong, and no limit exceeded."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from purgeengine.core.inventory.conditions import Condition, ConditionKind, ContactFilter
from purgeengine.core.inventory.mailbox_walk import CHANGED, MailboxWalk
from purgeengine.engine.answer_ledger import GraphWaits
from purgeengine.errors import RunStopped, TokenError
from purgeengine.jobs.reads.walking import walk_mailboxes
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

EVERYTHING = ContactFilter()


def users(count: int) -> list[str]:
    """Names of so many users."""
    return [f"user{number:03}@contoso.example" for number in range(count)]


def a_tenant(count: int = 20, contacts: int = 150, faults: Faults | None = None, **settings: Any) -> Tenant:
    """Return a tenant with people in so many mailboxes."""
    tenant = Tenant(TenantSettings(**settings), faults=faults, seed=3)
    people = MadeUpPeople(5)
    for user in users(count):
        people.fill(tenant.truth, user, contacts)
    return tenant


def walked(
    tenant: Tenant,
    names: list[str],
    wanted: ContactFilter = EVERYTHING,
    limits: Limits | None = None,
    *,
    page: int | None = None,
    meanwhile: Callable[[MailboxWalk], None] = lambda walk: None,
    took: list[float] | None = None,
) -> dict[str, MailboxWalk]:
    """Walk through the mailboxes in simulated time, and return each walk when it is done."""
    done: dict[str, MailboxWalk] = {}

    async def on_done(number: int, walk: MailboxWalk) -> None:
        assert walk.user not in done
        assert names[number] == walk.user
        done[walk.user] = walk
        meanwhile(walk)

    async def main() -> None:
        login = LoginEndpoint()
        clock = VirtualClock(asyncio.get_running_loop(), tenant.utc_at_zero_s)
        await walk_mailboxes(
            ((number, MailboxWalk(name, wanted, page=page)) for number, name in enumerate(names)),
            on_done,
            transport=SimulatedTransport(tenant, login=login, timeout_s=60.0),
            tokens=SimulatedTokens(login, clock, 0.0),
            clock=clock,
            waits=GraphWaits(),
            limits=limits or Limits(),
            rng=random.Random(1),
        )
        if took is not None:
            took.append(clock.monotonic())

    run_virtually(main())
    return done


def found(walk: MailboxWalk) -> list[tuple[str, str]]:
    """Return the contacts of a walk with their folders."""
    return sorted((match.contact.contact, match.contact.folder) for match in walk.matches())


def truth(tenant: Tenant, user: str) -> list[tuple[str, str]]:
    """Return the same from the tenant's own record."""
    return sorted(tenant.truth.mailbox(user).contacts.items())


def heeded(tenant: Tenant) -> None:
    """Check that no limit of any mailbox was exceeded, and no wait cut short."""
    assert tenant.violations == []
    assert tenant.counters.mailbox_running_max <= 4
    assert tenant.counters.refused_concurrency == 0
    assert tenant.counters.early_retries == 0


@pytest.mark.parametrize("page", [None, 7, 1_000])
def test_every_contact_of_every_folder_is_found_once(page: int | None) -> None:
    """Whatever the size of a page, all contacts of all folders are found, with the folder's id and path."""
    tenant = a_tenant()
    done = walked(tenant, users(20), page=page)
    assert len(done) == 20
    for user, walk in done.items():
        assert walk.failure is None
        assert found(walk) == truth(tenant, user)
        box = tenant.truth.mailbox(user)
        assert walk.default_folder == box.contacts_folder
        paths = {folder.folder: folder.path for folder in walk.folders.values()}
        shown = {one: known for one, known in box.folders.items() if not known.hidden}
        assert set(paths) == {box.contacts_folder, *shown}
        for one, known in shown.items():
            assert paths[one] == f"{paths[known.parent]}/{known.name}"
    heeded(tenant)


@pytest.mark.parametrize("seed", range(6))
def test_misfortunes_cost_no_contact(seed: int) -> None:
    """With every kind of fault, each mailbox is either read whole or told to have failed."""
    tenant = a_tenant(12, 60, Faults.everything(0.03))
    tenant._chance.rng.seed(seed)
    done = walked(tenant, users(12), page=20)
    assert len(done) == 12
    assert sum(walk.failure is None for walk in done.values()) >= 10
    for user, walk in done.items():
        if walk.failure is None:
            assert found(walk) == truth(tenant, user)
    assert tenant.counters.mailbox_running_max <= 4


def test_troubles_of_mailboxes_are_told_and_stop_nobody_else() -> None:
    """A mailbox that is missing, closed to the app or unknown fails with Graph's answer; all others are read."""
    tenant = a_tenant(10, 30)
    tenant.truth.mailbox(users(10)[2]).trouble = Trouble.DENIED
    tenant.truth.mailbox(users(10)[5]).trouble = Trouble.MISSING
    tenant.truth.mailbox(users(10)[7]).trouble = Trouble.NOT_ENABLED
    done = walked(tenant, [*users(10), "nobody@contoso.example"])
    codes = {user: walk.failure.code for user, walk in done.items() if walk.failure is not None}
    assert codes == {
        users(10)[2]: "ErrorAccessDenied",
        users(10)[5]: "ErrorItemNotFound",
        users(10)[7]: "MailboxNotEnabledForRESTAPI",
        "nobody@contoso.example": "ErrorInvalidUser",
    }
    for user, walk in done.items():
        assert walk.failure is not None or found(walk) == truth(tenant, user)
    heeded(tenant)


def test_an_app_without_permission_fails_everywhere() -> None:
    """An app that may read no mailbox is told so for each of them."""
    tenant = a_tenant(3, 10)
    tenant.set_app_denied(True)
    assert {walk.failure and walk.failure.code for walk in walked(tenant, users(3)).values()} == {"ErrorAccessDenied"}


def test_a_filter_leaves_folders_unread() -> None:
    """Folders that no filter wants cost no request, and the matches are those of the tenant."""
    tenant = a_tenant(5, 400)
    everything = walked(tenant, users(5), page=50)
    before = tenant.counters.requests
    tenant = a_tenant(5, 400)
    wanted = ContactFilter([Condition(ConditionKind.FOLDER, "Sales"), Condition(ConditionKind.COMPANY, SYNCED_COMPANY)])
    done = walked(tenant, users(5), wanted, page=50)
    assert tenant.counters.requests < before / 2
    for user, walk in done.items():
        inner = [one for one, known in tenant.truth.mailbox(user).folders.items() if known.name == "Sales"]
        assert found(walk) == [pair for pair in truth(tenant, user) if pair[1] in inner]
        assert {match.reason for match in walk.matches()} == {f"folder=Sales; company={SYNCED_COMPANY}"}
        assert {match.path for match in walk.matches()} == {"Contacts/Fabrikam/Sales"}
        assert len(everything[user].matches()) == 400


@pytest.mark.parametrize("seed", range(5))
def test_a_mailbox_that_changes_is_read_until_it_stays_the_same(seed: int) -> None:
    """Contacts come and go while pages are read: what is listed without a mark is what was there at the end."""
    tenant = Tenant(TenantSettings(latency_median_s=0.2), seed=seed)
    tenant.truth.seed((users(1)[0], "F", f"c{number}") for number in range(300))
    rng, box, ends_at = random.Random(seed), tenant.truth.mailbox(users(1)[0]), 6.0

    original, last = tenant.begin, [0.0]

    def begin(*arguments: Any, **more: Any) -> Any:
        if arguments[1] < ends_at:  # somebody else works in this mailbox
            for _ in range(3):
                box.contacts.pop(rng.choice(list(box.contacts)))
            box.add(f"new{len(box.contacts)}-{rng.random():.9f}".replace(".", "_"), "F")
        last[0] = arguments[1]
        return original(*arguments, **more)

    tenant.begin = begin  # type: ignore[method-assign]
    (walk,) = walked(tenant, users(1), page=40).values()
    assert walk.failure is None
    marked = any(CHANGED in match.reason for match in walk.matches())
    assert marked or found(walk) == truth(tenant, users(1)[0])
    assert not marked or last[0] <= ends_at + 3


def test_a_mailbox_that_never_stays_the_same_is_marked() -> None:
    """If every pass differs from the one before, the contacts are listed with a mark, after a bounded number of passes."""
    tenant = a_tenant(1, 0)
    box = tenant.truth.mailbox(users(1)[0])
    for number in range(200):
        box.add(f"c{number}", box.contacts_folder)
    original = tenant.begin

    def begin(*arguments: Any, **more: Any) -> Any:
        box.contacts.pop(next(iter(box.contacts)))
        return original(*arguments, **more)

    tenant.begin = begin  # type: ignore[method-assign]
    (walk,) = walked(tenant, users(1), page=20).values()
    assert walk.failure is None
    assert all(match.reason.endswith(CHANGED) for match in walk.matches())
    assert tenant.counters.requests < 100


def test_a_folder_that_is_deleted_meanwhile_is_no_failure() -> None:
    """A folder that goes while its mailbox is read is left out, and the mailbox is read all the same."""
    tenant = a_tenant(1, 100)
    box = tenant.truth.mailbox(users(1)[0])
    gone = next(one for one, known in box.folders.items() if known.name == "Sales")
    original = tenant.begin

    def begin(body: bytes, *arguments: Any, **more: Any) -> Any:
        if f"contactFolders/{gone}/contacts".encode() in body:
            box.folders.pop(gone, None)
        return original(body, *arguments, **more)

    tenant.begin = begin  # type: ignore[method-assign]
    (walk,) = walked(tenant, users(1)).values()
    assert walk.failure is None
    assert found(walk) == [pair for pair in truth(tenant, users(1)[0]) if pair[1] != gone]


def test_waits_of_graph_are_kept() -> None:
    """A mailbox with a small window is read to the end, and no request comes before its wait is over."""
    tenant = a_tenant(3, 200, mailbox_requests=10, mailbox_window_s=60.0)
    done = walked(tenant, users(3), limits=Limits(mailbox_requests=10, mailbox_window_s=60.0), page=10)
    for user, walk in done.items():
        assert found(walk) == truth(tenant, user)
    heeded(tenant)
    assert sum(box.refused_rate for box in tenant.truth) == 0


def test_an_outage_stops_the_walks_and_what_is_done_stays_done() -> None:
    """Where Graph does not answer for too long, the walks stop with a sentence."""
    tenant = a_tenant(40, 30, Faults(outage=(2.0, 10_000.0)), latency_median_s=0.5)
    with pytest.raises(RunStopped, match="Nothing was deleted"):
        walked(tenant, users(40), limits=Limits(connections=1, outage_s_max=60.0))


def test_a_refused_token_stops_the_walks() -> None:
    """A token that Graph refuses for every request ends the walks with the reason."""
    tenant = a_tenant(2, 10)
    original = tenant.begin
    tenant.begin = lambda *a, **k: original(*a, **{**k, "token_ok": False})  # type: ignore[method-assign]
    with pytest.raises(TokenError, match="refused the token"):
        walked(tenant, users(2))


def test_many_mailboxes_take_little_more_than_their_requests_need() -> None:
    """With constant latency, 400 mailboxes are read in less than 1.1 of the time that their requests need."""
    tenant = a_tenant(400, 60, latency_sigma=0.0, latency_median_s=0.1, overhead_s=0.05)
    took: list[float] = []
    walked(tenant, users(400), limits=Limits(connections=4), took=took)
    least_s = tenant.counters.requests / 20 * (0.05 + 5 * 0.1) / 4
    assert took[0] < 1.1 * least_s, (took, least_s)
