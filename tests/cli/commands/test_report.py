"""Tests of ``report``: one page for people and the same data as JSON, for one ledger or several, with any text in them."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from purgeengine.cli import main
from purgeengine.core.graph.verdicts import TABLE, Scope
from purgeengine.core.messages import MailboxBlocked, MailboxClosed
from purgeengine.core.model import Outcome, Reply
from purgeengine.core.policy.remedies import remedy_for
from purgeengine.edges.ledger import Ledger
from purgeengine.edges.report_page import charts
from purgeengine.edges.report_page.render import _duration
from tests.cli.commands.test_retry import DENIED, ending
from tests.edges.ledger.outputs.test_chain import chain  # noqa: F401 - a fixture
from tests.support.ledger_fixtures import NOW, FakeSource, a_source, ended, open_ledger, rows_of, sent, settled

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{ 7*7 }}\x1b[31m\u202e\u0000"
VOID = {"meta", "line", "br", "rect"}


class Page(HTMLParser):
    """Parses a page as a browser would, and keeps its elements, attributes and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if "script" not in self.open and "style" not in self.open:
            self.text += data


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
        "12 rows did not end well", "11 of 24 contacts are gone", "Test-ServicePrincipalAuthorization", "a@contoso.example",
        "The counts add up to the 24 rows", "1 row without success is in doubt", "2 × the user is neither",
        "1 row repeats the contact of an earlier row", "1 mailbox had to wait", "purgeengine retry",
    ):  # fmt: skip
        assert words in shown, words


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
        assert "Not finished" in text_of(tmp_path / "r.html")
        ledger.write([ended(1), settled(0, 1), settled(1, 1), sent(2, (0, [2]))], NOW)
        ledger.write([ended(2), settled(2, 2)], NOW)
    reported(capsys, tmp_path / "r.html", tmp_path / "new")
    assert "every row ended well" in text_of(tmp_path / "r.html")
    open_ledger(tmp_path / "empty", FakeSource([])).close()
    reported(capsys, tmp_path / "r.html", tmp_path / "empty")
    assert "The list was empty" in text_of(tmp_path / "r.html")


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
        (["{L}", "-o", "{T}/nowhere/report.html"], 5, "there is no folder"),
        (["{T}", "-o", "{T}/r.html"], 5, "ledger"),
        (["{L}", "{L}", "-o", "{T}/r.html"], 2, "named twice"),
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


def test_a_bar_is_filled_and_shows_what_is_rare() -> None:
    """The segments of a bar fill its whole width, and the smallest is wide enough to be seen."""
    bar = charts.segments({"purged": 10_000_000, "refused": 1, "skipped": 0, "invalid": 3})
    assert [segment.name for segment in bar] == ["purged", "refused", "invalid"]
    assert min(segment.width for segment in bar) >= charts.SLIVER
    assert bar[-1].x + bar[-1].width == pytest.approx(charts.BAR_WIDTH)
    assert charts.segments({"purged": 0}) == []


@pytest.mark.parametrize(
    ("rows", "bucket_s", "labels"),
    [
        (510, 1.0, ["300", "600"]),
        (1_000, 1.0, ["500", "1,000"]),
        (12_345, 1.0, ["7,500", "15,000"]),
        (13, 1.0, ["7.5", "15"]),
        (1, 1.0, ["0.5", "1"]),
        (7, 60.0, ["0.075", "0.15"]),
    ],
)
def test_a_course_is_measured_in_numbers_as_people_write_them(rows: int, bucket_s: float, labels: list[str]) -> None:
    """The scale of the chart has two round numbers: one above the highest rate and its half."""
    bucket = {"at_utc": "2026-11-25T23:15:29+00:00", "well": rows, "badly": 0}
    course = charts.course({"buckets": [bucket], "bucket_s": bucket_s})
    assert course is not None
    assert [label for _, label in course.scale] == labels
    assert course.columns[0].well_height <= charts.COURSE_HEIGHT


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.64, "0.6 s"),
        (1.0, "1 s"),
        (12.4, "12 s"),
        (60, "1 min"),
        (3_725, "1 h 2 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_a_duration_on_the_page_is_told_in_two_units_at_most(seconds: float | None, text: str) -> None:
    """A duration on the page has at most two units, joined by spaces that do not break."""
    assert _duration(seconds) == text.replace(" ", "\u00a0")
