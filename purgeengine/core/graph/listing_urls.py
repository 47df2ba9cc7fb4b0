"""The urls of lists of folders, contacts and users, and of their next pages.

A link to a next page is what a server wrote. Only its query is used, behind the path that was asked for, so no link can lead to
another mailbox or another host. Sources: user-list-contacts, user-list-contactfolders, contactfolder-list-childfolders, user-list
and group-list-transitivemembers of Microsoft Graph's documentation.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from purgeengine.core.graph.identifiers import is_id, is_object_id
from purgeengine.core.graph.urls import escaped, user_start

URL_LENGTH_MAX = 4_000
"""The longest url that is sent, in characters. Opaque tokens of the directory have a few hundred."""
PAGE_USERS = 999
"""Users on a page: the most that Graph allows (user-list)."""
PAGE_FOLDERS = 250
"""Folders on a page. Hardly any mailbox has as many."""
_PATH = r"/users(?:\('[A-Za-z0-9!$&'()*^_~+.@=%-]+'\)|/[A-Za-z0-9!$&'()*^_~+.@=%-]+)?(?:/[A-Za-z0-9_=+%-]+)*"
_GROUP_PATH = r"/groups/[0-9A-Fa-f-]{36}/transitiveMembers/microsoft\.graph\.user"
_QUERY = r"[A-Za-z0-9!$&'()*,/:;=@_~.+%-]+"
_URL = re.compile(rf"(?:{_PATH}|{_GROUP_PATH})(?:\?{_QUERY})?")
_NEXT_QUERY = re.compile(_QUERY)


def is_listing_url(url: str) -> bool:
    """Return whether this can be a url of this module: of plain characters, and without a segment of dots."""
    return len(url) <= URL_LENGTH_MAX and _URL.fullmatch(url) is not None and ".." not in url.partition("?")[0]


def folders_url(user: str, folder: str = "", size: int = PAGE_FOLDERS) -> str:
    """Return the url of the folders in a folder, or in the Contacts folder if none is named."""
    where = "/contactFolders" if not folder else f"/contactFolders/{_checked(folder)}/childFolders"
    return f"{user_start(user)}{where}?$top={size}&$select=id,displayName,parentFolderId"


def contacts_url(user: str, folder: str, fields: str, size: int) -> str:
    """Return the url of the first contacts of a folder, or of the Contacts folder if none is named."""
    where = "" if not folder else f"/contactFolders/{_checked(folder)}"
    return f"{user_start(user)}{where}/contacts?$top={size}&$select={fields}"


def users_url() -> str:
    """Return the url of the first users of the tenant."""
    return f"/users?$top={PAGE_USERS}&$select=id,userPrincipalName"


def members_url(group: str) -> str:
    """Return the url of the first users in a group, or in groups inside it."""
    assert is_object_id(group), group
    return f"/groups/{group}/transitiveMembers/microsoft.graph.user?$top={PAGE_USERS}&$select=id,userPrincipalName"


def next_url(asked: str, link: object) -> str | None:
    """Return the url of the next page, from the link in the answer to ``asked``. None if the link cannot be followed."""
    if not isinstance(link, str):
        return None
    query = quote(link.partition("?")[2], safe="!$&'()*,/:;=@_~.+%-")
    if not _NEXT_QUERY.fullmatch(query):
        return None
    url = f"{asked.partition('?')[0]}?{query}"
    return url if url != asked and len(url) <= URL_LENGTH_MAX else None


def _checked(folder: str) -> str:
    assert is_id(folder), folder
    return escaped(folder)
