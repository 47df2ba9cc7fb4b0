"""Harmless GETs in a ``$batch``: who a user is, whether a mailbox answers, whether a contact exists.

This module knows the URLs and how requests and answers are written. `purgeengine.core.policy.probing` knows what an
answer means for a mailbox. Sources: user-get, user-list-contacts, contact-get and organization-get in Graph's
documentation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from purgeengine.core.graph.decode import UNREADABLE, decode_answer, index_of, lenient_json
from purgeengine.core.graph.encode import BATCH_ITEMS_MAX, PREFER_IMMUTABLE
from purgeengine.core.graph.operations import IdType
from purgeengine.core.graph.urls import contact_url, user_prefix
from purgeengine.core.model import Answer, Item

ORGANIZATION_URL = "/organization?$select=id,displayName"
"""Asks for the tenant's name. An app that may not read it gets a refusal, which also shows that Graph answers."""

Body = Mapping[str, Any]


class ReadAnswer(NamedTuple):
    """The answer to a batch of GETs, as for any batch, and the bodies of the successful ones by index."""

    answer: Answer
    bodies: Mapping[int, Body]


def user_url(user: str) -> str:
    """Return the URL that asks which user has this name."""
    return f"{user_prefix(user)}?$select=id,userPrincipalName"


def contacts_url(user: str) -> str:
    """Return the URL that asks for any one contact of a mailbox."""
    return f"{user_prefix(user)}/contacts?$top=1&$select=id"


def one_contact_url(item: Item) -> str:
    """Return the URL that asks for the contact of a row."""
    return f"{contact_url(item)}?$select=id"


def encode_reads(urls: Sequence[str], id_type: IdType = IdType.DEFAULT) -> bytes:
    """Return the body of a ``$batch`` request with these GETs. The id of ``urls[n]`` is ``str(n)``. Takes 1 to 20 URLs."""
    assert 1 <= len(urls) <= BATCH_ITEMS_MAX, f"a batch of {len(urls)}"
    headers = {"headers": {"Prefer": PREFER_IMMUTABLE}} if id_type is IdType.IMMUTABLE else {}
    requests = [{"id": str(index), "method": "GET", "url": url, **headers} for index, url in enumerate(urls)]
    return msgspec.json.encode({"requests": requests})


def decode_reads(status: int, headers: Mapping[str, str], body: bytes, size: int, now_utc: float) -> ReadAnswer:
    """Read the answer to ``size`` GETs. Raises `NoAnswer` as `purgeengine.core.graph.decode.decode_answer` does."""
    answer = decode_answer(status, headers, body, size, now_utc)
    return ReadAnswer(answer, _bodies(body, size) if answer.replies else {})


def _bodies(body: bytes, size: int) -> dict[int, Body]:
    try:
        whole = lenient_json(body)
    except UNREADABLE:
        return {}
    found: dict[int, Body] = {}
    for said in whole.get("responses", ()) if isinstance(whole, dict) else ():
        index = index_of(said.get("id")) if isinstance(said, dict) else None
        if index is not None and index < size and said.get("status") == 200 and isinstance(said.get("body"), dict):
            found[index] = said["body"]
    return found
