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
from purgeengine.core.policy.filters import filter_named_in, is_left_out
from purgeengine.core.policy.input_words import lines_of, plain, warnings_of
from purgeengine.core.policy.remedies import INVALID
from purgeengine.core.policy.shell import quoted
from purgeengine.edges.ledger import Chain, Failures, Final, LedgerReader, absence_over, situations_of
from purgeengine.edges.ledger.outputs.failures import FailedMailbox, Group
from purgeengine.edges.report_page.ledger_findings import ledger_findings, said, shown_id, utc
from purgeengine.version import __version__

FILES_MAX = 20


def findings_of(chain: Chain, final: Final, endings: Failures, most: int, now_s: float | None = None) -> dict[str, Any]:
    """Gather the findings. Lists have at most ``most`` entries. ``now_s`` is the time of the report in seconds since 1970."""
    counts, windows = final.counts(), os.name == "nt"
    absence = absence_over(chain, final, most)
    left = counts.waiting + counts.in_doubt
    left_out = [group for group in endings.all_groups() if is_left_out(group.told.status, group.told.code)]
    return {
        "made_utc": utc((time.time() if now_s is None else now_s) * 1000),
        "version": __version__,
        "asked": _asked(chain.ledgers[0]),
        "rows": counts.rows,
        "outcomes": {outcome.value: counts.outcomes[outcome] for outcome in Outcome},
        "waiting": counts.waiting,
        "in_doubt": counts.in_doubt,
        "complete": left == 0,
        "running": left > 0 and chain.running,
        "gone": sum(rows for outcome, rows in counts.outcomes.items() if outcome.is_gone),
        "adds_up": sum(counts.outcomes.values()) + left == counts.rows,
        "left_in_doubt": endings.in_doubt,
        "left_out_rows": sum(group.rows for group in left_out),
        "left_out_by": sorted({filter_named_in(group.told.code, group.told.message) for group in left_out}),
        "ledgers": [
            ledger_findings(ledger, share.rows, share.holds, most, place, len(chain.ledgers))
            for place, (ledger, share) in enumerate(zip(chain.ledgers, final.shares, strict=True))
        ],
        "unnamed_before": [printable(str(folder)) for folder in chain.unnamed],
        "failures": [_group(group) for group in endings.groups(most)],
        "failures_in_all": endings.count(),
        "invalid": [_group(group) for group in endings.groups(most, invalid=True)],
        "invalid_in_all": endings.count(invalid=True),
        "mailboxes": [_mailbox(mailbox) for mailbox in endings.worst(most)],
        "mailboxes_in_all": endings.mailboxes,
        "mailboxes_left_out": endings.mailboxes_left_out,
        "nothing_found": None if absence is None else _printable(absence.as_json()),
        "advice": [one.as_json() for one in advice_for(situations_of(chain, final, endings), windows=windows)],
        "together": "purgeengine status "
        + " ".join(quoted(str(ledger.folder), windows=windows) or HIDDEN_NAME for ledger in chain.ledgers),
    }


def _printable(absence: dict[str, Any]) -> dict[str, Any]:
    mailboxes = [{**mailbox, "user": shown_id(mailbox["user"])} for mailbox in absence["mailboxes"]]
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
        "by_filter": is_left_out(told.status, told.code),
        "what_to_do": remedy.sentence,
        "worth_retrying": remedy.worth_retrying,
        "examples": [
            {
                "row": example.row,
                "line": example.line,
                "file": printable(example.file),
                "user": shown_id(example.user),
                "contact": shown_id(example.contact),
                "settled_utc": utc(example.settled_utc.timestamp() * 1000) if example.settled_utc else None,
                "client_request_id": shown_id(example.client_request_id),
            }
            for example in group.examples
        ],
    }


def _mailbox(mailbox: FailedMailbox) -> dict[str, Any]:
    reason = mailbox.reason
    return {
        "user": shown_id(mailbox.user),
        **{outcome.value: mailbox.outcomes[outcome] for outcome in Outcome if outcome.worth_retrying},
        "reason": said(reason.status, reason.code, reason.message),
    }
