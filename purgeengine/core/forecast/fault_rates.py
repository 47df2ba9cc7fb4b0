"""How often things fail in a run, and what that costs, by what happened so far. All times are in seconds."""

from __future__ import annotations

from dataclasses import dataclass

from purgeengine.core.forecast.pace import PaceMark
from purgeengine.core.forecast.situation import PastRows

SENDS_OF_A_ROW_MAX = 4.0
"""The most sendings of a row that a forecast assumes, however much was refused: a bad start is no forecast."""
SETTLED_BEFORE = 100
"""Rows that are assumed to have gone through at once before the first row was sent."""
CALLS_BEFORE = 50
"""Calls that are assumed to have been answered before the first call was sent."""
WAITED_SHARE_MAX = 0.9
"""The largest share of waits of the whole app that is believed, because a forecast divides by the rest."""
WORKED_BEFORE_S, WAITED_BEFORE_S = 10.0, 0.5
"""Seconds of work that are assumed before the run, and seconds of waits of the whole app among them. Without any, a figure of the
first seconds is too short wherever Graph asks for waits later."""


@dataclass(frozen=True, slots=True)
class FaultRates:
    """What is expected of the rows and calls that are left."""

    again_share: float
    """The share of sendings after which a row is sent again."""
    lost_share: float
    """The share of calls whose answer is lost."""
    lost_after_s: float
    """Seconds until a lost call is known to be lost, on average."""
    works_share: float
    """The share of the time in which the whole app does not wait."""
    pause_row_s: float
    """Seconds of pauses for each row of a mailbox."""
    pause_s: float
    """Seconds of one pause. Long ones weigh more, because they decide."""
    waits_row: float
    wait_s: float
    """How often Graph makes a mailbox wait, for each row, and for how many seconds. Long waits weigh more, and there are fewer."""
    holds_row: float
    """How many lost calls leave a mailbox no slot, for each row."""

    @property
    def sends(self) -> float:
        """Sendings of a row, on average."""
        return 1.0 / (1.0 - self.again_share)

    @classmethod
    def of(cls, all_rows: PastRows, lately: PaceMark, so_far: PaceMark) -> FaultRates:
        """Return the rates of late, or of the whole run for what happens seldom."""
        again = lately.returned / (SETTLED_BEFORE + lately.settled + lately.returned)
        waited = (WAITED_BEFORE_S + so_far.waited_s) / (WORKED_BEFORE_S + so_far.worked_s)
        paused_row_s = max(0.0, lately.paused_s) / (SETTLED_BEFORE + lately.settled)
        # A pause shows its length when it is over, and a wait that Graph asked for at once.
        asked_row_s = all_rows.asked_s / (SETTLED_BEFORE + all_rows.settled)
        asked_each_s = all_rows.asked_squared / all_rows.asked_s if all_rows.asked_s > 0.0 else 0.0
        return cls(
            again_share=min(1.0 - 1.0 / SENDS_OF_A_ROW_MAX, again),
            lost_share=lately.lost / (CALLS_BEFORE + lately.answered + lately.lost),
            lost_after_s=lately.lost_after_s / lately.lost if lately.lost else 0.0,
            works_share=1.0 - min(WAITED_SHARE_MAX, waited),
            pause_row_s=max(paused_row_s, asked_row_s),
            # A pause that began before the last part of the run counts there with few seconds and its whole square, so that
            # the whole run sets a bound.
            pause_s=max(asked_each_s, min(_pause_s(lately), _pause_s(so_far))),
            waits_row=asked_row_s / asked_each_s if asked_each_s > 0.0 else 0.0,
            wait_s=asked_each_s,
            holds_row=all_rows.holds / (SETTLED_BEFORE + all_rows.settled),
        )


def _pause_s(mark: PaceMark) -> float:
    return mark.pauses_squared / mark.paused_s if mark.paused_s > 0.0 else 0.0
