r"""Which users, folders and contacts may be asked for at all, by allow-list.

Graph decodes ``%2F`` and resolves the path again (``/users/..%2Fme/…`` answered with the caller's own mailbox), so escaping is the
second defence; this is the first. The patterns are written in the syntax that Python's ``re`` and RE2 share, so that a column
of millions can be checked by one and a single value by the other, with the same result.

Sources: ids are URL-safe base64 of about 120 to 160 characters, case-sensitive; the characters of a user principal name are
those Entra ID allows, with ``#`` (guests hold ``#EXT#``) and the apostrophe; names compare without case.
"""

from __future__ import annotations

import re

from purgeengine.core.graph.identifier_causes import id_cause, is_missing_word, user_cause

ID_PATTERN = r"^[A-Za-z0-9_=+-]{1,512}$"
"""A contact or folder id."""
ID_LENGTH_MAX = 512
"""Longest id: the bound of `ID_PATTERN`."""
GUID_PATTERN = r"^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$"
"""A user's object id."""
UPN_PATTERN = (
    r"^[A-Za-z0-9!#$&'*^_~+-]+(\.[A-Za-z0-9!#$&'*^_~+-]+)*"
    r"@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$"
)
"""A user principal name: dots only between other characters, so that no segment of dots can arise."""
USER_LENGTH_MAX = 320
"""Longest user principal name: 64 + 1 + 255, the limits of a mail address."""

_ID_CHARACTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_=+-"
_GUID = re.compile(GUID_PATTERN)
_UPN = re.compile(UPN_PATTERN)


def mailbox_key(user: str) -> str:
    """The one spelling of a mailbox: user principal names and GUIDs compare without case."""
    return user.lower()


def is_id(value: str) -> bool:
    """Whether `ID_PATTERN` matches, in half the time that the pattern takes: every id is looked at once more before it is sent."""
    return 0 < len(value) <= ID_LENGTH_MAX and of_id_characters(value)


def of_id_characters(text: str) -> bool:
    """Whether nothing else stands in it, however long it is."""
    return text.isascii() and not text.encode().translate(None, _ID_CHARACTERS)


def is_object_id(text: str) -> bool:
    """Whether it is a GUID, as a user's object id is."""
    return _GUID.fullmatch(text) is not None


def is_user(text: str) -> bool:
    """Whether it is a user principal name or an object id."""
    return len(text) <= USER_LENGTH_MAX and (_GUID.fullmatch(text) or _UPN.fullmatch(text)) is not None


def user_problem(user: str) -> str | None:
    """Why this user cannot be asked for, as half a sentence, or None when it can."""
    if not user:
        return "the user is empty"
    if len(user) > USER_LENGTH_MAX:
        return f"the user is longer than {USER_LENGTH_MAX} characters"
    if is_user(user):
        return None
    if (cause := user_cause(user, is_user)) is not None:
        return f"the user {cause}"
    return "the user is neither a user principal name (name@domain) nor an object id (GUID)"


def id_problem(what: str, value: str) -> str | None:
    """Why this contact or folder id (``what`` says which) cannot be asked for, or None when it can."""
    if not value:
        return f"the {what} id is empty"
    if len(value) > ID_LENGTH_MAX:
        return f"the {what} id is longer than {ID_LENGTH_MAX} characters"
    if is_id(value) and not is_missing_word(value):
        return None
    if (cause := id_cause(value, is_id)) is not None:
        return f"the {what} id {cause}"
    if "/" in value and is_id(value.replace("/", "-")):
        return (
            f"the {what} id holds '/', as ids from Exchange Web Services do; Graph writes '-' for '/' and '_' for '+'"
        )
    return f"the {what} id holds a character that no Graph id has"


def row_problem(user: str, folder: str, contact: str) -> str | None:
    """Why the row cannot be sent, or None when it can. An empty ``folder`` is fine: the contact is addressed by its mailbox."""
    return user_problem(user) or (folder and id_problem("folder", folder)) or id_problem("contact", contact) or None
