"""The simulated tenant over HTTP(S), for demos, end-to-end tests and benchmarks: login and Graph on the same loopback port.

The endpoint of a managed identity is on another port, without TLS as on a real machine. The server carries bytes
between sockets and the pure `Tenant` and `LoginEndpoint`, and decides nothing. It really resets connections, cuts
answers and stays silent where the tenant says so. It listens on 127.0.0.1 only, because anybody who reaches it gets a
token.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from urllib.parse import parse_qsl

import trustme
from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage

from purgeengine.errors import UsageProblem
from purgeengine.sim.graph.call import Call, Ending, EndKind
from purgeengine.sim.graph.tenant import Caller, Tenant
from purgeengine.sim.login.app import LoginAnswer
from purgeengine.sim.login.identity_endpoints import INSTANCE_PATH, SERVICE_PATH, ManagedIdentity
from purgeengine.sim.login.login_endpoint import LoginEndpoint
from purgeengine.sim.server.simulated_transport import wait_for_end
from purgeengine.sim.wire.answers import encode, iso_date

_Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

HOST = "127.0.0.1"
PROXY_NAME = "tenant.simulated.example"
"""A name that only a proxy can reach. A loopback address is never reached through a proxy."""
BODY_BYTES_MAX = 1_048_576
"""Largest request body in bytes. 20 sub-requests with the longest names and ids need less than 100 kB."""
HANG_S_MAX = 300.0
"""Seconds after which the connection of a client that never leaves is reset."""
_STOP_S = 1.0
"""Seconds that a stopping server waits for calls in progress."""
_VERSION = "/v1.0"
_BATCH_PATHS = ("/v1.0/$batch", "/v1.0/%24batch")
_NOT_SERVED = (
    "The simulated tenant does not serve {}. It serves the login, /v1.0/$batch and single requests below /v1.0."
)


class SimulatedTenant:
    """A tenant that listens inside its ``async with``.

    - ``port`` 0 takes any free port. ``login_port`` opens a second port for the login, ``identity_port`` one for a
      managed identity.
    - ``tls`` makes a new certificate authority and writes its certificate to ``ca_file``, or to a temporary file that
      is removed with the server.
    - ``hang_s_max`` is the longest time in seconds that a client gets no answer.

    The same tenant may be served again later: its time continues where it stopped. Raises `UsageProblem` for a host
    other than the loopback, for a port that is not free, and for a ``ca_file`` that cannot be written.
    """

    def __init__(
        self,
        tenant: Tenant | None = None,
        login: LoginEndpoint | None = None,
        *,
        host: str = HOST,
        port: int = 0,
        login_port: int | None = None,
        identity_port: int | None = None,
        tls: bool = True,
        ca_file: Path | None = None,
        hang_s_max: float = HANG_S_MAX,
    ) -> None:
        if host not in (HOST, "localhost"):
            raise UsageProblem(
                f"The simulated tenant listens on {HOST} only, not on {host}: anybody who reaches it can get a token."
            )
        self.tenant = tenant or Tenant()
        self.login = login or LoginEndpoint()
        self.identity = ManagedIdentity(self.login)
        self.graph_url = ""
        self.authority_url = ""
        self.identity_url = ""
        """The root of the managed identity's endpoints. Empty without an ``identity_port``."""
        self.ca_file: Path | None = None
        """The file with the authority's certificate, or None without TLS."""
        self._ports = (port, *(() if login_port is None else (login_port,)))
        self._identity_port = identity_port
        self._tls = tls
        self._ca_file_wanted = ca_file
        self._hang_s_max = hang_s_max
        self._zero_s = 0.0
        self._stopping = asyncio.Event()
        self._running_on: set[asyncio.Task[Ending | None]] = set()
        self._open = contextlib.AsyncExitStack()

    def __repr__(self) -> str:
        return f"SimulatedTenant(graph_url={self.graph_url!r}, tenant={self.tenant!r})"

    async def __aenter__(self) -> SimulatedTenant:
        async with contextlib.AsyncExitStack() as stack:
            await self._start(stack)
            self._open = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        await self._open.aclose()
        for task in list(self._running_on):
            task.cancel()
        self.tenant.advance(max(self.tenant.now, self._now()))

    async def _start(self, stack: contextlib.AsyncExitStack) -> None:
        self._stopping.clear()
        self._zero_s = asyncio.get_running_loop().time() - self.tenant.now
        utc_at_zero_s = time.time() - self.tenant.now
        self.tenant.set_utc_at_zero(utc_at_zero_s)
        self.login.utc_at_zero_s = utc_at_zero_s
        context = self._certify(stack) if self._tls else None
        runner = await self._runner(stack, self._handle)
        urls = [await self._listen(runner, port, context) for port in self._ports]
        self.graph_url, self.authority_url = urls[0], urls[-1]
        self.tenant.set_graph_root(self.graph_url + _VERSION)
        if self._identity_port is not None:
            runner = await self._runner(stack, self._handle_identity)
            self.identity_url = await self._listen(runner, self._identity_port, None)

    async def _runner(self, stack: contextlib.AsyncExitStack, handler: _Handler) -> web.ServerRunner:
        server = web.Server(handler, request_factory=_request, access_log=None, handler_cancellation=True)
        runner = web.ServerRunner(server, shutdown_timeout=_STOP_S)
        await runner.setup()

        async def stop() -> None:
            transports = [connection.transport for connection in server.connections]
            await runner.cleanup()
            for transport in transports:  # otherwise TLS would wait for the goodbye of clients that have already left
                if transport is not None:
                    transport.abort()
            await asyncio.sleep(0)  # they end in the loop's next turn

        stack.push_async_callback(stop)
        return runner

    def _certify(self, stack: contextlib.AsyncExitStack) -> ssl.SSLContext:
        """Make a certificate authority and a certificate for the loopback, and write the authority's certificate to a file."""
        authority = trustme.CA()
        certificate = authority.issue_cert(HOST, "localhost", PROXY_NAME)
        path = self._ca_file_wanted
        if path is None:
            path = Path(stack.enter_context(TemporaryDirectory(prefix="purgeengine-"))) / "simulated-ca.pem"
        try:
            authority.cert_pem.write_to_path(str(path))
        except OSError as error:
            raise UsageProblem(f"The simulated tenant's CA file {path} cannot be written: {error.strerror}.") from error
        self.ca_file = path.resolve()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        return context

    async def _listen(self, runner: web.ServerRunner, port: int, context: ssl.SSLContext | None) -> str:
        site = web.TCPSite(runner, HOST, port, ssl_context=context)
        try:
            await site.start()
        except (OSError, OverflowError) as error:
            raise UsageProblem(
                f"The simulated tenant cannot listen on {HOST}:{port}: {error}. Try another port."
            ) from error
        # The newest site's address is the last one. With port 0 it tells which port was taken.
        return f"{'https' if context else 'http'}://{HOST}:{runner.addresses[-1][1]}"

    # ------------------------------------------------------------------------------------------------- requests

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return _json(413, "RequestEntityTooLarge", f"The body is larger than {BODY_BYTES_MAX} bytes.")
        path = request.raw_path  # not decoded: the tenant reads what is percent-encoded
        if path in _BATCH_PATHS:
            if request.method != "POST":
                return _json(405, "Request_BadRequest", "The batch endpoint accepts POST only.")
            return await self._handle_call(request, partial(self.tenant.begin, body))
        if path.startswith(_VERSION + "/"):
            begin = partial(self.tenant.begin_one, request.method, path.removeprefix(_VERSION), request.headers)
            return await self._handle_call(request, begin)
        text = body.decode("utf-8", errors="replace") if request.method == "POST" else request.query_string
        form = dict(parse_qsl(text, keep_blank_values=True))
        answer = self.login.answer(request.method, request.path, form, self._now(), _base_url(request))
        if answer is None:
            return _json(501, "NotImplemented", _NOT_SERVED.format(f"{request.method[:20]} {request.path[:200]}"))
        return _response(answer)

    async def _handle_identity(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = None
        if request.method == "GET":
            answer = self.identity.answer(request.path, request.query, request.headers, self._now())
        if answer is None:
            return _json(404, "NotFound", f"The managed identity is at {INSTANCE_PATH} and {SERVICE_PATH}.")
        return _response(answer)

    async def _handle_call(self, request: web.BaseRequest, begin: Callable[..., Call]) -> web.StreamResponse:
        """Pass a call to the tenant, and end it as the tenant says."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        token = token.strip() if scheme.lower() == "bearer" else ""
        now = self._now()
        refusal = self.login.refusal_of(token, now)
        caller = Caller(refusal, None if refusal else self.login.user_of(token))
        client_request_id = request.headers.get("client-request-id", "")[:100]
        call = begin(now, client_request_id=client_request_id, token=token, caller=caller)
        try:
            ending = await wait_for_end(self.tenant, call, self._zero_s)
        except asyncio.CancelledError:  # the client left: its work continues, as on the real service
            call.abandon()
            running_on = asyncio.create_task(wait_for_end(self.tenant, call, self._zero_s))
            self._running_on.add(running_on)
            running_on.add_done_callback(self._running_on.discard)
            raise
        assert ending is not None, "a call without a deadline ended without an ending"
        match ending.kind:
            case EndKind.ANSWERED:
                return web.Response(status=ending.status, body=ending.body, headers=dict(ending.headers))
            case EndKind.CUT:
                return await _cut(request, ending)
            case EndKind.HANG:
                await self._hang()
        return _reset(request)

    async def _hang(self) -> None:
        """Stay silent until the client leaves (which cancels this), the server stops, or the limit is reached."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), self._hang_s_max)

    def _now(self) -> float:
        return asyncio.get_running_loop().time() - self._zero_s


def _request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: web.RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    """Make a request whose body is limited. Reading a larger one raises."""
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=BODY_BYTES_MAX)


def _response(answer: LoginAnswer) -> web.Response:
    return web.Response(
        status=answer.status, body=answer.body, headers=dict(answer.headers), content_type=answer.content_type
    )


def _base_url(request: web.BaseRequest) -> str:
    return f"{request.scheme}://{request.host}"


def _json(status: int, code: str, message: str) -> web.Response:
    request_id = str(uuid.uuid4())
    inner = {"date": iso_date(time.time()), "request-id": request_id, "client-request-id": request_id}
    body = encode({"error": {"code": code, "message": message, "innerError": inner}})
    headers = {"request-id": request_id, "client-request-id": request_id}
    return web.Response(status=status, body=body, headers=headers, content_type="application/json")


def _reset(request: web.BaseRequest) -> web.Response:
    """End the connection at once. Nobody gets the returned response."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


async def _cut(request: web.BaseRequest, ending: Ending) -> web.StreamResponse:
    """Announce the whole body, send half of it, and end the connection."""
    response = web.StreamResponse(status=ending.status, headers=dict(ending.headers))
    response.content_length = len(ending.body)
    await response.prepare(request)
    await response.write(ending.body[: len(ending.body) // 2])
    if request.transport is not None:
        request.transport.close()
    response.force_close()
    return response
