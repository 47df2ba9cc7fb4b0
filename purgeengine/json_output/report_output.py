"""The object of ``report``."""

from __future__ import annotations

import msgspec

from purgeengine.json_output.envelope import Output, Utc
from purgeengine.json_output.shared import (
    ActionName,
    AdvisedStep,
    ColumnChoice,
    NothingFound,
    Outcomes,
    ReadingNote,
    ShownFailure,
    ShownLeftAlone,
    ShownWorstMailbox,
    UnlikelyIds,
)


class FailedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row that failed."""

    row: int
    """Its number in the input of the first ledger, from 0."""
    line: int | None
    """Its line in ``file``, from 1. Null if it is not known."""
    file: str
    """The name of its file. Empty if it is not known."""
    user: str
    """The mailbox, as the list names it."""
    contact: str
    """The contact's id."""
    settled_utc: Utc | None
    """When the row was settled. Null if it was never sent."""
    client_request_id: str
    """The id of its last call, with which Graph's own logs can be searched. Empty if it was never sent."""


class FailureGroup(ShownFailure, frozen=True, kw_only=True):
    """The same rows, with examples and what to do."""

    outcomes: Outcomes
    """These rows by outcome."""
    in_doubt: int
    """Those of these rows whose contacts may be gone all the same."""
    by_filter: bool
    """True if a filter left these rows out, so that they did not fail."""
    what_to_do: str
    """What to do about these rows, in sentences."""
    worth_retrying: bool
    """True if a retry of these rows may succeed once the cause is mended."""
    examples: list[FailedRow]
    """The first of these rows."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked: the input of the first ledger, and the kind of deletion."""

    files: list[str]
    """The first files of the input."""
    files_in_all: int
    """The number of these files."""
    sha256: str
    """The SHA-256 of the input, in hexadecimal."""
    rows: int
    """All rows of the input."""
    invalid: int
    """Rows that were invalid when the ledger was made."""
    duplicates: int
    """Rows that repeat an earlier one."""
    mailboxes: int
    """Mailboxes that the valid rows name."""
    tenant_id: str
    """The id of the tenant."""
    action: ActionName
    """What is done to the contacts: ``permanentDelete``, or ``delete``, which moves them to Deleted Items."""
    columns: list[ColumnChoice] | None
    """The columns that were taken, for each choice of columns that files have."""
    left_alone: list[ShownLeftAlone] | None
    """Entries of input folders that were not read."""
    notes: list[ReadingNote] | None
    """What was mended or passed over."""
    unlikely: list[UnlikelyIds] | None
    """Ids that cannot be contact ids."""
    user: str | None
    """The mailbox that ``--user`` named. Null if the list names the mailboxes."""
    clean: bool
    """True if ``--clean`` was given."""
    read: list[str]
    """What was read and mended, in sentences."""
    warnings: list[str]
    """What suggests that this is not the list that was meant, in sentences."""
    other_columns: list[str]
    """The first columns of the input that the export repeats."""


class StartedRun(msgspec.Struct, frozen=True, kw_only=True):
    """One start of a run that had something to do."""

    at_utc: Utc
    """When it started."""
    options: dict[str, str | int | float | bool]
    """Its options, and the version that ran."""


class ShownBucket(msgspec.Struct, frozen=True, kw_only=True):
    """Rows settled in an interval."""

    at_utc: Utc
    """When the interval begins."""
    well: int
    """Rows purged or absent."""
    badly: int
    """Rows refused, exhausted or skipped."""
    calls: int
    """Calls to Graph that were sent in it."""
    lost_calls: int
    """Those of these calls that got no usable answer."""
    requests: int
    """Requests for single rows in these calls."""
    put_off: int
    """Those of these requests that were answered and whose rows were sent again: too fast (429), failed for now, or behind one."""


class ShownTimeline(msgspec.Struct, frozen=True, kw_only=True):
    """Rows settled and calls sent over time. Intervals in which nothing happened are left out."""

    from_utc: Utc | None
    """When the first interval begins. Null if nothing happened."""
    bucket_s: float
    """The length of an interval, in seconds."""
    buckets: list[ShownBucket]
    """The intervals, in order."""


class ShownClosedMailbox(msgspec.Struct, frozen=True, kw_only=True):
    """A mailbox that was given up."""

    user: str
    """The mailbox, as the list names it."""
    skipped: int
    """Its rows that were never sent."""
    reason: str
    """Why it was closed."""


class MailboxTimeline(msgspec.Struct, frozen=True, kw_only=True):
    """The work of a mailbox over time. A list has a number for each interval, from ``from_utc`` of the timeline on."""

    user: str
    """The mailbox, as the list names it."""
    rows: int
    """Its rows."""
    waits: int
    """How often the whole mailbox had to wait."""
    first_sent_utc: Utc | None
    """When its first call was sent. Null if none was."""
    last_settled_utc: Utc | None
    """When a row of it was settled last. Null if none was."""
    closed_utc: Utc | None
    """When it was given up. Null if it was not."""
    well_by_interval: list[int]
    """Rows purged or absent."""
    badly_by_interval: list[int]
    """Rows refused, exhausted or skipped."""
    sent_again_by_interval: list[int]
    """Requests whose rows were sent again."""


class ReportedLedger(msgspec.Struct, frozen=True, kw_only=True):
    """A ledger of the purge."""

    ledger: str
    """The folder of the ledger."""
    identity: str
    """A text that tells this ledger from every other one, except from its copies."""
    rows: int
    """All its rows."""
    decided: Outcomes
    """The rows whose final outcome stands in this ledger, by outcome."""
    outcomes: Outcomes
    """Its own rows by outcome."""
    waiting: int
    """Its rows that are still to be sent, or to be sent again."""
    in_doubt: int
    """Its rows that were sent and whose answer is unknown."""
    first_sent_utc: Utc | None
    """When the first call was sent. Null if none was."""
    last_settled_utc: Utc | None
    """When a row was settled last. Null if none was."""
    duration_s: float | None
    """Seconds between these two times, those in which no run was at work included. Null if one of them is null."""
    at_work_s: float
    """Seconds in which runs were at work: each from its first call to the end of its last, waits between them included."""
    runs: list[StartedRun]
    """The last starts of runs over this ledger."""
    runs_in_all: int
    """The number of all starts."""
    app_limit_per_s: float | None
    """Requests per second that Graph takes from the whole app, as found last. Null if no such limit is known."""
    calls: int
    """Calls to Graph. One call carries one batch of 1 to 20 requests."""
    lost_calls: int
    """Calls that got no usable answer."""
    unanswered_calls: int
    """Calls without an end: their answer is awaited, or the process died or stopped before it came."""
    refused_calls: int
    """Calls that Graph refused as a whole, with a status of 400 or more."""
    refused_calls_by_status: dict[str, int]
    """These calls by HTTP status."""
    slowest_call_s: float | None
    """The longest time to an answer, in seconds. Null if there was none."""
    requests: int
    """Requests for single rows in these calls."""
    rows_sent_again: int
    """Rows that needed more than one request."""
    waits: int
    """How often mailboxes had to wait."""
    mailboxes_that_waited: int
    """The mailboxes that had to wait."""
    closed_mailboxes: int
    """Mailboxes that were given up, so that their other rows were skipped."""
    left_out_mailboxes: int
    """Those of these mailboxes that a filter left out."""
    closed_mailbox_list: list[ShownClosedMailbox]
    """Of these, the ones with the most skipped rows."""
    largest_mailboxes: list[MailboxTimeline]
    """The mailboxes with the most rows, largest first, and their work over time."""
    largest_mailboxes_in_all: int
    """The number of all mailboxes with rows to send."""
    timeline: ShownTimeline
    """Rows settled over time."""


class ReportOutput(Output, frozen=True, kw_only=True):
    """Everything that the page tells. Lists are cut to ``--most`` entries; the number of all entries stands beside each."""

    made_utc: Utc
    """When the report was made."""
    asked: Asked
    """What was asked."""
    rows: int
    """All rows of the input: those with an outcome, those ``waiting`` and those ``in_doubt``."""
    outcomes: Outcomes
    """Rows by outcome."""
    waiting: int
    """Rows that are still to be sent, or to be sent again."""
    in_doubt: int
    """Rows that were sent and whose answer is unknown. Resuming settles them."""
    complete: bool
    """True if every row has its outcome, so that there is nothing to resume. Some rows may have failed all the same."""
    running: bool | None
    """True if a run goes on over one of the ledgers now. Null if that cannot be known."""
    gone: int
    """Rows whose contact is gone: purged or absent."""
    left_out_rows: int
    """Rows that a filter left out, as asked. They are among the skipped rows."""
    left_out_by: list[str]
    """The options that left these rows out."""
    adds_up: bool
    """True if the outcomes, ``waiting`` and ``in_doubt`` add up to ``rows``. Always true of an undamaged ledger."""
    left_in_doubt: int
    """Rows with an outcome that is no success, whose contacts may be gone all the same."""
    ledgers: list[ReportedLedger]
    """The ledgers in the order in which they ran."""
    unnamed_before: list[str]
    """Folders of ledgers that ran rows of a ledger that was not named."""
    failures: list[FailureGroup]
    """The answers that failed rows got, most frequent first."""
    failures_in_all: int
    """The number of all such answers."""
    invalid_reasons: list[FailureGroup]
    """The reasons why rows are invalid, most frequent first."""
    invalid_reasons_in_all: int
    """The number of all such reasons."""
    worst_mailboxes: list[ShownWorstMailbox]
    """The mailboxes with the most failed or skipped rows, worst first."""
    worst_mailboxes_in_all: int
    """The number of all mailboxes with failed or skipped rows."""
    nothing_found: NothingFound | None
    """A warning that hardly any contact was found. Null if there is nothing to warn about."""
    advice: list[AdvisedStep]
    """What to do next."""
    status_command: str
    """The command that shows the status of these ledgers together, to copy."""
