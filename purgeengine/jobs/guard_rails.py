"""Checks a purge before anything is sent: its size, and the mailboxes that it would touch."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from purgeengine.core.policy.filters import EXCLUDED, NOT_NAMED
from purgeengine.words import counted, number

if TYPE_CHECKING:
    from purgeengine.core.policy.filters import UserFilter
    from purgeengine.edges.ledger import Preview
    from purgeengine.jobs.purge_request import PurgeRequest

OVER_SHOWN = 5
"""Most mailboxes with too many rows that a sentence names."""
PROTECTED_USERS_VARIABLE = "PURGEENGINE_PROTECTED_USERS"
"""Environment variable with files of users who are never touched, separated as in ``PATH``."""


def protected_by_environment() -> list[str]:
    """Return the files of protected users that the environment names. They hold for the command line and for programs."""
    return [path for path in os.environ.get(PROTECTED_USERS_VARIABLE, "").split(os.pathsep) if path]


def refusal(preview: Preview, request: PurgeRequest, user_filter: UserFilter) -> str | None:
    """Return why the request's limits or filters refuse this purge, as a sentence. None if they allow it."""
    most, most_of_one, spell = request.max_items, request.max_items_per_mailbox, request.spelling
    if most is not None and preview.rows > most:
        there_are = "There is" if preview.rows == 1 else "There are"
        return (
            f"{there_are} {counted(preview.rows, 'row')} to purge, more than the {number(most)} that "
            f"{spell('max_items')} allows. Nothing was sent."
        )
    if most_of_one is not None and (over := sum(rows > most_of_one for rows in preview.rows_by_mailbox)):
        shown = ", ".join(
            f"{user} ({number(rows)})" for user, rows in preview.largest_mailboxes[: min(over, OVER_SHOWN)]
        )
        return (
            f"{counted(over, 'mailbox')} {'has' if over == 1 else 'have'} more rows to purge than the {number(most_of_one)} that "
            f"{spell('max_items_per_mailbox')} allows: {shown}{', …' if over > OVER_SHOWN else ''}. Nothing was sent."
        )
    if user_filter.only is not None and preview.left_out[NOT_NAMED] and not preview.only_matched:
        return (
            f"None of the users that {spell('only_users')} lists occurs in the input. A run would purge nothing, and this ledger "
            "would leave out all rows for good. Check the list. Nothing was sent."
        )
    return user_filter.blind_spot(preview.kinds)


def left_out_lines(preview: Preview, request: PurgeRequest, user_filter: UserFilter) -> list[str]:
    """Return sentences that say which rows the filter leaves out, and which users of its lists do not occur in the input."""
    exclude = request.spelling("exclude_users")
    lines = [
        f"{counted(rows, 'row')} in {counted(preview.mailboxes_left_out[reason], 'mailbox')} {'is' if rows == 1 else 'are'} left "
        f"out: {reason.message}"
        for reason, rows in preview.left_out.items()
    ]
    if preview.left_out_before:
        lines.append(
            f"{counted(preview.left_out_before, 'row')} {'stays' if preview.left_out_before == 1 else 'stay'} left out, because a "
            "filter of an earlier run of this ledger said so. To purge them after all, export them (purgeengine export, --only "
            "skipped) and run that file with a new ledger."
        )
    for name, users, seen in (
        (exclude, user_filter.excluded, preview.excluded_seen),
        (request.spelling("only_users"), user_filter.only, preview.only_seen),
    ):
        if users is None or not users:
            continue
        unknown = len(users.keys) - seen
        if unknown:
            does = "does" if unknown == 1 else "do"
            lines.append(
                f"{number(unknown)} of the {counted(len(users), 'user')} that {name} lists {does} not occur in the "
                "input."
            )
        elif users.patterns and name == exclude and not preview.left_out[EXCLUDED]:
            lines.append(f"{exclude} leaves nothing out.")
    return lines
