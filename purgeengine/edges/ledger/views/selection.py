"""Choose rows of a ledger by their outcome and by what Graph answered.

The same choice is made in the database (how many rows?) and among exported rows (which rows?).
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute

from purgeengine.core.graph.text import CODE_LENGTH_MAX, printable
from purgeengine.core.model import WORTH_RETRYING, Outcome
from purgeengine.core.policy.filters import FILTERED, PROTECTED
from purgeengine.edges.ledger.store.database import read_meta, snapshot
from purgeengine.edges.ledger.store.schema import OUTCOMES
from purgeengine.edges.ledger.views.counts import skipped_ranges
from purgeengine.errors import UsageProblem
from purgeengine.words import Spelling, as_fields

pc: Any = pyarrow.compute
NO_ANSWER = "none"
LEFT_OUT_BY_FILTER = (FILTERED, PROTECTED)
"""Codes of rows that a filter kept from being sent."""
_CLASS = re.compile("[1-5]xx")
_STATUS = re.compile("[1-5][0-9][0-9]")


@dataclass(frozen=True, slots=True)
class AnswerFilter:
    """Answers of Graph: codes in lower case, statuses, whole classes of statuses (4 for 4xx), and the lack of an answer.

    A row is chosen if any one of these fits its answer. A row that a filter left out is chosen only by its code.
    """

    codes: frozenset[str]
    statuses: frozenset[int]
    classes: frozenset[int]
    no_answer: bool

    @classmethod
    def parse(cls, text: str, spelling: Spelling = as_fields) -> Self:
        """Read a text such as ``ErrorAccessDenied,429,5xx,none``.

        Raises `UsageProblem` if a word is empty or too long to be a code.
        """
        words = [word.strip().lower() for word in text.split(",")]
        for word in words:
            if not word or len(word) > CODE_LENGTH_MAX:
                raise UsageProblem(
                    f"{spelling('codes')} takes error codes and statuses such as ErrorAccessDenied,429,5xx, or {NO_ANSWER} for "
                    f"rows without an answer; '{printable(word)}' is none of them."
                )
        statuses = frozenset(int(word) for word in words if _STATUS.fullmatch(word))
        classes = frozenset(int(word[0]) for word in words if _CLASS.fullmatch(word))
        others = {word for word in words if not (_STATUS.fullmatch(word) or _CLASS.fullmatch(word))}
        return cls(frozenset(others - {NO_ANSWER}), statuses, classes, NO_ANSWER in others)

    def __str__(self) -> str:
        numbers = [*sorted(self.statuses), *(f"{number}xx" for number in sorted(self.classes))]
        words = [*sorted(self.codes), *map(str, numbers), *([NO_ANSWER] if self.no_answer else [])]
        return ",".join(words)

    def fits(self, status: int, code: str) -> bool:
        """True if the filter chooses this answer. Status 0 means that no answer came."""
        return (
            code.lower() in self.codes
            or status in self.statuses
            or status // 100 in self.classes
            or (self.no_answer and status == 0 and code not in LEFT_OUT_BY_FILTER)
        )

    def mask(self, rows: pa.RecordBatch) -> Any:
        """Return, for rows of an export, an array of booleans that is true where the filter chooses the row's answer."""
        status: Any = rows.column("status").fill_null(0)
        found = pc.is_in(pc.utf8_lower(rows.column("code").fill_null("")), pa.array(sorted(self.codes), pa.string()))
        found = pc.or_(found, pc.is_in(status, pa.array(sorted(self.statuses), pa.int32())))
        found = pc.or_(found, pc.is_in(pc.divide(status, 100), pa.array(sorted(self.classes), pa.int32())))
        return pc.or_(found, pc.and_not(pc.equal(status, 0), _left_out(rows))) if self.no_answer else found


@dataclass(frozen=True, slots=True)
class Selection:
    """Rows with one of these outcomes and, if ``said`` is given, one of these answers.

    Without ``said``, rows that a filter left out (`--only-users`, `--exclude-users`, `--protected-users`) are not chosen, whatever
    the outcomes: somebody has decided that they stay. Naming the code Filtered or Protected chooses them.
    """

    outcomes: frozenset[Outcome]
    said: AnswerFilter | None = None

    @classmethod
    def parse(cls, only: str | None, codes: str | None, spelling: Spelling = as_fields) -> Self:
        """Read outcomes and answers. Without outcomes it chooses the rows that are worth retrying.

        Raises `UsageProblem` as `outcomes_named` and `AnswerFilter.parse` do.
        """
        outcomes = WORTH_RETRYING if only is None else outcomes_named(only, spelling)
        return cls(outcomes, None if codes is None else AnswerFilter.parse(codes, spelling))

    def __str__(self) -> str:
        """Return a text that is equal for equal selections, in whatever order their words were given."""
        return ",".join(sorted(self.outcomes)) + (f" told {self.said}" if self.said else "")

    def keep(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Return those of the rows that got one of the answers. The rows must have the outcomes already."""
        if self.said is not None:
            return rows.filter(self.said.mask(rows))
        return rows.filter(pc.invert(_left_out(rows)))

    def count(self, connection: sqlite3.Connection) -> Counter[Outcome]:
        """Count the rows of a ledger that it chooses, by outcome, without reading the rows."""
        found: Counter[Outcome] = Counter()
        with snapshot(connection):
            for outcome, status, code, rows in _settled(connection):
                if outcome in self.outcomes and self._fits(status, code):
                    found[outcome] += rows
            meta = read_meta(connection)
        for outcome, rows in ((Outcome.INVALID, meta["invalid"]), (Outcome.DUPLICATE, meta["duplicates"])):
            if outcome in self.outcomes and self._fits(0, ""):
                found[outcome] += rows
        return found

    def _fits(self, status: int, code: str) -> bool:
        if self.said is not None:
            return self.said.fits(status, code)
        return status != 0 or code not in LEFT_OUT_BY_FILTER


def _left_out(rows: pa.RecordBatch) -> Any:
    """Return, for rows of an export, an array of booleans that is true where a filter kept the row from being sent."""
    unsent = pc.equal(rows.column("status").fill_null(0), 0)
    return pc.and_(unsent, pc.is_in(rows.column("code").fill_null(""), pa.array(LEFT_OUT_BY_FILTER, pa.string())))


def outcomes_named(text: str, spelling: Spelling = as_fields) -> frozenset[Outcome]:
    """Read ``refused,exhausted``. Raises `UsageProblem` for a word that is no outcome."""
    found = set()
    for word in text.split(","):
        try:
            found.add(Outcome(word.strip().lower()))
        except ValueError:
            known = ", ".join(outcome.value for outcome in Outcome)
            raise UsageProblem(f"{spelling('only')} knows no outcome '{word.strip()}'; there are {known}.") from None
    return frozenset(found)


def answers(connection: sqlite3.Connection, outcomes: frozenset[Outcome]) -> Counter[tuple[int, str]]:
    """Count the rows with these outcomes by the (status, code) of their answer."""
    found: Counter[tuple[int, str]] = Counter()
    with snapshot(connection):
        for outcome, status, code, rows in _settled(connection):
            if outcome in outcomes:
                found[status, code] += rows
    return found


def _settled(connection: sqlite3.Connection) -> Iterator[tuple[Outcome, int, str, int]]:
    """Yield (outcome, status, code, rows). The answer of skipped rows is the one that closed their mailbox."""
    query = (
        "SELECT outcome, status, code, rows FROM (SELECT outcome, detail, sum(rows) AS rows FROM outcome GROUP BY 1, 2) "
        "JOIN detail ON id = detail"
    )
    for outcome, status, code, rows in connection.execute(query):
        yield OUTCOMES[outcome], status, code, rows
    closed = Counter[int]()
    for first, end, detail, _ in skipped_ranges(connection):
        closed[detail] += end - first
    for detail, rows in closed.items():
        status, code = connection.execute("SELECT status, code FROM detail WHERE id = ?", (detail,)).fetchone()
        yield Outcome.SKIPPED, status, code, rows
