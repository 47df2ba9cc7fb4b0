"""Checks a purge before anything is sent: its size, the mailboxes that it would touch, and whether shards of it are out."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from purgeengine.core.graph.text import printable
from purgeengine.core.policy.filters import EXCLUDED, NOT_NAMED
from purgeengine.edges.ledger.running.shard_events import Cut, ShardMark, is_lent, sharding_of
from purgeengine.errors import UsageProblem
from purgeengine.words import Spelling, counted, number

if TYPE_CHECKING:
    from purgeengine.core.policy.filters import UserFilter
    from purgeengine.edges.ledger import Preview
    from purgeengine.jobs.purge_request import PurgeRequest
    from purgeengine.run_limits import Limits

OVER_SHOWN = 5
"""Most mailboxes with too many rows that a sentence names."""
SHARDS_NAMED = 5
"""Most shards that a sentence names."""
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


def has_shards_out(folder: Path) -> bool:
    """Return True if rows of the ledger are a shard's to send, or went back to the ledger that the shard was cut from."""
    found = sharding_of(folder)
    return found.collected_into is not None or (found.cut is not None and bool(found.cut.out))


def refuse_shards_out(folder: Path, spelling: Spelling) -> None:
    """Raise `UsageProblem` if a run over this ledger would send rows that another ledger may send."""
    found = sharding_of(folder)
    if found.collected_into is not None:
        raise UsageProblem(
            f"The shard in {folder} was collected into the ledger {printable(found.collected_into)} before it was finished, and "
            f"that ledger has its open rows now. Nothing was sent. Resume that ledger (purgeengine run {spelling('ledger')})."
        )
    if found.cut is not None and found.cut.out:
        raise UsageProblem(out_sentence(folder, found.cut))
    if found.mark is not None and is_lent(folder, found.mark):
        raise UsageProblem(
            f"The shard in {folder} is a copy. Its ledger is on the disk of a worker, which may be sending from it. Nothing was "
            f"sent. Give the command for {printable(found.mark.head_name)} again, with --scheduler. (The file "
            "coordinator.json beside it says so.)"
        )


def refuse_never_begun(folder: Path, spelling: Spelling) -> None:
    """Raise `UsageProblem` if this ledger is to be run without its list, and the command that made it never began to send.

    That command was killed while it asked, say. Its filters, its limits and its confirmation are recorded when a run begins, so
    nobody knows them now.
    """
    from purgeengine.edges.ledger import LedgerReader

    with LedgerReader.open(folder) as reader:
        if reader.complete or reader.begun or reader.mark is not None or reader.cut() is not None:
            return
    raise UsageProblem(
        f"The command that made the ledger in {folder} ended before it was confirmed, and its limits and filters are not known. "
        f"Nothing was sent. Give that whole command again, with its list. {spelling('ledger')} alone resumes only what has begun."
    )


def out_sentence(folder: Path, cut: Cut) -> str:
    """Return why a run over a ledger whose shards are out is refused, and what to do."""
    if not cut.made:
        return (
            f"The ledger in {folder} is being cut into {number(cut.shards)} shards, and that was interrupted. Nothing was sent. "
            f"Give the same command again: purgeengine shard cut, with -o {printable(cut.folder)}."
        )
    return (
        f"The ledger in {folder} was cut into {counted(cut.shards, 'shard')}, and {numbers_in_words(cut.out)} not collected. "
        "Only runs over the shards may send their rows, so this command sent nothing. Run each shard to its end "
        f"(purgeengine run --ledger), then collect them: purgeengine shard collect {folder} {printable(cut.folder)}"
    )


def numbers_in_words(shards: list[int]) -> str:
    """Return which shards a sentence is about, with the verb: ``shard 3 is``, or ``shards 0, 1 and 7 are``."""
    if len(shards) == 1:
        return f"shard {shards[0]} is"
    if len(shards) > SHARDS_NAMED:
        return f"{number(len(shards))} of them ({', '.join(map(str, shards[:SHARDS_NAMED]))}, ...) are"
    return f"shards {', '.join(map(str, shards[:-1]))} and {shards[-1]} are"


def within_shares(limits: Limits, mark: ShardMark | None) -> Limits:
    """Return the limits of a run over a shard: its shares of connections and rate, unless the request has values of its own.

    A value that is the default counts as none of one's own.
    """
    if mark is None:
        return limits
    usual = type(limits)()
    shares = {
        name: getattr(mark, name)
        for name in ("connections", "requests_per_s")
        if getattr(limits, name) == getattr(usual, name)
    }
    return replace(limits, **shares)
