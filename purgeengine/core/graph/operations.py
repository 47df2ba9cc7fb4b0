"""What can be asked of Graph in a ``$batch``: each kind of request is one row of a table.

A row holds everything that tells one kind of request from another: the method, the form of the url, the type of ids, the
permission, the meaning of answers and what is kept of them. No other code asks which kind a request is. Sources:
contact-permanentDelete, contact-delete, contact-get, user-list-contacts, user-get, organization-list and outlook-immutable-id of
Microsoft Graph's documentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum

from purgeengine.core.graph.verdicts import IMMUTABLE_TABLE, READ_TABLE, TABLE, VerdictTable


class Action(StrEnum):
    """How a purge deletes, by Graph's names. Users choose the action, and the ledger keeps it."""

    PERMANENT_DELETE = "permanentDelete"
    """The contact goes to the Purges folder, which no mail program can open. Only the global cloud has this action
    (contact-permanentDelete)."""
    DELETE = "delete"
    """A plain DELETE. The contact goes to Deleted Items, where its user can find and restore it. Every cloud has it
    (contact-delete)."""


class IdType(StrEnum):
    """The kind of ids in the input (outlook-immutable-id).

    For immutable ids, each sub-request has the header ``Prefer: IdType="ImmutableId"``.
    """

    DEFAULT = "default"
    """The id changes when the contact moves to another folder, also when it moves to Deleted Items or Purges."""
    IMMUTABLE = "immutable"
    """The id stays the same while the contact is in its mailbox."""


class Method(StrEnum):
    """The HTTP method of a request."""

    GET = "GET"
    POST = "POST"
    DELETE = "DELETE"


class UrlForm(Enum):
    """The form of a request's url. The part in brackets is only for a row with a folder.

    ``collection`` and ``folders`` come from the operation's resource; the other names come from the row.
    """

    ITEM = "/users/{user}[/{folders}/{folder}]/{collection}/{id}"
    COLLECTION = "/users/{user}[/{folders}/{folder}]/{collection}"
    USER = "/users/{user}"
    TENANT = "/{collection}"
    LISTING = "{id}"
    """The row's id is the whole url (`purgeengine.core.graph.listing_urls`), because pages differ in their queries."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of thing in Graph: its name, and the url segments that lead to it."""

    name: str
    collection: str = ""
    folders: str = ""
    """The url segment of its folders; empty if it is not in folders."""


CONTACT = Resource("contact", "contacts", "contactFolders")
USER = Resource("user")
ORGANIZATION = Resource("organization", "organization")


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """One kind of request. Each is a row of `OPERATIONS`, and equal only to itself.

    ``url_end`` is an action or a query, and follows the url. ``permission`` is the least application permission that the request
    needs. An ``idempotent`` operation may be sent again after a lost answer, and the scheduler accepts no other. If
    ``keeps_body`` is true, the bodies of good answers are given to the ledger.
    """

    resource: Resource
    name: str
    method: Method
    url_form: UrlForm
    url_end: str
    id_type: IdType
    permission: str
    verdicts: VerdictTable
    idempotent: bool = True
    keeps_body: bool = False

    def __repr__(self) -> str:
        return f"<Operation {self.resource.name} {self.name}, {self.id_type} ids>"

    @property
    def action(self) -> Action:
        """The action that users choose for this deletion. Raises ValueError for an operation that deletes nothing."""
        return Action(self.name)


_DELETING: dict[IdType, VerdictTable] = {IdType.DEFAULT: TABLE, IdType.IMMUTABLE: IMMUTABLE_TABLE}
_WRITE, _READ = "Contacts.ReadWrite", "Contacts.Read"
_OF_ITEMS = [
    row
    for ids in IdType
    for row in (
        Operation(
            CONTACT, Action.PERMANENT_DELETE, Method.POST, UrlForm.ITEM, "/permanentDelete",
            ids, _WRITE, _DELETING[ids],
        ),
        Operation(
            CONTACT, Action.DELETE, Method.DELETE, UrlForm.ITEM, "",
            ids, _WRITE, _DELETING[ids],
        ),
        Operation(
            CONTACT, "get", Method.GET, UrlForm.ITEM, "?$select=id",
            ids, _READ, READ_TABLE, keeps_body=True,
        ),
    )
]  # fmt: skip
LIST_CONTACTS = Operation(
    CONTACT, "list", Method.GET, UrlForm.COLLECTION, "?$top=1&$select=id",
    IdType.DEFAULT, _READ, READ_TABLE, keeps_body=True,
)  # fmt: skip
"""Asks for any one contact of a mailbox, to find out whether the app may read the mailbox."""
_LISTINGS = {
    ids: Operation(
        CONTACT, "list page", Method.GET, UrlForm.LISTING, "",
        ids, _READ, READ_TABLE, keeps_body=True,
    )
    for ids in IdType
}  # fmt: skip
GET_USER = Operation(
    USER, "get", Method.GET, UrlForm.USER, "?$select=id,userPrincipalName",
    IdType.DEFAULT, "User.ReadBasic.All", READ_TABLE, keeps_body=True,
)  # fmt: skip
"""Asks for the user with a given name or id."""
LIST_ORGANIZATION = Operation(
    ORGANIZATION, "list", Method.GET, UrlForm.TENANT, "?$select=id,displayName",
    IdType.DEFAULT, "Organization.Read.All", READ_TABLE, keeps_body=True,
)  # fmt: skip
"""Asks for the tenant's name. A refusal for lack of permission also shows that Graph answers."""

OPERATIONS = (*_OF_ITEMS, *_LISTINGS.values(), LIST_CONTACTS, GET_USER, LIST_ORGANIZATION)
"""The table of all operations."""
_BY_NAME = {(row.resource, row.name, row.id_type): row for row in OPERATIONS}


def deletion_by(action: Action = Action.PERMANENT_DELETE, id_type: IdType = IdType.DEFAULT) -> Operation:
    """Return the operation that deletes contacts with this action and this type of ids.

    A ledger keeps both. Purges that differ in one of them never share a ledger.
    """
    return _BY_NAME[CONTACT, action, id_type]


def get_contact(id_type: IdType) -> Operation:
    """Return the operation that asks for the contact of a row."""
    return _BY_NAME[CONTACT, "get", id_type]


def list_page(id_type: IdType = IdType.DEFAULT) -> Operation:
    """Return the operation that asks for any page of folders, contacts or users. Its ids are of this type."""
    return _LISTINGS[id_type]


PERMANENT = deletion_by()
"""What a purge does by default: permanentDelete, with default ids."""
