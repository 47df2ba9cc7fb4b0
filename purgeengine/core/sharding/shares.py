"""Divide the limits of one app over shards, so that all shards together stay within them."""

from __future__ import annotations

from purgeengine.errors import UsageProblem
from purgeengine.words import Spelling, as_fields, counted, number

SHARDS_MAX = 1_000
"""Most shards of one cut. Graph takes 13,000 requests a second from an app, and a single process sends more than a thousandth of
that. A scheduler's array of jobs has often no more places."""


def equal_shares(total: int, shards: int) -> list[int]:
    """Return whole numbers that add up to ``total`` and differ by 1 at most. The first shards get the larger ones."""
    each, more = divmod(total, shards)
    return [each + (shard < more) for shard in range(shards)]


def refuse_wrong_number(
    shards: int, mailboxes: int, connections: int, requests_per_s: int, spelling: Spelling = as_fields
) -> None:
    """Raise `UsageProblem` if this number of shards cannot be made of so many mailboxes, connections and requests a second."""
    if not 1 <= shards <= SHARDS_MAX:
        raise UsageProblem(f"{spelling('shards')} must be from 1 to {number(SHARDS_MAX)}, not {shards}.")
    if not mailboxes:
        raise UsageProblem("No row is left to purge, so there is nothing to cut. No shard was made.")
    if shards > mailboxes:
        raise UsageProblem(
            f"{spelling('shards')} is {number(shards)}, and {counted(mailboxes, 'mailbox')} "
            f"{'has' if mailboxes == 1 else 'have'} rows to purge. A mailbox is never divided. Ask for "
            f"{number(mailboxes)} at most. No shard was made."
        )
    for setting, total in (("connections", connections), ("requests_per_s", requests_per_s)):
        if shards > total:
            raise UsageProblem(
                f"{spelling(setting)} is {number(total)}, and {number(shards)} shards cannot share it: each needs 1. Ask for fewer "
                f"shards, or raise {spelling(setting)}. No shard was made."
            )
