"""Reads the body of a ``$batch`` call as strictly as Graph does, and says why a whole batch is refused.

Knows Graph's JSON and the rules for it (json-batching, and issues users reported); knows nothing of mailboxes, time or faults.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from purgeengine.sim.routes import BadUrl, Target, parse_url

BATCH_ITEMS_MAX = 20
"""Sub-requests in one batch (json-batching)."""
_INVALID = "Invalid batch payload format."


class SubRequest(NamedTuple):
    """One sub-request: its id as the client spelt it, and what it asks for or the refusal of its url."""

    id: str
    target: Target | BadUrl


class ParsedBatch(NamedTuple):
    """A batch that Graph accepts. ``sequential`` is true when each sub-request depends on the one before it."""

    items: tuple[SubRequest, ...]
    sequential: bool


class BatchRefused(Exception):
    """Graph refuses the whole batch with 400 BadRequest and ``message``; nothing of it runs."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class _Wire(msgspec.Struct, gc=False):
    """A sub-request as it stands in the JSON; every field may be missing, so that the refusal can name what is."""

    id: str | None = None
    method: str | None = None
    url: str | None = None
    headers: dict[str, str] | None = None
    body: msgspec.Raw = msgspec.Raw()
    dependsOn: list[str] | None = None


class _WireBatch(msgspec.Struct):
    requests: list[_Wire]


_DECODER = msgspec.json.Decoder(_WireBatch)


def parse_batch(body: bytes) -> ParsedBatch:
    """The sub-requests of a batch in their order. Raises `BatchRefused` with Graph's message."""
    try:
        wires = _DECODER.decode(body).requests
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BatchRefused(_INVALID) from None
    if not wires:
        raise BatchRefused(f"{_INVALID} The batch holds no requests.")
    if len(wires) > BATCH_ITEMS_MAX:
        raise BatchRefused(f"Number of batch request steps exceeds the maximum value of {BATCH_ITEMS_MAX}.")
    ids = _unique_ids(wires)
    items = tuple(_sub_request(wire, name) for wire, name in zip(wires, ids, strict=True))
    return ParsedBatch(items, _is_sequential(wires, ids))


def _unique_ids(wires: list[_Wire]) -> list[str]:
    """The ids in order, every one present and unique without regard to case."""
    ids: list[str] = []
    seen: set[str] = set()
    for wire in wires:
        if not wire.id:
            raise BatchRefused(f"{_INVALID} A request has no id.")
        if wire.id.casefold() in seen:
            raise BatchRefused(f"Request Id {wire.id} has to be unique in a batch.")
        seen.add(wire.id.casefold())
        ids.append(wire.id)
    return ids


def _sub_request(wire: _Wire, name: str) -> SubRequest:
    if not wire.method or not wire.url:
        raise BatchRefused(f"{_INVALID} Request id : {name} has no method or url.")
    method = wire.method.upper()
    if method not in ("GET", "DELETE") and not _has_content(wire):
        raise BatchRefused(f"Write request id : {name} does not contain Content-Type header or body.")
    if method not in ("POST", "GET", "DELETE"):
        return SubRequest(name, BadUrl(405, "UnknownError", "", f"the method is {wire.method[:20]!r}"))
    target = parse_url(wire.url, method)
    if wire.headers and not isinstance(target, BadUrl) and _prefers_immutable(wire.headers):
        target = target._replace(immutable=True)
    return SubRequest(name, target)


def _prefers_immutable(headers: dict[str, str]) -> bool:
    prefer = headers.get("Prefer") or {name.lower(): value for name, value in headers.items()}.get("prefer", "")
    return 'idtype="immutableid"' in prefer.lower()


def _has_content(wire: _Wire) -> bool:
    """Whether a writing sub-request has the JSON content type and an object as its body, which Graph asks for."""
    if not bytes(wire.body).startswith(b"{"):
        return False
    headers = wire.headers or {}
    kind = headers.get("Content-Type") or {name.lower(): value for name, value in headers.items()}.get(
        "content-type", ""
    )
    return kind.lower().startswith("application/json")


def _is_sequential(wires: list[_Wire], ids: list[str]) -> bool:
    """Whether the batch is a chain; raises `BatchRefused` when it is neither a chain nor unordered.

    Four cases: no ``dependsOn`` at all is unordered; each request depending on exactly its predecessor is a chain; an id that
    does not come earlier is refused; everything else (several chains, a tree) is refused too.
    """
    if not any(wire.dependsOn for wire in wires):
        return False
    place = {name.casefold(): index for index, name in enumerate(ids)}
    chain = not wires[0].dependsOn
    for index, wire in enumerate(wires):
        for other in wire.dependsOn or ():
            if place.get(other.casefold(), index) >= index:
                raise BatchRefused(
                    f"Request Id {ids[index]} depends on {other}, which does not come earlier in the batch."
                )
        if index:
            chain = chain and [place[other.casefold()] for other in wire.dependsOn or ()] == [index - 1]
    if not chain:
        raise BatchRefused("Batch should be either fully sequential or fully parallel.")
    return True
