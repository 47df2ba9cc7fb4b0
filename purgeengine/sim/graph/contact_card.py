"""What a simulated contact contains: the fields that somebody filled in, and when it was made and changed."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

UNDATED_S = 1_735_689_600.0
"""When contacts without a date of their own were made: 1 January 2025, in seconds since 1970."""

_TEXTS = """
    displayName fileAs givenName initials middleName nickName surname title yomiGivenName yomiSurname yomiCompanyName
    generation jobTitle companyName department officeLocation profession businessHomePage assistantName manager
    mobilePhone spouseName personalNotes birthday
"""
_LISTED = ("categories", "children", "emailAddresses", "imAddresses", "homePhones", "businessPhones")
_ADDRESSES = ("homeAddress", "businessAddress", "otherAddress")
NOTHING: dict[str, Any] = (
    dict.fromkeys(_TEXTS.split()) | {name: [] for name in _LISTED} | {name: {} for name in _ADDRESSES}
)
"""All fields of a contact that nobody filled in."""


class Card(NamedTuple):
    """A contact's content. ``fields`` are Graph's names with Graph's values; contacts with the same content may share them.

    ``created_s`` and ``modified_s`` are in seconds since 1970. ``version`` counts the changes, and decides the change key.
    """

    fields: Mapping[str, Any] = {}
    created_s: float = UNDATED_S
    modified_s: float = UNDATED_S
    version: int = 0

    def changed(self, at_s: float, fields: Mapping[str, Any]) -> Card:
        """Return the card after a change at this time."""
        return Card({**self.fields, **fields}, self.created_s, at_s, self.version + 1)

    def entity(self, contact: str, folder: str) -> dict[str, Any]:
        """Return the contact as Graph shows it, with all fields."""
        named = contact if not self.version else f"{contact} {self.version}"
        change_key = uuid.uuid5(uuid.NAMESPACE_URL, named).hex[:24]
        return {
            "@odata.etag": f'W/"{change_key}"', "id": contact, "changeKey": change_key,
            "createdDateTime": _iso(self.created_s), "lastModifiedDateTime": _iso(self.modified_s),
            "parentFolderId": folder, **NOTHING, **self.fields,
        }  # fmt: skip


BLANK = Card()


def _iso(utc_s: float) -> str:
    return datetime.fromtimestamp(int(utc_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
