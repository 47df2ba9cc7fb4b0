"""The object of ``inventory``."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from purgeengine.json_output.envelope import Output


class MailboxCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Mailboxes by what became of them. Every outcome is present, also with 0 mailboxes."""

    listed: int
    """Read, and unchanged between two looks."""
    changed: int
    """Read, and a folder changed with every look: its rows are marked in ``matched``, and some may be missing."""
    refused: int
    """Graph refused them for good."""
    exhausted: int
    """Not read in all attempts."""
    no_mailbox: int
    """The user has no mailbox in Exchange Online, or nobody has that name."""
    duplicate: int
    """Read under another name already."""

    @classmethod
    def of(cls, counts: Mapping[str, int]) -> MailboxCounts:
        """Make it from counts by outcome. An outcome that is missing has 0 mailboxes."""
        return cls(**{name: counts.get(name, 0) for name in cls.__struct_fields__})


class InventoryOutput(Output, frozen=True, kw_only=True):
    """What an inventory found, over all its processes."""

    ledger: str
    """The folder of its state."""
    mailboxes_by_outcome: MailboxCounts
    """Mailboxes by outcome."""
    contacts: int
    """Contacts that were looked at."""
    listed: int
    """Contacts that the filters and the search for duplicates found: the rows of the list."""
    users_left_out: int
    """Users that a list of users left out when the inventory began. 0 in later processes."""
    users_named_twice: int
    """Users that were named more than once when the inventory began. 0 in later processes."""
    file: str
    """The list that was written, or the figures of ``--counts``."""
    unread_file: str | None
    """The file with the mailboxes that could not be read, or not with certainty. Null if there are none."""
