"""The table of operations: what each row puts on the wire, what it keeps of an answer, and how its answers are judged."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import pytest

from purgeengine.core.graph.bodies import found_in
from purgeengine.core.graph.decode import decode_answer
from purgeengine.core.graph.encode import encode_batch
from purgeengine.core.graph.operations import (
    CONTACT,
    GET_USER,
    LIST_CONTACTS,
    LIST_ORGANIZATION,
    OPERATIONS,
    PERMANENT,
    Action,
    IdType,
    Method,
    Operation,
    Resource,
    UrlForm,
    deletion_by,
    get_contact,
)
from purgeengine.core.graph.urls import url_start
from purgeengine.core.graph.verdicts import READ_TABLE, TABLE, Verdict, judge
from purgeengine.core.model import PURGED_REPLY, FolderRows, Item, Reply

HEADERS = {"Date": "Tue, 24 Nov 2026 12:00:00 GMT", "request-id": "r1"}
IMMUTABLE = {"Prefer": 'IdType="ImmutableId"'}


def requests_of(operation: Operation, *rows: Item) -> list[dict[str, Any]]:
    """What goes out for these rows."""
    folder_rows = [FolderRows(row.user, row.folder, [row.contact]) for row in rows]
    return list(json.loads(encode_batch(folder_rows, operation))["requests"])


def read(*responses: object, size: int = 3) -> dict[int, Any]:
    """What is found in an answer with these sub-responses to a read, by index."""
    body = json.dumps({"responses": responses}).encode()
    answer = decode_answer(200, HEADERS, body, size, 0.0, GET_USER)
    return {index: found_in(reply) for index, reply in (answer.replies or {}).items() if reply and reply.body}


# -------------------------------------------------------------------------------------------------------- on the wire


@pytest.mark.parametrize(
    ("operation", "row", "request_"),
    [
        (GET_USER, Item("a#b@x.example", "", ""), ("GET", "/users/a%23b@x.example?$select=id,userPrincipalName")),
        (LIST_CONTACTS, Item("u@x.example", "", ""), ("GET", "/users/u@x.example/contacts?$top=1&$select=id")),
        (
            LIST_CONTACTS,
            Item("u@x.example", "F+", ""),
            ("GET", "/users/u@x.example/contactFolders/F%2B/contacts?$top=1&$select=id"),
        ),
        (
            get_contact(IdType.DEFAULT),
            Item("u@x.example", "", "A+A="),
            ("GET", "/users/u@x.example/contacts/A%2BA=?$select=id"),
        ),
        (
            get_contact(IdType.DEFAULT),
            Item("$u@x.example", "F", "A"),
            ("GET", "/users('%24u@x.example')/contactFolders/F/contacts/A?$select=id"),
        ),
        (LIST_ORGANIZATION, Item("", "", ""), ("GET", "/organization?$select=id,displayName")),
    ],
)
def test_a_read_asks_for_no_more_than_is_needed(operation: Operation, row: Item, request_: tuple[str, str]) -> None:
    """Names are escaped as in a purge; a GET has neither headers nor a body."""
    method, url = request_
    assert requests_of(operation, row) == [{"id": "0", "method": method, "url": url}]


def test_a_read_by_immutable_id_says_so_in_every_sub_request() -> None:
    """The header speaks for the sub-request in which it stands."""
    asked = requests_of(get_contact(IdType.IMMUTABLE), *[Item("u@x.example", "", "A")] * 20)
    assert [request["headers"] for request in asked] == [IMMUTABLE] * 20
    assert [request["id"] for request in asked] == [str(index) for index in range(20)]


@pytest.mark.parametrize("operation", [row for row in OPERATIONS if row.url_form is not UrlForm.ITEM])
def test_an_operation_on_no_item_takes_no_id(operation: Operation) -> None:
    """It would be lost, or change the address."""
    with pytest.raises(AssertionError):
        requests_of(operation, Item("u@x.example", "", "A"))
    for rows in (0, 21):
        with pytest.raises(AssertionError):
            requests_of(operation, *[Item("u@x.example", "", "")] * rows)


@pytest.mark.parametrize(
    ("resource", "form", "folder", "url"),
    [
        (Resource("message", "messages", "mailFolders"), UrlForm.ITEM, "", "/users/u@x.example/messages/"),
        (
            Resource("message", "messages", "mailFolders"),
            UrlForm.ITEM,
            "F",
            "/users/u@x.example/mailFolders/F/messages/",
        ),
        (Resource("event", "events", "calendars"), UrlForm.ITEM, "C", "/users/u@x.example/calendars/C/events/"),
        (Resource("task", "tasks", "todo/lists"), UrlForm.COLLECTION, "L", "/users/u@x.example/todo/lists/L/tasks"),
        (Resource("contactFolder", "contactFolders"), UrlForm.COLLECTION, "", "/users/u@x.example/contactFolders"),
    ],
)
def test_the_urls_of_sibling_resources_need_a_row_and_no_code(
    resource: Resource, form: UrlForm, folder: str, url: str
) -> None:
    """By their pages in Graph's documentation."""
    operation = Operation(resource, "get", Method.GET, form, "", IdType.DEFAULT, "", READ_TABLE)
    assert url_start(operation, "u@x.example", folder) == url


# ---------------------------------------------------------------------------------------------------------- the table


IDS = {UrlForm.ITEM: "A", UrlForm.LISTING: "/users/u@x.example/contactFolders?$top=250"}
"""What stands in the place of the id, by the form of the url."""


def test_no_two_rows_of_the_table_are_the_same() -> None:
    """Resource, name and type of ids tell them apart, and so does what goes out."""
    names = [(row.resource.name, row.name, row.id_type) for row in OPERATIONS]
    assert len(set(names)) == len(OPERATIONS)
    sent = [json.dumps(requests_of(row, Item("u@x.example", "", IDS.get(row.url_form, "")))) for row in OPERATIONS]
    assert len(set(sent)) == len(OPERATIONS)


def test_what_a_ledger_keeps_leads_back_to_its_deletion() -> None:
    """By action and type of ids; what deletes nothing has no action."""
    found = {deletion_by(action, id_type): (action, id_type) for action, id_type in product(Action, IdType)}
    assert len(found) == 4
    for operation, (action, id_type) in found.items():
        assert (operation.action, operation.id_type, operation.resource) == (action, id_type, CONTACT)
    assert deletion_by() is PERMANENT
    with pytest.raises(ValueError, match="get"):
        assert GET_USER.action


def test_what_only_reads_keeps_bodies_and_everything_may_be_sent_again() -> None:
    """Nothing that changes a mailbox is judged by the table for reads."""
    for row in OPERATIONS:
        assert row.keeps_body == (row.method is Method.GET) == (row.verdicts is READ_TABLE)
        assert row.idempotent


# ------------------------------------------------------------------------------------------------------ what is kept


def test_bodies_are_those_of_rows_that_went_well() -> None:
    """By index, in whatever order they come; a refusal has none, and neither has what cannot be read."""
    person = {"id": "p"}
    assert read({"id": "2", "status": 200, "body": person}, {"id": "0", "status": 200, "body": {}}) == {
        2: person,
        0: {},
    }
    strange: tuple[object, ...] = (
        {"id": "0", "status": 404, "body": {"error": {"code": "ErrorItemNotFound"}}},
        {"id": "1", "status": 200},
        {"id": "3", "status": 200, "body": person},
        {"status": 200, "body": person},
        {"id": "x", "status": 200, "body": person},
        "text",
    )
    for one in strange:
        assert read(one, {"id": "2", "status": 200, "body": person}) == {2: person}
    assert read({"id": "1", "status": 200, "body": "text"}, {"id": "2", "status": 200, "body": person}) == {
        1: {},
        2: person,
    }


def test_a_body_may_hold_what_strict_json_does_not() -> None:
    """Half an emoji, read the quick way and the tolerant one: kept, and found again."""
    for among in ("", ',{"id":null}'):
        body = b'{"responses":[{"id":"0","status":200,"body":{"displayName":"\\ud83d"}}%s]}' % among.encode()
        answer = decode_answer(200, HEADERS, body, 1, 0.0, GET_USER)
        assert answer.replies is not None
        assert found_in(answer.replies[0] or Reply(0)) == {"displayName": "\ud83d"}


def test_a_purge_keeps_no_body() -> None:
    """Whatever an answer holds: memory and ledger stay small."""
    body = json.dumps({"responses": [{"id": "0", "status": 200, "body": {"id": "p"}}, {"id": "1", "status": 204}]})
    for operation in OPERATIONS:
        answer = decode_answer(200, HEADERS, body.encode(), 2, 0.0, operation)
        assert answer.replies is not None
        assert answer.replies[1] == PURGED_REPLY
        assert bool(answer.replies[0] and answer.replies[0].body) == operation.keeps_body


# --------------------------------------------------------------------------------------------------------- what it means


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (Reply(200), Verdict.DONE),
        (Reply(299), Verdict.DONE),
        (Reply(302), Verdict.FAULT),
        (Reply(401, "NoPermissionsInAccessToken"), Verdict.REFUSED),
        (Reply(401, "OrganizationFromTenantGuidNotFound"), Verdict.REFUSED),
        (Reply(401, "InvalidAuthenticationToken"), Verdict.TOKEN_REFUSED),
        (Reply(403, "Authorization_RequestDenied"), Verdict.REFUSED),
        (Reply(403, "ErrorAccessDenied"), Verdict.CLOSED),
        (Reply(404, "ErrorItemNotFound"), Verdict.GONE),
        (Reply(404, "Request_ResourceNotFound"), Verdict.CLOSED),
        (Reply(429), Verdict.THROTTLED),
    ],
)
def test_a_read_goes_well_with_any_success_and_an_app_that_may_not_read_is_told_so(
    reply: Reply, verdict: Verdict
) -> None:
    """What ends a purge of everything is the answer to one question here."""
    assert judge(reply, READ_TABLE) is verdict


@pytest.mark.parametrize("status", [status for status in range(100, 600) if not 200 <= status < 300])
def test_all_else_is_judged_as_of_a_purge(status: int) -> None:
    """The table for reads differs in successes and in what an app may not do, and in nothing else."""
    for rule in TABLE.get(status, ()):
        for code in rule.codes or ("",):
            reply = Reply(status, code, " ".join(rule.message_has))
            purge, reading = judge(reply), judge(reply, READ_TABLE)
            assert reading is (Verdict.REFUSED if purge is Verdict.APP_REFUSED else purge)
