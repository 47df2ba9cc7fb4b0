"""What refusals of the token mean: one renewal for all batches that carried it, and an end if renewals do not help.

A 401 for a single row may be about its mailbox alone, for example a mailbox that is on premises in a hybrid tenant. To tell the
two apart, the token is renewed once. Then a success in any other mailbox proves that the fresh token is good, and that the 401 is
about the mailbox. Until then the refused mailboxes are *suspects*: they are parked and sent nothing.
"""

from __future__ import annotations

from enum import Enum
from math import inf

from purgeengine.core.messages import RenewToken
from purgeengine.core.scheduling.mailbox import Mailbox
from purgeengine.core.scheduling.news import Blame

RENEWALS_WITHOUT_SUCCESS_MAX = 2
"""Tokens that Graph may refuse in a row, without a success between them, before the run stops."""
FRESH_S = 300.0
"""Seconds for which a renewed token is certainly valid. A token lives for about an hour, and a wrong clock costs some minutes at
most."""


class TokenStep(Enum):
    """What to do about a refused token."""

    NOTHING = "the batch left with an older token, or a renewal is under way"
    RENEW = "get another token"
    GIVE_UP = "renewed tokens were refused as well"


class TokenWatch:
    """Judges refusals of the token.

    ``generation`` numbers the tokens, and each batch remembers the number it left with. ``awaited`` is true while a renewal runs.
    """

    def __init__(self, *, renewable: bool = True) -> None:
        self._renewable = renewable
        self.generation = 0
        self.awaited = False
        self.claims = ""
        """The claims challenge of the last refusal of the current token, as JSON; empty if Graph sent none."""
        self._renewal: RenewToken | None = None
        self.suspects: dict[int, Mailbox] = {}
        """By number, the mailboxes that refuse the fresh token while nothing has gone through with it."""
        self.ever_proven = False
        """True if a row was purged or found gone with any token of this run."""
        self._proven = False
        self._renewed_at = -inf
        self._renewals_without_success = 0

    def refused(self, generation: int, batch: int = 0, claims: str = "") -> TokenStep:
        """Record that Graph refused the token with the number ``generation``, and return what to do.

        ``batch`` left with that token. ``claims`` is the claims challenge for the next token (JSON), or empty.
        """
        if generation == self.generation:
            self.claims = claims or self.claims
        if self.awaited or generation != self.generation:
            return TokenStep.NOTHING
        if self._renewals_without_success >= RENEWALS_WITHOUT_SUCCESS_MAX:
            return TokenStep.GIVE_UP
        self._renewals_without_success += 1
        self.awaited = True
        self._renewal = RenewToken(batch)
        return TokenStep.RENEW

    def renewal(self) -> RenewToken | None:
        """Return the renewal that is due, with the claims of all refusals until now; None if none is due since the last call."""
        renewal, self._renewal = self._renewal, None
        return None if renewal is None else RenewToken(renewal.batch, self.claims)

    def blame(self, generation: int, now: float) -> Blame:
        """Return what a 401 for a row is about that was sent with the token numbered ``generation``."""
        if self.awaited or generation != self.generation:
            return Blame.OLD_TOKEN
        if now - self._renewed_at > FRESH_S:
            if self._renewable:
                return Blame.TOKEN
            self._renewed_at, self._proven = now, False  # a success from now on shows that the token has not ended
        return Blame.MAILBOX if self._proven else Blame.UNSETTLED

    def suspect(self, mailbox: Mailbox) -> None:
        """Park a mailbox until something goes through, or until another token comes."""
        mailbox.park()
        self.suspects[mailbox.number] = mailbox

    def forget(self, mailbox: Mailbox) -> None:
        """Record that a mailbox has no rows left: if it is a suspect, nothing needs to be found out about it any more."""
        if self.suspects.pop(mailbox.number, None) is not None:
            mailbox.release()  # a row of it in flight may come back, and then it must be able to leave

    def released(self) -> list[Mailbox]:
        """Release all suspects, and return them."""
        if not self.suspects:  # nearly always
            return []
        found = list(self.suspects.values())
        self.suspects.clear()
        for mailbox in found:
            mailbox.release()
        return found

    def renewed(self, now: float = 0.0) -> None:
        """Record that another token is in use from ``now`` on (monotonic seconds)."""
        self.awaited = False
        self.generation += 1
        self.claims = ""
        self._proven = False
        self._renewed_at = now

    def proven(self, generation: int) -> None:
        """Record that a row was purged or found gone with the token numbered ``generation``."""
        self.ever_proven = True
        self._proven = self._proven or generation == self.generation

    def went_through(self) -> None:
        """Record a success with the current token."""
        self._renewals_without_success = 0
