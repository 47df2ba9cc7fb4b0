"""Several ledgers of one purge: the first, and those that ran rows of it again, as a retry or from an export.

Every row of a later ledger says which row of the first one it is (``origin_row``). That is accepted only if the row
of the first ledger asks for the same contact. Two bytes for each row of the first ledger are kept in memory, and four
more while the ledgers are compared.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self
from zlib import crc32

import pyarrow as pa
import pyarrow.compute

from purgeengine.core.graph.identifiers import mailbox_key
from purgeengine.core.graph.text import printable
from purgeengine.core.model import Outcome
from purgeengine.core.policy.outcomes import ORIGIN_COLUMN, ChainState, folded
from purgeengine.edges.ledger.reader import LedgerReader
from purgeengine.edges.ledger.store.schema import OUTCOME_CODES, OUTCOMES
from purgeengine.edges.ledger.views.counts import Counts
from purgeengine.errors import LedgerMismatch, UsageProblem

pc: Any = pyarrow.compute
LEDGERS_MAX = 200
"""Ledgers of one chain. Their number is stored in a byte, and nobody retries so often."""

_WAITING, _IN_DOUBT = 0, 8
_DOUBTFUL = 16
"""Added to the code of an outcome whose row is in doubt."""
_INVALID = OUTCOME_CODES[Outcome.INVALID]
_NAMES = pa.array([OUTCOMES[code].value for code in range(1, len(OUTCOMES) + 1)], pa.string())
_STATES = {
    _WAITING: ChainState(None),
    _IN_DOUBT: ChainState(None, True),
    **{code: ChainState(outcome) for code, outcome in OUTCOMES.items()},
    **{code + _DOUBTFUL: ChainState(outcome, True) for code, outcome in OUTCOMES.items()},
}
_CODES = {state: code for code, state in _STATES.items()}

Progress = Callable[[int], None]


class Share(NamedTuple):
    """One ledger of a chain: its number of rows, and, by outcome, the rows whose final state it decides."""

    folder: Path
    rows: int
    holds: Counter[Outcome]


@dataclass(frozen=True, slots=True)
class Final:
    """What finally became of every row of the first ledger, by row number. ``holders`` tells which ledger decides each row."""

    states: bytearray
    holders: bytearray
    shares: tuple[Share, ...]

    def of(self, row: int) -> ChainState:
        """Return the state of a row."""
        return _STATES[self.states[row]]

    def counts(self) -> Counts:
        """Count the rows by outcome and state. They add up to the rows of the first ledger."""
        found = Counter(self.states)
        outcomes = {outcome: found[code] + found[code + _DOUBTFUL] for outcome, code in OUTCOME_CODES.items()}
        return Counts(len(self.states), outcomes, found[_WAITING], found[_IN_DOUBT])

    def left_in_doubt(self) -> int:
        """Count the rows with an outcome whose contacts may be gone all the same."""
        return sum(rows for code, rows in Counter(self.states).items() if code > _DOUBTFUL)


class Chain:
    """Ledgers in the order in which they ran. Close it, or use it as a context manager."""

    def __init__(self, ledgers: Sequence[LedgerReader], closing: ExitStack) -> None:
        """Keep open ledgers that are in order. Only `open` calls this."""
        self.ledgers = tuple(ledgers)
        self._closing = closing

    @classmethod
    def open(cls, folders: Sequence[Path]) -> Self:
        """Open the ledgers in these folders, named in any order.

        Raises `UsageProblem` if a folder is named twice, `LedgerError` as `LedgerReader.open` does, and
        `LedgerMismatch` if the ledgers do not all begin with one first ledger.
        """
        twice = [folder for folder, count in Counter(path.resolve() for path in folders).items() if count > 1]
        if twice:
            raise UsageProblem(f"{twice[0]} is named twice. Name each ledger once.")
        if len(folders) > LEDGERS_MAX:
            raise UsageProblem(f"{len(folders)} ledgers are more than the {LEDGERS_MAX} that a chain may have.")
        with ExitStack() as stack:
            ledgers = [stack.enter_context(LedgerReader.open(folder)) for folder in folders]
            return cls(_in_order(ledgers), stack.pop_all())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the ledgers. Safe to call twice."""
        self._closing.close()

    @property
    def running(self) -> bool | None:
        """True if a run goes on over one of the ledgers, False if none does. None if that cannot be known of all of them."""
        running = [ledger.running for ledger in self.ledgers]
        return True if True in running else None if None in running else False

    @property
    def unnamed(self) -> list[Path]:
        """Folders of ledgers that ran rows of a ledger which is not in the chain. What that one did is not known here."""
        known = {ledger.identity for ledger in self.ledgers}
        return [ledger.folder for ledger in self.ledgers[1:] if ledger.about.get("parent", "") not in (*known, "")]

    def final(self, on_progress: Progress | None = None) -> Final:
        """Read all rows of all ledgers. ``on_progress`` is called with the number of rows of the first one read so far.

        Raises `LedgerMismatch` if a row did not come from the row that it names.
        """
        first, *others = self.ledgers
        states = bytearray()
        for batch in first.rows(on_progress=on_progress, columns=("outcome", "in_doubt")):
            states += _coded(batch)
        holders = bytearray(len(states))
        origins = _Origins(first, states)
        for number, ledger in enumerate(others, start=1):
            for origin, state in origins.claimed(ledger):
                verdict = folded(_STATES[states[origin]], state)
                states[origin] = _CODES[verdict.state]
                if verdict.later_holds:
                    holders[origin] = number
        origins.check()
        return Final(states, holders, self._shares(states, holders))

    def _shares(self, states: bytearray, holders: bytearray) -> tuple[Share, ...]:
        holds: list[Counter[Outcome]] = [Counter() for _ in self.ledgers]
        for (code, holder), rows in Counter(zip(states, holders, strict=True)).items():
            if (outcome := _STATES[code].outcome) is not None:
                holds[holder][outcome] += rows
        return tuple(
            Share(ledger.folder, ledger.about["rows"], held) for ledger, held in zip(self.ledgers, holds, strict=True)
        )


class _Origins:
    """Notes which contact each row of the first ledger is said to be, and compares that with the first ledger in one more pass."""

    def __init__(self, first: LedgerReader, states: bytearray) -> None:
        self._first = first
        self._states = states
        self._mended: set[int] = set()  # rows invalid in the first ledger: a later one may ask for another contact
        # for each row, a mark of the contact that a later ledger says it asks for; 0 if none does
        self._marks = array("I")
        self._claims: list[LedgerReader] = []

    def claimed(self, ledger: LedgerReader) -> Iterator[tuple[int, ChainState]]:
        """Yield, for every row of a later ledger, the row of the first ledger that it says it is, and its state.

        Invalid rows are left out: they were never sent, and ``origin_row`` may be what is wrong with them.
        """
        if not self._marks:
            self._marks = array("I", bytes(4 * len(self._states)))
        self._claims.append(ledger)
        marks = self._marks
        columns = ("row", "user", "contact", "outcome", "in_doubt", ORIGIN_COLUMN)
        for batch in ledger.rows(columns=columns):
            cells = [batch.column(name).to_pylist() for name in columns[:3]]
            origins = batch.column(ORIGIN_COLUMN).to_pylist()
            for row, user, contact, code, said in zip(*cells, _coded(batch), origins, strict=True):
                if code == _INVALID:
                    continue
                origin = _number(said, len(marks))
                mark = _mark(user, contact)
                if origin is None or marks[origin] not in (0, mark):
                    raise self._stranger(ledger, row, said)
                if not marks[origin] and self._states[origin] == _INVALID:
                    self._mended.add(origin)
                marks[origin] = mark
                yield origin, _STATES[code]

    def check(self) -> None:
        """Compare each row of the first ledger that a later one claims to continue with what the later one says of it.

        Raises `LedgerMismatch`, which names the later ledger, if user or contact differ. A row that was invalid in
        the first ledger may have been corrected, and is not compared.
        """
        marks = self._marks
        if not marks:
            return
        for batch in self._first.rows(columns=("row", "user", "contact")):
            cells: list[Any] = [column.to_pylist() for column in batch.columns]
            for row, user, contact in zip(*cells, strict=True):
                if marks[row] and marks[row] != _mark(user, contact) and row not in self._mended:
                    ledger, number = self._claimant(row)
                    raise self._stranger(ledger, number, str(row))

    def _claimant(self, origin: int) -> tuple[LedgerReader, int]:
        for ledger in self._claims:
            for batch in ledger.rows(columns=("row", ORIGIN_COLUMN)):
                for row, said in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    if said == str(origin):
                        return ledger, row
        raise AssertionError(f"nobody has spoken of row {origin}")

    def _stranger(self, ledger: LedgerReader, row: int, said: str | None) -> LedgerMismatch:
        if not said:
            why = "does not say from which row of an earlier ledger it comes"
        else:
            why = f"says it comes from row {printable(said, 40)} of {self._first.folder}, which is no such row"
        return LedgerMismatch(
            f"These ledgers do not belong together: row {row} of {ledger.folder} {why}. Name the ledgers of one purge and of its "
            "retries, and no others."
        )


def _in_order(ledgers: Sequence[LedgerReader]) -> list[LedgerReader]:
    """Return the ledgers in the order in which they ran: the first, then each after the one whose rows it ran again.

    Raises `LedgerMismatch` if they do not all begin with one first ledger.
    """
    if len(ledgers) == 1:
        return list(ledgers)
    firsts = [ledger for ledger in ledgers if ORIGIN_COLUMN not in ledger.about["extra_columns"]]
    if len(firsts) != 1:
        which = (
            f"{firsts[0].folder} and {firsts[1].folder} were both made from lists of their own"
            if firsts
            else "all of them were made from an earlier one, which is to be named too"
        )
        raise LedgerMismatch(f"These ledgers do not belong together: {which}.")
    first = firsts[0]
    others = [ledger for ledger in ledgers if ledger is not first]
    for ledger in others:
        if ledger.about.get("root", first.identity) != first.identity:
            raise LedgerMismatch(
                f"These ledgers do not belong together: the one in {ledger.folder} began with another than that in {first.folder}."
            )
    return [first, *_by_descent(others)]


def _by_descent(ledgers: list[LedgerReader]) -> Iterator[LedgerReader]:
    left = sorted(ledgers, key=lambda ledger: ledger.first_sent_ms)
    while left:
        open_parents = {ledger.identity for ledger in left}
        following = next((ledger for ledger in left if ledger.about.get("parent") not in open_parents), left[0])
        left.remove(following)
        yield following


def _coded(batch: pa.RecordBatch) -> bytes:
    """Return the states of rows, one byte for each."""
    outcome, in_doubt = batch.column("outcome"), batch.column("in_doubt")
    none = pc.if_else(in_doubt, pa.scalar(_IN_DOUBT, pa.uint8()), pa.scalar(_WAITING, pa.uint8()))
    doubt = pc.if_else(in_doubt, pa.scalar(_DOUBTFUL, pa.uint8()), pa.scalar(0, pa.uint8()))
    code = pc.add(pc.add(pc.index_in(outcome, _NAMES).cast(pa.uint8()), pa.scalar(1, pa.uint8())), doubt)
    codes = pc.coalesce(code, none)
    return bytes(memoryview(codes.buffers()[1])[codes.offset : codes.offset + len(codes)])


def _number(said: str | None, rows: int) -> int | None:
    """Read a row number as a spreadsheet may have left it. None if the first ledger has no such row."""
    text = (said or "").strip()
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        return None
    return int(text) if int(text) < rows else None


def _mark(user: str, contact: str) -> int:
    """Return a number that is never 0 and that differs for different contacts but for a chance of 1 in 2 billion."""
    return crc32(f"{mailbox_key(user)}\n{contact}".encode()) | 1
