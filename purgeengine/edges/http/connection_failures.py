"""Why a call failed, in words for people: what aiohttp, TLS and the system said, without addresses and secrets."""

from __future__ import annotations

import os
import socket
import ssl

import aiohttp

from purgeengine.core.graph.text import printable
from purgeengine.edges.http.addresses import Proxy


def why_no_connection(error: Exception, host: str, connect_s: float, proxy: Proxy | None) -> str:
    """Why no connection to ``host`` came about within ``connect_s`` seconds; nothing was sent."""
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        via = f"through the proxy {proxy.url} " if proxy else ""
        return f"{host} did not accept a connection {via}within {connect_s:g} s"
    assert isinstance(error, aiohttp.ClientConnectorError)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
        why = cause.verify_message if isinstance(cause, ssl.SSLCertVerificationError) else type(cause).__name__
        return f"the certificate of {host} is not trusted ({printable(why)}); name your CA's certificate with --ca-file"
    what = f"{error.host}:{error.port}"
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        what = f"the proxy {what}"
    if isinstance(error, aiohttp.ClientSSLError):
        return f"no TLS connection to {what} ({_os_words(error.os_error)})"
    if isinstance(error.os_error, socket.gaierror):
        of = "of the proxy " if isinstance(error, aiohttp.ClientProxyConnectionError) else ""
        return f"the name {of}{error.host} could not be resolved"
    return f"{what} could not be reached ({_os_words(error.os_error)})"


def why_no_answer(error: Exception, host: str) -> str:
    """Why a connection that stood brought no whole answer."""
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return f"{host} closed the connection before it answered"
    if isinstance(error, aiohttp.ClientPayloadError) and "content-encoding" in str(error).lower():
        return f"the answer of {host} could not be unpacked (it is damaged, or not packed as it says)"
    if isinstance(error, aiohttp.ClientPayloadError):
        return f"the connection to {host} ended before the answer did"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"{host} answered something that is not HTTP"
    if isinstance(error, OSError):
        return f"the connection to {host} broke ({_os_words(error)})"
    return f"the call to {host} failed ({type(error).__name__})"


def without_secrets(error: Exception) -> Exception | None:
    """Return the cause to keep for debugging. A proxy's answer holds our headers, and is dropped."""
    return None if isinstance(error, aiohttp.ClientResponseError) else error


def _os_words(error: BaseException) -> str:
    """Return what the system calls the failure, if possible without the addresses that asyncio adds."""
    if isinstance(error, ssl.SSLError) and error.reason:
        return printable(error.reason.replace("_", " ").lower(), 100)
    if isinstance(error, OSError) and error.errno and not (words := os.strerror(error.errno)).startswith("Unknown"):
        return words
    if isinstance(error, OSError) and error.strerror:
        return printable(error.strerror, 100)
    return type(error).__name__
