"""Read the body of a ``$batch`` call as strictly as Graph does, and say why a whole batch is refused.

This module knows Graph's JSON and its rules (json-batching, and issues that users reported). It does not know
mailboxes, time or faults.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from purgeengine.sim.wire.routes import ME, BadUrl, Target, parse_url

BATCH_ITEMS_MAX = 20
"""Most sub-requests in one batch (json-batching)."""
_BASE64 = re.compile(rb'"[A-Za-z0-9+/_-]+={0,2}"')
_INVALID = "Invalid batch payload format."
_MIXED = "Batch should be either fully sequential or fully parallel."
_REFUSED_BY_MIX = {
    False: BadUrl(400, "BadRequest", _MIXED, "some sub-requests depend on others, and they are no chain"),
    True: BadUrl(424, "FailedDependency", "Failed Dependency", ""),
}
"""Replies to the sub-requests of a batch that is neither sequential nor parallel, by whether one depends on another."""


class SubRequest(NamedTuple):
    """One sub-request: its id as the client spelt it, and what it asks for, or the refusal of its URL."""

    id: str
    target: Target | BadUrl


class ParsedBatch(NamedTuple):
    """A batch that Graph accepts. ``sequential`` is true if each sub-request depends on the one before it."""

    items: tuple[SubRequest, ...]
    sequential: bool


class BatchRefused(Exception):
    """Graph refuses the whole batch with 400 BadRequest and ``message``. Nothing of it runs."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class _Wire(msgspec.Struct, gc=False):
    """A sub-request as in the JSON. Every field may be missing, so that the refusal can name what is missing."""

    id: str | int | None = None
    method: str | None = None
    url: str | None = None
    headers: dict[str, str] | None = None
    body: msgspec.Raw = msgspec.Raw()
    dependsOn: list[str | int] | None = None


class _WireBatch(msgspec.Struct):
    requests: list[_Wire]


_DECODER = msgspec.json.Decoder(_WireBatch)


def parse_batch(body: bytes) -> ParsedBatch:
    """Return the sub-requests of a batch in their order. Raises `BatchRefused` with Graph's message."""
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
    if not any(wire.dependsOn for wire in wires):
        return ParsedBatch(items, sequential=False)
    if _is_chain(wires, ids):
        return ParsedBatch(items, sequential=True)
    depends = [bool(wire.dependsOn) for wire in wires]
    refused = tuple(SubRequest(name, _REFUSED_BY_MIX[after]) for name, after in zip(ids, depends, strict=True))
    return ParsedBatch(refused, sequential=False)


def _unique_ids(wires: list[_Wire]) -> list[str]:
    """Return the ids in order. Raises `BatchRefused` if one is missing or not unique without letter case.

    A number is accepted, and answered as a string.
    """
    ids: list[str] = []
    seen: set[str] = set()
    for wire in wires:
        name = "" if wire.id is None else str(wire.id)
        if not name:
            raise BatchRefused(f"{_INVALID} A request has no id.")
        if name.casefold() in seen:
            raise BatchRefused(f"Request Id {name} has to be unique in a batch.")
        seen.add(name.casefold())
        ids.append(name)
    return ids


def _sub_request(wire: _Wire, name: str) -> SubRequest:
    if not wire.method or not wire.url:
        raise BatchRefused(f"{_INVALID} Request id : {name} has no method or url.")
    method = wire.method.upper()
    if method not in ("GET", "DELETE") and not _has_content(wire):
        raise BatchRefused(f"Write request id : {name} does not contain Content-Type header or body.")
    return SubRequest(name, target_of(wire.url, method, wire.headers or {}))


def target_of(url: str, method: str, headers: Mapping[str, str]) -> Target | BadUrl:
    """Return what a request asks for, including what its headers say about its ids. ``url`` is relative to the version root."""
    target = parse_url(url, method)
    if isinstance(target, BadUrl) or not headers or not _prefers_immutable(headers):
        return target
    return target._replace(immutable=True)


def _prefers_immutable(headers: Mapping[str, str]) -> bool:
    prefer = headers.get("Prefer") or {name.lower(): value for name, value in headers.items()}.get("prefer", "")
    return 'idtype="immutableid"' in prefer.lower()


def _has_content(wire: _Wire) -> bool:
    """True if a writing sub-request has a content type and a body, which Graph requires.

    A body is an object with the JSON content type, or a base64 string with any.
    """
    headers = wire.headers or {}
    kind = headers.get("Content-Type") or {name.lower(): value for name, value in headers.items()}.get(
        "content-type", ""
    )
    body = bytes(wire.body)
    if body.startswith(b"{"):
        return kind.lower().startswith("application/json")
    return bool(kind) and _BASE64.fullmatch(body) is not None


def _is_chain(wires: list[_Wire], ids: list[str]) -> bool:
    """True if each sub-request depends on exactly the one before it.

    Raises `BatchRefused` if one depends on an id that does not come earlier.
    """
    place = {name.casefold(): index for index, name in enumerate(ids)}
    chain = not wires[0].dependsOn
    for index, wire in enumerate(wires):
        others = [str(other) for other in wire.dependsOn or ()]
        for other in others:
            if place.get(other.casefold(), index) >= index:
                raise BatchRefused(f"Invalid dependency for request Id {ids[index]}: {other} does not come earlier.")
        if index:
            chain = chain and [place[other.casefold()] for other in others] == [index - 1]
    return chain


def with_user(item: SubRequest, user: str | None) -> SubRequest:
    """Replace ``/me`` by the signed-in user. It is refused if an app asks for it in its own name."""
    if isinstance(item.target, BadUrl) or item.target.user != ME:
        return item
    if user is None:
        message = "/me request is only valid with delegated authentication flow."
        return SubRequest(item.id, BadUrl(400, "BadRequest", message, "an app without a user asks for /me"))
    return SubRequest(item.id, item.target._replace(user=user))
