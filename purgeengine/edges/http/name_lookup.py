"""Look up host names in threads that nobody waits for. An event loop waits for its own executor when it ends."""

from __future__ import annotations

import socket
from functools import partial
from typing import Any, cast

from aiohttp import ThreadedResolver

from purgeengine.edges.threads import beside_the_loop


class _Lookups:
    """The two methods of an event loop that a resolver calls."""

    async def getaddrinfo(self, host: str, port: int, *, family: int = 0, type: int = 0, flags: int = 0) -> Any:
        return await beside_the_loop(partial(socket.getaddrinfo, host, port, family, type, 0, flags))

    async def getnameinfo(self, address: Any, flags: int = 0) -> tuple[str, str]:
        return await beside_the_loop(partial(socket.getnameinfo, address, flags))


def a_resolver() -> ThreadedResolver:
    """Return a resolver like aiohttp's own. A caller that gives up does not wait for a look-up that hangs."""
    return ThreadedResolver(cast(Any, _Lookups()))
