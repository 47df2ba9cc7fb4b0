"""Which contacts of one mailbox are there more than once, and which one of them stays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

from purgeengine.core.inventory.found_contact import FoundContact, digits_of, plain_address
from purgeengine.core.inventory.text_pattern import plain_text


class DuplicateKey(StrEnum):
    """In what contacts must be equal to be the same one."""

    NAME = "name"
    FILE_AS = "file-as"
    COMPANY = "company"
    EMAIL = "email"
    """All addresses, in any order."""
    PHONE = "phone"
    """All numbers, by their digits, in any order."""
    CONTENT = "content"
    """Every field that an inventory reads, the note included."""


class Keep(StrEnum):
    """Which of equal contacts stays."""

    OLDEST = "oldest"
    NEWEST = "newest"
    FULLEST = "fullest"
    """The one with the most in it. Of several the oldest one."""


class Extra(NamedTuple):
    """A contact that is one too many: its place among those given, the place of the one that stays, and in what they are equal."""

    at: int
    kept: int
    key: str


def extras(contacts: Sequence[FoundContact], keys: Iterable[DuplicateKey], keep: Keep) -> list[Extra]:
    """Return every contact that is one too many, in the order given.

    Contacts are equal if they are so in each of the keys. A contact that lacks one of the keys equals nobody, because two that
    lack the same thing may be two people; only with `DuplicateKey.CONTENT` may fields be empty, though not all of them.
    """
    wanted = tuple(dict.fromkeys(keys))
    groups: dict[tuple[str, ...], list[int]] = {}
    for at, contact in enumerate(contacts):
        key = tuple(_key(contact, one) for one in wanted)
        if all(key):
            groups.setdefault(key, []).append(at)
    found = []
    for key, places in groups.items():
        if len(places) > 1:
            kept = min(places, key=lambda at: _order(contacts[at], keep))
            shown = "; ".join(f"{name}={text}" for name, text in zip(wanted, key, strict=True))
            found += [Extra(at, kept, shown) for at in places if at != kept]
    return sorted(found)


def _key(contact: FoundContact, key: DuplicateKey) -> str:
    """Return what must be equal. Empty if the contact has nothing of the kind."""
    match key:
        case DuplicateKey.NAME:
            return plain_text(contact.display_name)
        case DuplicateKey.FILE_AS:
            return plain_text(contact.file_as)
        case DuplicateKey.COMPANY:
            return plain_text(contact.company)
        case DuplicateKey.EMAIL:
            return " ".join(sorted(set(map(plain_address, contact.addresses))))
        case DuplicateKey.PHONE:
            return " ".join(sorted(set(map(digits_of, contact.phones)) - {""}))
        case DuplicateKey.CONTENT:
            parts = [_key(contact, one) for one in DuplicateKey if one is not DuplicateKey.CONTENT]
            parts += [" ".join(sorted(map(plain_text, contact.categories))), plain_text(contact.note)]
            return " | ".join(parts) if any(parts) else ""


def _order(contact: FoundContact, keep: Keep) -> tuple[object, ...]:
    """Return what is smallest for the contact that stays. Ids decide in the end, so that the answer is always the same.

    A contact without a time counts as the newest: nobody knows that it is old.
    """
    oldest_first = (contact.created_utc or "9999", contact.contact)
    match keep:
        case Keep.OLDEST:
            return oldest_first
        case Keep.NEWEST:
            return (_reversed(contact.created_utc or "9999"), contact.contact)
        case Keep.FULLEST:
            return (-contact.filled, *oldest_first)


def _reversed(time: str) -> tuple[int, ...]:
    """Return what sorts texts of digits the other way round."""
    return tuple(-ord(letter) for letter in time)
