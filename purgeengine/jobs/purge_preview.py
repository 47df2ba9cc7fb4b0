"""Works out what a run would do with an input, or with the rows that a ledger has left. It sends nothing and writes no ledger."""

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
from purgeengine.jobs.guard_rails import left_out_lines, refusal, refuse_shards_out
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
    """What a purge would do, as `plan` returns it and ``confirm`` receives it."""

    source: str
    """What was looked at, in a few words: the number of files, or the ledger."""
    rows: int
    """All rows of the input: those to purge, those that a filter leaves out, and those that have an outcome."""
    mailboxes: int
    """Mailboxes that the valid rows name."""
    outcomes: Mapping[Outcome, int]
    """Rows that have an outcome already, by outcome: invalid rows, duplicates, and what earlier runs of the ledger settled."""
    preview: Preview
    """Figures by mailbox and filter. ``to_purge``, ``mailboxes_to_purge`` and ``largest_mailboxes`` read from it."""
    in_doubt: int = 0
    """Those of the rows to purge that were sent before and whose answer is unknown."""
    invalid_by_reason: Mapping[str, int] = field(default_factory=dict)
    """Invalid rows by reason. Empty if a ledger was looked at."""
    invalid_examples: Sequence[InvalidExample] = ()
    """Some invalid rows. Empty if a ledger was looked at."""
    reading: Mapping[str, Any] | None = None
    """How the input was read: its columns, and the files that were left alone. None if an old ledger does not say."""
    unusable: InputError | None = None
    """Why a run would be refused, if no row can be sent. Otherwise None."""
    deletion: Operation = PERMANENT
    """The operation on each contact."""
    tenant_id: str = ""
    """The id of the tenant. Empty before signing in, as in `plan`."""
    tenant_name: str = ""
    """The name of the tenant. Empty if the app may not read it, and if nobody asked for it: only the command line does."""
    refused: str | None = None
    """Why the request's limits and filters would refuse the purge, as a sentence. None if they allow it. Only `plan` fills it."""
    warnings: Sequence[str] = ()
    """Sentences about what may not be as intended, such as files that were left alone. Only `plan` fills it."""

    @property
    def to_purge(self) -> int:
        """The number of rows that would be sent."""
        return self.preview.rows

    @property
    def mailboxes_to_purge(self) -> int:
        """The number of mailboxes from which rows would be purged."""
        return self.preview.mailboxes

    @property
    def largest_mailboxes(self) -> Sequence[tuple[str, int]]:
        """The mailboxes with the most rows to purge, largest first, each as ``(user, rows)``."""
        return self.preview.largest_mailboxes


def plan(
    request: PurgeRequest, on_reading: Callable[[int], None] | None = None, open_input: Opener | None = None
) -> PurgePreview:
    """Return what a run of this request would do: with the ledger if it exists, otherwise with the input. It needs no token.

    ``on_reading`` is called now and then with the number of rows read. ``open_input`` opens another input than the request's own.
    Raises what the run would raise before it signs in. `PurgePreview.refused` says why the run would be refused after that.
    """
    if request.retry_of is not None and open_input is None:
        from purgeengine.jobs.opened_retry import opened_retry

        with opened_retry(request) as retry:
            retry.has_work()
            return plan(retry.request, on_reading, retry.rows)
    refuse_missing_action(request.deletion().action, request.endpoint(), request.spelling)
    return preview_of(request, on_reading, open_input)


def preview_of(
    request: PurgeRequest, on_reading: Callable[[int], None] | None = None, open_input: Opener | None = None
) -> PurgePreview:
    """Do what `plan` does, without checking the cloud and the addresses of Graph."""
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
        refuse_shards_out(folder, request.spelling)
        found = preview_of_ledger(folder, source, user_filter)
    else:
        assert source is not None, "only a ledger that is there is resumed without an input"
        refuse_reading_in_part(source if isinstance(source, Source) else None, request)
        found = replace(preview_of_input(source, user_filter, on_reading), deletion=request.deletion())
    unusable = None if found.unusable is None else str(found.unusable)
    warnings = [*warnings_of(found.reading), *left_out_lines(found.preview, request, user_filter)]
    if request.resolve_users and not is_staged:
        warnings.append(
            f"A dry run asks Graph nothing, so it does not look up users ({request.spelling('resolve_users')}). Here a mailbox "
            "with two names counts twice, and the lists of users match only the names in the input."
        )
    return replace(found, refused=unusable or refusal(found.preview, request, user_filter), warnings=tuple(warnings))


def refusal_of(found: PurgePreview) -> UsageProblem | None:
    """Return the error with which the run would be refused. None if it would not be."""
    return None if found.refused is None else found.unusable or UsageProblem(found.refused)


def preview_of_input(
    source: Input | Source, user_filter: UserFilter, on_progress: Callable[[int], None] | None = None
) -> PurgePreview:
    """Read the whole input. Raises `InputError` if it cannot be used at all."""
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
        counted(len(source.files), "file") if source.earlier is None else f"Ledger {source.files[0]}",
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
    """Read the ledger. Raises `LedgerMismatch` if it was made from another input than ``source``."""
    from purgeengine.edges.ledger import LedgerReader
    from purgeengine.edges.ledger.staging.folder import refuse_other_input

    with LedgerReader.open(folder) as reader:
        if source is not None:
            refuse_other_input(folder, reader.about, source, source.digest())
        return _of_a_ledger(reader, reader.about.get("reading"), user_filter)


def preview_of_open_ledger(ledger: Ledger, user_filter: UserFilter, tenant_id: str) -> PurgePreview:
    """Return the preview of a ledger that this process has open, with its tenant."""
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
