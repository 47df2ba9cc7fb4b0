"""Tests of trust for login and Graph: a PEM file, the system's own verifier, OpenSSL's paths or the system's bundle."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
import truststore

from purgeengine.edges.http import tls
from purgeengine.edges.http.addresses import address_of
from purgeengine.edges.http.tls import tls_context
from purgeengine.edges.http.transport import HttpTransport
from purgeengine.edges.login.login_http import LoginHttp, https_only
from purgeengine.errors import NotSent
from tests.edges.login.test_msal_login import Endpoint, granted, the_login
from tests.support.https_server import LOOPBACK, answering, proxying, serving, write_ca

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="no test may put a CA into the keychain of a machine")


@pytest.fixture(autouse=True)
def a_plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hides the proxies and certificates of the machine that runs the tests."""
    for name in ("HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "https_proxy", "all_proxy", "no_proxy", *tls.TRUST_VARIABLES):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def ca_file(tmp_path: Path) -> Path:
    """Return a file with the CA that signs the certificates of these servers."""
    return write_ca(tmp_path)


@pytest.fixture
def system_verifies(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Path], None]:
    """Makes this platform ask the system's verifier, and returns a function that sets what the verifier trusts."""
    monkeypatch.setattr(tls, "SYSTEM_VERIFIES_ON", (sys.platform,))
    monkeypatch.setattr(tls, "TRUST_VARIABLES", ())  # how truststore finds our store on Linux
    return lambda variable, path: monkeypatch.setenv(variable, str(path))


def hashed_folder(tmp_path: Path, ca_file: Path) -> Path:
    """Return a folder of certificates in the form that OpenSSL reads."""
    if shutil.which("openssl") is None:
        pytest.skip("the names of files in such a folder are made by openssl")
    asked = ["openssl", "x509", "-hash", "-noout", "-in", str(ca_file)]
    name = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    folder = tmp_path / "hashed"
    folder.mkdir()
    shutil.copy(ca_file, folder / f"{name}.0")
    return folder


async def post(url: str, ca_file: Path | None = None) -> int:
    """Post a batch to this URL and return the status of the answer."""
    async with HttpTransport.open(graph_url=url, connections=2, ca_file=ca_file) as transport:
        return (await transport.post(b"{}", "11111111-2222", "token")).status


def login_status(url: str) -> int:
    """Ask this URL with the login's session and return the status of the answer."""
    session = LoginHttp(address_of(url, "The URL"), clock=Still(), allowed=https_only, timeout_s=(5.0, 5.0))
    with session:
        return session.request("GET", url).status_code


class Still:
    """A clock that always shows zero."""

    def monotonic(self) -> float:
        """Return zero."""
        return 0.0

    def utc(self) -> float:
        """Return zero."""
        return 0.0


# ----------------------------------------------------------------------------------------------------- the system's verifier


@linux_only
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
async def test_what_the_system_trusts_is_trusted_by_graph_and_login(
    variable: str, tmp_path: Path, ca_file: Path, system_verifies: Callable[[str, Path], None]
) -> None:
    """Certificates that the system trusts are accepted from Graph and the login: aiohttp and requests both use truststore."""
    system_verifies(variable, ca_file if variable == "SSL_CERT_FILE" else hashed_folder(tmp_path, ca_file))
    assert isinstance(tls_context(None), truststore.SSLContext)
    async with serving(answering()) as server:
        assert await post(server.url) == 200
        assert await asyncio.to_thread(login_status, server.url) == 200
    async with serving(Endpoint(granted())) as server:
        assert (await asyncio.to_thread(the_login(server.url, None).acquire)).token == "token-1"


@linux_only
async def test_the_system_verifies_on_uvloop_and_through_a_proxy_too(
    ca_file: Path, system_verifies: Callable[[str, Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's verifier works on uvloop and through a proxy, where its context wraps buffers instead of sockets."""
    uvloop = pytest.importorskip("uvloop")
    system_verifies("SSL_CERT_FILE", ca_file)
    async with serving(answering()) as server, proxying(server.port) as proxy:
        assert await asyncio.to_thread(uvloop.run, post(server.url)) == 200
        monkeypatch.setenv("HTTPS_PROXY", f"http://{LOOPBACK}:{proxy.port}")
        assert await post("https://graph.test") == 200
        with pytest.raises(NotSent, match=r"certificate of other\.test is not trusted"):
            await post("https://other.test")


async def test_what_the_system_does_not_trust_is_refused_with_the_way_out(
    system_verifies: Callable[[str, Path], None], tmp_path: Path
) -> None:
    """A certificate that the system does not trust is refused before anything is sent, with a hint to --ca-file."""
    system_verifies("SSL_CERT_FILE", write_ca(tmp_path, trustme.CA()))
    endpoint = Endpoint(granted())
    async with serving(endpoint) as server:
        with pytest.raises(NotSent, match=r"certificate of 127\.0\.0\.1 is not trusted .* --ca-file"):
            await post(server.url)
        with pytest.raises(Exception, match=r"certificate of the login at 127\.0\.0\.1 is not trusted.* --ca-file"):
            await asyncio.to_thread(the_login(server.url, None).acquire)
    assert endpoint.forms == []


async def test_a_ca_file_is_trusted_alone(ca_file: Path, system_verifies: Callable[[str, Path], None]) -> None:
    """With a CA file only its certificates are trusted, and the system is not asked."""
    context = tls_context(ca_file)
    assert not isinstance(context, truststore.SSLContext)
    assert context.cert_store_stats()["x509"] == 1
    async with serving(answering()) as server:
        assert await post(server.url, ca_file) == 200


@pytest.mark.parametrize("variable", tls.TRUST_VARIABLES)
def test_who_tells_openssl_whom_to_trust_is_obeyed_everywhere(
    variable: str, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable of OpenSSL that names certificates is obeyed on every platform: the system's verifier would ignore it."""
    monkeypatch.setattr(tls, "SYSTEM_VERIFIES_ON", (sys.platform,))
    monkeypatch.setenv(variable, str(ca_file))
    assert not isinstance(tls_context(None), truststore.SSLContext)


@pytest.mark.parametrize("broken", ["missing", "unsupported"])
async def test_openssl_verifies_where_truststore_cannot_be_used(
    broken: str, ca_file: Path, system_verifies: Callable[[str, Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSL verifies if truststore is not installed or the system is too old for it."""

    def refuse(*_: Any) -> None:
        raise OSError("this system has no such function")

    if broken == "missing":
        monkeypatch.setitem(sys.modules, "truststore", None)
    else:
        monkeypatch.setattr(truststore, "SSLContext", refuse)
    system_verifies("SSL_CERT_FILE", ca_file)
    async with serving(answering()) as server:
        assert await post(server.url) == 200


def test_the_system_is_asked_on_macos_and_windows_only() -> None:
    """The system's verifier is used on macOS and Windows only: elsewhere it would read the bundle for each connection."""
    uses_it = isinstance(tls_context(None), truststore.SSLContext)
    assert uses_it == (sys.platform in ("darwin", "win32"))


# ----------------------------------------------------------------------------------------------------------- the bundle


@linux_only
async def test_the_systems_bundle_is_found_where_openssl_looks_in_the_wrong_place(
    tmp_path: Path, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's bundle is found if OpenSSL looks in the wrong place, as in a Python built on another system.

    Bundles that are missing or hold no certificates are skipped.
    """
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(tls, "_is_told_whom_to_trust", lambda: False)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "nowhere.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "empty"))
    (tmp_path / "bad.pem").write_text("none")
    monkeypatch.setattr(tls, "BUNDLES", (tmp_path / "none.pem", tmp_path / "bad.pem", ca_file))
    async with serving(answering()) as server:
        assert await post(server.url) == 200


@linux_only
@pytest.mark.parametrize("said_by", ["variable", "folder"])
def test_no_bundle_is_added_to_what_openssl_was_told(
    said_by: str, tmp_path: Path, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No bundle is added if a variable names certificates, even missing ones, or if OpenSSL's folder holds some."""
    monkeypatch.setattr(tls, "BUNDLES", (ca_file,))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "nowhere.pem"))
    (tmp_path / "folder").mkdir()
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "folder"))
    if said_by == "folder":
        monkeypatch.setattr(tls, "_is_told_whom_to_trust", lambda: False)
        (tmp_path / "folder" / "0123abcd.0").write_bytes(ca_file.read_bytes())
    assert tls_context(None).cert_store_stats()["x509"] == 0


# ---------------------------------------------------------------------------------------------------------- the PEM file


async def test_an_intermediate_certificate_may_be_trusted(tmp_path: Path) -> None:
    """A CA file may hold an intermediate certificate: organisations that inspect TLS often hand out no root certificate."""
    intermediate = trustme.CA().create_child_ca()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    intermediate.issue_cert("127.0.0.1").configure_cert(context)

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        trusting = tls_context(write_ca(tmp_path, intermediate))
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting)
        writer.close()
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection("127.0.0.1", port, ssl=tls_context(None))
