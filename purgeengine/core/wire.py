"""Graph's JSON batches, both directions: rows to the bytes of a ``$batch`` request, an answer's bytes to replies.

Knows the shape of the wire and every deviation from it that users have reported; knows nothing of connections, and judges
nothing (see `purgeengine.core.verdicts`). Sub-responses are matched by id, never by position. One way of reading is quick and
covers what the documentation promises; whatever it cannot read goes through the tolerant one, slower and to the same end.
Sources: the documentation of JSON batching, and the threads about answers that depart from it.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from purgeengine.core.action import PERMANENT, Action, Deletion, IdType
from purgeengine.core.challenge import claims_of
from purgeengine.core.foreign import CODE_LENGTH_MAX, MESSAGE_LENGTH_MAX, printable
from purgeengine.core.identifiers import ID_LENGTH_MAX, id_problem, is_id, of_id_characters, user_problem
from purgeengine.core.model import NOT_FROM_GRAPH, PURGED_REPLY, Answer, Item, Reply, Stretch
from purgeengine.core.redaction import TEXT_LENGTH_MAX, told
from purgeengine.core.retry_after import retry_after_s
from purgeengine.core.strangers import is_graphs, sentence
from purgeengine.errors import Intercepted, NoAnswer

BATCH_ITEMS_MAX = 20
"""Sub-requests in one batch (json-batching)."""

# ------------------------------------------------------------------------------------------------------------- encoding

PREFER_IMMUTABLE = 'IdType="ImmutableId"'
"""The value of ``Prefer`` where an id is immutable; it stands in every sub-request (outlook-immutable-id)."""


class _Form(NamedTuple):
    """What stands around the addresses of contacts in a body; made once for each kind of deletion, so that rows are not.

    ``before`` has what comes before each address, the end of the sub-request in front of it included, and ``after`` what comes
    behind the last one. ``serial`` is for lanes: every sub-request but the first depends on the one before it.
    """

    before: tuple[str, ...]
    serial: tuple[str, ...]
    after: str


def _form(deletion: Deletion) -> _Form:
    """A POST has a content type and an empty body, although the action takes none: without them Graph refuses the whole batch."""
    permanent = deletion.action is Action.PERMANENT_DELETE
    headers = {"Content-Type": "application/json"} if permanent else {}
    if deletion.id_type is IdType.IMMUTABLE:
        headers["Prefer"] = PREFER_IMMUTABLE
    rest = f',"headers":{msgspec.json.encode(headers).decode()}' if headers else ""
    after = f'/permanentDelete"{rest},"body":{{}}}}' if permanent else f'"{rest}}}'
    ask = f'"method":"{"POST" if permanent else "DELETE"}","url":"'
    first = f'{{"requests":[{{"id":"0",{ask}'
    others = (f'{after},{{"id":"{index}",{ask}' for index in range(1, BATCH_ITEMS_MAX))
    chained = (f'{after},{{"id":"{index}","dependsOn":["{index - 1}"],{ask}' for index in range(1, BATCH_ITEMS_MAX))
    return _Form((first, *others), (first, *chained), f"{after}]}}")


_FORMS = {deletion: _form(deletion) for deletion in (Deletion(a, i) for a in Action for i in IdType)}


def encode_batch(stretches: Iterable[Stretch], deletion: Deletion = PERMANENT, *, serial: bool = False) -> bytes:
    """The body of a ``$batch`` request that purges these rows; the sub-requests have the ids ``"0"``, ``"1"`` and so on.

    In a ``serial`` one each depends on the one before it, all the way: Graph refuses a batch that is neither that nor unordered.

    Takes 1 to 20 valid rows; anything else is a mistake of ours and trips an assertion. The JSON is put together by hand: a
    url holds only characters that `quote` leaves or makes, none of which JSON escapes.
    """
    urls: list[str] = []
    contacts: list[str] = []
    for user, folder, some in stretches:
        urls += [_contacts_url(user, folder)] * len(some)
        contacts += some
    rows = len(contacts)
    assert 1 <= rows <= BATCH_ITEMS_MAX, f"a batch of {rows}"
    _check_contacts(contacts)
    form = _FORMS[deletion]
    pieces = [form.after] * (3 * rows + 1)  # before each address, its two halves; behind them all
    pieces[: 3 * rows : 3] = (form.serial if serial else form.before)[:rows]
    pieces[1::3], pieces[2::3] = urls, contacts
    return _escaped("".join(pieces)).encode("ascii")  # nothing but an id has what needs it


def contact_url(item: Item) -> str:
    """Where the row's contact is, relative to the version's root. The row must be valid (see `identifiers`)."""
    _check_contacts([item.contact])
    return _contacts_url(item.user, item.folder) + _escaped(item.contact)


def _check_contacts(contacts: Sequence[str]) -> None:
    """All together, which is quicker than one by one; whoever is wrong is then named."""
    right = (
        of_id_characters("".join(contacts)) and 0 < min(map(len, contacts)) <= max(map(len, contacts)) <= ID_LENGTH_MAX
    )
    assert right, next(filter(None, (id_problem("contact", contact) for contact in contacts)))


def _contacts_url(user: str, folder: str) -> str:
    """How urls of the contacts in this folder begin."""
    if not folder:
        return f"{user_prefix(user)}/contacts/"
    assert is_id(folder), id_problem("folder", folder)
    return f"{user_prefix(user)}/contactFolders/{_escaped(folder)}/contacts/"


def _escaped(name: str) -> str:
    """Of an id's characters only ``+`` needs it."""
    return name.replace("+", "%2B")


@lru_cache(maxsize=1024)
def user_prefix(user: str) -> str:
    """How urls of this mailbox begin. Every segment is percent-encoded once (a guest's ``#EXT#`` becomes ``%23EXT%23``).

    A name that begins with ``$`` would be read as part of the query language and needs the form ``users('…')``, in which
    an apostrophe is doubled before it is encoded.
    """
    assert user_problem(user) is None, user_problem(user)
    if user.startswith("$"):
        quoted = quote(user.replace("'", "''"), safe="@=")
        return f"/users('{quoted}')"
    return f"/users/{quote(user, safe='@=')}"


# ------------------------------------------------------------------------------------------------------------- decoding


class _SubResponse(msgspec.Struct):
    """As documented. What is only needed for failures stays undecoded."""

    id: str | int
    status: int
    headers: msgspec.Raw = msgspec.Raw()
    body: msgspec.Raw = msgspec.Raw()


class _Responses(msgspec.Struct):
    responses: list[_SubResponse]


_decode_quickly = msgspec.json.Decoder(_Responses).decode
_decode_strictly = msgspec.json.Decoder().decode
UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""What the decoder raises for bytes that are not what it expects: other JSON, no JSON, bad UTF-8, absurd nesting."""
_INDEX_OF_ID: dict[str | int, int] = {str(index): index for index in range(BATCH_ITEMS_MAX)}
_INDEX_OF_ID.update({index: index for index in range(BATCH_ITEMS_MAX)})


def decode_answer(status: int, headers: Mapping[str, str], body: bytes, size: int, now_utc: float) -> Answer:
    """What an HTTP answer says about a batch of ``size`` rows.

    ``headers`` may be spelt in any letter case; ``now_utc`` (seconds since 1970) is when the answer came and serves a
    ``Retry-After`` with a date where the answer has no ``Date``. Raises `NoAnswer` when the call went well by its status and
    its body cannot be read: every row of the batch is in doubt then; `Intercepted`, a kind of it, when such an answer is not
    Graph's. Sub-responses are read whatever the outer status.
    """
    named = _lower_case(headers)
    replies = _Replies(size, named.get("date"), now_utc)
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
    """Gathers what is said of each row, by index; two answers that differ leave None."""

    def __init__(self, size: int, date: str | None, now_utc: float) -> None:
        self.size = size
        self.found: dict[int, Reply | None] = {}
        self.waits: dict[int, float] = {}
        self._date = date
        self._now_utc = now_utc

    def add(self, index: int, status: object, headers: object, body: object) -> None:
        """One sub-response. Without a status that can be read it says nothing, and contradicts what another one says."""
        code = _status_of(status)
        if code is None:
            self.found[index] = None
            return
        if code == 204:
            reply = PURGED_REPLY
        elif 200 <= code < 300:
            reply = Reply(code)
        else:
            reply = Reply(code, *_error_of(body), self._wait_s(headers))
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
    """One answer from two to the same row: the first with the longer wait, or None where they differ in what they mean."""
    if first is None or (first.status, first.code) != (second.status, second.code):
        return None
    waits = [reply.retry_after_s for reply in (first, second) if reply.retry_after_s is not None]
    return first._replace(retry_after_s=max(waits)) if waits else first


def _read_sub_responses(body: bytes, replies: _Replies) -> str | None:
    """Add every sub-response to the replies, or answer half a sentence on why there are none to be read."""
    try:
        sub_responses = _decode_quickly(body).responses
    except UNREADABLE:
        return _read_tolerantly(body, replies)
    found, add, size = replies.found, replies.add, replies.size
    for said in sub_responses:
        index = _INDEX_OF_ID.get(said.id)
        if index is None:
            index = index_of(said.id)
        if index is None or index >= size:
            continue
        if said.status == 204 and index not in found:  # nearly all of them
            found[index] = PURGED_REPLY
        else:
            add(index, said.status, _parsed(said.headers), _parsed(said.body))
    return None


CUT_SHORT = "its body was cut short or is not JSON"


def _packing_of(named: Mapping[str, str], body: bytes) -> str:
    """How the body came packed, by its header or its first bytes; empty for one that was not."""
    if body.startswith(b"\x1f\x8b"):
        return "gzip"
    packing = named.get("content-encoding", "").strip().lower()
    return packing if packing in ("gzip", "x-gzip", "deflate", "br", "zstd") else ""


def _read_tolerantly(body: bytes, replies: _Replies) -> str | None:
    """The same for an answer that departs from the documentation."""
    if not body.strip():
        return "its body was empty"
    try:
        answer = lenient_json(body)
    except UNREADABLE:
        return CUT_SHORT
    sub_responses = answer.get("responses") if isinstance(answer, dict) else None
    if not isinstance(sub_responses, list):
        return "its body holds no list of responses"
    for said in sub_responses:
        if isinstance(said, dict):
            index = index_of(said.get("id"))
            if index is not None and index < replies.size:
                replies.add(index, said.get("status"), said.get("headers"), said.get("body"))
    return None


def index_of(name: object) -> int | None:
    """Which row an id speaks of, or None where it is none of ours. Graph compares ids without case; ours are numbers."""
    if isinstance(name, bool) or not isinstance(name, str | int):
        return None
    return _INDEX_OF_ID.get(name.strip() if isinstance(name, str) else name)


def _status_of(status: object) -> int | None:
    """An HTTP status given as a number or as its digits, or None."""
    if isinstance(status, str) and status.strip().isdecimal() and len(status) <= 10:
        status = int(status)
    if isinstance(status, bool) or not isinstance(status, int | float) or not 100 <= status <= 599:
        return None
    return int(status) if status == int(status) else None


def _parsed(raw: msgspec.Raw) -> object:
    """The value, or None where it is absent or cannot be read: the status alone then speaks."""
    if not len(memoryview(raw)):
        return None
    try:
        return lenient_json(raw)
    except UNREADABLE:
        return None


# --------------------------------------------------------------------------------------------------------------- errors


def _outer_error(status: int, headers: Mapping[str, str], body: bytes, *, has_rows: bool) -> Reply:
    """The whole call was refused; its body may be anything, a proxy's page included."""
    parsed = _json_or_none(body)
    if not has_rows and not is_graphs(status, headers, body, parsed):
        return Reply(status, NOT_FROM_GRAPH, sentence(status, headers, body))
    return Reply(status, *_error_of(parsed))


def _unreadable(status: int, headers: Mapping[str, str], body: bytes, problem: str) -> NoAnswer:
    """Graph's answers come cut short at times; a page, and anything else that is no JSON, is somebody else's."""
    if is_graphs(status, headers, body, _json_or_none(body)):
        return NoAnswer(f"Graph answered {status}, and {problem}")
    return Intercepted(f"{sentence(status, headers, body)}; {problem}")


def _json_or_none(body: bytes) -> object:
    try:
        return lenient_json(body)
    except UNREADABLE:
        return None


def _error_of(body: object) -> tuple[str, str]:
    """Code and message of an error body: an object, or one written as a string or in base64. Empty where absent.

    Neither holds anything secret: a service may repeat the token that it was sent, and both are kept and shown.
    """
    if isinstance(body, str):
        body = _unpacked(body)
    if not isinstance(body, dict):
        return "", ""
    error = body.get("error")
    if isinstance(error, str):  # as the login endpoint writes it
        return _told(error, CODE_LENGTH_MAX), _told(body.get("error_description"))
    if not isinstance(error, dict):
        return "", ""
    message: Any = error.get("message")
    if isinstance(message, dict):  # as older OData services write it
        message = message.get("value")
    return _told(error.get("code"), CODE_LENGTH_MAX), _told(message)


def _told(text: object, length_max: int = MESSAGE_LENGTH_MAX) -> str:
    """The text without secrets. Most errors are the same few sentences, so that what was made of them is kept."""
    return _told_once(text[:TEXT_LENGTH_MAX], length_max) if isinstance(text, str) else ""


_told_once = lru_cache(maxsize=256)(told)  # of texts of at most 4,000 characters: about a megabyte


def _unpacked(text: str) -> object:
    """A body that came as a string: JSON in base64, or JSON itself; None when it is neither."""
    packed = text.encode("utf-8", "replace").strip()
    try:
        if not packed.startswith(b"{"):
            packed = base64.b64decode(packed, validate=True)
        return lenient_json(packed)
    except (*UNREADABLE, binascii.Error):
        return None


def lenient_json(body: bytes | msgspec.Raw) -> object:
    """Any JSON; raises one of `UNREADABLE` for anything else.

    What the strict decoder rejects (half an emoji where a message was cut, a byte order mark, UTF-16) may pass the standard
    library's. Bytes that are no text spoil the word they stand in, and not what is said of the other rows.
    """
    try:
        return _decode_strictly(body)
    except UNREADABLE:
        whole = bytes(body)
    try:
        return json.loads(whole)
    except UnicodeDecodeError:
        return json.loads(whole.decode("utf-8", "replace"))


def _lower_case(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
