"""One mailbox of the simulated tenant: its contacts, and the limits that Graph sets an app for it.

It knows the truth about its contacts and counts requests; time is an argument. It does not know batches, faults or
JSON.
"""

from __future__ import annotations

import uuid
from array import array
from typing import NamedTuple

from purgeengine.sim.graph.contact_card import BLANK, Card
from purgeengine.sim.graph.counters import Counters
from purgeengine.sim.graph.waits import Waits
from purgeengine.sim.tenant_settings import TenantSettings
from purgeengine.sim.wire.answers import SubResponse, Trouble, over_concurrency, over_rate
from purgeengine.sim.wire.routes import Ask


class PurgeRecord(NamedTuple):
    """When (tenant time) and by which call a contact was purged."""

    at: float
    client_request_id: str
    ask: Ask = Ask.PERMANENT_DELETE


class ContactFolder(NamedTuple):
    """A folder of contacts. ``parent`` is the folder that it is in. Lists of folders show no hidden ones (v1.0)."""

    name: str
    parent: str
    hidden: bool = False


class SimulatedMailbox:
    """A mailbox by its key: the casefolded user principal name or object id."""

    __slots__ = (
        "_counters", "_oldest", "_recent", "cards", "contacts", "default_folder", "deleted", "early_retries", "folders", "key",
        "known", "object_id", "purged", "refused_concurrency", "refused_rate", "requests", "running", "running_max", "trouble",
        "waits",
    )  # fmt: skip

    def __init__(self, key: str, known: bool, counters: Counters) -> None:
        self.key = key
        self._counters = counters
        self.known = known
        """False for a name that was asked for and that nobody has."""
        self.contacts: dict[str, str] = {}
        """The contacts that exist, each with its folder."""
        self.cards: dict[str, Card] = {}
        """What contacts contain, also those that are gone. A contact without a card is empty."""
        self.folders: dict[str, ContactFolder] = {}
        """All folders of contacts by their ids, except the Contacts folder."""
        self.default_folder = ""
        """Id of the Contacts folder: the folder of the first contact that was added, or a made-up one."""
        self.purged: dict[str, PurgeRecord] = {}
        self.deleted: set[str] = set()
        """Contacts in Deleted Items, where only an immutable id can still address them."""
        self.object_id = str(uuid.uuid5(uuid.NAMESPACE_URL, key))
        """The user's id in the directory."""
        self.trouble: Trouble | None = None
        self.running = 0
        self.running_max = 0
        """The most requests that ever ran at once. Never above the limit."""
        self.waits = Waits()
        """The waits that the client was given."""
        self.requests = 0
        self.refused_concurrency = 0
        self.refused_rate = 0
        self.early_retries = 0
        self._recent = array("d")
        self._oldest = 0

    def __repr__(self) -> str:
        return (
            f"Mailbox({self.key!r}, contacts={len(self.contacts)}, purged={len(self.purged)}, running={self.running})"
        )

    def add(self, contact: str, folder: str, card: Card | None = None) -> None:
        """Add a contact. The first one decides which folder is the mailbox's Contacts folder.

        A folder that is not known yet is made, below the Contacts folder.
        """
        if not self.default_folder:
            self.default_folder = folder or self.made_up_id("Contacts folder")
        if folder and folder != self.default_folder and folder not in self.folders:
            self.add_folder(folder, f"Folder {len(self.folders) + 1}")
        self.contacts[contact] = folder
        if card is not None:
            self.cards[contact] = card

    def add_folder(self, folder: str, name: str, parent: str = "", *, hidden: bool = False) -> None:
        """Add a folder with this id. It lies in ``parent``, or in the Contacts folder."""
        self.folders[folder] = ContactFolder(name, parent or self.contacts_folder, hidden)

    def card_of(self, contact: str) -> Card:
        """Return what a contact contains."""
        return self.cards.get(contact, BLANK)

    @property
    def contacts_folder(self) -> str:
        """The id of the Contacts folder, also of a mailbox in which there is nothing yet."""
        return self.default_folder or self.made_up_id("Contacts folder")

    def folder_named(self, folder: str) -> str:
        """Return the id of a folder as a URL names it: the well-known name ``contacts`` stands for the Contacts folder."""
        return self.contacts_folder if folder.lower() == "contacts" else folder

    def folder_of(self, contact: str) -> str:
        """Return the id of the contact's folder: the Contacts folder if nobody named one."""
        return self.contacts.get(contact) or self.contacts_folder

    def made_up_id(self, what: str) -> str:
        """Return an id that looks like Graph's, and is always the same for this mailbox and ``what``."""
        return f"AAMkA{uuid.uuid5(uuid.NAMESPACE_URL, f'{self.key} {what}').hex.upper()}AAAAAAEOAAA="

    def admit(self, now: float, settings: TenantSettings) -> SubResponse | None:
        """Take a slot for one request. Return None, or the refusal. A refused request counts in the window like any other."""
        self.requests += 1
        rate_wait_s = self._count(now, settings)
        if rate_wait_s is not None:
            self.refused_rate += 1
            self._counters.refused_rate += 1
            return over_rate(rate_wait_s)
        if self.running >= settings.mailbox_concurrent_max:
            self.refused_concurrency += 1
            self._counters.refused_concurrency += 1
            return over_concurrency(settings.concurrency_retry_after_s)
        self.running += 1
        if self.running > self.running_max:
            self.running_max = self.running
            self._counters.mailbox_running_max = max(self._counters.mailbox_running_max, self.running)
        return None

    def note_arrival(self, now: float) -> None:
        """Count a request that comes before the end of the wait that the mailbox's client was given."""
        if self.waits.is_early(now):
            self.early_retries += 1
            self._counters.early_retries += 1

    def release(self) -> None:
        """Give back the slot of an admitted request."""
        assert self.running > 0, "a slot was released that nobody held"
        self.running -= 1

    def _count(self, now: float, settings: TenantSettings) -> float | None:
        """Count a request. Return None if it is within the limit, else the seconds until the window has room.

        The latest ``mailbox_requests`` times form a ring. A request is one too many exactly if that many came within
        the window before it.
        """
        limit = settings.mailbox_requests
        if limit is None:
            return None
        if len(self._recent) < limit:
            self._recent.append(now)
            return None
        oldest = self._recent[self._oldest]
        self._recent[self._oldest] = now
        self._oldest = (self._oldest + 1) % limit
        if oldest <= now - settings.mailbox_window_s:
            return None
        return self._recent[self._oldest] + settings.mailbox_window_s - now
