"""What becomes of a mailbox that was read: its outcome, and the rows of the list that it gives."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from purgeengine.core.graph.operations import IdType
from purgeengine.core.inventory.equal_contacts import DuplicateKey, Keep, extras
from purgeengine.core.inventory.mailbox_walk import MailboxWalk
from purgeengine.core.model import Reply

COLUMNS = (
    "user", "folder", "contact", "folder_path", "display_name", "file_as", "company", "emails", "categories", "created_utc",
    "modified_utc", "change_key", "id_type", "matched", "duplicate_of", "duplicate_key", "listed_utc",
)  # fmt: skip
"""The columns of a list. The first three are what a purge reads. The names are a contract."""
SEPARATOR = ";"
"""Between the addresses and the categories of a contact."""

ListedRow = tuple[str, ...]


class MailboxOutcome(StrEnum):
    """What became of a mailbox. The names are a contract."""

    LISTED = "listed"
    """It was read, and each of its folders stayed the same for two passes, or fitted on a page."""
    CHANGED = "changed"
    """It was read, and a folder changed with every pass: the rows of that folder are marked, and some may be missing."""
    REFUSED = "refused"
    """Graph refused it for good."""
    EXHAUSTED = "exhausted"
    """It could not be read in all attempts."""
    NO_MAILBOX = "no_mailbox"
    """The user has no mailbox in Exchange Online, or nobody has that name."""
    DUPLICATE = "duplicate"
    """It was read under another name already."""

    @property
    def was_read(self) -> bool:
        """Whether its contacts are in the list, under this name or another."""
        return self in (MailboxOutcome.LISTED, MailboxOutcome.CHANGED, MailboxOutcome.DUPLICATE)


_NO_MAILBOX = frozenset(
    (
        "errorinvaliduser", "errornonexistentmailbox", "errormailrecipientnotfound", "mailboxnotenabledforrestapi",
        "mailboxnotsupportedforrestapi", "request_resourcenotfound", "resourcenotfound",
    )
)  # fmt: skip


def outcome_of(walk: MailboxWalk) -> MailboxOutcome:
    """Return what became of a mailbox whose walk is done."""
    if walk.failure is None:
        agreed = all(folder.agreed for folder in walk.folders.values())
        return MailboxOutcome.LISTED if agreed else MailboxOutcome.CHANGED
    reply = walk.failure
    if reply.status == 404 and (reply.code.lower() in _NO_MAILBOX or _names_no_root(reply)):
        return MailboxOutcome.NO_MAILBOX
    return (
        MailboxOutcome.REFUSED
        if 400 <= reply.status < 500 and reply.status not in (401, 408, 429)
        else MailboxOutcome.EXHAUSTED
    )


def _names_no_root(reply: Reply) -> bool:
    return reply.code == "ErrorItemNotFound" and "default folder" in reply.message.lower()


class DuplicateSearch(NamedTuple):
    """What to do about contacts that are there more than once: in what they are equal, and which one stays."""

    keys: tuple[DuplicateKey, ...]
    keep: Keep = Keep.OLDEST


def rows_of(walk: MailboxWalk, duplicates: DuplicateSearch | None, id_type: IdType, listed_utc: str) -> list[ListedRow]:
    """Return the rows of a mailbox, by folder. With ``duplicates``, only the contacts that are one too many."""
    matches = walk.matches()
    contacts = [match.contact for match in matches]
    groups: Sequence[tuple[int, str, str]] = [(at, "", "") for at in range(len(matches))]
    if duplicates is not None:
        groups = [(one.at, contacts[one.kept].contact, one.key) for one in extras(contacts, *duplicates)]
    found: list[ListedRow] = []
    for at, kept, key in groups:
        contact, path, reason = matches[at]
        if duplicates is not None:
            reason = f"duplicate; {reason}"
        found.append(
            (
                walk.user, contact.folder, contact.contact, path, contact.display_name, contact.file_as, contact.company,
                SEPARATOR.join(contact.addresses), SEPARATOR.join(contact.categories), contact.created_utc,
                contact.modified_utc, contact.change_key, id_type.value, reason, kept, key, listed_utc,
            )
        )  # fmt: skip
    return found


class FolderFigures(NamedTuple):
    """How many contacts a folder has, and how many of them are in the list. None if it was not read."""

    folder: str
    path: str
    contacts: int | None
    listed: int


def figures_of(walk: MailboxWalk, rows: Sequence[ListedRow]) -> list[FolderFigures]:
    """Return the figures of each folder of a mailbox."""
    listed = {row[2] for row in rows}
    return [
        FolderFigures(
            one.folder,
            one.path,
            one.contacts if one.read else None,
            sum(contact in listed for contact in one.matches),
        )
        for one in walk.folders.values()
        if not one.gone
    ]
