"""A contact as a list shows it, in one form: whoever wrote it, what is missing is empty.

Graph answers ``null`` where a program made the contact, and ``""`` where a person did; both mean the same here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from purgeengine.core.graph.identifiers import is_id
from purgeengine.core.inventory.text_pattern import plain_text

FIELDS = (
    "id,parentFolderId,displayName,fileAs,companyName,emailAddresses,categories,mobilePhone,businessPhones,homePhones,"
    "createdDateTime,lastModifiedDateTime,changeKey"
)
"""What is asked of each contact (``$select``)."""
FIELDS_WITH_NOTE = f"{FIELDS},personalNotes"
"""The same with the note, which may be long: only for what looks at it."""
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?Z")
_NO_DIGIT = re.compile(r"[^0-9]")


class FoundContact(NamedTuple):
    """One contact of a mailbox. Times are UTC, to the second, as ``2026-01-31T23:59:59Z``, or empty."""

    contact: str
    folder: str
    display_name: str = ""
    file_as: str = ""
    company: str = ""
    addresses: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    note: str = ""
    created_utc: str = ""
    modified_utc: str = ""
    change_key: str = ""

    @property
    def filled(self) -> int:
        """How much is in it: every text that is not empty, and every address, category and number."""
        texts = (self.display_name, self.file_as, self.company, self.note)
        return sum(1 for text in texts if text.strip()) + len(self.addresses) + len(self.categories) + len(self.phones)


def plain_address(address: str) -> str:
    """Return a mail address as it is compared: without letter case, and without the ``SMTP:`` of Exchange's exports."""
    return plain_text(address).removeprefix("smtp:")


def domain_of(address: str) -> str:
    """Return the domain of a mail address as it is compared. Empty for an address of another kind."""
    before, at, domain = plain_address(address).rpartition("@")
    return domain if before and at else ""


def digits_of(phone: str) -> str:
    """Return a phone number as it is compared: its digits."""
    return _NO_DIGIT.sub("", phone)


class _GraphAddress(msgspec.Struct, gc=False):
    address: str | None = None


class _GraphContact(msgspec.Struct):
    """A contact as Graph writes it. Every field may be missing or null."""

    id: str | None = None
    parentFolderId: str | None = None
    displayName: str | None = None
    fileAs: str | None = None
    companyName: str | None = None
    emailAddresses: list[_GraphAddress | None] | None = None
    categories: list[str | None] | None = None
    mobilePhone: str | None = None
    businessPhones: list[str | None] | None = None
    homePhones: list[str | None] | None = None
    personalNotes: str | None = None
    createdDateTime: str | None = None
    lastModifiedDateTime: str | None = None
    changeKey: str | None = None


def contacts_in(value: object, folder: str) -> list[FoundContact] | None:
    """Return the contacts of a page. None if the page is not of the form that Graph documents.

    ``folder`` is the folder that was listed, for an answer that does not name it. A contact whose id cannot be an id makes the
    whole page unreadable: it must not be missing from a list without a word.
    """
    try:
        wires = msgspec.convert(value, list[_GraphContact])
    except msgspec.ValidationError:
        return None
    found = []
    for wire in wires:
        if wire.id is None or not is_id(wire.id):
            return None
        where = wire.parentFolderId
        found.append(
            FoundContact(
                wire.id,
                where if where and is_id(where) else folder,
                _clean(wire.displayName or ""),
                _clean(wire.fileAs or ""),
                _clean(wire.companyName or ""),
                _all(one.address for one in wire.emailAddresses or () if one is not None),
                _all(wire.categories or ()),
                _all((*(wire.businessPhones or ()), *(wire.homePhones or ()), wire.mobilePhone)),
                _clean(wire.personalNotes or ""),
                plain_time(wire.createdDateTime or ""),
                plain_time(wire.lastModifiedDateTime or ""),
                _clean(wire.changeKey or ""),
            )
        )
    return found


def _all(texts: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(_clean(text) for text in texts if text and text.strip())


def _clean(text: str) -> str:
    """Return the text with U+FFFD for what no file of text can hold: halves of a character, and NUL."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "\ufffd")


def plain_time(text: str) -> str:
    """Return Graph's time to the second. Empty for what is no time of Graph's."""
    match = _TIME.fullmatch(text)
    return f"{match[1]}Z" if match else ""
