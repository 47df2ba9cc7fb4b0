"""Tests of parsing: how strictly the simulated tenant reads batches and URLs."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purgeengine.sim.wire.batch import BatchRefused, parse_batch
from purgeengine.sim.wire.query import Options
from purgeengine.sim.wire.routes import ME, Ask, BadUrl, Target, parse_url
from tests.support.sim_fixtures import ANN, BOB, a_tenant, ask, batch_of, chain_of, requests_of, run_to_end, url_of

ONLY_ID = Options(select=("id",))
PAGE = Options(9, 3, (), counted=True)
REQUEST = requests_of(url_of(ANN, "a-0"))[0]


def refusal_of(body: Any) -> str:
    """Return the message with which the batch is refused."""
    with pytest.raises(BatchRefused) as refused:
        parse_batch(body if isinstance(body, bytes) else json.dumps(body).encode())
    return refused.value.message


def without(name: str) -> dict[str, Any]:
    """Return a sub-request without this field."""
    return {key: value for key, value in REQUEST.items() if key != name}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"requests": {}}',
        b'{"requests": [1]}',
        b'{"requests": []}',
        b"\xff",
        b'{"requests": [{}]}',
    ],
)
def test_a_body_that_is_no_batch_is_refused(body: bytes) -> None:
    """A body that is not an object with a list of 1 to 20 sub-requests is refused as an invalid payload."""
    assert refusal_of(body).startswith("Invalid batch payload format.")


def test_a_batch_may_hold_twenty_and_no_more() -> None:
    """A batch of twenty sub-requests is accepted, and one of twenty-one is refused as a whole."""
    urls = [url_of(ANN, f"a-{n}") for n in range(21)]
    assert len(parse_batch(batch_of(*urls[:20])).items) == 20
    assert "maximum value of 20" in refusal_of(batch_of(*urls))


@pytest.mark.parametrize("field", ["id", "method", "url"])
def test_the_fields_that_graph_requires_are_required(field: str) -> None:
    """A sub-request without id, method or URL has the whole batch refused."""
    assert refusal_of({"requests": [without(field)]}).startswith("Invalid batch payload format.")


def test_ids_are_unique_without_regard_to_case() -> None:
    """Two ids that differ only in case are refused as equal."""
    requests = [{**REQUEST, "id": "a"}, {**REQUEST, "id": "A"}]
    assert refusal_of({"requests": requests}) == "Request Id A has to be unique in a batch."


@pytest.mark.parametrize(
    "request_",
    [
        without("headers"),
        without("body"),
        {**REQUEST, "headers": {}},
        {**REQUEST, "headers": {"Content-Type": "text/plain"}},
        {**REQUEST, "body": None},
        {**REQUEST, "body": ""},
    ],
)
def test_a_post_without_content_has_the_whole_batch_refused(request_: dict[str, Any]) -> None:
    """A POST without a JSON content type or an object as its body has the whole batch refused."""
    wanted = "Write request id : 0 does not contain Content-Type header or body."
    assert refusal_of({"requests": [request_]}) == wanted


def test_the_content_type_may_be_spelt_in_any_case() -> None:
    """The name of a header is compared without case."""
    request = {**REQUEST, "headers": {"content-type": "application/json; charset=utf-8"}}
    assert len(parse_batch(json.dumps({"requests": [request]}).encode()).items) == 1


def test_a_body_may_be_base64() -> None:
    """A body may be base64, as some clients write it; other text is refused."""
    assert ask(a_tenant(), json.dumps({"requests": [{**REQUEST, "body": "e30="}]}).encode()) == {"0": (204, "")}
    assert refusal_of({"requests": [{**REQUEST, "body": "not base64!"}]}).startswith("Write request id : 0")


def test_a_refused_batch_is_answered_with_400_and_runs_nothing() -> None:
    """A refused batch gets 400, runs none of its sub-requests, and is reported as a mistake."""
    tenant = a_tenant()
    body = json.dumps({"requests": [REQUEST, {**without("body"), "id": "1"}]}).encode()
    ending = run_to_end(tenant, tenant.begin(body, 0.0))
    assert ending.status == 400
    assert json.loads(ending.body)["error"]["code"] == "BadRequest"
    assert tenant.truth.exists(ANN, "a-0")
    assert (tenant.counters.refused_batches, tenant.counters.violations) == (1, 1)


def test_a_chain_is_sequential_and_a_plain_batch_is_not() -> None:
    """A batch in which each sub-request depends on the one before is sequential, and one without dependencies is not."""
    urls = [url_of(ANN, f"a-{n}") for n in range(3)]
    assert parse_batch(chain_of(*urls)).sequential
    assert not parse_batch(batch_of(*urls)).sequential


@pytest.mark.parametrize(
    "depends",
    [[[], ["0"], ["0"]], [[], ["0"], []], [[], [], ["1"]], [[], ["0"], ["0", "1"]]],
)
def test_whatever_is_neither_a_chain_nor_unordered_is_refused(depends: list[list[str]]) -> None:
    """A batch with other dependencies runs nothing: 400 for each sub-request, and 424 for those that depend on another."""
    requests = [
        {**REQUEST, "id": str(n), "url": url_of(ANN, f"a-{n}"), "dependsOn": ids} for n, ids in enumerate(depends)
    ]
    tenant = a_tenant()
    answered = ask(tenant, json.dumps({"requests": requests}).encode())
    assert [answered[str(n)] for n in range(len(depends))] == [
        (424, "FailedDependency") if ids else (400, "BadRequest") for ids in depends
    ]
    assert tenant.truth.remaining() == 10


def test_the_id_of_a_sub_request_may_be_a_number() -> None:
    """A numeric id comes back as a string, and is compared with others as a string."""
    requests = [{**REQUEST, "id": 7}, {**REQUEST, "id": 8, "url": url_of(ANN, "a-1"), "dependsOn": [7]}]
    assert ask(a_tenant(), json.dumps({"requests": requests}).encode()) == {"7": (204, ""), "8": (204, "")}
    assert refusal_of({"requests": [{**REQUEST, "id": 7}, {**REQUEST, "id": "7"}]}).startswith(
        "Request Id 7 has to be unique"
    )


@pytest.mark.parametrize("other", ["1", "0", "9"])
def test_a_dependency_must_come_earlier(other: str) -> None:
    """A dependency on a later, the same or an unknown id is refused."""
    requests = [{**REQUEST, "id": "0", "dependsOn": [other]}, {**REQUEST, "id": "1"}]
    assert "Invalid dependency for request Id" in refusal_of({"requests": requests})


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("/users/ann@x.example/contacts/AA-_=/permanentDelete", Target("ann@x.example", "", "AA-_=")),
        ("users/ann@x.example/contacts/A/permanentDelete", Target("ann@x.example", "", "A")),
        ("/users/u/contactFolders/F/contacts/A/permanentDelete", Target("u", "F", "A")),
        ("/users/a_x%23EXT%23@x.example/contacts/A/permanentDelete", Target("a_x#EXT#@x.example", "", "A")),
        ("/users/o%27neil@x.example/contacts/A/permanentDelete", Target("o'neil@x.example", "", "A")),
        ("/users('$x@y.example')/contacts/A/permanentDelete", Target("$x@y.example", "", "A")),
        ("/users('%24o%27%27neil@y.example')/contacts/A/permanentDelete", Target("$o'neil@y.example", "", "A")),
        ("/users/u/contacts/A%3D%3D/permanentDelete", Target("u", "", "A==")),
    ],
)
def test_a_good_url_is_understood(url: str, target: Target) -> None:
    """A correct URL is parsed, with or without a folder and with escaped names."""
    assert parse_url(url) == target


@pytest.mark.parametrize(
    ("url", "status", "code"),
    [
        ("https://graph.microsoft.com/v1.0/users/u/contacts/A/permanentDelete", 400, "RequestBroker--ParseUri"),
        ("//host/users/u/contacts/A/permanentDelete", 400, "RequestBroker--ParseUri"),
        ("/v1.0/users/u/contacts/A/permanentDelete", 400, "BadRequest"),
        ("/users/..%2Fme/contacts/A/permanentDelete", 400, "RequestBroker--ParseUri"),
        ("/users/..%2fme/contacts/A/permanentDelete", 400, "RequestBroker--ParseUri"),
        ("/users/%2e%2e/contacts/A/permanentDelete", 400, "RequestBroker--ParseUri"),
        ("/users/../contacts/A/permanentDelete", 400, "RequestBroker--ParseUri"),
        ("/users/./contacts/A/permanentDelete", 400, "RequestBroker--ParseUri"),
        ("/users/a..b@x/contacts/A/permanentDelete", 400, "RequestBroker--ParseUri"),
        ("/users/a%2E%2Eb@x/contacts/A/permanentDelete", 400, "RequestBroker--ParseUri"),
        ("/users/u/contacts/A%5CB/permanentDelete", 400, "RequestBroker--ParseUri"),
        ("/users/u\\x/contacts/A/permanentDelete", 400, "RequestBroker--ParseUri"),
        ("/users/u/contacts/A%252FB/permanentDelete", 400, "RequestBroker--ParseUri"),
        ("/users/u/contacts/A%00/permanentDelete", 400, "RequestBroker--ParseUri"),
        ("/users/u/contacts/A%3Fx/permanentDelete", 400, "RequestBroker--ParseUri"),
        ("/users/u/contacts/A/permanentDelete?x=1", 400, "RequestBroker--ParseUri"),
        ("/users/a#EXT#@x/contacts/A/permanentDelete", 400, "RequestBroker--ParseUri"),
        ("/users/u%/contacts/A/permanentDelete", 400, "RequestBroker--ParseUri"),
        ("/users/u%ff/contacts/A/permanentDelete", 400, "RequestBroker--ParseUri"),
        ("/users/$x@y/contacts/A/permanentDelete", 400, "RequestBroker--ParseUri"),
        ("/users/u/contacts//permanentDelete", 400, "ErrorInvalidIdEmpty"),
        ("/users/u/contactFolders//contacts/A/permanentDelete", 400, "ErrorInvalidIdEmpty"),
        ("/users/u/messages/A/permanentDelete", 501, "NotImplemented"),
        ("/groups/g/permanentDelete", 501, "NotImplemented"),
        ("/users/u/contactFolders/F/permanentDelete", 501, "NotImplemented"),
        ("/users/u/contactFolders/F/contakts/A/permanentDelete", 400, "BadRequest"),
        ("/users/u/contakts/A/permanentDelete", 400, "BadRequest"),
        ("/usrs/u/contacts/A/permanentDelete", 400, "BadRequest"),
        ("/users/u/contacts/A/purge", 400, "BadRequest"),
        ("/users/u/contacts/A/permanentDelete/x", 400, "BadRequest"),
        ("/users/u/contacts/A", 405, "Request_BadRequest"),
        ("/users/u/contacts", 501, "NotImplemented"),
        ("/users//contacts/A/permanentDelete", 404, "UnknownError"),
        ("/users/u/contacts/A/permanentDelete/", 404, "UnknownError"),
    ],
)
def test_a_url_that_no_careful_client_sends_is_refused_and_reported(url: str, status: int, code: str) -> None:
    """A URL with tricks in its path gets an error for its item, is reported, and purges nothing."""
    bad = parse_url(url)
    assert isinstance(bad, BadUrl)
    assert (bad.status, bad.code) == (status, code)
    tenant = a_tenant(anything_exists=True)
    assert ask(tenant, batch_of(url, url_of(ANN, "a-0")), client_request_id="c-1") == {
        "0": (status, code),
        "1": (204, ""),
    }
    assert len(tenant.violations) == tenant.counters.violations == 1
    assert "c-1" in tenant.violations[0]


@pytest.mark.parametrize("method", ["DELETE", "GET", "PATCH", "PUT", "HEAD"])
def test_another_method_is_refused_for_the_item(method: str) -> None:
    """Another method than POST gets 405 for its item, is reported, and purges nothing."""
    tenant = a_tenant()
    request = {**REQUEST, "method": method}
    assert ask(tenant, json.dumps({"requests": [request]}).encode()) == {"0": (405, "Request_BadRequest")}
    assert tenant.violations
    assert tenant.truth.exists(ANN, "a-0")


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("PATCH", "/users/u/contacts/A"),
        ("PATCH", "/users/u"),
        ("POST", "/users/u/contactFolders"),
        ("DELETE", "/users/u/contactFolders/F"),
        ("GET", "/users/u/messages"),
        ("GET", "/users/u/contacts/delta"),
        ("GET", "/users/u/contacts/A/photo"),
        ("GET", "/users/u/contacts/$count"),
        ("GET", "/users/u/contactFolders/F/contacts/delta"),
        ("GET", "/users/u/contactFolders/delta"),
        ("GET", "/users/delta()"),
        ("GET", "/groups"),
        ("GET", "/users/u/contacts?$filter=displayName eq 'x'"),
        ("GET", "/users/u/contacts?$top=5&$orderby=id"),
        ("GET", "/users/u/contacts?x=1"),
    ],
)
def test_what_graph_has_and_the_tenant_has_not_is_501_with_a_sentence(method: str, url: str) -> None:
    """A request that Graph serves and the tenant does not gets 501 with a sentence."""
    bad = parse_url(url, method)
    assert isinstance(bad, BadUrl)
    assert (bad.status, bad.code) == (501, "NotImplemented")
    assert bad.message.startswith("The simulated tenant does not serve ")


@pytest.mark.parametrize(
    "query",
    [
        "$top=x",
        "$top=-1",
        "$top=1&$top=2",
        "$skip=1e3",
        "$count=yes",
        "$select=a b",
        "$select=",
        "$tops=1",
        "%24top=%31x",
    ],
)
def test_a_query_that_graph_does_not_understand_is_400(query: str) -> None:
    """A query that Graph does not understand gets 400, and the message names the fault."""
    bad = parse_url(f"/users/u/contacts?{query}", "GET")
    assert isinstance(bad, BadUrl)
    assert (bad.status, bool(bad.message)) == (400, True)


@pytest.mark.parametrize(
    ("method", "url", "target"),
    [
        ("DELETE", "/users/u/contacts/A", Target("u", "", "A", Ask.DELETE)),
        ("DELETE", "/users/a%23b@x/contactFolders/F/contacts/A", Target("a#b@x", "F", "A", Ask.DELETE)),
        ("GET", "/users/u/contacts/A?$select=id", Target("u", "", "A", Ask.GET_CONTACT, options=ONLY_ID)),
        (
            "GET",
            "/users/u/contacts?$top=1&$select=id",
            Target("u", "", "", Ask.LIST_CONTACTS, False, Options(1, 0, ("id",))),
        ),
        (
            "GET",
            "/users/u/contacts?%24top=9&%24skip=3&%24count=true",
            Target("u", "", "", Ask.LIST_CONTACTS, False, PAGE),
        ),
        ("GET", "/users/u/contactFolders", Target("u", "", "", Ask.LIST_FOLDERS)),
        ("GET", "/users/u/contactFolders/F", Target("u", "F", "", Ask.GET_FOLDER)),
        ("GET", "/users/u/contactFolders/F/contacts", Target("u", "F", "", Ask.LIST_CONTACTS)),
        ("GET", "/users/u/contactFolders/F/childFolders", Target("u", "F", "", Ask.LIST_CHILD_FOLDERS)),
        ("GET", "/users('$u@x')?$select=id", Target("$u@x", "", "", Ask.GET_USER, options=ONLY_ID)),
        ("GET", "/users?$select=id", Target("", "", "", Ask.LIST_USERS, options=ONLY_ID)),
        ("GET", "/me", Target(ME, "", "", Ask.GET_USER)),
        ("GET", "/organization?$select=id", Target("", "", "", Ask.GET_ORGANIZATION, options=ONLY_ID)),
    ],
)
def test_what_a_method_and_url_ask_for(method: str, url: str, target: Target) -> None:
    """Each allowed method and URL is parsed, for contacts, mailboxes, users and the organization."""
    assert parse_url(url, method) == target


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("DELETE", "/users/u"),
        ("DELETE", "/users/u/contacts"),
        ("DELETE", "/users/u/contactFolders/F"),
        ("DELETE", "/users/u/contacts/A?x=1"),
        ("POST", "/users/u/contacts/A"),
        ("GET", "/users/u/contacts/A/permanentDelete"),
        ("GET", "/users/..%2Fme"),
        ("GET", "/users/u?$expand=manager"),
        ("GET", "/users/u/contacts?$top=1?$select=id"),
    ],
)
def test_a_method_that_does_not_go_with_the_url_is_refused(method: str, url: str) -> None:
    """A method that does not fit the URL is refused; above all, nothing but a contact can be deleted."""
    assert isinstance(parse_url(url, method), BadUrl)


@given(st.text(max_size=60))
def test_no_segment_is_ever_decoded_into_a_path(user: str) -> None:
    """Whatever text stands in the place of the user, no part of the parsed target can be read as a path."""
    target = parse_url(f"/users/{user}/contacts/A/permanentDelete")
    if isinstance(target, Target):
        assert not set(target.user) & set("/\\?%\x00\n")
        assert ".." not in target.user


@given(st.binary(max_size=200))
def test_any_bytes_are_a_batch_or_refused(body: bytes) -> None:
    """Random bytes are parsed into a batch or refused, and raise nothing else."""
    with contextlib.suppress(BatchRefused):
        assert 1 <= len(parse_batch(body).items) <= 20


def test_nesting_without_end_is_refused_too() -> None:
    """A body with a hundred thousand nested levels is refused."""
    assert refusal_of(b'{"requests":' + b"[" * 100_000).startswith("Invalid batch payload format.")
    assert refusal_of(b'{"requests":[{"body":' + b'{"a":' * 100_000).startswith("Invalid batch payload format.")


def test_names_compare_without_case_and_ids_with_it() -> None:
    """User names are compared without case, and ids with it."""
    tenant = a_tenant({ANN: 1, BOB: 0})
    assert ask(tenant, batch_of(url_of(ANN.upper(), "A-0"))) == {"0": (404, "ErrorItemNotFound")}
    assert ask(tenant, batch_of(url_of(ANN.upper(), "a-0"))) == {"0": (204, "")}
