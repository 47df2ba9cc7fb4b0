"""What a purge does to a contact, and how contacts are named in it: one choice for a whole ledger.

Sources: contact-permanentDelete, contact-delete and outlook-immutable-id of Microsoft Graph's documentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """By Graph's names."""

    PERMANENT_DELETE = "permanentDelete"
    """The contact goes to the Purges folder, which no mail program reaches. Global cloud only."""
    DELETE = "delete"
    """A plain DELETE: the contact goes to Deleted Items, where its user finds it and can put it back. In every cloud."""


class IdType(StrEnum):
    """Which ids the input holds; Graph is told with the header ``Prefer: IdType="ImmutableId"`` of each sub-request."""

    DEFAULT = "default"
    """An id changes when the contact moves to another folder, Deleted Items and Purges included."""
    IMMUTABLE = "immutable"
    """An id follows its contact through the whole mailbox."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """How the contacts of a ledger are deleted. The values are what the ledger keeps; two purges that differ never share one."""

    action: Action = Action.PERMANENT_DELETE
    id_type: IdType = IdType.DEFAULT


PERMANENT = Deletion()
"""What is done unless something else was asked for."""
