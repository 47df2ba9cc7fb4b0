"""The simulated tenant without a network: what an engine posts to in tests, in real or in virtual time.

Waits only with ``asyncio.sleep`` and asks only the running loop for the time, so that a loop whose clock jumps drives it.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from purgeengine.errors import NoAnswer, NotSent
from purgeengine.sim.graph.call import Call, Ending, EndKind
from purgeengine.sim.graph.tenant import Tenant
from purgeengine.sim.login.login_endpoint import LoginEndpoint

TIMEOUT_S = 130.0
"""How long a client waits by default: 20 sub-requests one by one at the longest latency of 5 s, and some."""


class Received(NamedTuple):
    """An answer: header names in lower case, and when it came in seconds since 1970."""

    status: int
    headers: dict[str, str]
    body: bytes
    received_utc: float


class SimulatedTransport:
    """Posts batches to a `Tenant`. ``zero_s`` is the loop's time at tenant time 0.

    A tenant that outlives a loop (a crash, then a resumed run) needs a new transport whose ``zero_s`` lets tenant time go on
    where it stood: ``loop.time() - tenant.now``.
    """

    def __init__(
        self, tenant: Tenant, *, login: LoginEndpoint | None = None, timeout_s: float = TIMEOUT_S, zero_s: float = 0.0
    ) -> None:
        self.tenant = tenant
        self._login = login
        self._timeout_s = timeout_s
        self._zero_s = zero_s

    async def post(self, body: bytes, client_request_id: str, token: str) -> Received:
        """Post one batch and return what came back. A call that is cancelled is abandoned, and its work goes on.

        Raises `NotSent` when the tenant could not be reached, and `NoAnswer` when the connection was reset, the answer was
        cut, or none came in time.
        """
        await asyncio.sleep(0)  # A real post lets others run even when the answer is quick.
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
    """The call's ending, or None (and the call abandoned) when it has not ended at tenant time ``give_up_at``."""
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
