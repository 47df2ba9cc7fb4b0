"""Tests of the token watch: when a refused token is renewed, and when the run ends."""

from __future__ import annotations

from purgeengine.core.messages import RenewToken, TokenRenewed
from purgeengine.core.model import Reply
from purgeengine.core.scheduling.token_watch import TokenStep, TokenWatch
from tests.support.fixtures import a_scheduler, answer, batches, positions, returned


def test_one_renewal_answers_all_refusals_of_the_same_token() -> None:
    """One renewal serves all refusals of the same token, and a third refused token in a row ends the run."""
    watch = TokenWatch()
    assert watch.refused(0) is TokenStep.RENEW
    assert watch.refused(0) is TokenStep.NOTHING
    watch.renewed()
    assert watch.awaited is False
    assert watch.refused(0) is TokenStep.NOTHING
    assert watch.refused(1) is TokenStep.RENEW
    watch.renewed()
    assert watch.refused(1) is TokenStep.NOTHING
    assert watch.refused(2) is TokenStep.GIVE_UP
    watch.went_through()
    assert watch.refused(2) is TokenStep.RENEW


def test_an_item_with_a_refused_token_is_sent_again_and_never_in_doubt() -> None:
    """A row with 401 is sent again after one renewal, without doubt and without counting a failure."""
    scheduler = a_scheduler(2, connections=1)
    (batch,) = batches(scheduler.handle(now=0.0))
    commands = scheduler.handle(answer(batch, Reply(401, "InvalidAuthenticationToken")), now=1.0)
    assert any(isinstance(command, RenewToken) for command in commands)
    (row,) = returned(commands).values()
    assert (row.number, row.failures, row.in_doubt) == (1, 0, False)
    (again,) = batches(scheduler.handle(TokenRenewed(), now=2.0))
    assert positions(again) == [row.position]
