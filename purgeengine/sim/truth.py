"""The truth about a simulated tenant: who has a mailbox, which contacts exist, and what became of the others.

Judges a request that Graph has let through, and carries it out. Knows nothing of batches, throttling or chance; time is an
argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from purgeengine.sim.answers import (
    ALREADY_PURGED,
    APP_DENIED,
    MALFORMED_ID,
    NOT_FOUND,
    PURGED,
    TROUBLES,
    SubResponse,
    Trouble,
)
from purgeengine.sim.counters import Counters
from purgeengine.sim.mailbox import Mailbox, Purge
from purgeengine.sim.routes import ID, Ask, Target
from purgeengine.sim.settings import TenantSettings

ORGANIZATION_ID = "5157a1ed-0000-4000-8000-000000000001"
"""The tenant's own id, as its login says it (`purgeengine.sim.login.App`)."""

_READABLE = frozenset({Trouble.QUOTA_FULL, Trouble.QUOTA_REACHED})
"""Troubles that keep nobody from reading."""
_LISTABLE = frozenset({None, Trouble.OTHER_MAILBOX}) | _READABLE
"""Those that keep nobody from reading a list, which holds no id that could be wrong."""


class Truth:
    """All mailboxes of a tenant, by key. Names compare without case; ids compare with it."""

    def __init__(self, settings: TenantSettings, counters: Counters) -> None:
        self._settings = settings
        self._counters = counters
        self._mailboxes: dict[str, Mailbox] = {}
        self._aliases: dict[str, str] = {}
        self._owners: dict[str, Mailbox] = {}

    def __repr__(self) -> str:
        return f"Truth(mailboxes={len(self._mailboxes)}, remaining={self.remaining()})"

    # ------------------------------------------------------------------------------------------------- setting up

    def mailbox(self, user: str) -> Mailbox:
        """The mailbox behind a name; for a stranger's name one that is not ``known``, so that its requests are counted."""
        key = user.casefold()
        key = self._aliases.get(key, key)
        box = self._mailboxes.get(key)
        if box is None:
            box = self._mailboxes[key] = Mailbox(key, known=self._settings.anything_exists, counters=self._counters)
        return box

    def add_mailbox(self, user: str, trouble: Trouble | None = None) -> Mailbox:
        """A mailbox that exists, with what is wrong with it from the start."""
        box = self.mailbox(user)
        box.known = True
        box.trouble = trouble
        return box

    def alias(self, name: str, user: str) -> None:
        """Let another name (an object id, say) mean the mailbox of ``user``; set it before the name is first used."""
        box = self.mailbox(user)
        self._aliases[name.casefold()] = box.key
        if "@" not in name:
            box.object_id = name.casefold()

    def add(self, user: str, folder: str, contact: str) -> None:
        """A contact that exists. An empty ``folder`` means that any folder in a url will do."""
        box = self.mailbox(user)
        box.known = True
        box.contacts[contact] = folder
        self._owners[contact] = box

    def seed(self, rows: Iterable[tuple[str, str, str]]) -> None:
        """Contacts that exist, as (user, folder, contact); naming one twice is the same as once."""
        for user, folder, contact in rows:
            self.add(user, folder, contact)

    # ------------------------------------------------------------------------------------------------- looking up

    def __iter__(self) -> Iterator[Mailbox]:
        return iter(self._mailboxes.values())

    def exists(self, user: str, contact: str) -> bool:
        """Whether the contact is there now."""
        box = self.mailbox(user)
        return contact in box.contacts or (self._settings.anything_exists and contact not in box.purged)

    def purge_of(self, user: str, contact: str) -> Purge | None:
        """When and by which call the contact was purged, or None."""
        return self.mailbox(user).purged.get(contact)

    def remaining(self) -> int:
        """Seeded contacts that still exist."""
        return sum(len(box.contacts) for box in self._mailboxes.values())

    # ------------------------------------------------------------------------------------------------- judging

    def carry_out(self, box: Mailbox, target: Target, now: float, client_request_id: str) -> SubResponse:
        """What Graph does with a request to delete a contact; `PURGED` when the contact is gone by it.

        In order: something is wrong with the mailbox, or nobody has it; an id is not one; the contact is there (in the
        folder named, if any); it was deleted before; it is another mailbox's; it is unknown.
        """
        problem = self._problem(box, target)
        if problem is not None:
            return problem
        contact = target.contact
        if self._is_there(box, target):
            box.contacts.pop(contact, None)
            self._counters.purged += 1
            if self._settings.track:
                box.purged[contact] = Purge(now, client_request_id, target.ask)
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
        return self._unknown(box, contact)

    def read(self, box: Mailbox | None, target: Target) -> SubResponse:
        """What Graph answers to a request that only reads; the directory's have no mailbox."""
        if box is None:
            return self._read_directory(target)
        if target.ask is Ask.LIST_CONTACTS:
            if box.known and box.trouble in _LISTABLE:
                return SubResponse(200, found={"value": [{"id": contact} for contact in islice(box.contacts, 1)]})
            return TROUBLES[box.trouble or Trouble.INVALID_USER]
        problem = self._problem(box, target)
        if problem is not None and box.trouble not in _READABLE:
            return problem
        reachable = target.immutable and target.contact in box.deleted
        if self._is_there(box, target) or reachable:
            return SubResponse(200, found={"id": target.contact})
        return self._unknown(box, target.contact)

    def purge_before(self, user: str, contact: str) -> None:
        """A contact that somebody else has purged."""
        self.mailbox(user).purged[contact] = Purge(-1.0, "")

    def _read_directory(self, target: Target) -> SubResponse:
        if not self._settings.directory:
            return APP_DENIED
        if target.ask is Ask.GET_ORGANIZATION:
            return SubResponse(200, found={"value": [{"id": ORGANIZATION_ID, "displayName": "Simulated tenant"}]})
        box = self.mailbox(target.user)
        if not box.known:
            return TROUBLES[Trouble.REQUEST_RESOURCE_NOT_FOUND]
        return SubResponse(200, found={"id": box.object_id, "userPrincipalName": box.key})

    def _problem(self, box: Mailbox, target: Target) -> SubResponse | None:
        """Why the request cannot be about any contact, or None."""
        if box.trouble is not None:
            return TROUBLES[box.trouble]
        if not box.known:
            return TROUBLES[Trouble.INVALID_USER]
        of_other_type = target.immutable != self._settings.immutable_ids
        if of_other_type or not ID.fullmatch(target.contact) or (target.folder and not ID.fullmatch(target.folder)):
            return MALFORMED_ID
        return None

    def _unknown(self, box: Mailbox, contact: str) -> SubResponse:
        owner = self._owners.get(contact)
        return TROUBLES[Trouble.OTHER_MAILBOX] if owner is not None and owner is not box else NOT_FOUND

    def _is_there(self, box: Mailbox, target: Target) -> bool:
        folder = box.contacts.get(target.contact)
        if folder is None:
            return self._settings.anything_exists and target.contact not in box.purged
        return not target.folder or not folder or folder == target.folder
