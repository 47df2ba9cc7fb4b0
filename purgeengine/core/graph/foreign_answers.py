"""Decide whether an answer is Graph's, and describe one that is not.

A proxy, a gateway, a firewall or the sign-in page of a network may stand between a run and Graph. Each answers in
Graph's place when it does not let a call through. Graph's own answers are JSON, and its refusals have ``error`` with
a ``code``, and the header ``request-id``. If somebody else's refusal is taken for Graph's, people look for the cause
in the wrong place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from purgeengine.core.graph.redaction import told

HEADER_LENGTH_MAX = 100
"""Most characters shown of ``Server``, a host, a content type or a page's title."""
_PAGE_BYTES_MAX = 4_096
"""Bytes of a page that are searched for its title."""
_TITLE = re.compile(rb"<title[^>]{0,200}>([^<]{1,300})", re.IGNORECASE)
_SHAPE_IS_ENOUGH = frozenset({400, 401, 408, 413, 424, 429})
"""Statuses that do not end the run. For them, an ``error`` with a ``code`` is enough to be Graph's."""
_CODES = frozenset(
    code.lower()
    for code in (
        "", "accessDenied", "ApplicationThrottled", "Authentication_ExpiredToken", "Authentication_MissingOrMalformed",
        "Authentication_Unauthorized", "AuthenticationError", "Authorization_IdentityDisabled", "Authorization_IdentityNotFound",
        "Authorization_RequestDenied", "BadRequest", "Directory_ConcurrencyViolation", "ErrorAccessDenied", "ErrorInvalidUser",
        "ErrorItemNotFound", "ErrorQuotaExceeded", "extensionError", "InvalidAuthenticationToken", "MailboxNotEnabledForRESTAPI",
        "MailboxNotHostedInExchangeOnline", "MethodNotAllowed", "NoPermissionsInAccessToken", "OrganizationFromTenantGuidNotFound",
        "Request_BadRequest", "Request_ResourceNotFound", "Request_UnsupportedQuery", "ResourceNotFound", "TooManyRequests",
        "UnknownError", "UnsupportedMediaType",
    )
)  # fmt: skip
"""Codes that Graph gives a whole call.

Where the answer would end the run, any other code needs a ``request-id`` to be accepted.
"""
_INNER = ("innerError", "innererror")
_MARKS = ("request-id", "requestId", "client-request-id", "date")
"""Keys of ``innerError``."""


def is_graphs(status: int, headers: Mapping[str, str], body: bytes, parsed: object) -> bool:
    """True if Graph can have given this answer, which has no sub-responses.

    ``headers`` have lower-case names. ``parsed`` is the body as JSON, or None if it is not JSON.
    """
    if 300 <= status < 400 or is_page(headers, body):
        return False
    if headers.get("request-id", "").strip():
        return True
    if _says_nothing(status, headers, body, parsed) or (isinstance(parsed, dict) and "responses" in parsed):
        return True
    error = parsed.get("error") if isinstance(parsed, dict) else None
    if isinstance(error, dict) and isinstance(error.get("code"), str):
        return status in _SHAPE_IS_ENOUGH or status >= 500 or _is_marked(error) or error["code"].lower() in _CODES
    if status == 401:
        return isinstance(error, str) or headers.get("www-authenticate", "").lower().startswith("bearer")
    return False


def sentence(status: int, headers: Mapping[str, str], body: bytes) -> str:
    """Return a sentence about who answered instead of Graph, as far as it shows, and where to look. It has no full stop."""
    signs = ", ".join(marks(status, headers, body) + ([] if headers.get("request-id") else ["without a request-id"]))
    return (
        f"Something between here and Graph answered instead of Graph ({signs}). Look at the proxy, the gateway or the sign-in page "
        "of this network"
    )


def marks(status: int, headers: Mapping[str, str], body: bytes, *, titled: bool = True) -> list[str]:
    """Return what shows who answered: status, kind of the body, ``Server``, and the host of ``Location``.

    All texts are short.
    """
    signs = [f"status {status}", _what(headers, body, titled=titled)]
    if server := told(headers.get("server"), HEADER_LENGTH_MAX):
        signs.append(f"Server: {server}")
    if (location := headers.get("location")) is not None:
        signs.append(f"redirects to {_host_of(location)}")
    return signs


def may_be_carried_out(status: int) -> bool:
    """True if Graph may have got the call although another answered. False after a refusal or a redirect.

    An answer in place of Graph's (200), or in place of one that did not come (408, 5xx), may follow a call that Graph
    got. A refusal or a redirect means that its sender did not forward the call. 511 is a network's own sign-in page.
    """
    return status < 300 or status == 408 or (status >= 500 and status not in (501, 511))


def is_page(headers: Mapping[str, str], body: bytes) -> bool:
    """True if the body is a page for a browser."""
    return "html" in headers.get("content-type", "").lower() or body[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(
        b"<"
    )


def _says_nothing(status: int, headers: Mapping[str, str], body: bytes, parsed: object) -> bool:
    """True for an answer with no body, or a cut one, as Graph itself was seen to give, and without a ``Server`` header."""
    half = parsed is None and (not body.strip() or body.lstrip().startswith(b"{"))
    return (
        half and (status < 300 or status in (408, 429) or status >= 500) and status != 511 and "server" not in headers
    )


def _is_marked(error: Mapping[object, object]) -> bool:
    inner = next((error[name] for name in _INNER if name in error), None)
    return isinstance(inner, dict) and any(mark in inner for mark in _MARKS)


def _what(headers: Mapping[str, str], body: bytes, *, titled: bool) -> str:
    if not body.strip():
        return "no body"
    if is_page(headers, body):
        found = _TITLE.search(body[:_PAGE_BYTES_MAX]) if titled else None
        title = told(found[1].decode("utf-8", "replace"), HEADER_LENGTH_MAX) if found else ""
        return f'an HTML page titled "{title}"' if title else "an HTML page"
    kind = told(headers.get("content-type", "").partition(";")[0], HEADER_LENGTH_MAX)
    return f"{kind} of an unknown shape" if kind else "a body of an unknown shape"


def _host_of(location: str) -> str:
    """Return only the host. The rest of such an address may contain a session or a token."""
    try:
        host = urlsplit(location.strip()).hostname
    except ValueError:
        host = None
    return f"the host {told(host, HEADER_LENGTH_MAX)}" if host else "another page of the same host"
