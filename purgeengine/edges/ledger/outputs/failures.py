"""Rows that did not end well, over one ledger or a chain of them: grouped by what they were told, and by mailbox, with examples.

One pass over the rows, in memory that grows with the number of mailboxes that failed and not with the rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from heapq import nlargest
from typing import Any, NamedTuple

from purgeengine.core.graph.identifiers import mailbox_key
from purgeengine.core.model import Outcome
from purgeengine.core.policy import advice
from purgeengine.core.policy.outcomes import ORIGIN_COLUMN
from purgeengine.edges.ledger.outputs.chain import Chain, Final

ENDED_BADLY = tuple(outcome for outcome in Outcome if outcome.ended_badly)
GROUPS_MAX = 2_000
"""Groups counted one by one; the rest are counted together, since messages may hold ids and so be without number."""
OTHERS = "others, of which each is rare"
EXAMPLES_MAX = 3
"""Rows shown of each group."""
_COLUMNS = ("row", "user", "contact", "outcome", "status", "code", "message", "settled_utc", "client_request_id")


class Told(NamedTuple):
    """What rows were told; status 0 where no answer came. Of ``invalid`` rows, the message says what is wrong with them."""

    status: int
    code: str
    message: str
    invalid: bool = False


class Example(NamedTuple):
    """One row of a group: its number in the first ledger, and where to look for it in Graph's own logs."""

    row: int
    user: str
    contact: str
    settled_utc: Any
    client_request_id: str


@dataclass(slots=True)
class Group:
    """Rows that were told the same."""

    told: Told
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    held: Counter[tuple[int, Outcome]] = field(default_factory=Counter)
    """Rows by the ledger of the chain that has the last word, and by outcome."""
    in_doubt: int = 0
    examples: list[Example] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """How many."""
        return self.outcomes.total()


@dataclass(slots=True)
class FailedMailbox:
    """A mailbox with rows that did not end well."""

    user: str
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    told: Counter[Told] = field(default_factory=Counter)

    @property
    def rows(self) -> int:
        """Rows that did not end well."""
        return self.outcomes.total()

    @property
    def reason(self) -> Told:
        """What most of them were told."""
        return self.told.most_common(1)[0][0]


class Failures:
    """What became of the rows that did not end well; made by `failures_of`."""

    def __init__(self) -> None:
        self._groups: dict[Told, Group] = {}
        self._mailboxes: dict[str, FailedMailbox] = {}

    @property
    def mailboxes(self) -> int:
        """Mailboxes with such rows, invalid ones left aside."""
        return len(self._mailboxes)

    def groups(self, most: int, *, invalid: bool = False) -> list[Group]:
        """The largest groups, at most so many, largest first: those of rows that were sent or skipped, or of invalid ones."""
        wanted = [group for group in self._groups.values() if group.told.invalid is invalid]
        return nlargest(most, wanted, key=lambda group: group.rows)

    def count(self, *, invalid: bool = False) -> int:
        """How many groups there are."""
        return sum(group.told.invalid is invalid for group in self._groups.values())

    @property
    def in_doubt(self) -> int:
        """Rows that did not end well and may be gone all the same."""
        return sum(group.in_doubt for group in self._groups.values())

    def worst(self, most: int) -> list[FailedMailbox]:
        """The mailboxes with most such rows, at most so many, worst first."""
        return nlargest(most, self._mailboxes.values(), key=lambda mailbox: mailbox.rows)

    def told_of(self, ledger: int) -> list[advice.FailedRows]:
        """What rows were told of which this ledger of the chain has the last word, most frequent first, invalid ones left aside."""
        found = [
            advice.FailedRows(outcome, group.told.status, group.told.code, group.told.message, rows)
            for group in self._groups.values()
            for (holder, outcome), rows in group.held.items()
            if holder == ledger and not group.told.invalid
        ]
        return sorted(found, key=lambda told: -told.rows)

    def take(self, told: Told, outcome: Outcome, user: str, in_doubt: bool, ledger: int = 0) -> Group:
        """Count a row of which this ledger of the chain has the last word; answers its group."""
        group = self._groups.get(told)
        if group is None:
            if len(self._groups) >= GROUPS_MAX:
                told = Told(0, "", OTHERS, told.invalid)
            group = self._groups.setdefault(told, Group(told))
        group.outcomes[outcome] += 1
        group.held[ledger, outcome] += 1
        group.in_doubt += in_doubt
        if not told.invalid:
            mailbox = self._mailboxes.setdefault(mailbox_key(user), FailedMailbox(user))
            mailbox.outcomes[outcome] += 1
            mailbox.told[group.told] += 1
        return group


def failures_of(chain: Chain, final: Final) -> Failures:
    """Read the rows of all ledgers once more, and look at those that each has the last word on."""
    endings = Failures()
    for number, ledger in enumerate(chain.ledgers):
        if not any(final.shares[number].holds[outcome] for outcome in ENDED_BADLY):
            continue
        origin = "row" if number == 0 else ORIGIN_COLUMN
        columns = (*_COLUMNS, *([] if number == 0 else [ORIGIN_COLUMN]))
        for batch in ledger.rows(ENDED_BADLY, columns=columns):
            for index, row, outcome, told, user in _rows(batch, origin, ledger.about["files"]):
                state = final.of(row)
                if final.holders[row] != number or state.outcome is not outcome:
                    continue
                group = endings.take(told, outcome, user, state.in_doubt, number)
                if len(group.examples) < EXAMPLES_MAX:
                    contact, at, call = (batch.column(n)[index].as_py() for n in _SHOWN)
                    group.examples.append(Example(row, user, contact, at, call))
    return endings


_SHOWN = ("contact", "settled_utc", "client_request_id")


def _rows(batch: Any, origin: str, files: Sequence[str]) -> Iterator[tuple[int, int, Outcome, Told, str]]:
    """Index, row of the first ledger, outcome, what it was told, user."""
    names = (origin, "user", "outcome", "status", "code", "message")
    cells = zip(*(batch.column(name).to_pylist() for name in names), strict=True)
    for index, (row, user, outcome, status, code, message) in enumerate(cells):
        kind = Outcome(outcome)
        if kind is not Outcome.INVALID:
            yield index, int(row), kind, Told(status or 0, code, message), user
        elif origin == "row":  # in a later ledger, what is wrong with it may be its origin
            yield index, row, kind, Told(0, "", _reason(message, files), invalid=True), user


def _reason(message: str, files: Sequence[str]) -> str:
    """Without the line and the file, so that rows with the same mistake are one group."""
    place = message.split(" ", 3)  # line, number, of, file and reason
    for name in files:
        if len(place) == 4 and place[3].startswith(f"{name}: "):
            return place[3][len(name) + 2 :]
    return message
