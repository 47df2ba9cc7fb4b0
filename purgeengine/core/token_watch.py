"""What refusals of the token mean: one renewal for all batches that carried it, and an end when renewing does not help."""

from __future__ import annotations

from enum import Enum

RENEWALS_WITHOUT_SUCCESS_MAX = 2
"""Tokens that Graph may refuse in a row, nothing going through between, before the run stops."""


class Remedy(Enum):
    """What to do about a refused token."""

    NOTHING = "it left with a token that is being replaced, or has been"
    RENEW = "get another"
    GIVE_UP = "others were refused as well"


class TokenWatch:
    """``generation`` numbers the tokens; each batch remembers the one it left with."""

    def __init__(self) -> None:
        self.generation = 0
        self.awaited = False
        self._renewals_without_success = 0

    def refused(self, generation: int) -> Remedy:
        """Graph refused the token of that generation."""
        if self.awaited or generation != self.generation:
            return Remedy.NOTHING
        if self._renewals_without_success >= RENEWALS_WITHOUT_SUCCESS_MAX:
            return Remedy.GIVE_UP
        self._renewals_without_success += 1
        self.awaited = True
        return Remedy.RENEW

    def renewed(self) -> None:
        """Another is in use."""
        self.awaited = False
        self.generation += 1

    def went_through(self) -> None:
        """Something was done with the current token."""
        self._renewals_without_success = 0
