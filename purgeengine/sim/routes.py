r"""Which contact a sub-request's url means, and which urls no careful client sends.

Knows the two url shapes of contact permanentDelete and Graph's way with percent-encoding. Graph decodes ``%2F`` and resolves the
path again, so a segment that holds ``/``, ``\``, ``..`` or the like after decoding could reach another mailbox: such a url is
answered with 400 and reported as a violation. Knows nothing of mailboxes or time.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

ID = re.compile(r"[A-Za-z0-9_=-]{1,512}")
"""A contact or folder id as Graph writes it: URL-safe base64."""
_FORBIDDEN = re.compile(r"[/\\?%\x00-\x20\x7f-\x9f]")
"""Characters that Graph may read as the path's structure once a segment is decoded, and controls."""
_PLAIN = re.compile(
    r"/?users/([A-Za-z0-9_-][A-Za-z0-9@._-]*)(?:/contactFolders/([A-Za-z0-9_=-]+))?/contacts/([A-Za-z0-9_=-]+)/permanentDelete"
)
"""Nearly every url there is; it holds nothing that could be a trick, and is read in a quarter of the time."""
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_QUOTED_USER = re.compile(r"users\('(.*)'\)", re.DOTALL)
_VERSIONS = frozenset({"v1.0", "beta"})


class Target(NamedTuple):
    """What a url asks to purge; ``folder`` is empty for a contact addressed through its mailbox alone."""

    user: str
    folder: str
    contact: str


class BadUrl(NamedTuple):
    """Why a url is refused: the sub-response's status, code and message, and what to tell the client's author."""

    status: int
    code: str
    message: str
    violation: str


class _Trick(Exception):
    """A segment that is not what it seems; the message says why."""


def parse_url(url: str) -> Target | BadUrl:
    """The contact that ``url`` addresses (relative to the version root, with or without the first slash), or its refusal."""
    plain = _PLAIN.fullmatch(url)
    if plain and ".." not in url:
        return Target(plain[1], plain[2] or "", plain[3])
    problem = _structure_problem(url)
    if problem:
        return BadUrl(
            400, "RequestBroker--ParseUri", "Resource not found for the segment.", f"{problem}: {url[:200]!r}"
        )
    segments = url.removeprefix("/").split("/")
    if segments[0] in _VERSIONS:
        message = f"Resource not found for the segment '{segments[0]}'."
        return BadUrl(400, "BadRequest", message, f"the url names the version, which $batch adds itself: {url[:200]!r}")
    try:
        return _target([_decode(segment) for segment in segments], url)
    except _Trick as trick:
        return BadUrl(400, "RequestBroker--ParseUri", "The url cannot be parsed.", f"{trick}: {url[:200]!r}")


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


def _target(segments: list[str], url: str) -> Target | BadUrl:
    """Match the decoded segments with the two shapes, after bringing ``users('x')`` into the form ``users``, ``x``."""
    quoted = _QUOTED_USER.fullmatch(segments[0])
    if quoted:
        segments = ["users", quoted[1].replace("''", "'"), *segments[1:]]
    elif len(segments) > 1 and segments[1].startswith("$"):
        raise _Trick("a user that starts with $ needs the form users('$name')")
    match segments:
        case ["users", user, "contacts", contact, "permanentDelete"] if user:
            return _checked(Target(user, "", contact), url)
        case ["users", user, "contactFolders", folder, "contacts", contact, "permanentDelete"] if user:
            if not folder:
                return _empty_id(url)
            return _checked(Target(user, folder, contact), url)
    return BadUrl(404, "UnknownError", "", f"the url is no contact's permanentDelete: {url[:200]!r}")


def _checked(target: Target, url: str) -> Target | BadUrl:
    return target if target.contact else _empty_id(url)


def _empty_id(url: str) -> BadUrl:
    return BadUrl(400, "ErrorInvalidIdEmpty", "Id is empty.", f"the url holds an empty id: {url[:200]!r}")
