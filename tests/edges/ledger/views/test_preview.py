"""Tests of user lists against a ledger: a list finds a mailbox by every resolved name."""

from __future__ import annotations

from pathlib import Path

import pytest

from purgeengine.core.model import Outcome, Reply
from purgeengine.core.policy.filters import EXCLUDED, IS_PROTECTED, NOT_NAMED, UserFilter, UserList
from purgeengine.edges.ledger import Ledger
from purgeengine.edges.ledger.staging.names import User
from tests.support.ledger_fixtures import FakeSource

GUID = "0f9a1c52-0001-4000-8000-00000000abcd"
CEO, CLERK = "ceo@contoso.example", "clerk@contoso.example"


def a_ledger(folder: Path) -> Ledger:
    """Make a ledger with two mailboxes, of which one is named by its object id; the lookup says that it is the CEO's."""
    source = FakeSource([(GUID, "", "AAMk1="), (GUID, "", "AAMk2="), (CLERK, "", "AAMk3=")])
    users = {GUID: User(GUID, CEO), CLERK: User("0f9a1c52-0002-4000-8000-00000000abcd", CLERK)}
    return Ledger.open(folder, source, tenant_id="contoso", resolve=lambda names: {name: users[name] for name in names})


@pytest.mark.parametrize(
    ("user_filter", "reason"),
    [
        (UserFilter(protected=UserList.of([CEO])), IS_PROTECTED),
        (UserFilter(protected=UserList.of(["ceo@*"])), IS_PROTECTED),
        (UserFilter(excluded=UserList.of([CEO])), EXCLUDED),
        (UserFilter(only=UserList.of([CLERK])), NOT_NAMED),
    ],
)
def test_a_list_of_names_keeps_a_mailbox_that_the_input_names_by_its_object_id(
    tmp_path: Path, user_filter: UserFilter, reason: Reply
) -> None:
    """A list of names keeps a mailbox that the input names by its object id: its rows are left out and skipped, and no others."""
    with a_ledger(tmp_path / "ledger") as ledger:
        preview = ledger.preview(user_filter)
        assert dict(preview.left_out) == {reason: 2}
        assert user_filter.blind_spot(preview.kinds) is None
        ledger.leave_out(user_filter, 0)
        assert ledger.counts().outcomes[Outcome.SKIPPED] == 2
        assert [mailbox.end - mailbox.next for mailbox in ledger.mailboxes(now_utc_ms=0, cooldown_s=0, window_s=0)] == [
            1
        ]
