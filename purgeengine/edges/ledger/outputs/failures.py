"""Rows that failed, over one ledger or a chain: grouped by reply and by mailbox, with examples.

Failed means refused, exhausted, skipped or invalid. The rows are read in one pass. Memory grows with the number of
mailboxes that have failed rows, not with the rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import nlargest
from typing import Any, NamedTuple

from purgeengine.core.graph.identifiers import mailbox_key
from purgeengine.core.model import Outcome
from purgeengine.core.policy import advice
from purgeengine.core.policy.filters import is_left_out
from purgeengine.core.policy.outcomes import ORIGIN_COLUMN
from purgeengine.edges.ledger.outputs.chain import Chain, Final
from purgeengine.edges.ledger.reader import LedgerReader

ENDED_BADLY = tuple(outcome for outcome in Outcome if outcome.ended_badly)
GROUPS_MAX = 2_000
"""Groups counted one by one. The rest are counted together, because messages may contain ids and so have no bound."""
OTHERS = "others, of which each is rare"
EXAMPLES_MAX = 3
"""Rows shown of each group."""
_COLUMNS = ("row", "user", "contact", "outcome", "status", "code", "message", "settled_utc", "client_request_id")


class FailureReply(NamedTuple):
    """The reply that rows got.

    Status 0 means that no answer came. For ``invalid`` rows, the message tells what is wrong with them.
    """

    status: int
    code: str
    message: str
    invalid: bool = False


class Example(NamedTuple):
    """One row of a group: its number and place in the first list, and the call id with which Graph's own logs can be searched."""

    row: int
    user: str
    contact: str
    settled_utc: Any
    client_request_id: str
    line: int = 0
    """Its line in ``file``, as `plan` counts lines. 0 until it is known."""
    file: str = ""


@dataclass(slots=True)
class Group:
    """Rows that got the same reply."""

    told: FailureReply
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    held: Counter[tuple[int, Outcome]] = field(default_factory=Counter)
    """Rows by the ledger of the chain that decides them, and by outcome."""
    in_doubt: int = 0
    examples: list[Example] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """How many rows the group has."""
        return self.outcomes.total()


@dataclass(slots=True)
class FailedMailbox:
    """A mailbox with failed rows."""

    user: str
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    told: Counter[FailureReply] = field(default_factory=Counter)

    @property
    def rows(self) -> int:
        """How many failed rows the mailbox has."""
        return self.outcomes.total()

    @property
    def reason(self) -> FailureReply:
        """The most frequent reply to the mailbox's failed rows."""
        return self.told.most_common(1)[0][0]

    @property
    def left_out(self) -> bool:
        """True if a filter left all of these rows out."""
        return all(is_left_out(reply.status, reply.code) for reply in self.told)


class Failures:
    """The failed rows of a chain, grouped. `failures_of` makes it."""

    def __init__(self) -> None:
        self._groups: dict[FailureReply, Group] = {}
        self._mailboxes: dict[str, FailedMailbox] = {}

    @property
    def mailboxes(self) -> int:
        """How many mailboxes have failed rows, apart from invalid ones."""
        return len(self._mailboxes)

    def groups(self, most: int, *, invalid: bool = False) -> list[Group]:
        """Return the ``most`` largest groups, largest first: those of invalid rows, or those of all other failed rows."""
        wanted = [group for group in self._groups.values() if group.told.invalid is invalid]
        return nlargest(most, wanted, key=lambda group: group.rows)

    def all_groups(self) -> Iterable[Group]:
        """Return all groups, in no order."""
        return self._groups.values()

    def count(self, *, invalid: bool = False) -> int:
        """Count the groups."""
        return sum(group.told.invalid is invalid for group in self._groups.values())

    @property
    def in_doubt(self) -> int:
        """Failed rows whose contacts may be gone all the same."""
        return sum(group.in_doubt for group in self._groups.values())

    def worst(self, most: int) -> list[FailedMailbox]:
        """Return the ``most`` mailboxes with the most failed rows, worst first, and then those that a filter left out."""
        return nlargest(most, self._mailboxes.values(), key=lambda mailbox: (not mailbox.left_out, mailbox.rows))

    @property
    def mailboxes_left_out(self) -> int:
        """How many of the mailboxes have no row that failed, because a filter left them out."""
        return sum(mailbox.left_out for mailbox in self._mailboxes.values())

    def told_of(self, ledger: int) -> list[advice.FailedRows]:
        """Return the replies to the rows that this ledger of the chain decides, most frequent first, without invalid rows."""
        found = [
            advice.FailedRows(outcome, group.told.status, group.told.code, group.told.message, rows)
            for group in self._groups.values()
            for (holder, outcome), rows in group.held.items()
            if holder == ledger and not group.told.invalid
        ]
        return sorted(found, key=lambda told: -told.rows)

    def take(self, told: FailureReply, outcome: Outcome, user: str, in_doubt: bool, ledger: int = 0) -> Group:
        """Count a row that this ledger of the chain decides. Return its group."""
        group = self._groups.get(told)
        if group is None:
            if len(self._groups) >= GROUPS_MAX:
                told = FailureReply(0, "", OTHERS, told.invalid)
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
    """Read the rows of all ledgers once more, and group the failed rows that each ledger decides."""
    endings = Failures()
    for number, ledger in enumerate(chain.ledgers):
        if not any(final.shares[number].holds[outcome] for outcome in ENDED_BADLY):
            continue
        origin = "row" if number == 0 else ORIGIN_COLUMN
        columns = (*_COLUMNS, *(_PLACE if number == 0 else [ORIGIN_COLUMN]))
        files = ledger.about["files"]
        for batch in ledger.rows(ENDED_BADLY, columns=columns):
            for index, row, outcome, told, user in _rows(batch, origin, files):
                state = final.of(row)
                if final.holders[row] != number or state.outcome is not outcome:
                    continue
                group = endings.take(told, outcome, user, state.in_doubt, number)
                if len(group.examples) < EXAMPLES_MAX:
                    contact, at, call = (batch.column(n)[index].as_py() for n in _SHOWN)
                    line, file = _place(batch, index, files) if number == 0 else (0, "")
                    group.examples.append(Example(row, user, contact, at, call, line, file))
    if len(chain.ledgers) > 1:
        _find_places(chain.ledgers[0], endings)
    return endings


_SHOWN = ("contact", "settled_utc", "client_request_id")
_PLACE = ("line", "source")


def _place(batch: Any, index: int, files: Sequence[str]) -> tuple[int, str]:
    """Return the line and the file of a row of a batch."""
    line, source = (batch.column(name)[index].as_py() for name in _PLACE)
    return line, files[source]


def _find_places(first: LedgerReader, endings: Failures) -> None:
    """Fill in where the examples of later ledgers stand in the first list. This takes one more pass over its rows."""
    unplaced = [group for group in endings.all_groups() if any(not example.line for example in group.examples)]
    wanted = {example.row for group in unplaced for example in group.examples if not example.line}
    places: dict[int, tuple[int, str]] = {}
    begin = 0
    for batch in first.rows(columns=("row", *_PLACE)) if wanted else ():
        for row in wanted.intersection(range(begin, begin + batch.num_rows)):
            places[row] = _place(batch, row - begin, first.about["files"])
        begin += batch.num_rows
    for group in unplaced:
        group.examples[:] = [
            example if example.line else example._replace(line=places[example.row][0], file=places[example.row][1])
            for example in group.examples
        ]


def _rows(batch: Any, origin: str, files: Sequence[str]) -> Iterator[tuple[int, int, Outcome, FailureReply, str]]:
    """Yield, for each row: index in the batch, row number in the first ledger, outcome, reply, user."""
    names = (origin, "user", "outcome", "status", "code", "message")
    cells = zip(*(batch.column(name).to_pylist() for name in names), strict=True)
    for index, (row, user, outcome, status, code, message) in enumerate(cells):
        kind = Outcome(outcome)
        if kind is not Outcome.INVALID:
            yield index, int(row), kind, FailureReply(status or 0, code, message), user
        elif origin == "row":  # a later ledger's row may be invalid because of its origin
            yield index, row, kind, FailureReply(0, "", _reason(message, files), invalid=True), user


def _reason(message: str, files: Sequence[str]) -> str:
    """Return the reason without line and file, so that rows with the same mistake are one group."""
    place = message.split(" ", 3)  # line, number, of, file and reason
    for name in files:
        if len(place) == 4 and place[3].startswith(f"{name}: "):
            return place[3][len(name) + 2 :]
    return message
