"""What an administrator can do about rows that did not end well, by what they were told.

Sentences for people, and whether trying again is of any use. It follows the table of `purgeengine.core.verdicts`, from the cause to
the cure; what is in no line of it gets the general advice.
"""

from __future__ import annotations

from typing import NamedTuple


class Remedy(NamedTuple):
    """What happened and what to do; ``worth_retrying`` once that is done."""

    sentence: str
    worth_retrying: bool


_ACCESS = Remedy(
    "The app may not touch this mailbox. Look at Exchange's application access policies and RBAC for Applications (PowerShell: "
    "Test-ServicePrincipalAuthorization), give it access where it should have it, and retry.",
    True,
)
_NO_MAILBOX = Remedy(
    "There is no mailbox behind this name: a mistyped name, a user who is gone, or one without an Exchange licence. Correct the "
    "list, or restore the user or the licence and retry.",
    True,
)
_ON_PREMISES = Remedy(
    "The mailbox is on premises, inactive or soft-deleted; Graph cannot reach it there. Purge it where it is, or retry once it is "
    "in Exchange Online.",
    True,
)
_WRONG_ID = Remedy(
    "This id is none of a contact. Ids change when a contact is moved and differ from those of Exchange Web Services: list the "
    "contacts anew. Trying the same id again is of no use.",
    False,
)
_QUOTA = Remedy(
    "The mailbox's Recoverable Items folder is full, so that nothing more can be purged into it. Make room (holds, the Managed "
    "Folder Assistant) or raise the quota, and retry.",
    True,
)
_BUSY = Remedy("Something else held the contact, or its mailbox, at that time. Retry later.", True)

_BY_CODE = {
    "erroraccessdenied": _ACCESS,
    "accessdenied": _ACCESS,
    "extensionerror": _ACCESS,
    "errorinvaliduser": _NO_MAILBOX,
    "errornonexistentmailbox": _NO_MAILBOX,
    "resourcenotfound": _NO_MAILBOX,
    "request_resourcenotfound": _NO_MAILBOX,
    "erroritemnotfound": _NO_MAILBOX,  # of the mailbox itself: a contact that is not found is absent or purged
    "mailboxnotenabledforrestapi": _ON_PREMISES,
    "mailboxnothostedinexchangeonline": _ON_PREMISES,
    "errorinvalididmalformed": _WRONG_ID,
    "errorinvalididempty": _WRONG_ID,
    "requestbroker--parseuri": _WRONG_ID,
    "errorquotaexceeded": _QUOTA,
    "quotalimitreached": _QUOTA,
    "errorinvalidmailboxitemid": Remedy(
        "The ids belong to another mailbox: user and contact do not fit together in the list. Correct the list; trying the same "
        "rows again is of no use.",
        False,
    ),
    "errormailboxmoveinprogress": Remedy(
        "The mailbox is being moved between servers, which takes hours. Retry when it has arrived.", True
    ),
    "authorization_requestdenied": Remedy(
        "The app lacks the permission Contacts.ReadWrite, or nobody has consented to it. Give it, and retry.", True
    ),
}
_BY_STATUS = {
    409: _BUSY,
    412: _BUSY,
    423: _BUSY,
    429: Remedy("The mailbox kept asking for patience. Retry later, with a lower --rate or fewer --connections.", True),
    507: _QUOTA,
}
_NO_ANSWER = Remedy(
    "No answer came, or too late a one: the network, a proxy, or a mailbox that would have had to wait for hours. Retry; what was "
    "purged after all is then found gone and counted as purged.",
    True,
)
_SERVICE = Remedy("The service's own trouble. Retry; what was purged after all is then counted as purged.", True)
_UNKNOWN = Remedy(
    "Graph said no without a reason that is known here. The request id and the time of a row let Microsoft's support find out; "
    "retry a few rows before all.",
    True,
)
INVALID = Remedy(
    "These rows were never sent. Correct them in the list, or in an export of them, and run that with a ledger of its own.",
    False,
)


def remedy_for(status: int, code: str, message: str = "") -> Remedy:
    """The advice for rows that were told so; status 0 means that no answer came."""
    found = _BY_CODE.get(code.lower()) or _BY_STATUS.get(status)
    if found is not None:
        return found
    if status == 0:
        return _NO_ANSWER
    return _SERVICE if status >= 500 or status == 408 else _UNKNOWN
