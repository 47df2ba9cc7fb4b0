"""Carries one batch to Graph: encodes it, gets its token, posts it, and turns the answer into an event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from purgeengine import log_events
from purgeengine.core.graph.decode import decode_answer
from purgeengine.core.graph.encode import encode_batch
from purgeengine.core.graph.operations import Operation
from purgeengine.core.messages import BatchAnswered, BatchLost
from purgeengine.core.model import Batch
from purgeengine.core.scheduling.flights import ranges_of
from purgeengine.core.scheduling.scheduler import Scheduler
from purgeengine.engine.errands import Errands
from purgeengine.engine.ports import UNOBSERVED, Clock, LedgerPort, Observer, RawAnswer, Tokens, Transport
from purgeengine.errors import HeldBack, Intercepted, NoAnswer, NotSent

INTERCEPTORS_LOGGED_MAX = 20
"""The most different answers that one run logs from something between here and Graph. They differ by status and page."""


class BatchSender:
    """Sends batches. Only the scheduler says whether a batch may still leave, and what an answer means."""

    def __init__(
        self,
        scheduler: Scheduler,
        errands: Errands,
        *,
        ledger: LedgerPort,
        transport: Transport,
        tokens: Tokens,
        clock: Clock,
        operation: Operation,
        on_leave: Callable[[], None],
        log: Any,
        allowed_now: Callable[[], bool] = lambda: True,
        observer: Observer = UNOBSERVED,
    ) -> None:
        """``on_leave`` is called whenever a batch leaves, because its time runs from then on.

        ``allowed_now`` is asked just before a batch would leave, because the hours may have ended since it was decided on.
        """
        self._scheduler = scheduler
        self._errands = errands
        self._ledger = ledger
        self._transport = transport
        self._tokens = tokens
        self._clock = clock
        self._operation = operation
        self._on_leave = on_leave
        self._allowed_now = allowed_now
        self._observer = observer
        self._left_with: dict[int, str] = {}
        self._given_up: set[int] = set()
        self._interceptors: set[str] = set()
        self._log = log

    def encode(self, batch: Batch) -> bytes:
        """Return the body of the batch. Raises `LedgerError` if its rows cannot be read."""
        return encode_batch(self._ledger.folder_rows(ranges_of(batch)), self._operation, lane=batch.lane)

    async def send(self, batch: Batch, body: bytes) -> BatchAnswered | BatchLost:
        """Post the batch, and return its end as an event.

        Raises `PurgeEngineError` if no batch can leave at all: no token can be had, or a proxy refuses every call.
        """
        try:
            token = await self._errands.before_sending(self._tokens.token())
            now = self._clock.monotonic()
            if not self._allowed_now():
                return held_back(batch, "The hours for sending ended before it left.")
            if not self._scheduler.may_leave(batch.number, now):
                return held_back(batch, "The wait came before it left.")
            self._left_with[batch.number] = token
            self._on_leave()
            self._observer.call_left(batch, now)
            raw = await self._transport.post(body, batch.client_request_id, token)
        except HeldBack as error:
            return held_back(batch, str(error))
        except NotSent as error:
            return self.lost(batch, error, sent=False)
        except NoAnswer as error:
            return self.lost(batch, error, sent=True)
        return self._read(batch, raw)

    def lost(self, batch: Batch, error: Exception, *, sent: bool, running: bool = True) -> BatchLost:
        """Log the reason now, because the ledger records only that no answer arrived, and return the event."""
        if batch.number not in self._given_up:
            self._log.warning(log_events.BATCH_LOST, batch=batch.number, reason=str(error))
        return BatchLost(batch.number, sent=sent, reason=str(error), running=running)

    def given_up(self, batch: int, reason: str) -> None:
        """Log why the batch was given up. What else goes wrong with its call is not logged."""
        self._log.warning(log_events.BATCH_LOST, batch=batch, reason=reason)
        self._given_up.add(batch)

    def token_of(self, batch: int) -> str:
        """Return the token that the batch left with. It is known until `forget`."""
        return self._left_with[batch]

    def forget(self, batch: int) -> None:
        """Forget the token of this batch, whose end the scheduler has handled."""
        self._left_with.pop(batch, None)
        self._given_up.discard(batch)

    def _read(self, batch: Batch, raw: RawAnswer) -> BatchAnswered | BatchLost:
        try:
            answer = decode_answer(raw.status, raw.headers, raw.body, batch.size, raw.received_utc, self._operation)
        except Intercepted as error:
            self._log_interceptor(str(error))
            return BatchLost(batch.number, sent=True, reason=str(error), running=False, intercepted=True)
        except NoAnswer as error:
            return self.lost(batch, error, sent=True, running=False)
        if not answer.outer.from_graph:
            self._log_interceptor(answer.outer.message)
        self._scheduler.overheard(answer, self._clock.monotonic())
        return BatchAnswered(batch.number, answer)

    def _log_interceptor(self, message: str) -> None:
        """Log each different answer once, because every call may get it."""
        if message not in self._interceptors and len(self._interceptors) < INTERCEPTORS_LOGGED_MAX:
            self._interceptors.add(message)
            self._log.warning(log_events.ANSWER_INTERCEPTED, said=message)


def held_back(batch: Batch, reason: str) -> BatchLost:
    """Return the event of a batch that was decided on and that we kept. Its loss says nothing about the service."""
    return BatchLost(batch.number, sent=False, reason=reason, held=True)
