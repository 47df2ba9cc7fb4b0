"""Write a page again and again while a run goes on. The caller hands over what reads the ledger and what waits."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any

REST_SHARE = 4
"""Making pages takes at most one part in this many and one of the time, so that a run over a large ledger is not slowed down."""
FOLLOWED_S_MAX = 7 * 86_400.0
"""Seconds after which a page is no longer made anew. A forgotten command must not read a ledger for ever."""

Findings = dict[str, Any]


class FollowEnd(StrEnum):
    """Why a page is no longer made anew."""

    RUN_ENDED = "the run has ended"
    NO_RUN = "no run is going on"
    INTERRUPTED = "the command was interrupted"
    TOO_LONG = "it was made anew for seven days"


def follow(
    read: Callable[[], Findings],
    write: Callable[[Findings, int | None], None],
    refresh_s: int,
    *,
    clock: Callable[[], float],
    wait: Callable[[float], None],
) -> FollowEnd:
    """Write a page every ``refresh_s`` seconds until the run has ended. The last page does not refresh itself.

    - ``read`` gathers the findings, ``write`` writes a page that refreshes itself after so many seconds, or never (None).
    - ``clock`` tells monotonic seconds. ``wait`` waits for so many seconds; it may raise KeyboardInterrupt, as may the others.

    Returns why it stopped. After an interrupt the page that is there is written once more, so that it stops as well.
    """
    began = clock()
    found: Findings | None = None
    pages = 0
    try:
        while True:
            before = clock()
            found = read()
            if not found["running"]:
                write(found, None)
                return FollowEnd.RUN_ENDED if pages else FollowEnd.NO_RUN
            if before - began > FOLLOWED_S_MAX:
                write(found, None)
                return FollowEnd.TOO_LONG
            write(found, refresh_s)
            pages += 1
            wait(max(refresh_s, REST_SHARE * (clock() - before)))
    except KeyboardInterrupt:
        if found is None:  # nothing was written yet
            raise
        write(found, None)
        return FollowEnd.INTERRUPTED
