"""Asks for the confirmation before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from purgeengine.cli.terminal import ask
from purgeengine.core.graph.operations import Action, IdType, deletion_by
from purgeengine.core.graph.text import printable
from purgeengine.errors import RunStopped, UsageProblem
from purgeengine.words import counted, number

if TYPE_CHECKING:
    from purgeengine.jobs.purge_preview import PurgePreview


DELETES = {Action.PERMANENT_DELETE: "permanently deletes", Action.DELETE: "deletes (--action delete)"}
MEANS = {
    Action.PERMANENT_DELETE: "The users cannot bring them back.",
    Action.DELETE: "They go to Deleted Items, from where their users can restore them until the folder is emptied.",
}
MEANS_TWICE = (
    "With immutable ids, a contact whose delete is repeated after a lost answer is removed from Deleted Items as well."
)
TRIES_MAX = 3
"""How often the number may be typed. Who mistypes it three times may have another list in mind."""
NAME_LENGTH_MAX = 100
"""Most characters shown of the tenant's name."""
QUESTION = "Type the number of contacts to go on, or nothing to stop"
_DECLINES = frozenset({"", "n", "no", "q", "quit"})


def confirm(found: PurgePreview) -> bool:
    """Ask the user to type the number of contacts, and return True.

    Another number is asked for again. Raises `RunStopped` if the user types nothing, ``n`` or ``no``, and `UsageProblem` after
    `TRIES_MAX` wrong numbers, or if there is no terminal to ask at.
    """
    contacts = counted(found.preview.rows, "contact")
    text = text_of(found)
    for number_of_try in range(TRIES_MAX):
        typed = ask(text, QUESTION, again=number_of_try > 0)
        if typed is None:
            raise UsageProblem(
                f"This run {DELETES[found.deletion.action]} {contacts} and nobody can be asked, because there is no terminal. Add "
                "--yes if you are sure. Nothing was sent."
            )
        if typed.translate({ord(separator): None for separator in ",.' _"}) == str(found.preview.rows):
            return True
        if typed.lower() in _DECLINES:
            raise RunStopped(
                "The purge was not confirmed, so nothing was sent. To be asked again, give the same command again."
            )
        text = f"{printable(typed, 40)!r} is not the number of contacts, which is {number(found.preview.rows)}."
    raise UsageProblem(
        f"The number of contacts was mistyped {TRIES_MAX} times, so nothing was sent. Look at the list again (purgeengine plan). "
        "To be asked again, give the same command again."
    )


def text_of(found: PurgePreview) -> str:
    """Return what stands above the question: how many contacts are deleted, in which tenant, and whether that can be undone."""
    preview, deletion = found.preview, found.deletion
    tenant = (
        f"{printable(found.tenant_name, NAME_LENGTH_MAX)} ({found.tenant_id})" if found.tenant_name else found.tenant_id
    )
    twice = f"\n{MEANS_TWICE}" if deletion == deletion_by(Action.DELETE, IdType.IMMUTABLE) else ""
    return (
        f"This {DELETES[deletion.action]} {counted(preview.rows, 'contact')} in {counted(preview.mailboxes, 'mailbox')} of tenant "
        f"{tenant}.\n{MEANS[deletion.action]}{twice}"
    )
