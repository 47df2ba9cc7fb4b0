"""Tests of the people in a simulated tenant: the same for the same seed, and what an administrator would find."""

from __future__ import annotations

from collections import Counter
from typing import Any

from purgeengine.sim.graph.made_up_people import SYNCED_COMPANY, SYNCED_FOLDER, MadeUpPeople
from purgeengine.sim.graph.tenant import Tenant
from tests.sim.graph.test_reads import get, listed
from tests.support.sim_fixtures import ANN, BOB


def all_contacts(tenant: Tenant, user: str) -> list[dict[str, Any]]:
    """Return every contact of a mailbox, as its folders list them."""
    found: list[dict[str, Any]] = []
    folders, waiting = ["contacts"], listed(tenant, f"/users/{user}/contactFolders")[0]
    while waiting:
        folders.append(waiting.pop())
        waiting += listed(tenant, f"/users/{user}/contactFolders/{folders[-1]}/childFolders")[0]
    for folder in folders:
        found += get(tenant, f"/users/{user}/contactFolders/{folder}/contacts?$top=1000")["body"]["value"]
    return found


def filled(seed: int = 0, contacts: int = 400) -> Tenant:
    """Return a tenant with two mailboxes full of people."""
    tenant = Tenant()
    people = MadeUpPeople(seed)
    for user in (ANN, BOB):
        people.fill(tenant.truth, user, contacts)
    return tenant


def test_every_contact_is_in_a_folder_that_is_listed() -> None:
    """The folders together list every contact once."""
    tenant = filled()
    for user in (ANN, BOB):
        found = all_contacts(tenant, user)
        assert sorted(one["id"] for one in found) == sorted(tenant.truth.mailbox(user).contacts)
        assert len(found) == 400


def test_the_same_seed_makes_the_same_people() -> None:
    """Two tenants of one seed are alike to the last field, and those of another seed are not."""
    first, again, other = (all_contacts(filled(seed), ANN) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_there_is_what_an_administrator_looks_for() -> None:
    """There are leftovers of the sync tool in its folder and among private contacts, contacts twice, and some without address."""
    tenant = filled()
    found = all_contacts(tenant, ANN)
    default = tenant.truth.mailbox(ANN).contacts_folder
    synced = [one for one in found if one["companyName"] == SYNCED_COMPANY]
    assert 100 < len(synced) < 300
    assert any(one["parentFolderId"] == default for one in synced)
    assert any(one["parentFolderId"] != default for one in synced)
    assert any(not one["emailAddresses"] for one in synced)
    private = [one for one in found if one["companyName"] != SYNCED_COMPANY]
    assert {one["companyName"] for one in private} >= {"", "Contoso"}
    names = Counter((one["displayName"], one["createdDateTime"] < "2030") for one in private)
    assert names.most_common(1)[0][1] > 1
    assert all(one["createdDateTime"] <= one["lastModifiedDateTime"] for one in found)
    folders = get(tenant, f"/users/{ANN}/contactFolders")["body"]["value"]
    assert SYNCED_FOLDER in {one["displayName"] for one in folders}


def test_mailboxes_share_the_people_of_the_sync_tool_and_not_the_dates() -> None:
    """The sync tool wrote the same people into both mailboxes."""
    tenant = filled()
    names = [
        {one["displayName"] for one in all_contacts(tenant, user) if one["companyName"] == SYNCED_COMPANY}
        for user in (ANN, BOB)
    ]
    assert len(names[0] & names[1]) > 20
