"""Tests of reading from the simulated tenant: it lists in pages as Graph does, in a batch and by single requests."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest

from purgeengine.sim.graph.faults import Faults
from purgeengine.sim.graph.tenant import Caller, Tenant
from purgeengine.sim.server.http_server import SimulatedTenant
from tests.support.sim_fixtures import ANN, BOB, a_tenant, batch_asking, code_of, contacts_of, responses_of, run_to_end

ROOT = "https://graph.microsoft.com/v1.0"


def get(tenant: Tenant, url: str) -> dict[str, Any]:
    """Return the sub-response to one GET in a batch."""
    return responses_of(run_to_end(tenant, tenant.begin(batch_asking("GET", url), tenant.now)))["0"]


def listed(tenant: Tenant, url: str) -> tuple[list[str], int]:
    """Return all ids of a collection and its number of pages, by following every ``@odata.nextLink``."""
    ids: list[str] = []
    pages = 0
    while url:
        body = get(tenant, url)["body"]
        ids += [entry["id"] for entry in body["value"]]
        pages += 1
        url = body.get("@odata.nextLink", "").removeprefix(ROOT)
    return ids, pages


@pytest.mark.parametrize(
    ("query", "pages"),
    [("", 6), ("?$top=1000", 1), ("?$top=25&$select=id", 3), ("?$top=60", 1), ("?%24top=59&$count=true", 2)],
)
def test_all_contacts_are_listed_in_pages(query: str, pages: int) -> None:
    """A list has ten contacts a page unless ``$top`` says otherwise, every contact once, and no link after the last page."""
    tenant = a_tenant({ANN: 60, BOB: 3})
    assert listed(tenant, f"/users/{ANN}/contacts{query}") == ([f"a-{n}" for n in range(60)], pages)


def test_a_page_beyond_the_end_is_empty() -> None:
    """A page beyond the end is empty, and ``$count`` counts all contacts."""
    body = get(a_tenant(), f"/users/{ANN}/contacts?$skip=10&$count=true")["body"]
    assert (body["value"], body["@odata.count"], "@odata.nextLink" in body) == ([], 10, False)


def test_a_page_has_at_most_a_thousand_entries() -> None:
    """A page of more than a thousand entries is refused with Graph's message."""
    said = get(a_tenant(), f"/users/{ANN}/contacts?$top=1001")
    assert (said["status"], "limit of '1000' for Top" in said["body"]["error"]["message"]) == (400, True)


def test_fields_are_selected() -> None:
    """``$select`` returns only the named fields and the annotations, and an unknown field is refused."""
    tenant = a_tenant()
    contact = get(tenant, f"/users/{ANN}/contacts/a-0?$select=id,displayName")["body"]
    assert {name for name in contact if not name.startswith("@")} == {"id", "displayName"}
    whole = get(tenant, f"/users/{ANN}/contacts/a-0")["body"]
    assert (whole["parentFolderId"], whole["emailAddresses"], whole["companyName"]) == ("F", [], None)
    assert code_of(get(tenant, f"/users/{ANN}/contacts?$select=id,colour")) == "RequestBroker--ParseUri"


def test_a_mailbox_lists_its_folders() -> None:
    """A mailbox lists its Contacts folder, the folders beside it, and the contacts of each; an unknown folder is refused."""
    tenant = Tenant(contacts=[(ANN, "F", "x"), (ANN, "", "y"), (ANN, "G", "z"), (ANN, "H", "w")])
    prefix = f"/users/{ANN}/contactFolders"
    assert listed(tenant, f"/users/{ANN}/contacts")[0] == listed(tenant, f"{prefix}/F/contacts")[0] == ["x", "y"]
    assert listed(tenant, prefix)[0] == listed(tenant, f"{prefix}/F/childFolders")[0] == ["G", "H"]
    assert listed(tenant, f"{prefix}/G/contacts")[0] == ["z"]
    assert listed(tenant, f"{prefix}/G/childFolders")[0] == []
    assert get(tenant, f"{prefix}/F")["body"]["displayName"] == "Contacts"
    assert get(tenant, f"{prefix}/G")["body"]["parentFolderId"] == "F"
    for gone in (f"{prefix}/X", f"{prefix}/X/contacts", f"{prefix}/X/childFolders"):
        assert code_of(get(tenant, gone)) == "ErrorFolderNotFound"


def test_what_is_purged_is_not_listed_any_more() -> None:
    """A purged contact is no longer listed."""
    tenant = a_tenant({ANN: 3})
    run_to_end(tenant, tenant.begin(contacts_of(ANN, 1), 0.0))
    assert listed(tenant, f"/users/{ANN}/contacts")[0] == ["a-0", "a-2"]


def test_where_every_contact_exists_some_are_listed_until_they_are_purged() -> None:
    """A tenant in which every contact exists lists 25 made-up contacts, which can be read and purged."""
    tenant = a_tenant({}, anything_exists=True)
    ids, pages = listed(tenant, f"/users/{ANN}/contacts")
    assert (len(set(ids)), pages) == (25, 3)
    assert get(tenant, f"/users/{ANN}/contacts/{ids[0]}")["status"] == 200
    url = f"/users/{ANN}/contacts/{ids[0]}"
    assert responses_of(run_to_end(tenant, tenant.begin(batch_asking("DELETE", url), tenant.now)))["0"]["status"] == 204
    assert listed(tenant, f"/users/{ANN}/contacts")[0] == ids[1:]


def test_users_are_listed_by_the_directory() -> None:
    """The directory lists users, a hundred a page, without counting a request against a mailbox."""
    tenant = a_tenant({f"user{n:03}@x.example": 0 for n in range(150)})
    for n in range(150):
        tenant.truth.add_mailbox(f"user{n:03}@x.example")
    ids, pages = listed(tenant, "/users?$select=id")
    assert (len(set(ids)), pages) == (150, 2)
    assert get(tenant, "/users?$top=1000")["status"] == 400
    assert all(box.requests == 0 for box in tenant.truth)


@pytest.mark.parametrize(("user", "status"), [(None, 400), (ANN, 200)])
def test_me_is_whoever_signed_in(user: str | None, status: int) -> None:
    """``/me`` is the mailbox of the person who signed in, and is refused to an app in its own name."""
    tenant = a_tenant()
    call = tenant.begin(batch_asking("GET", "/me/contacts?$top=1"), 0.0, caller=Caller(user=user))
    said = responses_of(run_to_end(tenant, call))["0"]
    assert said["status"] == status
    assert status == 200 or "only valid with delegated authentication flow" in said["body"]["error"]["message"]


def test_a_single_request_is_answered_as_the_same_one_in_a_batch() -> None:
    """A single request gets its own status, headers and body, counts in the limits, and is logged like one in a batch."""
    tenant = a_tenant({ANN: 2})
    url = f"/users/{ANN}/contacts/a-0"
    call = tenant.begin_one("POST", f"{url}/permanentDelete", {}, 0.0, client_request_id="c")
    ending = run_to_end(tenant, call)
    assert (ending.status, ending.body, tenant.truth.exists(ANN, "a-0")) == (204, b"", False)
    assert [(seen.contact, seen.purged, seen.answered) for seen in tenant.log] == [("a-0", True, True)]
    ending = run_to_end(tenant, tenant.begin_one("GET", url, {}, 0.0))
    assert (ending.status, json.loads(ending.body)["error"]["code"]) == (404, "ErrorItemNotFound")
    ending = run_to_end(tenant, tenant.begin_one("GET", f"/users/{ANN}/contacts", {}, 0.0))
    assert [entry["id"] for entry in json.loads(ending.body)["value"]] == ["a-1"]
    assert tenant.truth.mailbox(ANN).requests == 3


@pytest.mark.parametrize("fault", ["truncated", "call_throttled", "item_throttled_before", "item_missing", "bare_item"])
def test_misfortunes_fall_on_single_requests_too(fault: str) -> None:
    """Faults fall on single requests too, as an error, a cut answer or without effect, and never as a list of sub-responses."""
    tenant = a_tenant({ANN: 9}, faults=Faults(**{fault: 1.0}))
    for n in range(9):
        ending = run_to_end(tenant, tenant.begin_one("GET", f"/users/{ANN}/contacts/a-{n}", {}, tenant.now))
        assert b"responses" not in ending.body
        assert ending.status == (429 if "throttled" in fault else 200)


async def test_single_requests_and_links_work_over_http() -> None:
    """Over HTTP the link to the next page leads to the server, and a request that is not served gets 501 with a sentence."""
    async with SimulatedTenant(a_tenant({ANN: 60}), tls=False) as sim:
        headers = {"Authorization": f"Bearer {sim.login.issue(0.0)}"}
        async with aiohttp.ClientSession(headers=headers) as client:
            url, ids = f"{sim.graph_url}/v1.0/users/{ANN}/contacts?$top=50", []
            while url:
                async with client.get(url) as answer:
                    assert (answer.status, answer.content_type) == (200, "application/json")
                    body = await answer.json()
                ids += [entry["id"] for entry in body["value"]]
                url = body.get("@odata.nextLink", "")
            assert ids == [f"a-{n}" for n in range(60)]
            async with client.delete(f"{sim.graph_url}/v1.0/users/{ANN}/contacts/a-0") as answer:
                assert (answer.status, await answer.read()) == (204, b"")
            async with client.get(f"{sim.graph_url}/v1.0/users/{ANN}/messages") as answer:
                assert answer.status == 501
                assert "does not serve GET" in (await answer.json())["error"]["message"]
    assert not sim.tenant.truth.exists(ANN, "a-0")


def test_a_list_can_be_followed_while_it_changes_and_pages_move() -> None:
    """Pages are by ``$skip``: one that goes makes the next page skip one, and one that comes is on the last page."""
    tenant = a_tenant({ANN: 20})
    page = get(tenant, f"/users/{ANN}/contacts?$top=10&$select=id")["body"]
    run_to_end(tenant, tenant.begin(contacts_of(ANN, 3), tenant.now))
    tenant.truth.add(ANN, "F", "new")
    ids, _ = listed(tenant, page["@odata.nextLink"].removeprefix(ROOT))
    assert ids == [*(f"a-{n}" for n in range(11, 20)), "new"]


def test_the_contacts_folder_has_a_well_known_name() -> None:
    """``contacts`` stands for the default folder wherever a folder's id stands, also in a deletion."""
    tenant = Tenant(contacts=[(ANN, "F", "x"), (ANN, "G", "y")])
    named = f"/users/{ANN}/contactFolders/contacts"
    assert get(tenant, named)["body"]["id"] == "F"
    assert listed(tenant, f"{named}/contacts")[0] == ["x"]
    assert listed(tenant, f"/users/{ANN}/contactFolders/Contacts/childFolders")[0] == ["G"]
    assert get(tenant, f"{named}/contacts/x")["body"]["parentFolderId"] == "F"
    assert get(tenant, f"{named}/contacts/y")["status"] == 404
    assert run_to_end(tenant, tenant.begin_one("DELETE", f"{named}/contacts/x", {}, tenant.now)).status == 204


def test_folders_lie_in_folders_and_hidden_ones_are_not_listed() -> None:
    """A list of folders shows the ones inside the Contacts folder only, never hidden ones; two may have the same name."""
    tenant = Tenant()
    box = tenant.truth.add_mailbox(ANN)
    box.add_folder("A", "Sync")
    box.add_folder("B", "Sync")
    box.add_folder("C", "Inner", "B")
    box.add_folder("H", "Recipient Cache", hidden=True)
    prefix = f"/users/{ANN}/contactFolders"
    shown = get(tenant, prefix)["body"]["value"]
    assert [(one["id"], one["displayName"], one["parentFolderId"]) for one in shown] == [
        ("A", "Sync", box.contacts_folder),
        ("B", "Sync", box.contacts_folder),
    ]
    assert listed(tenant, f"{prefix}/B/childFolders")[0] == ["C"]
    assert get(tenant, f"{prefix}/H")["body"]["displayName"] == "Recipient Cache"


def test_links_of_the_directory_are_opaque_and_it_knows_no_skip() -> None:
    """Users have a ``$skiptoken`` that cannot be made up, and ``$skip`` is refused, as on user-list's page."""
    tenant = a_tenant({f"user{n:03}@x.example": 1 for n in range(5)})
    link = get(tenant, "/users?$top=2&$select=id")["body"]["@odata.nextLink"]
    assert "skiptoken=" in link
    assert "skip=" not in link
    assert code_of(get(tenant, "/users?$skip=2")) == "Request_UnsupportedQuery"
    assert code_of(get(tenant, "/users?$skiptoken=2")) == "Directory_ExpiredPageToken"
    assert len(set(listed(tenant, "/users?$top=2&$select=id")[0])) == 5


def test_members_of_a_group_are_listed_as_users() -> None:
    """A group lists its users in pages, and an unknown one is refused."""
    tenant = a_tenant({ANN: 1, BOB: 1})
    tenant.truth.add_group("5b9b1a4c-0000-4000-8000-000000000001", [BOB, ANN])
    path = "/groups/5b9b1a4c-0000-4000-8000-000000000001/transitiveMembers/microsoft.graph.user"
    ids, pages = listed(tenant, f"{path}?$top=1&$select=id,userPrincipalName")
    assert (ids, pages) == ([tenant.truth.mailbox(user).object_id for user in (BOB, ANN)], 2)
    assert code_of(get(tenant, path.replace("0001", "0002"))) == "Request_ResourceNotFound"
    assert all(box.requests == 0 for box in tenant.truth)


def test_a_changed_contact_has_another_change_key() -> None:
    """A change gives a contact another change key and time, and leaves the rest as it is."""
    tenant = a_tenant({ANN: 1})
    before = get(tenant, f"/users/{ANN}/contacts/a-0")["body"]
    tenant.truth.change(ANN, "a-0", 1_700_000_000.0, companyName="Adatum")
    after = get(tenant, f"/users/{ANN}/contacts/a-0")["body"]
    differing = {name for name in before if before[name] != after[name]}
    assert differing == {"@odata.etag", "changeKey", "lastModifiedDateTime", "companyName"}
    assert after["lastModifiedDateTime"] == "2023-11-14T22:13:20Z"
