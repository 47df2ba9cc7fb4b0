"""Write the tenant's answers as Graph does: in any order, with bodies of any shape, and with what chance omits or adds.

This module only turns decisions into bytes, and reports which of them the client can read.
"""

from __future__ import annotations

import base64
from typing import Any, NamedTuple

import msgspec

from purgeengine.sim.graph.call import Call
from purgeengine.sim.graph.faults import Chance
from purgeengine.sim.wire.answers import SubResponse, Wait, encode, error_body, iso_date, over_concurrency

_ITEM_503 = SubResponse(503, "ErrorServerBusy", "The server cannot service this request right now.")


_JSON = {"Content-Type": "application/json"}
_NO_CONTENT = {"Cache-Control": "private"}
"""The headers of a 204 as captured. An answer without content has no content type, and a client may refuse one that has."""


class Rendered(NamedTuple):
    """The body of an answer. ``shown`` lists what it contains, as (index of the sub-request, reply).

    ``status`` and ``wait`` are those of the answer itself.
    """

    body: bytes
    shown: list[tuple[int, SubResponse]]
    status: int = 200
    wait: Wait | None = None


def render(call: Call, chance: Chance, utc_s: float) -> Rendered:
    """Return the answer to a whole batch, with its sub-responses shuffled. ``utc_s`` is the wall-clock time of the answer."""
    shown = _shown(call, chance)
    inner = _inner(call, utc_s)
    responses = [_sub_response(call.items[index].id, said, inner, chance) for index, said in shown]
    if chance.mangles and chance.happens("item_unknown"):
        responses.append({"id": f"nobody-asked-{call.number}", "status": 204})
    chance.rng.shuffle(responses)
    return Rendered(encode({"responses": responses}), shown)


def render_one(call: Call, utc_s: float) -> Rendered:
    """Return the answer to a single request."""
    said = call.results[0]
    assert said is not None, "a single request ended without a result"
    body = b""
    if said.status != 204:
        body = encode(said.found if said.status < 400 else error_body(said, _inner(call, utc_s)))
    return Rendered(body, [(0, said)], said.status, said.wait)


def outer_error(call: Call, said: SubResponse, utc_s: float) -> bytes:
    """Return the body of an answer that refuses or fails the whole call."""
    return encode(error_body(said, _inner(call, utc_s)))


def _inner(call: Call, utc_s: float) -> dict[str, str]:
    """Return what identifies a request in its errors."""
    return {
        "date": iso_date(utc_s),
        "request-id": call.request_id,
        "client-request-id": call.client_request_id or call.request_id,
    }


def _shown(call: Call, chance: Chance) -> list[tuple[int, SubResponse]]:
    """Return the replies in the answer: one for each sub-request, unless chance omits or repeats it."""
    said_of = [(index, said) for index, said in enumerate(call.results) if said is not None]
    if not chance.mangles:
        return said_of
    shown = []
    for index, said in said_of:
        if chance.happens("item_missing"):
            continue
        shown.append((index, said))
        if chance.happens("item_repeated"):
            shown.append((index, said if chance.evenly() else _contradiction(chance)))
    return shown


def _contradiction(chance: Chance) -> SubResponse:
    return over_concurrency(1) if chance.evenly() else _ITEM_503


def _sub_response(name: str, said: SubResponse, inner: dict[str, str], chance: Chance) -> dict[str, Any]:
    response: dict[str, Any] = {"id": name, "status": said.status}
    bare = chance.is_bare()
    if said.wait is not None:
        # Header names compare without letter case, and the service itself uses both spellings.
        spelling = "retry-after" if chance.mangles and chance.evenly() else "Retry-After"
        response["headers"] = {spelling: said.wait.text, **_JSON}
    elif not bare:
        response["headers"] = _NO_CONTENT if said.found is None and said.status < 400 else _JSON
    if said.status < 400:
        if said.found is not None or not bare:
            response["body"] = said.found
        return response
    response["body"] = error_body(said, inner)
    if chance.mangles and chance.happens("odd_body"):
        _make_odd(response, said, inner, chance)
    return response


def _make_odd(response: dict[str, Any], said: SubResponse, inner: dict[str, str], chance: Chance) -> None:
    """Give the sub-response another body of the kinds that were seen: absent, null, base64, other spellings."""
    match chance.rng.randrange(5):
        case 0:
            del response["body"]
        case 1:
            response["body"] = None
        case 2:
            response["body"] = base64.b64encode(msgspec.json.encode(response["body"])).decode("ascii")
        case 3:
            response["body"] = error_body(said, None)
        case _:
            response["body"] = error_body(said, inner, "innererror")
