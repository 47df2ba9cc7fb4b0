"""What an administrator can do about failed rows, by their last answer: a sentence, and whether a retry may help.

It follows the table of `purgeengine.core.graph.verdicts`. An answer that is not in that table gets general advice.
"""

from __future__ import annotations

from typing import NamedTuple

from purgeengine.core.command_words import ACTION_DELETE, CLOUD, CONNECTIONS, GRAPH_URL, RATE, RESOLVE_USERS
from purgeengine.core.graph.verdicts import unwrapped
from purgeengine.core.model import Reply


class Remedy(NamedTuple):
    """What happened and what to do. ``worth_retrying`` is true if a retry may help after that."""

    sentence: str
    worth_retrying: bool


_ACCESS = Remedy(
    "The app may not touch this mailbox. Look at Exchange's application access policies and RBAC for Applications (PowerShell: "
    "Test-ServicePrincipalAuthorization), and at the app's permission Contacts.ReadWrite: Exchange says the same where that is "
    "missing. Give it access where it should have it, and retry.",
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
_UNAUTHORIZED = Remedy(
    "Graph answers 401 for this mailbox, while the same token is good for others: the mailbox is on premises in a hybrid tenant, "
    "or there is none. Look at it with PowerShell (Get-EXOMailbox). Purge it where it is, or retry once it is in Exchange Online.",
    True,
)
_DISABLED = Remedy(
    "The account of this mailbox is disabled, or signing in to it is not allowed. Enable it, or convert it to a shared mailbox, "
    "and retry.",
    True,
)
_LICENCE = Remedy(
    "The user has no valid Exchange licence. Assign one, wait until the mailbox is back, and retry.", True
)
_ROUTING = Remedy(
    "Graph looks for the mailbox on the wrong server. The mailbox was moved, or another mailbox has the same name. Name it by its "
    f"object id ({RESOLVE_USERS} looks that up) in a new list, or retry some hours later.",
    True,
)
_WRONG_ID = Remedy(
    "This id is not the id of a contact. Ids change when a contact is moved and differ from those of Exchange Web Services: list "
    "the contacts anew. Trying the same id again is of no use.",
    False,
)
_OTHER_MAILBOX = Remedy(
    "The ids belong to another mailbox: user and contact do not fit together in the list. Correct the list; trying the same "
    "rows again is of no use.",
    False,
)
_FOLDER = Remedy(
    "The folder of these rows is gone, and its contacts may be elsewhere or gone as well. List the contacts anew, or leave the "
    "folder column out of the list: a contact is found by its own id. Trying the same rows again is of no use.",
    False,
)
_NO_SUCH_ACTION = Remedy(
    "Permanent deletion of contacts does not exist at this Graph address. Only the global cloud has it. The app's permission is "
    f"not the cause. Run the rows with {ACTION_DELETE} and a new ledger; a retry with the same action is of no use.",
    False,
)
_QUOTA = Remedy(
    "The mailbox's Recoverable Items folder is full, so that nothing more can be purged into it. Make room (holds, the Managed "
    "Folder Assistant) or raise the quota, and retry.",
    True,
)
_BUSY = Remedy("Something else held the contact, or its mailbox, at that time. Retry later.", True)
_THROTTLED = Remedy(
    f"Graph refused the requests to this mailbox as too fast (429), again and again. Retry later, with a lower {RATE} or fewer "
    f"{CONNECTIONS}.",
    True,
)
_PERMISSION = Remedy(
    "The app lacks the permission Contacts.ReadWrite, or nobody has consented to it. Give it, and retry.", True
)
_MOVING = Remedy("The mailbox is being moved between servers, which takes hours. Retry when it has arrived.", True)
_STALE = Remedy(
    "Graph could not find the server of this mailbox. That may pass; where it lasts, as for some shared mailboxes named by their "
    f"UPN, name the mailbox by its object id ({RESOLVE_USERS} looks that up) in a new list.",
    True,
)
_QUARANTINED = Remedy(
    "Exchange has put the mailbox, or the app's access to it, into quarantine, which lasts up to 48 hours. Retry after that, with "
    f"fewer {CONNECTIONS}.",
    True,
)
_NOT_DELETABLE = Remedy(
    "Exchange says that this contact cannot be deleted: it may be on hold, or in Purges already. Look at it before anything else; "
    "trying again is hardly of use.",
    False,
)

REMEDIES_BY_CODE: tuple[tuple[Remedy, tuple[str, ...]], ...] = (
    (_ACCESS, ("ErrorAccessDenied", "accessDenied", "extensionError", "Forbidden")),
    (
        _NO_MAILBOX,
        (
            "ErrorInvalidUser",
            "ErrorInvalidMailbox",
            "ErrorNonExistentMailbox",
            "ErrorMailRecipientNotFound",
            "ErrorMailboxNotFound",
            "ResourceNotFound",
            "Request_ResourceNotFound",
            "ErrorItemNotFound",  # about the mailbox itself: a row whose contact is not found is absent or purged
        ),
    ),
    (
        _ON_PREMISES,
        ("MailboxNotEnabledForRESTAPI", "MailboxNotSupportedForRESTAPI", "MailboxNotHostedInExchangeOnline"),
    ),
    (_UNAUTHORIZED, ("AuthenticationError",)),
    (_DISABLED, ("ErrorAccountDisabled", "ErrorMailboxLogonFailed", "ErrorImpersonateUserDenied")),
    (_LICENCE, ("ErrorInvalidLicense",)),
    (_ROUTING, ("ErrorIncorrectRoutingHint",)),
    (_WRONG_ID, ("ErrorInvalidIdMalformed", "ErrorInvalidIdEmpty", "RequestBroker--ParseUri")),
    (_OTHER_MAILBOX, ("ErrorInvalidMailboxItemId",)),
    (_FOLDER, ("ErrorFolderNotFound",)),
    (_NOT_DELETABLE, ("ErrorCannotDeleteObject",)),
    (
        _QUOTA,
        (
            "ErrorQuotaExceeded",
            "QuotaExceededException",
            "quotaLimitReached",
            "ErrorMessagePerFolderCountReceiveQuotaExceeded",
        ),
    ),
    (_MOVING, ("ErrorMailboxMoveInProgress",)),
    (_STALE, ("MailboxInfoStale",)),
    (_QUARANTINED, ("ErrorApiQuarantined",)),
    (_THROTTLED, ("ErrorTooManyObjectsOpened",)),
    (_PERMISSION, ("Authorization_RequestDenied", "NoPermissionsInAccessToken")),
    (
        Remedy(
            "Graph does not know the tenant of the token. The tenant belongs to another cloud, or it has no Exchange Online. Check "
            f"AZURE_TENANT_ID and {CLOUD}, and retry.",
            True,
        ),
        ("OrganizationFromTenantGuidNotFound",),
    ),
)
"""Each remedy with the error codes that it is for, spelt as Graph spells them."""
_BY_CODE = {code.lower(): remedy for remedy, codes in REMEDIES_BY_CODE for code in codes}
_BY_STATUS = {
    401: _UNAUTHORIZED,
    409: _BUSY,
    412: _BUSY,
    423: _BUSY,
    429: _THROTTLED,
    501: Remedy(
        "Graph does not support this request for this mailbox or cloud; nothing was carried out. Trying the same rows again is of "
        f"no use: try one of them with {ACTION_DELETE} and a new ledger.",
        False,
    ),
    507: _QUOTA,
}
WAIT_TOO_LONG_SAYS = "Graph asked for a wait that is longer than the longest wait of a run"
"""Beginning of the message of rows whose mailbox was given up for a too long wait."""
_LONG_WAIT = Remedy(f"{WAIT_TOO_LONG_SAYS}. Retry after that time.", True)
_REDIRECTED = Remedy(
    "The request was answered with a redirect, which Graph does not do for a contact. Look at what stands between here and Graph "
    f"({GRAPH_URL}, a gateway). Then retry a few rows first, then the rest.",
    True,
)
_NO_ANSWER = Remedy(
    "No answer came, or it came too late. The cause may be the network, a proxy, or a mailbox that had to wait for hours. Retry: a "
    "contact that was purged by a lost attempt is then counted as purged.",
    True,
)
_SERVICE = Remedy(
    "Graph had a fault of its own. Retry: a contact that was purged by a failed attempt is then counted as purged.",
    True,
)
_UNKNOWN = {
    400: Remedy(
        "Graph rejected the request. Probably the id is not the id of a contact, or the name is not the name of a mailbox. Compare "
        "one row with the mailbox, and list its contacts anew. Then retry a few rows first, then the rest.",
        True,
    ),
    403: Remedy(
        "Graph forbids it for a reason that is not known here: look at the app's permission, at access policies, and at holds and "
        "retention for the mailbox. Retry a few rows first, then the rest.",
        True,
    ),
    404: Remedy(
        "Graph did not find what the row names, and did not say that the contact is gone: the name of the mailbox, the folder or "
        "the id may be wrong. List the contacts of this mailbox anew. Then retry a few rows first, then the rest.",
        True,
    ),
}
_UNKNOWN_AT_ALL = Remedy(
    "Graph said no without a reason that is known here. The request id and the time of a row let Microsoft's support find out. "
    "Retry a few rows first, then the rest.",
    True,
)
INVALID = Remedy(
    "These rows were never sent. Correct them in the list, or in an export of them, and run that with a ledger of its own.",
    False,
)


def remedy_for(status: int, code: str, message: str = "") -> Remedy:
    """Return the remedy for rows whose last answer had this HTTP status, error code and message.

    ``status`` is 0 if no answer came. A known code decides, then a known status, then the class of the status.
    """
    told = unwrapped(Reply(status, code, message))
    code, words = told.code.lower(), told.message.lower()
    if "resource not found for the segment" in words and "permanentdelete" in words:
        return _NO_SUCH_ACTION
    if "cross server access is not allowed" in words:
        return _OTHER_MAILBOX
    if WAIT_TOO_LONG_SAYS.lower() in words:
        return _LONG_WAIT
    if 300 <= status < 400:
        return _REDIRECTED
    found = (None if status == 429 else _BY_CODE.get(code)) or _BY_STATUS.get(status)
    if found is not None:
        return found
    if status == 0:
        return _NO_ANSWER
    return _SERVICE if status >= 500 or status == 408 else _UNKNOWN.get(status, _UNKNOWN_AT_ALL)
