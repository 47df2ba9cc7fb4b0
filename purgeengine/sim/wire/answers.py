"""What the tenant answers: sub-responses, error bodies, and the troubles that a mailbox can have.

This module knows Graph's JSON and error codes; it decides nothing. Statuses, codes and messages are documented, or
published by users.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import formatdate
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

encode = msgspec.json.Encoder().encode


class Wait(NamedTuple):
    """A Retry-After: the header's ``text``, and its meaning: ``seconds`` from its arrival, or ``until`` in tenant time."""

    text: str
    seconds: float
    until: float | None = None

    def ends_at(self, told_at: float) -> float:
        """Return the tenant time before which a client that got it at ``told_at`` must not come again."""
        return told_at + self.seconds if self.until is None else self.until


class SubResponse(NamedTuple):
    """The reply to one sub-request. ``wait`` is its Retry-After; ``found`` is what was read. Both may be None."""

    status: int
    code: str = ""
    message: str = ""
    wait: Wait | None = None
    found: dict[str, Any] | None = None


class Trouble(StrEnum):
    """What can be wrong with a whole mailbox. Every request to it gets the same reply until the trouble is removed."""

    DENIED = "denied"
    """An administrator denied the app this mailbox."""
    ACCESS_POLICY = "access_policy"
    """An application access policy keeps the app out."""
    ACCESS_DENIED = "access_denied"
    EXTENSION_ERROR = "extension_error"
    MISSING = "missing"
    """The name is known, and has no mailbox."""
    NOT_ENABLED = "not_enabled"
    NOT_HOSTED = "not_hosted"
    """The mailbox is on premises."""
    INVALID_USER = "invalid_user"
    NON_EXISTENT = "non_existent"
    RESOURCE_NOT_FOUND = "resource_not_found"
    REQUEST_RESOURCE_NOT_FOUND = "request_resource_not_found"
    OTHER_MAILBOX = "other_mailbox"
    """Every id that is asked for belongs to another mailbox."""
    MOVED = "moved"
    """The mailbox is being moved between servers, which takes hours."""
    QUOTA_FULL = "quota_full"
    """The Recoverable Items folder is full."""
    QUOTA_REACHED = "quota_reached"


TROUBLES: dict[Trouble, SubResponse] = {
    Trouble.DENIED: SubResponse(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again."),
    Trouble.ACCESS_POLICY: SubResponse(403, "ErrorAccessDenied", "Access to OData is disabled."),
    Trouble.ACCESS_DENIED: SubResponse(403, "accessDenied", "Access denied."),
    Trouble.EXTENSION_ERROR: SubResponse(
        403, "extensionError", "Operation: Update; Exception: [Status Code: Forbidden]"
    ),
    Trouble.MISSING: SubResponse(
        404, "ErrorItemNotFound", "The specified object was not found in the store., Default folder Root not found."
    ),
    Trouble.NOT_ENABLED: SubResponse(
        404, "MailboxNotEnabledForRESTAPI", "REST API is not yet supported for this mailbox."
    ),
    Trouble.NOT_HOSTED: SubResponse(
        404,
        "MailboxNotHostedInExchangeOnline",
        "The mailbox is either inactive, soft-deleted, or is hosted on-premise.",
    ),
    Trouble.INVALID_USER: SubResponse(404, "ErrorInvalidUser", "The requested user is invalid."),
    Trouble.NON_EXISTENT: SubResponse(404, "ErrorNonExistentMailbox", "No mailbox with such guid."),
    Trouble.RESOURCE_NOT_FOUND: SubResponse(404, "ResourceNotFound", "Resource could not be discovered."),
    Trouble.REQUEST_RESOURCE_NOT_FOUND: SubResponse(
        404,
        "Request_ResourceNotFound",
        "Resource does not exist or one of its queried reference-property objects are not present.",
    ),
    Trouble.OTHER_MAILBOX: SubResponse(
        404, "ErrorInvalidMailboxItemId", "Item Id doesn't belong to the targeted mailbox."
    ),
    Trouble.MOVED: SubResponse(503, "ErrorMailboxMoveInProgress", "Mailbox move in progress. Try again later."),
    Trouble.QUOTA_FULL: SubResponse(507, "ErrorQuotaExceeded", "The mailbox's Recoverable Items quota was exceeded."),
    Trouble.QUOTA_REACHED: SubResponse(403, "quotaLimitReached", "The limit has been reached."),
}

PURGED = SubResponse(204)
NOT_FOUND = SubResponse(404, "ErrorItemNotFound", "The specified object was not found in the store.")
ALREADY_PURGED = SubResponse(403, "ErrorCannotDeleteObject", "Object cannot be deleted.")
MALFORMED_ID = SubResponse(400, "ErrorInvalidIdMalformed", "Id is malformed.")
APP_DENIED = TROUBLES[Trouble.DENIED]
"""Exchange's reply to an app without the permission. It is the same as for a mailbox that the app is kept out of."""
DIRECTORY_DENIED = SubResponse(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
"""The directory's reply to an app without the permission."""
NO_TOKEN = SubResponse(401, "InvalidAuthenticationToken", "Access token is empty.")
NO_JWT = SubResponse(
    401,
    "InvalidAuthenticationToken",
    "IDX14100: JWT is not well formed, there are no dots (.).\nThe token needs to be in JWS or JWE Compact Serialization Format.",
)
FOREIGN_TOKEN = SubResponse(401, "InvalidAuthenticationToken", "Access token validation failure. Invalid signature.")
BAD_TOKEN = SubResponse(401, "InvalidAuthenticationToken", "Lifetime validation failed, the token is expired.")
CHALLENGE = (
    'Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", '
    'client_id="00000003-0000-0000-c000-000000000000"'
)
"""``WWW-Authenticate`` of every 401. The client id is Graph's own."""
NOT_ATTEMPTED = SubResponse(424, "FailedDependency", "A request that this one depends on failed.")


def over_concurrency(retry_after_s: float) -> SubResponse:
    """Return the refusal of one request too many at once, as captured on the live service."""
    message = "Application is over its MailboxConcurrency limit."
    return SubResponse(429, "ApplicationThrottled", message, wait_of(retry_after_s))


def over_rate(retry_after_s: float) -> SubResponse:
    """Return the refusal of one request too many in the window, with a wait in whole seconds."""
    message = "Application is over its MailboxRequests limit."
    return SubResponse(429, "ApplicationThrottled", message, wait_of(max(1, math.ceil(retry_after_s))))


def over_app_limit(retry_after_s: float) -> SubResponse:
    """Return the refusal of one request too many of the whole app. It names no mailbox, and its code is a common one."""
    return SubResponse(429, "TooManyRequests", "Application is over its request limit.", wait_of(retry_after_s))


def wait_of(seconds: float) -> Wait:
    """Return a Retry-After of so many seconds, written as an integer if it is one."""
    return Wait(f"{seconds:g}" if seconds != int(seconds) else str(int(seconds)), seconds)


def wait_until_date(now: float, seconds: float, utc_at_zero_s: float) -> Wait:
    """Return a Retry-After as an HTTP date, which has whole seconds: the first one not earlier than ``now + seconds``."""
    date_s = math.ceil(utc_at_zero_s + now + seconds)
    return Wait(http_date(date_s), seconds, date_s - utc_at_zero_s)


def http_date(utc_s: float) -> str:
    """Return the HTTP date (RFC 9110) of a time in seconds since 1970."""
    return formatdate(utc_s, usegmt=True)


def iso_date(utc_s: float) -> str:
    """Return a time in seconds since 1970 as in ``innerError``: UTC, whole seconds, without a zone."""
    return datetime.fromtimestamp(int(utc_s), UTC).strftime("%Y-%m-%dT%H:%M:%S")


def error_body(said: SubResponse, inner: dict[str, str] | None, inner_name: str = "innerError") -> dict[str, Any]:
    """Return Graph's error object. ``inner`` is left out if it is None, as the service sometimes does."""
    error: dict[str, Any] = {"code": said.code, "message": said.message}
    if inner is not None:
        error[inner_name] = inner
    return {"error": error}
