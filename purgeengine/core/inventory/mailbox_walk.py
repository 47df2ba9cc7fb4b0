"""Reads one mailbox: folder by folder, page by page, and each folder of several pages until two passes agree.

Pages are by ``$skip``. If a contact comes or goes while a folder is read, the contacts after it move by one place, and a contact
may be on no page or on two. A folder that fits on a page is read at an instant and needs no second pass. Any other folder is read
again, in turn by ids only and in full, until two passes in a row show the same contacts with the same change keys. After
`PASSES_MAX` passes its contacts are marked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from purgeengine.core.graph.bodies import found_in
from purgeengine.core.graph.identifiers import is_id
from purgeengine.core.graph.listing_urls import contacts_url, folders_url, next_url
from purgeengine.core.inventory.conditions import ContactFilter
from purgeengine.core.inventory.found_contact import FIELDS, FIELDS_WITH_NOTE, FoundContact, contacts_in
from purgeengine.core.model import Reply

DEFAULT_PATH = "Contacts"
"""The path of the Contacts folder, in every language: Graph's well-known name for it."""
PAGE, PAGE_WITH_NOTES, PAGE_IDS = 200, 50, 1_000
"""Contacts on a page. Twenty pages share an answer, which is a few megabytes then; ids are short, and Graph gives 1,000 at most."""
PASSES_MAX = 6
"""The most passes over a folder that changes all the time. Every second one, from the first on, reads in full; the others
read ids only."""
PAGES_MAX = 20_000
"""Pages of a mailbox. Twenty times as many contacts as Exchange recommends for a folder (1 million items) need fewer."""
FOLDERS_MAX = 10_000
"""Folders of a mailbox: the most that Exchange Online allows in a mailbox's hierarchy of contacts and the like."""
CHANGED = "changed while it was listed"
"""The mark in ``matched`` of a contact whose folder never stayed the same for two passes."""
UNREADABLE_PAGE = Reply(200, "UnreadablePage", "The answer is no page of the form that Graph documents.")
ENDLESS = Reply(200, "EndlessPages", "The mailbox has more pages or folders than any mailbox can have.")


class _Ask(Enum):
    FOLDERS = "folders"
    CONTACTS = "contacts"
    IDS = "ids"


class Page(NamedTuple):
    """A page to be read. ``folder`` is the key of the folder that it is about: its id, or empty for the Contacts folder."""

    ask: _Ask
    folder: str
    url: str


class Match(NamedTuple):
    """A contact that is wanted, the path of its folder, and why it is wanted."""

    contact: FoundContact
    path: str
    reason: str


@dataclass
class ListedFolder:
    """What is known of a folder. ``folder`` is its id; empty for the Contacts folder until an answer names it."""

    folder: str
    path: str
    contacts: int = 0
    """Contacts in it, wanted or not."""
    matches: dict[str, Match] = field(default_factory=dict)
    """The contacts that are wanted, by id."""
    read: bool = True
    """False if no filter can want its contacts, so that they were not read."""
    agreed: bool = True
    """False if it changed with every pass."""
    gone: bool = False
    """True if somebody has deleted it meanwhile."""
    _passes: int = 0
    _pages: int = 0
    _now: dict[str, str] = field(default_factory=dict)
    _before: dict[str, str] | None = None
    _looking: _Ask = _Ask.CONTACTS


class MailboxWalk:
    """The reading of one mailbox. `begin` gives the first pages, `answered` the pages that an answer makes necessary."""

    def __init__(self, user: str, wanted: ContactFilter, *, with_note: bool = False, page: int | None = None) -> None:
        self.user = user
        self.failure: Reply | None = None
        """The answer that ended it early; None if all went well so far."""
        self.folders: dict[str, ListedFolder] = {"": ListedFolder("", DEFAULT_PATH)}
        """The folders by key, in the order in which they were found."""
        self._wanted = wanted
        self._fields = FIELDS_WITH_NOTE if with_note or wanted.looks_at_note else FIELDS
        self._size = page or (PAGE_WITH_NOTES if self._fields is FIELDS_WITH_NOTE else PAGE)
        self._pages = 0
        self._open = 0

    @property
    def done(self) -> bool:
        """Whether nothing is left to be read."""
        return self.failure is not None or not self._open

    @property
    def default_folder(self) -> str:
        """The id of the Contacts folder, which tells a mailbox from all others. Empty if no answer has named it."""
        return self.folders[""].folder

    @property
    def held(self) -> int:
        """Contacts that it holds in memory."""
        return sum(len(folder.matches) for folder in self.folders.values())

    def begin(self) -> list[Page]:
        """Return the first pages."""
        pages = [Page(_Ask.FOLDERS, "", folders_url(self.user))]
        default = self.folders[""]
        default.read = self._wanted.may_hold("", DEFAULT_PATH)
        if default.read:
            pages.append(self._first_page(""))
        return self._asked(pages)

    def answered(self, page: Page, reply: Reply) -> list[Page]:
        """Take the final answer to a page. Return the pages to be read now; none if the walk has failed."""
        if self.failure is not None:
            return []
        self._open -= 1
        folder = self.folders[page.folder]
        if folder.gone:
            return []
        if not 200 <= reply.status < 300:
            if page.folder and _is_gone(reply):
                folder.gone = True
                folder.matches.clear()
                folder.contacts = 0
                return []
            self.failure = reply
            return []
        body = found_in(reply)
        link = body.get("@odata.nextLink")
        more = next_url(page.url, link)
        if link is not None and more is None:
            self.failure = UNREADABLE_PAGE
            return []
        pages = (
            self._take_folders(page, body)
            if page.ask is _Ask.FOLDERS
            else self._take_contacts(page, folder, body, more)
        )
        if pages is None:
            self.failure = UNREADABLE_PAGE
            return []
        if more is not None:
            pages.append(page._replace(url=more))
        return self._asked(pages)

    def failed(self, reply: Reply) -> None:
        """End the walk: Graph has closed the mailbox."""
        if self.failure is None and not self.done:
            self.failure = reply

    def _asked(self, pages: list[Page]) -> list[Page]:
        self._open += len(pages)
        self._pages += len(pages)
        if self._pages > PAGES_MAX or len(self.folders) > FOLDERS_MAX:
            self.failure = ENDLESS
            return []
        return pages

    def _first_page(self, key: str, ask: _Ask = _Ask.CONTACTS) -> Page:
        folder = self.folders[key]
        folder._looking, folder._now, folder._pages = ask, {}, 0
        if ask is _Ask.CONTACTS:
            folder.matches, folder.contacts = {}, 0
            return Page(ask, key, contacts_url(self.user, key, self._fields, self._size))
        return Page(ask, key, contacts_url(self.user, key, "id,changeKey", PAGE_IDS))

    def _take_folders(self, page: Page, body: Any) -> list[Page] | None:
        found = _folders_in(body.get("value"))
        if found is None:
            return None
        above = self.folders[page.folder]
        pages: list[Page] = []
        for one, name, parent in found:
            if one in self.folders or one == self.default_folder:
                continue
            if not page.folder and parent and not above.folder:
                above.folder = parent  # v1.0 lists the folders in the Contacts folder (user-list-contactfolders)
            path = f"{above.path}/{name.replace('/', chr(92) + '/')}"
            folder = self.folders[one] = ListedFolder(one, path, read=self._wanted.may_hold(one, path))
            pages.append(Page(_Ask.FOLDERS, one, folders_url(self.user, one)))
            if folder.read:
                pages.append(self._first_page(one))
        return pages

    def _take_contacts(self, page: Page, folder: ListedFolder, body: Any, more: str | None) -> list[Page] | None:
        found = contacts_in(body.get("value"), folder.folder)
        if found is None:
            return None
        folder._pages += 1
        for contact in found:
            if not page.folder and contact.folder and folder.folder != contact.folder:
                folder.folder = contact.folder
            folder._now[contact.contact] = contact.change_key
            if page.ask is _Ask.CONTACTS:
                reason = self._wanted.reason(contact, folder.path)
                if reason:
                    folder.matches[contact.contact] = Match(contact, folder.path, reason)
        if more is not None:
            return []
        if page.ask is _Ask.CONTACTS:
            folder.contacts = len(folder._now)
        return self._end_pass(page, folder)

    def _end_pass(self, page: Page, folder: ListedFolder) -> list[Page]:
        """Decide whether the folder has to be read once more."""
        folder._passes += 1
        now, before = folder._now, folder._before
        alone = page.ask is _Ask.CONTACTS and folder._pages == 1
        if alone or now == before:
            folder._now, folder._before = {}, None
            return []
        if folder._passes >= PASSES_MAX:
            folder.agreed = False
            folder._now, folder._before = {}, None
            return []
        folder._before = now
        # What was read in full is looked at again by ids; where ids differ from it, all is read again.
        return [self._first_page(page.folder, _Ask.IDS if page.ask is _Ask.CONTACTS else _Ask.CONTACTS)]

    def matches(self) -> list[Match]:
        """Return every contact that is wanted, by folder, with the mark of folders that did not stay the same."""
        found: dict[str, Match] = {}
        for folder in self.folders.values():
            for match in folder.matches.values():
                if not folder.agreed:
                    match = match._replace(reason=f"{match.reason}; {CHANGED}")
                found[match.contact.contact] = match
        return list(found.values())


def _is_gone(reply: Reply) -> bool:
    """Return whether the answer says that a folder does not exist any more."""
    of_mailbox = "default folder" in reply.message.lower()  # there is no mailbox any more
    return reply.status == 404 and reply.code in ("ErrorItemNotFound", "ErrorFolderNotFound") and not of_mailbox


def _folders_in(value: object) -> Sequence[tuple[str, str, str]] | None:
    """Return the folders of a page as (id, name, parent). None if it is no page of folders."""
    if not isinstance(value, list):
        return None
    found = []
    for entry in value:
        folder = entry.get("id") if isinstance(entry, dict) else None
        if not isinstance(folder, str) or not is_id(folder):
            return None
        name, parent = entry.get("displayName"), entry.get("parentFolderId")
        found.append(
            (folder, name if isinstance(name, str) else "", parent if isinstance(parent, str) and is_id(parent) else "")
        )
    return found
