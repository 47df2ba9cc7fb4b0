"""Recognises values that have valid characters but cannot be contact ids, such as GUIDs; they suggest a wrong list.

Ids of Outlook's items are base64 of a store's entry, 120 to 170 characters that tell upper from lower case
(learn.microsoft.com/graph/outlook-immutable-id). Nothing here makes a row invalid: Graph decides. The
warning comes before the question.
"""

from __future__ import annotations

import re
from enum import StrEnum

from purgeengine.core.graph.identifiers import is_object_id

ID_CHARS_MIN = 16
"""Shorter than this, nothing is taken for an id. It leaves room for simulated tenants, whose ids are shorter than real ones."""
_ENTRY_ID = re.compile(r"(?:[0-9A-F]{2}){35,}|(?:[0-9a-f]{2}){35,}")
"""An entry id of MAPI in hex: 70 bytes for items of a mailbox, more elsewhere. As base64, chance would not make one in 10^80."""


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
        """What it means, after the number of rows."""
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
    """What this contact id, which is one by its characters, is instead; None where it may well be one."""
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
