"""Report that Graph found hardly any contact under its id: when that is so common that people must know, and in which words.

A wrong id gives the same answer as a contact that is gone. A run over a list of old ids therefore looks like a
success, although it deleted nothing. No single answer tells the two apart; the share of contacts that were found
does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from purgeengine.core.command_words import ID_TYPE
from purgeengine.core.model import Outcome, Reply

MAILBOX_ROWS_MIN = 2
"""Contacts of one mailbox that must be missing before it is named. In every list, some mailbox has one contact that is gone."""
NEARLY_ROWS_MIN = 10
"""Contacts that must be missing before a few found ones still count as nearly nothing."""
NEARLY_SHARE_MAX = 0.1
"""Largest share of found contacts that counts as nearly nothing. Of a list made last week, more than nine tenths are found."""
MAILBOXES_SHOWN = 5
"""Mailboxes named in a text. The JSON has more."""

CAUSES = (
    "An earlier run may have deleted them. If no earlier run did, the ids are wrong: ids change when contacts or mailboxes move, "
    f"each id type ({ID_TYPE}) has other ids, and so has each tenant."
)
CAUSES_OF_ONE = (
    "An earlier run may have deleted it. If no earlier run did, the id is wrong: ids change when contacts or mailboxes move, each "
    f"id type ({ID_TYPE}) has other ids, and so has each tenant."
)
LOOK = "Look at a few of these contacts before you take this for done."
LOOK_AT_ONE = "Look at this contact before you take this for done."
_IN_PURGES = 403
"""Status of an absent row whose contact Graph did find, in the Purges folder (ErrorCannotDeleteObject)."""


class Sought(NamedTuple):
    """Rows that Graph looked for: ``found`` contacts (purged, or in Purges already), and those ``not_found``."""

    found: int = 0
    not_found: int = 0
    after_lost: int = 0
    """Those of the found contacts that were gone after a lost attempt: purged, but no answer said so."""

    @property
    def nothing(self) -> bool:
        """True if no contact, or nearly none, was found."""
        if not self.found:
            return self.not_found > 0
        return self.not_found >= NEARLY_ROWS_MIN and self.found <= NEARLY_SHARE_MAX * (self.found + self.not_found)


class SoughtInMailbox(NamedTuple):
    """The counts of one mailbox, by its name in the list."""

    user: str
    sought: Sought

    @property
    def nothing(self) -> bool:
        """True if no contact, or nearly none, was found, and the mailbox has enough rows to say so."""
        return self.sought.not_found >= MAILBOX_ROWS_MIN and self.sought.nothing


def sought_by(outcome: Outcome, reply: Reply, rows: int) -> Sought:
    """Return what ``rows`` rows with this outcome and this answer add to the counts."""
    if outcome is Outcome.PURGED or (outcome is Outcome.ABSENT and reply.status == _IN_PURGES):
        return Sought(found=rows)
    return Sought(not_found=rows) if outcome is Outcome.ABSENT else Sought()


@dataclass(frozen=True, slots=True)
class Absence:
    """The rows in which no contact, or nearly none, was found: all rows (``overall``), those of some mailboxes, or both."""

    sought: Sought
    """The counts of all rows."""
    mailboxes: Sequence[SoughtInMailbox]
    """The mailboxes with the most missing contacts, worst first. The caller limits their number."""
    mailboxes_in_all: int
    finished: bool = True
    """False while some rows have no outcome."""

    @property
    def overall(self) -> bool:
        """True if no contact, or nearly none, was found over all rows."""
        return self.sought.nothing

    @property
    def told(self) -> bool:
        """True if there is anything to report."""
        return self.overall or self.mailboxes_in_all > 0

    @property
    def sentence(self) -> str:
        """A sentence: how little was found, possible causes, and what to do."""
        seen = (
            f"{_seen(self.sought)} under {'its id' if self.sought.found - self.sought.after_lost <= 1 else 'their ids'}"
            if self.overall
            else f"In {_mailboxes(self.mailboxes_in_all)}, nothing or nearly nothing was found under the ids of the list"
        )
        advice = f"{CAUSES_OF_ONE} {LOOK_AT_ONE}" if self.overall and _one(self.sought) else f"{CAUSES} {LOOK}"
        lost = self.sought.after_lost if self.overall else 0
        gone = f"; {lost:,} {'was' if lost == 1 else 'were'} gone after a lost attempt" if lost else ""
        return f"{seen}{'' if self.finished else ' so far'}{gone}. {advice}"

    def lines(self) -> list[str]:
        """Return the mailboxes as lines of text. Empty if `overall` is true, because the sentence says it all then."""
        if self.overall:
            return []
        shown = self.mailboxes[:MAILBOXES_SHOWN]
        lines = [f"{user}: {_counts(sought)}" for user, sought in shown]
        left = self.mailboxes_in_all - len(shown)
        return [*lines, f"and {_mailboxes(left, 'more ')}"] if left else lines

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "overall": self.overall,
            "found": self.sought.found,
            "not_found": self.sought.not_found,
            "mailboxes": [
                {"user": user, "found": sought.found, "not_found": sought.not_found} for user, sought in self.mailboxes
            ],
            "mailboxes_in_all": self.mailboxes_in_all,
            "message": self.sentence,
        }


def _counts(sought: Sought) -> str:
    found = sought.found - sought.after_lost
    counts = [f"{sought.not_found:,} not found"]
    if found or not sought.after_lost:
        counts.append(f"{found:,} found")
    if sought.after_lost:
        counts.append(f"{sought.after_lost:,} gone after a lost attempt")
    return ", ".join(counts)


def _one(sought: Sought) -> bool:
    return sought.found + sought.not_found == 1


def _seen(sought: Sought) -> str:
    rows, found = sought.found + sought.not_found, sought.found - sought.after_lost
    if _one(sought):
        return "The one contact that Graph looked for was not found"
    if not found:
        return f"Not one of the {rows:,} contacts that Graph looked for was found"
    return f"Only {found:,} of the {rows:,} contacts that Graph looked for {'was' if found == 1 else 'were'} found"


def _mailboxes(count: int, more: str = "") -> str:
    return f"{count:,} {more}mailbox{'' if count == 1 else 'es'}"
