r"""What a sub-request's method and url ask for, and which urls no careful client sends.

Knows the urls of contacts (permanentDelete, DELETE, GET), users and the organization, and Graph's way with percent-encoding.
Graph decodes ``%2F`` and resolves the
path again, so a segment that holds ``/``, ``\``, ``..`` or the like after decoding could reach another mailbox: such a url is
answered with 400 and reported as a violation. Knows nothing of mailboxes or time.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

ID = re.compile(r"[A-Za-z0-9_=-]{1,512}")
"""A contact or folder id as Graph writes it: URL-safe base64."""
_FORBIDDEN = re.compile(r"[/\\?%\x00-\x20\x7f-\x9f]")
"""Characters that Graph may read as the path's structure once a segment is decoded, and controls."""
_PLAIN = re.compile(
    r"/?users/([A-Za-z0-9_-][A-Za-z0-9@._-]*)(?:/contactFolders/([A-Za-z0-9_=-]+))?/contacts/([A-Za-z0-9_=-]+)(/permanentDelete)?"
)
"""Nearly every url there is; it holds nothing that could be a trick, and is read in a quarter of the time."""
_QUERY = re.compile(r"(\$select=[A-Za-z,]+|\$top=[0-9]{1,4})(&(\$select=[A-Za-z,]+|\$top=[0-9]{1,4}))*")
"""The query options that the tenant knows."""
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_QUOTED_USER = re.compile(r"users\('(.*)'\)", re.DOTALL)
_VERSIONS = frozenset({"v1.0", "beta"})


class Ask(StrEnum):
    """What is asked for."""

    PERMANENT_DELETE = "permanentDelete"
    DELETE = "delete"
    GET_CONTACT = "get contact"
    LIST_CONTACTS = "list contacts"
    GET_USER = "get user"
    GET_ORGANIZATION = "get organization"


DEEDS = frozenset({Ask.PERMANENT_DELETE, Ask.DELETE})
"""These change something."""
OF_DIRECTORY = frozenset({Ask.GET_USER, Ask.GET_ORGANIZATION})
"""These are answered by the directory, not by a mailbox, and count against no mailbox's limits."""


class Target(NamedTuple):
    """What a sub-request is about; ``folder`` is empty for a contact addressed through its mailbox alone.

    ``immutable`` is true where its header ``Prefer`` says that its ids are immutable ones.
    """

    user: str
    folder: str
    contact: str
    ask: Ask = Ask.PERMANENT_DELETE
    immutable: bool = False


class BadUrl(NamedTuple):
    """Why a url is refused: the sub-response's status, code and message, and what to tell the client's author."""

    status: int
    code: str
    message: str
    violation: str


class _Trick(Exception):
    """A segment that is not what it seems; the message says why."""


def parse_url(url: str, method: str = "POST") -> Target | BadUrl:
    """What ``url`` (relative to the version root, with or without the first slash) addresses, or its refusal."""
    plain = _PLAIN.fullmatch(url)
    if plain and ".." not in url:
        ask = _ASKS.get((method, plain[4] is not None))
        if ask is not None:
            return Target(plain[1], plain[2] or "", plain[3], ask)
    path, mark, query = url.partition("?") if method == "GET" else (url, "", "")
    problem = _structure_problem(path)
    if mark and not _QUERY.fullmatch(query):
        problem = "the query holds an option that is not known"
    if problem:
        return BadUrl(
            400, "RequestBroker--ParseUri", "Resource not found for the segment.", f"{problem}: {url[:200]!r}"
        )
    segments = path.removeprefix("/").split("/")
    if segments[0] in _VERSIONS:
        message = f"Resource not found for the segment '{segments[0]}'."
        return BadUrl(400, "BadRequest", message, f"the url names the version, which $batch adds itself: {url[:200]!r}")
    try:
        return _target(method, [_decode(segment) for segment in segments], url)
    except _Trick as trick:
        return BadUrl(400, "RequestBroker--ParseUri", "The url cannot be parsed.", f"{trick}: {url[:200]!r}")


_ASKS = {("POST", True): Ask.PERMANENT_DELETE, ("DELETE", False): Ask.DELETE, ("GET", False): Ask.GET_CONTACT}
"""By method, and whether the url of a contact ends in ``/permanentDelete``."""


def _structure_problem(url: str) -> str | None:
    """Why the url is not a plain relative path, or None."""
    if "://" in url or url.startswith("//"):
        return "the url is absolute"
    for character, what in (("?", "a query"), ("#", "a fragment"), ("\\", "a backslash")):
        if character in url:
            return f"the url holds {what}"
    return None


def _decode(segment: str) -> str:
    """The segment, percent-decoded once. Raises `_Trick` where the result could be read as a path."""
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
    """Match the decoded segments with the shapes, after bringing ``users('x')`` into the form ``users``, ``x``."""
    quoted = _QUOTED_USER.fullmatch(segments[0])
    if quoted:
        segments = ["users", quoted[1].replace("''", "'"), *segments[1:]]
    elif len(segments) > 1 and segments[1].startswith("$"):
        raise _Trick("a user that starts with $ needs the form users('$name')")
    permanent = segments[-1] == "permanentDelete" and len(segments) > 4
    ask = _ASKS.get((method, permanent))
    match segments[:-1] if permanent else segments:
        case ["users", user, "contacts", contact] if user and ask is not None:
            return _checked(Target(user, "", contact, ask), url)
        case ["users", user, "contactFolders", folder, "contacts", contact] if user and ask is not None:
            if not folder:
                return _empty_id(url)
            return _checked(Target(user, folder, contact, ask), url)
        case ["users", user, "contacts"] if user and method == "GET":
            return Target(user, "", "", Ask.LIST_CONTACTS)
        case ["users", user] if user and method == "GET":
            return Target(user, "", "", Ask.GET_USER)
        case ["organization"] if method == "GET":
            return Target("", "", "", Ask.GET_ORGANIZATION)
    return BadUrl(404, "UnknownError", "", f"nothing that the tenant knows: {method} {url[:200]!r}")


def _checked(target: Target, url: str) -> Target | BadUrl:
    return target if target.contact else _empty_id(url)


def _empty_id(url: str) -> BadUrl:
    return BadUrl(400, "ErrorInvalidIdEmpty", "Id is empty.", f"the url holds an empty id: {url[:200]!r}")
