"""Tests that no secret is in a file, in any output, at another address or in a core dump."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pyarrow.parquet as pq
import pytest

from purgeengine.cli.main import COMMANDS
from purgeengine.edges.http.tls import tls_context
from purgeengine.sim.graph.faults import Faults
from purgeengine.sim.graph.tenant import Tenant
from purgeengine.sim.login.login_endpoint import LoginEndpoint
from purgeengine.sim.server.http_server import PROXY_NAME
from purgeengine.sim.tenant_settings import TenantSettings
from tests.support.cli_fixtures import Bench, Ended, a_bench, rows_of
from tests.support.https_server import LOOPBACK, Server, proxying, write_ca
from tests.support.identity_fixtures import NONE_SET, PASSWORD, a_server, key_pair, offered
from tests.support.process_fixtures import in_a_thread

PROXY_USER, PROXY_PASSWORD = "proxy-ann", "proxy~Pass.word"
FAULTS = Faults(
    item_throttled_before=0.05, item_error_after=0.03, call_throttled=0.03, call_error_before=0.03, html_page=0.03,
    expired_token=0.05, retry_after_s_max=1,
)  # fmt: skip
CRASH = """
import sys
from purgeengine.edges.http.transport import HttpTransport
async def broken(self, body, client_request_id, token):
    raise RuntimeError("a mistake of ours")
HttpTransport.post = broken
from purgeengine.cli.main import main
main(sys.argv[1:])
"""


class RememberingLogin(LoginEndpoint):
    """A login that remembers every token that it gave."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens: list[str] = []

    def issue(self, now: float, audience: str = "https://graph.microsoft.com", user: str | None = None) -> str:
        """Give a token, as every login does."""
        self.tokens.append(super().issue(now, audience, user))
        return self.tokens[-1]


@contextlib.contextmanager
def a_proxy(to_port: int) -> Iterator[Server]:
    """Run a proxy in a thread, which accepts only our user."""
    pair = base64.b64encode(f"{PROXY_USER}:{PROXY_PASSWORD}".encode()).decode()
    with in_a_thread(lambda: proxying(to_port, authorization=f"Basic {pair}")) as server:
        yield server


def by_proxy(bench: Bench, command: str, *more: str) -> list[str]:
    """Return a command that goes through the proxy: only the proxy knows the tenant's host name."""
    root = f"https://{PROXY_NAME}"
    endpoint = ["--graph-url", root, "--authority", root, "--ca-file", str(bench.server.ca_file)]
    return [command, *more, *endpoint]


def traces_of(secret: str) -> set[bytes]:
    """Return the secret as it is, escaped, and in base64 at each offset."""
    plain = secret.encode()
    traces = {plain, quote(secret, safe="").encode()}
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + plain)
        traces.add(encoded[4 if shift else 0 : len(encoded) // 4 * 4 - 4])
    return {trace for trace in traces | {trace.translate(bytes.maketrans(b"+/", b"-_")) for trace in traces} if trace}


def leaks(secrets: dict[str, str], places: dict[str, bytes]) -> list[str]:
    """Return which secret is found in which place."""
    return [
        f"{name} in {place}"
        for name, secret in secrets.items()
        for trace in traces_of(secret)
        for place, content in places.items()
        if trace in content
    ]


def files_under(folder: Path, *but: Path) -> dict[str, bytes]:
    """Return the content of every file, with Parquet files also unpacked."""
    found: dict[str, bytes] = {}
    for path in folder.rglob("*"):
        if path.is_file() and path not in but:
            found[str(path)] = path.read_bytes()
            if path.suffix == ".parquet":
                found[f"{path} unpacked"] = repr(pq.read_table(path).to_pydict()).encode()
    return found


@pytest.mark.timeout(300)  # seven processes, one after another
def test_nothing_that_is_written_or_said_holds_a_secret(tmp_path: Path) -> None:
    """Runs with faults, refusals that repeat a secret, a crash and every command that reads a ledger show and store no secret."""
    rows, login = rows_of([12] * 5), RememberingLogin()
    settings = TenantSettings(latency_median_s=0.01, overhead_s=0.01, latency_s_max=0.2)
    tenant = Tenant(settings, contacts=rows, faults=FAULTS, seed=5)
    login.lifetime_s = 2.0
    said: dict[str, bytes] = {}

    def noted(name: str, ended: Ended, *codes: int) -> None:
        assert ended.code in codes, f"{name}: {ended.code} {ended.err}"
        said[f"what {name} said"] = (ended.out + ended.err).encode()

    with (
        a_bench(tmp_path, tenant, rows, login) as bench,
        a_proxy(int(bench.server.graph_url.rpartition(":")[2])) as proxy,
    ):
        certificate = offered("certificate pfx password", bench.server, tmp_path)
        federated = offered("federated", bench.server, tmp_path)
        proxied = {"HTTPS_PROXY": f"http://{PROXY_USER}:{quote(PROXY_PASSWORD)}@{LOOPBACK}:{proxy.port}"}
        debugging = {"PYTHONASYNCIODEBUG": "1", "PYTHONFAULTHANDLER": "1"}
        ledger, told = str(bench.ledger), ["--verbose", "--log-format", "json"]
        run = by_proxy(bench, "run", str(bench.input), "--yes", "--ledger", ledger, *told)
        noted("run", bench.command(*run, **{**NONE_SET, **certificate, **proxied, **debugging}), 0, 1)
        assert proxy.requests, "the run did not go through the proxy"
        login.refuse_next(9, "odd", text=f"the secret {login.app.client_secret}")
        noted("a refused run", bench.command(*run, **proxied), 3)
        assertion = (tmp_path / "federated-token").read_text(encoding="ascii").strip()
        login.refuse_next(9, "odd", text=f"the assertion {assertion}")
        noted("a refused federated run", bench.command(*run, **{**NONE_SET, **federated, **proxied}), 3)
        crash = by_proxy(bench, "run", str(bench.input), "--yes", "--ledger", str(tmp_path / "crashed"))
        noted("a crash", crashed(bench, crash, **{**NONE_SET, **certificate, **proxied, **debugging}), 1)
        noted("status", bench.command("status", ledger, "--json"), 0, 1)
        bench.exported()
        if "report" in COMMANDS:
            noted("report", bench.command("report", ledger, "-o", str(tmp_path / "report.html")), 0)
        if "check" in COMMANDS:
            noted("check", bench.command(*by_proxy(bench, "check"), **{**NONE_SET, **certificate, **proxied}), 0, 1)
    assert login.tokens
    key = key_pair().pem().decode().splitlines()[1]
    secrets = {f"token {n}": token for n, token in enumerate(login.tokens)}
    secrets |= {f"signature of token {n}": token.rpartition(".")[2] for n, token in enumerate(login.tokens)}
    secrets |= {
        "the client secret": login.app.client_secret, "the certificate's password": PASSWORD, "the key": key,
        "the federated token": assertion, "the proxy's password": PROXY_PASSWORD,
    }  # fmt: skip
    written = files_under(tmp_path, *(tmp_path / name for name in ("app.pfx", "federated-token", "input.csv")))
    assert any(name.endswith(".db") or ".sqlite" in name for name in written), sorted(written)
    assert "Traceback" in said["what a crash said"].decode()
    assert leaks(secrets, said | written) == []
    assert leaks({"a canary": "purge"}, {"a place": b"x " + base64.b64encode(b"12purgeengine")}), (
        "the search finds nothing"
    )


def crashed(bench: Bench, arguments: list[str], **environment: str) -> Ended:
    """Run the command line with a transport that fails as only a mistake of ours could."""
    with bench.start(*arguments, program=["-c", CRASH], **environment) as process:
        out, err = process.communicate(timeout=100)
    return Ended(process.returncode, out, err)


def test_one_proxy_serves_login_and_graph_alike(tmp_path: Path) -> None:
    """Login and Graph are reached through one proxy with its user and password, and NO_PROXY keeps both from it."""
    with a_server(tmp_path) as server, a_proxy(int(server.graph_url.rpartition(":")[2])) as proxy:
        bench = Bench(tmp_path, server, one_row(tmp_path))
        url = f"http://{PROXY_USER}:{quote(PROXY_PASSWORD)}@{LOOPBACK}:{proxy.port}"
        run = ["run", str(bench.input), "--yes", "--json", "--ledger", str(bench.ledger)]
        ended = bench.command(*by_proxy(bench, *run), HTTPS_PROXY=url)
        assert ended.code == 0, ended.err
        assert {request.target for request in proxy.requests} == {f"{PROXY_NAME}:443"}
        assert len(proxy.requests) >= 2  # the login's connection and Graph's
        proxy.requests.clear()
        with bench.start(*by_proxy(bench, *run), HTTPS_PROXY=url, NO_PROXY=PROXY_NAME) as process:
            assert process.stderr is not None
            told = process.stderr.readline()
            process.kill()
        assert "token.delayed" in told
        assert f"the login at {PROXY_NAME} could not be reached" in told
        assert proxy.requests == []


def one_row(folder: Path) -> Path:
    """Write an input of one row and return its path."""
    path = folder / "input.csv"
    path.write_text("user,contact\nann@contoso.example,AAA\n", encoding="utf-8")
    return path


def keys_in(path: Path) -> list[str]:
    """Return the keys of connections in the file. aiohttp and requests open it for contexts that we do not use."""
    lines = path.read_text(encoding="ascii").splitlines() if path.exists() else []
    return [line for line in lines if line and not line.startswith("#")]


UNSAFE = {
    "PYTHONHTTPSVERIFY": "0", "CURL_INSECURE": "1", "NODE_TLS_REJECT_UNAUTHORIZED": "0", "SSL_VERIFY": "false",
    "REQUESTS_VERIFY": "0",
}  # fmt: skip


def test_nothing_in_the_environment_turns_verification_off(tmp_path: Path) -> None:
    """No environment variable switches off the check of certificates, adds to --ca-file or has keys written for a sniffer."""
    with a_server(tmp_path) as server:
        bench = Bench(tmp_path, server, one_row(tmp_path))
        (tmp_path / "other").mkdir()
        other = write_ca(tmp_path / "other")
        right = str(server.ca_file)
        trusting = dict.fromkeys(("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"), right)
        ended = bench.run("--ca-file", str(other), SSLKEYLOGFILE=str(tmp_path / "keys"), **UNSAFE, **trusting)
        assert (ended.code, server.login.issued) == (3, 0)
        assert "The certificate of the login at 127.0.0.1 is not trusted" in ended.err
        assert keys_in(tmp_path / "keys") == []
        endpoint = ["--graph-url", server.graph_url, "--authority", server.authority_url]
        arguments = ["run", str(bench.input), "--yes", "--quiet", "--ledger", str(bench.ledger), *endpoint]
        bundles = {name: right for name in trusting if name != "SSL_CERT_FILE"}
        assert bench.command(*arguments, **bundles).code == 3  # these variables of other programs have no effect here
        ended = bench.command(*arguments, SSL_CERT_FILE=right, SSLKEYLOGFILE=str(tmp_path / "keys"))
        assert ended.code == 0, ended.err  # the system's store counts for login and Graph
        assert keys_in(tmp_path / "keys") == []


def test_the_context_verifies_whatever_python_does_by_default() -> None:
    """The TLS context checks certificates and host names, and refuses versions before TLS 1.2."""
    context = tls_context(None)
    assert context.check_hostname
    assert (context.verify_mode.name, context.minimum_version.name) == ("CERT_REQUIRED", "TLSv1_2")
    assert context.keylog_filename is None


def test_no_line_of_ours_leaves_verification_out() -> None:
    """No line of the package switches off verification, except for Service Fabric, whose thumbprint is checked."""
    package = Path(__file__).parent.parent / "purgeengine"
    pinned = package / "edges" / "login" / "platforms.py"
    assert "assert_fingerprint=self._thumbprint" in pinned.read_text(encoding="utf-8")
    lines = [
        line
        for path in package.rglob("*.py")
        if path != pinned
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    unsafe = re.compile(r"verify\s*=\s*False|ssl\s*=\s*False|CERT_NONE|check_hostname\s*=\s*False|_create_unverified")
    assert [line for line in lines if unsafe.search(line)] == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_process_that_holds_a_token_leaves_no_core_dump(tmp_path: Path) -> None:
    """A process that holds a token leaves no core dump, even if the shell's limits allow one."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        with a_server(tmp_path) as server:
            bench = Bench(tmp_path, server, one_row(tmp_path))
            environment = {**NONE_SET, **offered("device-code", server, tmp_path)}
            with bench.start(*bench.run_arguments("--auth", "device-code"), **environment) as process:
                assert process.stderr is not None
                process.stderr.readline()
                limits = Path(f"/proc/{process.pid}/limits").read_text(encoding="ascii")
                os.kill(process.pid, signal.SIGABRT)
                process.communicate(timeout=60)
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
    assert re.search(r"Max core file size +0 ", limits), limits
