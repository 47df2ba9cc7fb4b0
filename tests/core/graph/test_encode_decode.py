"""Tests of the JSON of Graph's batches: rows become bytes, and answers of any form become replies."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purgeengine.core.graph.decode import decode_answer
from purgeengine.core.graph.encode import encode_batch
from purgeengine.core.graph.operations import GET_USER, PERMANENT, Action, IdType, Operation, deletion_by
from purgeengine.core.model import PURGED_REPLY, Answer, Item, Reply
from purgeengine.errors import NoAnswer
from tests.fuzz.targets import answers
from tests.support.fixtures import folder_rows_of
from tests.support.oracles import check_urls
from tests.support.properties import examples

VECTORS = Path(__file__).parents[2] / "vectors"
ANN = Item("ann@contoso.example", "", "AAMkAGI2")
NOW_UTC = 1_767_225_600.0


def vectors(name: str) -> list[Any]:
    """Return the vectors of a file as test parameters, with their names as ids."""
    return [pytest.param(v, id=v["name"]) for v in json.loads((VECTORS / name).read_text(encoding="utf-8"))]


def decoded(vector: dict[str, Any], operation: Operation = PERMANENT) -> Answer:
    """Decode the answer of a vector."""
    body = vector["body"].encode("utf-8", "surrogatepass")
    return decode_answer(vector["status"], vector["headers"], body, vector["size"], vector["now_utc"], operation)


def as_json(answer: Answer) -> dict[str, Any]:
    """Return an answer in the form of the vectors."""
    replies = None if answer.replies is None else {str(i): r and list(r[:4]) for i, r in sorted(answer.replies.items())}
    waits = {str(index): wait for index, wait in answer.waits.items()}
    return {"outer": list(answer.outer[:4]), "replies": replies, "waits": waits, "request_id": answer.request_id}


def url_of(item: Item, operation: Operation = PERMANENT) -> str:
    """The url of a row's sub-request."""
    (request,) = json.loads(encode_batch(folder_rows_of([item]), operation))["requests"]
    return str(request["url"])


# ------------------------------------------------------------------------------------------------------------- encoding


@pytest.mark.parametrize("vector", vectors("urls.json"))
def test_the_url_of_a_row(vector: dict[str, Any]) -> None:
    """A row's URL has every segment percent-encoded once, and a user name that begins with $ in its own form."""
    item = Item(*vector["item"])
    assert url_of(item) == vector["url"]


@pytest.mark.parametrize(
    "item",
    [
        Item("", "", "A"),
        Item("../me", "", "A"),
        Item("ann@contoso.example", "", ""),
        Item("ann@contoso.example", "", "a/b"),
        Item("ann@contoso.example", "..", "A"),
        Item("ann@contoso.example", "", 'a"b'),
    ],
)
def test_an_invalid_row_is_a_mistake_of_ours(item: Item) -> None:
    """An invalid row is refused as our mistake, because rows are checked when they are read."""
    with pytest.raises(AssertionError):
        encode_batch(folder_rows_of([item]))


def test_a_batch_as_graph_wants_it() -> None:
    """A batch has ids from 0, and each sub-request has a content type and an empty body.

    Without them Graph refuses the whole batch.
    """
    ben = Item("ben@contoso.example", "F+", "B=")
    assert json.loads(encode_batch(folder_rows_of([ANN, ben]))) == {
        "requests": [
            {
                "id": "0",
                "method": "POST",
                "url": "/users/ann@contoso.example/contacts/AAMkAGI2/permanentDelete",
                "headers": {"Content-Type": "application/json"},
                "body": {},
            },
            {
                "id": "1",
                "method": "POST",
                "url": "/users/ben@contoso.example/contactFolders/F%2B/contacts/B=/permanentDelete",
                "headers": {"Content-Type": "application/json"},
                "body": {},
            },
        ]
    }


def test_a_plain_delete_has_no_body_and_no_headers() -> None:
    """With ``--action delete``, a sub-request is a DELETE of the contact without body and headers."""
    assert json.loads(encode_batch(folder_rows_of([ANN, ANN]), deletion_by(Action.DELETE))) == {
        "requests": [
            {"id": "0", "method": "DELETE", "url": "/users/ann@contoso.example/contacts/AAMkAGI2"},
            {"id": "1", "method": "DELETE", "url": "/users/ann@contoso.example/contacts/AAMkAGI2"},
        ]
    }


@pytest.mark.parametrize("action", Action)
def test_immutable_ids_are_announced_in_every_sub_request(action: Action) -> None:
    """With immutable ids, every sub-request has the header Prefer and is otherwise unchanged."""
    plain = json.loads(encode_batch(folder_rows_of([ANN] * 20), deletion_by(action)))["requests"]
    immutable = json.loads(encode_batch(folder_rows_of([ANN] * 20), deletion_by(action, IdType.IMMUTABLE)))["requests"]
    assert [request["headers"].pop("Prefer") for request in immutable] == ['IdType="ImmutableId"'] * 20
    assert [{"headers": {}, **request} for request in plain] == immutable


def test_a_batch_holds_one_to_twenty_rows() -> None:
    """A batch has 1 to 20 rows, and other numbers are refused as our mistake."""
    assert len(json.loads(encode_batch(folder_rows_of([ANN] * 20)))["requests"]) == 20
    for count in (0, 21):
        with pytest.raises(AssertionError):
            encode_batch(folder_rows_of([ANN] * count))


# ------------------------------------------------------------------------------------------------------------- decoding


@pytest.mark.parametrize("vector", [v for v in vectors("answers.json") if "no_answer" not in v.values[0]["expected"]])
def test_an_answer_as_it_has_been_seen(vector: dict[str, Any]) -> None:
    """Each known form of answer gives the expected replies, waits and outer reply."""
    assert as_json(decoded(vector)) == vector["expected"]


@pytest.mark.parametrize("vector", [v for v in vectors("answers.json") if "no_answer" not in v.values[0]["expected"]])
def test_an_answer_to_a_read_is_read_as_that_to_a_purge(vector: dict[str, Any]) -> None:
    """Statuses, errors and waits are the same; the bodies come with those that went well."""
    purge, reading = decoded(vector), decoded(vector, GET_USER)
    assert as_json(reading) == as_json(purge)
    assert (reading.outer, reading.claims) == (purge.outer, purge.claims)
    for reply in (reading.replies or {}).values():
        assert reply is None or not reply.body or 200 <= reply.status < 300


@pytest.mark.parametrize("vector", [v for v in vectors("answers.json") if "no_answer" in v.values[0]["expected"]])
def test_an_answer_that_cannot_be_read_is_none(vector: dict[str, Any]) -> None:
    """An unreadable answer to a successful call raises `NoAnswer`, so that its rows are in doubt."""
    with pytest.raises(NoAnswer, match=vector["expected"]["no_answer"]):
        decoded(vector)


def test_every_success_is_one_object() -> None:
    """All 204 replies share one object, because nearly all replies are a 204."""
    body = json.dumps({"responses": [{"id": str(n), "status": 204} for n in range(20)]}).encode()
    replies = decode_answer(200, {}, body, 20, NOW_UTC).replies
    assert replies is not None
    assert all(reply is PURGED_REPLY for reply in replies.values())
    assert list(replies) == list(range(20))


def test_quick_and_tolerant_reading_agree() -> None:
    """The fast and the tolerant reading agree: one odd element sends the whole answer the tolerant way."""
    plain = json.loads((VECTORS / "answers.json").read_text(encoding="utf-8"))[0]
    odd = json.loads(plain["body"])
    odd["responses"].append({"id": None})
    assert decoded(plain) == decoded({**plain, "body": json.dumps(odd)})


def test_half_a_character_in_an_error_breaks_nothing() -> None:
    """An error body cut within a character leaves the reply with its status alone."""
    body = b'{"responses":[{"id":"0","status":500,"body":"\\ud83d"}]}'
    assert decode_answer(200, {}, body, 1, NOW_UTC).replies == {0: Reply(500)}


def test_an_error_that_cannot_be_read_leaves_the_status_to_speak() -> None:
    """Broken UTF-8 in an error leaves its row with the status, and does not change its neighbour."""
    body = b'{"responses":[{"id":"0","status":404,"body":{"error":{"code":"\xff"}}},{"id":"1","status":204}]}'
    replies = decode_answer(200, {}, body, 2, NOW_UTC).replies
    assert replies is not None
    assert replies == {0: Reply(404, "\ufffd"), 1: PURGED_REPLY}


@examples(200)
@given(st.binary(max_size=200), st.integers(100, 599))
def test_no_bytes_break_the_decoder(body: bytes, status: int) -> None:
    """Random bytes are decoded into an answer or raise `NoAnswer`; ``answers.check_answer`` checks what must hold."""
    answers.check_answer(status, {"Retry-After": "x"}, body, 20)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["code", "message", "error", "Retry-After", "date", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
ODD_SUB_RESPONSE = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["0", "1", "2", 0, 1, " 1", "99", None, 1.0]) | ANY_JSON,
        "status": st.sampled_from([204, 404, 429, 503, "204", 200.0]) | ANY_JSON,
        "headers": st.dictionaries(st.sampled_from(["Retry-After", "retry-after", "Date"]), ANY_JSON, max_size=2)
        | ANY_JSON,
        "body": ANY_JSON,
    },
)


@examples(300)
@given(st.lists(ODD_SUB_RESPONSE | ANY_JSON, max_size=6), st.sampled_from([200, 424, 429, 503]))
def test_no_json_breaks_the_decoder(sub_responses: list[Any], status: int) -> None:
    """Random sub-responses give replies only for rows of the batch, lose none, and keep only texts that can be stored."""
    answers.check_answer(status, {}, json.dumps({"responses": sub_responses}).encode(), 3)


SEEN = json.loads((VECTORS / "answers.json").read_text(encoding="utf-8"))


@st.composite
def mutilated(draw: st.DrawFn) -> tuple[dict[str, Any], bytes]:
    """Draw a known answer with a part replaced, left out or repeated, or with its bytes cut or changed."""
    vector = draw(st.sampled_from(SEEN))
    body = vector["body"].encode("utf-8", "surrogatepass")
    if draw(st.booleans()):
        with suppress(ValueError, RecursionError):
            found = json.loads(body)
            for _ in range(draw(st.integers(1, 3))):
                change_something(draw, found)
            body = json.dumps(found).encode()
    else:
        start = draw(st.integers(0, len(body)))
        body = body[:start] + draw(st.binary(max_size=4)) + body[draw(st.integers(start, len(body))) :]
    return vector, body


def change_something(draw: st.DrawFn, inside: Any) -> None:
    """Change one random member at a random depth."""
    while isinstance(inside, dict | list) and inside:
        place = draw(st.sampled_from(sorted(inside) if isinstance(inside, dict) else range(len(inside))))
        if isinstance(inside[place], dict | list) and inside[place] and draw(st.integers(0, 3)):
            inside = inside[place]
            continue
        if isinstance(inside, list) and draw(st.booleans()):
            inside.append(inside[place])
        elif draw(st.booleans()):
            del inside[place]
        else:
            inside[place] = draw(ANY_JSON)
        return


@examples(300)
@given(mutilated())
def test_no_mutilated_answer_breaks_the_decoder(answer: tuple[dict[str, Any], bytes]) -> None:
    """A known answer with a random change is decoded or raises `NoAnswer`, and loses no row that it speaks of."""
    vector, body = answer
    answers.check_answer(vector["status"], vector["headers"], body, vector["size"])


@examples(100)
@given(st.sampled_from(SEEN), st.randoms(use_true_random=False))
def test_the_order_of_the_responses_says_nothing(vector: dict[str, Any], rng: Any) -> None:
    """The order of the responses does not matter unless an id occurs twice."""
    try:
        shuffled = json.loads(vector["body"])
        ids = [str(said["id"]).strip() for said in shuffled["responses"]]
    except (ValueError, TypeError, KeyError, RecursionError):
        return
    if len(set(ids)) == len(ids) and "no_answer" not in vector["expected"]:
        rng.shuffle(shuffled["responses"])
        assert decoded({**vector, "body": json.dumps(shuffled)}) == decoded(vector)


IDS = st.text("ABCabc012-_=+", min_size=1, max_size=20)
USERS = st.sampled_from(["ann@contoso.example", "$x'y@contoso.example", "g#EXT#@contoso.example"])


@given(
    st.lists(st.builds(Item, USERS, st.just("") | IDS, IDS), min_size=1, max_size=20),
    st.randoms(use_true_random=False),
    st.data(),
)
def test_what_is_sent_is_what_is_answered(items: list[Item], rng: Any, data: st.DataObject) -> None:
    """Each row gets the status of its own sub-request, in whatever order the service answers."""
    check_urls(items)
    requests = json.loads(encode_batch(folder_rows_of(items)))["requests"]
    assert [request["url"] for request in requests] == [url_of(item) for item in items]
    statuses = data.draw(st.lists(st.sampled_from([204, 404, 500]), min_size=len(items), max_size=len(items)))
    sub_responses = [{"id": r["id"], "status": s} for r, s in zip(requests, statuses, strict=True)]
    rng.shuffle(sub_responses)
    body = json.dumps({"responses": sub_responses}).encode()
    replies = decode_answer(200, {}, body, len(items), NOW_UTC).replies
    assert replies == {index: Reply(status) for index, status in enumerate(statuses)}
