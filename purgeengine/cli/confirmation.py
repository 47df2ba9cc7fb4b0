"""Asks for the confirmation before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from purgeengine.cli.terminal import ask
from purgeengine.core.graph.operations import Action, IdType, deletion_by
from purgeengine.errors import RunStopped, UsageProblem
from purgeengine.words import counted

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


def confirm(found: PurgePreview) -> bool:
    """Ask the user to type the number of contacts, and return True.

    Raises `RunStopped` if something else is typed, and `UsageProblem` if there is no terminal to ask at.
    """
    preview, deletion = found.preview, found.deletion
    deletes, contacts = DELETES[deletion.action], counted(preview.rows, "contact")
    twice = f"\n{MEANS_TWICE}" if deletion == deletion_by(Action.DELETE, IdType.IMMUTABLE) else ""
    typed = ask(
        f"This {deletes} {contacts} in {counted(preview.mailboxes, 'mailbox')} of tenant {found.tenant_id}.\n"
        f"{MEANS[deletion.action]}{twice}",
        "Type the number of contacts to go on",
    )
    if typed is None:
        raise UsageProblem(
            f"This run {deletes} {contacts} and nobody can be asked, because there is no terminal. Add --yes if you are sure. "
            "Nothing was sent."
        )
    if typed.translate({ord(separator): None for separator in ",.' _"}) != str(preview.rows):
        raise RunStopped(
            "The number was not confirmed, so nothing was sent. To be asked again, give the same command again."
        )
    return True
