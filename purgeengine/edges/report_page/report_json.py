"""Turns findings into the object that ``report --json`` prints, with the names that the other commands use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from purgeengine.json_output.report_output import (
    Asked,
    FailedRow,
    FailureGroup,
    MailboxTimeline,
    ReportedLedger,
    ReportOutput,
    ShownClosedMailbox,
    ShownTimeline,
    StartedRun,
)
from purgeengine.json_output.shared import NothingFound, Outcomes, ShownWorstMailbox, advised_steps


def report_output(findings: Mapping[str, Any], command: str = "report") -> ReportOutput:
    """Return the object. It has every finding."""
    renamed = {
        "asked": _asked(findings["asked"]),
        "outcomes": Outcomes.of(findings["outcomes"]),
        "ledgers": [_ledger(ledger) for ledger in findings["ledgers"]],
        "failures": [_group(group) for group in findings["failures"]],
        "invalid_reasons": [_group(group) for group in findings["invalid"]],
        "invalid_reasons_in_all": findings["invalid_in_all"],
        "worst_mailboxes": [ShownWorstMailbox(**mailbox) for mailbox in findings["mailboxes"]],
        "worst_mailboxes_in_all": findings["mailboxes_in_all"],
        "nothing_found": NothingFound.of(findings["nothing_found"]),
        "advice": advised_steps((one["sentence"], one["commands"]) for one in findings["advice"]),
        "status_command": findings["together"],
    }
    replaced = {"invalid", "invalid_in_all", "mailboxes", "mailboxes_in_all", "mailboxes_left_out", "together"}
    return ReportOutput(command=command, exit_code=0, **_without(findings, {*renamed, *replaced}), **renamed)


def _without(values: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


def _asked(asked: Mapping[str, Any]) -> Asked:
    return Asked(**_without(asked, {"doubts"}), warnings=asked["doubts"])


def _group(group: Mapping[str, Any]) -> FailureGroup:
    return FailureGroup(
        **_without(group, {"outcomes", "examples"}),
        outcomes=Outcomes.of(group["outcomes"]),
        examples=[FailedRow(**{**example, "line": example["line"] or None}) for example in group["examples"]],
    )


def _ledger(ledger: Mapping[str, Any]) -> ReportedLedger:
    calls = ledger["calls"]
    renamed = {
        "ledger": ledger["folder"],
        "decided": Outcomes.of(ledger["last_word_on"]),
        "outcomes": Outcomes.of(ledger["outcomes"]),
        "runs": [StartedRun(at_utc=run["at_utc"], options=_without(run, {"at_utc"})) for run in ledger["runs"]],
        "calls": calls["all"],
        "lost_calls": calls["lost"],
        "unanswered_calls": calls["unanswered_at_a_stop"],
        "refused_calls": sum(calls["refused"].values()),
        "refused_calls_by_status": calls["refused"],
        "slowest_call_s": calls["slowest_s"],
        "closed_mailboxes": ledger["closed_mailboxes_in_all"],
        "closed_mailbox_list": [ShownClosedMailbox(**mailbox) for mailbox in ledger["closed_mailboxes"]],
        "largest_mailboxes": [_mailbox(mailbox) for mailbox in ledger["largest_mailboxes"]],
        "timeline": msgspec.convert(ledger["timeline"], ShownTimeline),
    }
    return ReportedLedger(
        **_without(ledger, {*renamed, "folder", "last_word_on", "closed_mailboxes_in_all"}), **renamed
    )


def _mailbox(mailbox: Mapping[str, Any]) -> MailboxTimeline:
    by_interval = ("well", "badly", "sent_again")
    return MailboxTimeline(
        **_without(mailbox, set(by_interval)), **{f"{name}_by_interval": mailbox[name] for name in by_interval}
    )
