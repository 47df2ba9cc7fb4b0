"""Everything that a report tells, as plain values: ``report --json`` prints it, and the page is made from it.

Sizes are bounded: lists are cut to their largest entries, and the full number stands beside them. Text that others
wrote is made printable here, once, for both the page and the JSON.
"""

from __future__ import annotations

import os
import time
from typing import Any

from purgeengine.core.graph.text import printable
from purgeengine.core.model import Outcome
from purgeengine.core.policy.advice import HIDDEN_NAME, advice_for, remedy_of
from purgeengine.core.policy.input_words import lines_of, plain, warnings_of
from purgeengine.core.policy.remedies import INVALID
from purgeengine.core.policy.shell import quoted
from purgeengine.edges.ledger import Chain, Failures, Final, LedgerReader, absence_over, situations_of
from purgeengine.edges.ledger.outputs.failures import FailedMailbox, Group
from purgeengine.edges.ledger.views.history import ClosedMailbox, Timeline
from purgeengine.version import __version__
from purgeengine.words import utc_text

BUCKETS_MAX = 120
"""Bars in the picture of a ledger's course: as many as one can tell apart."""
FILES_MAX = 20
RUNS_MAX = 20
ID_CHARS_MAX = 200


def findings_of(chain: Chain, final: Final, endings: Failures, most: int, now_s: float | None = None) -> dict[str, Any]:
    """Gather the findings. Lists have at most ``most`` entries. ``now_s`` is the time of the report in seconds since 1970."""
    counts, windows = final.counts(), os.name == "nt"
    absence = absence_over(chain, final, most)
    left = counts.waiting + counts.in_doubt
    return {
        "made_utc": _utc((time.time() if now_s is None else now_s) * 1000),
        "version": __version__,
        "asked": _asked(chain.ledgers[0]),
        "rows": counts.rows,
        "outcomes": {outcome.value: counts.outcomes[outcome] for outcome in Outcome},
        "waiting": counts.waiting,
        "in_doubt": counts.in_doubt,
        "complete": left == 0,
        "gone": sum(rows for outcome, rows in counts.outcomes.items() if outcome.is_gone),
        "adds_up": sum(counts.outcomes.values()) + left == counts.rows,
        "left_in_doubt": endings.in_doubt,
        "ledgers": [
            _ledger(ledger, share.rows, share.holds, most)
            for ledger, share in zip(chain.ledgers, final.shares, strict=True)
        ],
        "unnamed_before": [printable(str(folder)) for folder in chain.unnamed],
        "failures": [_group(group) for group in endings.groups(most)],
        "failures_in_all": endings.count(),
        "invalid": [_group(group) for group in endings.groups(most, invalid=True)],
        "invalid_in_all": endings.count(invalid=True),
        "mailboxes": [_mailbox(mailbox) for mailbox in endings.worst(most)],
        "mailboxes_in_all": endings.mailboxes,
        "nothing_found": None if absence is None else _printable(absence.as_json()),
        "advice": [one.as_json() for one in advice_for(situations_of(chain, final, endings), windows=windows)],
        "together": "purgeengine status "
        + " ".join(quoted(str(ledger.folder), windows=windows) or HIDDEN_NAME for ledger in chain.ledgers),
    }


def _printable(absence: dict[str, Any]) -> dict[str, Any]:
    mailboxes = [{**mailbox, "user": printable(mailbox["user"], ID_CHARS_MAX)} for mailbox in absence["mailboxes"]]
    return {**absence, "mailboxes": mailboxes}


def _asked(first: LedgerReader) -> dict[str, Any]:
    about = first.about
    return {
        "files": [printable(name) for name in about["files"][:FILES_MAX]],
        "files_in_all": len(about["files"]),
        "sha256": about["digest"],
        "rows": about["rows"],
        "invalid": about["invalid"],
        "duplicates": about["duplicates"],
        "mailboxes": first.mailbox_count(),
        "tenant_id": printable(about["tenant_id"]),
        "action": printable(about["action"]),
        **plain(about.get("reading")),
        "user": printable(about.get("given", {}).get("user")) or None,
        "clean": bool(about.get("given", {}).get("clean")),
        "read": lines_of(about.get("reading")),
        "doubts": warnings_of(about.get("reading")),
        "other_columns": [printable(name) for name in about["extra_columns"][:FILES_MAX]],
    }


def _ledger(ledger: LedgerReader, rows: int, holds: Any, most: int) -> dict[str, Any]:
    calls, history, counts = ledger.batches(), ledger.history(BUCKETS_MAX), ledger.counts()
    limit = ledger.app_limit()
    closed_in_all, closed = ledger.closed_mailboxes(most)
    first, last = history.first_sent_ms, history.last_settled_ms
    return {
        "folder": printable(str(ledger.folder), 1_000),
        "identity": ledger.identity,
        "rows": rows,
        "last_word_on": {outcome.value: holds[outcome] for outcome in Outcome if holds[outcome]},
        "outcomes": {outcome.value: counts.outcomes[outcome] for outcome in Outcome},
        "waiting": counts.waiting,
        "in_doubt": counts.in_doubt,
        "first_sent_utc": _utc(first),
        "last_settled_utc": _utc(last),
        "duration_s": (last - first) / 1000 if first is not None and last is not None else None,
        "runs": [{"at_utc": _utc(run.at_ms), **_plain(run.options)} for run in history.runs[-RUNS_MAX:]],
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
        "closed_mailboxes": [_closed(mailbox) for mailbox in closed],
        "closed_mailboxes_in_all": closed_in_all,
        "timeline": _timeline(history.timeline),
    }


def _timeline(timeline: Timeline) -> dict[str, Any]:
    return {
        "bucket_s": timeline.bucket_ms / 1000,
        "buckets": [
            {
                "at_utc": _utc(bucket.at_ms),
                "well": sum(rows for outcome, rows in bucket.rows.items() if outcome.is_gone),
                "badly": sum(rows for outcome, rows in bucket.rows.items() if outcome.worth_retrying),
            }
            for bucket in timeline.buckets
        ],
    }


def _group(group: Group) -> dict[str, Any]:
    told = group.told
    remedy = INVALID if told.invalid else remedy_of(told.status, told.code, told.message)
    return {
        "status": told.status or None,
        "code": printable(told.code),
        "message": printable(told.message),
        "rows": group.rows,
        "outcomes": {outcome.value: rows for outcome, rows in group.outcomes.items()},
        "in_doubt": group.in_doubt,
        "what_to_do": remedy.sentence,
        "worth_retrying": remedy.worth_retrying,
        "examples": [
            {
                "row": example.row,
                "user": printable(example.user, ID_CHARS_MAX),
                "contact": printable(example.contact, ID_CHARS_MAX),
                "settled_utc": utc_text(example.settled_utc.timestamp()) if example.settled_utc else None,
                "client_request_id": printable(example.client_request_id, ID_CHARS_MAX),
            }
            for example in group.examples
        ],
    }


def _mailbox(mailbox: FailedMailbox) -> dict[str, Any]:
    reason = mailbox.reason
    return {
        "user": printable(mailbox.user, ID_CHARS_MAX),
        **{outcome.value: mailbox.outcomes[outcome] for outcome in Outcome if outcome.worth_retrying},
        "reason": _said(reason.status, reason.code, reason.message),
    }


def _closed(mailbox: ClosedMailbox) -> dict[str, Any]:
    reason = _said(mailbox.status, mailbox.code, mailbox.message)
    return {"user": printable(mailbox.user, ID_CHARS_MAX), "skipped": mailbox.skipped, "reason": reason}


def _said(status: int, code: str, message: str) -> str:
    return " ".join(word for word in (str(status or ""), printable(code), printable(message)) if word)


def _plain(options: Any) -> dict[str, Any]:
    """Return the options that a run recorded, bounded and printable: the ledger may come from elsewhere."""
    found = options if isinstance(options, dict) else {}
    return {
        printable(str(name), 40): value if isinstance(value, int | float) else printable(str(value))
        for name, value in list(found.items())[:20]
    }


def _utc(ms: float | None) -> str | None:
    return None if ms is None else utc_text(ms / 1000)
