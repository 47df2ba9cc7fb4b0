"""Harmless questions in a ``$batch``: who a user is, whether a mailbox answers, whether a contact is there. Only GETs.

Knows the urls, how the questions are written and how the answers are read; what an answer means for a mailbox stands in
`purgeengine.core.policy.probing`. Sources: user-get, user-list-contacts, contact-get and organization-get of Graph's documentation.
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
"""The tenant's name. Who may not read it is told so, which shows just as well that Graph answers."""

Body = Mapping[str, Any]


class ReadAnswer(NamedTuple):
    """What came back for a batch of questions: as for any batch, and by index the bodies of those that went well."""

    answer: Answer
    bodies: Mapping[int, Body]


def user_url(user: str) -> str:
    """Asks which user goes by this name."""
    return f"{user_prefix(user)}?$select=id,userPrincipalName"


def contacts_url(user: str) -> str:
    """Asks for one contact of a mailbox, whichever it is."""
    return f"{user_prefix(user)}/contacts?$top=1&$select=id"


def one_contact_url(item: Item) -> str:
    """Asks for the contact of a row."""
    return f"{contact_url(item)}?$select=id"


def encode_reads(urls: Sequence[str], id_type: IdType = IdType.DEFAULT) -> bytes:
    """The body of a ``$batch`` request that asks these questions; that of ``urls[n]`` has the id ``str(n)``."""
    assert 1 <= len(urls) <= BATCH_ITEMS_MAX, f"a batch of {len(urls)}"
    headers = {"headers": {"Prefer": PREFER_IMMUTABLE}} if id_type is IdType.IMMUTABLE else {}
    requests = [{"id": str(index), "method": "GET", "url": url, **headers} for index, url in enumerate(urls)]
    return msgspec.json.encode({"requests": requests})


def decode_reads(status: int, headers: Mapping[str, str], body: bytes, size: int, now_utc: float) -> ReadAnswer:
    """Read the answer to ``size`` questions. Raises `NoAnswer` as `purgeengine.core.graph.decode.decode_answer` does."""
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
