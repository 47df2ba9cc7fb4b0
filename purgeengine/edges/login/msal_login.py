"""Sign in through Microsoft's own library, MSAL, with the HTTP session and the error handling that a long run needs.

MSAL for Python (seen in 1.39) caches tokens and even refusals, follows redirects, trusts whatever
``REQUESTS_CA_BUNDLE`` names, drops ``Retry-After``, asks another host if ``MSAL_FORCE_REGION`` is set, and makes a
call for each thread that asks. This module handles each of these, through MSAL's public parameters.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from pathlib import Path
from typing import Any

import requests

from purgeengine.core.graph.foreign_answers import is_page, marks
from purgeengine.core.graph.redaction import told_name
from purgeengine.core.graph.retry_after import retry_after_s
from purgeengine.core.graph.text import printable
from purgeengine.edges.clock import SystemClock
from purgeengine.edges.http.addresses import Address, Proxy, address_of, proxy_for
from purgeengine.edges.http.proxy_refusals import is_final, not_http, refusal, speaks_http, what_it_wants
from purgeengine.edges.http.skew import skew_in_words
from purgeengine.edges.login.identity import is_token
from purgeengine.edges.login.login_http import LoginHttp, https_only
from purgeengine.edges.login.refusals import refusal_sentence, will_pass
from purgeengine.edges.login.renewing import Issued, LoginPending, LoginUnavailable
from purgeengine.engine.ports import Clock
from purgeengine.errors import LoginUnreachable, TokenError, UsageProblem

TIMEOUT_S = (10.0, 20.0)
"""Seconds until the connection stands, and between pieces of the answer."""

_TUNNEL_REFUSED = re.compile(r"tunnel connection failed: ([0-9]{3})")
"""The standard library's words for a proxy's refusal. The status is all that they contain."""
_NOT_HTTP = ("badstatusline", "linetoolong", "httpexception", "got more than")
"""The standard library's words for an answer that is not HTTP. They do not tell who answered."""
_UNKNOWN_NAME = (
    "failed to resolve",
    "name resolution",
    "name or service not known",
    "getaddrinfo",
    "nodename nor servname",
)
_CAUSES = {
    "the connection was refused: nothing listens at that address and port": ("connection refused", "winerror 10061"),
    "there is no way to its network": (
        "network is unreachable",
        "no route to host",
        "winerror 10051",
        "winerror 10065",
    ),
    "the connection was cut": ("connection reset", "connection aborted", "winerror 10054"),
    "no TLS connection could be made": ("sslerror", "ssleoferror"),
}
"""Causes of a failed connection in words for people, and what the libraries below say of each. No text of theirs is repeated."""


def authority_of(authority_url: str, tenant_id: str) -> tuple[Address, str]:
    """Return the login's address and MSAL's authority, whether or not the URL already ends in the tenant.

    Raises `UsageProblem` for plain http (MSAL refuses it even for this machine) and for a URL that names another
    tenant.
    """
    address = address_of(authority_url, "The authority URL")
    if address.scheme != "https":
        raise UsageProblem(
            "The authority URL must begin with https://, on this machine too: Microsoft's login library refuses plain http."
        )
    path = address.path.strip("/")
    if path.lower() not in ("", tenant_id.lower()):
        raise UsageProblem(
            f"The authority URL ends in {printable(path, 100)!r}, which is not the tenant {tenant_id} of AZURE_TENANT_ID. "
            "Leave the tenant out of the URL. Nothing was sent."
        )
    return address, f"{address.origin}/{tenant_id}"


class MsalLogin:
    """What all logins through MSAL share: one call at a time, and the judgement of its answer.

    A subclass asks MSAL in ``_ask``. ``place`` names what it asks, for messages ("the login at …").
    """

    method = ""
    remedy = "Check the network and the proxy settings (HTTPS_PROXY), then give the same command again."
    credential = ""
    """What may be shown of the credential, for people."""

    def __init__(self, http: LoginHttp, place: str, *, tenant_id: str, client_id: str, clock: Clock) -> None:
        self.tenant_id = tenant_id
        self.client_id = client_id
        self.claims = ""
        self._http = http
        self._place = place
        self._clock = clock
        self._one_at_a_time = threading.Lock()
        # MSAL logs what it cannot parse, with a traceback. Our own errors say everything that matters.
        logging.getLogger("msal").setLevel(logging.CRITICAL + 1)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.method}, client_id={self.client_id}, tenant_id={self.tenant_id})"

    @property
    def skew_s(self) -> float | None:
        """Seconds that our clock is ahead of the login's, as its last answer showed. None if unknown."""
        return self._http.skew.skew_s

    def acquire(self) -> Issued:
        """Get a fresh token. Raises `LoginUnavailable` if another try may help, and `TokenError` if none will."""
        with self._one_at_a_time:
            self._http.last, failure = None, ""
            try:
                answer = self._ask()
            except requests.RequestException as error:
                raise self._unreachable(error) from None  # its text and its request may hold a proxy's password
            except (TokenError, LoginUnavailable, LoginPending):
                raise
            # MSAL raises many kinds of errors, and the answer itself tells more than they do
            except Exception as error:
                answer, failure = self._last_json(), f" ({type(error).__name__})"
            finally:
                self._http.close()  # the connection would be dead an hour later
            return self._judge(answer if isinstance(answer, dict) else {}, failure)

    def _ask(self) -> Any:
        """Return MSAL's answer."""
        raise NotImplementedError

    def _judge(self, answer: dict[str, Any], failure: str) -> Issued:
        """Judge an answer: a token; a busy or troubled login; a refusal; or an answer that makes no sense."""
        token, last = answer.get("access_token"), self._http.last
        if isinstance(token, str) and is_token(token):
            return Issued(token, _life_s(answer.get("expires_in")))
        if last is not None and self._is_busy(last.status_code):
            wait_s = retry_after_s(last.headers.get("Retry-After"), last.headers.get("Date"), self._clock.utc())
            page = f" ({', '.join(_marks_of(last)[1:])})" if _is_page(last) else ""
            raise LoginUnavailable(f"{self._place} answered {last.status_code}{page}", wait_s)
        if will_pass(answer):
            raise LoginUnavailable(
                f"{self._place} has trouble ({told_name(answer.get('error')) or 'it gives no name for it'})"
            )
        if answer.get("error") and not (last is not None and _is_page(last)):
            raise TokenError(self._refusal(answer) + skew_in_words(self.skew_s))
        if last is None:
            raise LoginUnreachable(self._nonsense("nothing and no token", failure))
        status, *more = _marks_of(last)
        said = f"{status.removeprefix('status ')} and no token ({', '.join(more)})"
        raise (LoginUnreachable if _is_page(last) else TokenError)(self._nonsense(said, failure))

    def _is_busy(self, status: int) -> bool:
        return status == 429 or status >= 500

    def _refusal(self, answer: dict[str, Any]) -> str:
        """Return a sentence about a refusal for people, without secrets."""
        raise NotImplementedError

    def _nonsense(self, said: str, failure: str) -> str:
        """Return a sentence about an answer that is neither a token nor a refusal. ``said`` describes the answer."""
        raise NotImplementedError

    def _last_json(self) -> dict[str, Any]:
        try:
            body = json.loads(self._http.last.text) if self._http.last is not None else {}
        except ValueError:
            return {}
        return {key: body[key] for key in body if key != "access_token"} if isinstance(body, dict) else {}

    def _unreachable(self, error: requests.RequestException) -> LoginUnavailable | LoginUnreachable:
        """Return the error for a login that could not be reached.

        Certificates and refusing proxies need a person; the rest may pass.
        """
        text = str(error).lower()
        if "sslcertverificationerror" in text:  # the rest of it is the system's, in its own language
            return LoginUnreachable(
                f"The certificate of {self._place} is not trusted. Where a proxy of your own inspects TLS, name its CA's "
                "certificate with --ca-file." + skew_in_words(self.skew_s)
            )
        because = _cause_in(text)
        proxy, place = self._http.proxy, self._place
        if proxy is not None and isinstance(error, requests.exceptions.ProxyError):
            if refused := _TUNNEL_REFUSED.search(text):
                return self._refused_by_proxy(proxy, int(refused[1]))
            return LoginUnavailable(f"the proxy {proxy.url} to {place} could not be reached{because}", unreached=True)
        if (
            proxy is not None
            and any(words in text for words in _NOT_HTTP)
            and not speaks_http(proxy, self._http.address, self._http.ca_file)
        ):
            return LoginUnreachable(f"{not_http(proxy)} Nothing was sent.")
        if isinstance(error, requests.exceptions.Timeout):
            via = f", through the proxy {proxy.url}" if proxy else ""
            return LoginUnavailable(f"{place} did not answer in time{via}", unreached=True)
        return LoginUnavailable(f"{place} could not be reached{because}", unreached=True)

    def _refused_by_proxy(self, proxy: Proxy, status: int) -> LoginUnavailable | LoginUnreachable:
        address = self._http.address
        if not is_final(status):
            return LoginUnavailable(
                f"the proxy {proxy.url} could not connect to {self._place} (status {status})", unreached=True
            )
        wants = what_it_wants(proxy, address, self._http.ca_file) if status == 407 else ()
        return LoginUnreachable(f"{refusal(proxy, address.host, status, wants)} Nothing was sent.")


class EntraLogin(MsalLogin):
    """A sign-in at Entra ID's login endpoint, over https only."""

    def __init__(
        self,
        *,
        tenant_id: str,
        client_id: str,
        authority_url: str,
        scope: str,
        ca_file: Path | None = None,
        clock: Clock | None = None,
    ) -> None:
        address, self._authority = authority_of(authority_url, tenant_id)
        clock = clock or SystemClock()
        http = LoginHttp(
            address, clock=clock, ca_file=ca_file, proxy=proxy_for(address), allowed=https_only, timeout_s=TIMEOUT_S
        )
        super().__init__(http, f"the login at {address.host}", tenant_id=tenant_id, client_id=client_id, clock=clock)
        self.host = address.host
        self._scope = scope
        self._remembered: dict[str, Any] = {}

    def _app_options(self) -> dict[str, Any]:
        return {
            "authority": self._authority,
            "http_client": self._http,
            "http_cache": self._remembered,
            "client_capabilities": ["CP1"],  # we answer claims challenges (continuous access evaluation)
            "instance_discovery": False,  # otherwise MSAL would ask the public cloud about an unknown address
        }

    def _secrets(self) -> tuple[str, ...]:
        """Return texts that a message must not repeat."""
        return ()

    def _refusal(self, answer: dict[str, Any]) -> str:
        return refusal_sentence(
            answer, host=self.host, tenant=self.tenant_id, client=self.client_id, secrets=self._secrets()
        )

    def _nonsense(self, said: str, failure: str) -> str:
        return (
            f"The login at {self.host} answered {said}{failure}. Check --authority and the proxy "
            "settings: something else than Microsoft's login may have answered."
        )


def _cause_in(text: str) -> str:
    """Return the cause of a failed connection in brackets, with a space in front. Empty if the library's words do not tell it."""
    if any(words in text for words in _UNKNOWN_NAME):
        return " (its name could not be resolved)"
    return next((f" ({cause})" for cause, words in _CAUSES.items() if any(word in text for word in words)), "")


def _headers_of(answer: requests.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers.items()}


def _marks_of(answer: requests.Response) -> list[str]:
    """Return what shows who answered, without a page's title: a login's page may show anything."""
    return marks(answer.status_code, _headers_of(answer), answer.content, titled=False)


def _is_page(answer: requests.Response) -> bool:
    return is_page(_headers_of(answer), answer.content)


def _life_s(expires_in: Any) -> float:
    """Return the seconds that a token lives: an hour, as usual, if the login does not say."""
    try:
        return max(0.0, float(expires_in))
    except (TypeError, ValueError):
        return 3600.0
