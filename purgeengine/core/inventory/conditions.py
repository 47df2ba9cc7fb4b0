"""Which contacts are wanted: conditions on their fields, joined by *all*, *any* and *not*, and the reason why one matched.

Everything is matched here and nothing by Graph, so each filter has one meaning in every tenant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from purgeengine.core.inventory.found_contact import FoundContact, domain_of, plain_address
from purgeengine.core.inventory.text_pattern import Matches, path_pattern, text_pattern

EVERYTHING = "no filter"
"""Why a contact is in a list for which no filter was given."""


class ConditionKind(StrEnum):
    """What a condition looks at."""

    FOLDER = "folder"
    FOLDER_ID = "folder-id"
    COMPANY = "company"
    DOMAIN = "domain"
    EMAIL = "email"
    CATEGORY = "category"
    NAME = "name"
    FILE_AS = "file-as"
    NOTE = "note"
    CREATED_BEFORE = "created-before"
    CREATED_AFTER = "created-after"
    MODIFIED_BEFORE = "modified-before"
    MODIFIED_AFTER = "modified-after"


Test = Callable[[FoundContact, str], bool]


@dataclass(frozen=True)
class Condition:
    """One thing that a contact can have. ``value`` is as the user wrote it. An empty one stands for a contact without the thing.

    Times are UTC in the form of `FoundContact`: *before* leaves the time itself out, and *after* includes it. A contact without
    the time matches neither.
    """

    kind: ConditionKind
    value: str
    _test: Test = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_test", _test_of(self.kind, self.value))

    def matches(self, contact: FoundContact, path: str) -> bool:
        """Return whether a contact in the folder with this path has it."""
        return self._test(contact, path)

    def __str__(self) -> str:
        return f"{self.kind}={self.value}"


class Addresses:
    """A condition on many addresses at once: the contact has one of them."""

    kind = ConditionKind.EMAIL

    def __init__(self, addresses: Iterable[str]) -> None:
        self._wanted = frozenset(map(plain_address, addresses)) - {""}

    def __len__(self) -> int:
        return len(self._wanted)

    def matches(self, contact: FoundContact, path: str) -> bool:
        """Return whether any address of the contact is one of them."""
        return any(plain_address(address) in self._wanted for address in contact.addresses)

    def matched(self, contact: FoundContact) -> str:
        """Return the address that matched, as a reason."""
        return next(f"{self.kind}={one}" for one in contact.addresses if plain_address(one) in self._wanted)


@dataclass(frozen=True)
class ContactFilter:
    """Which contacts are wanted.

    Conditions of one kind are alternatives: a contact needs one of them. With ``any_kind`` it needs one condition of any kind,
    else one of every kind that is given. Any one of ``unwanted`` keeps a contact out, whatever else it has.
    """

    wanted: Sequence[Condition | Addresses] = ()
    unwanted: Sequence[Condition | Addresses] = ()
    any_kind: bool = False

    @property
    def looks_at_note(self) -> bool:
        """Whether the note of a contact must be known."""
        return any(one.kind is ConditionKind.NOTE for one in (*self.wanted, *self.unwanted))

    def reason(self, contact: FoundContact, path: str) -> str:
        """Return why the contact is wanted, as every condition that it meets. Empty if it is not wanted."""
        if any(one.matches(contact, path) for one in self.unwanted):
            return ""
        if not self.wanted:
            return EVERYTHING
        met = [one for one in self.wanted if one.matches(contact, path)]
        kinds = {one.kind for one in met}
        if not met or not (self.any_kind or kinds == {one.kind for one in self.wanted}):
            return ""
        return "; ".join(one.matched(contact) if isinstance(one, Addresses) else str(one) for one in met)

    def may_hold(self, folder: str, path: str) -> bool:
        """Return whether a contact in this folder can be wanted. If not, the folder need not be read.

        ``folder`` is empty if the folder's id is not known yet.
        """
        anybody = FoundContact("", folder)
        known = _OF_FOLDER if folder else (ConditionKind.FOLDER,)
        if any(one.kind in known and one.matches(anybody, path) for one in self.unwanted):
            return False
        for kind in known:
            places = [one for one in self.wanted if one.kind is kind]
            if places and not self.any_kind and not any(one.matches(anybody, path) for one in places):
                return False
        of_folder = [one for one in self.wanted if one.kind in known]
        if self.any_kind and self.wanted and len(of_folder) == len(self.wanted):
            return any(one.matches(anybody, path) for one in of_folder)
        return True


_OF_FOLDER = (ConditionKind.FOLDER, ConditionKind.FOLDER_ID)


def _test_of(kind: ConditionKind, value: str) -> Test:
    match kind:
        case ConditionKind.FOLDER:
            in_path = path_pattern(value)
            return lambda contact, path: in_path(path)
        case ConditionKind.FOLDER_ID:
            return lambda contact, path: contact.folder == value
        case ConditionKind.CREATED_BEFORE:
            return lambda contact, path: "" < contact.created_utc < value
        case ConditionKind.CREATED_AFTER:
            return lambda contact, path: contact.created_utc >= value
        case ConditionKind.MODIFIED_BEFORE:
            return lambda contact, path: "" < contact.modified_utc < value
        case ConditionKind.MODIFIED_AFTER:
            return lambda contact, path: contact.modified_utc >= value
    matches = text_pattern(value.removeprefix("@") if kind is ConditionKind.DOMAIN else value)
    match kind:
        case ConditionKind.COMPANY:
            return lambda contact, path: matches(contact.company)
        case ConditionKind.NAME:
            return lambda contact, path: matches(contact.display_name)
        case ConditionKind.FILE_AS:
            return lambda contact, path: matches(contact.file_as)
        case ConditionKind.NOTE:
            return lambda contact, path: matches(contact.note)
        case ConditionKind.CATEGORY:
            return _any_of(value, matches, lambda contact: contact.categories)
        case ConditionKind.DOMAIN:
            return _any_of(value, matches, lambda contact: list(filter(None, map(domain_of, contact.addresses))))
    return _any_of(value, matches, lambda contact: list(map(plain_address, contact.addresses)))


def _any_of(value: str, matches: Matches, texts: Callable[[FoundContact], Sequence[str]]) -> Test:
    """Return whether any of several texts matches. An empty value stands for a contact that has none."""
    if not value.strip():
        return lambda contact, path: not texts(contact)
    return lambda contact, path: any(map(matches, texts(contact)))
