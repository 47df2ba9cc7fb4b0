"""Turns the bytes of an answer into replies, one for each row of a batch.

This module knows the shape of answers, and every deviation from it that users have reported. It knows nothing of connections, and
it judges nothing (see `purgeengine.core.graph.verdicts`). Sub-responses are matched by id, never by their order.

A quick decoder reads what the documentation promises. A slower, tolerant decoder reads everything else, with the same result.
Sources: json-batching of Microsoft Graph's documentation, and public threads about answers that deviate from it.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from purgeengine.core.graph.bodies import UNREADABLE, body_to_keep, error_in, json_or_none, lenient_json
from purgeengine.core.graph.claims_challenge import claims_of
from purgeengine.core.graph.encode import BATCH_ITEMS_MAX
from purgeengine.core.graph.foreign_answers import is_graphs, sentence
from purgeengine.core.graph.operations import PERMANENT, Operation
from purgeengine.core.graph.retry_after import retry_after_s
from purgeengine.core.graph.text import CODE_LENGTH_MAX, printable
from purgeengine.core.model import NOT_FROM_GRAPH, PURGED_REPLY, Answer, Reply
from purgeengine.errors import Intercepted, NoAnswer


class _SubResponse(msgspec.Struct):
    """A sub-response as documented. Headers and body stay undecoded, because a 204, the usual answer, needs neither."""

    id: str | int
    status: int
    headers: msgspec.Raw = msgspec.Raw()
    body: msgspec.Raw = msgspec.Raw()


class _Responses(msgspec.Struct):
    responses: list[_SubResponse]


_decode_quickly = msgspec.json.Decoder(_Responses).decode
_INDEX_OF_ID: dict[str | int, int] = {str(index): index for index in range(BATCH_ITEMS_MAX)}
_INDEX_OF_ID.update({index: index for index in range(BATCH_ITEMS_MAX)})


def decode_answer(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    size: int,
    now_utc: float,
    operation: Operation = PERMANENT,
) -> Answer:
    """Return what an HTTP answer says about a batch of ``size`` rows of one operation.

    ``headers`` may be in any letter case. ``now_utc`` is when the answer came, in seconds since 1970; it is used for a
    ``Retry-After`` that is a date if the answer has no ``Date``. Sub-responses are read whatever the outer status is.

    Raises `NoAnswer` if the status is good and the body cannot be read; then every row of the batch is in doubt. Raises its
    subclass `Intercepted` if such an answer does not come from Graph.
    """
    named = _lower_case(headers)
    replies = _Replies(size, named.get("date"), now_utc, keeps_body=operation.keeps_body)
    problem = _read_sub_responses(body, replies)
    went_well = 200 <= status < 300
    if problem and went_well:
        if problem == CUT_SHORT and (packing := _packing_of(named, body)):
            problem = f"its body could not be unpacked ({packing})"
        raise _unreadable(status, named, body, problem)
    outer = Reply(status) if went_well else _outer_error(status, named, body, has_rows=not problem)
    wait_s = retry_after_s(named.get("retry-after"), named.get("date"), now_utc)
    if wait_s is not None:
        outer = outer._replace(retry_after_s=wait_s)
    speaks_of_rows = not problem and (went_well or bool(replies.found))
    return Answer(
        outer,
        replies.found if speaks_of_rows else None,
        printable(named.get("request-id"), CODE_LENGTH_MAX),
        replies.waits,
        claims_of(named.get("www-authenticate")) if status == 401 else "",
    )


class _Replies:
    """Collects the reply to each row, by index. Two replies that differ give None."""

    def __init__(self, size: int, date: str | None, now_utc: float, *, keeps_body: bool) -> None:
        self.size = size
        self.found: dict[int, Reply | None] = {}
        self.waits: dict[int, float] = {}
        self._date = date
        self._now_utc = now_utc
        self._keeps_body = keeps_body

    def add(self, index: int, status: object, headers: object, body: object) -> None:
        """Add one sub-response.

        If its status cannot be read, the row's reply is None, even if another sub-response was readable.
        """
        code = _status_of(status)
        if code is None:
            self.found[index] = None
            return
        if code == 204:
            reply = PURGED_REPLY
        elif 200 <= code < 300:
            reply = Reply(code, body=body_to_keep(body) if self._keeps_body else b"")
        else:
            reply = Reply(code, *error_in(body), self._wait_s(headers))
        if code == 429 and reply.retry_after_s is not None:
            self.waits[index] = max(self.waits.get(index, 0.0), reply.retry_after_s)
        self.found[index] = _agreed(self.found[index], reply) if index in self.found else reply

    def _wait_s(self, headers: object) -> float | None:
        if not isinstance(headers, dict) or not headers:
            return None
        named = {name.lower(): value for name, value in headers.items()}
        header = named.get("retry-after")
        if isinstance(header, list):
            header = ",".join(value if isinstance(value, str) else str(value) for value in header[:10])
        return retry_after_s(header, named.get("date") or self._date, self._now_utc)


def _agreed(first: Reply | None, second: Reply) -> Reply | None:
    """Merge two replies to one row: the first reply, with the longer wait. None if they differ in status or code."""
    if first is None or (first.status, first.code) != (second.status, second.code):
        return None
    waits = [reply.retry_after_s for reply in (first, second) if reply.retry_after_s is not None]
    return first._replace(retry_after_s=max(waits)) if waits else first


def _read_sub_responses(body: bytes, replies: _Replies) -> str | None:
    """Add every sub-response to the replies.

    Returns None, or half a sentence that says why there are none to read.
    """
    try:
        sub_responses = _decode_quickly(body).responses
    except UNREADABLE:
        return _read_tolerantly(body, replies)
    found, add, size = replies.found, replies.add, replies.size
    for sub_response in sub_responses:
        index = _INDEX_OF_ID.get(sub_response.id)
        if index is None:
            index = index_of(sub_response.id)
        if index is None or index >= size:
            continue
        if sub_response.status == 204 and index not in found:  # nearly all of them
            found[index] = PURGED_REPLY
        else:
            add(index, sub_response.status, _parsed(sub_response.headers), _parsed(sub_response.body))
    return None


CUT_SHORT = "its body was cut short or is not JSON"


def _packing_of(named: Mapping[str, str], body: bytes) -> str:
    """Return how the body is compressed, by its header or its first bytes; empty if it is not compressed."""
    if body.startswith(b"\x1f\x8b"):
        return "gzip"
    packing = named.get("content-encoding", "").strip().lower()
    return packing if packing in ("gzip", "x-gzip", "deflate", "br", "zstd") else ""


def _read_tolerantly(body: bytes, replies: _Replies) -> str | None:
    """Add the sub-responses of an answer that deviates from the documentation.

    Returns None, or half a sentence that says why there are none to read.
    """
    if not body.strip():
        return "its body was empty"
    try:
        answer = lenient_json(body)
    except UNREADABLE:
        return CUT_SHORT
    sub_responses = answer.get("responses") if isinstance(answer, dict) else None
    if not isinstance(sub_responses, list):
        return "its body holds no list of responses"
    for sub_response in sub_responses:
        if isinstance(sub_response, dict):
            index = index_of(sub_response.get("id"))
            if index is not None and index < replies.size:
                replies.add(index, sub_response.get("status"), sub_response.get("headers"), sub_response.get("body"))
    return None


def index_of(name: object) -> int | None:
    """Return the index of the row that a sub-response's id names; None if it is not one of our ids.

    Our ids are numbers written as text. Graph ignores the letter case of ids, which changes nothing in a number.
    """
    if isinstance(name, bool) or not isinstance(name, str | int):
        return None
    return _INDEX_OF_ID.get(name.strip() if isinstance(name, str) else name)


def _status_of(status: object) -> int | None:
    """Return an HTTP status that is a number or digits; None for anything else."""
    if isinstance(status, str) and status.strip().isdecimal() and len(status) <= 10:
        status = int(status)
    if isinstance(status, bool) or not isinstance(status, int | float) or not 100 <= status <= 599:
        return None
    return int(status) if status == int(status) else None


def _parsed(raw: msgspec.Raw) -> object:
    """Return the value; None if it is absent or cannot be read. Then only the status counts."""
    return json_or_none(raw) if len(memoryview(raw)) else None


# --------------------------------------------------------------------------------------------------------------- errors


def _outer_error(status: int, headers: Mapping[str, str], body: bytes, *, has_rows: bool) -> Reply:
    """Return the reply for a call that was refused as a whole. Its body may be anything, for example the page of a proxy."""
    parsed = json_or_none(body)
    if not has_rows and not is_graphs(status, headers, body, parsed):
        return Reply(status, NOT_FROM_GRAPH, sentence(status, headers, body))
    return Reply(status, *error_in(parsed))


def _unreadable(status: int, headers: Mapping[str, str], body: bytes, problem: str) -> NoAnswer:
    """Return the error for a body that cannot be read.

    It is `NoAnswer` if the answer comes from Graph, whose answers are sometimes cut short. Otherwise it is `Intercepted`.
    """
    if is_graphs(status, headers, body, json_or_none(body)):
        return NoAnswer(f"Graph answered {status}, and {problem}")
    return Intercepted(f"{sentence(status, headers, body)}; {problem}")


def _lower_case(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
