"""Learn what an input holds in one pass. Memory grows with the number of mailboxes, not with the rows."""

from __future__ import annotations

import tempfile
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from heapq import nlargest
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from purgeengine.core.graph.identifiers import mailbox_key, odd_place
from purgeengine.core.graph.text import escaped_around, printable
from purgeengine.edges.ledger.staging.duplicates import Duplicate, Duplicates
from purgeengine.edges.ledger.staging.names import Names
from purgeengine.edges.ledger.staging.prior_doubts import PriorDoubts
from purgeengine.edges.ledger.staging.takeover import Takeover
from purgeengine.edges.ledger.store.storage import translated
from purgeengine.errors import InputError

EXAMPLES_MAX = 3
"""Examples kept for each reason for which rows are invalid."""
REASONS_MAX = 100
"""Reasons counted one by one. The rest are counted together, so that odd input cannot fill the memory."""
OTHER_REASONS = "other reasons"
LARGEST_MAX = 100
"""Mailboxes named in a survey."""
UNCOUNTED_MAX = 262_144
"""Rows whose mailboxes are counted at once."""
SPELLINGS_MAX = 131_072
"""Spellings of mailboxes kept for quick look-up: 15 MB."""

_ROLES = ("user", "folder", "contact")

Progress = Callable[[int], None]
"""Called from time to time with the number of rows read so far."""

Reading = Callable[[], Mapping[str, Any]]
"""Called once an input has been read.

Returns which columns were used and what was ignored (see `purgeengine.edges.source.looks`).
"""


class Input(Protocol):
    """What staging needs of an input; `purgeengine.edges.source.Source` is one."""

    @property
    def files(self) -> Sequence[Path]: ...  # noqa: D102
    @property
    def extra_columns(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def earlier(self) -> Takeover | None: ...  # noqa: D102
    def digest(self) -> str: ...  # noqa: D102
    def batches(self) -> Iterator[pa.RecordBatch]: ...  # noqa: D102


class InvalidExample(NamedTuple):
    """A row that cannot be sent: its number in the input, its line in ``file``, the reason, and the cell that is wrong.

    ``value`` is cut to one short line. It is empty if no single cell is to blame.
    """

    row: int
    line: int
    file: str
    reason: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class Survey:
    """Figures of an input. ``valid_rows`` includes the ``duplicates``; the difference is the number of rows to send."""

    rows: int
    valid_rows: int
    duplicates: int
    mailboxes: int
    rows_by_mailbox: Sequence[int]
    """For each mailbox, its number of rows to send, in the order in which the mailboxes first appear."""
    users: Sequence[str]
    """The names of the mailboxes as first spelt, in the same order as ``rows_by_mailbox``."""
    largest_mailboxes: tuple[tuple[str, int], ...]
    """The largest mailboxes with their number of rows to send, largest first."""
    invalid_by_reason: Mapping[str, int]
    invalid_examples: tuple[InvalidExample, ...]

    @property
    def invalid_rows(self) -> int:
        """Rows that cannot be sent."""
        return self.rows - self.valid_rows


class Mailboxes:
    """Numbers mailboxes as they appear, and counts their rows. Names of one user, as ``names`` tells, are one mailbox."""

    def __init__(self, names: Names | None = None) -> None:
        self._names = names or {}
        self.users: list[str] = []
        self._rows = array("q")
        self._numbers: dict[str, int] = {}
        self._spellings: dict[str, int] = {}
        """Mailbox numbers by spelling, as far as there is room: they are looked up without a call for each row."""
        self._uncounted: list[Any] = []
        self._uncounted_rows = 0

    def __len__(self) -> int:
        return len(self.users)

    @property
    def rows(self) -> array[int]:
        """The number of rows of each mailbox; the index is the mailbox's number.

        This is the array that counts, not a copy. Whoever changes it changes the counts.
        """
        if self._uncounted:
            self._count()
        return self._rows

    def count(self, users: Any) -> Any:
        """Number the mailboxes of these rows (an array of strings) and count the rows. Return each row's mailbox (int32)."""
        numbers = self._numbers_of(users)
        self._uncounted.append(numbers)
        self._uncounted_rows += len(numbers)
        if self._uncounted_rows > UNCOUNTED_MAX:
            self._count()
        return numbers

    def _count(self) -> None:
        """Count many rows at once: they have few mailboxes."""
        found: Any = pc.value_counts(pa.chunked_array(self._uncounted, pa.int32()))
        for number, rows in zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True):
            self._rows[number] += rows
        self._uncounted, self._uncounted_rows = [], 0

    def _numbers_of(self, users: Any) -> Any:
        """Return each row's mailbox. Neighbouring rows often have the same user, so each spelling is looked up once."""
        encoded = users.dictionary_encode()
        spelt: list[str] = encoded.dictionary.to_pylist()
        numbers = list(map(self._spellings.get, spelt))
        if None in numbers:
            if len(self._spellings) > SPELLINGS_MAX:
                self._spellings.clear()
            for place, number in enumerate(numbers):
                if number is None:
                    numbers[place] = self._spellings[spelt[place]] = self._number(spelt[place])
        return pa.array(numbers, pa.int32()).take(encoded.indices)

    def _number(self, user: str) -> int:
        key = mailbox_key(user)
        user_behind = self._names.get(key)
        if user_behind is not None:
            key = mailbox_key(user_behind.object_id)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[user if key == user else key] = len(self.users)
            self.users.append(user)
            self._rows.append(0)
        return number


class Surveyor:
    """Gathers the figures of an input. Call `see` with every batch in order, consume `duplicates`, then call `survey`."""

    def __init__(self, files: Sequence[Path], scratch: Callable[[], Path], names: Names | None = None) -> None:
        self.mailboxes = Mailboxes(names)
        self.rows = 0
        self.valid_rows = 0
        self.duplicate_rows = 0
        self._files = files
        self._reasons: Counter[str] = Counter()
        self._examples: dict[str, list[InvalidExample]] = {}
        self.doubts = PriorDoubts()
        """Which rows to send an earlier ledger left in doubt. Complete once `duplicates` has been consumed."""
        self._duplicates = Duplicates(scratch)

    def see(self, batch: pa.RecordBatch) -> Any:
        """Take the rows of a batch. Return the mailboxes of the valid ones (int32)."""
        self.rows += batch.num_rows
        reason = batch.column("reason")
        if reason.null_count < batch.num_rows:
            self._see_invalid(batch)
            batch = batch.filter(pc.is_null(reason))
        self.valid_rows += batch.num_rows
        numbers = self.mailboxes.count(batch.column("user"))
        self._duplicates.add(batch.column("row"), numbers, batch.column("contact"))
        self.doubts.see(batch, numbers)
        return numbers

    def duplicates(self) -> Iterator[Duplicate]:
        """Yield every duplicate row. Once all are consumed, the counts are those of the rows to send."""
        for duplicate in self._duplicates.found():
            self.duplicate_rows += 1
            self.mailboxes.rows[duplicate.mailbox] -= 1
            self.doubts.repeated(*duplicate)
            yield duplicate

    def survey(self) -> Survey:
        """Return the figures."""
        mailboxes = self.mailboxes
        largest = nlargest(LARGEST_MAX, range(len(mailboxes)), key=lambda n: (mailboxes.rows[n], -n))
        return Survey(
            rows=self.rows,
            valid_rows=self.valid_rows,
            duplicates=self.duplicate_rows,
            mailboxes=len(mailboxes),
            rows_by_mailbox=mailboxes.rows,
            users=mailboxes.users,
            largest_mailboxes=tuple((mailboxes.users[number], mailboxes.rows[number]) for number in largest),
            invalid_by_reason=dict(self._reasons),
            invalid_examples=tuple(example for found in self._examples.values() for example in found),
        )

    def _see_invalid(self, batch: pa.RecordBatch) -> None:
        names = ["row", "line", "source", "reason", *_ROLES]
        wrong = batch.select(names).filter(pc.is_valid(batch.column("reason")))
        for row, line, source, reason, *cells in zip(*(column.to_pylist() for column in wrong.columns), strict=True):
            value = _value_meant(reason, cells)
            if reason not in self._reasons and len(self._reasons) >= REASONS_MAX:
                reason = OTHER_REASONS
            self._reasons[reason] += 1
            examples = self._examples.setdefault(reason, [])
            if len(examples) < EXAMPLES_MAX:
                examples.append(InvalidExample(row, line, str(self._files[source]), reason, value))


def _value_meant(reason: str, cells: Sequence[str | None]) -> str:
    """Return the cell that a reason is about, made safe to print. A long one is cut around its first odd character."""
    meant = ((role, cell) for role, cell in zip(_ROLES, cells, strict=True) if cell and f"the {role} " in reason)
    role, cell = next(meant, ("", ""))
    return escaped_around(cell, odd_place(cell, is_user=role == "user") or 0)


def no_usable_row(survey: Survey) -> InputError:
    """Return the error for an input of which no row can be sent. It quotes the first row as an example."""
    invalid = f"{survey.invalid_rows:,} invalid"
    first = min(survey.invalid_examples, key=lambda example: example.row, default=None)
    example = ""
    if first is not None:
        value = f" ('{first.value}')" if first.value else ""
        example = f" Line {first.line:,} of {printable(Path(first.file).name)}: {first.reason}{value}."
    return InputError(
        f"No row of the list can be sent ({invalid}). Nothing was sent.{example} Correct the list; plan shows every reason."
    )


def survey_input(source: Input, on_progress: Progress | None = None) -> Survey:
    """Read the whole input and return its figures.

    Raises `InputError` if the input cannot be read, and `LedgerError` if there is no scratch space.
    """
    with translated("The input cannot be surveyed"), ExitStack() as stack:
        surveyor = Surveyor(
            source.files,
            lambda: Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="purgeengine-"))),
        )
        for batch in source.batches():
            surveyor.see(batch)
            if on_progress is not None:
                on_progress(surveyor.rows)
        exhaust(surveyor.duplicates())
        return surveyor.survey()


def users_of(source: Input) -> list[str]:
    """Return the mailboxes of an input, each by the name under which it first appears.

    Raises `InputError` if it cannot be read.
    """
    mailboxes = Mailboxes()
    for batch in source.batches():
        mailboxes.count(batch.filter(pc.is_null(batch.column("reason"))).column("user"))
    return mailboxes.users


def exhaust(items: Iterable[object]) -> None:
    """Consume an iterable to its end."""
    for _ in items:
        pass
