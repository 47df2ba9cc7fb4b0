"""Parts that the objects of several commands have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from purgeengine.json_output.envelope import Output

ActionName = Literal["permanentDelete", "delete"]


class Outcomes(msgspec.Struct, frozen=True, kw_only=True):
    """Rows by outcome. Every outcome is present, also with 0 rows."""

    purged: int
    """Graph confirmed the deletion, or the contact was gone after an attempt of ours whose answer was lost."""
    absent: int
    """Nothing was found under the id, and no earlier attempt can have deleted it."""
    refused: int
    """Graph said no for good."""
    exhausted: int
    """Still failing after every attempt."""
    invalid: int
    """Never sent: the row itself is wrong."""
    duplicate: int
    """Never sent: an earlier row names the same contact of the same mailbox."""
    skipped: int
    """Never sent: the mailbox was closed, or a filter left it out."""

    @classmethod
    def of(cls, counts: Mapping[Any, int]) -> Outcomes:
        """Make it from counts by outcome. An outcome that is missing has 0 rows."""
        by_name = {str(outcome): rows for outcome, rows in counts.items()}
        return cls(**{name: by_name.get(name, 0) for name in cls.__struct_fields__})


class AdvisedStep(msgspec.Struct, frozen=True, kw_only=True):
    """What to do next."""

    message: str
    """What to do, in a sentence."""
    commands: list[str]
    """The commands for it, to copy. Words in capitals are to be filled in."""


def advised_steps(advice: Iterable[tuple[str, Sequence[str]]]) -> list[AdvisedStep]:
    """Return the steps for this advice: sentences, each with its commands."""
    return [AdvisedStep(message=sentence, commands=list(commands)) for sentence, commands in advice]


class SoughtMailbox(msgspec.Struct, frozen=True, kw_only=True):
    """A mailbox in which hardly any contact was found."""

    user: str
    """The mailbox, as the list names it."""
    found: int
    """Contacts that Graph found."""
    not_found: int
    """Contacts that Graph did not find."""


class NothingFound(msgspec.Struct, frozen=True, kw_only=True):
    """A warning that Graph found no contact, or hardly any."""

    overall: bool
    """True if no contact of the whole list was found, or if at most a tenth was found and at least ten were not."""
    found: int
    """Contacts that Graph found (purged, or in the Purges folder already), over all rows."""
    not_found: int
    """Contacts that Graph did not find, over all rows."""
    mailboxes: list[SoughtMailbox]
    """The mailboxes with the most contacts not found, worst first."""
    mailboxes_in_all: int
    """The number of all such mailboxes."""
    message: str
    """The facts, possible causes and what to do, in sentences."""

    @classmethod
    def of(cls, warning: Mapping[str, Any] | None) -> NothingFound | None:
        """Make it from the plain values of a warning. None if there is none."""
        return None if warning is None else msgspec.convert(warning, cls)


class TakenColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column of the input that was taken for a role."""

    column: str
    """Its name in the file, or the option that gave the value."""
    first: str | None
    """Its first value. Null if there is no row."""


class ColumnChoice(msgspec.Struct, frozen=True, kw_only=True):
    """Files of the input that have the same columns."""

    files: list[str]
    """The first names of these files."""
    files_in_all: int
    """The number of these files."""
    user: TakenColumn | None
    """The column of the users. Null if there is none."""
    folder: TakenColumn | None
    """The column of the contact folders. Null if there is none."""
    contact: TakenColumn | None
    """The column of the contact ids. Null if there is none."""


class ShownLeftAlone(msgspec.Struct, frozen=True, kw_only=True):
    """Entries of an input folder that were not read."""

    folder: str
    """The folder."""
    names: list[str]
    """The first names of these entries."""
    entries: int
    """The number of these entries."""
    hidden: int
    """Hidden files beside them."""


class ReadingNote(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was mended or passed over while the input was read."""

    kind: str
    """What was done, such as ``title_lines``, ``empty_rows`` or ``cleaned``."""
    times: int
    """How often."""
    file: str
    """The file of the first place."""
    line: int
    """The line of the first place, from 1."""
    example: str
    """The text at the first place. May be empty."""


class UnlikelyIds(msgspec.Struct, frozen=True, kw_only=True):
    """Ids of the input that cannot be contact ids."""

    kind: str
    """What they are instead, such as ``guid``, ``number`` or ``short``."""
    rows: int
    """The rows with such an id."""
    of: int
    """All rows that can be sent."""
    file: str
    """The file of the first such row."""
    line: int
    """The line of the first such row, from 1."""
    example: str
    """The first such id."""


class InputOutput(Output, frozen=True, kw_only=True):
    """Adds what was read of the input. The four keys are null if there is none, or if a ledger of an earlier version is told."""

    columns: list[ColumnChoice] | None
    """The columns that were taken, for each choice of columns that files have."""
    left_alone: list[ShownLeftAlone] | None
    """Entries of input folders that were not read."""
    notes: list[ReadingNote] | None
    """What was mended or passed over."""
    unlikely: list[UnlikelyIds] | None
    """Ids that cannot be contact ids."""


class ShownFailure(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that were refused, exhausted or skipped with the same answer, or that are invalid for the same reason."""

    status: int | None
    """The HTTP status of the answer. Null if none came, or if the row was never sent."""
    code: str
    """Graph's code. Empty if there is none."""
    message: str
    """Graph's message, or what is wrong with the row. May be empty."""
    rows: int
    """These rows."""


class ShownWorstMailbox(msgspec.Struct, frozen=True, kw_only=True):
    """A mailbox with failed or skipped rows."""

    user: str
    """The mailbox, as the list names it."""
    refused: int
    """Its refused rows."""
    exhausted: int
    """Its exhausted rows."""
    skipped: int
    """Its rows that were never sent because it was closed."""
    reason: str
    """Why it was closed, or the most frequent answer to its failed rows. Empty if no answer came."""
    rows: int | None = None
    """All its rows. Null if it is told of a report, or of several ledgers."""
    waits: int | None = None
    """How often the whole mailbox had to wait. Null as for ``rows``."""


class ShownMailbox(msgspec.Struct, frozen=True, kw_only=True):
    """A mailbox and its number of rows."""

    user: str
    """The mailbox, as the list names it."""
    rows: int
    """Its rows."""
