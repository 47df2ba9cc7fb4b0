"""What finally became of a row that several runs, one after the other, have handled.

The cases, for the state of the same row in an earlier and in a later ledger:

1. Once purged, always purged: we did it, and no later answer changes that.
2. Absent in the later ledger means purged if the row was in doubt in the earlier one, and absent if it was not.
   Absent stays absent.
3. A later run that did not send the row (its mailbox was closed, or the row is a duplicate there) has learned nothing:
   the earlier state holds. If the earlier one skipped the row too, the later reason holds, because it is newer. If the
   earlier one has no outcome for it and left no doubt, the later outcome holds: nothing else will become of the row.
4. Otherwise the later state holds. While it has no outcome for the row, the row has none.

Doubt remains until the contact is known to be gone.
"""

from __future__ import annotations

from typing import NamedTuple

from purgeengine.core.model import Outcome

ORIGIN_COLUMN = "origin_row"
"""Name, in the later ledgers of a chain, of the column with the row's number in the first ledger."""


class ChainState(NamedTuple):
    """The state of a row in a ledger. Without an outcome it is waiting, or in doubt."""

    outcome: Outcome | None
    in_doubt: bool = False


class FoldedState(NamedTuple):
    """The state over both ledgers, and whether the later ledger decides it."""

    state: ChainState
    later_holds: bool


def folded(earlier: ChainState, later: ChainState) -> FoldedState:
    """Return the state of a row after both ledgers."""
    if earlier.outcome is Outcome.PURGED:
        return FoldedState(earlier, False)
    if later.outcome is Outcome.PURGED:
        return FoldedState(later, True)
    if later.outcome is Outcome.ABSENT and earlier.outcome is not Outcome.ABSENT:
        return FoldedState(ChainState(Outcome.PURGED if earlier.in_doubt else Outcome.ABSENT), True)
    if earlier.outcome is Outcome.ABSENT:
        return FoldedState(earlier, False)
    in_doubt = earlier.in_doubt or later.in_doubt
    tells_more = earlier == ChainState(None) or earlier.outcome is later.outcome is Outcome.SKIPPED
    if later.outcome is not None and later.outcome.never_sent and not tells_more:
        return FoldedState(ChainState(earlier.outcome, in_doubt), False)
    return FoldedState(ChainState(later.outcome, in_doubt), True)
