"""Asks the directory for users: all of the tenant, or those in groups."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from purgeengine.core.graph.bodies import found_in
from purgeengine.core.graph.identifiers import is_object_id, user_problem
from purgeengine.core.graph.listing_urls import members_url, next_url, users_url
from purgeengine.core.graph.operations import GET_USER, list_page
from purgeengine.core.graph.text import printable
from purgeengine.core.graph.verdicts import one_line
from purgeengine.core.model import Item
from purgeengine.errors import RunStopped, TokenError, UsageProblem
from purgeengine.jobs.reads.reading import ReadSession

PAGES_MAX = 10_000
"""Pages of users: ten million users, and more than any tenant has."""
MEMBERS_PERMISSION = "GroupMember.Read.All"
"""The permission for the users of a group. `User.ReadBasic.All` shows their names (group-list-transitivemembers)."""


async def directory_users(session: ReadSession, groups: Sequence[str]) -> AsyncIterator[list[str]]:
    """Yield the users, a page at a time: those in the groups, or all of the tenant if no group is named.

    A user goes by the user principal name, or by the object id if that is not shown or cannot be sent. Users of several groups come
    several times. Raises `TokenError` if the app may not read them, `UsageProblem` if there is no such group, and `RunStopped` if
    Graph gives no answer: part of the users would be a wrong list of mailboxes.
    """
    for group in groups or [""]:
        url: str | None = members_url(group) if group else users_url()
        for _ in range(PAGES_MAX):
            assert url is not None
            (reply,) = await session.read(list_page(), [Item("", "", url)])
            if reply.status in (401, 403):
                needed = f"{MEMBERS_PERMISSION} and {GET_USER.permission}" if group else GET_USER.permission
                raise TokenError(
                    f"Graph does not let the app list users ({one_line(reply)}). Grant it the application permission {needed} with "
                    "admin consent, or name the mailboxes in a file with --users, which needs no such permission."
                )
            if group and reply.status == 404:
                raise UsageProblem(f"There is no group {group} in the tenant ({one_line(reply)}). Nothing was read.")
            body = found_in(reply)
            value = body.get("value")
            if not 200 <= reply.status < 300 or not isinstance(value, list):
                said = one_line(reply) if reply.status >= 300 else "the answer is no page of users"
                said = said or "no answer came"
                raise RunStopped(
                    f"The users could not be listed: {said}. Nothing was read. To list them again, {session.again}."
                )
            yield [name for entry in value if (name := _name(entry))]
            link = body.get("@odata.nextLink")
            if link is None:
                break
            url = next_url(url, link)
            if url is None:
                raise RunStopped(
                    f"The users could not be listed to the end: Graph's link to the next page, {printable(link, 100)!r}, cannot be "
                    f"followed. Nothing was read. To list them again, {session.again}."
                )
        else:
            raise RunStopped(
                f"The list of users has no end: more than {PAGES_MAX} pages. Name the mailboxes with --users."
            )


def _name(entry: object) -> str:
    """Return how a user is named from here on. Empty if an entry names nobody."""
    if not isinstance(entry, dict):
        return ""
    upn, object_id = entry.get("userPrincipalName"), entry.get("id")
    if isinstance(upn, str) and user_problem(upn) is None:
        return upn
    return object_id if isinstance(object_id, str) and is_object_id(object_id) else ""
