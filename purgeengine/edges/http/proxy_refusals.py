"""Sentences about proxies that refused CONNECT, each with a remedy: for Graph and for the login.

A proxy that forbids a host or wants a user name does so again at the next try, so that is reported at once. A proxy
that answers 502, 503 or 504 could not reach the host or has trouble of its own, which may pass.
"""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterable
from pathlib import Path

from purgeengine.core.graph.text import printable
from purgeengine.edges.http.addresses import Address, Proxy
from purgeengine.edges.http.tls import tls_context

ASK_S = 10.0
"""Seconds to wait when a proxy is asked again what it wants. It has answered just before."""
HEADERS_MAX = 20
"""Most ways to sign in that are read. No proxy offers as many."""
_PASSING = frozenset({408, 425, 429})
_OURS = "basic"
"""The one way to sign in at a proxy that both HTTP libraries know."""
_SCHEME = re.compile(r"(?:^|,)\s*([A-Za-z][A-Za-z0-9-]{0,20})(?=\s*(?:,|$)|\s+[^\s=,])")
"""A scheme stands alone or before its parameters. ``realm=`` is a parameter."""


def is_final(status: int) -> bool:
    """True if a proxy that answered CONNECT with this status will answer so again."""
    return 300 <= status < 500 and status not in _PASSING


def schemes_of(headers: Iterable[str]) -> tuple[str, ...]:
    """Return the ways to sign in that ``Proxy-Authenticate`` names, in its order, each once."""
    found = [scheme for header in list(headers)[:HEADERS_MAX] for scheme in _SCHEME.findall(header[:1_000])]
    return tuple(dict.fromkeys(printable(scheme, 21) for scheme in found))[:HEADERS_MAX]


def refusal(proxy: Proxy, host: str, status: int, wants: tuple[str, ...] = ()) -> str:
    """Return a sentence: what the proxy answered to a connection to ``host``, and the remedy.

    ``wants`` are its ways to sign in.
    """
    said = f"The proxy {proxy.url} (from {proxy.named_by}) refused to connect to {host} (status {status})"
    if status != 407:
        return (
            f"{said}. Neither Microsoft's login nor Graph said so. Ask the proxy's administrators to allow {host} on port 443, or "
            "name another proxy in HTTPS_PROXY."
        )
    if wants and _OURS not in (scheme.lower() for scheme in wants):
        return (
            f"{said}: it wants {_listed(wants)}, and purgeengine can sign in at a proxy with Basic only. Ask its administrators to "
            f"let {host} through without signing in, run a local proxy that signs in for you (cntlm or Px, say) and put its "
            "address into HTTPS_PROXY, or go without a proxy by NO_PROXY."
        )
    if proxy.authorization is not None:
        return (
            f"{said}: it does not accept the user name and password in {proxy.named_by}. Check them; write @ as %40, # as %23, : "
            "as %3A, / as %2F and \\ as %5C in them."
        )
    return (
        f"{said}: it wants a user name and password. Put them into HTTPS_PROXY, as in "
        f"http://user:password@{proxy.host}:{proxy.port}, with @ as %40, # as %23, : as %3A, / as %2F and \\ as %5C in them."
    )


def not_http(proxy: Proxy) -> str:
    """Return a sentence about a proxy whose answer to CONNECT is not HTTP. It is probably not a proxy."""
    return (
        f"The proxy {proxy.url} (from {proxy.named_by}) answered CONNECT with something that is not HTTP. Look whether an "
        "HTTP proxy listens at that address and port."
    )


def what_it_wants(proxy: Proxy, address: Address, ca_file: Path | None) -> tuple[str, ...]:
    """Ask the proxy for a connection again, and return the ways to sign in that it names. Empty if it names none.

    The HTTP library below the login drops the headers of a refusal, so the proxy must be asked again.
    """
    try:
        return _asked_once_more(proxy, address, ca_file)
    except (OSError, http.client.HTTPException):
        return ()


def speaks_http(proxy: Proxy, address: Address, ca_file: Path | None) -> bool:
    """Ask the proxy for a connection again. True if its answer is HTTP, or if it does not answer."""
    try:
        _asked_once_more(proxy, address, ca_file)
    except http.client.HTTPException as error:
        return isinstance(error, http.client.RemoteDisconnected)
    except OSError:
        return True
    return True


def _asked_once_more(proxy: Proxy, address: Address, ca_file: Path | None) -> tuple[str, ...]:
    """Return the ways to sign in that the proxy names in its answer. Raises what the standard library raises."""
    connection = (
        http.client.HTTPSConnection(proxy.host, proxy.port, timeout=ASK_S, context=tls_context(ca_file))
        if proxy.url.startswith("https:")
        else http.client.HTTPConnection(proxy.host, proxy.port, timeout=ASK_S)
    )
    host = f"[{address.host}]" if ":" in address.host else address.host
    target = f"{host}:{address.port}"
    headers = {"Host": target}
    if proxy.authorization is not None:
        headers["Proxy-Authorization"] = proxy.authorization
    try:
        connection.request("CONNECT", target, headers=headers)
        return schemes_of(connection.getresponse().headers.get_all("Proxy-Authenticate") or ())
    finally:
        connection.close()


def _listed(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " or " + names[-1]
