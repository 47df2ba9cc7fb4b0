r"""What a request's method and URL ask for, and which URLs no careful client sends.

This module knows the URLs of contacts, contact folders, users and the organization, and how Graph treats
percent-encoding. Graph decodes ``%2F`` and resolves the path again. So a segment that contains ``/``, ``\``, ``..``
or the like after decoding could reach another mailbox: such a URL is answered with 400 and reported as a violation.
What Graph serves and the tenant does not is answered with 501 and a sentence. This module does not know mailboxes or
time.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from purgeengine.sim.wire.query import NO_OPTIONS, Options, QueryRefused, parse_query
from purgeengine.sim.wire.surface import CONTACT_PARTS, FOLDER_PARTS, FUNCTIONS, ROOTS, USER_PARTS

ID = re.compile(r"[A-Za-z0-9_=-]{1,512}")
"""A contact or folder id as Graph writes it: URL-safe base64."""
_FORBIDDEN = re.compile(r"[/\\?%\x00-\x20\x7f-\x9f]")
"""Characters that Graph may read as the structure of the path once a segment is decoded, and control characters."""
_PLAIN = re.compile(
    r"/?users/([A-Za-z0-9_-][A-Za-z0-9@._-]*)(?:/contactFolders/([A-Za-z0-9_=-]+))?/contacts/([A-Za-z0-9_=-]+)(/permanentDelete)?"
)
"""Nearly every URL matches this. A match contains nothing that could be a trick, and is read in a quarter of the time."""
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_QUOTED_USER = re.compile(r"users\('(.*)'\)", re.DOTALL)
_VERSIONS = frozenset({"v1.0", "beta"})


class Ask(StrEnum):
    """What is asked for."""

    PERMANENT_DELETE = "permanentDelete"
    DELETE = "delete"
    GET_CONTACT = "get contact"
    LIST_CONTACTS = "list contacts"
    LIST_FOLDERS = "list folders"
    LIST_CHILD_FOLDERS = "list child folders"
    GET_FOLDER = "get folder"
    GET_USER = "get user"
    LIST_USERS = "list users"
    LIST_MEMBERS = "list members"
    GET_ORGANIZATION = "get organization"


DEEDS = frozenset({Ask.PERMANENT_DELETE, Ask.DELETE})
"""Requests that change something."""
OF_DIRECTORY = frozenset({Ask.GET_USER, Ask.LIST_USERS, Ask.LIST_MEMBERS, Ask.GET_ORGANIZATION})
"""Requests that the directory answers, not a mailbox. They count against no mailbox's limits."""


class Target(NamedTuple):
    """What a request is about. ``folder`` is empty for a contact that is addressed through its mailbox alone.

    ``immutable`` is true if the header ``Prefer`` says that the ids are immutable. ``user`` is `ME` for the signed-in
    user.
    """

    user: str
    folder: str
    contact: str
    ask: Ask = Ask.PERMANENT_DELETE
    immutable: bool = False
    options: Options = NO_OPTIONS
    group: str = ""


class BadUrl(NamedTuple):
    """Why a URL is refused: the answer's status, code and message, and what to tell the author of the client."""

    status: int
    code: str
    message: str
    violation: str


ME = "/me"
"""The user of a target that is about the signed-in user. No name contains a slash."""


class _Trick(Exception):
    """A segment that is not what it seems. The message tells why."""


class _Shape(NamedTuple):
    """A path that Graph has: what each served method asks for, and which other methods Graph has for it."""

    served: dict[str, Ask]
    others: tuple[str, ...] = ()


_USERS = _Shape({"GET": Ask.LIST_USERS}, ("POST",))
_USER = _Shape({"GET": Ask.GET_USER}, ("PATCH", "DELETE"))
_CONTACTS = _Shape({"GET": Ask.LIST_CONTACTS}, ("POST",))
_CONTACT = _Shape({"GET": Ask.GET_CONTACT, "DELETE": Ask.DELETE}, ("PATCH",))
_PERMANENT_DELETE = _Shape({"POST": Ask.PERMANENT_DELETE})
_FOLDERS = _Shape({"GET": Ask.LIST_FOLDERS}, ("POST",))
_FOLDER = _Shape({"GET": Ask.GET_FOLDER}, ("PATCH", "DELETE"))
_CHILD_FOLDERS = _Shape({"GET": Ask.LIST_CHILD_FOLDERS}, ("POST",))
_MEMBERS = _Shape({"GET": Ask.LIST_MEMBERS})
_ORGANIZATION = _Shape({"GET": Ask.GET_ORGANIZATION})
_PLAIN_ASKS = {("POST", True): Ask.PERMANENT_DELETE, ("DELETE", False): Ask.DELETE, ("GET", False): Ask.GET_CONTACT}
"""What the URL of a contact asks for, by method and by whether it ends in ``/permanentDelete``."""


def parse_url(url: str, method: str = "POST") -> Target | BadUrl:
    """Return what ``url`` addresses, or its refusal.

    ``url`` is relative to the version root, with or without the first slash.
    """
    plain = _PLAIN.fullmatch(url)
    if plain and ".." not in url and plain[3] not in FUNCTIONS:
        ask = _PLAIN_ASKS.get((method, plain[4] is not None))
        if ask is not None:
            return Target(plain[1], plain[2] or "", plain[3], ask)
    path, mark, query = url.partition("?") if method == "GET" else (url, "", "")
    problem = _structure_problem(path)
    if problem:
        segment = path.removeprefix("/").split("/")[0][:100]
        message = f"Resource not found for the segment '{segment}'."
        return BadUrl(400, "RequestBroker--ParseUri", message, f"{problem}: {url[:200]!r}")
    segments = path.removeprefix("/").split("/")
    if segments[0] in _VERSIONS:
        return _no_segment(segments[0], url, "the url names the version, which $batch adds itself")
    try:
        target = _target(method, [_decode(segment) for segment in segments], url)
        if isinstance(target, BadUrl) or not mark:
            return target
        return target._replace(options=parse_query(query))
    except _Trick as trick:
        return BadUrl(400, "RequestBroker--ParseUri", "The url cannot be parsed.", f"{trick}: {url[:200]!r}")
    except QueryRefused as refused:
        return BadUrl(refused.status, refused.code, str(refused), f"{refused}: {url[:200]!r}")


def _structure_problem(url: str) -> str | None:
    """Return why the URL is not a plain relative path, or None."""
    if "://" in url or url.startswith("//"):
        return "the url is absolute"
    for character, what in (("?", "a query"), ("#", "a fragment"), ("\\", "a backslash")):
        if character in url:
            return f"the url holds {what}"
    return None


def _decode(segment: str) -> str:
    """Percent-decode a segment once. Raises `_Trick` if the result could be read as a path."""
    decoded = segment
    if "%" in segment:
        if _BROKEN_ESCAPE.search(segment):
            raise _Trick("a percent sign starts no escape")
        try:
            decoded = unquote_to_bytes(segment).decode("utf-8")
        except UnicodeDecodeError:
            raise _Trick("the url decodes to invalid UTF-8") from None
    if _FORBIDDEN.search(decoded) or decoded in (".", "..") or ".." in decoded:
        raise _Trick("a decoded segment holds characters that could be read as a path")
    return decoded


def _target(method: str, segments: list[str], url: str) -> Target | BadUrl:
    """Match the decoded segments with the shapes.

    ``me`` and ``users('x')`` are first brought into the form ``users``, ``x``.
    """
    quoted = _QUOTED_USER.fullmatch(segments[0])
    if quoted:
        segments = ["users", quoted[1].replace("''", "'"), *segments[1:]]
    elif segments[0] == "me":
        segments = ["users", ME, *segments[1:]]
    elif len(segments) > 1 and segments[1].startswith("$"):
        raise _Trick("a user that starts with $ needs the form users('$name')")
    if "" in segments[1:2] or segments[-2:] == ["permanentDelete", ""]:
        return BadUrl(404, "UnknownError", "", f"nothing that Graph knows: {method} {url[:200]!r}")
    match segments:
        case ["users", last] | ["users", _, "contacts" | "contactFolders", last] if last in FUNCTIONS:
            return _not_served(method, url)
        case ["users", _, "contactFolders", _, "contacts" | "childFolders", last] if last in FUNCTIONS:
            return _not_served(method, url)
        case ["organization"]:
            return _served(_ORGANIZATION, method, url, Target("", "", ""))
        case ["groups", group, "transitiveMembers", "microsoft.graph.user"] if group:
            return _served(_MEMBERS, method, url, Target("", "", "", group=group))
        case ["users"]:
            return _served(_USERS, method, url, Target("", "", ""))
        case ["users", user]:
            return _served(_USER, method, url, Target(user, "", ""))
        case ["users", user, "contactFolders"]:
            return _served(_FOLDERS, method, url, Target(user, "", ""))
        case ["users", user, "contactFolders", folder]:
            return _served(_FOLDER, method, url, Target(user, folder, ""))
        case ["users", user, "contactFolders", folder, "childFolders"]:
            return _served(_CHILD_FOLDERS, method, url, Target(user, folder, ""))
        case ["users", user, "contactFolders", folder, "contacts", *rest]:
            return _in_contacts(method, url, Target(user, folder, ""), rest) if folder else _empty_id(url)
        case ["users", user, "contacts", *rest]:
            return _in_contacts(method, url, Target(user, "", ""), rest)
    return _elsewhere(method, segments, url)


def _in_contacts(method: str, url: str, target: Target, rest: list[str]) -> Target | BadUrl:
    """Return what is asked of the contacts of a mailbox or folder. ``rest`` is the path after ``contacts``."""
    if not rest:
        return _served(_CONTACTS, method, url, target)
    target = target._replace(contact=rest[0])
    match rest[1:]:
        case []:
            return _served(_CONTACT, method, url, target)
        case ["permanentDelete"]:
            return _served(_PERMANENT_DELETE, method, url, target)
        case [part, *_] if part in CONTACT_PARTS:
            return _not_served(method, url)
    unknown = rest[2] if rest[1] == "permanentDelete" else rest[1]
    return _no_segment(unknown, url, "nothing that Graph knows of a contact")


def _served(shape: _Shape, method: str, url: str, target: Target) -> Target | BadUrl:
    """Return the target if the tenant serves the method for this path; else 405, or 501 for what Graph itself could do."""
    ask = shape.served.get(method)
    if ask is None and method in shape.others:
        return _not_served(method, url)
    if ask is None:
        message = "Specified HTTP method is not allowed for the request target."
        return BadUrl(405, "Request_BadRequest", message, f"the method is {method[:20]!r}: {url[:200]!r}")
    wants_contact = shape is _CONTACT or shape is _PERMANENT_DELETE
    wants_folder = shape is _FOLDER or shape is _CHILD_FOLDERS
    if (wants_contact and not target.contact) or (wants_folder and not target.folder):
        return _empty_id(url)
    return target._replace(ask=ask)


def _elsewhere(method: str, segments: list[str], url: str) -> BadUrl:
    """Return the refusal of a path that the tenant does not serve: 501 if Graph knows it, as far as can be told, else 400."""
    if segments[0] not in ROOTS:
        return _no_segment(segments[0], url, "nothing that Graph knows")
    if segments[0] == "users" and len(segments) > 2:
        if segments[2] == "contactFolders" and segments[4] not in FOLDER_PARTS:
            return _no_segment(segments[4], url, "nothing that Graph knows of a folder")
        if segments[2] not in USER_PARTS:
            return _no_segment(segments[2], url, "nothing that Graph knows of a user")
    return _not_served(method, url)


def _not_served(method: str, url: str) -> BadUrl:
    message = (
        f"The simulated tenant does not serve {method[:20]} {url.partition('?')[0][:200]}. It serves GET of users, "
        "members of groups, organization, contacts, contactFolders and childFolders, and DELETE and permanentDelete of a contact."
    )
    return BadUrl(501, "NotImplemented", message, f"nothing that the tenant serves: {method[:20]} {url[:200]!r}")


def _no_segment(segment: str, url: str, why: str) -> BadUrl:
    message = f"Resource not found for the segment '{segment[:100]}'."
    return BadUrl(400, "BadRequest", message, f"{why}: {url[:200]!r}")


def _empty_id(url: str) -> BadUrl:
    return BadUrl(400, "ErrorInvalidIdEmpty", "Id is empty.", f"the url holds an empty id: {url[:200]!r}")
