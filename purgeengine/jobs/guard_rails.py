"""What must be true of a purge before anything is sent: its size, and whom it touches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from purgeengine.core.policy.filters import NOT_NAMED, UserFilter
from purgeengine.words import counted, number

if TYPE_CHECKING:
    from purgeengine.edges.ledger import Preview


OVER_SHOWN = 5
"""Mailboxes named of those that are too large."""


def refusal(preview: Preview, user_filter: UserFilter, options: Mapping[str, Any]) -> str | None:
    """Why this may not be purged, as a sentence, or None when it may."""
    most, most_of_one = options["max_items"], options["max_items_per_mailbox"]
    if most is not None and preview.rows > most:
        there_are = "There is" if preview.rows == 1 else "There are"
        return (
            f"{there_are} {counted(preview.rows, 'row')} to purge, more than the {number(most)} that --max-items allows. "
            "Nothing was sent."
        )
    if most_of_one is not None and (over := sum(rows > most_of_one for rows in preview.rows_by_mailbox)):
        shown = ", ".join(
            f"{user} ({number(rows)})" for user, rows in preview.largest_mailboxes[: min(over, OVER_SHOWN)]
        )
        return (
            f"{counted(over, 'mailbox')} with more rows to purge than the {number(most_of_one)} that --max-items-per-mailbox "
            f"allows: {shown}{', …' if over > OVER_SHOWN else ''}. Nothing was sent."
        )
    if user_filter.only is not None and preview.left_out[NOT_NAMED] and not preview.only_matched:
        return (
            "None of the users that --only-users lists occurs in the input: nothing would be purged, and all be left out "
            "for good. Check the list. Nothing was sent."
        )
    return user_filter.blind_spot(preview.kinds)
