"""Recognise values that have valid characters but cannot be contact ids, such as GUIDs. They suggest a wrong list.

Ids of Outlook's items are base64 of a store's entry: 120 to 170 characters in upper and lower case
(learn.microsoft.com/graph/outlook-immutable-id). Nothing here makes a row invalid: Graph decides. The warning comes
before the question.
"""

from __future__ import annotations

import re
from enum import StrEnum

from purgeengine.core.graph.identifiers import is_object_id

ID_CHARS_MIN = 16
"""A text with fewer characters is not taken for an id.

Real ids are longer; the limit leaves room for those of simulated tenants.
"""
_ENTRY_ID = re.compile(r"(?:[0-9A-F]{2}){35,}|(?:[0-9a-f]{2}){35,}")
"""An entry id of MAPI in hex: 70 bytes or more. The chance that base64 looks so is below 1 in 10^80."""


class Unlikely(StrEnum):
    """What a contact id is instead. The values stand in every JSON."""

    GUID = "guid"
    NUMBER = "number"
    SHORT = "short"
    LOWER_CASE = "lower_case"
    UPPER_CASE = "upper_case"
    ENTRY_ID = "entry_id"

    @property
    def sentence(self) -> str:
        """The meaning, as the end of a sentence that begins with the number of rows."""
        return _SENTENCES[self]


_SENTENCES = {
    Unlikely.GUID: "a GUID, which names a user or a group and never a contact of a mailbox. Is it a list of users?",
    Unlikely.NUMBER: "a number, and no Graph id is one. Is it a row number?",
    Unlikely.SHORT: f"shorter than {ID_CHARS_MIN} characters, and Graph's ids have 120 and more",
    Unlikely.LOWER_CASE: "all in lower case, and Graph's ids tell upper from lower case: something has changed them, and they "
    "will not be found",
    Unlikely.UPPER_CASE: "all in upper case, and Graph's ids tell upper from lower case: something has changed them, and they "
    "will not be found",
    Unlikely.ENTRY_ID: "an entry id in hex, as MAPI and PowerShell for Exchange have it. Graph's translateExchangeIds turns "
    "entry ids into those that are needed here",
}


def unlikely(contact: str) -> Unlikely | None:
    """Return what this value is instead of a contact id. None if it may well be one. Its characters must be those of an id."""
    if contact.isdecimal():
        return Unlikely.NUMBER
    if is_object_id(contact):
        return Unlikely.GUID
    if len(contact) < ID_CHARS_MIN:
        return Unlikely.SHORT
    if _ENTRY_ID.fullmatch(contact):
        return Unlikely.ENTRY_ID
    if contact == contact.lower():
        return Unlikely.LOWER_CASE
    if contact == contact.upper():
        return Unlikely.UPPER_CASE
    return None
