"""What an answer means: a table from (status, error code) to a verdict with a scope.

Every 429 is a throttle, whatever its code. A code that names a problem of the mailbox counts under every other 4xx,
because the service sends such codes with varying statuses. Otherwise the status decides first and the code second. An
answer that no line of the table covers gets the safest reading: an unknown 4xx refuses the row; anything else may
have been carried out, so the row is tried again in doubt. Sources: the documentation of Graph's errors, of JSON
batching and of Outlook's throttling limits, and answers captured on the live service.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from purgeengine.core.graph.foreign_answers import may_be_carried_out
from purgeengine.core.model import Outcome, Reply


class Scope(Enum):
    """How far a verdict reaches."""

    ITEM = "item"
    MAILBOX = "mailbox"
    RUN = "run"


class Verdict(Enum):
    """The judgement of one reply."""

    DONE = ("it was carried out", Scope.ITEM)
    GONE = ("there is nothing at this address: absent, or purged when an earlier attempt is in doubt", Scope.ITEM)
    REFUSED = ("no for good, for this row", Scope.ITEM)
    UNKNOWN = (
        "no for good, for a reason that is not in the table: perhaps the mailbox's, see `core.limits.experience`",
        Scope.ITEM,
    )
    UNCLEAR = ("in use, or no without a reason: a few more attempts, then refused", Scope.ITEM)
    NOT_ATTEMPTED = ("not tried at all: send again, no attempt counted", Scope.ITEM)
    FAULT = ("the service's trouble, perhaps after the deed: try again, in doubt", Scope.ITEM)
    UNREACHED = ("the mailbox could not be reached, nothing was carried out: try again", Scope.ITEM)
    THROTTLED = ("too fast: the mailbox waits", Scope.MAILBOX)
    HELD_BACK = (
        "the mailbox is being moved or quarantined, nothing was carried out: it waits for minutes",
        Scope.MAILBOX,
    )
    CLOSED = ("the mailbox cannot be served: its other rows are skipped", Scope.MAILBOX)
    TOKEN_REFUSED = ("renew the token, send again; with a good token it is the mailbox that is refused", Scope.RUN)
    INTERCEPTED = ("no, and Graph has not said so: not carried out, and an outage", Scope.RUN)
    APP_REFUSED = ("the app may not do this anywhere: stop", Scope.RUN)
    NO_SUCH_ACTION = ("this Graph does not know the action: stop", Scope.RUN)

    def __init__(self, meaning: str, scope: Scope) -> None:
        self.meaning = meaning
        self.scope = scope


class Rule(NamedTuple):
    """A line of the table. It covers an error with one of these codes (None = any) and all of these words in its message."""

    codes: frozenset[str] | None
    verdict: Verdict
    message_has: tuple[str, ...] = ()

    def covers(self, code: str, message: str) -> bool:
        """True if this line is about an error with this code and message, both in lower case."""
        return (self.codes is None or code in self.codes) and all(words in message for words in self.message_has)


VerdictTable = Mapping[int, tuple[Rule, ...]]
"""What the answers to one kind of request mean, by HTTP status; the first rule that covers an answer decides."""


def _rule(verdict: Verdict, *codes: str, message_has: tuple[str, ...] = ()) -> Rule:
    return Rule(frozenset(code.lower() for code in codes) if codes else None, verdict, message_has)


V = Verdict
OTHER_MAILBOX = "ErrorInvalidMailboxItemId"
QUOTA_CODES = ("ErrorQuotaExceeded", "QuotaExceededException", "quotaLimitReached")
"""The Recoverable Items folder is full."""
MAILBOX_RULES = (
    _rule(V.CLOSED, OTHER_MAILBOX),  # ids of another mailbox: every row would fail, and none is gone
    _rule(V.CLOSED, "MailboxNotEnabledForRESTAPI", "MailboxNotSupportedForRESTAPI", "MailboxNotHostedInExchangeOnline"),
    _rule(V.CLOSED, "ErrorInvalidUser", "ErrorInvalidMailbox", "ErrorNonExistentMailbox", "ErrorMailRecipientNotFound"),
    _rule(V.CLOSED, "ErrorInvalidLicense", "ErrorAccountDisabled", "ResourceNotFound", "Request_ResourceNotFound"),
    _rule(V.CLOSED, "ErrorMailboxLogonFailed", "ErrorImpersonateUserDenied", "AuthenticationError"),
    _rule(V.CLOSED, "ErrorIncorrectRoutingHint"),
    _rule(V.CLOSED, *QUOTA_CODES),
)
"""Codes that close the mailbox under any 4xx but 424 and 429."""
TABLE: dict[int, tuple[Rule, ...]] = {
    204: (_rule(V.DONE),),
    400: (
        _rule(V.NO_SUCH_ACTION, message_has=("resource not found for the segment", "'permanentdelete'")),
        _rule(V.REFUSED, "ErrorInvalidIdMalformed", "ErrorInvalidIdEmpty", "RequestBroker--ParseUri"),
    ),
    401: (
        _rule(V.APP_REFUSED, "NoPermissionsInAccessToken", "OrganizationFromTenantGuidNotFound"),
        _rule(V.TOKEN_REFUSED),
    ),
    403: (
        _rule(V.APP_REFUSED, "Authorization_RequestDenied"),
        _rule(V.CLOSED, "ErrorAccessDenied", "accessDenied", "extensionError", "Forbidden"),
        _rule(V.REFUSED, "ErrorCannotDeleteObject"),
        _rule(V.UNCLEAR, ""),  # as for 404: the error was lost on the way
    ),
    404: (
        _rule(V.CLOSED, "ErrorItemNotFound", message_has=("default folder", "not found")),  # no mailbox behind the name
        _rule(V.GONE, "ErrorItemNotFound"),
        _rule(V.REFUSED, "ErrorFolderNotFound"),
        _rule(V.UNCLEAR, ""),  # the error was lost on the way; another try may bring it
        # "UnknownError" without a message is a path that Graph does not know. It does not prove that the contact is
        # gone.
    ),
    408: (_rule(V.FAULT),),
    409: (_rule(V.UNCLEAR),),
    412: (_rule(V.UNCLEAR),),
    423: (_rule(V.UNCLEAR),),
    424: (_rule(V.NOT_ATTEMPTED),),
    429: (_rule(V.THROTTLED),),
    500: (
        _rule(V.CLOSED, "ErrorMessagePerFolderCountReceiveQuotaExceeded"),
        _rule(V.THROTTLED, "ErrorTooManyObjectsOpened"),  # as for 429: wait, then continue
        _rule(V.HELD_BACK, "ErrorMailboxMoveInProgress", "ErrorApiQuarantined"),
    ),
    501: (_rule(V.REFUSED),),
    503: (
        _rule(V.CLOSED, "ErrorMailboxMoveInProgress", message_has=("cross server access is not allowed",)),
        _rule(V.HELD_BACK, "ErrorMailboxMoveInProgress"),
        _rule(V.UNREACHED, "MailboxInfoStale"),
    ),
    507: (_rule(V.CLOSED),),
}
STATUSES_FIRST = frozenset({424, 429})
"""Statuses that decide, whatever the code."""


IMMUTABLE_TABLE = TABLE | {403: (_rule(V.GONE, "ErrorCannotDeleteObject"), *TABLE[403])}
"""With immutable ids, a contact in Purges can still be addressed, and deleting it again gives this code.

A default id does not follow its contact to Purges. With default ids, "Object cannot be deleted." is about a contact
that exists, so the row is refused.
"""
READ_TABLE = {
    **TABLE,
    **{status: (_rule(V.DONE),) for status in range(200, 300)},
    401: (_rule(V.REFUSED, "NoPermissionsInAccessToken", "OrganizationFromTenantGuidNotFound"), _rule(V.TOKEN_REFUSED)),
    403: (_rule(V.REFUSED, "Authorization_RequestDenied"), *TABLE[403]),
}
"""For requests that only read. Nothing is at stake: an app that may not read one thing is told so, and may read another."""


_GENERAL = frozenset({"", "unknownerror"})
_NESTED_CODE = re.compile(r'"code"\s*:\s*"([A-Za-z0-9_.-]{1,100})"')
_NESTED_MESSAGE = re.compile(r'"message"\s*:\s*"((?:[^"\\]|\\.){1,2000})')


def unwrapped(reply: Reply) -> Reply:
    """Return the error of the service behind Graph, if Graph put it as JSON into the message of an error without a code."""
    if reply.code.lower() not in _GENERAL or not reply.message.lstrip().startswith("{"):
        return reply
    code, message = _NESTED_CODE.search(reply.message), _NESTED_MESSAGE.search(reply.message)
    if code is None:
        return reply
    return reply._replace(code=code[1], message=message[1] if message else "")


def one_line(reply: Reply) -> str:
    """Status, code and message for people; those of the service behind Graph where it was that one's error."""
    reply = unwrapped(reply)
    return " ".join(str(part) for part in (reply.status or "", reply.code, reply.message) if part)


def judge(reply: Reply, table: VerdictTable = TABLE) -> Verdict:
    """The verdict on the reply to one sub-request, by the table of its operation; a deletion by default ids if none is given."""
    inner = unwrapped(reply)
    verdict = _judge(inner, table)
    # Only Graph itself, in plain words, may say that a contact is gone.
    return Verdict.UNKNOWN if verdict is Verdict.GONE and inner is not reply else verdict


def closes_by_name(reply: Reply) -> bool:
    """True if the code names a problem of the mailbox, whatever the status."""
    inner = unwrapped(reply)
    return any(rule.covers(inner.code.lower(), inner.message.lower()) for rule in MAILBOX_RULES)


def _judge(reply: Reply, table: VerdictTable) -> Verdict:
    code, message = reply.code.lower(), reply.message.lower()
    refused = 400 <= reply.status < 500
    rules = table.get(reply.status, ())
    if refused and reply.status not in STATUSES_FIRST:
        rules = MAILBOX_RULES + rules
    for rule in rules:
        if rule.covers(code, message):
            return rule.verdict
    return Verdict.UNKNOWN if refused else Verdict.FAULT


def judge_batch(outer: Reply) -> Verdict:
    """Return the verdict on an answer without sub-responses, for the whole batch.

    Here 400 and 413 mean that something in the batch is wrong (REFUSED). Other refusals mean that the app, its token
    or the address is wrong. The service's own trouble leaves every row in doubt. An answer that is not Graph's never
    refuses for good.
    """
    if not outer.from_graph and outer.status != 429:
        return V.FAULT if may_be_carried_out(outer.status) else V.INTERCEPTED
    if outer.status in (400, 413):
        return V.REFUSED
    if outer.status == 429:
        return V.THROTTLED
    if outer.status == 401:
        return V.TOKEN_REFUSED
    if outer.status == 424:
        return V.NOT_ATTEMPTED
    if 300 <= outer.status < 500 and outer.status != 408:
        return V.APP_REFUSED
    return V.FAULT


def may_still_run(status: int) -> bool:
    """Return True if the service may still be running a call that ended with this HTTP status (408, 5xx).

    After a 2xx the service has ended its work. Any other answer is taken to be without sub-responses, because a ledger
    does not record whether it had some.
    """
    return not 200 <= status < 300 and judge_batch(Reply(status)) is V.FAULT


def outcome_when_gone(in_doubt: bool) -> Outcome:
    """Return purged if an earlier attempt of ours may have purged the contact, absent if none can have."""
    return Outcome.PURGED if in_doubt else Outcome.ABSENT
