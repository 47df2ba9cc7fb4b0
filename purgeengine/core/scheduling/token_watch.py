"""What refusals of the token mean: one renewal for all batches that carried it, and an end when renewing does not help.

A 401 for a single row may also be about its mailbox alone (on premises in a hybrid tenant, or none). To tell the two apart, the
token is renewed once; then a success of any other mailbox proves the fresh token, and the 401 is the mailbox's. Until then the
mailboxes that were refused are *suspects*: parked, and asked no more.
"""

from __future__ import annotations

from enum import Enum
from math import inf

from purgeengine.core.scheduling.mailbox import Mailbox

RENEWALS_WITHOUT_SUCCESS_MAX = 2
"""Tokens that Graph may refuse in a row, nothing going through between, before the run stops."""
FRESH_S = 300.0
"""Seconds for which a renewed token is certainly valid: tokens live for an hour, and a wrong clock costs some minutes at most."""
SUSPECTS_MAX = 10
"""Mailboxes that a fresh token is refused for, nothing going through, before the run stops: it is the token, or the app."""


class TokenStep(Enum):
    """What to do about a refused token."""

    NOTHING = "it left with a token that is being replaced, or has been"
    RENEW = "get another"
    GIVE_UP = "others were refused as well"


class Blame(Enum):
    """Whose a 401 for a single row is."""

    OLD_TOKEN = "the token is being replaced, or has been: send again"  # noqa: S105 - no secret
    TOKEN = "the token may have ended: renew it"  # noqa: S105 - no secret
    UNSETTLED = "the fresh token has not let anything through yet"
    MAILBOX = "the fresh token lets other mailboxes through"


class TokenWatch:
    """``generation`` numbers the tokens; each batch remembers the one it left with."""

    def __init__(self, *, renewable: bool = True) -> None:
        self._renewable = renewable
        self.generation = 0
        self.awaited = False
        self.suspects: dict[int, Mailbox] = {}
        """The mailboxes that the fresh token is refused for, by number, while nothing has gone through with it."""
        self.ever_proven = False
        """Whether anything went through with any token of this run."""
        self._proven = False
        self._renewed_at = -inf
        self._renewals_without_success = 0

    def refused(self, generation: int) -> TokenStep:
        """Graph refused the token of that generation."""
        if self.awaited or generation != self.generation:
            return TokenStep.NOTHING
        if self._renewals_without_success >= RENEWALS_WITHOUT_SUCCESS_MAX:
            return TokenStep.GIVE_UP
        self._renewals_without_success += 1
        self.awaited = True
        return TokenStep.RENEW

    def blame(self, generation: int, now: float) -> Blame:
        """Whose the 401 for a row is that was sent with the token of that generation."""
        if self.awaited or generation != self.generation:
            return Blame.OLD_TOKEN
        if now - self._renewed_at > FRESH_S:
            if self._renewable:
                return Blame.TOKEN
            self._renewed_at, self._proven = now, False  # what goes through from now on shows that it has not ended
        return Blame.MAILBOX if self._proven else Blame.UNSETTLED

    def suspect(self, mailbox: Mailbox) -> None:
        """Park a mailbox until something goes through, or another token comes."""
        mailbox.parked = True
        self.suspects[mailbox.number] = mailbox

    def released(self) -> list[Mailbox]:
        """Let the suspects go; answers them."""
        if not self.suspects:  # nearly always
            return []
        found = list(self.suspects.values())
        self.suspects.clear()
        for mailbox in found:
            mailbox.parked = False
        return found

    def renewed(self, now: float = 0.0) -> None:
        """Another is in use."""
        self.awaited = False
        self.generation += 1
        self._proven = False
        self._renewed_at = now

    def proven(self, generation: int) -> None:
        """A row was purged or found gone with the token of that generation."""
        self.ever_proven = True
        self._proven = self._proven or generation == self.generation

    def went_through(self) -> None:
        """Something was done with the current token."""
        self._renewals_without_success = 0
