"""The truth about a simulated tenant: who has a mailbox, which contacts exist, and what became of the others.

This module judges a request that the limits have admitted, and carries it out. It does not know batches, throttling
or chance; time is an argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from purgeengine.sim.graph.contact_card import Card
from purgeengine.sim.graph.counters import Counters
from purgeengine.sim.graph.simulated_mailbox import PurgeRecord, SimulatedMailbox
from purgeengine.sim.tenant_settings import TenantSettings
from purgeengine.sim.wire.answers import ALREADY_PURGED, MALFORMED_ID, NOT_FOUND, PURGED, TROUBLES, SubResponse, Trouble
from purgeengine.sim.wire.routes import ID, Ask, Target


class Truth:
    """All mailboxes of a tenant, by key. Names compare without letter case; ids compare with it."""

    def __init__(self, settings: TenantSettings, counters: Counters) -> None:
        self._settings = settings
        self._counters = counters
        self._mailboxes: dict[str, SimulatedMailbox] = {}
        self._aliases: dict[str, str] = {}
        self._owners: dict[str, SimulatedMailbox] = {}
        self.groups: dict[str, tuple[str, ...]] = {}
        """The users in each group, those of groups inside it included, by the group's id."""

    def __repr__(self) -> str:
        return f"Truth(mailboxes={len(self._mailboxes)}, remaining={self.remaining()})"

    # ------------------------------------------------------------------------------------------------- setting up

    def mailbox(self, user: str) -> SimulatedMailbox:
        """Return the mailbox behind a name.

        For an unknown name, one that is not ``known``, so that its requests are counted.
        """
        key = user.casefold()
        key = self._aliases.get(key, key)
        box = self._mailboxes.get(key)
        if box is None:
            box = self._mailboxes[key] = SimulatedMailbox(
                key, known=self._settings.anything_exists, counters=self._counters
            )
            self._aliases.setdefault(box.object_id, key)  # a client that has read the user may use its id from then on
        return box

    def add_mailbox(self, user: str, trouble: Trouble | None = None) -> SimulatedMailbox:
        """Add a mailbox that exists. ``trouble`` is what is wrong with it from the start."""
        box = self.mailbox(user)
        box.known = True
        box.trouble = trouble
        return box

    def alias(self, name: str, user: str) -> None:
        """Let another name (for example an object id) mean the mailbox of ``user``. Call it before the name is first used."""
        box = self.mailbox(user)
        self._aliases[name.casefold()] = box.key
        if "@" not in name:
            box.object_id = name.casefold()

    def add_group(self, group: str, users: Iterable[str]) -> None:
        """Add a group with these users. ``group`` is its object id."""
        self.groups[group.casefold()] = tuple(self.mailbox(user).key for user in users)

    def add(self, user: str, folder: str, contact: str, card: Card | None = None) -> None:
        """Add a contact that exists. With an empty ``folder``, it is found under any folder in a URL."""
        box = self.mailbox(user)
        box.known = True
        box.add(contact, folder, card)
        self._owners[contact] = box

    def seed(self, rows: Iterable[tuple[str, str, str]]) -> None:
        """Add contacts that exist, as (user, folder, contact). Naming one twice is the same as once."""
        for user, folder, contact in rows:
            self.add(user, folder, contact)

    def change(self, user: str, contact: str, at_s: float, **fields: Any) -> None:
        """Let somebody change a contact's fields, at this time in seconds since 1970. It gets another change key."""
        box = self.mailbox(user)
        box.cards[contact] = box.card_of(contact).changed(at_s, fields)

    # ------------------------------------------------------------------------------------------------- looking up

    def __iter__(self) -> Iterator[SimulatedMailbox]:
        return iter(self._mailboxes.values())

    def exists(self, user: str, contact: str) -> bool:
        """True if the contact exists now."""
        box = self.mailbox(user)
        return contact in box.contacts or (self._settings.anything_exists and contact not in box.purged)

    def purge_of(self, user: str, contact: str) -> PurgeRecord | None:
        """Return when and by which call the contact was purged, or None."""
        return self.mailbox(user).purged.get(contact)

    def remaining(self) -> int:
        """Count the added contacts that still exist."""
        return sum(len(box.contacts) for box in self._mailboxes.values())

    # ------------------------------------------------------------------------------------------------- judging

    def carry_out(self, box: SimulatedMailbox, target: Target, now: float, client_request_id: str) -> SubResponse:
        """Carry out a request to delete a contact, and return Graph's reply: `PURGED` if this request deleted it.

        The cases, in order: something is wrong with the mailbox, or nobody has it; an id is malformed; the contact
        exists (in the named folder, if any); it was deleted before; it belongs to another mailbox; it is unknown.
        """
        problem = self.problem(box, target)
        if problem is not None:
            return problem
        contact = target.contact
        if self.is_there(box, target):
            box.contacts.pop(contact, None)
            self._counters.purged += 1
            if self._settings.track:
                box.purged[contact] = PurgeRecord(now, client_request_id, target.ask)
                if target.ask is Ask.DELETE:
                    box.deleted.add(contact)
            return PURGED
        if contact in box.purged:
            if not self._settings.immutable_ids:
                return NOT_FOUND
            if contact in box.deleted:  # out of Deleted Items as well
                box.deleted.remove(contact)
                return PURGED
            return ALREADY_PURGED
        return self.unknown(box, contact)

    def purge_before(self, user: str, contact: str) -> None:
        """Note a contact that somebody else has purged."""
        self.mailbox(user).purged[contact] = PurgeRecord(-1.0, "")

    def problem(self, box: SimulatedMailbox, target: Target) -> SubResponse | None:
        """Return why the request cannot be about any contact, or None."""
        if box.trouble is not None:
            return TROUBLES[box.trouble]
        if not box.known:
            return TROUBLES[Trouble.INVALID_USER]
        of_other_type = target.immutable != self._settings.immutable_ids
        if of_other_type or not ID.fullmatch(target.contact) or (target.folder and not ID.fullmatch(target.folder)):
            return MALFORMED_ID
        return None

    def unknown(self, box: SimulatedMailbox, contact: str) -> SubResponse:
        """Return the reply for a contact that is not in the mailbox: it is another mailbox's, or nobody's."""
        owner = self._owners.get(contact)
        return TROUBLES[Trouble.OTHER_MAILBOX] if owner is not None and owner is not box else NOT_FOUND

    def is_there(self, box: SimulatedMailbox, target: Target) -> bool:
        """True if the contact is in the mailbox and, if a folder is named, in that folder."""
        folder = box.contacts.get(target.contact)
        if folder is None:
            return self._settings.anything_exists and target.contact not in box.purged
        return not target.folder or not folder or folder == box.folder_named(target.folder)

    def is_reachable(self, box: SimulatedMailbox, target: Target) -> bool:
        """True if the contact can be read: it exists, or an immutable id finds it in Deleted Items."""
        return self.is_there(box, target) or (target.immutable and target.contact in box.deleted)
