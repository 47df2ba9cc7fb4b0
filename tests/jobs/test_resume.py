"""A ledger is taken up wherever it was left: what a scheduler is told of it, through the port alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from purgeengine.core.graph.operations import PERMANENT, Operation
from purgeengine.core.limits.app_rate import LearnedRate
from purgeengine.core.messages import InputEnded, MailboxOpened, Send
from purgeengine.errors import RunStopped
from purgeengine.jobs.resume import take_up
from purgeengine.run_limits import Limits


class Clock:
    """Stands still."""

    def monotonic(self) -> float:
        return 50.0

    def utc(self) -> float:
        return 1_000.0


@dataclass
class Left:
    """What earlier runs left; by default nothing, as in a new ledger."""

    opened: list[MailboxOpened] = field(default_factory=lambda: [MailboxOpened(0, 0, 4)])
    next_batch_number: int = 1
    blocked_s: float = 0.0
    learned: LearnedRate | None = None
    slowest_s: float | None = None
    answered: int = 0
    deletion: Operation = PERMANENT
    asked: dict[str, float] = field(default_factory=dict)

    def rows_left(self) -> int:
        return sum(mailbox.end - mailbox.next for mailbox in self.opened)

    def run_blocked_for_s(self, now_utc_ms: int) -> float:
        assert now_utc_ms == 1_000_000
        return self.blocked_s

    def slowest_call_s(self) -> float | None:
        return self.slowest_s

    def learned_rate(self, now_utc_ms: int) -> LearnedRate | None:
        return self.learned

    def answered_calls(self) -> int:
        return self.answered

    def mailboxes(
        self, *, now_utc_ms: int, cooldown_s: float, window_s: float, quarantine_s: float
    ) -> Iterator[MailboxOpened]:
        self.asked = {"cooldown_s": cooldown_s, "window_s": window_s, "quarantine_s": quarantine_s}
        return iter(self.opened)


def sent(left: Left, now: float = 50.0, **limits: float) -> list[Send]:
    """What leaves at once."""
    scheduler, mailboxes = take_up(left, Limits(**limits), Clock(), seed=1)  # type: ignore[arg-type]
    return [command for command in scheduler.handle(*mailboxes, InputEnded(), now=now) if isinstance(command, Send)]


def test_a_new_ledger_begins_at_once_with_batch_1() -> None:
    (send,) = sent(Left())
    assert send.batch.number == 1


def test_a_ledger_that_was_left_goes_on_with_the_next_batch_and_other_ids() -> None:
    """The same seed: what it draws depends on where the ledger stands, so that no two runs choose the same id."""
    (first,), (later,) = sent(Left()), sent(Left(next_batch_number=7))
    assert later.batch.number == 7
    assert later.batch.client_request_id != first.batch.client_request_id
    assert sent(Left(next_batch_number=7)) == [later]


def test_a_wait_of_the_whole_app_still_holds() -> None:
    """To the second of the clock that the scheduler knows."""
    assert sent(Left(blocked_s=30.0), now=79.9) == []
    assert len(sent(Left(blocked_s=30.0), now=80.0)) == 1


def test_a_wait_that_is_longer_than_a_run_waits_stops_it_before_it_begins() -> None:
    with pytest.raises(RunStopped, match="2 h of that wait are left"):
        sent(Left(blocked_s=7_200.0), retry_after_s_max=3_600.0)


def test_what_earlier_runs_learned_of_the_service_shortens_the_wait_for_lost_calls() -> None:
    """A thousand answers within a second: nobody waits forty for a batch that a dead process had in flight."""
    unknown, known = Left(), Left(slowest_s=1.0, answered=1_000)
    sent(unknown, lanes=False)
    sent(known, lanes=False)
    assert unknown.asked == {"cooldown_s": 40.0, "window_s": 601.0, "quarantine_s": 40.0}
    assert known.asked == {"cooldown_s": 5.0, "window_s": 601.0, "quarantine_s": 40.0}


class MovingClock(Clock):
    """Stands at ``at``, in monotonic seconds."""

    at = 50.0

    def monotonic(self) -> float:
        return self.at


def test_a_mailbox_that_is_opened_late_has_what_is_left_by_then() -> None:
    """Waits, requests and lost slots of earlier runs are as old as they are when the mailbox is opened, and none begins anew."""
    left = MailboxOpened(0, 0, 4, (), 30.0, ((2.0, 3), (-20.0, 4), (-35.0, 1)), 2, ((20.0, 3), (35.0, 1)))
    new = MailboxOpened(1, 4, 8)
    clock = MovingClock()
    _, mailboxes = take_up(Left([left, left, left, new]), Limits(), clock, seed=1)  # type: ignore[arg-type]
    assert next(mailboxes) == left
    clock.at = 70.0
    later = ((22.0, 3), (0.0, 4), (-15.0, 1))
    assert next(mailboxes) == MailboxOpened(0, 0, 4, (), 10.0, later, 2, ((15.0, 1),))
    clock.at = 90.0
    assert next(mailboxes) == MailboxOpened(0, 0, 4, (), 0.0, ((42.0, 3), (20.0, 4), (5.0, 1)), 2)
    assert next(mailboxes) is new
