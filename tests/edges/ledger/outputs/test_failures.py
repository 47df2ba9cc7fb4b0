"""Tests of failed rows: grouped by the answer that they got, with examples, and by mailbox."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from purgeengine.core.model import Outcome, Reply
from purgeengine.edges.ledger import Chain, failures_of
from purgeengine.edges.ledger.outputs import failures
from purgeengine.edges.ledger.outputs.failures import OTHERS, Example, FailureReply, Failures, Group
from tests.cli.commands.test_retry import DENIED, MALFORMED, ending
from tests.edges.ledger.outputs.test_chain import retried
from tests.support.ledger_fixtures import ID, FakeSource, a_source, open_ledger, rows_of

R, E, S, I = Outcome.REFUSED, Outcome.EXHAUSTED, Outcome.SKIPPED, Outcome.INVALID  # noqa: E741
LOST = Reply(0, message="Lost.")


def test_rows_that_were_told_the_same_are_one_group_with_examples(tmp_path: Path) -> None:
    """Rows with the same answer form one group with examples, and a mailbox gives the most frequent answer as its reason."""
    with open_ledger(tmp_path / "L", a_source(7)) as ledger:
        ending(
            ledger, 0, (R, MALFORMED, False), *[(R, DENIED, True)] * 3, (E, DENIED, True), (E, LOST, False),
        )  # fmt: skip
    with Chain.open([tmp_path / "L"]) as chain:
        found = failures_of(chain, chain.final())
    user, at = "a@contoso.example", datetime(2026, 1, 1, tzinfo=UTC)
    denied = Group(
        FailureReply(403, "ErrorAccessDenied", "Access is denied."),
        Counter({R: 3, E: 1}),
        Counter({(0, R): 3, (0, E): 1}),
        4,
        [Example(row, user, f"a-{row}", at, ID.format(1), row + 2, "contacts.csv") for row in (1, 2, 3)],
    )
    assert found.groups(1) == [denied]
    assert [(group.rows, group.told) for group in found.groups(3)] == [
        (4, denied.told),
        (1, FailureReply(400, "ErrorInvalidIdMalformed", "Id is malformed.")),
        (1, FailureReply(0, "", "Lost.")),
    ]
    assert (found.count(), found.count(invalid=True), found.in_doubt, found.mailboxes) == (3, 0, 4, 1)
    ((worst,), told) = found.worst(2), denied.told
    assert (worst.user, worst.rows, worst.outcomes, worst.reason) == (user, 6, {R: 4, E: 2}, told)


def test_a_ledger_that_has_the_last_word_on_none_of_them_is_passed_over(tmp_path: Path) -> None:
    """A row that failed in a ledger and again in its retry is reported once, with the last answer."""
    with open_ledger(tmp_path / "a", a_source(2)) as ledger:
        ending(ledger, 0, (R, DENIED, False), (R, DENIED, False))
    retried(tmp_path / "a", tmp_path / "b", [(E, LOST, False), (R, MALFORMED, False)])
    with Chain.open([tmp_path / "a", tmp_path / "b"]) as chain:
        found = failures_of(chain, chain.final())
    assert [(group.told.status, group.outcomes) for group in found.groups(9)] == [(0, {E: 1}), (400, {R: 1})]
    assert [group.examples[0].row for group in found.groups(9)] == [0, 1]
    assert [group.examples[0].line for group in found.groups(9)] == [2, 3]  # of the first list, not of the retry's
    assert {group.examples[0].file for group in found.groups(9)} == {"contacts.csv"}


def test_invalid_rows_with_the_same_mistake_are_one_group_whatever_their_file(tmp_path: Path) -> None:
    """Invalid rows with the same fault form one group, whatever their file and line."""
    bad = ("nobody", "", "x")
    source = FakeSource([bad, *rows_of("a", 2), bad], files=(Path("one.csv"), Path(" two of  them: .csv")))
    open_ledger(tmp_path / "L", source).close()
    with Chain.open([tmp_path / "L"]) as chain:
        found = failures_of(chain, chain.final())
    reason = "the user is neither a user principal name (name@domain) nor an object id (GUID)"
    (group,) = found.groups(9, invalid=True)
    assert (group.told, group.outcomes) == (FailureReply(0, "", reason, invalid=True), {I: 2})
    assert (found.groups(9), found.mailboxes, found.count(invalid=True)) == ([], 0, 1)


def test_groups_without_end_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups beyond the limit are counted as one group, separately for failed and for invalid rows."""
    monkeypatch.setattr(failures, "GROUPS_MAX", 2)
    found = Failures()
    told = [FailureReply(400, "", f"Id {n} is malformed.") for n in range(4)]
    for said in (*told, told[0]):
        found.take(said, R, "A@x.example", False)
        found.take(of_invalid(said), I, "A@x.example", False)
    assert [(group.told, group.rows) for group in found.groups(9)] == [
        (FailureReply(0, "", OTHERS), 3), (told[0], 2),
    ]  # fmt: skip
    assert [(group.told, group.rows) for group in found.groups(9, invalid=True)] == [
        (FailureReply(0, "", OTHERS, True), 3), (of_invalid(told[0]), 2),
    ]  # fmt: skip
    assert [(mailbox.user, mailbox.told) for mailbox in found.worst(9)] == [
        ("A@x.example", {told[0]: 2, FailureReply(0, "", OTHERS): 3})
    ]


def of_invalid(told: FailureReply) -> FailureReply:
    """Return the answer as that of an invalid row."""
    return told._replace(invalid=True)
