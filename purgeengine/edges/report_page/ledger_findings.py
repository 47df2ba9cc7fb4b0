"""What a report tells of one ledger of a chain, as plain values: its calls, its waits, and its work over time.

Lists are cut to their largest entries, and the full number stands beside them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from purgeengine.core.graph.identifiers import ID_LENGTH_MAX
from purgeengine.core.graph.text import printable
from purgeengine.core.model import Outcome
from purgeengine.core.policy.filters import is_left_out
from purgeengine.edges.ledger import LedgerReader
from purgeengine.edges.ledger.views.history import ClosedMailbox, Timeline
from purgeengine.edges.ledger.views.work_over_time import CallsInInterval, MailboxWork, TimeGrid
from purgeengine.words import utc_text

INTERVALS_MAX = 120
"""Intervals in the picture of a ledger's work: as many as one can tell apart."""
INTERVALS_MIN = 10
"""Intervals of each ledger in a long chain."""
INTERVALS_IN_ALL = 1_200
"""Intervals of all ledgers of a chain together, as long as each has its least number. This bounds the size of the page."""
LARGEST_MAX = 10
"""Mailboxes whose work is drawn, for each of the first ledgers of a chain."""
DRAWN_MAX = 10
"""Ledgers whose largest mailboxes are drawn. Later retries have few rows."""
RUNS_MAX = 20
ALL = 1 << 62
"""More than any number of mailboxes. Those that were closed are read into memory in any case, to be sorted."""
ID_CHARS_MAX = ID_LENGTH_MAX
"""Characters shown of a name or an id: all of one that may be sent. A longer one ends with `CUT`."""
CUT = "…"


def ledger_findings(ledger: LedgerReader, rows: int, holds: Counter[Outcome], most: int, place: int, of: int) -> Any:
    """Gather what the report tells of a ledger, which has ``place`` (from 0) in a chain of ``of`` ledgers.

    ``rows`` and ``holds`` are its rows, and those whose final outcome it decides. Lists have at most ``most`` entries.
    """
    intervals_max = max(INTERVALS_MIN, min(INTERVALS_MAX, INTERVALS_IN_ALL // of))
    calls, history, counts = ledger.batches(), ledger.history(intervals_max), ledger.counts()
    limit = ledger.app_limit()
    closed_in_all, closed = ledger.closed_mailboxes(ALL)
    first, last = history.first_sent_ms, history.last_settled_ms
    grid = TimeGrid(first or 0, history.timeline.bucket_ms)
    largest = ledger.work_of_largest(grid, min(most, LARGEST_MAX)) if first is not None and place < DRAWN_MAX else []
    return {
        "folder": printable(str(ledger.folder), 1_000),
        "identity": ledger.identity,
        "rows": rows,
        "last_word_on": {outcome.value: holds[outcome] for outcome in Outcome if holds[outcome]},
        "outcomes": {outcome.value: counts.outcomes[outcome] for outcome in Outcome},
        "waiting": counts.waiting,
        "in_doubt": counts.in_doubt,
        "first_sent_utc": utc(first),
        "last_settled_utc": utc(last),
        "duration_s": (last - first) / 1000 if first is not None and last is not None else None,
        "at_work_s": history.at_work_ms / 1000,
        "runs": [{"at_utc": utc(run.at_ms), **_plain(run.options)} for run in history.runs[-RUNS_MAX:]],
        "runs_in_all": len(history.runs),
        "app_limit_per_s": None if limit is None else round(limit.per_s, 1),
        "calls": {
            "all": calls.calls,
            "lost": calls.lost,
            "unanswered_at_a_stop": calls.in_flight,
            "refused": {str(status): count for status, count in history.traffic.calls_refused.items()},
            "slowest_s": calls.slowest_s,
        },
        "requests": history.traffic.requests,
        "rows_sent_again": history.traffic.rows_sent_again,
        "waits": history.traffic.waits,
        "mailboxes_that_waited": history.traffic.mailboxes_that_waited,
        "closed_mailboxes": [_closed(mailbox) for mailbox in closed[:most]],
        "closed_mailboxes_in_all": closed_in_all,
        "left_out_mailboxes": sum(is_left_out(mailbox.status, mailbox.code) for mailbox in closed),
        "timeline": _timeline(history.timeline, grid, {} if first is None else ledger.calls_over_time(grid)),
        "largest_mailboxes": [_worked(mailbox) for mailbox in largest],
        "largest_mailboxes_in_all": ledger.mailbox_count(),
    }


def shown_id(text: object) -> str:
    """Return a name or an id of the list, printable. A cut one says so, because a cut id is another id."""
    return printable(text, ID_CHARS_MAX) + (CUT if isinstance(text, str) and len(text) > ID_CHARS_MAX else "")


def said(status: int, code: str, message: str) -> str:
    """Return a reply in one line. Of rows that a filter left out, it says that."""
    if is_left_out(status, code):
        return f"left out as asked: {printable(message)}"
    return " ".join(word for word in (str(status or ""), printable(code), printable(message)) if word)


def utc(ms: float | None) -> str | None:
    """Return a time (milliseconds since 1970) as `utc_text` writes it."""
    return None if ms is None else utc_text(ms / 1000)


def _timeline(timeline: Timeline, grid: TimeGrid, calls: Mapping[int, CallsInInterval]) -> dict[str, Any]:
    """Intervals in which nothing happened are left out."""
    settled = {grid.number(bucket.at_ms): bucket.rows for bucket in timeline.buckets}
    return {
        "from_utc": utc(grid.first_ms) if settled or calls else None,
        "bucket_s": timeline.bucket_ms / 1000,
        "buckets": [
            {
                "at_utc": utc(grid.first_ms + number * grid.interval_ms),
                **_settled(settled.get(number, {})),
                **_fared(calls.get(number, CallsInInterval())),
            }
            for number in sorted({*settled, *calls})
        ],
    }


def _settled(rows: Mapping[Outcome, int]) -> dict[str, int]:
    return {
        "well": sum(count for outcome, count in rows.items() if outcome.is_gone),
        "badly": sum(count for outcome, count in rows.items() if outcome.worth_retrying),
    }


def _fared(calls: CallsInInterval) -> dict[str, int]:
    return {"calls": calls.calls, "lost_calls": calls.lost, "requests": calls.requests, "put_off": calls.put_off}


def _worked(mailbox: MailboxWork) -> dict[str, Any]:
    """The lists have the rows, or requests, of each interval, from the first one of the timeline on."""
    return {
        "user": shown_id(mailbox.user),
        "rows": mailbox.rows,
        "waits": mailbox.waits,
        "first_sent_utc": utc(mailbox.first_sent_ms),
        "last_settled_utc": utc(mailbox.last_settled_ms),
        "closed_utc": utc(mailbox.closed_ms),
        "well": _listed(mailbox.well),
        "badly": _listed(mailbox.badly),
        "sent_again": _listed(mailbox.sent_again),
    }


def _listed(counts: Mapping[int, int]) -> list[int]:
    return [counts.get(number, 0) for number in range(max(counts, default=-1) + 1)]


def _closed(mailbox: ClosedMailbox) -> dict[str, Any]:
    reason = said(mailbox.status, mailbox.code, mailbox.message)
    return {"user": shown_id(mailbox.user), "skipped": mailbox.skipped, "reason": reason}


def _plain(options: Any) -> dict[str, Any]:
    """Return the options that a run recorded, bounded and printable: the ledger may come from elsewhere."""
    found = options if isinstance(options, dict) else {}
    return {
        printable(str(name), 40): value if isinstance(value, int | float) else printable(str(value))
        for name, value in list(found.items())[:20]
    }
