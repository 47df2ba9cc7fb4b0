"""Tests of the limits of each decoding rule: the first and last value for which it holds, and the next one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from purgeengine.core.graph.decode import decode_answer
from purgeengine.core.graph.encode import BATCH_ITEMS_MAX, _form, encode_batch
from purgeengine.core.graph.operations import GET_USER, Action, IdType, Operation, deletion_by
from purgeengine.core.model import NOT_FROM_GRAPH, PURGED_REPLY, Answer, Item, Reply
from purgeengine.errors import NoAnswer
from tests.support.fixtures import folder_rows_of

ANN = Item("ann@contoso.example", "", "A")
NOON_UTC = 1_767_268_800.0
NOON, MINUTE_LATER = "Thu, 01 Jan 2026 12:00:00 GMT", "Thu, 01 Jan 2026 12:01:00 GMT"
ERROR = {"error": {"code": "Code", "message": "Message."}}
ODD: dict[str, Any] = {"id": None}
"""An odd sub-response, which makes the decoder read the whole answer in the tolerant way."""


def answer(*said: dict[str, Any], size: int = 2, headers: dict[str, str] | None = None) -> Answer:
    """Decode an answer with these sub-responses."""
    return decode_answer(200, headers or {}, json.dumps({"responses": said}).encode(), size, NOON_UTC)


def replies(*said: dict[str, Any]) -> dict[int, Reply | None]:
    """Return the replies to an answer with these sub-responses."""
    found = answer(*said).replies
    assert found is not None
    return dict(found)


# ------------------------------------------------------------------------------------------------------------- encoding


@pytest.mark.parametrize("lane", [False, True])
@pytest.mark.parametrize(
    ("deletion", "method", "url", "rest"),
    [
        (
            deletion_by(Action.PERMANENT_DELETE, IdType.DEFAULT),
            "POST",
            "/x/permanentDelete",
            {"headers": {"Content-Type": "application/json"}, "body": {}},
        ),
        (
            deletion_by(Action.PERMANENT_DELETE, IdType.IMMUTABLE),
            "POST",
            "/x/permanentDelete",
            {"headers": {"Content-Type": "application/json", "Prefer": 'IdType="ImmutableId"'}, "body": {}},
        ),
        (deletion_by(Action.DELETE, IdType.DEFAULT), "DELETE", "/x", {}),
        (deletion_by(Action.DELETE, IdType.IMMUTABLE), "DELETE", "/x", {"headers": {"Prefer": 'IdType="ImmutableId"'}}),
    ],
)
def test_what_stands_around_an_address(
    deletion: Operation, method: str, url: str, rest: dict[str, Any], lane: bool
) -> None:
    """Twenty sub-requests of each action and id type are encoded exactly.

    In a lane each but the first depends on the one before.
    """
    form = _form(deletion)
    body = "".join(f"{before}/x" for before in (form.lane if lane else form.before)) + form.after
    made = json.loads(body)["requests"]
    asked = [{"id": str(n), "method": method, "url": url, **rest} for n in range(BATCH_ITEMS_MAX)]
    if lane:
        asked[1:] = [{**request, "dependsOn": [str(n)]} for n, request in enumerate(asked[1:])]
    assert made == asked


def test_each_sub_request_of_a_lane_depends_on_the_one_before() -> None:
    """A lane is one chain over all its sub-requests, because Graph refuses partial chains.

    A plain batch has no dependencies.
    """
    depends = [
        request.get("dependsOn")
        for request in json.loads(encode_batch(folder_rows_of([ANN] * 20), lane=True))["requests"]
    ]
    assert depends == [None, *([str(n)] for n in range(19))]
    assert b"dependsOn" not in encode_batch(folder_rows_of([ANN] * 20))


# -------------------------------------------------------------------------------------------------------------- statuses


@pytest.mark.parametrize("among", [(), (ODD,)], ids=["quick", "tolerant"])
def test_only_204_is_the_purge_confirmed(among: tuple[dict[str, Any], ...]) -> None:
    """Only 204 gives the reply of a purge; 205 is kept as it is."""
    said = [{"id": "0", "status": 204}, {"id": "1", "status": 205}]
    assert replies(*said, *among) == {0: PURGED_REPLY, 1: Reply(205)}


@pytest.mark.parametrize(
    ("status", "reply"),
    [
        (199, Reply(199, "Code", "Message.")),
        (200, Reply(200)),
        (299, Reply(299)),
        (300, Reply(300, "Code", "Message.")),
    ],
)
def test_an_error_is_read_where_the_status_is_no_success(status: int, reply: Reply) -> None:
    """An error is read from the body unless the status is 200 to 299."""
    assert replies({"id": "0", "status": status, "body": ERROR}) == {0: reply}


@pytest.mark.parametrize(
    ("status", "read"),
    [
        (99, None),
        (100, 100),
        (599, 599),
        (600, None),
        ("100", 100),
        (" " * 7 + "404", 404),  # ten characters
        (" " * 8 + "404", None),
        (404.0, 404),
        (404.5, None),
        (True, None),
    ],
)
def test_what_is_a_status(status: object, read: int | None) -> None:
    """A status is a whole number from 100 to 599, or its digits in at most ten characters."""
    assert replies({"id": "0", "status": status}, ODD) == {0: read and Reply(read)}


def test_the_outer_status_is_a_success_up_to_299() -> None:
    """An unreadable answer with an outer status of 200 to 299 raises `NoAnswer`.

    With another status it counts as not from Graph.
    """
    for status in (200, 299):
        with pytest.raises(NoAnswer):
            decode_answer(status, {}, b"<html>", 1, NOON_UTC)
    for status in (199, 300):
        answer = decode_answer(status, {}, b"<html>", 1, NOON_UTC)
        assert (answer.outer.status, answer.outer.code, answer.replies) == (status, NOT_FROM_GRAPH, None)


def test_a_call_that_went_well_has_no_error_of_its_own() -> None:
    """An error beside the responses is ignored in a successful call, and is read in a failed one."""
    body = json.dumps({"responses": [{"id": "0", "status": 204}], **ERROR}).encode()
    assert decode_answer(200, {}, body, 1, NOON_UTC).outer == Reply(200)
    assert decode_answer(503, {}, body, 1, NOON_UTC).outer == Reply(503, "Code", "Message.")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b" ", "its body was empty"),
        (b"{", "its body was cut short or is not JSON"),
        (b'{"responses":{}}', "its body holds no list of responses"),
    ],
)
def test_why_an_answer_is_none(body: bytes, why: str) -> None:
    """`NoAnswer` has a whole sentence with the reason, for the log."""
    with pytest.raises(NoAnswer) as caught:
        decode_answer(200, {}, body, 1, NOON_UTC)
    assert str(caught.value) == f"Graph answered 200, and {why}"


# ---------------------------------------------------------------------------------------------------------------- rows


def test_of_a_body_that_python_will_not_read_the_status_alone_counts() -> None:
    """A body with a number of 5,000 digits, which Python refuses, leaves its row with the status alone."""
    body = b'{"responses":[{"id":"0","status":403,"body":%s},{"id":"1","status":204}]}' % (b"9" * 5_000)
    assert decode_answer(200, {}, body, 2, NOON_UTC).replies == {0: Reply(403), 1: PURGED_REPLY}
    found = decode_answer(200, {}, body.replace(b"403", b"200"), 2, NOON_UTC, GET_USER)
    assert found.replies == {0: Reply(200), 1: PURGED_REPLY}


@pytest.mark.parametrize("among", [(), (ODD,)], ids=["quick", "tolerant"])
def test_what_is_not_of_this_batch_is_passed_over(among: tuple[dict[str, Any], ...]) -> None:
    """A sub-response with an id outside the batch is ignored, and later ones are read."""
    said = [{"id": "2", "status": 204}, {"id": "x", "status": 204}, {"id": "1", "status": 404}]
    assert replies(*said, *among) == {1: Reply(404)}


# --------------------------------------------------------------------------------------------------------------- waits


@pytest.mark.parametrize("waits", [("9", "3"), ("3", "9")])
@pytest.mark.parametrize("among", [(), (ODD,)], ids=["quick", "tolerant"])
def test_of_two_waits_for_one_row_the_longer_counts(waits: tuple[str, str], among: tuple[dict[str, Any], ...]) -> None:
    """If a row has two waits, the longer counts, in any order, and also beside a contradicting status."""
    said = [{"id": "0", "status": 429, "headers": {"Retry-After": wait}} for wait in waits]
    assert answer(*said, *among).waits == {0: 9.0}
    assert replies(*said, *among) == {0: Reply(429, "", "", 9.0)}
    gone = {"id": "0", "status": 404}
    assert answer(*said, gone, *among).waits == {0: 9.0}
    assert replies(*said, gone, *among) == {0: None}


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"Retry-After": [9, "7"]}, 9.0),
        ({"Retry-After": [*["1"] * 9, "5"]}, 5.0),
        ({"Retry-After": [*["1"] * 10, "5"]}, 1.0),  # ten of a list are read
        ({"Retry-After": MINUTE_LATER, "Date": NOON}, 61.0),
        ({"Retry-After": MINUTE_LATER}, 31.0),  # from the answer's own date
        (["Retry-After", 3], None),
        ("Retry-After: 3", None),
        (None, None),
    ],
)
@pytest.mark.parametrize("among", [(), (ODD,)], ids=["quick", "tolerant"])
def test_the_wait_of_a_row(headers: object, wait_s: float | None, among: tuple[dict[str, Any], ...]) -> None:
    """A row's wait may be seconds or a date, one or several; a value that is not a header gives no wait."""
    said = {"id": "0", "status": 429, "headers": headers}
    found = answer(said, *among, headers={"date": "Thu, 01 Jan 2026 12:00:30 GMT"})
    assert found.replies == {0: Reply(429, "", "", wait_s)}


@pytest.mark.parametrize(("date", "wait_s"), [({}, 61.0), ({"DATE": "Thu, 01 Jan 2026 12:00:30 GMT"}, 31.0)])
def test_the_wait_of_a_call(date: dict[str, str], wait_s: float) -> None:
    """A call's wait with a date counts from the answer's date, or from the time of its arrival."""
    headers = {"Retry-after": MINUTE_LATER, **date}
    assert decode_answer(503, headers, b"", 1, NOON_UTC).outer == Reply(503, "", "", wait_s)


# --------------------------------------------------------------------------------------------------------------- texts


def test_codes_and_request_ids_are_kept_to_a_hundred_characters() -> None:
    """Codes and request ids are cut to 100 characters and messages to 300, so that a hostile service cannot fill the ledger."""
    long = "x" * 500
    for error in ({"code": long, "message": long}, long):
        body = {"error": error, "error_description": long}
        reply = Reply(404, "x" * 100, "x" * 300)
        assert replies({"id": "0", "status": 404, "body": body}) == {0: reply}
    assert answer(headers={"request-id": long}).request_id == "x" * 100
