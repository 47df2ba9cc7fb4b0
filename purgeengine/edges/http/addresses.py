"""Addresses of Graph and the login: whether a secret may be sent there, and through which proxy.

The environment's proxies are read once, here, for both. aiohttp and requests are kept from looking them up: aiohttp
would do so for every call in a thread, and both would use the credentials of a ``.netrc``.
"""

from __future__ import annotations

import base64
import ipaddress
import os
import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from purgeengine.core.graph.text import printable
from purgeengine.errors import UsageProblem

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*\.?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
_PATH = re.compile(r"(/[A-Za-z0-9_.~-]+)*")
_DEFAULT_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Address:
    """An address that may get a token or secret: https, or this machine. ``path`` does not end in a slash."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def is_loopback(self) -> bool:
        """True if the address is this machine."""
        return _is_loopback(self.host)

    @property
    def origin(self) -> str:
        """``https://host``, with the port unless it is the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}"

    @property
    def url(self) -> str:
        """The whole URL, without a slash at the end."""
        return self.origin + self.path


def address_of(text: str, what: str) -> Address:
    """Read a URL that the user gave. ``what`` names it in messages ("The Graph URL").

    Raises `UsageProblem` if the text is not such a URL, if it has a user name, query or fragment, or if it is plain
    http to another machine: a token must not travel unencrypted.
    """
    shown = f"{what} {_shown(text)!r}"
    parts = _split(text, shown)
    host, port = parts.hostname or "", _port_of(parts, shown)
    if parts.scheme not in _DEFAULT_PORTS or not _HOST.fullmatch(host):
        raise UsageProblem(f"{shown} is not an address such as https://graph.microsoft.com. Nothing was sent.")
    if parts.username is not None or parts.query or parts.fragment or not _PATH.fullmatch(parts.path.rstrip("/")):
        raise UsageProblem(f"{shown} must be a host and at most a path, without user name, query or fragment.")
    if parts.scheme == "http" and not _is_loopback(host):
        raise UsageProblem(f"{shown} must begin with https://: a token is sent in the clear to this machine only.")
    return Address(parts.scheme, host, port or _DEFAULT_PORTS[parts.scheme], parts.path.rstrip("/"))


def platform_address(text: str, what: str) -> Address:
    """Read the URL of a managed identity's endpoint, which Azure serves over plain http near the machine.

    Raises `UsageProblem` for plain http to any address that is not this machine, link-local or private. The header
    that goes there, and the token that comes back, must not cross the internet unencrypted.
    """
    shown = f"{what} {_shown(text)!r}"
    parts = _split(text, shown)
    host, port = parts.hostname or "", _port_of(parts, shown)
    if parts.scheme not in _DEFAULT_PORTS or not _HOST.fullmatch(host) or parts.username is not None:
        raise UsageProblem(f"{shown} is not an address such as http://169.254.169.254. Nothing was sent.")
    if parts.scheme == "http" and not (_is_loopback(host) or _is_private(host)):
        raise UsageProblem(
            f"{shown} is plain http to a public address, where no managed identity is. Nothing was sent."
        )
    return Address(parts.scheme, host, port or _DEFAULT_PORTS[parts.scheme], parts.path.rstrip("/"))


def graph_root(graph_url: str) -> Address:
    """Return Graph's root, whether or not the URL ends in a slash or in ``/v1.0``.

    Raises `UsageProblem` for an unusable URL.
    """
    address = address_of(graph_url, "The Graph URL")
    if address.path.lower().endswith("/beta"):
        raise UsageProblem("The Graph URL ends in /beta; contacts are purged through v1.0, so leave the version out.")
    path = re.sub(r"/v1\.0$", "", address.path, flags=re.IGNORECASE)
    return Address(address.scheme, address.host, address.port, path)


# -------------------------------------------------------------------------------------------------------------- proxies


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy. Its user name and password stay out of its ``repr``."""

    host: str
    port: int
    url: str
    """The URL without user name and password."""
    url_with_secret: str = field(repr=False)
    authorization: str | None = field(repr=False)
    """The value of ``Proxy-Authorization``, or None if the proxy needs none."""
    named_by: str = "HTTPS_PROXY"
    """The variable that names the proxy, or another place where its address was found."""


def proxy_for(address: Address) -> Proxy | None:
    """Return the proxy that the environment or the system's settings name for this address. None means a direct connection.

    ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` are read in either letter case, else the settings of Windows and
    macOS. This machine is never reached through a proxy. No name is looked up. Raises `UsageProblem` for a proxy that
    is neither http nor https, and for one whose user name or password is not escaped as in a URL.
    """
    if address.is_loopback:
        return None
    proxies = getproxies()
    text = proxies.get(address.scheme) or proxies.get("all")
    if not text or proxy_bypass(f"{address.host}:{address.port}"):
        return None
    named_by = _named_by(text)
    shown = f"The proxy {_shown(text)!r} of {named_by}"
    _check_shape(text, shown)
    _check_user_information(text, named_by)
    parts = _split(text if "://" in text else f"http://{text}", shown)
    host, port = parts.hostname or "", _port_of(parts, shown)
    if parts.scheme not in _DEFAULT_PORTS or not _HOST.fullmatch(host):
        raise UsageProblem(
            f"{shown} cannot be used; only http:// and https:// proxies can. Set HTTPS_PROXY, or NO_PROXY to go without."
        )
    plain = Address(parts.scheme, host, port or _DEFAULT_PORTS[parts.scheme], "")
    url_with_secret = f"{parts.scheme}://{parts.netloc}"
    return Proxy(plain.host, plain.port, plain.origin, url_with_secret, _basic(parts), named_by)


def _named_by(text: str) -> str:
    """Return the variable that holds this proxy; upper case if both letter cases do."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        if os.environ.get(name) == text:
            return name
    return "the system's proxy settings"


def _check_shape(text: str, shown: str) -> None:
    """Raise `UsageProblem` if ``http://`` lacks a colon or a slash, or if no host follows it."""
    if re.match(r"https?(?::/(?!/)|//|/)", text, re.IGNORECASE):
        raise UsageProblem(
            f"{shown} does not begin with http:// or https://: a colon or a slash is missing. Nothing was looked up and "
            "nothing was sent."
        )
    if re.match(r"(?:https?://)?(?:[^/@]*@)?(?::\d*)?/?$", text, re.IGNORECASE):
        raise UsageProblem(
            f"{shown} names no host. Write it as http://proxy.example:8080. Nothing was looked up and nothing was sent."
        )


def _check_user_information(text: str, named_by: str) -> None:
    """Raise `UsageProblem` if a character of the user name or password would be read as its end.

    An unescaped ``@``, ``/``, ``#``, ``?`` or ``:`` would make a part of the password the host name, and the look-up
    would show it to everybody on the network.
    """
    after_scheme = text.partition("://")[2] if "://" in text else text
    if "@" not in after_scheme:
        return
    user_information = after_scheme.rpartition("@")[0]
    user, _, password = user_information.partition(":")
    bad_percent = re.search(r"%(?![0-9A-Fa-f]{2})", user_information)
    if not bad_percent and not re.search(r"[^\x21-\x7e]|[@:/#?\[\]\\]", user + password):
        return
    raise UsageProblem(
        f"{named_by} holds a user name or password with a character that ends it in a URL. Write @ as %40, # as %23, : as %3A, "
        "/ as %2F, ? as %3F, [ as %5B, ] as %5D, \\ as %5C, % as %25, a space as %20, and letters outside ASCII as their UTF-8 "
        "bytes, in the user name and the password only: http://user:p%40ss%231@proxy.example:8080. Nothing was looked up and "
        "nothing was sent."
    )


def _basic(parts: SplitResult) -> str | None:
    if not parts.username:
        return None
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return "Basic " + base64.b64encode(pair.encode("utf-8")).decode("ascii")


# --------------------------------------------------------------------------------------------------------------- details


def _split(text: str, shown: str) -> SplitResult:
    if not text.isascii() or not text.isprintable() or " " in text:
        raise UsageProblem(f"{shown} holds a character that no URL has. Nothing was sent.")
    try:
        return urlsplit(text)
    except ValueError as error:
        raise UsageProblem(f"{shown} is not a URL. Nothing was sent.") from error


def _port_of(parts: SplitResult, shown: str) -> int | None:
    try:
        return parts.port
    except ValueError as error:
        raise UsageProblem(f"{shown} has a port that is none. Nothing was sent.") from error


def _shown(text: str) -> str:
    """Return the text for a message: short, and without what may be a user name and password.

    Only the text after the last ``@`` is shown. If there is none, a port that is not a number may be a password, and
    is left out.
    """
    text = re.sub(r"^([A-Za-z0-9+.-]*://)?.*@", r"\1", text, flags=re.DOTALL)
    bad_port = r"^((?:[A-Za-z0-9+.-]*://)?[^/:\[\]]*):(?!//|[0-9]{0,5}(?:/|$)).*"
    return printable(re.sub(bad_port, r"\1:(not shown)", text, flags=re.DOTALL), 200)


def _is_private(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_link_local or address.is_private


def _is_loopback(host: str) -> bool:
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
