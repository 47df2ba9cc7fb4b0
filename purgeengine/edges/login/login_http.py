"""HTTP for MSAL: our certificates, proxy and time limits; no redirects and no ``.netrc``; the last answer is kept.

Secrets are sent only to addresses that ``allowed`` accepts. MSAL takes addresses from what the login's discovery
names, so each is checked.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from purgeengine.edges.http.addresses import Address, Proxy
from purgeengine.edges.http.skew import SkewWatch
from purgeengine.edges.http.tls import tls_context
from purgeengine.engine.ports import Clock
from purgeengine.errors import TokenError


class LoginHttp(requests.Session):
    """An HTTP session for one login. ``proxy`` is the proxy to use, ``ca_file`` replaces the system's certificates.

    ``allowed`` tells whether a URL may get a secret. ``timeout_s`` is (until the connection stands, between pieces of
    the answer), in seconds.
    """

    def __init__(
        self,
        address: Address,
        *,
        clock: Clock,
        ca_file: Path | None = None,
        proxy: Proxy | None = None,
        allowed: Callable[[str], bool],
        timeout_s: tuple[float, float],
    ) -> None:
        super().__init__()
        self.last: requests.Response | None = None
        self.address, self.proxy, self.ca_file = address, proxy, ca_file
        self.skew = SkewWatch(address.host)
        self.trust_env = False
        self.mount("https://", _OurTrust(ca_file))
        if proxy is not None:
            self.proxies = {address.scheme: proxy.url_with_secret}
        self._allowed = allowed
        self._timeout_s = timeout_s
        self._clock = clock

    def request(self, method: Any, url: Any, *args: Any, **options: Any) -> requests.Response:
        """Send a request as `requests` does, but follow no redirect.

        Raises `TokenError` for an address that may not get a secret.
        """
        if not self._allowed(str(url)):
            raise TokenError("The login named an address that is not https://; the secret was not sent there.")
        options["timeout"] = self._timeout_s
        options["allow_redirects"] = False
        self.last = super().request(method, url, *args, **options)
        self.skew.saw(self.last.headers.get("Date"), self._clock.utc())
        return self.last


def https_only(url: str) -> bool:
    """True for https. A secret always travels encrypted to the login, whatever address it names."""
    return url.startswith("https://")


class _OurTrust(HTTPAdapter):
    """Trusts what the connection to Graph trusts, the CA file or the system's store, and nothing else.

    requests alone would add its own list of authorities, and would skip verification if it is told to.
    """

    def __init__(self, ca_file: Path | None) -> None:
        self._context = tls_context(ca_file)
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **options)

    def proxy_manager_for(self, proxy: Any, **options: Any) -> Any:
        options |= {"ssl_context": self._context, "proxy_ssl_context": self._context}  # a proxy may use TLS itself
        return super().proxy_manager_for(proxy, **options)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Verify always, against our context alone, whatever ``verify`` says."""
        conn.cert_reqs = "CERT_REQUIRED"
