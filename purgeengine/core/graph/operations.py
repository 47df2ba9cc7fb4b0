"""What a purge does to a contact, and which kind of ids names it. The choice holds for a whole ledger.

Sources: contact-permanentDelete, contact-delete and outlook-immutable-id in Microsoft Graph's documentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """The actions, by Graph's names."""

    PERMANENT_DELETE = "permanentDelete"
    """The contact goes to the Purges folder, which no mail program can open. Only the global cloud has this action."""
    DELETE = "delete"
    """A plain DELETE: the contact goes to Deleted Items, where its user can find and restore it. Every cloud has it."""


class IdType(StrEnum):
    """The kind of ids in the input. Each sub-request tells it to Graph in the header ``Prefer: IdType="ImmutableId"``."""

    DEFAULT = "default"
    """The id changes when the contact moves to another folder, also to Deleted Items or Purges."""
    IMMUTABLE = "immutable"
    """The id stays with its contact in the whole mailbox."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """How the contacts of a ledger are deleted.

    A ledger keeps these values, and two purges that differ in them never share one.
    """

    action: Action = Action.PERMANENT_DELETE
    id_type: IdType = IdType.DEFAULT


PERMANENT = Deletion()
"""The deletion that is used if nothing else is asked for."""
