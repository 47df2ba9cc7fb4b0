"""What a run would do with an input, or with what a ledger still has to do. Nothing is sent or written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from purgeengine.core.model import Outcome
from purgeengine.core.policy.filters import UserFilter
from purgeengine.words import counted

if TYPE_CHECKING:
    from purgeengine.edges.ledger import InvalidExample, Preview
    from purgeengine.edges.ledger.staging.survey import Input
    from purgeengine.edges.source import Source
    from purgeengine.errors import InputError


@dataclass(frozen=True, slots=True)
class PurgePreview:
    """All rows of the input: those to purge, those left out now, and those with an outcome add up to them."""

    source: str
    """What was looked at, in a few words."""
    rows: int
    mailboxes: int
    outcomes: Mapping[Outcome, int]
    """Rows that have their outcome: wrong and repeated ones from the start, and what earlier runs of the ledger left."""
    preview: Preview
    in_doubt: int = 0
    """Rows to purge that were sent before, answer unknown."""
    invalid_by_reason: Mapping[str, int] = field(default_factory=dict)
    invalid_examples: Sequence[InvalidExample] = ()
    reading: Mapping[str, Any] | None = None
    """What was taken from the input and left alone there; None where a ledger of an earlier version does not tell."""
    unusable: InputError | None = None
    """Why a run would be refused, where not one row can be sent."""


def preview_of_input(
    source: Input | Source, user_filter: UserFilter, on_progress: Callable[[int], None] | None = None
) -> PurgePreview:
    """Read the whole input. Raises `InputError` when it cannot be used at all."""
    from purgeengine.core.graph.identifiers import mailbox_key
    from purgeengine.edges.ledger import Preview, survey_input
    from purgeengine.edges.ledger.staging.survey import no_usable_row
    from purgeengine.edges.source import Source

    survey = survey_input(source, on_progress)
    preview = Preview()
    for user, rows in zip(survey.users, survey.rows_by_mailbox, strict=True):
        preview.add(user, [mailbox_key(user)], rows, user_filter)
    preview.finish()
    return PurgePreview(
        counted(len(source.files), "file"),
        survey.rows,
        survey.mailboxes,
        {Outcome.INVALID: survey.invalid_rows, Outcome.DUPLICATE: survey.duplicates},
        preview,
        invalid_by_reason=survey.invalid_by_reason,
        invalid_examples=survey.invalid_examples,
        reading=source.reading() if isinstance(source, Source) else None,
        unusable=no_usable_row(survey) if survey.rows and not survey.valid_rows and source.earlier is None else None,
    )


def preview_of_ledger(folder: Path, source: Input | None, user_filter: UserFilter) -> PurgePreview:
    """Look into the ledger. Raises `LedgerMismatch` when it belongs to another input than this."""
    from purgeengine.edges.ledger import LedgerReader
    from purgeengine.edges.ledger.staging.folder import refuse_other_input

    with LedgerReader.open(folder) as reader:
        if source is not None:
            refuse_other_input(folder, reader.about, source, source.digest())
        counts, preview = reader.counts(), reader.preview(user_filter)
        mailboxes, reading = reader.mailbox_count(), reader.about.get("reading")
    return PurgePreview(
        f"Ledger {folder}", counts.rows, mailboxes, counts.outcomes, preview, counts.in_doubt, reading=reading
    )
