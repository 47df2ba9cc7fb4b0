"""When a run stops by itself: at a threshold that was asked for, or because something looks wrong.

Both count only what this run has done. A resumed run is not stopped for what an earlier run saw.
"""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from purgeengine.core.graph.verdicts import closes_by_name
from purgeengine.core.messages import BatchEnded, BatchSent, Entry, MailboxClosed, Settled
from purgeengine.core.model import Outcome, Reply
from purgeengine.core.policy.absent_rows import Absence, Sought, sought_by
from purgeengine.errors import UsageProblem
from purgeengine.words import Spelling, as_fields, shown

SETTLED_BEFORE_SHARE = 100
"""Rows settled before a share of failures is trusted. One failure among the first two rows is not half of the run."""

DENIALS_IN_A_ROW_MAX = 10
"""If this many mailboxes in a row deny the app, with no row purged or absent between them, the run stops.

If a third of the mailboxes is denied, chance does it once in 60,000.
"""
MAILBOXES_WEIGHED = 50
"""Number of mailboxes, answered last, of which half must deny the app to stop the run."""
ROWS_WEIGHED = 1_000
"""Number of rows, ended last, of which more than half must have failed to stop the run."""
ROWS_BEFORE_ALL_FAILED = 50
"""If this many first rows of a run all failed, and are of ten mailboxes or more, the run stops. Fewer rows say little."""
ROWS_OF_FEW_BEFORE_ALL_FAILED = 200
"""If this many first rows of a run all failed, and are of fewer mailboxes, the run stops.

Each mailbox may have a trouble of its own, and up to twenty rows at once.
"""
MAILBOXES_BEFORE_ALL_FAILED = 10
SOUGHT_BEFORE_WARNING = 100
"""Contacts that Graph looked for before a run warns that it finds none. For fewer, the summary is early enough."""


@dataclass(frozen=True, slots=True)
class FailureThreshold:
    """So many failed rows (``count``), or such a share of those sent and settled (``share``, 0 to 1).

    ``named`` is what the one who set it calls it, for sentences.
    """

    count: int | None = None
    share: float | None = None
    named: str = "max_failures"

    @classmethod
    def parse(cls, text: str, spelling: Spelling = as_fields) -> FailureThreshold:
        """Read ``N`` or ``P%``. Raises `UsageProblem` if the text is neither."""
        named = spelling("max_failures")
        match = re.fullmatch(r"(\d{1,12})|(\d{1,3}(?:\.\d+)?)\s*%", text.strip())
        if match is None or (match[2] and float(match[2]) > 100):
            raise UsageProblem(f"{named} takes a number such as 50 or a share such as 5%, not {shown(text)}.")
        return cls(count=int(match[1]), named=named) if match[1] else cls(share=float(match[2]) / 100, named=named)

    def crossed(self, failed: int, settled: int) -> str | None:
        """Return why the run must stop, as a sentence, or None."""
        if self.count is not None and failed > self.count:
            return f"{failed} rows failed, more than the {self.count} that {self.named} allows."
        if self.share is not None and settled >= SETTLED_BEFORE_SHARE and failed > self.share * settled:
            return (
                f"{failed} of {settled} rows failed, more than the {self.share:.4g} of them that {self.named} allows."
            )
        return None


class TurnFigures(NamedTuple):
    """What the automatic stop weighs of a turn, or of several turns of another process together."""

    ended: int
    """Rows that ended. Rows that were never sent do not count."""
    failed: int
    answered: tuple[tuple[Hashable, bool], ...]
    """The mailboxes that were answered, in that order, and whether each denied the app."""
    denied_in_a_row: int
    """Mailboxes that denied the app, since a row was purged or absent if one was."""
    went_well: bool
    """True if a row was purged or absent."""
    denial: Reply | None
    """The last reply that denied the app, or None."""


class TurnReader:
    """Makes the figures of a turn of its entries."""

    def __init__(self) -> None:
        self._parts_of: dict[int, tuple[int, ...]] = {}

    def turn(self, entries: Sequence[Entry], settled: Mapping[Outcome, int]) -> TurnFigures:
        """Take a turn: its entries, and its rows by outcome, with skipped rows counted apart. Return its figures."""
        landed: list[int] = []
        denied: dict[int, Reply] = {}
        for entry in entries:
            if type(entry) is BatchSent:
                self._parts_of[entry.batch] = tuple(share.mailbox for share in entry.shares)
            elif type(entry) is BatchEnded:
                mailboxes = self._parts_of.pop(entry.batch, ())
                landed += mailboxes if entry.status is not None and entry.status < 300 else ()
            elif type(entry) is MailboxClosed and _is_denial(entry.reply):
                denied[entry.mailbox] = entry.reply
        ended = sum(settled.values()) - settled.get(Outcome.SKIPPED, 0)
        failed = sum(rows for outcome, rows in settled.items() if outcome.failed)
        return TurnFigures(
            ended=ended,
            failed=failed,
            answered=tuple((mailbox, mailbox in denied) for mailbox in landed),
            denied_in_a_row=len(denied),
            went_well=ended > failed,
            denial=next(reversed(denied.values()), None),
        )


class AutoStop:
    """Watches a run, and stops it if the app, its scope or the list looks wrong."""

    def __init__(self, spelling: Spelling = as_fields) -> None:
        self._go_on = f"{_ROWS_STAY} {spelling('auto_stop=False')} goes on regardless"
        self._reader = TurnReader()
        self._denials_in_a_row = 0
        self._answered: OrderedDict[Hashable, bool] = OrderedDict()
        """The mailboxes answered last, and whether each denied the app."""
        self._turns: deque[tuple[int, int]] = deque()
        """(rows ended, rows failed) by turn, for the last `ROWS_WEIGHED` rows."""
        self._ended = self._failed = 0
        self._rows = self._well = 0

    def seen(self, entries: Sequence[Entry], settled: Mapping[Outcome, int]) -> str | None:
        """Take a turn: its entries, and its rows by outcome, with skipped rows counted apart.

        Return why the run must stop, or None.
        """
        return self.weigh(self._reader.turn(entries, settled))

    def weigh(self, turn: TurnFigures) -> str | None:
        """Take the figures of a turn, of this process or of another one. Return why the run must stop, or None."""
        for mailbox, denied in turn.answered:
            self._answered[mailbox] = denied
            self._answered.move_to_end(mailbox)
            if len(self._answered) > MAILBOXES_WEIGHED:
                self._answered.popitem(last=False)
        self._denials_in_a_row = turn.denied_in_a_row + (0 if turn.went_well else self._denials_in_a_row)
        if turn.ended:
            self._take_rows(turn.ended, turn.failed)
        return self._denials(turn.denial) or self._failures()

    def _take_rows(self, ended: int, failed: int) -> None:
        self._turns.append((ended, failed))
        self._ended += ended
        self._failed += failed
        while self._ended - self._turns[0][0] >= ROWS_WEIGHED:
            old_ended, old_failed = self._turns.popleft()
            self._ended -= old_ended
            self._failed -= old_failed
        self._rows += ended
        self._well += ended - failed

    def _denials(self, denial: Reply | None) -> str | None:
        if denial is None:
            return None
        why = " ".join(part for part in (str(denial.status), denial.code, denial.message) if part)
        if self._denials_in_a_row >= DENIALS_IN_A_ROW_MAX:
            seen = f"{self._denials_in_a_row} mailboxes in a row denied the app, and no row was purged in between"
        elif len(self._answered) >= MAILBOXES_WEIGHED and 2 * sum(self._answered.values()) >= MAILBOXES_WEIGHED:
            seen = f"{sum(self._answered.values())} of the last {len(self._answered)} mailboxes denied the app"
        else:
            return None
        return (
            f"{seen} ({why.rstrip('.')}). Check the app's permission and its scope (an access policy, or RBAC for Applications). "
            f"{self._go_on}"
        )

    def _failures(self) -> str | None:
        few = len(self._answered) < MAILBOXES_BEFORE_ALL_FAILED
        if not self._well and self._rows >= (ROWS_OF_FEW_BEFORE_ALL_FAILED if few else ROWS_BEFORE_ALL_FAILED):
            seen = f"the first {self._rows} rows that ended all failed"
        elif self._ended >= ROWS_WEIGHED and 2 * self._failed > self._ended:
            seen = f"{self._failed:,} of the last {self._ended:,} rows that ended failed"
        else:
            return None
        return f"{seen}. See with the status command what Graph said, and check the list and the app. {self._go_on}"


class AbsenceWatch:
    """Watches whether contacts are found under their ids, to warn during a run. The summary would come too late."""

    def __init__(self) -> None:
        self._found = self._not_found = 0
        self._told = False

    def take(self, settled: Settled) -> None:
        """Count rows that were settled."""
        sought = sought_by(settled.outcome, settled.reply, settled.rows)
        self._found += sought.found
        self._not_found += sought.not_found

    @property
    def sought(self) -> Sought:
        """How many contacts were found under their ids so far, and how many were not."""
        return Sought(self._found, self._not_found)

    def warning(self) -> str | None:
        """Return a sentence that nothing, or nearly nothing, was found so far, the first time that this is certain.

        None otherwise.
        """
        sought = self.sought
        if self._told or self._found + self._not_found < SOUGHT_BEFORE_WARNING or not sought.nothing:
            return None
        self._told = True
        return Absence(sought, (), 0, finished=False).sentence


_ROWS_STAY = "Rows refused or skipped by now stay so in this ledger, and can be exported as a new input."


def _is_denial(reply: Reply) -> bool:
    """True if the app was kept out, and not because of the mailbox (on premises, full, without a licence)."""
    return reply.status in (401, 403) and (not closes_by_name(reply) or reply.code.lower() == "authenticationerror")
