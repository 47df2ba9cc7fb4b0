"""The object of ``restore``."""

from __future__ import annotations

from typing import Literal

from purgeengine.json_output.envelope import Output

RestoreSource = Literal["purges"]


class RestoreOutput(Output, frozen=True, kw_only=True):
    """What the script will look for. Nothing has been restored yet."""

    taken_from: RestoreSource
    """Where the contacts are taken from: ``purges``, the hidden folder of their mailboxes."""
    ledgers: list[str]
    """The folders of the ledgers."""
    file: str
    """The script that was written."""
    mailboxes: int
    """Mailboxes that it will look into."""
    contacts: int
    """Contacts that were deleted, or may have been."""
    in_doubt: int
    """How many of them may not have been deleted."""
    without_name: int
    """How many of them have no name in the list. They are told by mailbox and time alone."""
