"""How a call to Graph ended, in a few words that can be counted."""

from __future__ import annotations

from typing import NamedTuple

from purgeengine.core.messages import BatchLost
from purgeengine.core.model import Reply

CallEnd = tuple[int | None, str | None]
"""How a call or a sub-request ended: its status, and what went wrong."""
OTHER = "_OTHER"
"""The error type of all ends that are not counted apart, as the semantic conventions name it."""


class EndedCall(NamedTuple):
    """A call to Graph that has ended. It holds no row, so that a queue of ended calls stays small."""

    rows: int
    mailboxes: int
    client_request_id: str
    duration_s: float
    status: int | None
    """The status of the whole call; None without an answer."""
    error: str | None
    """What went wrong, as one of a few words or as the status; None if nothing did."""
    request_id: str
    """Graph's id of the call; empty without an answer."""
    ended_ns: int
    """When it ended, in nanoseconds since 1970."""


def error_of(outer: Reply) -> str | None:
    """Return what went wrong with a call that was answered so as a whole; None if nothing did."""
    if not outer.from_graph:
        return "intercepted"
    return error_of_status(outer.status)


def error_of_status(status: int) -> str | None:
    """Return the error type of an answer with this status, as the semantic conventions for HTTP have it; None if it is no error."""
    return None if status < 400 else str(status)


def why_lost(end: BatchLost | None) -> str:
    """Return why a call has no usable answer, as one of five words. None stands for a call that nobody waits for any more."""
    if end is None:
        return "abandoned"
    if end.intercepted:
        return "intercepted"
    if not end.sent:
        return "not_sent"
    return "no_answer" if end.running else "unreadable_answer"
