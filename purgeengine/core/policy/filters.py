"""Which mailboxes a purge leaves alone: those on one list, or those not on another.

A list names users as an input does (user principal names and object ids, compared without letter case), or many at
once with ``*``, which stands for any characters but ``@``. This module does not know where a list comes from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from purgeengine.core.command_words import EXCLUDE_USERS, ONLY_USERS, PROTECTED_USERS
from purgeengine.core.graph.identifiers import is_object_id, mailbox_key, user_problem
from purgeengine.core.model import Reply

PROTECTED = "Protected"
"""Code of rows whose mailbox is on the protected list."""
FILTERED = "Filtered"
"""Code of rows whose mailbox is excluded, or is not among the only ones wanted."""

NOT_NAMED = Reply(0, FILTERED, f"{ONLY_USERS} does not name the mailbox.")
EXCLUDED = Reply(0, FILTERED, f"{EXCLUDE_USERS} names the mailbox.")
IS_PROTECTED = Reply(0, PROTECTED, "The mailbox is on the protected list.")

_STAR = "[^@]*"


def is_left_out(status: int, code: str) -> bool:
    """Return True if this is the reply of rows that a filter left out. They were never sent, as the filter asked."""
    return status == 0 and code in (FILTERED, PROTECTED)


def filter_named_in(code: str, message: str) -> str:
    """Return the option that left out rows with this code and message."""
    return PROTECTED_USERS if code == PROTECTED else ONLY_USERS if message == NOT_NAMED.message else EXCLUDE_USERS


class Kinds(NamedTuple):
    """Which kinds of names occur: user principal names, object ids, or both."""

    names: bool = False
    ids: bool = False


NO_KINDS = Kinds()


def entry_problem(entry: str) -> str | None:
    """Return why this text cannot be in a list of users, as half a sentence, or None."""
    if user_problem(entry.replace("*", "x")) is None:
        return None
    return "it is neither a user principal name (name@domain, or *@domain for all of a domain) nor an object id (GUID)"


@dataclass(frozen=True, slots=True)
class UserList:
    """Users by key, and patterns. Make one with `of`, from entries that have passed `entry_problem`."""

    keys: frozenset[str]
    patterns: frozenset[str]
    _matcher: re.Pattern[str] | None

    @classmethod
    def of(cls, entries: Iterable[str]) -> UserList:
        """Return the list of these entries."""
        keys = {mailbox_key(entry) for entry in entries}
        patterns = frozenset(key for key in keys if "*" in key)
        regex = "|".join(_STAR.join(map(re.escape, pattern.split("*"))) for pattern in sorted(patterns))
        return cls(frozenset(keys - patterns), patterns, re.compile(regex) if patterns else None)

    def __contains__(self, key: str) -> bool:
        return key in self.keys or (self._matcher is not None and self._matcher.fullmatch(key) is not None)

    def __len__(self) -> int:
        return len(self.keys) + len(self.patterns)

    @property
    def kinds(self) -> Kinds:
        """The kinds of names in the list. A pattern counts as a user principal name."""
        ids = sum(map(is_object_id, self.keys))
        return Kinds(names=bool(self.patterns) or ids < len(self.keys), ids=ids > 0)


NOBODY = UserList.of(())


@dataclass(frozen=True, slots=True)
class UserFilter:
    """What a purge leaves out. ``only`` is None if all mailboxes are wanted."""

    protected: UserList = NOBODY
    excluded: UserList = NOBODY
    only: UserList | None = None

    def left_out(self, *keys: str) -> Reply | None:
        """Return why the mailbox with these keys is left out, or None. The protected list comes first."""
        if any(key in self.protected for key in keys):
            return IS_PROTECTED
        if any(key in self.excluded for key in keys):
            return EXCLUDED
        if self.only is not None and not any(key in self.only for key in keys):
            return NOT_NAMED
        return None

    def blind_spot(self, found: Kinds) -> str | None:
        """Return a sentence if a list may fail to recognise a mailbox that is about to be purged, else None.

        A name and an object id of one mailbox can be matched only by asking the directory. If the input has one kind
        of name and a list only the other, nobody can tell whether listed users are in the input. ``found`` are the
        kinds of names to be purged.
        """
        for what, users in (("protected list", self.protected), (f"list of {EXCLUDE_USERS}", self.excluded)):
            listed = users.kinds
            if found.ids and listed.names and not listed.ids:
                return _BLIND.format(what=what, listed="user principal name", found="object id")
            if found.names and listed.ids and not listed.names:
                return _BLIND.format(what=what, listed="object id", found="user principal name")
        return None


_BLIND = (
    "The {what} names users by {listed} only, and the input names mailboxes by {found}, so that a listed user could not be "
    "recognised among them. Put the {found} of each listed user into the list as well. Nothing was sent."
)
