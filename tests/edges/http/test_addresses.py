"""Tests of addresses: where a token may be sent, and through which proxy."""

from __future__ import annotations

import pytest

from purgeengine.edges.http.addresses import Address, address_of, graph_root, platform_address, proxy_for
from purgeengine.errors import UsageProblem

GRAPH = Address("https", "graph.microsoft.com", 443, "")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hides the proxy settings of the machine that runs the tests."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://graph.microsoft.com", "https://graph.microsoft.com"),
        ("https://graph.microsoft.com:443/", "https://graph.microsoft.com"),
        ("HTTPS://Graph.Microsoft.com/v1.0/", "https://graph.microsoft.com"),
        ("https://gateway.example:8443/graph/v1.0", "https://gateway.example:8443/graph"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://127.9.9.9", "http://127.9.9.9"),
        ("http://[::1]:1", "http://[::1]:1"),
    ],
)
def test_an_address_in_one_spelling(text: str, url: str) -> None:
    """An address of Graph loses the usual port, the version and the last slash; https and this machine are allowed."""
    assert graph_root(text).url == url


@pytest.mark.parametrize(
    "text",
    ["http://10.0.0.1", "http://localhost.evil.example", "http://127.0.0.1.evil.example", "http://evil.example#@localhost",
     "https://[::1", "https://a b", "https://x/../y?z", "https://ü.example", "https://x/%2e", "https://..", "http://2130706433"],
)  # fmt: skip
def test_an_address_that_is_refused(text: str) -> None:
    """An address with plain http to another machine, or one that parsers read differently, is refused."""
    with pytest.raises(UsageProblem):
        address_of(text, "The Graph URL")


def test_a_message_shows_no_password() -> None:
    """The error message about an address with a user name and password does not show the password."""
    with pytest.raises(UsageProblem, match="user name") as caught:
        address_of("https://ann:hunter2@graph.microsoft.com", "The Graph URL")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://proxy.example:3128"}, "http://proxy.example:3128"),
        ({"https_proxy": "proxy.example:3128/"}, "http://proxy.example:3128"),
        ({"HTTPS_PROXY": "https://proxy.example"}, "https://proxy.example"),
        ({"ALL_PROXY": "http://proxy.example:1"}, "http://proxy.example:1"),
        ({"HTTP_PROXY": "http://proxy.example:1"}, None),
        ({"HTTPS_PROXY": "http://proxy.example", "NO_PROXY": "*"}, None),
        ({"HTTPS_PROXY": "http://proxy.example", "NO_PROXY": "x, .microsoft.com"}, None),
        ({"HTTPS_PROXY": "http://proxy.example", "no_proxy": "graph.microsoft.com:443"}, None),
        ({"HTTPS_PROXY": "http://proxy.example", "NO_PROXY": "microsoft.example"}, "http://proxy.example"),
    ],
)
def test_the_environments_proxy(environment: dict[str, str], url: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy is taken from HTTPS_PROXY, else from ALL_PROXY, unless NO_PROXY names the host."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    proxy = proxy_for(GRAPH)
    assert (proxy and proxy.url) == url


def test_a_proxys_credentials_are_kept_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy's user name and password appear neither in its address nor in its ``repr``."""
    monkeypatch.setenv("HTTPS_PROXY", "http://ann:hunter2@proxy.example:1")
    proxy = proxy_for(GRAPH)
    assert proxy is not None
    assert proxy.url == "http://proxy.example:1"
    assert proxy.url_with_secret == "http://ann:hunter2@proxy.example:1"
    assert "hunter2" not in repr(proxy)
    assert proxy.authorization not in repr(proxy)


@pytest.mark.parametrize(
    "text", ["socks5://ann:hunter2@proxy.example", "http://", "http://proxy.example:x", "http://a b"]
)
def test_a_proxy_that_cannot_be_used(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unusable proxy setting is an error: a call without the proxy may be what the administrator wants to prevent."""
    monkeypatch.setenv("HTTPS_PROXY", text)
    with pytest.raises(UsageProblem, match="The proxy") as caught:
        proxy_for(GRAPH)
    assert "hunter2" not in str(caught.value)


def test_this_machine_needs_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address on this machine gets no proxy, because a token for it must not leave the machine."""
    monkeypatch.setenv("ALL_PROXY", "http://proxy.example")
    assert proxy_for(address_of("http://localhost:1", "x")) is None
    assert proxy_for(address_of("https://127.0.0.1:1", "x")) is None


@pytest.mark.parametrize(
    "text",
    ["http://169.254.169.254", "http://127.0.0.1:41741/MSI/token/", "http://localhost:8081/msi/token",
     "http://172.16.0.2:8081/msi/token", "http://[fe80::1]/x", "https://identity.example/token"],
)  # fmt: skip
def test_a_managed_identity_is_beside_the_machine(text: str) -> None:
    """A managed identity's endpoint may use plain http on loopback, link-local and private addresses, and https anywhere."""
    assert platform_address(text, "IDENTITY_ENDPOINT").host


@pytest.mark.parametrize(
    "text",
    [
        "http://8.8.8.8",
        "http://identity.example",
        "http://ann:x@127.0.0.1",
        "ftp://127.0.0.1",
        "",
        "http://1.1.1.1@10.0.0.1",
    ],
)
def test_a_managed_identity_is_nowhere_else(text: str) -> None:
    """A managed identity's endpoint is refused anywhere else, because a header as good as a secret is sent to it."""
    with pytest.raises(UsageProblem, match="IDENTITY_ENDPOINT"):
        platform_address(text, "IDENTITY_ENDPOINT")
