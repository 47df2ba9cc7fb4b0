"""The lease of a run on this machine: clocks, the thread that renews it, and the fence around the transport.

The lease says whether the run may send (`Hours`). It is asked three times for each batch: by the engine before the batch leaves, by
the transport, and once more when the body is written, because a connection may take ten seconds to come about.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import aiohttp

from purgeengine.core.coordination.lease_clock import Instant
from purgeengine.core.coordination.lease_holder import LeaseHolder
from purgeengine.core.coordination.lease_messages import Question, Said
from purgeengine.core.messages import AskedToWait, QuotaChanged, SendWindow
from purgeengine.core.policy.run_figures import RunFigures, StopFigures
from purgeengine.engine.ports import RawAnswer, Transport
from purgeengine.errors import HeldBack, NoAnswer, NotSent

LOOK_AGAIN_S = 0.2
"""Seconds after which a run without a lease looks for one again."""
ABANDONED_S = 120.0
"""A run ends by itself so many seconds after the end of its lease, because no coordinator is there. One that comes later gives the
shard to a new run. A run that stayed would keep the ledger locked, and its process alive."""
LOOK_S_MAX = 1.0
"""The most seconds between two looks at a lease, so that a run that has nothing to send also stops soon when it is told to."""
ENDED = "the lease of the shard had ended"


def sleep_counting_clock(platform: str) -> int | None:
    """Return the id of a monotonic clock that goes on while the machine sleeps; None if ``time.monotonic`` is as good.

    Linux has ``CLOCK_BOOTTIME``. On macOS ``CLOCK_MONOTONIC`` goes on in sleep, and Python's ``time.monotonic`` does not
    (``clock_gettime(3)`` of macOS). On Windows ``time.monotonic`` goes on (PEP 418). Elsewhere only the wall clock shows the sleep.
    """
    return getattr(time, "CLOCK_MONOTONIC" if platform == "darwin" else "CLOCK_BOOTTIME", None)


CLOCK = sleep_counting_clock(sys.platform)


def boot_time() -> float:
    """Return seconds of the best monotonic clock of this machine."""
    return time.monotonic() if CLOCK is None else time.clock_gettime(CLOCK)


def instant() -> Instant:
    """Return this moment by both clocks."""
    return Instant(boot_time(), time.time())


Ask = Callable[[Question], None]
"""Sends a question. It must not raise and not wait long: a question that cannot be sent is lost, and the lease runs out."""


class RunLease:
    """The lease of one run. Every method may be called in any thread."""

    def __init__(
        self,
        holder: LeaseHolder,
        ask: Ask,
        *,
        ask_s: float,
        now: Callable[[], Instant] = instant,
    ) -> None:
        """A question is sent every ``ask_s`` seconds, and at once if there is news."""
        self._holder = holder
        self._ask = ask
        self._ask_s = ask_s
        self._now = now
        self._changed = threading.Condition()
        self._closed = False
        self._figures: tuple[RunFigures | None, StopFigures | None] = (None, None)
        self._tell: Callable[[QuotaChanged | AskedToWait], None] | None = None
        self._untold: list[QuotaChanged | AskedToWait] = []

    @property
    def left_s(self) -> float:
        """Seconds for which the run may send. 0 or less if it may not."""
        with self._changed:
            return self._holder.left_s(self._now())

    def at(self, utc: float) -> SendWindow:
        """Return whether the run may send now. This makes the lease an `Hours`; ``utc`` is not used, because clocks are set."""
        with self._changed:
            left_s, holder = self._holder.left_s(self._now()), self._holder
            over = holder.over or holder.stop
            if over is None and left_s < -ABANDONED_S:
                over = f"no coordinator was heard of for {ABANDONED_S:.0f} s after the end of the lease"
        return SendWindow(left_s > 0.0, min(left_s, LOOK_S_MAX) if left_s > 0.0 else LOOK_AGAIN_S, over)

    def heard(self, said: Said) -> None:
        """Take in what the coordinator said."""
        with self._changed:
            self._untold += self._holder.heard(said)
            self._pass_on()
            self._changed.notify_all()

    def asked_to_wait(self, for_s: float, *, cut: bool) -> None:
        """Take in that Graph asked this run to wait, so that the runs beside it are told at once."""
        with self._changed:
            self._holder.asked_to_wait(for_s, self._now(), cut=cut)
            self._changed.notify_all()

    @property
    def told_to_end(self) -> bool:
        """True if the coordinator has told the run to stop, or has given the shard to another one."""
        with self._changed:
            return self._holder.over is not None or self._holder.stop is not None

    def last_question(self) -> Question:
        """Return a question with the latest figures, for the end of the run: it tells them, and is not sent."""
        with self._changed:
            return self._holder.ask(self._now(), *self._figures)

    def take_figures(self, figures: RunFigures, stop: StopFigures) -> None:
        """Send these figures with the next question."""
        with self._changed:
            self._figures = (figures, stop)

    def want(self, wants: bool) -> None:
        """Take in whether the run has something to send before long. If it has not, others may use its quota."""
        with self._changed:
            self._holder.want(wants)
            self._changed.notify_all()

    @contextmanager
    def renewed(self) -> Iterator[None]:
        """Ask for the lease regularly while inside, in a thread of its own."""
        thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            with self._changed:
                self._closed = True
                self._changed.notify_all()
            thread.join(self._ask_s)

    def begins(self, within_s: float) -> bool:
        """Wait for the lease for at most ``within_s`` seconds. Return False if it did not come, or if another run has it."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._holder.over is not None or self._holder.left_s(self._now()) > 0.0, within_s
            )
            return self._holder.left_s(self._now()) > 0.0

    @contextmanager
    def telling(self, tell: Callable[[QuotaChanged | AskedToWait], None]) -> Iterator[None]:
        """Call ``tell`` with what the engine must know while inside, also with what came before."""
        with self._changed:
            self._tell = tell
            self._pass_on()
        try:
            yield
        finally:
            with self._changed:
                self._tell = None

    def fence(self, transport: Transport) -> Transport:
        """Return a transport that sends only while the lease lasts."""
        return FencedTransport(transport, self)

    def _pass_on(self) -> None:
        if self._tell is not None:
            for event in self._untold:
                self._tell(event)
            self._untold.clear()

    def _renew(self) -> None:
        while True:
            with self._changed:
                if self._closed or self._holder.over is not None:
                    return
                question = self._holder.ask(self._now(), *self._figures)
            self._ask(question)
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._holder.asks_now, self._ask_s)


class FencedBody(aiohttp.BytesPayload):
    """The body of a batch. It is written only while the lease lasts."""

    def __init__(self, body: bytes, lease: RunLease) -> None:
        super().__init__(body, content_type="application/json")
        self._lease = lease
        self.withheld = False
        """True if the lease had ended when the body was to be written. Then nothing of it was written."""

    async def write_with_length(self, writer: Any, content_length: int | None) -> None:
        """Write the body. Raises `HeldBack` if the lease has ended."""
        if self._lease.left_s <= 0.0:
            self.withheld = True
            raise HeldBack(ENDED)
        await super().write_with_length(writer, content_length)


class PayloadTransport(Protocol):
    """A transport that takes a payload of aiohttp as well."""

    async def post(self, body: Any, client_request_id: str, token: str) -> RawAnswer: ...  # noqa: D102


class FencedTransport:
    """A `Transport` that sends only while the lease lasts. Raises `HeldBack` instead, and then no row is in doubt."""

    def __init__(self, transport: PayloadTransport, lease: RunLease) -> None:
        self._transport = transport
        self._lease = lease

    async def post(self, body: bytes, client_request_id: str, token: str) -> RawAnswer:
        """Post one batch. Raises what the transport within raises, and `HeldBack` if the lease ended before the body left."""
        if self._lease.left_s <= 0.0:
            raise HeldBack(ENDED)
        fenced = FencedBody(body, self._lease)
        try:
            return await self._transport.post(fenced, client_request_id, token)
        except (NotSent, NoAnswer):
            if fenced.withheld:
                raise HeldBack(ENDED) from None
            raise
