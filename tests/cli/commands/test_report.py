"""Tests of ``report``: one page for people and the same data as JSON, for one ledger or several, with any text in them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from purgeengine.cli import main
from purgeengine.core.graph.verdicts import TABLE, Scope
from purgeengine.core.messages import MailboxBlocked, MailboxClosed
from purgeengine.core.model import Outcome, Reply
from purgeengine.core.policy.filters import EXCLUDED
from purgeengine.core.policy.remedies import remedy_for
from purgeengine.edges.ledger import Ledger
from tests.cli.commands.test_retry import DENIED, ending
from tests.edges.ledger.outputs.test_chain import chain  # noqa: F401 - a fixture
from tests.support.ledger_fixtures import NOW, FakeSource, a_source, ended, open_ledger, rows_of, sent, settled
from tests.support.report_fixtures import HOSTILE, Page, a_busy_ledger


def reported(
    capsys: pytest.CaptureFixture[str], out: Path, *folders: Path, more: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Make the report, and return its JSON, which equals the JSON embedded in the page."""
    capsys.readouterr()
    assert main.run(["report", *map(str, folders), "-o", str(out), "--json", *more]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    html = out.read_text(encoding="utf-8")
    (embedded,) = re.findall(r'<script type="application/json" id="findings">\n(.*?)</script>', html, re.S)
    assert json.loads(embedded) == found
    return found


def text_of(out: Path) -> str:
    """Return the visible text of the page, with single spaces."""
    page = Page(out.read_text(encoding="utf-8"))
    assert not page.open, "elements that are never closed"
    return " ".join(page.text.split())


def a_bad_day(ledger: Ledger, reply: Reply = DENIED) -> None:
    """Write ten purged rows, one absent, two refused, one exhausted in doubt and six skipped, with one wait of the mailbox."""
    gone = Reply(404, "ErrorItemNotFound")
    ending(
        ledger, 0, *[(Outcome.PURGED, Reply(204), False)] * 10, (Outcome.ABSENT, gone, False),
        *[(Outcome.REFUSED, reply, False)] * 2, (Outcome.EXHAUSTED, Reply(0), True),
    )  # fmt: skip
    ledger.write([MailboxBlocked(0, 5.0), MailboxClosed(0, reply, 6)], NOW + 2_000)
    ledger.begin(NOW, {"connections": 16, "graph_host": "graph.microsoft.com"})


def test_the_page_tells_what_became_of_every_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The page shows counts that add up, failures with a remedy, mailboxes, invalid rows by reason, duplicates, runs and calls."""
    rows = [*rows_of("a", 20), ("nobody", "", "x"), ("", "", "y"), ("nobody2", "", "x"), rows_of("a", 1)[0]]
    with open_ledger(tmp_path / "L", FakeSource(rows)) as ledger:
        a_bad_day(ledger)
    found = reported(capsys, tmp_path / "r.html", tmp_path / "L")
    assert (found["rows"], found["gone"], found["complete"], found["adds_up"], found["left_in_doubt"]) == (
        24, 11, True, True, 1,
    )  # fmt: skip
    assert found["outcomes"] == {
        "purged": 10, "absent": 1, "refused": 2, "exhausted": 1, "invalid": 3, "duplicate": 1, "skipped": 6,
    }  # fmt: skip
    failures = [
        (f["status"], f["code"], f["rows"], {n: r for n, r in f["outcomes"].items() if r}) for f in found["failures"]
    ]
    assert failures == [
        (403, "ErrorAccessDenied", 8, {"refused": 2, "skipped": 6}), (None, "", 1, {"exhausted": 1}),
    ]  # fmt: skip
    assert [example["row"] for example in found["failures"][0]["examples"]] == [11, 12, 14]
    assert [(group["rows"], group["message"]) for group in found["invalid_reasons"]] == [
        (2, "the user is neither a user principal name (name@domain) nor an object id (GUID)"), (1, "the user is empty"),
    ]  # fmt: skip
    (ledger_found,) = found["ledgers"]
    assert (ledger_found["calls"], ledger_found["requests"], ledger_found["waits"]) == (1, 14, 1)
    assert ledger_found["runs"] == [
        {
            "at_utc": "2026-01-01T00:00:00.000Z",
            "options": {"connections": 16, "graph_host": "graph.microsoft.com"},
        }
    ]
    shown = text_of(tmp_path / "r.html")
    for words in (
        "12 of 24 rows did not end well", "10 contacts were purged, and 1 was not found", "line 13 of contacts.csv",
        "Test-ServicePrincipalAuthorization", "a@contoso.example",
        "The counts add up to the 24 rows", "1 row without success is in doubt", "2 rows: the user is neither",
        "1 row repeats the contact of an earlier row", "1 mailbox had to wait", "purgeengine retry",
    ):  # fmt: skip
        assert words in shown, words


def test_a_remedy_of_several_kinds_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What to do about a kind of failure stands with the first kind that it is for. The next ones name that kind."""
    with open_ledger(tmp_path / "L", a_source(3)) as ledger:
        codes = ("ErrorAccessDenied", "ErrorAccessDenied", "Forbidden")
        ending(ledger, 0, *[(Outcome.REFUSED, Reply(403, code), False) for code in codes])
    reported(capsys, tmp_path / "r.html", tmp_path / "L")
    shown = text_of(tmp_path / "r.html")
    assert shown.count("The app may not touch this mailbox.") == 1
    assert "What to do: the same as for 403 ErrorAccessDenied, above." in shown


def test_the_page_needs_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The page loads nothing and has no link, form or running script, and its content policy says so."""
    with open_ledger(tmp_path / "L", a_source(20)) as ledger:
        a_bad_day(ledger)
    reported(capsys, tmp_path / "r.html", tmp_path / "L")
    html = (tmp_path / "r.html").read_text(encoding="utf-8")
    page = Page(html)
    assert not {name for name, _ in page.attributes} & {"src", "href", "action", "srcset", "onclick", "onload"}
    assert page.tags.count("script") == 1
    assert "default-src 'none'" in html
    assert not re.search(r"@import|url\(", html)
    assert {"main", "header", "h1", "h2", "table", "svg"} <= set(page.tags)


def test_hostile_text_is_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Hostile text in codes, messages, names, users and the folder is shown as text and never becomes markup."""
    rows = [*rows_of("a", 20), (HOSTILE.replace("\0", ""), "", "x")]
    name = "a<b>&{{x}}"
    source = FakeSource([(*row, "v") for row in rows], ("<script>x</script>",), (Path("<svg onload=alert(3)>.csv"),))
    with open_ledger(tmp_path / name, source) as ledger:
        a_bad_day(ledger, Reply(403, HOSTILE.replace("\0", ""), HOSTILE.replace("\0", "")))
    found = reported(capsys, tmp_path / "r.html", tmp_path / name)
    html = (tmp_path / "r.html").read_text(encoding="utf-8")
    page = Page(html)
    assert page.tags.count("script") == 1
    assert "img" not in page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "alert(1)" in page.text
    assert "{{ 7*7 }}" in page.text
    for character in "\x1b\u202e\0":
        assert character not in html
        assert character not in json.dumps(found, ensure_ascii=False)


def test_lists_are_cut_and_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A list on the page is cut to the given length and says how many entries are left out."""
    with open_ledger(tmp_path / "L", a_source(*[2] * 26)) as ledger:
        for mailbox in range(26):
            reply = Reply(403, f"Code{mailbox}", "No.")
            batch = mailbox + 1
            ledger.write([sent(batch, (mailbox, [2 * mailbox]))], NOW)
            closing = [settled(2 * mailbox, batch, Outcome.REFUSED, reply=reply), MailboxClosed(mailbox, reply, 1)]
            ledger.write([ended(batch), *closing], NOW)
    found = reported(capsys, tmp_path / "r.html", tmp_path / "L", more=("--most", "3"))
    assert (len(found["failures"]), found["failures_in_all"]) == (3, 26)
    assert (len(found["worst_mailboxes"]), found["worst_mailboxes_in_all"]) == (3, 26)
    assert found["ledgers"][0]["closed_mailboxes"] == 26
    assert "and 23 more mailboxes" in text_of(tmp_path / "r.html")
    assert (tmp_path / "r.html").stat().st_size < 60_000


def test_unfinished_and_new_ledgers_have_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A new ledger, one with rows in flight, a finished one and an empty one each have a page."""
    with open_ledger(tmp_path / "new", a_source(3)) as ledger:
        assert reported(capsys, tmp_path / "r.html", tmp_path / "new")["waiting"] == 3
        ledger.write([sent(1, (0, [0, 1]))], NOW)
        found = reported(capsys, tmp_path / "r.html", tmp_path / "new")
        assert (found["waiting"], found["in_doubt"], found["complete"]) == (1, 2, False)
        assert "Running: 0 of 3 rows have an outcome" in text_of(tmp_path / "r.html")
        assert "To resume" not in text_of(tmp_path / "r.html")  # somebody would start a second run
        ledger.write([ended(1), settled(0, 1), settled(1, 1), sent(2, (0, [2]))], NOW)
        ledger.write([ended(2), settled(2, 2)], NOW)
    reported(capsys, tmp_path / "r.html", tmp_path / "new")
    assert "Every row of the list ended well" in text_of(tmp_path / "r.html")
    open_ledger(tmp_path / "empty", FakeSource([])).close()
    reported(capsys, tmp_path / "r.html", tmp_path / "empty")
    assert "the list was empty" in text_of(tmp_path / "r.html")


def test_a_chain_is_one_report(chain: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    """A chain of three ledgers gives one report with the sum and each ledger's share."""
    found = reported(capsys, tmp_path / "r.html", *chain)
    assert (found["rows"], found["outcomes"]["purged"], found["waiting"]) == (11, 7, 3)
    decided = [{name: rows for name, rows in ledger["decided"].items() if rows} for ledger in found["ledgers"]]
    assert decided == [
        {"purged": 3, "invalid": 1}, {"purged": 3}, {"purged": 1},
    ]  # fmt: skip
    assert "The ledgers of this purge" in text_of(tmp_path / "r.html")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["{L}"], 2, "-o report.html"),
        (["{L}", "-o", "report.pdf"], 2, ".html"),
        (["{L}", "-o", "{T}/nowhere/report.html"], 2, "there is no folder"),
        (["{T}", "-o", "{T}/r.html"], 5, "ledger"),
        (["{L}", "{L}", "-o", "{T}/r.html"], 2, "named twice"),
        (["{L}", "--json", "--refresh", "5"], 2, "without --json"),
        (["{L}", "-o", "{T}/r.html", "--refresh", "1"], 2, "2<=x<=3600"),
    ],
)
def test_what_cannot_be_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    """An unusable call of ``report`` ends with the usual exit code and a sentence, and leaves no incomplete page."""
    open_ledger(tmp_path / "L", a_source(1)).close()
    named = [word.replace("{L}", str(tmp_path / "L")).replace("{T}", str(tmp_path)) for word in arguments]
    assert main.run(["report", *named]) == code
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told
    assert not (tmp_path / "r.html").exists()


def test_every_code_that_closes_a_mailbox_has_a_remedy_of_its_own() -> None:
    """Every code that closes a mailbox in the table of verdicts has its own remedy."""
    general = {remedy_for(403, "?"), remedy_for(404, "?"), remedy_for(500, "?")}
    for status, rules in TABLE.items():
        for rule in rules:
            if rule.verdict.scope is Scope.MAILBOX:
                for code in rule.codes or [""]:
                    assert remedy_for(status, code) not in general, (status, code)


def test_a_report_of_a_run_renews_itself_until_the_run_has_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ``--refresh`` a page is written after every pause. The last one, of the ended run, does not renew itself."""
    pages: list[str] = []
    with open_ledger(tmp_path / "L", a_source(2)) as ledger:

        def pause(seconds: float) -> None:
            pages.append((tmp_path / "r.html").read_text(encoding="utf-8"))
            assert seconds >= 5
            ending(ledger, 0, *[(Outcome.PURGED, Reply(204), False)] * 2)

        monkeypatch.setattr("time.sleep", pause)
        assert main.run(["report", str(tmp_path / "L"), "-o", str(tmp_path / "r.html"), "--refresh", "5"]) == 0
    assert len(pages) == 1
    assert '<meta http-equiv="refresh" content="5">' in pages[0]
    assert "Running: 0 of 2 rows" in pages[0]
    last = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "refresh" not in re.findall(r'http-equiv="([\w-]+)"', last)
    assert "Every row of the list ended well" in last
    assert "the run has ended" in capsys.readouterr().err


def test_ctrl_c_ends_the_renewing_and_leaves_a_page_that_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interrupt is the usual way to stop watching: exit code 0, and the page refreshes itself no more."""

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupt)
    with open_ledger(tmp_path / "L", a_source(2)):
        assert main.run(["report", str(tmp_path / "L"), "-o", str(tmp_path / "r.html"), "--refresh", "5"]) == 0
    html = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "refresh" not in re.findall(r'http-equiv="([\w-]+)"', html)
    assert "interrupted" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"L", "r.html"}


def test_a_busy_ledger_has_a_light_page_with_its_work_over_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Throttling, lost calls and the largest mailboxes are on the page and in the JSON, with the numbers that were written."""
    told = a_busy_ledger(tmp_path / "L")
    found = reported(capsys, tmp_path / "r.html", tmp_path / "L")
    buckets = found["ledgers"][0]["timeline"]["buckets"]
    assert sum(bucket["put_off"] for bucket in buckets) == told.put_off
    assert sum(bucket["lost_calls"] for bucket in buckets) == told.lost == found["ledgers"][0]["lost_calls"]
    assert len(found["ledgers"][0]["largest_mailboxes"]) == 10
    shown = text_of(tmp_path / "r.html")
    for words in (
        f"Requests sent again after an answer: {told.put_off}", f"Calls without an answer: {told.lost}",
        "The work of the largest mailboxes, 10 of 12", "┆ resumed",
    ):  # fmt: skip
        assert words in shown, words
    assert (tmp_path / "r.html").stat().st_size < 120_000


@pytest.mark.parametrize("outcome", [Outcome.PURGED, Outcome.REFUSED, Outcome.ABSENT])
def test_one_is_told_in_the_singular(tmp_path: Path, capsys: pytest.CaptureFixture[str], outcome: Outcome) -> None:
    """The page of a list with one row has no "1 rows", whatever became of the row."""
    with open_ledger(tmp_path / "L", a_source(1)) as ledger:
        ledger.begin(NOW, {})
        ending(ledger, 0, (outcome, DENIED, outcome is Outcome.REFUSED))
        ledger.write([MailboxBlocked(0, 5.0)], NOW)
    reported(capsys, tmp_path / "r.html", tmp_path / "L")
    shown = text_of(tmp_path / "r.html")
    assert re.findall(r"\b1 (?:[a-z]+ )?(?:rows|contacts|mailboxes|calls|requests|times|kinds|files)\b", shown) == []
    assert re.findall(r"\b1 (?:row|contact|mailbox|call|time)\b", shown)


def test_rows_that_a_filter_left_out_are_no_failures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows that --exclude-users left out stand apart, in plain words. Only the other mailbox is among those that ended badly."""
    with open_ledger(tmp_path / "L", a_source(3, 5, 4)) as ledger:
        ledger.write([sent(1, (0, range(3))), ended(1), *(settled(row, 1) for row in range(3))], NOW)
        ledger.write([MailboxClosed(1, EXCLUDED, 5)], NOW)
        found = reported(capsys, tmp_path / "r.html", tmp_path / "L")
        assert (found["left_out_rows"], found["left_out_by"]) == (5, ["--exclude-users"])
        assert [one["left_out_mailboxes"] for one in found["ledgers"]] == [1]
        assert "Mailboxes with most rows" not in text_of(tmp_path / "r.html")
        ledger.write([MailboxClosed(2, DENIED, 4)], NOW + 1)
    assert reported(capsys, tmp_path / "r.html", tmp_path / "L")["left_out_rows"] == 5
    said = text_of(tmp_path / "r.html")
    for words in (
        "4 of 12 rows did not end well.3 contacts were purged. 5 rows were left out by --exclude-users, as asked.",
        "Rows that were left out as asked 5 rows: --exclude-users names the mailbox",
        "Did not end well4 Left out as asked5", "Closed mailboxes1 Left out1 mailbox, as asked",
    ):  # fmt: skip
        assert words in said
    assert "Most frequent answer c@contoso.example004403 ErrorAccessDenied" in said
    assert (
        "b@contoso.example"
        not in said.split("Mailboxes with most rows")[1].split("Made by")[0].split("When and how")[0]
    )
    assert "Filtered" not in said
