"""Counts what a run does, cheaply: all figures of `metric_table`, to be read from any thread at any time.

What happens is only noted at first, and counted for many calls at once, or as soon as somebody reads. A call is counted four times
faster with others than alone, because the code that counts it is in the caches of the processor by then.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol
from urllib.parse import urlsplit

from purgeengine import log_events, logs
from purgeengine.core.messages import (
    BatchAnswered,
    BatchEnded,
    BatchLost,
    Entry,
    MailboxBlocked,
    MailboxClosed,
    RunBlocked,
    Settled,
)
from purgeengine.core.model import PURGED_REPLY, Batch, Outcome, Reply
from purgeengine.edges.telemetry import metric_table as table
from purgeengine.edges.telemetry.ended_call import OTHER, CallEnd, EndedCall, error_of, error_of_status, why_lost
from purgeengine.edges.telemetry.histogram import Histogram
from purgeengine.edges.telemetry.metric_table import Metric
from purgeengine.edges.telemetry.run_gauges import RunGauges

STATUSES_MAX = 40
"""The most different ends of calls, and of sub-requests, that are counted apart. Graph has about fifteen statuses; a proxy may make
up hundreds, and each would be a time series of its own."""
NOTED_MAX = 64
"""Calls, and turns, that are noted before they are counted: a second of a fast run, and less than 1 MB of batches and answers."""
Labels = tuple[str | int | None, ...]
"""The values of a metric's attributes, in the order of the table. None where there is none."""
_MAILBOX, _APP = ("mailbox",), ("app",)
_PURGED: CallEnd = (PURGED_REPLY.status, None)
_OTHERS: CallEnd = (None, OTHER)


Value = float | Histogram


class Listener(Protocol):
    """Is told of single calls, for systems that want more than counts."""

    def call_ended(self, call: EndedCall) -> None:
        """A call to Graph has ended. It is told at the next count, in any thread, but never in two at once."""


class Measurements:
    """The engine's `Observer` for those who watch a run from outside. No mistake of it or of a listener reaches the run."""

    def __init__(self, utc: Callable[[], float] = time.time) -> None:
        self._utc = utc
        self._listeners: list[Listener] = []
        self._broken = False
        self._counting = threading.Lock()
        self._ends: deque[tuple[Batch, BatchAnswered | BatchLost | None, float, int]] = deque()
        """Calls that have ended and are not counted: batch, end, duration in seconds, and when it ended in ns since 1970."""
        self._turns: deque[tuple[Sequence[Entry], float]] = deque()
        """Turns that are recorded and not counted: their entries, and how many seconds the ledger took."""
        self._left_at: dict[int, float] = {}
        """Calls that have left and have not ended: at most twice the connections."""
        self._url: str | None = None
        self._host: str | None = None
        self._port: int | None = None
        self._rows = dict.fromkeys(Outcome, 0)
        self._subrequests: dict[CallEnd, int] = {_PURGED: 0}
        self._calls: dict[CallEnd, Histogram] = {}
        self._waits: dict[Labels, Histogram] = {
            scope: Histogram(table.WAIT_DURATION.bounds) for scope in (_MAILBOX, _APP)
        }
        self._commits = Histogram(table.COMMIT_DURATION.bounds)
        self._calls_lost = 0
        self._mailboxes_closed = 0
        self._started_utc = utc()
        self._ended_utc: float | None = None
        self._exit_code: int | None = None
        self.gauges: RunGauges | None = None
        """How the run stood when it was last looked at; None before it has begun to send."""

    def listen(self, listener: Listener) -> None:
        """Tell this listener of single calls from now on."""
        self._listeners.append(listener)

    def begins(self, batch_url: str) -> None:
        """Note the address that all calls go to."""
        parts = urlsplit(batch_url)
        self._url, self._host = batch_url, parts.hostname
        self._port = parts.port or (443 if parts.scheme == "https" else 80)

    def ended(self, exit_code: int) -> None:
        """Note that the run is over. The first exit code stays."""
        self.count()
        if self._exit_code is None:
            self._exit_code, self._ended_utc = exit_code, self._utc()

    @property
    def address(self) -> dict[str, str | int | None]:
        """The attributes of the address that all calls go to; None until they are known."""
        return {table.HOST: self._host, table.PORT: self._port, "url.full": self._url}

    @property
    def exit_code(self) -> int | None:
        """The exit code of the run. None until it has ended."""
        return self._exit_code

    # ------------------------------------------------------------------------------------------------------- what happens

    def call_left(self, batch: Batch, now: float) -> None:
        """Count the call as being in flight."""
        self._left_at[batch.number] = now

    def call_ended(self, batch: Batch, end: BatchAnswered | BatchLost | None, now: float) -> None:
        """Note the call with its sub-requests."""
        left_at = self._left_at.pop(batch.number, None)
        if left_at is not None and not self._broken:
            self._ends.append((batch, end, now - left_at, time.time_ns()))
            if len(self._ends) >= NOTED_MAX:
                self.count(wait=False)

    def recorded(self, entries: Sequence[Entry], took_s: float) -> None:
        """Note what the ledger has recorded."""
        if not self._broken:
            self._turns.append((entries, took_s))
            if len(self._turns) >= NOTED_MAX:
                self.count(wait=False)

    def count(self, *, wait: bool = True) -> None:
        """Count what was noted. Without ``wait``, nothing is done while another thread counts."""
        if not self._counting.acquire(blocking=wait):
            return
        try:
            while self._ends and not self._broken:
                self._count_call(*self._ends.popleft())
            while self._turns and not self._broken:
                self._count_entries(*self._turns.popleft())
        except Exception as error:
            self.give_up(error)
        finally:
            self._counting.release()

    def _count_call(
        self, batch: Batch, end: BatchAnswered | BatchLost | None, duration_s: float, ended_ns: int
    ) -> None:
        size = batch.size
        if isinstance(end, BatchAnswered):
            answer = end.answer
            status: int | None = answer.outer.status
            error = error_of(answer.outer)
            if answer.replies is None:
                self._count_subrequests((status, error), size)
            else:
                purged = list(answer.replies.values()).count(PURGED_REPLY)  # nearly always all of them
                self._subrequests[_PURGED] += purged
                if size != purged:
                    self._count_others(answer.replies, size)
        else:
            status, error = None, why_lost(end)
            self._count_subrequests((status, error), size)
        spread = self._calls.get((status, error))
        if spread is None:
            spread = self._new_spread((status, error))
        spread.add(duration_s)
        if self._listeners:
            request_id = answer.request_id if status else ""
            self._tell(
                EndedCall(
                    size, len(batch.shares), batch.client_request_id, duration_s, status, error, request_id, ended_ns
                )
            )

    def _count_others(self, replies: Mapping[int, Reply | None], size: int) -> None:
        """Count the sub-requests of an answered call that were not purged. A missing reply is None or left out."""
        came = [reply for reply in replies.values() if reply is not None]
        for status, count in Counter([reply.status for reply in came if reply != PURGED_REPLY]).items():
            self._count_subrequests((status, error_of_status(status)), count)
        if silent := size - len(came):
            self._count_subrequests((None, "no_answer"), silent)

    def _count_subrequests(self, end: CallEnd, count: int) -> None:
        if end not in self._subrequests and len(self._subrequests) >= STATUSES_MAX:
            end = _OTHERS
        self._subrequests[end] = self._subrequests.get(end, 0) + count

    def _new_spread(self, end: CallEnd) -> Histogram:
        if len(self._calls) >= STATUSES_MAX:
            end = _OTHERS
        return self._calls.setdefault(end, Histogram(table.CALL_DURATION.bounds))

    def _tell(self, call: EndedCall) -> None:
        for listener in self._listeners:
            try:
                listener.call_ended(call)
            except Exception as mistake:
                self._listeners = [one for one in self._listeners if one is not listener]
                _log_mistake(f"{type(listener).__name__} is told no more", mistake)

    def _count_entries(self, entries: Sequence[Entry], took_s: float) -> None:
        self._commits.add(took_s)
        for entry in entries:
            if type(entry) is Settled:
                self._rows[entry.outcome] += entry.rows
            elif type(entry) is BatchEnded:
                self._calls_lost += entry.status is None
            elif type(entry) is MailboxBlocked:
                self._waits[_MAILBOX].add(entry.for_s)
            elif type(entry) is RunBlocked:
                self._waits[_APP].add(entry.for_s)
            elif type(entry) is MailboxClosed:
                self._mailboxes_closed += 1
                self._rows[Outcome.SKIPPED] += entry.skipped

    def give_up(self, mistake: Exception) -> None:
        """Count no more. The run is worth more than its figures."""
        self._broken = True
        self._ends.clear()
        self._turns.clear()
        _log_mistake("The figures of this run are not counted any further", mistake)

    # ------------------------------------------------------------------------------------------------------ what is read

    def read(self, metric: Metric) -> Mapping[Labels, Value]:
        """Return the values of a metric now, by their labels. Empty while nothing is known."""
        if self._ends or self._turns:
            self.count()
        return _READERS[metric](self)

    def _of_gauges(self, value_of: Callable[[RunGauges], float | None]) -> Mapping[Labels, Value]:
        value = None if self.gauges is None else value_of(self.gauges)
        return _one(value)

    def _since(self, utc: float | None) -> float | None:
        return None if utc is None else max(0.0, self._utc() - utc)

    def _until(self, utc: float | None) -> float | None:
        return None if utc is None else max(0.0, utc - self._utc())


def _log_mistake(consequence: str, mistake: Exception) -> None:
    logs.get_logger().warning(
        log_events.TELEMETRY_FAILED,
        because=f"{consequence}, after a mistake of the program ({type(mistake).__name__}: {mistake}). The run goes on. Please "
        "report this.",
    )


def _all(values: Mapping[CallEnd, int]) -> Mapping[Labels, Value]:
    return {end: count for end, count in list(values.items())}  # noqa: C416 - other types


def _one(value: float | None) -> Mapping[Labels, Value]:
    return {} if value is None else {(): int(value) if isinstance(value, bool) else value}


_READERS: Mapping[Metric, Callable[[Measurements], Mapping[Labels, Value]]] = {
    table.ROWS_SETTLED: lambda its: {(outcome.value,): rows for outcome, rows in its._rows.items()},
    table.SUBREQUESTS: lambda its: _all(its._subrequests),
    table.CALL_DURATION: lambda its: {
        ("POST", its._host, its._port, *end): spread for end, spread in its._calls.copy().items()
    },
    table.CALLS_LOST: lambda its: _one(its._calls_lost),
    table.CALLS_IN_FLIGHT: lambda its: _one(len(its._left_at)),
    table.WAIT_DURATION: lambda its: dict(its._waits),
    table.APP_WAIT_LEFT: lambda its: its._of_gauges(lambda now: now.app_wait_left_s),
    table.APP_LIMIT: lambda its: its._of_gauges(lambda now: now.app_limit_per_s),
    table.MAILBOXES_BLOCKED: lambda its: its._of_gauges(lambda now: now.mailboxes_blocked),
    table.MAILBOXES_CLOSED: lambda its: _one(its._mailboxes_closed),
    table.COMMIT_DURATION: lambda its: {(): its._commits},
    table.LEDGER_ROWS: lambda its: (
        {} if its.gauges is None else {(outcome.value,): its.gauges.settled.get(outcome, 0) for outcome in Outcome}
    ),
    table.ROWS_LEFT: lambda its: its._of_gauges(lambda now: now.rows_left),
    table.TIME_LEFT: lambda its: its._of_gauges(lambda now: now.left_s),
    table.TOKEN_AGE: lambda its: its._of_gauges(lambda now: its._since(now.token_issued_utc)),
    table.TOKEN_TIME_LEFT: lambda its: its._of_gauges(lambda now: its._until(now.token_expires_utc)),
    table.RUN_ACTIVE: lambda its: _one(its._url is not None and its._exit_code is None),
    table.RUN_HELD: lambda its: its._of_gauges(lambda now: now.is_held),
    table.RUN_SEEN_TIME: lambda its: _one(its._utc()),
    table.RUN_START_TIME: lambda its: _one(its._started_utc),
    table.RUN_END_TIME: lambda its: _one(its._ended_utc),
    table.RUN_EXIT_CODE: lambda its: _one(its._exit_code),
}


def known_labels(metric: Metric, labels: Labels) -> Iterator[tuple[str, str | int]]:
    """Yield the attributes of a value that it has."""
    return ((name, value) for name, value in zip(metric.attributes, labels, strict=True) if value is not None)


assert set(_READERS) == set(table.METRICS), "each metric of the table has its value"
