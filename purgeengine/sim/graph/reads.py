"""Answers to requests that only read: contacts, folders, users and the organization, in pages.

This module judges no deletion and changes nothing. Collections of a mailbox have pages by ``$skip``, so what comes or goes
meanwhile moves the entries of later pages, as in Graph. Those of the directory have an opaque ``$skiptoken``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

from purgeengine.sim.graph.contact_card import BLANK
from purgeengine.sim.graph.simulated_mailbox import ContactFolder, SimulatedMailbox
from purgeengine.sim.graph.truth import Truth
from purgeengine.sim.tenant_settings import TenantSettings
from purgeengine.sim.wire.answers import DIRECTORY_DENIED, TROUBLES, SubResponse, Trouble
from purgeengine.sim.wire.query import Options
from purgeengine.sim.wire.routes import OF_DIRECTORY, Ask, Target

ORGANIZATION_ID = "5157a1ed-0000-4000-8000-000000000001"
"""The tenant's own id, as its login tells it (`purgeengine.sim.login.login_endpoint.App`)."""
GRAPH_ROOT = "https://graph.microsoft.com/v1.0"
"""Root of the links in answers, unless a server tells where it listens."""
PAGE, PAGE_MAX = 10, 1_000
"""Entries on a page of an Outlook collection: by default, and at most."""
USERS_PAGE, USERS_PAGE_MAX = 100, 999
"""Entries on a page of users: by default, and at most."""
MADE_UP_CONTACTS = 25
"""Contacts that a mailbox lists if every contact exists: the list needs some, and cannot have all."""

_LISTS = frozenset({Ask.LIST_CONTACTS, Ask.LIST_FOLDERS, Ask.LIST_CHILD_FOLDERS, Ask.GET_FOLDER})
_READABLE = frozenset({Trouble.QUOTA_FULL, Trouble.QUOTA_REACHED})
"""Troubles of a mailbox that do not prevent reading."""
_LISTABLE = frozenset({None, Trouble.OTHER_MAILBOX}) | _READABLE
"""Troubles that do not prevent reading a list, because a list request has no id that could be wrong."""
_FOLDER_GONE = SubResponse(404, "ErrorFolderNotFound", "The specified folder could not be found in the store.")


class Reads:
    """Answers from the truth. ``graph_root`` is the root of its links."""

    def __init__(self, settings: TenantSettings, truth: Truth) -> None:
        self.graph_root = GRAPH_ROOT
        self._settings = settings
        self._truth = truth

    def read(self, box: SimulatedMailbox | None, target: Target) -> SubResponse:
        """Return Graph's answer. ``box`` is None for requests to the directory."""
        if box is None:
            return self._read_directory(target)
        if target.ask in _LISTS:
            if not box.known or box.trouble not in _LISTABLE:
                return TROUBLES[box.trouble or Trouble.INVALID_USER]
            return self._read_list(box, target)
        problem = self._truth.problem(box, target)
        if problem is not None and box.trouble not in _READABLE:
            return problem
        if not self._truth.is_reachable(box, target):
            return self._truth.unknown(box, target.contact)
        known = self._contact(box, target.contact, target.folder)
        return _entity(self._context(target, "contacts", entity=True), known, target.options, "contact")

    def _read_directory(self, target: Target) -> SubResponse:
        assert target.ask in OF_DIRECTORY, f"{target.ask} has a mailbox"
        if not self._settings.directory:
            return DIRECTORY_DENIED
        if target.ask is Ask.GET_ORGANIZATION:
            context = f"{self.graph_root}/$metadata#organization"
            entry = {"id": ORGANIZATION_ID, "displayName": "Simulated tenant", "tenantType": "AAD"}
            return self._page(target, context, [entry], "organization", (USERS_PAGE, USERS_PAGE_MAX))
        context = f"{self.graph_root}/$metadata#users"
        if target.ask is Ask.LIST_USERS:
            return self._users(target, context, [box for box in self._truth if box.known])
        if target.ask is Ask.LIST_MEMBERS:
            users = self._truth.groups.get(target.group.casefold())
            if users is None:
                return TROUBLES[Trouble.REQUEST_RESOURCE_NOT_FOUND]
            return self._users(target, context, [self._truth.mailbox(user) for user in users])
        box = self._truth.mailbox(target.user)
        if not box.known:
            return TROUBLES[Trouble.REQUEST_RESOURCE_NOT_FOUND]
        return _entity(f"{context}{_selected(target.options)}/$entity", _user(box), target.options, "user")

    # ------------------------------------------------------------------------------------------------- lists

    def _users(self, target: Target, context: str, boxes: Sequence[SimulatedMailbox]) -> SubResponse:
        """Return a page of users. The directory knows no ``$skip`` (user-list)."""
        if target.options.skip and not target.options.by_token:
            return SubResponse(400, "Request_UnsupportedQuery", "'$skip' is not supported by the service.")
        return self._page(target, context, _Lazy(boxes, _user), "user", (USERS_PAGE, USERS_PAGE_MAX))

    def _read_list(self, box: SimulatedMailbox, target: Target) -> SubResponse:
        default, folder = box.contacts_folder, box.folder_named(target.folder)
        if folder and folder != default and folder not in box.folders:
            return _FOLDER_GONE
        if target.ask is Ask.LIST_CONTACTS:
            wanted = folder or default
            contacts = [contact for contact, place in box.contacts.items() if (place or default) == wanted]
            if self._settings.anything_exists and wanted == default and not contacts:
                contacts = [
                    name
                    for name in (box.made_up_id(f"contact {n}") for n in range(MADE_UP_CONTACTS))
                    if name not in box.purged
                ]
            entries = _Lazy(contacts, lambda contact: self._contact(box, contact, wanted))
            return self._page(target, self._context(target, "contacts"), entries, "contact", (PAGE, PAGE_MAX))
        if target.ask is Ask.GET_FOLDER:
            root = ContactFolder("Contacts", box.made_up_id("root"))
            found = _folder(folder, box.folders.get(folder, root))
            return _entity(self._context(target, "contactFolders", entity=True), found, target.options, "contactFolder")
        inside = [
            _folder(one, known)
            for one, known in box.folders.items()
            if known.parent == (folder or default) and not known.hidden
        ]
        return self._page(target, self._context(target, "contactFolders"), inside, "contactFolder", (PAGE, PAGE_MAX))

    def _page(
        self, target: Target, context: str, entries: Sequence[dict[str, Any]], kind: str, sizes: tuple[int, int]
    ) -> SubResponse:
        """Return a page of a collection, with a link to the next page if there is one."""
        options, (usual, most) = target.options, sizes
        size = usual if options.top is None else options.top
        if not 0 <= size <= most or (size == 0 and kind == "user"):
            said = f"The limit of '{most}' for Top query has been exceeded. The value from the incoming request is '{size}'."
            return SubResponse(400, "ErrorInvalidUrlQuery", said)
        picked = (entries[at] for at in range(options.skip, min(options.skip + size, len(entries))))
        values = [_select(entry, options, kind) for entry in picked]
        refused = next((value for value in values if isinstance(value, SubResponse)), None)
        if refused is not None:
            return refused
        found: dict[str, Any] = {"@odata.context": context + _selected(options)}
        if options.counted:
            found["@odata.count"] = len(entries)
        found["value"] = values
        end = options.skip + size
        if size and end < len(entries):
            query = options.next_page(end, by_token=kind == "user")
            found["@odata.nextLink"] = f"{self.graph_root}{_path(target)}?{query}"
        return SubResponse(200, found=found)

    def _context(self, target: Target, collection: str, *, entity: bool = False) -> str:
        between = (
            f"/contactFolders('{quote(target.folder, safe='')}')" if target.folder and collection == "contacts" else ""
        )
        context = f"{self.graph_root}/$metadata#users('{quote(target.user, safe='')}'){between}/{collection}"
        return f"{context}{_selected(target.options)}/$entity" if entity else context

    def _contact(self, box: SimulatedMailbox, contact: str, folder: str) -> dict[str, Any]:
        where = (
            box.folder_of(contact) if contact in box.contacts else box.folder_named(folder) or box.folder_of(contact)
        )
        return box.cards.get(contact, BLANK).entity(contact, where)


class _Lazy(Sequence[dict[str, Any]]):
    """Entries that are made only when a page shows them."""

    def __init__(self, names: Sequence[Any], write: Callable[[Any], dict[str, Any]]) -> None:
        self._names = names
        self._write = write

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: Any) -> Any:
        return self._write(self._names[index])


def _entity(context: str, known: dict[str, Any], options: Options, kind: str) -> SubResponse:
    picked = _select(known, options, kind)
    return picked if isinstance(picked, SubResponse) else SubResponse(200, found={"@odata.context": context, **picked})


def _select(entry: dict[str, Any], options: Options, kind: str) -> dict[str, Any] | SubResponse:
    """Return the fields that are asked for, or the refusal of an unknown field. Annotations are always included."""
    if not options.select:
        return entry
    for name in options.select:
        if name not in entry:
            said = f"Could not find a property named '{name[:40]}' on type 'microsoft.graph.{kind}'."
            return SubResponse(400, "RequestBroker--ParseUri", said)
    return {name: value for name, value in entry.items() if name.startswith("@") or name in options.select}


def _selected(options: Options) -> str:
    return f"({','.join(options.select)})" if options.select else ""


def _path(target: Target) -> str:
    """Return the path of a collection, for the link to its next page."""
    if target.ask is Ask.LIST_USERS:
        return "/users"
    if target.ask is Ask.LIST_MEMBERS:
        return f"/groups/{quote(target.group, safe='')}/transitiveMembers/microsoft.graph.user"
    last = {Ask.LIST_CONTACTS: "contacts", Ask.LIST_FOLDERS: "contactFolders", Ask.LIST_CHILD_FOLDERS: "childFolders"}
    between = f"/contactFolders/{target.folder}" if target.folder else ""
    return f"/users/{quote(target.user, safe='@')}{between}/{last[target.ask]}"


def _folder(folder: str, known: ContactFolder) -> dict[str, Any]:
    return {"id": folder, "parentFolderId": known.parent, "displayName": known.name}


def _user(box: SimulatedMailbox) -> dict[str, Any]:
    nothing = dict.fromkeys(("givenName", "surname", "jobTitle", "mobilePhone", "officeLocation", "preferredLanguage"))
    name = box.key
    return {
        "businessPhones": [], "displayName": name.partition("@")[0], **nothing, "mail": name if "@" in name else None,
        "userPrincipalName": name, "id": box.object_id,
    }  # fmt: skip
