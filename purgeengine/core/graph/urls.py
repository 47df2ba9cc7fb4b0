"""Make Graph's URLs. Each segment is checked, and percent-encoded once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import quote

from purgeengine.core.graph.identifiers import ID_LENGTH_MAX, id_problem, is_id, of_id_characters, user_problem
from purgeengine.core.model import Item


def contact_url(item: Item) -> str:
    """Return the URL of the row's contact, relative to the version's root. The row must be valid (see `identifiers`)."""
    check_contacts([item.contact])
    return contacts_prefix(item.user, item.folder) + escaped(item.contact)


def check_contacts(contacts: Sequence[str]) -> None:
    """Check contact ids, all together because that is faster. An assertion that fails names the wrong one."""
    right = (
        of_id_characters("".join(contacts)) and 0 < min(map(len, contacts)) <= max(map(len, contacts)) <= ID_LENGTH_MAX
    )
    assert right, next(filter(None, (id_problem("contact", contact) for contact in contacts)))


def contacts_prefix(user: str, folder: str) -> str:
    """Return the beginning of the URLs of contacts in this folder."""
    if not folder:
        return f"{user_prefix(user)}/contacts/"
    assert is_id(folder), id_problem("folder", folder)
    return f"{user_prefix(user)}/contactFolders/{escaped(folder)}/contacts/"


def escaped(name: str) -> str:
    """Escape an id. Of its characters only ``+`` needs that."""
    return name.replace("+", "%2B")


@lru_cache(maxsize=1024)
def user_prefix(user: str) -> str:
    """Return the beginning of the URLs of this mailbox. Segments are percent-encoded once (``#EXT#`` becomes ``%23EXT%23``).

    A name that begins with ``$`` would be read as part of the query language. It needs the form ``users('…')``, where
    an apostrophe is doubled before it is encoded.
    """
    assert user_problem(user) is None, user_problem(user)
    if user.startswith("$"):
        quoted = quote(user.replace("'", "''"), safe="@=")
        return f"/users('{quoted}')"
    return f"/users/{quote(user, safe='@=')}"
