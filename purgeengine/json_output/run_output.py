"""The objects of ``run``, ``retry`` and ``demo``: the summary of a run."""

from __future__ import annotations

from typing import Literal

from purgeengine.json_output.shared import ActionName, AdvisedStep, InputOutput, NothingFound, Outcomes


class RunOutput(InputOutput, frozen=True, kw_only=True):
    """The summary of a run. ``rows``, ``outcomes``, ``waiting`` and ``in_doubt`` count the whole ledger, with earlier runs."""

    dry_run: Literal[False] = False
    """False: rows were sent, or would have been if there had been any."""
    ledger: str
    """The folder of the ledger."""
    action: ActionName
    """What is done to the contacts: ``permanentDelete``, or ``delete``, which moves them to Deleted Items."""
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
    calls: int
    """Calls to Graph. One call carries one batch of 1 to 20 requests."""
    requests: int
    """Requests for single rows in these calls."""
    throttled: int
    """Requests for single rows that Graph refused as too fast (429) in this run. Requests that failed otherwise are not counted."""
    app_limit_per_s: float | None
    """Requests per second that Graph takes from the whole app, as found last. Null if no such limit is known."""
    lost_calls: int
    """Calls that got no usable answer."""
    left_out_rows: int
    """Rows that a filter left out, as asked. They are among the skipped rows."""
    late_answers: int
    """Answers that came after their call had been given up as lost. These calls are not in ``lost_calls``."""
    closed_mailboxes: int
    """Mailboxes that were given up, so that their other rows were skipped."""
    settled_now: int
    """Rows settled by this run."""
    duration_s: float
    """Duration of this run, in seconds."""
    items_per_s: float
    """Rows settled per second: ``settled_now`` divided by ``duration_s``."""
    held_s: float
    """Seconds of ``duration_s`` in which ``--window`` did not allow the run to send."""
    least_s: float | None
    """The lower bound: no schedule can finish these rows faster, in seconds. Null if there were no rows to send."""
    times_the_least: float | None
    """How many times ``least_s`` the run took. Waits that Graph asked for count; hours outside ``--window`` do not."""
    latencies: Literal["timed", "assumed"] | None
    """Where the latencies behind ``least_s`` come from: ``timed`` in this run, or ``assumed``. Null if there is no ``least_s``."""
    fanout: int | None
    """How many rows of one mailbox share a batch: 4 or 20. Null if that was not decided."""
    nothing_found: NothingFound | None
    """A warning that hardly any contact was found. Null if there is nothing to warn about."""
    advice: list[AdvisedStep]
    """What to do next."""
    stopped: str | None
    """Deprecated: the same sentence as ``error.message``. Null if the run did not end early."""


class DemoOutput(RunOutput, frozen=True, kw_only=True):
    """The summary of the demo's run, and the comparison with the simulated tenant."""

    compared_rows: int | None
    """Rows of the ledger that were compared with the tenant's own record, and are true. Null if the run was not complete."""
