"""Looks names of hosts up, in threads that hold nobody up: a loop's own executor is waited for when the loop ends."""

from __future__ import annotations

import socket
from functools import partial
from typing import Any, cast

from aiohttp import ThreadedResolver

from purgeengine.edges.threads import beside_the_loop


class _Lookups:
    """The two calls of an event loop that a resolver makes."""

    async def getaddrinfo(self, host: str, port: int, *, family: int = 0, type: int = 0, flags: int = 0) -> Any:
        return await beside_the_loop(partial(socket.getaddrinfo, host, port, family, type, 0, flags))

    async def getnameinfo(self, address: Any, flags: int = 0) -> tuple[str, str]:
        return await beside_the_loop(partial(socket.getnameinfo, address, flags))


def a_resolver() -> ThreadedResolver:
    """As aiohttp's own; whoever stops waiting leaves a lookup that hangs behind."""
    return ThreadedResolver(cast(Any, _Lookups()))
