"""Takes in the result of each batch: sub-responses, a refusal of the whole batch, or no answer.

The `Settler` settles the rows, and each `Mailbox` changes itself. This module decides what a result means for the whole run. It
returns commands and keeps none of them for later.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import NamedTuple

from purgeengine.core.forecast.call_times import CallTimes
from purgeengine.core.forecast.situation import CallCounts
from purgeengine.core.graph.verdicts import Verdict, judge_batch
from purgeengine.core.limits.circuit_breaker import CircuitBreaker
from purgeengine.core.limits.concurrency_limit import ConcurrencyLimit
from purgeengine.core.limits.experience import PATIENT_ANSWERS_MAX
from purgeengine.core.limits.lost_calls import LostCallCooldown
from purgeengine.core.messages import (
    AskedToWait,
    BatchEnded,
    BatchLost,
    Command,
    Entry,
    Halt,
    HaltReason,
    Record,
    RunBlocked,
)
from purgeengine.core.model import NOT_FROM_GRAPH, Answer, Reply
from purgeengine.core.scheduling.app_refusals import tell_app_rate
from purgeengine.core.scheduling.batching import Batching
from purgeengine.core.scheduling.flights import Flight
from purgeengine.core.scheduling.open_mailboxes import OpenMailboxes
from purgeengine.core.scheduling.settlement import Settlement, Settler
from purgeengine.core.scheduling.token_watch import TokenStep, TokenWatch
from purgeengine.run_limits import Limits

NOT_ATTEMPTED_WAIT_S = 1.0
"""Seconds before the rows of a call are sent again that Graph did not attempt as a whole (424)."""
REFUSED_ALONE_MAX = 20
"""Batches of one row that Graph may refuse as a whole, one after the other, without an answered batch between them. One full
batch cannot hold more rows that spoil it. More refusals are not about the rows, and the run stops."""


NOTHING = Settlement(())


class Result(NamedTuple):
    """What the result of a batch leads to: its settlement, waits of the whole run, and reasons why the run must stop."""

    settlement: Settlement
    waits: tuple[RunBlocked, ...] = ()
    halts: tuple[Halt, ...] = ()


class BatchResults:
    """Turns the result of a batch into commands, and changes what all batches share.

    Shared are the circuit breaker, the concurrency limit, the fanout, the cooldown, the token and the forecast.
    """

    def __init__(
        self,
        limits: Limits,
        settler: Settler,
        *,
        breaker: CircuitBreaker,
        connections: ConcurrencyLimit,
        cooldown: LostCallCooldown,
        token: TokenWatch,
        open_mailboxes: OpenMailboxes,
        batching: Batching,
        recent_calls: CallTimes,
        all_calls: CallTimes,
    ) -> None:
        self._limits = limits
        self._settler = settler
        self._breaker = breaker
        self._connections = connections
        self._cooldown = cooldown
        self._token = token
        self._open_mailboxes = open_mailboxes
        self._batching = batching
        self._recent_calls = recent_calls
        self._all_calls = all_calls
        self._refused_alone = 0
        self.throttled = 0
        """Sub-requests that were refused as too fast (429), over the whole run."""
        self.unanswered = 0
        """Sub-requests whose call got no answer, over the whole run."""
        self._calls_answered = self._calls_lost = 0
        self._lost_after_s = 0.0
        self.answered_at = -inf
        """When a call was answered last, in monotonic seconds."""

    @property
    def calls(self) -> CallCounts:
        """How the calls of the run ended so far. A call that never left does not count."""
        return CallCounts(self._calls_answered, self._calls_lost, self._lost_after_s)

    def cooldown_s(self, *, lane: bool) -> float:
        """Return the seconds from the sending of a lost batch, or lane, in which it may hold slots of its mailboxes."""
        return self._cooldown.length_of_s(lane=lane)

    def answered(self, flight: Flight, answer: Answer, now: float, in_flight: int) -> list[Command]:
        """Take in Graph's answer to a batch. ``in_flight`` counts the other batches in flight."""
        if answer.replies is None:
            result = self._refused(flight, answer.outer, answer.claims, now)
        else:
            result = self._settled(flight, answer, now, in_flight)
        ended = BatchEnded(flight.batch.number, answer.outer.status, answer.request_id)
        return self._landed(flight, ended, result, now)

    def lost(self, flight: Flight, event: BatchLost, now: float) -> list[Command]:
        """Take in that no usable answer to a batch came."""
        if not event.held:
            self._breaker.failed(now, Reply(0, NOT_FROM_GRAPH if event.intercepted else "", event.reason))
        if event.sent:
            settlement = self._in_doubt(flight, Reply(0, message=event.reason), now, running=event.running)
        else:
            settlement = self._settler.settle_never_sent(flight, now)
            self._forget_probes(flight)
        return self._landed(flight, BatchEnded(flight.batch.number, None, ""), Result(settlement), now)

    def late(self, flight: Flight, answer: Answer, now: float) -> list[Command]:
        """Take in Graph's answer to a batch that had been given up. Its rows are in flight again, wait, or have their outcome."""
        if answer.outer.from_graph:
            self._breaker.heard()
        waits, halts = self._asked_to_wait(answer.outer, now)
        settlement = NOTHING
        if answer.replies is not None:
            self._breaker.answered()
            if self._cooldown.timed(now - flight.sent_at):
                self._open_mailboxes.reconsider(now)
            settlement = self._settler.settle_late(flight, answer, now)
            if settlement.news.went_through:
                self._token.proven(flight.token_generation)
                self._token.went_through()
                if flight.token_generation == self._token.generation:
                    self._open_mailboxes.place_all(self._token.released(), now)
            for mailbox, _ in flight.shares:
                if not mailbox.remaining:
                    self._token.forget(mailbox)
        self.unanswered += settlement.news.unanswered
        ended = BatchEnded(flight.batch.number, answer.outer.status, answer.request_id, late=True)
        entries = (ended, *waits, *settlement.entries, *self._closed(flight))
        self._open_mailboxes.place_all([mailbox for mailbox, _ in flight.shares], now)
        return [*halts, Record(entries)]

    def _closed(self, flight: Flight) -> list[Entry]:
        """Close those of its mailboxes that are to be closed and have nothing in flight, and return the entries of that."""
        return [
            entry
            for mailbox, _ in flight.shares
            if mailbox.closing is not None and mailbox.closes_now
            for entry in self._settler.close(mailbox).entries
        ]

    def _landed(self, flight: Flight, ended: BatchEnded, result: Result, now: float) -> list[Command]:
        """Record the end of the batch. Its mailboxes may now be in another batch, or close."""
        news = result.settlement.news
        self.throttled += sum(news.throttled)
        self.unanswered += news.unanswered
        if news.unanswered:
            self._calls_lost += 1
            self._lost_after_s += now - flight.sent_at
        elif ended.status is not None:
            self._calls_answered += 1
            self.answered_at = now
        entries = (ended, *result.waits, *result.settlement.entries, *self._closed(flight))
        self._batching.landed(flight, lost=news.unanswered > 0)
        for mailbox, _ in flight.shares:
            self._open_mailboxes.place(mailbox, now)
        return [*result.halts, Record(entries)]

    # ------------------------------------------------------------------------------------------------- sub-responses

    def _settled(self, flight: Flight, answer: Answer, now: float, in_flight: int) -> Result:
        self._breaker.answered()
        self._refused_alone = 0
        if self._cooldown.timed(now - flight.sent_at):
            self._open_mailboxes.reconsider(now)
        waits, halts = self._asked_to_wait(answer.outer, now)
        flight.app_wait_s = tell_app_rate(self._batching.app_rate, flight, answer, now, self._batching.fanout.decided)
        settlement = self._settler.settle(flight, answer, now)
        if flight.app_wait_s is not None:
            self._forget_probes(flight)
        elif not flight.batch.lane:
            self._tell_fanout(flight, answer.replies or {}, settlement.news.throttled)
        self._time(flight, settlement, now, in_flight)
        return Result(settlement, waits, halts + self._heed(flight, settlement, answer.claims, now))

    def _tell_fanout(self, flight: Flight, replies: Mapping[int, Reply | None], throttled: tuple[int, ...]) -> None:
        """Tell the fanout what became of the rows of each mailbox."""
        first = 0
        for index, (_, attempts) in enumerate(flight.shares):
            rows = len(attempts)
            numbers = range(first, first + rows)
            first = numbers.stop
            if rows > self._limits.mailbox_concurrent_max:
                refused = throttled[index] if throttled else 0
                silent = sum(_is_silent(replies.get(number)) for number in numbers)
                self._batching.fanout.answered(rows, refused, min(silent, rows - refused))

    def _heed(self, flight: Flight, settlement: Settlement, claims: str, now: float) -> tuple[Halt, ...]:
        """Act on replies that say something about the app or the token, not only about their mailbox."""
        news = settlement.news
        halts: tuple[Halt, ...] = ()
        if news.app_refused is not None:
            halts += (Halt(HaltReason.REFUSED_APP, news.app_refused),)
        if news.no_such_action is not None:
            halts += (Halt(HaltReason.NO_SUCH_ACTION, news.no_such_action),)
        if news.proven:
            self._open_mailboxes.place_all(self._token.released(), now)
        if news.token_refused is not None:
            halts += self._token_refused(flight, news.token_refused, claims)
        if news.went_through:
            self._token.went_through()
        return halts

    def _time(self, flight: Flight, settlement: Settlement, now: float, in_flight: int) -> None:
        """Learn how long calls take. An answer that refused rows came quickly for another reason, and is ignored."""
        duration_s, news = now - flight.sent_at, settlement.news
        if flight.batch.lane:
            tried = max(1, flight.size - news.unsent)
            self._recent_calls.lane_answered(tried, duration_s)
            self._all_calls.lane_answered(tried, duration_s)
            expected_s = self._recent_calls.assumed_lane_s(tried)
        elif news.throttled:
            return
        else:
            self._recent_calls.batch_answered(flight.size, duration_s)
            self._all_calls.batch_answered(flight.size, duration_s)
            expected_s = self._recent_calls.assumed_batch_s(flight.size, self._batching.plan.dispatch)
        self._connections.answered(now, flight.sent_at, expected_s=expected_s, in_flight=in_flight + 1)

    # ------------------------------------------------------------------------------------------- the batch as a whole

    def _refused(self, flight: Flight, outer: Reply, claims: str, now: float) -> Result:
        """Take in that Graph, or something in between, answered the batch without sub-responses."""
        verdict = judge_batch(outer)
        if outer.from_graph:
            self._breaker.heard()
        self._connections.refused(now, flight.sent_at, outer.status)
        if verdict in (Verdict.FAULT, Verdict.INTERCEPTED, Verdict.NOT_ATTEMPTED):
            self._breaker.failed(now, outer)
        if verdict is Verdict.THROTTLED:
            wait_s = self._breaker.throttled(now, outer, flight.sent_at)
            waits, halts = self._asked_to_wait(outer._replace(retry_after_s=wait_s), now, reported=outer)
        else:
            waits, halts = self._asked_to_wait(outer, now)
        if verdict is Verdict.FAULT:
            return Result(self._in_doubt(flight, outer, now, running=True), waits, halts)
        self._forget_probes(flight)
        settlement, more = self._refused_for(verdict, flight, outer, claims, now)
        # The run halts for the first reason: after a 429 the wait that is too long, else the reason in the answer.
        return Result(settlement, waits, halts + more if verdict is Verdict.THROTTLED else more + halts)

    def _refused_for(
        self, verdict: Verdict, flight: Flight, outer: Reply, claims: str, now: float
    ) -> tuple[Settlement, tuple[Halt, ...]]:
        """Settle a refused batch by its verdict, and say whether the run must stop.

        The cases, in order: the whole run was too fast for too long; the batch was not attempted; something in the batch is wrong
        (a lane, several rows, one row); the answer was not Graph's; the app or its token is refused; the run was too fast.
        """
        settler = self._settler
        match verdict:
            case Verdict.THROTTLED if self._breaker.refused_in_a_row >= PATIENT_ANSWERS_MAX:
                return settler.settle_refused(flight, outer, now), (Halt(HaltReason.THROTTLED, outer),)
            case Verdict.NOT_ATTEMPTED:
                return settler.settle_refused(flight, outer, now, NOT_ATTEMPTED_WAIT_S), ()
            case Verdict.REFUSED if flight.batch.lane and flight.size > 1:
                self._batching.lanes_work = False  # if a row was wrong instead, an unordered batch will show it
                return settler.settle_refused(flight, outer, now), ()
            case Verdict.REFUSED if flight.size > 1:
                settlement = settler.settle_one_by_one(flight, now)
                for mailbox, attempts in flight.shares:
                    self._open_mailboxes.send_alone(mailbox, len(attempts))
                return settlement, ()
            case Verdict.REFUSED if self._refused_alone >= REFUSED_ALONE_MAX:
                return settler.settle_refused(flight, outer, now), (Halt(HaltReason.BATCHES_REFUSED, outer),)
            case Verdict.REFUSED:
                self._refused_alone += 1
                return settler.settle_for_good(flight, outer, now), ()
            case Verdict.INTERCEPTED:
                return settler.settle_intercepted(flight, outer, now, counted=not self._breaker.probing), ()
            case Verdict.APP_REFUSED:
                return settler.settle_refused(flight, outer, now), (Halt(HaltReason.REFUSED_APP, outer),)
            case Verdict.TOKEN_REFUSED:
                settlement = settler.settle_refused(flight, outer, now)
                return settlement, self._token_refused(flight, outer, claims)
            case _:
                return settler.settle_refused(flight, outer, now), ()

    def _in_doubt(self, flight: Flight, reply: Reply, now: float, *, running: bool) -> Settlement:
        """Settle a batch that may have been carried out. While the service may still be ``running`` it, it holds its slots."""
        cooldown_s = self._cooldown.length_of_s(lane=flight.batch.lane) if running else None
        self._forget_probes(flight)
        return self._settler.settle_lost(flight, reply, now, counted=not self._breaker.probing, cooldown_s=cooldown_s)

    def _forget_probes(self, flight: Flight) -> None:
        """Tell the fanout that the batch has shown nothing about it."""
        for _, attempts in flight.shares:
            self._batching.fanout.lost(len(attempts))

    # ------------------------------------------------------------------------------------------------------ the run

    def _asked_to_wait(
        self, outer: Reply, now: float, reported: Reply | None = None
    ) -> tuple[tuple[RunBlocked, ...], tuple[Halt, ...]]:
        """Obey a Retry-After of the whole call, whatever else the answer says.

        A wait that is longer than the limits allow stops the run. ``reported`` is the reply that the reason shows, if it is not
        ``outer``.
        """
        for_s = outer.retry_after_s
        if for_s is None:
            return (), ()
        self._breaker.asked_to_wait(now, for_s)
        too_long = for_s > self._limits.retry_after_s_max
        return (RunBlocked(for_s),), (Halt(HaltReason.WAIT_TOO_LONG, reported or outer),) if too_long else ()

    def told_to_wait(self, event: AskedToWait, now: float) -> list[Command]:
        """Obey a wait that Graph asked of another run of the same app, as if it had been asked of this one."""
        if event.cut:
            self._connections.cut_with(now)
        waits, halts = self._asked_to_wait(Reply(429, retry_after_s=event.for_s), now)
        return [*halts, Record(tuple(wait._replace(passed_on=True) for wait in waits))]

    def _token_refused(self, flight: Flight, reply: Reply, claims: str) -> tuple[Halt, ...]:
        step = self._token.refused(flight.token_generation, flight.batch.number, claims)
        return (Halt(HaltReason.REFUSED_APP, reply),) if step is TokenStep.GIVE_UP else ()


def _is_silent(reply: Reply | None) -> bool:
    """Return True if the service may not have run the row, for a reason that has nothing to do with the others."""
    return reply is None or reply.status >= 500 or reply.status in (401, 408, 424)
