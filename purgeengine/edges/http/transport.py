"""Post batches to Graph over HTTPS, and tell two failures apart: certainly not sent, and no answer.

This module knows aiohttp, TLS and proxies. It does not know rows or JSON (see `purgeengine.core.graph.decode`), and
never tries anything twice: every retry is the scheduler's. aiohttp itself repeats a request on a connection that the
server has just closed, but only for idempotent methods (``client.py``, ``IDEMPOTENT_METHODS``), and POST is not one
of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
from yarl import URL

from purgeengine.core.limits.adaptive_timeout import LONGEST_S
from purgeengine.edges.clock import SystemClock
from purgeengine.edges.http.addresses import Proxy, graph_root, proxy_for
from purgeengine.edges.http.connection_failures import why_no_answer, why_no_connection, without_secrets
from purgeengine.edges.http.name_lookup import a_resolver
from purgeengine.edges.http.proxy_refusals import is_final, not_http, refusal, schemes_of
from purgeengine.edges.http.skew import SkewWatch
from purgeengine.edges.http.time_limits import TimeLimits
from purgeengine.edges.http.tls import tls_context
from purgeengine.engine.ports import Clock
from purgeengine.errors import GraphUnreachable, NoAnswer, NotSent, RunStopped
from purgeengine.version import __version__

ANSWER_BYTES_MAX = 4 * 1024 * 1024
"""Most bytes read of an answer. Twenty replies with the longest errors take less than 40 KB."""
KEEPALIVE_S = 15.0
"""Seconds that an idle connection is kept for the next call.

Graph closes idle connections after minutes. A shorter time here makes it rare that a batch leaves on a connection
that is just being closed, which would put its rows in doubt.
"""
_KEPT_HEADERS = ("retry-after", "date", "request-id")
_TELLING_HEADERS = (*_KEPT_HEADERS, "content-encoding", "www-authenticate", "content-type", "server", "location")
"""Headers kept as well if an answer is odd: what a refused token lacks, and who answered if it was not Graph."""
_HEADER_LENGTH_MAX = 10_000
"""Characters kept of a header. The challenges of continuous access evaluation have a few hundred."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a call may take, in seconds."""

    connect_s: float = 10.0
    """Until the connection stands: name look-up, TCP, proxy and TLS together."""
    call_s: float = LONGEST_S
    """The whole call. The scheduler gives a call up much sooner, and this says how long a late answer is still read."""


class HttpAnswer(NamedTuple):
    """An answer as it came.

    ``headers`` has only those that are used, by lower-case name. ``received_utc`` is in seconds since 1970.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    received_utc: float


class _Response(aiohttp.ClientResponse):
    """A response that remembers its connection, which may be back in the pool when the status is known."""

    used: Any = None

    async def start(self, connection: Any) -> aiohttp.ClientResponse:
        self.used = connection.protocol
        return await super().start(connection)


class HttpTransport:
    """Posts to Graph's ``$batch``. Make one for a run, with `open`."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        batch_url: URL,
        *,
        proxy: Proxy | None = None,
        timeouts: Timeouts | None = None,
        clock: Clock | None = None,
        answer_bytes_max: int = ANSWER_BYTES_MAX,
    ) -> None:
        self._answer_bytes_max = answer_bytes_max
        self._session = session
        self._url = batch_url
        self._host = batch_url.host or ""
        self._via = proxy
        self._proxy = URL(proxy.url) if proxy else None
        self._proxy_headers = (
            {"Proxy-Authorization": proxy.authorization} if proxy is not None and proxy.authorization else None
        )
        self._connected = False
        """True if any call was answered. A proxy that refuses after that may let the next call through."""
        self._timeouts = timeouts or Timeouts()
        self._aiohttp_timeouts = aiohttp.ClientTimeout(total=None, connect=self._timeouts.connect_s)
        self._clock = clock or SystemClock()
        self._skew = SkewWatch(self._host)
        self._time_limits = TimeLimits()

    def __repr__(self) -> str:
        return f"HttpTransport({self._url.origin()})"

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        *,
        graph_url: str,
        connections: int,
        ca_file: Path | None = None,
        timeouts: Timeouts | None = None,
        clock: Clock | None = None,
        answer_bytes_max: int = ANSWER_BYTES_MAX,
    ) -> AsyncIterator[HttpTransport]:
        """Open connections to this Graph for up to ``connections`` calls in flight. They are closed at the end of the context.

        As many connections more may be open, for calls that were given up and whose answer may still come.
        ``graph_url`` may end in a slash or ``/v1.0``. ``ca_file`` (PEM) replaces the system's certificates. Proxies
        come from the environment. ``answer_bytes_max`` is the most that is read of an answer, in bytes.
        Raises `UsageProblem` if any of these cannot be used, before anything is sent.
        """
        root = graph_root(graph_url)
        proxy = proxy_for(root)
        timeouts = timeouts or Timeouts()
        connector = aiohttp.TCPConnector(
            limit=2 * connections,
            ssl=tls_context(ca_file),
            keepalive_timeout=KEEPALIVE_S,
            ttl_dns_cache=60,
            resolver=a_resolver(),
        )
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            response_class=_Response,
            # A proxy gets these headers as well, so the token must never be among them.
            headers={"User-Agent": f"purgeengine/{__version__}", "Accept-Encoding": "identity"},
        )
        transport = cls(
            session,
            URL(f"{root.url}/v1.0/$batch", encoded=True),
            proxy=proxy,
            timeouts=timeouts,
            clock=clock,
            answer_bytes_max=answer_bytes_max,
        )
        async with session:
            try:
                yield transport
            finally:
                transport._time_limits.close()

    async def post(self, body: bytes | aiohttp.BytesPayload, client_request_id: str, token: str) -> HttpAnswer:
        """Post one batch and return its answer, whatever its status. A redirect is an answer and is not followed.

        ``body`` may be a payload that looks once more whether it may leave when it is written.
        Raises `NotSent` if nothing can have reached Graph, because no connection came about. Raises `NoAnswer` if
        something may have reached it and no whole answer came back. Both carry a short reason for people, without
        secrets. Raises `RunStopped` if the proxy refuses before any call was answered, because it will refuse the
        next one as well.
        """
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "Accept": "application/json",
            "client-request-id": client_request_id,
            "return-client-request-id": "true",
        }
        try:
            async with (
                self._time_limits.limit(self._timeouts.call_s),
                self._session.post(
                    self._url,
                    data=body,
                    headers=headers,
                    allow_redirects=False,
                    proxy=self._proxy,
                    proxy_headers=self._proxy_headers,
                    timeout=self._aiohttp_timeouts,
                ) as response,
            ):
                content = await _read(response, self._answer_bytes_max)
                self._connected = True
                if self._skew.skew_s is None:  # once is enough, and reading a date takes time
                    self._skew.saw(response.headers.get("Date"), self._clock.utc())
                if response.status == 503:
                    _leave_connection(response)
                return HttpAnswer(response.status, _kept(response), content, self._clock.utc())
        except (aiohttp.ClientError, OSError) as error:
            raise self._translated(error) from without_secrets(error)

    def _translated(self, error: Exception) -> NotSent | NoAnswer | RunStopped:
        """Translate an error: no connection came about, so nothing was sent; silence; or a failure on a connection that stood."""
        if isinstance(error, aiohttp.ClientHttpProxyError) and self._via is not None:
            return self._refused_by_proxy(error, self._via)
        if (
            self._via is not None
            and isinstance(error, aiohttp.ClientResponseError)
            and error.request_info.method == "CONNECT"
        ):
            return self._hopeless(not_http(self._via))
        if isinstance(
            error, aiohttp.ClientConnectorError | aiohttp.ClientHttpProxyError | aiohttp.ConnectionTimeoutError
        ):
            return NotSent(why_no_connection(error, self._host, self._timeouts.connect_s, self._via))
        if isinstance(error, TimeoutError):
            return NoAnswer(f"{self._host} did not answer in time")
        return NoAnswer(why_no_answer(error, self._host))

    def _refused_by_proxy(self, error: aiohttp.ClientHttpProxyError, proxy: Proxy) -> NotSent | RunStopped:
        if not is_final(error.status):
            return NotSent(f"the proxy {proxy.url} could not connect to {self._host} (status {error.status})")
        headers = error.headers.getall("Proxy-Authenticate", ()) if error.headers is not None else ()
        return self._hopeless(refusal(proxy, self._host, error.status, schemes_of(headers)))

    def _hopeless(self, said: str) -> NotSent | RunStopped:
        """Return the error for a proxy that refuses. It will refuse again, unless a call went through it before."""
        if self._connected:
            return NotSent(said)
        return GraphUnreachable(f"{said} Nothing was sent. Mend that, then give the same command again.")


async def _read(response: aiohttp.ClientResponse, bytes_max: int) -> bytes:
    """Return the body. Raises `NoAnswer` if it is longer than any real answer."""
    length = response.content_length
    if length is not None and length <= bytes_max and "Content-Encoding" not in response.headers:
        return await response.read()
    pieces, size = [], 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > bytes_max:
            response.close()
            raise NoAnswer(f"the answer was longer than {bytes_max // 2**20} MiB")
        pieces.append(piece)
    return b"".join(pieces)


def _kept(response: aiohttp.ClientResponse) -> dict[str, str]:
    headers = response.headers
    as_usual = response.status == 200 and "json" in headers.get("Content-Type", "")
    as_usual = as_usual and "Content-Encoding" not in headers
    names = _KEPT_HEADERS if as_usual else _TELLING_HEADERS
    return {name: ", ".join(headers.getall(name))[:_HEADER_LENGTH_MAX] for name in names if name in headers}


def _leave_connection(response: aiohttp.ClientResponse) -> None:
    """Close the connection after a 503: the next try must use a new one (Graph's documentation of errors)."""
    connection = getattr(response, "used", None)
    if connection is not None:
        connection.close()
