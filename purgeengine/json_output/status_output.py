"""The object of ``status``, for one ledger or for a ledger and its retries."""

from __future__ import annotations

from typing import Literal

import msgspec

from purgeengine.json_output.envelope import Output, Utc
from purgeengine.json_output.shard_output import ShownShard
from purgeengine.json_output.shared import (
    ActionName,
    AdvisedStep,
    NothingFound,
    Outcomes,
    ShownFailure,
    ShownWorstMailbox,
)


class LedgerShare(msgspec.Struct, frozen=True, kw_only=True):
    """A ledger, and the rows whose final outcome it decides."""

    ledger: str
    """The folder of the ledger."""
    rows: int
    """All its rows."""
    decided: Outcomes
    """The rows whose final outcome stands in this ledger, by outcome."""
    rows_decided: int
    """The sum of ``decided``."""


class ShownAppLimit(msgspec.Struct, frozen=True, kw_only=True):
    """A limit of the whole app, as it was told before."""

    per_s: float
    """Deprecated: the same as ``app_limit_per_s``."""
    at_ms: int
    """Deprecated: ``app_limit_found_utc`` in milliseconds since 1970."""


class StatusOutput(Output, frozen=True, kw_only=True):
    """What became of the rows, at the moment of reading. Of several ledgers, the first has the rows, and calls are added up."""

    action: ActionName
    """What is done to the contacts: ``permanentDelete``, or ``delete``, which moves them to Deleted Items."""
    rows: int
    """All rows of the input: those with an outcome, those ``waiting`` and those ``in_doubt``."""
    outcomes: Outcomes
    """Rows by outcome."""
    waiting: int
    """Rows that are still to be sent, or to be sent again."""
    in_doubt: int
    """Rows that were sent and whose answer is unknown. Resuming settles them. During a run, the rows in flight are among them."""
    complete: bool
    """True if every row has its outcome, so that there is nothing to resume. Some rows may have failed all the same."""
    left_in_doubt: int
    """Rows with an outcome that is no success, whose contacts may be gone all the same."""
    ledgers: list[LedgerShare]
    """The ledgers in the order in which they ran."""
    shards: list[ShownShard]
    """The shards of the ledger, if it was cut and not all of them are collected. Empty otherwise."""
    unnamed_before: list[str]
    """Folders of ledgers that ran rows of a ledger that was not named."""
    calls: int
    """Calls to Graph. One call carries one batch of 1 to 20 requests."""
    answered_calls: int
    """Calls that brought answers for single rows."""
    lost_calls: int
    """Calls that got no usable answer."""
    refused_calls: int
    """Calls that Graph refused as a whole, with a status of 400 or more."""
    unanswered_calls: int
    """Calls without an end: their answer is awaited, or the process died or stopped before it came."""
    slowest_call_s: float | None
    """The longest time to an answer, in seconds. Null if there was none."""
    items_per_s: float
    """Rows settled per second. While a run goes on: over the last minute. Otherwise: over the time in which runs were at work."""
    items_per_s_recent: float
    """Rows settled per second, over the last minute, also if no run goes on."""
    settled_last_minute: int
    """Rows settled in the last minute."""
    settled_last_10_minutes: int
    """Rows settled in the last ten minutes."""
    first_sent_utc: Utc | None
    """When the first call was sent. Null if none was."""
    last_settled_utc: Utc | None
    """When a row was settled last. Null if none was."""
    running: bool
    """Whether a run over one of the ledgers is going on. The lock of the ledger tells it; false if that cannot be known."""
    left_s: float | None
    """The time that is probably left, in seconds. Null if it is not known."""
    waiting_for: (
        Literal[
            "first_answers", "hours", "answers", "graph", "token", "mailboxes", "retry_after", "lost_calls", "until"
        ]
        | None
    )
    """What the run waits for, if the time left cannot be told or if nothing is in flight. Null otherwise, or if no run goes on."""
    waiting_count: int | None
    """How many answers or mailboxes it waits for. Null if they are not counted."""
    waiting_s: float | None
    """For how long at most, or until the next try, in seconds. Null if that is not known."""
    held_until_utc: Utc | None
    """When the run may send again, if it waits for its hours (``--window``). Null if it may send, or if no run goes on."""
    app_limit_per_s: float | None
    """Requests per second that Graph takes from the whole app, as found last. Null if no such limit is known."""
    app_limit_found_utc: Utc | None
    """When that limit was found. Null if there is none."""
    app_limit: ShownAppLimit | None
    """Deprecated: read ``app_limit_per_s`` and ``app_limit_found_utc``."""
    worst_mailboxes: list[ShownWorstMailbox]
    """The mailboxes with the most failed or skipped rows, worst first."""
    failures: list[ShownFailure]
    """The answers that failed rows got, most frequent first."""
    nothing_found: NothingFound | None
    """A warning that hardly any contact was found. Null if there is nothing to warn about."""
    advice: list[AdvisedStep]
    """What to do next."""
