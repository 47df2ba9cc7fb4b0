"""Whom a message blames, what it tells to do next, and that nothing secret stands in it."""

from __future__ import annotations

import base64
import sqlite3
from pathlib import Path

import pytest

from purgeengine.cli import run
from purgeengine.core.model import Reply
from purgeengine.core.probing import Standing, probed
from tests.cli_fixtures import write_csv
from tests.test_answers import error
from tests.test_answers_cli import Graph, commanded, rows_of


def a_token() -> str:
    """Like one of Entra ID's: three parts in base64, the first two JSON."""
    parts = (b'{"typ":"JWT","alg":"RS256"}', b'{"aud":"https://graph.microsoft.com","tid":"t"}', b"signature" * 9)
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def test_a_token_in_an_answer_is_kept_nowhere(tmp_path: Path) -> None:
    """It is in the code, in the message or in an error that is a text; ledger, export and report have none of it."""
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
    """It is asked three times for each of two questions, and the others are shown."""
    graph = Graph(error(status, "Trouble", "try later"))
    source = write_csv(tmp_path / "list.csv", rows_of(good=5, bad=3, other=5))
    code, out, err = commanded(tmp_path, graph, "check", str(source), "--probe", "3")
    assert code == 0, err
    assert graph.asked["bad@contoso.example"] == 6
    assert "good@contoso.example: reachable" in out
    assert f"bad@contoso.example: no answer ({status} Trouble)" in out


def test_check_asks_a_mailbox_no_more_that_asks_for_a_long_wait(tmp_path: Path) -> None:
    """Once for each question; the wait of ten minutes is not sat out."""
    answer = {**error(429, "ApplicationThrottled", "wait"), "headers": {"Retry-After": "600"}}
    graph = Graph(answer)
    source = write_csv(tmp_path / "list.csv", rows_of(good=5, bad=3, other=5))
    code, out, err = commanded(tmp_path, graph, "check", str(source), "--probe", "3")
    assert code == 0, err
    assert graph.asked["bad@contoso.example"] == 2
    assert "bad@contoso.example: asks to wait (429 ApplicationThrottled)" in out
    assert "1 of 3 mailboxes asked to wait" in out


def test_a_refusal_for_an_unknown_reason_is_not_called_a_matter_of_scope() -> None:
    """Only the codes that say so are; the verb agrees with the number."""
    assert probed("u", Reply(403, "Novelty"), Reply(200)).standing is Standing.REFUSED
    assert probed("u", Reply(403, "ErrorAccessDenied"), Reply(200)).standing is Standing.DENIED
    assert Standing.DENIED.clause(1) == "mailboxes denies the app"
    assert Standing.DENIED.clause(2) == "mailboxes deny the app"
