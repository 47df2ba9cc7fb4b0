"""Turn rows into the bytes of a ``$batch`` request.

Source: the documentation of JSON batching.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from purgeengine.core.graph.operations import PERMANENT, Action, Deletion, IdType
from purgeengine.core.graph.urls import check_contacts, contacts_prefix, escaped
from purgeengine.core.model import FolderRows

BATCH_ITEMS_MAX = 20
"""Most sub-requests in one batch (Graph's limit; json-batching)."""
PREFER_IMMUTABLE = 'IdType="ImmutableId"'
"""Value of the header ``Prefer`` for immutable ids. Every sub-request needs it (outlook-immutable-id)."""


class _Form(NamedTuple):
    """The text around the addresses of contacts in a body. It is made once for each kind of deletion, not for each row.

    ``before`` is the text before each address, including the end of the previous sub-request. ``after`` follows the
    last address. ``serial`` is used for lanes: every sub-request but the first depends on the one before it.
    """

    before: tuple[str, ...]
    serial: tuple[str, ...]
    after: str


def _form(deletion: Deletion) -> _Form:
    """Make the text for one kind of deletion.

    A POST gets a content type and an empty body, although the action needs none. Without them Graph refuses the whole
    batch.
    """
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


def encode_batch(folder_rows: Iterable[FolderRows], deletion: Deletion = PERMANENT, *, serial: bool = False) -> bytes:
    """Return the body of a ``$batch`` request that purges these rows.

    The ids of its sub-requests are ``"0"``, ``"1"`` and so on.

    With ``serial`` the batch is a lane: each sub-request depends on the one before it. Graph refuses a batch that is
    neither fully sequential nor fully unordered.

    Takes 1 to 20 valid rows; anything else is a mistake of ours and fails an assertion. The JSON is put together by
    hand: a URL contains only characters that `quote` keeps or makes, and JSON escapes none of these.
    """
    urls: list[str] = []
    contacts: list[str] = []
    for user, folder, some in folder_rows:
        urls += [contacts_prefix(user, folder)] * len(some)
        contacts += some
    rows = len(contacts)
    assert 1 <= rows <= BATCH_ITEMS_MAX, f"a batch of {rows}"
    check_contacts(contacts)
    form = _FORMS[deletion]
    pieces = [form.after] * (3 * rows + 1)  # before each address, its two halves; after them all
    pieces[: 3 * rows : 3] = (form.serial if serial else form.before)[:rows]
    pieces[1::3], pieces[2::3] = urls, contacts
    return escaped("".join(pieces)).encode("ascii")  # only ids contain characters to escape
