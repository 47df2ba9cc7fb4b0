"""Turns rows into the bytes of a ``$batch`` request.

Source: json-batching of Microsoft Graph's documentation.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from purgeengine.core.graph.listing_urls import is_listing_url
from purgeengine.core.graph.operations import OPERATIONS, PERMANENT, IdType, Method, Operation, UrlForm
from purgeengine.core.graph.urls import check_contacts, escaped, url_start
from purgeengine.core.model import FolderRows

BATCH_ITEMS_MAX = 20
"""The most sub-requests in one batch (Graph's limit; json-batching)."""
PREFER_IMMUTABLE = 'IdType="ImmutableId"'
"""The value of the header ``Prefer`` for immutable ids. Every sub-request needs it (outlook-immutable-id)."""


class _Form(NamedTuple):
    """The fixed text around the urls of a body. It is made once for each operation, and not for each row.

    ``before`` holds the text in front of each url, with the end of the sub-request before it. ``after`` is the text behind the
    last url. ``lane`` is like ``before``, but every sub-request except the first depends on the one before it.
    """

    before: tuple[str, ...]
    lane: tuple[str, ...]
    after: str


def _form(operation: Operation) -> _Form:
    """Build the fixed text for an operation.

    A POST has a content type and an empty body, although actions take no body: without both, Graph refuses the whole batch.
    """
    posts = operation.method is Method.POST
    headers = {"Content-Type": "application/json"} if posts else {}
    if operation.id_type is IdType.IMMUTABLE:
        headers["Prefer"] = PREFER_IMMUTABLE
    rest = f',"headers":{msgspec.json.encode(headers).decode()}' if headers else ""
    after = f'{operation.url_end}"{rest}' + (',"body":{}}' if posts else "}")
    ask = f'"method":"{operation.method}","url":"'
    first = f'{{"requests":[{{"id":"0",{ask}'
    others = (f'{after},{{"id":"{index}",{ask}' for index in range(1, BATCH_ITEMS_MAX))
    chained = (f'{after},{{"id":"{index}","dependsOn":["{index - 1}"],{ask}' for index in range(1, BATCH_ITEMS_MAX))
    return _Form((first, *others), (first, *chained), f"{after}]}}")


_FORMS = {operation: _form(operation) for operation in OPERATIONS}


def encode_batch(folder_rows: Iterable[FolderRows], operation: Operation = PERMANENT, *, lane: bool = False) -> bytes:
    """Return the body of a ``$batch`` request that applies the operation to 1 to 20 rows.

    The sub-requests have the ids ``"0"``, ``"1"`` and so on, in the order of the rows. In a ``lane`` each sub-request but the
    first depends on the one before it. Graph refuses batches in which only some sub-requests do.

    The rows must be valid, and rows of an operation that names no item have an empty id; anything else is a mistake of ours and
    fails an assertion. The JSON is put together by hand, because a url holds only characters that JSON does not escape.
    """
    starts: list[str] = []
    ids: list[str] = []
    for user, folder, some in folder_rows:
        starts += [url_start(operation, user, folder)] * len(some)
        ids += some
    rows = len(ids)
    assert 1 <= rows <= BATCH_ITEMS_MAX, f"a batch of {rows}"
    if operation.url_form is UrlForm.ITEM:
        check_contacts(ids)
    elif operation.url_form is UrlForm.LISTING:
        assert all(map(is_listing_url, ids)), f"no url of a page: {ids}"
    else:
        assert not any(ids), "an id, for an operation that names no item"
    form = _FORMS[operation]
    pieces = [form.after] * (3 * rows + 1)  # for each row its fixed text and the two halves of its url; then the end
    pieces[: 3 * rows : 3] = (form.lane if lane else form.before)[:rows]
    pieces[1::3], pieces[2::3] = starts, ids
    return escaped("".join(pieces)).encode("ascii")  # only ids contain characters to escape
