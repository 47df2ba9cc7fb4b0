"""Tests of which decided batches may still leave, and of the renewals of a refused token."""

from __future__ import annotations

import pytest

from purgeengine.core.messages import Command, Halt, Held, Released, RenewToken, TokenRenewed
from purgeengine.core.model import Answer, Reply
from tests.support.fixtures import a_scheduler, answer, batches, refusal

TOLD_TO_WAIT = Answer(Reply(429, "TooManyRequests", "", 30.0), None)
CLAIMS = '{"access_token":{"nbf":{"essential":true}}}'


def renewals(commands: list[Command]) -> list[RenewToken]:
    return [command for command in commands if isinstance(command, RenewToken)]


def test_a_batch_stays_while_sending_is_suspended() -> None:
    """A batch that was decided on before the hours ended stays, and may leave once they begin again."""
    scheduler = a_scheduler(4, 4, connections=2)
    first, *_ = batches(scheduler.handle(now=0.0))
    assert scheduler.may_leave(first.number, 0.0)
    scheduler.handle(Held(60.0), now=1.0)
    assert not scheduler.may_leave(first.number, 1.0)
    scheduler.handle(Released(), now=61.0)
    assert scheduler.may_leave(first.number, 61.0)


@pytest.mark.parametrize("status", [200, 400, 401, 424, 429, 503])
def test_a_batch_heeds_a_wait_that_was_read_and_not_yet_handled(status: int) -> None:
    """A batch waits to the second if an answer that was read asks the whole app to wait, whatever else the answer says."""
    scheduler = a_scheduler(*[4] * 20, connections=2)
    first, second = batches(scheduler.handle(now=0.0))
    read = Answer(Reply(status, "", "", 30.0), None if status != 200 else {})
    scheduler.overheard(read, 1.0)
    assert not scheduler.may_leave(second.number, 1.0)
    assert not scheduler.may_leave(second.number, 30.999)
    assert scheduler.may_leave(second.number, 31.0)
    assert first.number != second.number


def test_an_answer_that_asks_for_no_wait_keeps_nothing_back() -> None:
    """An answer without a wait keeps no decided batch from leaving."""
    scheduler = a_scheduler(*[4] * 20, connections=2)
    _, second = batches(scheduler.handle(now=0.0))
    scheduler.overheard(Answer(Reply(200), {}), 1.0)
    assert scheduler.may_leave(second.number, 1.0)


def test_a_wait_that_keeps_a_batch_keeps_the_next_from_being_decided_on() -> None:
    """While a wait keeps a decided batch from leaving, no other batch is decided on."""
    scheduler = a_scheduler(*[4] * 20, connections=2)
    first, second = batches(scheduler.handle(now=0.0))
    scheduler.overheard(TOLD_TO_WAIT, 1.0)
    assert batches(scheduler.handle(answer(first), now=2.0)) == []
    assert batches(scheduler.handle(now=30.9)) == []
    assert not scheduler.may_leave(second.number, 30.9)
    assert batches(scheduler.handle(now=31.0))


def test_a_renewal_names_the_batch_whose_token_was_refused_and_the_claims_of_all_refusals_of_a_turn() -> None:
    """A token that is refused twice in a turn is renewed once, with the claims of either refusal."""
    scheduler = a_scheduler(*[4] * 10, connections=2)
    first, second = batches(scheduler.handle(now=0.0))
    silent, wanting = refusal(first, 401), refusal(second, 401)
    wanting = type(wanting)(second.number, Answer(wanting.answer.outer, None, claims=CLAIMS))
    assert renewals(scheduler.handle(silent, wanting, now=1.0)) == [RenewToken(first.number, CLAIMS)]


def test_claims_belong_to_the_token_that_was_refused() -> None:
    """A token that is refused without claims is renewed without those of the token before, and a halt has the last claims."""
    scheduler = a_scheduler(4)
    (batch,) = batches(scheduler.handle(now=0.0))
    wanting = type(refusal(batch, 401))(batch.number, Answer(Reply(401), None, claims=CLAIMS))
    assert renewals(scheduler.handle(wanting, now=1.0)) == [RenewToken(batch.number, CLAIMS)]
    (batch,) = batches(scheduler.handle(TokenRenewed(), now=2.0))
    assert renewals(scheduler.handle(refusal(batch, 401), now=3.0)) == [RenewToken(batch.number)]
    (batch,) = batches(scheduler.handle(TokenRenewed(), now=4.0))
    again = type(wanting)(batch.number, Answer(Reply(401), None, claims=CLAIMS))
    (halt,) = [command for command in scheduler.handle(again, now=5.0) if isinstance(command, Halt)]
    assert halt.claims == CLAIMS
