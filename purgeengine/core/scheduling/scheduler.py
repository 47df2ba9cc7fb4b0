"""The state machine: takes events and the time, and answers with commands.

It knows counts and positions, never names or ids. It reads no clock and never sleeps: a wait is an instant, and `wake_at` returns
the next one. The same events, times and seed give the same commands. What Graph says is data; mistakes of ours are assertions.
"""

from __future__ import annotations

import random
from math import inf
from typing import assert_never

from purgeengine.core.forecast.call_times import RECENT_CALLS, CallTimes
from purgeengine.core.forecast.eta import Eta
from purgeengine.core.graph.operations import PERMANENT, Operation
from purgeengine.core.limits.app_rate import AppRate, LearnedRate
from purgeengine.core.limits.backoff import Backoff
from purgeengine.core.limits.circuit_breaker import CircuitBreaker
from purgeengine.core.limits.concurrency_limit import ConcurrencyLimit
from purgeengine.core.limits.lost_calls import LostCallCooldown
from purgeengine.core.messages import (
    Abandon,
    AppLimited,
    AskedToWait,
    BatchAnswered,
    BatchLost,
    BatchSent,
    Command,
    Event,
    GivenUp,
    Halt,
    HaltReason,
    Held,
    InputEnded,
    MailboxOpened,
    QuotaChanged,
    Record,
    Released,
    Send,
    StopRequested,
    TokenRenewed,
)
from purgeengine.core.model import Answer, Reply
from purgeengine.core.scheduling.batch_results import BatchResults
from purgeengine.core.scheduling.batching import Batching
from purgeengine.core.scheduling.flights import Flights
from purgeengine.core.scheduling.mailbox import Mailbox
from purgeengine.core.scheduling.open_mailboxes import OpenMailboxes
from purgeengine.core.scheduling.settlement import Settler
from purgeengine.core.scheduling.token_watch import TokenWatch
from purgeengine.core.scheduling.view import View
from purgeengine.run_limits import Limits


class Scheduler:
    """Decides what is sent and what is recorded. Give events to `handle`, and carry out the returned commands in their order."""

    def __init__(
        self,
        limits: Limits,
        rng: random.Random,
        *,
        now: float = 0.0,
        first_batch: int = 1,
        run_blocked_for_s: float = 0.0,
        cooldown: LostCallCooldown | None = None,
        connections: ConcurrencyLimit | None = None,
        rows_left: int = 0,
        operation: Operation = PERMANENT,
        token_renewable: bool = True,
        learned_rate: LearnedRate | None = None,
    ) -> None:
        """``rows_left`` counts the rows of all mailboxes that will be opened; the schedule plan needs it.

        If ``token_renewable`` is false, a 401 of a single mailbox does not renew the token. All instants are monotonic seconds.
        """
        assert operation.idempotent, "after a lost answer, rows are sent again"
        self._limits = limits
        self._now = now
        self._backoff = Backoff(limits, rng)
        self._connections = connections or ConcurrencyLimit(limits.connections)
        self._breaker = CircuitBreaker(self._backoff, self._connections)
        self._breaker.asked_to_wait(now, run_blocked_for_s)
        self._cooldown = cooldown or LostCallCooldown(limits)
        self._token = TokenWatch(renewable=token_renewable)
        self._settler = Settler(limits, self._backoff, operation.verdicts, self._token)
        self._open_mailboxes = OpenMailboxes(limits)
        recent_calls = CallTimes(limits.batch_items_max, remembered=RECENT_CALLS)
        all_calls = CallTimes(limits.batch_items_max)
        self._batching = Batching(
            limits,
            rng,
            self._open_mailboxes,
            self._connections,
            recent_calls,
            self._cooldown,
            now=now,
            first_batch=first_batch,
            unread=rows_left,
            # A read job asks few rows a few times each, and a person waits for it.
            app_rate=AppRate(limits.batch_items_max, now, learned_rate, learns=not operation.keeps_body),
        )
        self._eta = Eta(limits, recent_calls, all_calls, now)
        self._results = BatchResults(
            limits,
            self._settler,
            breaker=self._breaker,
            connections=self._connections,
            cooldown=self._cooldown,
            token=self._token,
            open_mailboxes=self._open_mailboxes,
            batching=self._batching,
            recent_calls=recent_calls,
            all_calls=all_calls,
        )
        self._flights = Flights(late_max=limits.connections)
        self._input_ended = False
        self._stopping = False
        self._held_until: float | None = None
        self._out: list[Command] = []

    # ------------------------------------------------------------------------------------------------ what it is asked

    def handle(self, *events: Event, now: float) -> list[Command]:
        """Take in what happened until ``now`` (monotonic seconds, never running backwards), and return what to do."""
        self._now = max(self._now, now)
        for event in events:
            self._take(event)
        self._give_up_overdue()
        self._open_mailboxes.wake(self._now)
        self._halt_on_outage()
        self._look_at_suspects()
        if (renewal := self._token.renewal()) is not None:
            self._out.append(renewal)
        self._fill()
        if (per_s := self._batching.app_rate.worth_recording(self._now)) is not None:
            self._out.append(Record((AppLimited(per_s),)))
        self._eta.pace.turned(self._now, works=self._works())
        commands, self._out = self._out, []
        return commands

    @property
    def room(self) -> int:
        """How many more mailboxes the scheduler would open now. This bounds its memory."""
        return 0 if self._input_ended or self._stopping else self._open_mailboxes.room(len(self._token.suspects))

    @property
    def finished(self) -> bool:
        """True if nothing is in flight, and nothing is left to send or nothing may be sent any more."""
        return not self._flights and (self._stopping or (self._input_ended and not len(self._open_mailboxes)))

    @property
    def in_flight(self) -> int:
        """Batches that were sent and have no answer yet."""
        return len(self._flights)

    def overheard(self, answer: Answer, now: float) -> None:
        """Obey at once the wait in an answer that was read and that `handle` gets with the next turn.

        A batch that was decided on and has not left must wait as well; see `may_leave`.
        """
        if answer.outer.retry_after_s is not None:
            self._breaker.asked_to_wait(now, answer.outer.retry_after_s)

    def may_leave(self, batch: int, now: float) -> bool:
        """Return True if a batch that was decided on may still be sent at ``now`` (monotonic seconds); it must leave then.

        It may not if sending was suspended since then, if the run has no share of the app's rate any more, if Graph asked the app
        or one of the batch's mailboxes to wait, or if the app turned out to be too fast.
        """
        flight = self._flights[batch]
        may_leave = (
            self._held_until is None
            and self._batching.has_share
            and self._breaker.calls_again_at <= now
            and self._batching.app_rate.covers(flight.sent_at)
            and all(mailbox.blocked_until <= now for mailbox, _ in flight.shares)
        )
        if may_leave:
            self._flights.leaves(batch, now)
        return may_leave

    def has_work_within(self, seconds: float, now: float) -> bool:
        """Return True if a batch is in flight, or if a mailbox may send before ``seconds`` have passed after ``now``."""
        return (
            not self._input_ended
            or bool(self._flights)
            or self._open_mailboxes.has_ready
            or self._open_mailboxes.next_timer_at() <= now + seconds
        )

    @property
    def fanout(self) -> int | None:
        """Rows of one mailbox that may share a batch; None while that is not known."""
        return self._batching.fanout.decided

    @property
    def connections(self) -> int:
        """Batches that may be in flight at once now."""
        return self._connections.limit

    @property
    def connections_allowed(self) -> int:
        """The most that `connections` may grow to: the limit of the run, or its share of the app's."""
        return self._connections.most

    @property
    def view(self) -> View:
        """How the run stands, as of the last `handle`."""
        return View(
            self._now,
            self._held_until,
            self._breaker,
            self._eta,
            self._open_mailboxes,
            self._batching,
            self._results,
            self._flights,
            self._connections.expected,
            self._token.awaited,
            self._stopping,
        )

    def wake_at(self) -> float | None:
        """Return the next instant that matters, in monotonic seconds; None if only an event can change anything."""
        at = self._flights.overdue_at()
        if self._stopping or self._token.awaited:
            return at if at < inf else None
        at = min(at, self._open_mailboxes.next_timer_at())
        if self._open_mailboxes.has_ready and self._held_until is None:
            if self._breaker.calls_again_at > self._now:
                at = min(at, self._breaker.calls_again_at)
            elif self._breaker.places(len(self._flights), self._now) > 0:
                at = min(at, self._batching.wakes_at)
        return at if at < inf else None

    # ---------------------------------------------------------------------------------------------------- what happens

    def _take(self, event: Event) -> None:
        match event:
            case MailboxOpened():
                self._open(event)
            case InputEnded():
                self._input_ended = True
            case BatchAnswered():
                self._answered(event.batch, event.answer)
            case BatchLost() if event.batch in self._flights:
                self._give(self._results.lost(self._flights.land(event.batch), event, self._now))
            case BatchLost():
                self._flights.land_late(event.batch)
            case TokenRenewed():
                self._token.renewed(self._now)
                self._open_mailboxes.place_all(self._token.released(), self._now)
            case StopRequested():
                self._stopping = True
            case Held():
                self._held_until = self._now + event.for_s
                self._eta.held(self._now)
            case Released():
                self._held_until = None
                self._eta.released(self._now)
                self._breaker.rested()
            case QuotaChanged():
                self._batching.share(event.requests_per_s if event.connections else 0.0, self._now)
                self._connections.share(event.connections)
                self._flights.share(event.connections)
            case AskedToWait():
                self._give(self._results.told_to_wait(event, self._now))
            case _:
                assert_never(event)

    def _answered(self, batch: int, answer: Answer) -> None:
        """Take in an answer. It may be late: the batch may have been given up."""
        in_time = batch in self._flights
        flight = self._flights.land(batch) if in_time else self._flights.land_late(batch)
        if flight is None:
            return  # too many others were waited for
        if answer.replies is not None:
            self._flights.answered(flight, self._now)
        if in_time:
            self._give(self._results.answered(flight, answer, self._now, len(self._flights)))
        else:
            self._give(self._results.late(flight, answer, self._now))

    def _give_up_overdue(self) -> None:
        """Give up the calls whose answer is overdue: their rows may be sent again, and their places are free."""
        for flight, waited_s in self._flights.overdue(self._now):
            batch = flight.batch.number
            reason = f"No answer came within {round(waited_s, 1):g} s."
            self._out.append(GivenUp(batch, reason))
            self._give(self._results.lost(flight, BatchLost(batch, sent=True, reason=reason), self._now))
        for batch in self._flights.too_many_late():
            self._out.append(Abandon(batch))

    def _open(self, event: MailboxOpened) -> None:
        mailbox = Mailbox.from_ledger(event, self._limits, self._cooldown, self._now)
        self._batching.unread = max(0, self._batching.unread - mailbox.remaining)
        if event.blocked_for_s > self._limits.retry_after_s_max:
            self._out.append(Record(self._settler.give_up(mailbox).entries))
        else:
            self._open_mailboxes.open(mailbox, self._now)

    def _give(self, commands: list[Command]) -> None:
        """Add commands to those that are returned. A run halts only once, for the first reason."""
        for command in commands:
            if isinstance(command, Halt):
                self._halt(command.reason, command.reply)
            else:
                self._out.append(command)

    def _look_at_suspects(self) -> None:
        """Decide about the mailboxes that answer 401 to a fresh token, once no other mailbox can show that the token is good.

        If other mailboxes went through in this run, the suspects are closed. The run halts if none did, if a suspect itself went
        through earlier, or if there are too many suspects: then the 401 is about the app.
        """
        suspects = self._token.suspects
        if not suspects or self._stopping or self._token.awaited:
            return
        reply = next(reversed(suspects.values())).refusal
        if len(suspects) >= self._limits.suspects_max:
            self._halt(HaltReason.UNAUTHORIZED, reply)
        elif not self._flights and self._input_ended and len(suspects) == len(self._open_mailboxes):
            if not self._token.ever_proven or any(mailbox.experience.went_through for mailbox in suspects.values()):
                self._halt(HaltReason.UNAUTHORIZED, reply)
                return
            for mailbox in self._token.released():
                self._out.append(Record(self._settler.close_suspect(mailbox).entries))
                self._open_mailboxes.place(mailbox, self._now)

    def _halt(self, reason: HaltReason, reply: Reply) -> None:
        if not self._stopping:
            self._stopping = True
            self._out.append(Halt(reason, reply, self._token.claims))

    def _halt_on_outage(self) -> None:
        if self._held_until is None and self._breaker.is_outage(self._limits):
            self._halt(HaltReason.OUTAGE, self._breaker.last_failure)

    # ------------------------------------------------------------------------------------------------ what to send next

    def _fill(self) -> None:
        """Send as many batches as may leave now."""
        self._batching.refill(self._now)
        while self._may_send():
            flight = self._batching.next_batch(self._now, self._token.generation, others_in_flight=bool(self._flights))
            if flight is None:
                break
            batch = flight.batch
            self._flights.add(flight)
            assert len(self._flights) <= self._limits.connections, "more batches in flight than connections"
            self._out.append(Record((BatchSent(batch.number, batch.client_request_id, batch.shares),)))
            self._out.append(Send(batch))
        self._flights.idle = self._may_send() and not self._open_mailboxes.has_ready and not self._batching.unread

    def _works(self) -> bool:
        """Return True while calls are in flight, or all of them are held back for a while, so that time counts for the pace."""
        return bool(self._flights) or (
            self._held_until is None
            and (self._breaker.asks_to_wait(self._now) or self._batching.app_rate.per_s is not None)
        )

    def _may_send(self) -> bool:
        return (
            not self._stopping
            and self._held_until is None
            and not self._token.awaited
            and self._batching.allowed
            and self._breaker.places(len(self._flights), self._now) > 0
        )
