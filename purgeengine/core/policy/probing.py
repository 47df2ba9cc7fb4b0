"""What a look at a few mailboxes tells about a whole list. It only reads, and comes before the first deletion.

Each mailbox gets two GETs: for any contact, which shows whether the app may access the mailbox, and for the contact
of a row, which shows whether the ids belong to this mailbox. A successful read does not prove that the app may
delete.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from purgeengine.core.command_words import ID_TYPE
from purgeengine.core.graph.verdicts import OTHER_MAILBOX, Verdict, closes_by_name, judge
from purgeengine.core.model import Reply
from purgeengine.errors import PurgeEngineError, RunStopped, TokenError, UsageProblem

NAMED_MAX = 5
"""Mailboxes named in a sentence."""


_FOR_MANY = {"s": "", "do": "do", "are": "are", "were": "were", "have": "have", "deny": "deny"}
_FOR_ONE = {"s": "s", "do": "does", "are": "is", "were": "was", "have": "has", "deny": "denies"}


class Standing(Enum):
    """The state of a mailbox of the list: its title, the words after "3 of 5 …" in a sentence, and the remedy."""

    FINE = ("reachable", "mailboxes answer{s} the app and hold{s} the contact asked for", "")
    NOT_FOUND = (
        "contact not found",
        "mailboxes answer{s} the app and {do} not hold the contact asked for",
        "It is gone, or was moved since the list was made.",
    )
    BAD_ID = ("malformed id", "contact ids {are} malformed to Graph", f"Are they of another type? See {ID_TYPE}.")
    OTHER_MAILBOX = (
        "id of another mailbox",
        "contact ids belong{s} to another mailbox than the one named beside them",
        "Are the columns mixed up?",
    )
    DENIED = (
        "denied",
        "mailboxes {deny} the app",
        "Check the scope of its role in Exchange (RBAC for Applications) and application access policies.",
    )
    NOT_SERVED = (
        "not served",
        "mailboxes {are} not served to the app, while its token is good for others",
        "They may be on premises in a hybrid tenant, disabled, or missing. A run closes them and goes on with the others.",
    )
    APP_DENIED = ("app denied", "mailboxes {were} not even asked", "The app lacks the permission Contacts.ReadWrite.")
    NO_MAILBOX = ("no such mailbox", "names {have} no mailbox in this tenant", "Is this a list of another tenant?")
    REFUSED = (
        "refused",
        "mailboxes refused for a reason that is not known here",
        "Look at the code and message, the app's permission and access policies.",
    )
    WAITING = (
        "asks to wait",
        "mailboxes asked to wait, and a look waits for seconds only",
        "Try again after some minutes; a run waits as long as it is asked to.",
    )
    NO_ANSWER = ("no answer", "mailboxes gave no answer that says anything", "Try again.")

    def __init__(self, title: str, clause: str, remedy: str) -> None:
        self.title = title
        self._clause = clause
        self.remedy = remedy

    def clause(self, number: int) -> str:
        """Return the words after "3 of 5" in a sentence, with the verb for this number."""
        return self._clause.format_map(_FOR_ONE if number == 1 else _FOR_MANY)


PROMISING = frozenset({Standing.FINE, Standing.NOT_FOUND})
"""Rows of a mailbox in such a state can be purged, or are gone already."""


class Probed(NamedTuple):
    """A mailbox that was looked at, its state, and the reply that decided it."""

    user: str
    standing: Standing
    reply: Reply


def went_well(reply: Reply) -> bool:
    """Whether Graph found what was asked for."""
    return 200 <= reply.status < 300


def probed(user: str, mailbox: Reply, contact: Reply) -> Probed:
    """Return the state of a mailbox from the two replies."""
    if not went_well(mailbox):
        return Probed(user, _closed(mailbox), mailbox)
    return Probed(user, _contact(contact), contact)


def _closed(reply: Reply) -> Standing:
    verdict = judge(reply)
    if verdict is Verdict.APP_REFUSED:
        return Standing.APP_DENIED
    if reply.status == 401:
        return Standing.NOT_SERVED
    if reply.status == 403:
        if closes_by_name(reply):
            return Standing.NOT_SERVED
        return Standing.DENIED if verdict in (Verdict.CLOSED, Verdict.UNCLEAR) else Standing.REFUSED
    if verdict is Verdict.THROTTLED or reply.retry_after_s:
        return Standing.WAITING
    if reply.status == 400 and verdict is Verdict.CLOSED:
        return Standing.NO_MAILBOX
    return Standing.NO_MAILBOX if reply.status == 404 else Standing.NO_ANSWER


def _contact(reply: Reply) -> Standing:
    if went_well(reply):
        return Standing.FINE
    if judge(reply) is Verdict.GONE:
        return Standing.NOT_FOUND
    if reply.code.lower() == OTHER_MAILBOX.lower():
        return Standing.OTHER_MAILBOX
    if reply.status == 400 and judge(reply) is not Verdict.CLOSED:
        return Standing.BAD_ID
    return _closed(reply)


def spread(sizes: Sequence[int], most: int, rng: random.Random) -> list[int]:
    """Return which of these mailboxes to look at, at most ``most``: the first, the largest, and others at random, all different."""
    if not sizes or most < 1:
        return []
    largest = max(range(len(sizes)), key=lambda number: sizes[number])
    chosen = list(dict.fromkeys((0, largest)))[:most]
    others = [number for number in range(len(sizes)) if number not in chosen]
    return chosen + rng.sample(others, min(most - len(chosen), len(others)))


def conclusions(found: Sequence[Probed]) -> list[tuple[Standing, str]]:
    """Return a sentence for each state that mailboxes have, the worst states first."""
    sentences = []
    for standing in reversed(Standing):
        users = [mailbox.user for mailbox in found if mailbox.standing is standing]
        if users:
            names = "" if standing is Standing.FINE else f" ({', '.join(users[:NAMED_MAX])})"
            sentences.append(
                (
                    standing,
                    f"{len(users)} of {len(found)} {standing.clause(len(users))}{names}. {standing.remedy}".strip(),
                )
            )
    return sentences


def refusal(found: Sequence[Probed]) -> PurgeEngineError | None:
    """Return why a run should not begin: none of the mailboxes looked at could be purged. None otherwise."""
    standings = {mailbox.standing for mailbox in found}
    if not standings or standings & PROMISING:
        return None
    what = " ".join(sentence for _, sentence in conclusions(found))
    text = f"Not one of the mailboxes looked at can be purged, so nothing was sent. {what}"
    if standings & {Standing.DENIED, Standing.REFUSED, Standing.APP_DENIED}:
        return TokenError(text)
    return RunStopped(text) if standings <= {Standing.NO_ANSWER, Standing.WAITING} else UsageProblem(text)
