"""Tests of the next command after a run: it is whole, it can be copied, and it works."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from purgeengine.cli import next_command
from purgeengine.cli.next_command import free_name, program
from purgeengine.sim.wire.answers import Trouble
from tests.cli.test_main import a_tenant
from tests.support.cli_fixtures import Bench, Ended, a_bench, rows_of, write_csv

DENIED = "user0001@contoso.example"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Open a bench in a folder with a blank in its name. One of two mailboxes denies the app."""
    folder = tmp_path / "two words"
    folder.mkdir()
    rows = rows_of([3, 2])
    tenant = a_tenant(rows)
    tenant.truth.mailbox(DENIED).trouble = Trouble.DENIED
    with a_bench(folder, tenant, rows) as bench:
        yield bench


def arguments_for_people(bench: Bench, *more: str) -> list[str]:
    """Return the arguments of a run whose summary is text."""
    return [argument for argument in bench.run_arguments(*more) if argument not in ("--json", "--quiet")]


def words_of(ended: Ended) -> list[str]:
    """Return the last line, which is the next command, as a POSIX shell reads it."""
    line = ended.out.splitlines()[-1]
    assert line.startswith("  "), ended.out
    return shlex.split(line)


def test_the_chain_of_next_commands_leads_to_the_end(bench: Bench) -> None:
    """Each command that is shown is given as it stands: a retry, a retry of that, and a report over all three ledgers."""
    first = bench.here(*arguments_for_people(bench, "--connections", "8"))
    assert first.code == 1, first.err
    words = words_of(first)
    assert words[:3] == ["purgeengine", "retry", str(bench.ledger)]
    assert words[words.index("--ledger") + 1] == f"{bench.ledger}-2"
    assert "NEW-FOLDER" not in first.out
    for option in ("--graph-url", "--authority", "--ca-file", "--connections"):
        assert option in words, words
    assert "--yes" not in words  # a purge is confirmed each time

    second = bench.here(*words[1:], "--yes")
    assert second.code == 1, second.err
    again = words_of(second)
    assert again[:3] == ["purgeengine", "retry", f"{bench.ledger}-2"]
    assert again[again.index("--ledger") + 1] == f"{bench.ledger}-3"
    assert f"report '{bench.ledger}' '{bench.ledger}-2' -o report.html" in second.out

    bench.server.tenant.truth.mailbox(DENIED).trouble = None
    third = bench.here(*again[1:], "--yes")
    assert third.code == 0, third.err
    report = words_of(third)
    assert report == [
        "purgeengine", "report", str(bench.ledger), f"{bench.ledger}-2", f"{bench.ledger}-3", "-o", "report.html",
    ]  # fmt: skip
    page = bench.folder / "report.html"
    assert bench.here(*report[1:-1], str(page)).code == 0
    assert page.stat().st_size > 1_000


def test_the_corrected_list_is_run_in_the_same_tenant(tmp_path: Path) -> None:
    """The command for corrected rows has the addresses of this run, and works as it stands once the rows are corrected."""
    rows = [*rows_of([2]), ("nobody", "", "AAMkAGI2=")]
    with a_bench(tmp_path, a_tenant(rows[:2]), rows) as bench:
        done = bench.here(*arguments_for_people(bench))
        assert done.code == 1, done.out
        (line,) = [line.strip() for line in done.out.splitlines() if "CORRECTED-FOLDER" in line]
        words = shlex.split(line)
        bad = write_csv(tmp_path / "bad.csv", rows[:1])
        again = [str(bad) if word == "bad.csv" else word for word in words[1:]]
        assert again[again.index("--graph-url") + 1] == bench.server.graph_url
        again[again.index("--ledger") + 1] = str(tmp_path / "corrected")
        ended = bench.here(*again, "--yes")
    assert ended.code == 0, ended.err
    assert "absent" in ended.out


def test_a_stopped_run_ends_with_the_command_that_resumes_it(tmp_path: Path) -> None:
    """The same command as a whole, which goes on with the job when it is given as it stands."""
    rows = rows_of([20] * 40)
    tenant = a_tenant(rows)
    for user, _, _ in rows:
        tenant.truth.mailbox(user).trouble = Trouble.DENIED
    with a_bench(tmp_path, tenant, rows) as bench:
        given = arguments_for_people(bench, "--max-failures", "0", "--connections", "1")
        stopped = bench.here(*given)
        assert stopped.code == 4, stopped.out
        words = words_of(stopped)
        assert words == ["purgeengine", *given]
        assert stopped.out.count("purgeengine run") == 1, stopped.out
        before = stopped.out.split()[stopped.out.split().index("waiting") + 1]
        again = bench.here(*words[1:])
        assert f"settled={800 - int(before)} " in again.err


def test_after_a_retry_of_an_unfinished_ledger_that_ledger_is_resumed(tmp_path: Path) -> None:
    """The retry took the rows that had failed so far. The command that is shown sends the others, and then the report is next."""
    rows = rows_of([20] * 40)
    tenant = a_tenant(rows)
    for user, _, _ in rows:
        tenant.truth.mailbox(user).trouble = Trouble.DENIED
    with a_bench(tmp_path, tenant, rows) as bench:
        assert bench.here(*arguments_for_people(bench, "--max-failures", "0", "--connections", "1")).code == 4
        for user, _, _ in rows:
            tenant.truth.mailbox(user).trouble = None
        options = [word for word in bench.run_arguments()[5:] if word not in ("--json", "--quiet")]
        where = ["--ledger", f"{bench.ledger}-2", "--connections", "8"]
        retried = bench.here("retry", str(bench.ledger), *where, "--unfinished", *options, "--yes")
        assert retried.code == 0, retried.err
        words = words_of(retried)
        assert words[:4] == ["purgeengine", "run", "--ledger", str(bench.ledger)]
        assert "--connections" in words
        assert "resume the earlier ledger, which has" in retried.out
        before = tenant.counters.purged
        assert bench.here(*words[1:], "--yes").code == 1  # the rows that had failed there
        assert before < tenant.counters.purged == 800


def test_a_list_from_a_pipe_is_resumed_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that came from standard input is gone, so the command resumes the ledger, with the options of the run."""
    rows = rows_of([20] * 40)
    tenant = a_tenant(rows)
    for user, _, _ in rows:
        tenant.truth.mailbox(user).trouble = Trouble.DENIED
    with a_bench(tmp_path, tenant, rows) as bench:
        given = arguments_for_people(bench, "--max-failures", "0", "--connections", "1")
        given[1] = "-"
        monkeypatch.setattr(sys, "stdin", bench.input.open(encoding="utf-8"))
        stopped = bench.here(*given)
        sys.stdin.close()
        assert stopped.code == 4, stopped.err
        words = words_of(stopped)
        assert words[:4] == ["purgeengine", "run", "--ledger", str(bench.ledger)]
        assert set(words[4:]) == set(given[4:])
        assert bench.here(*words[1:]).code == 4


def test_a_run_that_was_stopped_at_its_last_row_is_not_to_be_resumed(bench: Bench) -> None:
    """A threshold that is crossed when every row has its outcome ends with exit code 1: nothing is left to resume."""
    bench.server.tenant.truth.mailbox("user0000@contoso.example").trouble = Trouble.DENIED
    ended = bench.run_here("--max-failures", "0", "--no-auto-stop", "--connections", "16")
    assert (ended.code, ended.json["complete"], ended.json["stopped"]) == (1, True, None), ended.out


def test_a_new_folder_does_not_exist_yet(tmp_path: Path) -> None:
    """The name is the next number that is free, and a name without a number begins with 2."""
    for name in ("cleanup", "cleanup-2", "x-9", "2026-11-28", "-"):
        (tmp_path / name).mkdir()
    assert free_name(tmp_path / "cleanup").name == "cleanup-3"
    assert free_name(tmp_path / "cleanup-2").name == "cleanup-3"
    assert free_name(tmp_path / "x-9").name == "x-10"
    assert free_name(Path("./cleanup-of-2026")).name == "cleanup-of-2026-2"
    assert not os.path.lexists(free_name(tmp_path / "-"))


def test_the_program_is_named_as_it_can_be_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name if the shell finds this program by it, its path if not, and the module if it was called so."""
    installed = tmp_path / "bin dir" / "purgeengine"
    installed.parent.mkdir()
    installed.write_text("#!/bin/sh\n", encoding="utf-8")
    installed.chmod(0o755)
    monkeypatch.setattr(next_command, "WINDOWS", False)
    monkeypatch.setattr(sys, "argv", [str(installed)])
    monkeypatch.setenv("PATH", str(installed.parent))
    if sys.platform != "win32":
        assert program() == "purgeengine"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shlex.split(program()) == [str(installed)]
    monkeypatch.setattr(sys, "argv", ["/somewhere/purgeengine/__main__.py"])
    assert shlex.split(program()) == [sys.executable, "-m", "purgeengine"]


def test_words_are_quoted_for_the_shell_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """PowerShell gets its own quotes, and an option keeps its name."""
    monkeypatch.setattr(next_command, "WINDOWS", True)
    assert next_command._quoted(r"C:\my lists\a.csv") == '"C:\\my lists\\a.csv"'
    assert next_command._quoted("--ledger=C:\\my lists") == '--ledger="C:\\my lists"'
    assert next_command._quoted("cost$") == "'cost$'"
    monkeypatch.setattr(next_command, "WINDOWS", False)
    for word in ("a b", "it's", "$HOME", "--only-users=a b", "-", "--yes", "", "*"):
        assert shlex.split(next_command._quoted(word)) == [word]
