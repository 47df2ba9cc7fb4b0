"""Tests of the urls of pages: what a server writes into a link leads nowhere else."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purgeengine.core.graph.encode import encode_batch
from purgeengine.core.graph.listing_urls import (
    contacts_url,
    folders_url,
    is_listing_url,
    members_url,
    next_url,
    users_url,
)
from purgeengine.core.graph.operations import IdType, list_page
from purgeengine.core.inventory.found_contact import FIELDS
from purgeengine.core.model import FolderRows
from purgeengine.sim.wire.batch import parse_batch
from purgeengine.sim.wire.routes import BadUrl

ROOT = "https://graph.microsoft.com/v1.0"
USERS = [
    "ann@x.example",
    "o'neil+sync@x.example",
    "guest_a.example#EXT#@x.example",
    "$odd@x.example",
    "0f" * 4 + "-0000-4000-8000-000000000001",
]


@pytest.mark.parametrize("user", USERS)
def test_every_url_is_one_that_the_tenant_reads_as_meant(user: str) -> None:
    """Urls of folders and contacts arrive at the user and the folder that were meant, also for odd names, in a batch."""
    urls = [
        folders_url(user),
        folders_url(user, "AQ-_=="),
        contacts_url(user, "", FIELDS, 200),
        contacts_url(user, "A+", FIELDS, 1),
    ]
    assert all(map(is_listing_url, urls))
    for id_type in IdType:
        batch = parse_batch(encode_batch([FolderRows(user, "", urls)], list_page(id_type)))
        for item, folder in zip(batch.items, ["", "AQ-_==", "", "A+"], strict=True):
            assert not isinstance(item.target, BadUrl)
            assert (item.target.user, item.target.folder) == (user, folder)
            assert item.target.immutable == (id_type is IdType.IMMUTABLE)


def test_urls_of_the_directory() -> None:
    """Users, and users of a group, have urls without a mailbox."""
    assert is_listing_url(users_url())
    assert is_listing_url(members_url("5157a1ed-0000-4000-8000-000000000002"))
    with pytest.raises(AssertionError):
        members_url("x/../users")


@pytest.mark.parametrize(
    ("link", "query"),
    [
        (f"{ROOT}/users/ann%40x.example/contacts?%24top=10&%24skip=10", "%24top=10&%24skip=10"),
        ("https://elsewhere.example/v1.0/users/bob@x.example/messages?$skip=10", "$skip=10"),
        (f"{ROOT}/users?$skiptoken=RFNw'dA(o)~AA-_==", "$skiptoken=RFNw'dA(o)~AA-_=="),
        (f'{ROOT}/users?$skip=10"}},{{"id":"9"', "$skip=10%22%7D,%7B%22id%22:%229%22"),
        (f"{ROOT}/users?$skip=10\r\nX: y", "$skip=10%0D%0AX:%20y"),
        (f"{ROOT}/users?$filter=name eq 'ä'", "$filter=name%20eq%20'%C3%A4'"),
    ],
)
def test_only_the_query_of_a_link_is_followed(link: str, query: str) -> None:
    """The next page is asked of the same path, whatever the link says, and nothing in it can end the JSON."""
    asked = "/users/ann@x.example/contacts?$top=10"
    url = next_url(asked, link)
    assert url == f"/users/ann@x.example/contacts?{query}"
    assert is_listing_url(url)
    assert parse_qsl(urlsplit(url).query) == parse_qsl(link.partition("?")[2])


@pytest.mark.parametrize(
    "link", [None, 3, "", "https://x.example/", f"{ROOT}/users?", f"{ROOT}/u?$top=10", f"{ROOT}/u?{'x' * 5000}"]
)
def test_a_link_that_leads_nowhere_is_refused(link: object) -> None:
    """No query, the query that was asked already, or one too long: there is no next page."""
    assert next_url("/users/ann@x.example/contacts?$top=10", link) is None


@given(st.text(max_size=30))
def test_no_link_breaks_a_batch(text: str) -> None:
    """Whatever stands in a link, what is sent is one request of the same mailbox."""
    url = next_url("/users/ann@x.example/contacts?$top=10", f"{ROOT}/users/ann@x.example/contacts?$skip=1&x={text}")
    if url is not None:
        (item,) = parse_batch(encode_batch([FolderRows("ann@x.example", "", [url])], list_page())).items
        assert isinstance(item.target, BadUrl) or item.target.user == "ann@x.example"
