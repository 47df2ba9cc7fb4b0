"""End-to-end tests of every way to sign in: the command line, or its tokens, against the simulated login over TLS."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from purgeengine import logs
from purgeengine.edges.login import LoginPending, LoginUnavailable, RenewingTokens
from purgeengine.errors import TokenError
from purgeengine.sim.login.credential_files import Issuer
from purgeengine.sim.login.people import PERSON
from tests.support.cli_fixtures import Bench, rows_of, write_csv
from tests.support.identity_fixtures import NONE_SET, a_server, key_pair, offered, other_pair, tokens_by

WAYS = [
    "secret", "certificate pem", "certificate pem password", "certificate pfx", "certificate pfx password",
    "certificate pem RS256", "federated", "managed-identity service", "managed-identity service user",
    "managed-identity machine", "managed-identity machine user", "token",
]  # fmt: skip


def a_bench(folder: Path, server: Any) -> Bench:
    """Return the real command line, pointed at the server."""
    return Bench(folder, server, write_csv(folder / "input.csv", rows_of([2, 1])))


# --------------------------------------------------------------------------------------------- the real command line


@pytest.mark.parametrize(
    ("endpoint", "auth"),
    [
        ("secret", "auto"),
        ("certificate pfx password", "auto"),
        ("certificate pem RS256", "certificate"),
        ("federated", "auto"),
        ("managed-identity service user", "managed-identity"),
        ("managed-identity machine", "managed-identity"),
        ("token", "auto"),
    ],
)
def test_a_run_by_each_identity(endpoint: str, auth: str, tmp_path: Path) -> None:
    """A run purges its three rows with each kind of identity, and the credential comes only from the environment."""
    with a_server(tmp_path) as server:
        bench = a_bench(tmp_path, server)
        ended = bench.run("--auth", auth, **{**NONE_SET, **offered(endpoint, server, tmp_path)})
        assert ended.code == 0, ended.err
        assert ended.json["outcomes"]["purged"] == 3
        assert server.tenant.counters.purged == 3


def test_a_run_by_device_code(tmp_path: Path) -> None:
    """The device code is shown on standard error even with --quiet and --json, and the run continues after a person signed in."""
    with a_server(tmp_path) as server:
        bench = a_bench(tmp_path, server)
        environment = {**NONE_SET, **offered("device-code", server, tmp_path)}
        with bench.start(*bench.run_arguments("--auth", "device-code"), **environment) as process:
            assert process.stderr is not None
            told = process.stderr.readline()
            code = re.search(
                r"open https://127\.0\.0\.1:\d+/devicelogin in a browser .* the code ([0-9A-F]{8})\.", told
            )
            assert code, told
            assert server.login.people.sign_in(code.group(1))
            out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert json.loads(out)["outcomes"]["purged"] == 3


@pytest.mark.skipif(os.name == "nt", reason="sends signals")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_waiting_for_a_person_can_be_interrupted(sent: signal.Signals, tmp_path: Path) -> None:
    """Ctrl-C or SIGTERM ends the wait for a person with exit code 4, and nothing was sent."""
    if signal.getsignal(sent) is signal.SIG_IGN:
        pytest.skip("what starts the tests has this signal ignored, and so have its children")
    with a_server(tmp_path) as server:
        bench = a_bench(tmp_path, server)
        environment = {**NONE_SET, **offered("device-code", server, tmp_path)}
        with bench.start(*bench.run_arguments("--auth", "device-code"), **environment) as process:
            assert process.stderr is not None
            process.stderr.readline()
            process.send_signal(sent)
            _, err = process.communicate(timeout=60)
        assert (process.returncode, server.tenant.counters.calls) == (4, 0), err
        assert "Traceback" not in err


def test_a_login_that_refuses_ends_with_three(tmp_path: Path) -> None:
    """A refused login ends the run with exit code 3 and one sentence with the remedy, before anything is staged or sent."""
    with a_server(tmp_path) as server:
        server.login.refuse_next(7000222)
        bench = a_bench(tmp_path, server)
        ended = bench.run()
        assert (ended.code, ended.json["error"]["kind"], bench.ledger.exists()) == (3, "sign_in", False)
        assert "the client secret has expired. Make a new one" in ended.err
        assert ended.err.count("\n") == 1


# ------------------------------------------------------------------------------------------------ tokens in this process


def test_every_way_gives_tokens_and_says_who_we_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every way to sign in gives a token that the tenant accepts, renews a refused one, names the app, and shows no secret."""
    with a_server(tmp_path) as server:
        for endpoint in WAYS:
            tokens = tokens_by(endpoint, server, tmp_path, monkeypatch)
            token = asyncio.run(tokens.token())
            assert server.login.accepts(token, server.tenant.now), endpoint
            identity = tokens.describe()
            assert identity.tenant_id == server.login.app.tenant_id, endpoint
            assert identity.roles == ("Contacts.ReadWrite",), endpoint
            assert identity.chosen_because == f"--auth {endpoint.partition(' ')[0]} was given"
            if endpoint != "token":
                assert asyncio.run(tokens.renew(token)) != token, endpoint
                assert abs(identity.clock_skew_s or 0.0) < 60, endpoint
            assert token not in repr(tokens) + repr(identity)


def test_both_kinds_of_signature_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PS256 signature names the certificate by its SHA-256 thumbprint and includes it.

    RS256 names the SHA-1 thumbprint, and includes the certificate only on request.
    """
    with a_server(tmp_path) as server:
        for endpoint in ("certificate pem", "certificate pfx", "certificate pem RS256"):
            asyncio.run(tokens_by(endpoint, server, tmp_path, monkeypatch).token())
        modern, pfx, old = server.login.assertions.seen
        assert (modern["alg"], "x5t#S256" in modern, "x5t" in modern, len(modern["x5c"])) == ("PS256", True, False, 1)
        assert pfx == modern
        assert (old["alg"], "x5t#S256" in old, "x5t" in old, "x5c" in old) == ("RS256", False, True, False)
        monkeypatch.setitem(NONE_SET, "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN", "true")
        asyncio.run(tokens_by("certificate pem RS256", server, tmp_path, monkeypatch).token())
        assert server.login.assertions.seen[-1]["x5c"] == modern["x5c"]


def test_a_certificate_that_is_replaced_is_used_from_the_next_token_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replaced certificate file is used for the next token without a restart.

    A certificate that the app does not have is refused with the login's number.
    """
    with a_server(tmp_path) as server:
        tokens = tokens_by("certificate pem", server, tmp_path, monkeypatch)
        first = asyncio.run(tokens.token())
        server.login.assertions.certificates = [other_pair().certificate]
        with pytest.raises(TokenError, match=r"AADSTS700027.*Register it for the app"):
            asyncio.run(tokens.renew(first))
        (tmp_path / "app.pem").write_bytes(other_pair().pem())
        assert asyncio.run(tokens.renew(first)) != first


def test_a_certificate_that_is_replaced_while_it_is_refused_is_tried_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate file that changes while the login refuses the old one is tried at once.

    An administrator changes the app and the file one after the other.
    """
    with a_server(tmp_path) as server:
        tokens = tokens_by("certificate pem", server, tmp_path, monkeypatch)
        assert isinstance(tokens, RenewingTokens)
        check = server.login.assertions.check

        def replaced(*arguments: Any) -> None:
            server.login.assertions.certificates = [other_pair().certificate]
            (tmp_path / "app.pem").write_bytes(other_pair().pem())
            check(*arguments)

        monkeypatch.setattr(server.login.assertions, "check", replaced)
        assert asyncio.run(tokens.token())
        assert server.login.refused == 1


def test_a_certificate_that_is_replaced_in_an_outage_is_the_one_that_is_used_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate file that changes during an outage is used after it: MSAL forgets the old certificate."""
    with a_server(tmp_path) as server:
        tokens = tokens_by("certificate pem", server, tmp_path, monkeypatch)
        assert isinstance(tokens, RenewingTokens)
        first = asyncio.run(tokens.token())
        server.login.assertions.certificates = [other_pair().certificate]
        (tmp_path / "app.pem").write_bytes(other_pair().pem())
        server.login.outage = (0.0, 1e9)
        with pytest.raises(LoginUnavailable):
            tokens._login.acquire()
        server.login.outage = None
        assert asyncio.run(tokens.renew(first)) != first


def test_a_federated_token_is_read_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A federated token is read from its file for each request, because Kubernetes replaces it every hour.

    An expired one is refused with the remedy.
    """
    with a_server(tmp_path) as server:
        tokens = tokens_by("federated", server, tmp_path, monkeypatch)
        first = asyncio.run(tokens.token())
        issuer, path, now_utc = Issuer(server.login), tmp_path / "federated-token", time.time()
        server.login.assertions.federated = [issuer.credential]
        path.write_text(issuer.token(now_utc - 7_200), encoding="ascii")
        with pytest.raises(TokenError, match=r"AADSTS700024.*whoever issues it must write a new one"):
            asyncio.run(tokens.renew(first))
        path.write_text(issuer.token(now_utc), encoding="ascii")
        assert asyncio.run(tokens.renew(first)) != first


def test_a_person_stays_signed_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person signs in once, and later tokens need no person.

    After the sign-in is revoked, the message says to sign in again.
    """
    told: list[str] = []
    with a_server(tmp_path) as server:
        server.login.people.sign_in_at_once = True
        tokens = tokens_by("device-code", server, tmp_path, monkeypatch, tell=told.append)
        first = asyncio.run(tokens.token())
        second = asyncio.run(tokens.renew(first))
        assert first != second
        assert len(told) == 1
        identity = tokens.describe()
        assert (identity.user, identity.roles, identity.method) == (PERSON, ("Contacts.ReadWrite",), "device code")
        server.login.people.sign_out()
        with pytest.raises(TokenError, match=r"AADSTS50173.*sign in once more"):
            asyncio.run(tokens.renew(second))
        with pytest.raises(TokenError, match=r"sign-in has ended"):
            asyncio.run(tokens.renew(second))


def test_nobody_signs_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nobody signs in, each try asks the login once and returns.

    An outage keeps the code; declined and expired codes are reported in a sentence.
    """
    told: list[str] = []
    with a_server(tmp_path) as server:
        tokens = tokens_by("device-code", server, tmp_path, monkeypatch, tell=told.append)
        assert isinstance(tokens, RenewingTokens)
        login = tokens._login
        for _ in range(2):
            with pytest.raises(LoginPending) as pending:
                login.acquire()
            assert pending.value.again_after_s == 1
        server.login.outage = (0.0, 1e9)
        with pytest.raises(LoginUnavailable, match="answered 503"):
            login.acquire()
        server.login.outage = None
        server.login.people.decline(server.login.people.waiting[0])
        with pytest.raises(TokenError, match=r"authorization_declined.*declined"):
            login.acquire()
        assert len(told) == 1
        server.login.people.code_s = 0.0
        with pytest.raises(LoginPending):
            login.acquire()
        with pytest.raises(TokenError, match=r"AADSTS70020.*code has expired"):
            login.acquire()
        assert len(told) == 2


def test_an_app_that_does_not_allow_device_codes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An app that does not allow device codes is refused with the name of the setting in its registration."""
    with a_server(tmp_path) as server:
        server.login.app = replace(server.login.app, public_flows=False)
        tokens = tokens_by("device-code", server, tmp_path, monkeypatch)
        with pytest.raises(TokenError, match=r"AADSTS7000218.*allow public client flows"):
            asyncio.run(tokens.token())


@pytest.mark.parametrize("status", [404, 410, 429, 500, 503])
def test_a_metadata_service_in_trouble_is_worth_another_try(
    status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A metadata service that answers 404, 410, 429, 500 or 503 may be asked again, as Microsoft advises.

    MSAL does not answer the next try from its memory of refusals.
    """
    with a_server(tmp_path) as server:
        tokens = tokens_by("managed-identity machine", server, tmp_path, monkeypatch)
        assert isinstance(tokens, RenewingTokens)
        server.identity.troubles = [status]
        with pytest.raises(LoginUnavailable, match=f"managed identity endpoint at 127.0.0.1 answered {status}"):
            tokens._login.acquire()
        assert tokens._login.acquire().token
        assert server.identity.asked == 2


def test_a_machine_without_that_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without the wanted managed identity is refused at both kinds of endpoint, and the sentence names that identity."""
    with a_server(tmp_path) as server:
        server.identity.has_system_identity = False
        for endpoint in ("managed-identity machine", "managed-identity service"):
            with pytest.raises(TokenError, match=r"refused a token: .*identity of its own \(system-assigned\)"):
                asyncio.run(tokens_by(endpoint, server, tmp_path, monkeypatch).token())
        server.login.app = replace(server.login.app, client_id="5157a1ed-0000-4000-8000-00000000000f")
        tokens = tokens_by("managed-identity machine user", server, tmp_path, monkeypatch)
        server.login.app = replace(server.login.app, client_id="5157a1ed-0000-4000-8000-00000000000e")
        with pytest.raises(
            TokenError, match=r"Identity not found.* 5157a1ed-0000-4000-8000-00000000000f of AZURE_CLIENT_ID"
        ):
            asyncio.run(tokens.token())


def test_a_wrong_clock_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong clock gives a warning in the log, a figure for the command ``check``, and a hint in a refusal that it caused."""
    out = io.StringIO()
    logs.configure_logs("json", quiet=True, stream=out)
    with a_server(tmp_path) as server:
        server.login.clock_ahead_s = 720.0
        tokens = tokens_by("secret", server, tmp_path, monkeypatch)
        asyncio.run(tokens.token())
        assert tokens.describe().clock_skew_s == pytest.approx(-720, abs=60)
        events = [json.loads(line) for line in out.getvalue().splitlines()]
        assert [(event["event"], event["of"]) for event in events] == [("clock.skewed", "127.0.0.1")]
        server.login.clock_ahead_s = 1_800.0
        with pytest.raises(TokenError, match=r"AADSTS700024.*clock is 30 min behind the service's\."):
            asyncio.run(tokens_by("certificate pem", server, tmp_path, monkeypatch).token())


def test_msals_own_variables_do_not_send_us_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MSAL's own variable MSAL_FORCE_REGION does not send the secret to another host."""
    monkeypatch.setenv("MSAL_FORCE_REGION", "westeurope")
    monkeypatch.setenv("REGION_NAME", "westeurope")
    with a_server(tmp_path) as server:
        for endpoint in ("secret", "certificate pem", "federated"):
            assert asyncio.run(tokens_by(endpoint, server, tmp_path, monkeypatch).token())


def test_the_first_that_is_offered_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``--auth auto`` the first credential in the documented order is used, and the reason names the others that are set."""
    with a_server(tmp_path) as server:
        for endpoint in ("federated", "certificate pem", "secret", "token"):
            for name, value in offered(endpoint, server, tmp_path).items():
                monkeypatch.setitem(NONE_SET, name, value)
            tokens = tokens_by(endpoint, server, tmp_path, monkeypatch, auth="auto")
            because = tokens.describe().chosen_because
            assert because.startswith(
                {
                    "federated": "AZURE_FEDERATED_TOKEN_FILE is set",
                    "certificate pem": "AZURE_CLIENT_CERTIFICATE_PATH is set; AZURE_FEDERATED_TOKEN_FILE is set as well",
                    "secret": "AZURE_CLIENT_SECRET is set; AZURE_CLIENT_CERTIFICATE_PATH and AZURE_FEDERATED_TOKEN_FILE are",
                    "token": "PURGEENGINE_ACCESS_TOKEN is set; AZURE_CLIENT_SECRET, AZURE_CLIENT_CERTIFICATE_PATH and",
                }[endpoint]
            ), because


def test_the_certificate_that_is_used_can_be_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The description of a certificate shows its subject, the thumbprint that Entra ID shows, and its expiry date."""
    with a_server(tmp_path) as server:
        tokens = tokens_by("certificate pem", server, tmp_path, monkeypatch)
        asyncio.run(tokens.token())
        told = tokens.describe().credential
        assert re.fullmatch(r"CN=purgeengine simulation, SHA-1 thumbprint [0-9A-F]{40}, valid until .* UTC", told)
        assert f"{key_pair().certificate.not_valid_after_utc:%Y-%m-%d}" in told
