"""The state machine: what to send next, to whom, and what an answer means for the rows it speaks of.

Told events and `now`, it answers with commands. It knows counts and positions, never names or ids; it reads no clock and sleeps on
nothing: a wait is an instant, and `wake_at` says which comes next. Same events, same `now`, same seed: same commands. What
Graph says is data; what we did wrong is an assertion.
"""

from __future__ import annotations

import random
from math import inf
from typing import assert_never

from purgeengine.core.forecast.eta import Eta
from purgeengine.core.graph.operations import PERMANENT, Operation
from purgeengine.core.graph.verdicts import Verdict, judge_batch
from purgeengine.core.limits.backoff import Backoff
from purgeengine.core.limits.circuit_breaker import CircuitBreaker
from purgeengine.core.limits.concurrency_limit import ConcurrencyLimit
from purgeengine.core.limits.lost_calls import LostCallCooldown
from purgeengine.core.limits.window import Window
from purgeengine.core.messages import (
    BatchAnswered,
    BatchLost,
    BatchSent,
    Command,
    Event,
    Halt,
    HaltReason,
    Held,
    InputEnded,
    MailboxOpened,
    Record,
    Released,
    RunBlocked,
    Send,
    StopRequested,
    TokenRenewed,
)
from purgeengine.core.model import NOT_FROM_GRAPH, Answer, Reply
from purgeengine.core.scheduling.batching import Batching
from purgeengine.core.scheduling.experience import PATIENT_ANSWERS_MAX
from purgeengine.core.scheduling.flight import Flight
from purgeengine.core.scheduling.mailbox import Mailbox
from purgeengine.core.scheduling.open_mailboxes import OpenMailboxes
from purgeengine.core.scheduling.settlement import Settlement
from purgeengine.core.scheduling.token_watch import TokenStep, TokenWatch
from purgeengine.core.scheduling.view import View
from purgeengine.run_limits import Limits

NOT_ATTEMPTED_WAIT_S = 1.0
"""Seconds before a call is sent again that was not attempted as a whole (424)."""


HEEDED_FIRST = (Verdict.THROTTLED, Verdict.INTERCEPTED)
"""Verdicts whose wait is heeded where they are carried out."""
REFUSED_ALONE_MAX = 20
"""Batches of a single row that Graph may refuse as a whole, one after the other, none answered in between. More than a full batch
of rows that spoil theirs cannot be: it is not the rows then, and the run stops."""


class Scheduler:
    """Feed it with `handle`; carry out what it answers, in order."""

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
    ) -> None:
        """``rows_left`` are all rows that will be told of; the plan needs to know what is still to come.

        A token that is not ``token_renewable`` is not renewed for a single mailbox's 401.
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
        self._settlement = Settlement(limits, self._backoff, operation.verdicts, self._token)
        self._open_mailboxes = OpenMailboxes(limits)
        self._batching = Batching(
            limits, rng, self._open_mailboxes, self._connections, now=now, first_batch=first_batch, unread=rows_left
        )
        self._eta = Eta(limits, now)
        self._flights: dict[int, Flight] = {}
        self._refused_alone = 0
        self._input_ended = False
        self._stopping = False
        self._held_until: float | None = None
        self._out: list[Command] = []

    # ------------------------------------------------------------------------------------------------ what it is asked

    def handle(self, *events: Event, now: float) -> list[Command]:
        """Take in what happened until ``now`` (which never runs backwards) and answer what to do."""
        self._now = max(self._now, now)
        for event in events:
            self._take(event)
        self._open_mailboxes.wake(self._now)
        self._halt_on_outage()
        self._look_at_suspects()
        if (renewal := self._token.renewal()) is not None:
            self._out.append(renewal)
        self._fill()
        commands, self._out = self._out, []
        return commands

    @property
    def room(self) -> int:
        """How many more mailboxes it would open now; bounds its memory."""
        if self._input_ended or self._stopping:
            return 0
        return self._open_mailboxes.room(len(self._token.suspects))

    @property
    def finished(self) -> bool:
        """Nothing is in flight, and nothing is left to send or may be sent."""
        return not self._flights and (self._stopping or (self._input_ended and not len(self._open_mailboxes)))

    @property
    def in_flight(self) -> int:
        """Batches sent and not yet answered."""
        return len(self._flights)

    def overheard(self, answer: Answer, now: float) -> None:
        """Heed the wait of an answer that was read, and that `handle` will be given with the next turn.

        A batch that was decided on and has not left must wait as well: see `may_leave`.
        """
        if answer.outer.retry_after_s is not None:
            self._breaker.asked_to_wait(now, answer.outer.retry_after_s)

    def may_leave(self, batch: int, now: float) -> bool:
        """Whether a batch that was decided on may still be sent at ``now`` (monotonic seconds).

        False where, since then, sending was suspended, or Graph asked the app or one of the batch's mailboxes to wait.
        """
        return (
            self._held_until is None
            and self._breaker.opens_at <= now
            and all(mailbox.blocked_until <= now for mailbox, _ in self._flights[batch].parts)
        )

    @property
    def fanout(self) -> int | None:
        """Rows of one mailbox that share a batch, once that is known."""
        return self._batching.fanout.decided

    @property
    def connections(self) -> int:
        """Batches that may be in flight at once now."""
        return self._connections.limit

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
            self._settlement,
        )

    def wake_at(self) -> float | None:
        """The next instant that matters, or None when only news can move us."""
        if self._stopping or self._token.awaited:
            return None
        at = self._open_mailboxes.next_timer_at()
        if self._open_mailboxes.has_ready and self._held_until is None:
            if self._breaker.opens_at > self._now:
                at = min(at, self._breaker.opens_at)
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
                self._answered(event)
            case BatchLost():
                self._lost(event)
            case TokenRenewed():
                self._token.renewed(self._now)
                self._release_suspects()
            case StopRequested():
                self._stopping = True
            case Held():
                self._held_until = self._now + event.for_s
                self._eta.held(self._now)
            case Released():
                self._held_until = None
                self._eta.released(self._now)
                self._breaker.rested()
            case _:
                assert_never(event)

    def _open(self, event: MailboxOpened) -> None:
        limits = self._limits
        window = Window(limits.mailbox_requests, limits.mailbox_window_s + limits.window_slack_s)
        for age_s, requests in event.recent:
            window.restore(requests, self._now - age_s)
        mailbox = Mailbox(
            event.mailbox,
            event.next,
            event.end,
            window,
            self._cooldown,
            limits.mailbox_concurrent_max,
            event.doubt_end,
        )
        if event.unsettled:
            mailbox.restore(event.unsettled, self._now)
        self._batching.unread = max(0, self._batching.unread - mailbox.remaining)
        if event.blocked_for_s > limits.retry_after_s_max:
            self._settlement.give_up(mailbox)
            self._out.append(Record(tuple(self._settlement.entries)))
            return
        mailbox.block(self._now + event.blocked_for_s)
        self._open_mailboxes.open(mailbox, self._now)

    def _answered(self, event: BatchAnswered) -> None:
        flight = self._flights.pop(event.batch)
        answer = event.answer
        self._settlement.begin(flight, answer.outer.status, answer.request_id)
        if answer.replies is None:
            self._whole_batch(flight, answer.outer, answer.claims)
        else:
            self._breaker.answered()
            self._refused_alone = 0
            if self._cooldown.timed(self._now - flight.sent_at):
                self._open_mailboxes.reconsider(self._now)
            if answer.outer.retry_after_s is not None:
                self._wait_for_graph(answer.outer.retry_after_s, answer.outer)
            self._settlement.replies(flight, answer.replies, answer.waits, self._now, self._batching.fanout)
            self._time(flight)
            self._heed(flight, answer.claims)
        self._land(flight)

    def _lost(self, event: BatchLost) -> None:
        flight = self._flights.pop(event.batch)
        self._settlement.begin(flight, None, "")
        if not event.held:
            self._breaker.failed(self._now, Reply(0, NOT_FROM_GRAPH if event.intercepted else "", event.reason))
        if event.sent:
            self._in_doubt(flight, Reply(0, message=event.reason), running=event.running)
        else:
            self._settlement.never_sent(flight, self._now)
            for mailbox, attempts in flight.parts:
                self._batching.fanout.lost(len(attempts))
                mailbox.window.never_arrived(len(attempts))
        self._land(flight)

    def _whole_batch(self, flight: Flight, outer: Reply, claims: str) -> None:
        """The cases: too fast; token refused; something in the batch is wrong; the app is refused; the service's trouble."""
        verdict = judge_batch(outer)
        if outer.from_graph:
            self._breaker.heard()
        self._connections.refused(self._now, flight.sent_at, outer.status)
        if verdict is Verdict.FAULT:
            self._breaker.failed(self._now, outer)
            if outer.retry_after_s is not None:
                self._wait_for_graph(outer.retry_after_s, outer)
            self._in_doubt(flight, outer, running=True)
            return
        for mailbox, attempts in flight.parts:
            self._batching.fanout.lost(len(attempts))
            mailbox.window.answered(len(attempts), self._now)
        match verdict:
            case Verdict.THROTTLED:
                self._wait_for_graph(self._breaker.throttled(self._now, outer, flight.sent_at), outer)
                self._settlement.all_returned(flight, outer, self._now)
                if self._breaker.refused_in_a_row >= PATIENT_ANSWERS_MAX:
                    self._halt(HaltReason.THROTTLED, outer)
            case Verdict.NOT_ATTEMPTED:
                self._breaker.failed(self._now, outer)
                self._settlement.all_returned(flight, outer, self._now, NOT_ATTEMPTED_WAIT_S)
            case Verdict.REFUSED if flight.batch.serial and flight.size > 1:
                self._batching.lanes_work = False  # or a row of it is wrong, which an unordered batch will show
                self._settlement.all_returned(flight, outer, self._now)
            case Verdict.REFUSED if flight.size > 1:
                self._settlement.all_alone(flight)
                for mailbox, attempts in flight.parts:
                    for _ in attempts:
                        self._open_mailboxes.send_alone(mailbox)
            case Verdict.REFUSED if self._refused_alone >= REFUSED_ALONE_MAX:
                self._settlement.all_returned(flight, outer, self._now)
                self._halt(HaltReason.BATCHES_REFUSED, outer)
            case Verdict.REFUSED:
                self._refused_alone += 1
                self._settlement.refuse_all(flight, outer)
            case Verdict.INTERCEPTED:
                self._breaker.failed(self._now, outer)
                if outer.retry_after_s is not None:
                    self._wait_for_graph(outer.retry_after_s, outer)
                self._settlement.all_intercepted(flight, outer, self._now, counted=not self._breaker.probing)
            case Verdict.APP_REFUSED:
                self._settlement.all_returned(flight, outer, self._now)
                self._halt(HaltReason.REFUSED_APP, outer)
            case _:
                self._settlement.all_returned(flight, outer, self._now)
                if verdict is Verdict.TOKEN_REFUSED:
                    self._token_refused(flight, outer, claims)
        if verdict not in HEEDED_FIRST and outer.retry_after_s is not None:
            self._wait_for_graph(outer.retry_after_s, outer)

    def _in_doubt(self, flight: Flight, reply: Reply, *, running: bool) -> None:
        """Perhaps carried out. While the service may still be at it, its mailboxes wait as long as that may take."""
        lane = flight.batch.serial
        quarantine_s = self._cooldown.length_of_s(lane=lane) if running else 0.0
        self._settlement.all_in_doubt(flight, reply, self._now, counted=not self._breaker.probing)
        for mailbox, attempts in flight.parts:
            self._batching.fanout.lost(len(attempts))
            mailbox.window.answered(len(attempts), self._now + quarantine_s)
            if running:
                self._settlement.cooldown(mailbox, self._now, quarantine_s, lane=lane)

    def _heed(self, flight: Flight, claims: str) -> None:
        """What single replies say about more than their mailbox."""
        said = self._settlement.said
        if said.app_refused is not None:
            self._halt(HaltReason.REFUSED_APP, said.app_refused)
        if said.no_such_action is not None:
            self._halt(HaltReason.NO_SUCH_ACTION, said.no_such_action)
        if said.proven:
            self._release_suspects()
        if said.token_refused is not None:
            self._token_refused(flight, said.token_refused, claims)
        if said.went_through:
            self._token.went_through()

    def _land(self, flight: Flight) -> None:
        """The batch is history: its mailboxes may be in another."""
        lane = flight.batch.serial
        for mailbox, attempts in flight.parts:
            mailbox.landed(len(attempts), lane=lane)
            if mailbox.closing is not None and not mailbox.in_flight:
                self._settlement.close(mailbox)
        self._batching.landed(flight)
        self._out.append(Record(tuple(self._settlement.entries)))
        for mailbox, _ in flight.parts:
            self._open_mailboxes.place(mailbox, self._now)

    def _time(self, flight: Flight) -> None:
        """What an answer shows of how long calls take; one that refused rows was quick for another reason."""
        duration_s, said, pace = self._now - flight.sent_at, self._settlement.said, self._batching.plan.pace
        if flight.batch.serial:
            tried = max(1, flight.size - said.unsent)
            pace.timed_lane(tried, duration_s)
            self._eta.lane(tried, duration_s)
            expected_s = pace.assumed_lane_s(tried)
        elif said.refused:
            return
        else:
            pace.timed(flight.size, duration_s)
            self._eta.call(flight.size, duration_s)
            expected_s = pace.assumed_call_s(flight.size)
        in_flight = len(self._flights) + 1
        self._connections.answered(self._now, flight.sent_at, expected_s=expected_s, in_flight=in_flight)

    def _token_refused(self, flight: Flight, reply: Reply, claims: str) -> None:
        if self._token.refused(flight.token_generation, flight.batch.number, claims) is TokenStep.GIVE_UP:
            self._halt(HaltReason.REFUSED_APP, reply)

    def _release_suspects(self) -> None:
        """The token is good, or there is another: ask them again."""
        for mailbox in self._token.released():
            self._open_mailboxes.place(mailbox, self._now)

    def _look_at_suspects(self) -> None:
        """Decide about the mailboxes that answer 401 to a fresh token, once no other mailbox can show that the token is good.

        Where others went through earlier in this run, with a token that these were refused as well, it is the mailboxes.
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
                self._settlement.close_suspect(mailbox)
                self._out.append(Record(tuple(self._settlement.entries)))
                self._open_mailboxes.place(mailbox, self._now)

    def _wait_for_graph(self, for_s: float, reply: Reply) -> None:
        if for_s > self._limits.retry_after_s_max:
            self._halt(HaltReason.WAIT_TOO_LONG, reply)
        self._breaker.asked_to_wait(self._now, for_s)
        self._settlement.entries.append(RunBlocked(for_s))

    def _halt(self, reason: HaltReason, reply: Reply) -> None:
        if not self._stopping:
            self._stopping = True
            self._out.append(Halt(reason, reply, self._token.claims))

    def _halt_on_outage(self) -> None:
        limits = self._limits
        allowed_s = limits.outage_s_max
        if not self._breaker.was_heard:
            allowed_s = min(allowed_s, limits.first_outage_s_max)
        if self._breaker.walled_off:
            allowed_s = min(allowed_s, limits.walled_off_s_max)
        if self._held_until is None and self._breaker.failing_s > allowed_s:
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
            self._flights[batch.number] = flight
            assert len(self._flights) <= self._limits.connections, "more batches in flight than connections"
            self._out.append(Record((BatchSent(batch.number, batch.client_request_id, batch.parts),)))
            self._out.append(Send(batch))

    def _may_send(self) -> bool:
        return (
            not self._stopping
            and self._held_until is None
            and not self._token.awaited
            and self._batching.allowed
            and self._breaker.places(len(self._flights), self._now) > 0
        )
