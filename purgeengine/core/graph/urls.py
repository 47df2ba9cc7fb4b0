"""Make Graph's URLs. Each segment is checked, and percent-encoded once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import quote

from purgeengine.core.graph.identifiers import ID_LENGTH_MAX, id_problem, is_id, of_id_characters, user_problem
from purgeengine.core.graph.operations import Operation, Resource, UrlForm


def check_contacts(contacts: Sequence[str]) -> None:
    """Check contact ids, all together because that is faster. An assertion that fails names the wrong one."""
    right = (
        of_id_characters("".join(contacts)) and 0 < min(map(len, contacts)) <= max(map(len, contacts)) <= ID_LENGTH_MAX
    )
    assert right, next(filter(None, (id_problem("contact", contact) for contact in contacts)))


def url_start(operation: Operation, user: str, folder: str) -> str:
    """The url of a request up to the id, or up to its query where it names no item. The row must be valid (see `identifiers`)."""
    match operation.url_form:
        case UrlForm.ITEM:
            return f"{_collection_url(operation.resource, user, folder)}/"
        case UrlForm.COLLECTION:
            return _collection_url(operation.resource, user, folder)
        case UrlForm.USER:
            return user_start(user)
        case UrlForm.TENANT:
            return f"/{operation.resource.collection}"
        case UrlForm.LISTING:
            return ""


def _collection_url(resource: Resource, user: str, folder: str) -> str:
    if not folder:
        return f"{user_start(user)}/{resource.collection}"
    assert is_id(folder), id_problem("folder", folder)
    return f"{user_start(user)}/{resource.folders}/{escaped(folder)}/{resource.collection}"


def escaped(name: str) -> str:
    """Escape an id. Of its characters only ``+`` needs that."""
    return name.replace("+", "%2B")


@lru_cache(maxsize=1024)
def user_start(user: str) -> str:
    """How urls of this user and mailbox begin. Every segment is percent-encoded once (a guest's ``#EXT#`` becomes ``%23EXT%23``).

    A name that begins with ``$`` would be read as part of the query language and needs the form ``users('…')``, in which
    an apostrophe is doubled before it is encoded.
    """
    assert user_problem(user) is None, user_problem(user)
    if user.startswith("$"):
        quoted = quote(user.replace("'", "''"), safe="@=")
        return f"/users('{quoted}')"
    return f"/users/{quote(user, safe='@=')}"
