"""Signs in through Microsoft's own library, MSAL, with the HTTP session and the error handling that a long run needs.

MSAL for Python (seen in 1.39) keeps tokens and even refusals in caches, follows redirects, trusts whatever
``REQUESTS_CA_BUNDLE`` names, drops ``Retry-After``, and makes a call per thread when several ask at once; each of these is
dealt with here, through its public parameters.
"""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path
from typing import Any

import msal  # type: ignore[import-untyped]
import requests
from requests.adapters import HTTPAdapter

from purgeengine.core.foreign import printable
from purgeengine.core.retry_after import retry_after_s
from purgeengine.edges.addresses import Address, address_of, proxy_for, tls_context
from purgeengine.edges.clock import Clock, SystemClock
from purgeengine.edges.tokens.identity import is_token
from purgeengine.edges.tokens.refusals import refusal_sentence, will_pass
from purgeengine.edges.tokens.renewing import Issued, LoginUnavailable
from purgeengine.errors import TokenError, UsageProblem

TIMEOUT_S = (10.0, 20.0)
"""Until the connection stands, and between pieces of the answer."""


def authority_of(authority_url: str, tenant_id: str) -> tuple[Address, str]:
    """The login's address and MSAL's authority, whether or not the URL already ends in the tenant.

    Raises `UsageProblem` for plain http (even on this machine: the library refuses it) and for a URL that names another tenant.
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
    """An app that signs in as itself with a client secret. Other credentials of MSAL's fit as well: give them as ``credential``."""

    def __init__(
        self,
        *,
        tenant_id: str,
        client_id: str,
        credential: str,
        authority_url: str,
        scope: str,
        ca_file: Path | None = None,
        method: str = "client secret",
        clock: Clock | None = None,
    ) -> None:
        address, self._authority = authority_of(authority_url, tenant_id)
        self.method = method
        self.host = address.host
        self.tenant_id = tenant_id
        self.client_id = client_id
        self._credential = credential
        self._scope = scope
        self._session = _Session(address, ca_file)
        self._clock = clock or SystemClock()
        self._app: Any = None
        self._remembered: dict[str, Any] = {}
        self._one_at_a_time = threading.Lock()
        # MSAL logs what it cannot parse, with a traceback; everything worth saying is said in our own errors.
        logging.getLogger("msal").setLevel(logging.CRITICAL + 1)

    def __repr__(self) -> str:
        return f"MsalLogin({self.method}, client_id={self.client_id}, tenant_id={self.tenant_id})"

    def acquire(self) -> Issued:
        """Ask for a fresh token. Raises `LoginUnavailable` when another try may help, and `TokenError` when none will."""
        with self._one_at_a_time:
            self._session.last, failure = None, ""
            try:
                answer = self._ask()
            except requests.RequestException as error:
                raise self._unreachable(error) from None  # its text and its request may hold a proxy's password
            except TokenError:
                raise
            except Exception as error:  # MSAL's are of many kinds, and the answer itself says more than they do
                answer, failure = self._last_json(), f" ({type(error).__name__})"
        return self._judge(answer if isinstance(answer, dict) else {}, failure)

    def _ask(self) -> Any:
        self._remembered.clear()  # refusals are kept for a minute, and would answer our next try
        if self._app is None:
            self._app = msal.ConfidentialClientApplication(
                self.client_id,
                client_credential=self._credential,
                authority=self._authority,
                http_client=self._session,
                http_cache=self._remembered,
                instance_discovery=False,  # or it would ask the public cloud about an address it does not know
            )
        self._app.remove_tokens_for_client()  # a token that Graph refused must not come back
        return self._app.acquire_token_for_client(scopes=[self._scope])

    def _judge(self, answer: dict[str, Any], failure: str) -> Issued:
        """The cases: a token; the login has trouble or is busy; it says no; it says nothing that makes sense."""
        token, last = answer.get("access_token"), self._session.last
        if isinstance(token, str) and is_token(token):
            return Issued(token, _life_s(answer.get("expires_in")))
        if last is not None and (last.status_code == 429 or last.status_code >= 500):
            wait_s = retry_after_s(last.headers.get("Retry-After"), last.headers.get("Date"), self._clock.utc())
            raise LoginUnavailable(f"the login at {self.host} answered {last.status_code}", wait_s)
        if will_pass(answer):
            raise LoginUnavailable(f"the login at {self.host} has trouble ({printable(answer.get('error'), 60)})")
        if answer.get("error"):
            raise TokenError(
                refusal_sentence(
                    answer, host=self.host, tenant=self.tenant_id, client=self.client_id, secret=self._credential
                )
            )
        status = last.status_code if last is not None else "nothing"
        raise TokenError(
            f"The login at {self.host} answered {status} and no token{failure}. Check --authority and the proxy settings: "
            "something else than Microsoft's login may have answered."
        )

    def _last_json(self) -> dict[str, Any]:
        try:
            body = json.loads(self._session.last.text) if self._session.last is not None else {}
        except ValueError:
            return {}
        return {key: body[key] for key in body if key != "access_token"} if isinstance(body, dict) else {}

    def _unreachable(self, error: requests.RequestException) -> LoginUnavailable | TokenError:
        """Certificates and proxies that refuse need a person; the rest may pass."""
        text = str(error).lower()
        if "certificate" in text and "verify" in text:
            return TokenError(
                f"The certificate of the login at {self.host} is not trusted. Where a proxy of your own inspects TLS, name "
                "its CA's certificate with --ca-file."
            )
        if isinstance(error, requests.exceptions.ProxyError) and " 407 " in text:
            return TokenError(
                f"The proxy refused to connect to the login at {self.host} (status 407). Set HTTPS_PROXY with user name and "
                "password."
            )
        via = "the proxy to " if isinstance(error, requests.exceptions.ProxyError) else ""
        if isinstance(error, requests.exceptions.Timeout):
            return LoginUnavailable(f"{via}the login at {self.host} did not answer in time")
        return LoginUnavailable(f"{via}the login at {self.host} could not be reached")


def _life_s(expires_in: Any) -> float:
    """Seconds a token lives; an hour, the usual, where the login does not say."""
    try:
        return max(0.0, float(expires_in))
    except (TypeError, ValueError):
        return 3600.0


class _Session(requests.Session):
    """HTTP for MSAL: our certificates, our proxy, our timeouts, no redirects, no ``.netrc``, and the last answer kept."""

    def __init__(self, address: Address, ca_file: Path | None) -> None:
        super().__init__()
        self.last: requests.Response | None = None
        self.trust_env = False
        self.verify = True if ca_file is None else str(ca_file)
        self.mount("https://", _SystemTrust(ca_file))
        proxy = proxy_for(address)
        if proxy is not None:
            self.proxies = {address.scheme: proxy.url_with_secret}

    def request(self, method: Any, url: Any, *args: Any, **options: Any) -> requests.Response:
        if not str(url).startswith("https://"):
            raise TokenError("The login named an address that is not https://; the secret was not sent there.")
        options["timeout"] = TIMEOUT_S
        options["allow_redirects"] = False
        self.last = super().request(method, url, *args, **options)
        return self.last


class _SystemTrust(HTTPAdapter):
    """Trusts what the way to Graph trusts: the CA file, or the system's store (requests alone knows only its own list)."""

    def __init__(self, ca_file: Path | None) -> None:
        self._context = tls_context(ca_file)
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **options)

    def proxy_manager_for(self, proxy: Any, **options: Any) -> Any:
        return super().proxy_manager_for(proxy, ssl_context=self._context, **options)
