"""What can be asked of Graph in a ``$batch``: each kind of request is one row of a table.

A row says everything that tells one kind from another: the method, the form of the url, the type of ids, the permission, what the
answers mean and what is kept of them. Nothing else in the program asks which kind it is. Sources: contact-permanentDelete,
contact-delete, contact-get, user-list-contacts, user-get, organization-list and outlook-immutable-id of Microsoft Graph's
documentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum

from purgeengine.core.graph.verdicts import IMMUTABLE_TABLE, READ_TABLE, TABLE, VerdictTable


class Action(StrEnum):
    """How a purge deletes, by Graph's names: what users choose and the ledger keeps."""

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


class Method(StrEnum):
    """HTTP's."""

    GET = "GET"
    POST = "POST"
    DELETE = "DELETE"


class UrlForm(Enum):
    """Where a request goes. ``collection`` and ``folders`` are the resource's; the part in brackets is for a row with a folder."""

    ITEM = "/users/{user}[/{folders}/{folder}]/{collection}/{id}"
    COLLECTION = "/users/{user}[/{folders}/{folder}]/{collection}"
    USER = "/users/{user}"
    TENANT = "/{collection}"


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of thing in Graph: its name, and the segments of a url that lead to it."""

    name: str
    collection: str = ""
    folders: str = ""
    """What its folders are called in a url; empty where it is in none."""


CONTACT = Resource("contact", "contacts", "contactFolders")
USER = Resource("user")
ORGANIZATION = Resource("organization", "organization")


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """One kind of request; each is a row of `OPERATIONS`, and equal to itself alone.

    ``url_end`` follows the url's form: an action, or a query. ``permission`` is the least application permission that it needs.
    An ``idempotent`` operation may be sent again after an answer was lost; the scheduler takes no other. One that ``keeps_body``
    hands the bodies of answers that went well to the ledger.
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
        """What users know a deletion by. Raises ValueError for an operation that deletes nothing."""
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
"""Asks for one contact of a mailbox, whichever it is: whether the app may enter."""
GET_USER = Operation(
    USER, "get", Method.GET, UrlForm.USER, "?$select=id,userPrincipalName",
    IdType.DEFAULT, "User.ReadBasic.All", READ_TABLE, keeps_body=True,
)  # fmt: skip
"""Asks which user goes by a name."""
LIST_ORGANIZATION = Operation(
    ORGANIZATION, "list", Method.GET, UrlForm.TENANT, "?$select=id,displayName",
    IdType.DEFAULT, "Organization.Read.All", READ_TABLE, keeps_body=True,
)  # fmt: skip
"""Asks for the tenant's name. An app that may not read it is told so, which shows just as well that Graph answers."""

OPERATIONS = (*_OF_ITEMS, LIST_CONTACTS, GET_USER, LIST_ORGANIZATION)
"""The table."""
_BY_NAME = {(row.resource, row.name, row.id_type): row for row in OPERATIONS}


def deletion_by(action: Action = Action.PERMANENT_DELETE, id_type: IdType = IdType.DEFAULT) -> Operation:
    """The operation that deletes contacts so. A ledger keeps both; two purges that differ never share one."""
    return _BY_NAME[CONTACT, action, id_type]


def get_contact(id_type: IdType) -> Operation:
    """The operation that asks for the contact of a row."""
    return _BY_NAME[CONTACT, "get", id_type]


PERMANENT = deletion_by()
"""What a purge does unless something else was asked for."""
