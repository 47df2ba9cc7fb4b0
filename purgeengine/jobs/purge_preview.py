"""What a run would do with an input, or with what a ledger still has to do. Nothing is sent or written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from purgeengine.core.graph.operations import PERMANENT, Operation
from purgeengine.core.model import Outcome
from purgeengine.core.policy.filters import UserFilter
from purgeengine.core.policy.input_words import warnings_of
from purgeengine.errors import UsageProblem
from purgeengine.jobs.graph_endpoint import refuse_missing_action
from purgeengine.jobs.guard_rails import left_out_lines, refusal
from purgeengine.jobs.request_input import Opener, opened_for, opening, refuse_reading_in_part
from purgeengine.words import counted

if TYPE_CHECKING:
    from purgeengine.edges.ledger import InvalidExample, Ledger, LedgerReader, Preview
    from purgeengine.edges.ledger.staging.survey import Input
    from purgeengine.edges.source import Source
    from purgeengine.errors import InputError
    from purgeengine.jobs.purge_request import PurgeRequest


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
    deletion: Operation = PERMANENT
    """What would be done to each contact."""
    tenant_id: str = ""
    """Whose contacts they are, where somebody has signed in; else empty."""
    refused: str | None = None
    """Why a run would be refused by what the request allows, as a sentence; None where it may go on, or was not asked."""
    warnings: Sequence[str] = ()
    """What makes one doubt that this is what was meant, a sentence each."""

    @property
    def to_purge(self) -> int:
        """Rows that would be sent."""
        return self.preview.rows

    @property
    def mailboxes_to_purge(self) -> int:
        """Mailboxes from which something would be purged."""
        return self.preview.mailboxes

    @property
    def largest_mailboxes(self) -> Sequence[tuple[str, int]]:
        """The mailboxes with most rows to purge, and how many those are, largest first."""
        return self.preview.largest_mailboxes


def plan(
    request: PurgeRequest, on_reading: Callable[[int], None] | None = None, open_input: Opener | None = None
) -> PurgePreview:
    """What a run of this request would do, on the ledger where there is one, else on the input. No token is needed.

    ``open_input`` opens another input than the request's own. Raises what the run would raise before it signs in. Why it would be
    refused after that is in `PurgePreview.refused`.
    """
    refuse_missing_action(request.deletion().action, request.endpoint(), request.spelling)
    return preview_of(request, on_reading, open_input)


def preview_of(
    request: PurgeRequest, on_reading: Callable[[int], None] | None = None, open_input: Opener | None = None
) -> PurgePreview:
    """As `plan`, and the way to Graph is not looked at."""
    if open_input is not None:
        return _planned(request, opened_for(request, open_input), on_reading)
    with opening(request) as opener:
        return _planned(request, opened_for(request, opener), on_reading)


def _planned(
    request: PurgeRequest, source: Input | Source | None, on_reading: Callable[[int], None] | None
) -> PurgePreview:
    from purgeengine.edges.ledger.staging.folder import FolderState, state_of
    from purgeengine.edges.source import Source

    folder, user_filter = request.folder, request.user_filter()
    is_staged = folder is not None and state_of(folder) is FolderState.STAGED
    if folder is not None and is_staged:
        found = preview_of_ledger(folder, source, user_filter)
    else:
        assert source is not None, "only a ledger that is there is resumed without an input"
        refuse_reading_in_part(source if isinstance(source, Source) else None, request)
        found = replace(preview_of_input(source, user_filter, on_reading), deletion=request.deletion())
    unusable = None if found.unusable is None else str(found.unusable)
    warnings = [*warnings_of(found.reading), *left_out_lines(found.preview, request, user_filter)]
    if request.resolve_users and not is_staged:
        warnings.append(
            f"A dry run asks Graph nothing: names are not looked up ({request.spelling('resolve_users')}), so that a mailbox with "
            "two of them counts twice here, and a list finds it by the name in the input only."
        )
    return replace(found, refused=unusable or refusal(found.preview, request, user_filter), warnings=tuple(warnings))


def refuse_planned(found: PurgePreview) -> None:
    """Raise `UsageProblem` where the run would be refused."""
    if found.refused is not None:
        raise found.unusable or UsageProblem(found.refused)


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
        return _of_a_ledger(reader, reader.about.get("reading"), user_filter)


def preview_of_open_ledger(ledger: Ledger, user_filter: UserFilter, tenant_id: str) -> PurgePreview:
    """The same for a ledger that is in use, of a tenant that is known."""
    return replace(_of_a_ledger(ledger, ledger.reading, user_filter), tenant_id=tenant_id)


def _of_a_ledger(
    ledger: LedgerReader | Ledger, reading: Mapping[str, Any] | None, user_filter: UserFilter
) -> PurgePreview:
    counts, preview = ledger.counts(), ledger.preview(user_filter)
    return PurgePreview(
        f"Ledger {ledger.folder}",
        counts.rows,
        ledger.mailbox_count(),
        counts.outcomes,
        preview,
        counts.in_doubt,
        reading=reading,
        deletion=ledger.deletion,
    )
