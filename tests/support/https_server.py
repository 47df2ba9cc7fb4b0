"""A server on loopback that does exactly what a test says, over TLS with a CA of its own; and a CONNECT proxy."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import trustme

LOOPBACK = "127.0.0.1"


@dataclass
class Request:
    """A request that arrived. Header names are in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Behaviour = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


def answering(status: int = 200, body: bytes = b"{}", *headers: str, close: bool = False) -> Behaviour:
    """Return a behaviour that answers everything alike."""

    async def behave(_request: Request, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *headers]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await writer.drain()
        if close:
            writer.close()

    return behave


def raw(*pieces: bytes, close: bool = True) -> Behaviour:
    """Return a behaviour that writes these bytes, whatever they are, and closes the connection."""

    async def behave(_request: Request, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if close:
            writer.close()

    return behave


async def hanging(_request: Request, _writer: asyncio.StreamWriter) -> None:
    """Never answer."""


async def resetting(_request: Request, writer: asyncio.StreamWriter) -> None:
    """Break the connection once the request was read."""
    writer.transport.abort()


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """Return a behaviour that uses these one after another, and the last one for all later requests."""
    left = list(behaviours)

    async def behave(request: Request, writer: asyncio.StreamWriter) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(request, writer)

    return behave


@dataclass
class Server:
    """A server that listens, and what it has seen."""

    port: int = 0
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    status: int = 200
    """What a proxy answers from now on."""

    @property
    def url(self) -> str:
        """Its root URL."""
        return f"https://{LOOPBACK}:{self.port}"


@contextlib.asynccontextmanager
async def serving(
    behave: Behaviour, *, tls: bool = True, on_connect: Callable[..., bool] | None = None
) -> AsyncIterator[Server]:
    """Serve on loopback inside the context. ``on_connect`` sees each writer first, and returns whether to continue."""
    server = Server()
    writers: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        writers[writer] = asyncio.current_task()  # type: ignore[assignment]
        if on_connect is not None and not on_connect(writer):
            return
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            while not writer.is_closing():
                request = await read_request(reader)
                server.requests.append(request)
                await behave(request, writer)

    listener = await asyncio.start_server(connected, LOOPBACK, 0, ssl=server_context() if tls else None)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.gather(*writers.values(), return_exceptions=True)


@contextlib.asynccontextmanager
async def proxying(
    to_port: int, status: int = 200, authorization: str | None = None, tls: bool = False
) -> AsyncIterator[Server]:
    """Run an HTTP proxy that connects every CONNECT to one port of ours, whatever host is named, or refuses them all.

    With ``authorization`` it refuses every request that does not send that.
    """
    pipes: list[asyncio.Task[None]] = []

    async def connect(request: Request, writer: asyncio.StreamWriter) -> None:
        known = authorization is None or request.headers.get("proxy-authorization") == authorization
        if server.status != 200 or not known:
            await answering(server.status if known else 407, close=True)(request, writer)
            return
        far_reader, far_writer = await asyncio.open_connection(LOOPBACK, to_port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        pipes.append(asyncio.ensure_future(pump(far_reader, writer)))
        await pump(readers[writer], far_writer)

    readers: dict[asyncio.StreamWriter, asyncio.StreamReader] = {}
    server = Server(status=status)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        readers[writer] = reader
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            server.requests.append(await read_request(reader))
            await connect(server.requests[-1], writer)

    listener = await asyncio.start_server(connected, LOOPBACK, 0, ssl=server_context() if tls else None)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for writer in readers:
            writer.transport.abort()
        await asyncio.gather(*pipes, return_exceptions=True)


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry bytes until one side ends."""
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    writer.close()


async def read_request(reader: asyncio.StreamReader) -> Request:
    """Read one request, with or without a Content-Length."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, target, headers, body)


@cache
def certificate_authority() -> trustme.CA:
    """Return the CA of all servers here."""
    return trustme.CA()


@cache
def server_certificate() -> trustme.LeafCert:
    """Return the certificate for 127.0.0.1, localhost and a name that only a proxy can reach."""
    return certificate_authority().issue_cert(LOOPBACK, "localhost", "graph.test")


@cache
def server_context() -> ssl.SSLContext:
    """Return a TLS context with that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_certificate().configure_cert(context)
    return context


def server_thumbprint() -> str:
    """Return the certificate's SHA-1 in hexadecimal, as Azure names it."""
    der = ssl.PEM_cert_to_DER_cert(server_certificate().cert_chain_pems[0].bytes().decode())
    return hashlib.sha1(der).hexdigest()


def write_ca(folder: Path, ca: trustme.CA | None = None) -> Path:
    """Write the CA's certificate to a PEM file."""
    path = folder / "ca.pem"
    (ca or certificate_authority()).cert_pem.write_to_path(path)
    return path
