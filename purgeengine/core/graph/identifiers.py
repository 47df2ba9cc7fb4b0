"""The allow-list of users, folders and contacts that may be sent to Graph.

Graph decodes ``%2F`` and resolves the path again (``/users/..%2Fme/…`` was answered with the caller's own mailbox).
So escaping is the second defence, and this module is the first. Python's ``re`` and RE2 both understand the patterns:
RE2 checks a column of millions, ``re`` a single value, with the same result.

Sources: ids are URL-safe base64 of about 120 to 160 characters and case-sensitive. The characters of a user principal
name are those that Entra ID allows, including ``#`` (guests have ``#EXT#``) and the apostrophe. Names compare without
letter case.
"""

from __future__ import annotations

import re

from purgeengine.core.graph.identifier_causes import id_cause, is_missing_word, user_cause

ID_PATTERN = r"^[A-Za-z0-9_=+-]{1,512}$"
"""A contact or folder id."""
ID_LENGTH_MAX = 512
"""Longest id in characters, as in `ID_PATTERN`."""
GUID_PATTERN = r"^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$"
"""A user's object id."""
UPN_PATTERN = (
    r"^[A-Za-z0-9!#$&'*^_~+-]+(\.[A-Za-z0-9!#$&'*^_~+-]+)*"
    r"@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$"
)
"""A user principal name. Dots stand only between other characters, so no path segment of dots can arise."""
USER_LENGTH_MAX = 320
"""Longest user principal name in characters: 64 + 1 + 255, the limits of a mail address."""

_ID_CHARACTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_=+-"
_NOT_IN_IDS = re.compile(f"[^{_ID_CHARACTERS.decode()}]")
_NOT_IN_USERS = re.compile(r"[^A-Za-z0-9!#$&'*^_~+.@-]")
_GUID = re.compile(GUID_PATTERN)
_UPN = re.compile(UPN_PATTERN)


def mailbox_key(user: str) -> str:
    """Return the one spelling of a mailbox. User principal names and GUIDs compare without letter case."""
    return user.lower()


def is_id(value: str) -> bool:
    """True if `ID_PATTERN` matches.

    This takes half the time of the pattern, and every id is checked again before it is sent.
    """
    return 0 < len(value) <= ID_LENGTH_MAX and of_id_characters(value)


def of_id_characters(text: str) -> bool:
    """True if the text consists of characters of ids only, however long it is."""
    return text.isascii() and not text.encode().translate(None, _ID_CHARACTERS)


def odd_place(text: str, *, is_user: bool) -> int | None:
    """Return the index of the first character that no id has or, for a user, that no user principal name has. None if all fit."""
    odd = (_NOT_IN_USERS if is_user else _NOT_IN_IDS).search(text)
    return None if odd is None else odd.start()


def is_object_id(text: str) -> bool:
    """True if the text is a GUID, as a user's object id is."""
    return _GUID.fullmatch(text) is not None


def is_user(text: str) -> bool:
    """True if the text is a user principal name or an object id."""
    return len(text) <= USER_LENGTH_MAX and (_GUID.fullmatch(text) or _UPN.fullmatch(text)) is not None


def user_problem(user: str) -> str | None:
    """Return why this user cannot be sent, as half a sentence, or None."""
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
    """Return why this id cannot be sent, as half a sentence, or None. ``what`` is "contact" or "folder"."""
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
    """Return why the row cannot be sent, or None.

    ``folder`` may be empty: the contact is then addressed through its mailbox.
    """
    return user_problem(user) or (folder and id_problem("folder", folder)) or id_problem("contact", contact) or None
