"""What must be true of a purge before anything is sent: its size, whom it touches, and that somebody has said yes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from purgeengine.commands.terminal import ask
from purgeengine.commands.words import counted, number
from purgeengine.core.action import Action, Deletion, IdType
from purgeengine.core.filters import NOT_NAMED, UserFilter
from purgeengine.errors import RunStopped, UsageProblem

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


DELETES = {Action.PERMANENT_DELETE: "permanently deletes", Action.DELETE: "deletes (--action delete)"}
MEANS = {
    Action.PERMANENT_DELETE: "They cannot be brought back by the users.",
    Action.DELETE: "They go to Deleted Items, from where their users can put them back until the folder is emptied.",
}
MEANS_TWICE = (
    "With immutable ids, a contact whose delete is repeated after a lost answer is removed from Deleted Items as well."
)


def confirm(preview: Preview, tenant: str, deletion: Deletion, *, yes: bool) -> None:
    """Have the number of rows typed at the terminal. Raises when another is typed, or nobody can be asked."""
    if yes:
        return
    deletes, contacts = DELETES[deletion.action], counted(preview.rows, "contact")
    twice = f"\n{MEANS_TWICE}" if deletion == Deletion(Action.DELETE, IdType.IMMUTABLE) else ""
    typed = ask(
        f"This {deletes} {contacts} in {counted(preview.mailboxes, 'mailbox')} of tenant {tenant}.\n"
        f"{MEANS[deletion.action]}{twice}",
        "Type the number of contacts to go on",
    )
    if typed is None:
        raise UsageProblem(
            f"This run {deletes} {contacts} and nobody can be asked: there is no terminal. Add --yes once you are sure. "
            "Nothing was sent."
        )
    if typed.translate({ord(separator): None for separator in ",.' _"}) != str(preview.rows):
        raise RunStopped("The number was not confirmed; nothing was sent. The same command asks again.")
