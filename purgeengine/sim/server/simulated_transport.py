"""The simulated tenant without a network: tests let an engine post to it, in real or in virtual time.

It waits only with ``asyncio.sleep`` and asks only the running loop for the time, so a loop with a virtual clock can
drive it.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from purgeengine.errors import NoAnswer, NotSent
from purgeengine.sim.graph.call import Call, Ending, EndKind
from purgeengine.sim.graph.tenant import Tenant
from purgeengine.sim.login.login_endpoint import LoginEndpoint

TIMEOUT_S = 130.0
"""Seconds that a client waits by default: 20 sub-requests one by one at the longest latency of 5 s, and some more."""


class Received(NamedTuple):
    """An answer. Header names are in lower case; ``received_utc`` is when it came, in seconds since 1970."""

    status: int
    headers: dict[str, str]
    body: bytes
    received_utc: float


class SimulatedTransport:
    """Posts batches to a `Tenant`. ``zero_s`` is the loop's time at tenant time 0.

    A tenant that outlives a loop (a crash, then a resumed run) needs a new transport. Its ``zero_s`` must be
    ``loop.time() - tenant.now``, so that tenant time continues where it stopped.
    """

    def __init__(
        self, tenant: Tenant, *, login: LoginEndpoint | None = None, timeout_s: float = TIMEOUT_S, zero_s: float = 0.0
    ) -> None:
        self.tenant = tenant
        self._login = login
        self._timeout_s = timeout_s
        self._zero_s = zero_s

    async def post(self, body: bytes, client_request_id: str, token: str) -> Received:
        """Post one batch and return the answer. If this call is cancelled, the batch's work continues.

        Raises `NotSent` if the tenant could not be reached. Raises `NoAnswer` if the connection was reset, the answer
        was cut, or no answer came in time.
        """
        await asyncio.sleep(0)  # a real post lets others run, even if its answer comes quickly
        now = self._now()
        token_ok = self._login is None or self._login.accepts(token, now)
        call = self.tenant.begin(body, now, client_request_id=client_request_id, token=token, token_ok=token_ok)
        give_up_at = now + self._timeout_s
        try:
            ending = await wait_for_end(self.tenant, call, self._zero_s, give_up_at)
            if ending is not None and ending.kind is EndKind.HANG:
                await asyncio.sleep(give_up_at - self._now())
        except asyncio.CancelledError:
            call.abandon()
            raise
        return self._what_the_client_sees(ending)

    def _what_the_client_sees(self, ending: Ending | None) -> Received:
        if ending is None or ending.kind is EndKind.HANG:
            raise NoAnswer(f"no answer within {self._timeout_s:g} s")
        match ending.kind:
            case EndKind.UNREACHABLE:
                raise NotSent("the connection was refused")
            case EndKind.RESET:
                raise NoAnswer("the connection was reset")
            case EndKind.CUT:
                raise NoAnswer("the connection ended before the answer did")
        headers = {name.lower(): value for name, value in ending.headers}
        return Received(ending.status, headers, ending.body, self.tenant.utc_at_zero_s + self._now())

    def _now(self) -> float:
        return asyncio.get_running_loop().time() - self._zero_s


async def wait_for_end(tenant: Tenant, call: Call, zero_s: float, give_up_at: float | None = None) -> Ending | None:
    """Return the call's ending. None, with the call abandoned, if it has not ended at tenant time ``give_up_at``."""
    loop = asyncio.get_running_loop()
    while call.ending is None:
        now = loop.time() - zero_s
        if give_up_at is not None and now >= give_up_at:
            call.abandon()
            return None
        wake_at = call.wake_at if give_up_at is None else min(call.wake_at, give_up_at)
        if wake_at > now:
            await asyncio.sleep(wake_at - now)
        tenant.advance(loop.time() - zero_s)
    return call.ending
