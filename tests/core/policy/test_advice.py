"""Tests of advice: only what can work is advised, and every advised command is called as it stands."""

from __future__ import annotations

import json
import random
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from purgeengine.core.messages import MailboxClosed
from purgeengine.core.model import Outcome, Reply
from purgeengine.core.policy.advice import Advice, FailedRows, Situation, advice_for, selection_for
from purgeengine.core.policy.filters import EXCLUDED, IS_PROTECTED
from purgeengine.core.policy.shell import quoted
from purgeengine.edges.ledger import AnswerFilter, Ledger
from purgeengine.edges.source import open_source
from purgeengine.sim.wire.answers import Trouble
from tests.cli.commands.test_report import reported, text_of
from tests.cli.commands.test_retry import DENIED, MALFORMED, ending, retry
from tests.cli.test_main import a_tenant
from tests.support.cli_fixtures import Bench, Ended, Row, a_bench, rows_of
from tests.support.ledger_fixtures import NOW, FakeSource, open_ledger

R, E, S = Outcome.REFUSED, Outcome.EXHAUSTED, Outcome.SKIPPED
INVALID: Row = ("mailto:ann@contoso.example", "", rows_of([1])[0][2])


def failed(outcome: Outcome, reply: Reply, rows: int = 1) -> FailedRows:
    """Return rows that ended with this outcome and reply."""
    return FailedRows(outcome, reply.status, reply.code, reply.message, rows)


def commands(advice: list[Advice]) -> list[str]:
    """Return all advised commands."""
    return [command for one in advice for command in one.commands]


def advised(*told: FailedRows, invalid: int = 0, unfinished: int = 0, folder: str = "L") -> list[str]:
    """Return the advised commands for one ledger."""
    return commands(advice_for([Situation(folder, unfinished, invalid, told)], windows=False))


# ------------------------------------------------------------------------------------------------------------- the rule


def test_a_retry_is_advised_for_rows_that_may_go_through_and_no_others() -> None:
    """A retry is advised for rows that may succeed, an export and a run for invalid rows, and nothing for wrong ids or success."""
    correct = ["purgeengine export L bad.csv --only invalid", "purgeengine run bad.csv --ledger CORRECTED-FOLDER"]
    retry_all = "purgeengine retry L --ledger NEW-FOLDER"
    assert advised() == []
    assert advised(failed(R, DENIED), failed(S, DENIED)) == [retry_all]
    assert advised(failed(E, Reply(0))) == [retry_all]
    assert advised(failed(R, MALFORMED)) == []
    assert advised(invalid=3) == correct
    assert advised(failed(R, MALFORMED), invalid=3) == correct
    assert advised(failed(R, DENIED), failed(R, MALFORMED)) == [f"{retry_all} --codes ErrorAccessDenied"]
    assert advised(failed(E, Reply(503)), failed(R, MALFORMED), invalid=1) == [
        f"{retry_all} --codes 503",
        *correct,
    ]


def test_an_unfinished_ledger_is_resumed_first() -> None:
    """For an unfinished ledger the advice is to resume it, because a retry would be refused."""
    assert advised(failed(R, DENIED), unfinished=2) == ["purgeengine run --ledger L"]


def test_what_a_filter_left_out_is_not_retried() -> None:
    """Rows that a filter left out are not in an advised retry, because it would purge users whom the filter keeps."""
    assert advised(failed(S, EXCLUDED, 5), failed(S, IS_PROTECTED, 2)) == []
    (command,) = advised(failed(S, EXCLUDED, 5), failed(S, DENIED, 5), failed(R, DENIED))
    assert command.endswith(" NEW-FOLDER")  # a retry leaves them out by itself
    (command,) = advised(failed(S, EXCLUDED, 5), failed(E, Reply(0), 3))
    assert command.endswith(" NEW-FOLDER")
    sentences = [one.sentence for one in advice_for([Situation("L", 0, 0, [failed(S, EXCLUDED, 5)])], windows=False)]
    assert len(sentences) == 1
    assert (
        "5 rows (left out): A filter (--only-users, --exclude-users, --protected-users) left these rows out."
        in sentences[0]
    )


REPLIES = (
    Reply(0), DENIED, MALFORMED, Reply(503, "ServiceUnavailable"), Reply(418, "NeverSeen"), Reply(404, "", ""), EXCLUDED,
    IS_PROTECTED, Reply(500, "none"), Reply(500, "5xx"), Reply(400, "with, comma"), Reply(400, "ErrorInvalidIdEmpty"),
    Reply(429, "x;rm"),
)  # fmt: skip


def test_what_a_retry_would_take_is_what_the_command_itself_takes() -> None:
    """For random ledgers the advised options select what `AnswerFilter` selects, and no row left out if that can be avoided."""
    chance = random.Random(4)
    for _ in range(400):
        told = list({failed(chance.choice((R, E, S)), chance.choice(REPLIES)) for _ in range(chance.randint(1, 6))})
        options, others = selection_for(told)
        words = shlex.split(options)
        assert len(words) in (0, 2, 4)
        given = dict(zip(words[::2], words[1::2], strict=True))
        outcomes = set(given.get("--only", "refused,exhausted,skipped").split(","))
        said = AnswerFilter.parse(given["--codes"]) if "--codes" in given else None
        taken = [
            kind
            for kind in told
            if kind.outcome.value in outcomes
            and (not kind.left_out if said is None else said.fits(kind.status, kind.code))
        ]
        worth = [kind for kind in told if kind.remedy.worth_retrying and not kind.left_out]
        if not worth:
            continue
        assert set(taken) & set(worth)
        if not any(kind.left_out for kind in taken):
            assert others == len(taken) - len([kind for kind in taken if kind in worth])
        if not any(kind.left_out for kind in told):
            assert set(worth) <= set(taken)
        else:
            alone = {kind.outcome for kind in told} - {kind.outcome for kind in told if kind.left_out}
            assert not any(kind.left_out for kind in taken) or not any(kind.outcome in alone for kind in worth)


def test_a_chain_names_the_ledger_that_has_the_last_word() -> None:
    """In a chain the advice names the ledger that has the last word, and each of several such ledgers."""
    first = Situation("first", 0, 0, [failed(R, DENIED)])
    second = Situation("second", 0, 0, [failed(E, Reply(0), 2)])
    done = Situation("first", 0, 0, [])
    assert commands(advice_for([done, second], windows=False)) == ["purgeengine retry second --ledger NEW-FOLDER"]
    assert commands(advice_for([first, second], windows=False)) == [
        "purgeengine retry first --ledger NEW-FOLDER",
        "purgeengine retry second --ledger NEW-FOLDER-2",
    ]


def test_advice_is_short_however_many_kinds_of_failures_there_are() -> None:
    """With many kinds of failures there are at most six pieces of advice, and no command has 500 characters."""
    told = [failed(R, Reply(400 + n, f"Error{n}", "x" * 300), 100 - n) for n in range(90)]
    told += [failed(R, MALFORMED), failed(R, DENIED), failed(R, Reply(507)), failed(E, Reply(0)), failed(E, Reply(500))]
    advice = advice_for([Situation("L", 0, 0, told)], windows=False)
    assert len(advice) <= 6
    assert all(len(command) < 500 for command in commands(advice))


# ------------------------------------------------------------------------------------------------------------ the shell

NAMES = (
    "cleanup", "two words", "it's", 'a"b', "$HOME", "a;b", "a&b", "(x)", "ü-ledger", "a`b", "*",
    "~x", "-x", "#x", "a\\b", "!x", "{a,b}",
)  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="asks a POSIX shell")
@pytest.mark.parametrize("name", NAMES)
def test_a_posix_shell_reads_the_name_that_was_meant(name: str) -> None:
    """A POSIX shell reads the quoted name as it was meant, and a name that begins with a dash is not an option."""
    word = quoted(name, windows=False)
    said = subprocess.run(["/bin/sh", "-c", f"printf %s {word}"], capture_output=True, check=True).stdout.decode()
    assert said == (f"./{name}" if name.startswith("-") else name)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("cleanup", "cleanup"), (r"C:\jobs\L-1", r"C:\jobs\L-1"), (r"C:\two words\L", r'"C:\two words\L"'), ("a&b", '"a&b"'),
        ("it's", '"it\'s"'), ("$x", "'$x'"), ("it's $x", "'it''s $x'"), ("a`b", "'a`b'"), ("-x", "./-x"), ("ü", '"ü"'),
    ],
)  # fmt: skip
def test_windows_names_are_quoted_for_powershell_and_cmd(name: str, word: str) -> None:
    """On Windows a name is in double quotes, and in single quotes if PowerShell would expand it."""
    assert quoted(name, windows=True) == word


def test_a_name_that_cannot_be_shown_is_not_shown() -> None:
    """A name with control characters or bytes that are not text is replaced by a word to fill in."""
    for name in ("a\nb", "\x1b[31m", "a\udce4", "a\u202eb"):
        assert quoted(name, windows=False) is None
        assert advised(failed(R, DENIED), folder=name) == ["purgeengine retry LEDGER-FOLDER --ledger NEW-FOLDER"]


# --------------------------------------------------------------------------------------------- the commands, as given


def named_in(text: str) -> list[list[str]]:
    """Return the commands on lines of their own, split into words."""
    return [shlex.split(line)[1:] for line in re.findall(r"^ *(purgeengine .*)$", text, re.M)]


def give(bench: Bench, words: list[str]) -> Ended:
    """Call an advised command with the options of the run, if it takes them."""
    more = bench.run_arguments()[4:] if words[0] in ("run", "retry") else []
    return bench.command(*words, *more)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Open a bench with a good mailbox, a denied one and an invalid row, and make its folder the current one."""
    rows = [*rows_of([3, 4]), INVALID]
    tenant = a_tenant(rows[:-1])
    tenant.truth.mailbox(rows[0][0]).trouble = Trouble.DENIED
    monkeypatch.chdir(tmp_path)
    with a_bench(tmp_path, tenant, rows) as found:
        yield found


def run_for_people(bench: Bench, ledger: str, *more: str) -> Ended:
    """Call ``run`` without ``--json``, with a ledger of this name."""
    arguments = [word for word in bench.run_arguments(*more) if word != "--json"]
    arguments[3] = ledger
    return bench.command(*arguments)


def test_every_command_that_is_named_works(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    """Every command that summary, status and report advise works, and in the end every contact is gone."""
    ran = run_for_people(bench, "a ledger's")
    assert ran.code == 1
    named = named_in(ran.out.replace(f"{shlex.quote(sys.executable)} -m purgeengine", "purgeengine"))
    assert [words[0] for words in named] == ["report", "export", "run", "retry"]
    assert named[3][:4] == ["retry", "a ledger's", "--ledger", "a ledger's-2"]
    named[1:] = [[*named[3][:3], "NEW-FOLDER"], named[1], named[2][:4]]  # the summary has the addresses as well
    assert named[1:] == named_in(bench.here("status", "a ledger's").out)
    found = reported(capsys, bench.folder / "r.html", Path("a ledger's"))
    assert named[1:] == named_in("\n".join(command for one in found["advice"] for command in one["commands"]))
    assert "purgeengine export 'a ledger'\"'\"'s' bad.csv --only invalid" in text_of(bench.folder / "r.html")
    assert give(bench, named[0]).code == 0
    assert (bench.folder / "report.html").exists()
    still = give(bench, named[1])
    assert (still.code, still.json["outcomes"]["purged"]) == (1, 0)
    chain = bench.here("status", "a ledger's", "NEW-FOLDER").out
    (again,) = [words for words in named_in(chain) if words[0] == "retry"]
    assert again[1] == "NEW-FOLDER", "the ledger that has the last word"
    bench.server.tenant.truth.mailbox(rows_of([1])[0][0]).trouble = None
    again[again.index("--ledger") + 1] = "third"
    done = give(bench, again)
    assert (done.code, done.json["outcomes"]["purged"]) == (0, 3)
    assert done.json["advice"] == []
    assert give(bench, named[2]).code == 0
    bad = bench.folder / "bad.csv"
    bad.write_text(bad.read_text("utf-8").replace("mailto:ann@contoso.example", rows_of([1])[0][0]), encoding="utf-8")
    corrected = give(bench, named[3])
    assert (corrected.code, corrected.json["complete"]) == (0, True), corrected.err
    together = bench.here("status", "a ledger's", "NEW-FOLDER", "third", "CORRECTED-FOLDER")
    assert "purgeengine" not in together.out, "nothing is left to do"


def test_a_list_of_which_only_invalid_rows_are_left_is_told_to_be_corrected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A list with only invalid rows left gets the advice to correct them, from status, report and a retry, which ends with 2."""
    with open_ledger(tmp_path / "L", FakeSource([INVALID, *rows_of([1]), INVALID])) as ledger:
        ending(ledger, 0, (Outcome.PURGED, Reply(204), False))
    with a_bench(tmp_path, a_tenant(rows_of([1])), rows_of([1])) as bench:
        status = bench.here("status", str(tmp_path / "L"))
        found = reported(capsys, tmp_path / "r.html", tmp_path / "L")
        page = text_of(tmp_path / "r.html")
        said = [status.out, json.dumps(found["advice"]), page]
        for more in ([], ["--only", "invalid"], ["--dry-run"]):
            tried = retry(bench, "L", "new", *more)
            assert tried.code == 2
            said.append(tried.err)
        assert not (tmp_path / "new").exists()
    for text in said:
        assert "2 rows were never sent, because they are wrong in the list" in text
        assert "--only invalid" in text
        assert "purgeengine run bad.csv --ledger CORRECTED-FOLDER" in text
        assert "purgeengine retry" not in text


def test_a_run_that_was_stopped_is_resumed_by_the_command_it_names(bench: Bench) -> None:
    """A stopped run is resumed by the command that status advises."""
    tenant_id = bench.server.login.app.tenant_id
    with Ledger.open(bench.folder / "old", open_source([bench.input]), tenant_id=tenant_id) as ledger:
        ending(ledger, 0, (E, Reply(0), False))
    bench.server.tenant.truth.mailbox(rows_of([1])[0][0]).trouble = None
    (resume,) = [
        words for words in named_in(bench.here("status", "old").out) if words[0] == "run" and "bad.csv" not in words
    ]
    ended = give(bench, resume)
    assert (ended.code, ended.json["complete"], ended.json["outcomes"]["purged"]) == (1, True, 6), ended.err
    assert retry(bench, "old", "new", "--until", "2020-01-01T00:00:00Z").code in (2, 4)


def test_a_protected_mailbox_is_no_reason_to_retry(bench: Bench) -> None:
    """A run that left out a mailbox says so, and does not advise a retry, which would purge it."""
    bench.server.tenant.truth.mailbox(rows_of([1])[0][0]).trouble = None
    keep = bench.folder / "keep.txt"
    keep.write_text(f"{rows_of([1])[0][0]}\n", encoding="utf-8")
    ran = run_for_people(bench, "L", "--exclude-users", str(keep))
    assert ran.code == 1
    assert (
        "3 rows (left out): A filter (--only-users, --exclude-users, --protected-users) left these rows out." in ran.out
    )
    assert "purgeengine retry" not in ran.out
    refused = retry(bench, "L", "L2")
    assert (refused.code, (bench.folder / "L2").exists()) == (2, False)
    assert "apart from rows that a filter left out" in refused.err
    assert retry(bench, "L", "L3", "--only", "skipped").code == 2
    assert retry(bench, "L", "L3", "--codes", "none").code == 2
    mine = [row for row in rows_of([1]) if bench.server.tenant.truth.exists(row[0], row[2])]
    assert len(mine) == 1
    assert retry(bench, "L", "L4", "--codes", "Filtered").code == 0
    assert not bench.server.tenant.truth.exists(mine[0][0], mine[0][2])


def test_an_export_of_no_rows_says_which_there_are_none_of(bench: Bench) -> None:
    """An export without rows says which outcomes no row has."""
    assert run_for_people(bench, "L").code == 1
    out = bench.folder / "out.csv"
    made = bench.here("export", "L", str(out), "--only", "exhausted,absent")
    assert (made.code, len(out.read_text(encoding="utf-8").splitlines())) == (0, 1)
    assert "0 rows written" in made.err
    assert "no row of the ledger is absent or exhausted" in made.err


def test_the_page_knows_no_success_of_an_empty_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The report of an empty list, or of one whose mailboxes were all closed, does not call it a success."""
    open_ledger(tmp_path / "empty", FakeSource([])).close()
    reported(capsys, tmp_path / "r.html", tmp_path / "empty")
    head = text_of(tmp_path / "r.html").split("What became of the rows")[0]
    assert "Nothing was purged" in head
    assert "ended well" not in head
    with open_ledger(tmp_path / "L", FakeSource(rows_of([1]))) as ledger:
        ledger.write([MailboxClosed(0, Reply(418, "NeverSeenBefore", "No."), 1)], NOW)
    found = reported(capsys, tmp_path / "r.html", tmp_path / "L")
    assert found["failures"][0]["what_to_do"]
    assert "The row of the list did not end well" in text_of(tmp_path / "r.html")
