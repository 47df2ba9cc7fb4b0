"""The decoder of Graph's answers.

An input is a line with the HTTP status, the number of rows asked about and a ``Retry-After``, then the body.

1. An answer or `NoAnswer`, the latter only where the call went well by its status.
2. Only rows of the batch are spoken of; a row of which the body says one status and one code has that status, whatever else is
   in the body; one of which it says nothing is left out.
3. The quick and the tolerant way of reading agree.
4. Texts are printable and bounded, statuses and waits are within theirs.
5. An operation that keeps bodies is told the same, and what it keeps can be read again.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from unittest import mock

import msgspec

from purgeengine.core.graph import decode
from purgeengine.core.graph.bodies import found_in
from purgeengine.core.graph.operations import GET_USER, PERMANENT, Operation
from purgeengine.core.graph.retry_after import WAIT_S_MAX
from purgeengine.core.graph.text import CODE_LENGTH_MAX, MESSAGE_LENGTH_MAX
from purgeengine.core.model import Answer, Reply
from purgeengine.errors import NoAnswer

NOW_UTC = 1_767_225_600.0
TOKENS = (
    b'{"responses":[', b'{"id":"0","status":204}', b'"id":"', b'"status":', b'"headers":{', b'"Retry-After":"', b'"body":{"error":{',
    b'"code":"ErrorItemNotFound"', b'"message":"', b'"innerError":{', b"404", b"429", b"503", b"null", b"0.249", b"\\ud83d", b"1e999",
    b'"eyJlcnJvciI6e319"', b"\xff", b"Thu, 01 Jan 2026 12:00:30 GMT",
)  # fmt: skip


def case(data: bytes) -> None:
    """Check one answer."""
    head, _, body = data.partition(b"\n")
    status, size, wait = [*head.split(b" ", 2), b"", b"", b""][:3]
    http_status = 100 + int(status) % 500 if status[:9].isdigit() and len(status) < 10 else 200
    rows = 1 + int(size) % 20 if size[:3].isdigit() and len(size) < 4 else 20
    headers = {"Retry-After": wait.decode("latin-1"), "request-id": wait.decode("latin-1")} if wait else {}
    check_answer(http_status, headers, body, rows)


def check_answer(http_status: int, headers: dict[str, str], body: bytes, rows: int) -> None:
    """See above."""
    answer = decoded(http_status, headers, body, rows)
    read = decoded(http_status, headers, body, rows, GET_USER)
    assert without_bodies(read) == answer, "a read is told something else than a purge"
    with mock.patch.object(decode, "_decode_quickly", side_effect=msgspec.ValidationError):
        assert decoded(http_status, headers, body, rows) == answer, "quick and tolerant reading differ"
        assert decoded(http_status, headers, body, rows, GET_USER) == read, "they differ in a body"
    for reply in ((read and read.replies) or {}).values():
        assert reply is None or isinstance(found_in(reply), dict)
    if answer is not None:
        check(answer, http_status, rows)
        check_against_plain_json(answer, body, rows)


def without_bodies(answer: Answer | None) -> Answer | None:
    """The same answer, as an operation is told it that keeps none."""
    if answer is None or answer.replies is None:
        return answer
    replies = {index: reply and reply._replace(body=b"") for index, reply in answer.replies.items()}
    return replace(answer, replies=replies)


def decoded(
    status: int, headers: dict[str, str], body: bytes, rows: int, operation: Operation = PERMANENT
) -> Answer | None:
    """Return the decoder's result. None if it raises `NoAnswer`."""
    try:
        return decode.decode_answer(status, headers, body, rows, NOW_UTC, operation)
    except NoAnswer as error:
        assert 200 <= status < 300, "a refused call is an answer, whatever its body"
        assert str(error).isprintable()
        return None


def check(answer: Answer, status: int, rows: int) -> None:
    """Check what holds for any answer by itself."""
    replies = answer.replies or {}
    assert answer.outer.status == status
    assert set(replies) <= set(range(rows))
    assert set(answer.waits) <= set(replies)
    assert all(0 <= wait <= WAIT_S_MAX for wait in answer.waits.values())
    assert answer.request_id.isprintable()
    for reply in [answer.outer, *(reply for reply in replies.values() if reply is not None)]:
        check_reply(reply)


def check_reply(reply: Reply) -> None:
    """Check that a reply can be stored and shown."""
    assert 100 <= reply.status <= 599
    assert (reply.code + reply.message).isprintable()
    assert len(reply.code) <= CODE_LENGTH_MAX
    assert len(reply.message) <= MESSAGE_LENGTH_MAX
    assert reply.retry_after_s is None or 0 <= reply.retry_after_s <= WAIT_S_MAX


def check_against_plain_json(answer: Answer, body: bytes, rows: int) -> None:
    """Check that every row in the body has a reply and no other row has one, as the standard library reads the body."""
    try:
        found: Any = json.loads(body)
    except (ValueError, RecursionError):
        return
    if not isinstance(found, dict) or not isinstance(found.get("responses"), list):
        assert not answer.replies
        return
    said: dict[int, list[Any]] = {}
    for sub_response in found["responses"]:
        if isinstance(sub_response, dict) and (index := index_of(sub_response.get("id"), rows)) is not None:
            said.setdefault(index, []).append(sub_response.get("status"))
    assert set(answer.replies or {}) == set(said)
    for index, statuses in said.items():
        reply = (answer.replies or {})[index]
        if reply is not None:
            assert {int(status) for status in statuses} == {reply.status}
        elif len(statuses) == 1:
            assert not (type(statuses[0]) is int and 100 <= statuses[0] <= 599), "a plain status was lost"


def index_of(name: object, rows: int) -> int | None:
    """Return the row that an id names: its number, as a number or as text."""
    text = str(name) if type(name) is int else name.strip() if isinstance(name, str) else ""
    return next((index for index in range(rows) if str(index) == text), None)
