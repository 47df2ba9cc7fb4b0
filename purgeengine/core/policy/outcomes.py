"""What finally became of a row that several runs, one after the other, have had in hand.

The cases, for what an earlier ledger says and what a later one says of the same row:

1. Once purged, purged: we did it, and nothing that a later run is told changes that.
2. Absent in the later one is purged where the earlier one was in doubt, and absent where it was not. What was absent stays so.
3. A later run that did not send the row (its mailbox was closed, or the row stands there twice) has learned nothing: what the
   earlier one says holds. Where that one skipped the row as well, the later reason is the newer one.
4. Otherwise the later one holds. While it has no outcome for the row, the row has none.

Doubt adds up until the contact is known to be gone.
"""

from __future__ import annotations

from typing import NamedTuple

from purgeengine.core.model import Outcome

ORIGIN_COLUMN = "origin_row"
"""What the number of a row in the first ledger of a chain is called in the later ones."""


class ChainState(NamedTuple):
    """What a ledger says of a row; without an outcome it is waiting, or in doubt."""

    outcome: Outcome | None
    in_doubt: bool = False


class FoldedState(NamedTuple):
    """The state over both ledgers, and whether it is the later one that holds."""

    state: ChainState
    later_holds: bool


def folded(earlier: ChainState, later: ChainState) -> FoldedState:
    """The state of a row after both."""
    if earlier.outcome is Outcome.PURGED:
        return FoldedState(earlier, False)
    if later.outcome is Outcome.PURGED:
        return FoldedState(later, True)
    if later.outcome is Outcome.ABSENT and earlier.outcome is not Outcome.ABSENT:
        return FoldedState(ChainState(Outcome.PURGED if earlier.in_doubt else Outcome.ABSENT), True)
    if earlier.outcome is Outcome.ABSENT:
        return FoldedState(earlier, False)
    in_doubt = earlier.in_doubt or later.in_doubt
    skipped_again = earlier.outcome is later.outcome is Outcome.SKIPPED
    if later.outcome is not None and later.outcome.never_sent and not skipped_again:
        return FoldedState(ChainState(earlier.outcome, in_doubt), False)
    return FoldedState(ChainState(later.outcome, in_doubt), True)
