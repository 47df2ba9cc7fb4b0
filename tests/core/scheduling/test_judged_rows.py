"""Tests of the judgement of rows: by the table of verdicts for their type of ids."""

from __future__ import annotations

from random import Random

import pytest

from purgeengine.core.graph.operations import IdType, deletion_by
from purgeengine.core.messages import InputEnded, MailboxOpened
from purgeengine.core.model import Outcome, Reply
from purgeengine.core.scheduling.scheduler import Scheduler
from purgeengine.run_limits import Limits
from tests.support.fixtures import answer, batches, outcomes


@pytest.mark.parametrize(
    ("id_type", "outcome"), [(IdType.IMMUTABLE, Outcome.ABSENT), (IdType.DEFAULT, Outcome.REFUSED)]
)
def test_the_scheduler_judges_by_the_type_of_its_ids(id_type: IdType, outcome: Outcome) -> None:
    """A contact in Purges is absent with immutable ids, because only those reach it, and refused with default ids."""
    scheduler = Scheduler(Limits(fanout=4, lanes=False), Random(1), operation=deletion_by(id_type=id_type))
    (batch,) = batches(scheduler.handle(MailboxOpened(0, 0, 1), InputEnded(), now=0.0))
    commands = scheduler.handle(
        answer(batch, Reply(403, "ErrorCannotDeleteObject", "Object cannot be deleted.")), now=1.0
    )
    assert outcomes(commands) == {0: outcome}
