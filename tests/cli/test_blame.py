"""Tests of error messages: what they blame, what they tell the user to do, and that they show no secret."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import re
import socket
import sqlite3
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from purgeengine.cli.main import _after_stop, _named_in, run
from purgeengine.cli.options.flags import as_flags
from purgeengine.cli.options.hour_options import hours_from
from purgeengine.core.graph.claims_challenge import in_words
from purgeengine.core.graph.decode import decode_answer
from purgeengine.core.messages import Halt, HaltReason
from purgeengine.core.model import Reply
from purgeengine.core.policy.probing import Standing, probed
from purgeengine.core.policy.remedies import remedy_for
from purgeengine.edges.http.addresses import address_of, proxy_for
from purgeengine.edges.http.transport import HttpTransport
from purgeengine.edges.ledger.store.storage import make_folder
from purgeengine.errors import LedgerError, NoAnswer, RunStopped, TokenError, UsageProblem
from purgeengine.jobs.purge import halted
from tests.cli.test_answers_cli import Graph, commanded, rows_of
from tests.core.scheduling.test_scheduler_answers import error
from tests.edges.login.test_msal_login import the_login
from tests.support.cli_fixtures import write_csv


def a_token() -> str:
    """Return a token like those of Entra ID: three base64 sections, the first two of them JSON."""
    parts = (b'{"typ":"JWT","alg":"RS256"}', b'{"aud":"https://graph.microsoft.com","tid":"t"}', b"signature" * 9)
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def test_a_token_in_an_answer_is_kept_nowhere(tmp_path: Path) -> None:
    """A token in an answer's code, message or text is stored nowhere: not in the ledger, the export or the report."""
    token = a_token()
    bad: list[dict[str, object]] = [
        error(403, "Denied", f"Token {token} is not accepted"),
        error(403, token[:90], "no"),
        {"status": 400, "body": {"error": "denied", "error_description": f"the token {token} is not accepted"}},
    ]
    for number, answer in enumerate(bad):
        source = write_csv(tmp_path / f"list{number}.csv", rows_of(good=2, bad=3))
        ledger, out, page = (tmp_path / f"{number}{name}" for name in ("ledger", "out.csv", "report.html"))
        code, said, err = commanded(
            tmp_path, Graph(answer), "run", str(source), "--ledger", str(ledger), "--yes", "--json"
        )
        assert code == 1, err
        for command in (("export", str(ledger), str(out)), ("report", str(ledger), "-o", str(page))):
            assert run(list(command)) in (0, 1)
        with sqlite3.connect(ledger / "ledger.sqlite") as database:
            dump = "\n".join(database.iterdump())
        database.close()
        files = [path.read_bytes() for path in ledger.rglob("*") if path.is_file()]
        whole = "\n".join((said, err, dump, out.read_text(), page.read_text(), *(f.decode("latin-1") for f in files)))
        for part in token.split("."):
            assert part[:30] not in whole
        assert "(redacted)" in out.read_text()


@pytest.mark.parametrize("status", [503, 302, 409])
def test_check_shows_the_other_mailboxes_where_one_never_answers_well(tmp_path: Path, status: int) -> None:
    """A mailbox that never answers well is asked three times whether it lets the app in, and the other mailboxes are shown."""
    graph = Graph(error(status, "Trouble", "try later"))
    source = write_csv(tmp_path / "list.csv", rows_of(good=5, bad=3, other=5))
    code, out, err = commanded(tmp_path, graph, "check", str(source), "--probe", "3")
    assert code == 0, err
    assert graph.asked["bad@contoso.example"] == 3
    assert "good@contoso.example: reachable" in out
    assert f"bad@contoso.example: no answer ({status} Trouble)" in out


def test_check_asks_a_mailbox_no_more_that_asks_for_a_long_wait(tmp_path: Path) -> None:
    """A mailbox that asks for a wait of ten minutes is asked once, and the check does not wait."""
    answer = {**error(429, "ApplicationThrottled", "wait"), "headers": {"Retry-After": "600"}}
    graph = Graph(answer)
    source = write_csv(tmp_path / "list.csv", rows_of(good=5, bad=3, other=5))
    code, out, err = commanded(tmp_path, graph, "check", str(source), "--probe", "3")
    assert code == 0, err
    assert graph.asked["bad@contoso.example"] == 1
    assert "bad@contoso.example: asks to wait (429 ApplicationThrottled)" in out
    assert "1 of 3 mailboxes asked to wait" in out


def test_a_refusal_for_an_unknown_reason_is_not_called_a_matter_of_scope() -> None:
    """A refusal with an unknown code is not reported as denied access, and the verb agrees with the number."""
    assert probed("u", Reply(403, "Novelty"), Reply(200)).standing is Standing.REFUSED
    assert probed("u", Reply(403, "ErrorAccessDenied"), Reply(200)).standing is Standing.DENIED
    assert Standing.DENIED.clause(1) == "mailboxes denies the app"
    assert Standing.DENIED.clause(2) == "mailboxes deny the app"


# --------------------------------------------------------------------------------------------------------------- proxies


@pytest.mark.parametrize(
    ("proxy", "says"),
    [
        ("http://ann:a\\b@proxy.example:1", "%5C"),
        ("http//ann:hunter2@proxy.example:1", "a colon or a slash is missing"),
        ("http:/ann:hunter2@proxy.example:1", "a colon or a slash is missing"),
        ("https//proxy.example:1", "a colon or a slash is missing"),
        ("http://:24401", "names no host"),
        ("http://ann:hunter2@:24401", "names no host"),
    ],
)
def test_a_proxy_that_is_written_wrong_is_told_what_is_wrong(
    proxy: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A badly written proxy is refused with its fault, and without its password."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(UsageProblem) as caught:
        proxy_for(address_of("https://graph.microsoft.com", "The Graph URL"))
    assert says in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("proxy", ["proxy.example:1", "http://httpproxy:1", "http://ann:a%5Cb@proxy.example:1"])
def test_a_proxy_that_is_written_right_is_taken(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A well written proxy is accepted, even if its name begins like a scheme."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    assert proxy_for(address_of("https://graph.microsoft.com", "The Graph URL")) is not None


def test_a_proxy_that_does_not_speak_http_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that does not speak HTTP stops both the transport and the login at once, with its name."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("HTTPS_PROXY", url)
        for name in ("https_proxy", "NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)

        def answer() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(4_096)
                        connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")

        threading.Thread(target=answer, daemon=True).start()
        said = f"The proxy {url} (from HTTPS_PROXY) answered CONNECT with something that is not HTTP"

        async def post() -> None:
            async with HttpTransport.open(graph_url="https://graph.example", connections=1) as transport:
                await transport.post(b"{}", "id", "token")

        with pytest.raises(RunStopped, match=re.escape(said)):
            asyncio.run(post())
        with pytest.raises(TokenError, match=re.escape(said)):
            the_login("https://login.example", None).acquire()
        server.shutdown(socket.SHUT_RDWR)


# ---------------------------------------------------------------------------------------------------------------- hours


@pytest.mark.parametrize("name", ["garbage", ":/nonexistent", "Europe/Berlln", "/etc"])
def test_a_zone_of_the_environment_that_nobody_knows_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown time zone in TZ is refused for --window, because the system would silently use UTC."""
    monkeypatch.setenv("TZ", name)
    options = {"window": ("20:00-06:00",), "until": None, "time_zone": None}
    with pytest.raises(
        UsageProblem,
        match=r"The environment variable TZ is .* --window and --until would be read as UTC\. Nothing was started\.",
    ):
        hours_from(options, 0.0)
    assert hours_from({**options, "time_zone": "Europe/Berlin"}, 0.0) is not None
    assert hours_from({**options, "window": ()}, 0.0) is None


@pytest.mark.parametrize(
    "name", ["", "UTC", "Europe/Berlin", ":Europe/Berlin", "CET-1CEST,M3.5.0,M10.5.0/3", "<+03>-3"]
)
def test_a_zone_of_the_environment_that_is_known_holds(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A known time zone in TZ is used, by its name or written out."""
    monkeypatch.setenv("TZ", name)
    assert hours_from({"window": ("20:00-06:00",), "until": None, "time_zone": None}, 0.0) is not None


# -------------------------------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("headers", "body"),
    [({"content-encoding": "gzip"}, b'{"responses":[{"id'), ({}, gzip.compress(b'{"responses":[]}', mtime=0)[:-9])],
    ids=["by its header", "by its beginning"],
)
def test_an_answer_that_cannot_be_unpacked_is_not_called_cut_short(headers: dict[str, str], body: bytes) -> None:
    """An answer that cannot be unpacked is reported as such, by its header or its first bytes, and not as cut short."""
    with pytest.raises(NoAnswer, match=r"could not be unpacked \(gzip\)"):
        decode_answer(200, {"request-id": "r", **headers}, body, 1, 0.0)


LONGER_WAIT = "Graph asked for a wait that is longer than the longest wait of a run"


def test_advice_on_a_redirect_and_on_a_wait_that_is_too_long() -> None:
    """A redirect has its own remedy, and so has a too long wait, which only needs its time."""
    assert "answered with a redirect" in remedy_for(302, "", "").sentence
    assert remedy_for(
        429, "ApplicationThrottled", "Graph asked for a wait that is longer than the longest wait of a run (25 hours)."
    ) == (
        f"{LONGER_WAIT}. Retry after that time.",
        True,
    )


def test_rows_of_a_mailbox_that_asks_for_too_long_a_wait_keep_status_and_code(tmp_path: Path) -> None:
    """The rows of a mailbox that asks for a too long wait keep 429 and its code in the export, with the reason."""
    graph = Graph({**error(429, "ApplicationThrottled", "wait"), "headers": {"Retry-After": "90000"}})
    source = write_csv(tmp_path / "list.csv", rows_of(good=2, bad=3))
    ledger, out = tmp_path / "ledger", tmp_path / "out.csv"
    code, _, err = commanded(tmp_path, graph, "run", str(source), "--ledger", str(ledger), "--yes")
    assert code == 1, err
    assert run(["export", str(ledger), str(out)]) in (0, 1)
    bad = [line for line in out.read_text().splitlines() if "bad@" in line]
    assert len(bad) == 3
    assert all("429" in line and "ApplicationThrottled" in line for line in bad)
    assert all(f"{LONGER_WAIT} (25 hours)." in line for line in bad)


def test_a_run_that_stops_for_too_long_a_wait_says_how_long_it_is() -> None:
    """A run that stops for a too long wait says how long it is, before Graph's own words, if Graph gave the time."""
    longer = "Graph asked the app for a wait that is longer than the longest wait of a run"
    then = "To resume, call purge with the same request again after that time."
    asked = Reply(429, "TooManyRequests", "Wait.", 90_000.0)
    assert str(halted(Halt(HaltReason.WAIT_TOO_LONG, asked))) == f"{longer} (1 d 1 h; 429 TooManyRequests Wait). {then}"
    silent = asked._replace(retry_after_s=None)
    assert str(halted(Halt(HaltReason.WAIT_TOO_LONG, silent))) == f"{longer} (429 TooManyRequests Wait). {then}"
    in_a_terminal = str(halted(Halt(HaltReason.WAIT_TOO_LONG, silent), spelling=as_flags))
    assert in_a_terminal.endswith("(429 TooManyRequests Wait). To resume, give the same command again after that time.")


def test_a_wrong_tenant_is_told_as_such_without_the_json_around_it() -> None:
    """An unknown tenant is reported as such, without the JSON around Graph's words."""
    nested = '{"error":{"code":"OrganizationFromTenantGuidNotFound","message":"The tenant does not exist."}}'
    for reply in (Reply(401, "UnknownError", nested), Reply(401, "OrganizationFromTenantGuidNotFound", "No tenant.")):
        said = str(halted(Halt(HaltReason.REFUSED_APP, reply)))
        assert "does not know the tenant" in said
        assert "AZURE_TENANT_ID" in said
        assert "{" not in said
        assert "each new one" not in said


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc here")
def test_a_ledger_in_a_place_of_the_systems_own_cannot_be_made_there() -> None:
    """A ledger in a place of the system's own, where no folder can be made, is refused as such."""
    with pytest.raises(LedgerError, match="cannot be made there"):
        make_folder(Path("/proc/purgeengine-ledger"))


def test_a_stop_of_a_command_without_a_ledger_does_not_promise_to_resume() -> None:
    """The message after a stop promises to resume only for commands with a ledger."""
    assert _after_stop(_named_in(["check", "run.csv"])) == "The same command begins again."
    assert _after_stop(_named_in(["run", "list.csv"])) == "To resume, give the same command again."


@pytest.mark.parametrize(
    "seconds", [0, 951_782_399, 951_868_799, 1_709_164_800, 1_735_689_599, 1_700_000_000, 4_107_542_400]
)
def test_the_date_of_a_challenge_is_that_of_the_calendar(seconds: int) -> None:
    """The date in a claims challenge is converted as Python's calendar does, around leap days and year ends."""
    shown = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    said = in_words("", f'{{"access_token":{{"nbf":{{"value":"{seconds}"}}}}}}')
    assert said == f"Graph wants a token issued after {shown}"
