"""Tests of what every command really prints with ``--json``: valid by its schema, for success and for each kind of failure."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from purgeengine.cli import main
from purgeengine.cli.commands import demo
from purgeengine.edges.ledger import Chain, LedgerReader
from purgeengine.log_events import RUN_ENDED
from purgeengine.sim.graph.tenant import Tenant
from purgeengine.sim.login.login_endpoint import App, LoginEndpoint
from purgeengine.sim.wire.answers import Trouble
from tests.cli.commands.test_check import QUICK, a_tenant, way_of
from tests.cli.test_answers_cli import Graph, commanded, error
from tests.edges.ledger.outputs.test_chain import chain  # noqa: F401 - a fixture
from tests.support.cli_fixtures import Bench, Ended, Row, a_bench, rows_of, write_csv
from tests.support.json_judge import check, judged
from tests.support.json_schemas import events

ROWS = rows_of([3, 3, 2])
DENIED = ROWS[3][0]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Open a bench with a ledger of which one mailbox was denied, a list with bad rows, and a retry that purged the rest."""
    folder = tmp_path_factory.mktemp("finished")
    tenant = a_tenant(ROWS, {1: Trouble.DENIED})
    with a_bench(folder, tenant, [*ROWS, ("nobody", "", "x"), ROWS[0]]) as bench:
        assert bench.run_here().code == 1
        tenant.truth.mailbox(DENIED).trouble = None
        assert (
            bench.here("retry", str(bench.ledger), "--ledger", str(folder / "second"), "--yes", *way_of(bench)).code
            == 0
        )
        write_csv(folder / "bad.csv", [("nobody", "", "x")])
        yield bench


def told(ended: Ended, command: str | None) -> dict[str, Any]:
    """Return the object, which must be valid. Its exit code is that of the process, and standard error has its message."""
    found = judged(ended.out, command)
    assert found["exit_code"] == ended.code
    if found["error"] is not None:
        assert found["error"]["message"] in ended.err
    assert "Traceback" not in ended.err
    return found


WELL = {
    "plan": (["plan", "{input}"], 0),
    "plan of a folder": (["plan", "{lists}"], 0),
    "check": (["check", "{endpoint}"], 0),
    "check with a list": (["check", "{input}", "{endpoint}"], 0),
    "check --strict": (["check", "{input}", "{endpoint}", "--strict"], 1),
    "run again": (["run", "{input}", "--ledger", "{ledger}", "--yes", "{endpoint}"], 1),
    "run --dry-run": (["run", "{input}", "--dry-run"], 0),
    "run --dry-run of a ledger": (["run", "--ledger", "{ledger}", "--dry-run"], 0),
    "retry --dry-run": (["retry", "{ledger}", "--ledger", "{new}", "--dry-run"], 0),
    "retry of a retry that ended well": (["retry", "{second}", "--ledger", "{new}", "--yes", "{endpoint}"], 0),
    "status": (["status", "{ledger}"], 0),
    "status of two": (["status", "{ledger}", "{second}"], 0),
    "export": (["export", "{ledger}", "{folder}/all.csv"], 0),
    "export --only": (["export", "{ledger}", "{folder}/some.parquet", "--only", "purged,skipped"], 0),
    "report": (["report", "{ledger}"], 0),
    "report of two": (["report", "{ledger}", "{second}"], 0),
    "config show": (["config", "show", "plan"], 0),
    "version": (["version"], 0),
    "simulate": (["simulate", "--duration-s", "0.01", "--credentials", "{folder}/ways"], 0),
}
"""Commands that do what was asked, each with its exit code."""

ILL = {
    "an unknown option": (["plan", "{input}", "--nonsense"], 2, "usage", "No such option"),
    "a missing argument": (["status"], 2, "usage", "Missing argument"),
    "an unknown command": (["purge"], 2, "usage", "No such command"),
    "a wrong value": (["plan", "{input}", "--connections", "0"], 2, "usage", "--connections"),
    "no ledger": (["run", "{input}"], 2, "usage", "--ledger"),
    "nobody to ask": (["run", "{input}", "--ledger", "{new}", "{endpoint}"], 2, "usage", "--yes"),
    "no such list": (["plan", "{folder}/none.csv"], 2, "input", "none.csv"),
    "a list without a usable row": (["plan", "{bad}"], 2, "input", "No row"),
    "a dry run without a usable row": (["run", "{bad}", "--dry-run"], 2, "input", "No row"),
    "a dry run of too many rows": (["run", "{input}", "--dry-run", "--max-items", "1"], 2, "usage", "--max-items"),
    "another list": (["run", "{bad}", "--ledger", "{ledger}", "--yes", "{endpoint}"], 2, "ledger_mismatch", "another"),
    "a choice of no row": (
        ["retry", "{ledger}", "--ledger", "{new}", "--only", "exhausted", "--dry-run"], 2, "usage", "exhausted",
    ),
    "ledgers of two purges": (["status", "{ledger}", "{other}"], 2, "ledger_mismatch", "do not belong together"),
    "export to - with --json": (["export", "{ledger}", "-"], 2, "usage", "standard output"),
    "export to an unknown format": (["export", "{ledger}", "x.doc"], 2, "usage", ".csv"),
    "export to no folder": (["export", "{ledger}", "{folder}/none/x.csv"], 2, "usage", "there is no folder"),
    "report with another name": (["report", "{ledger}", "-o", "x.pdf"], 2, "usage", ".html"),
    "report of no ledger": (["report", "{folder}/none"], 5, "ledger", "no ledger"),
    "status of no ledger": (["status", "{folder}/none"], 5, "ledger", "no ledger"),
    "settings of no command": (["config", "show", "nothing"], 2, "usage", "no command"),
    "a duration of nothing": (["simulate", "--duration-s", "0"], 2, "usage", "--duration-s"),
    "a file that is missing": (["plan", "{input}", "--config", "{folder}/none.toml"], 2, "usage", "none.toml"),
    "no credential": (["run", "{input}", "--ledger", "{new}", "--yes", "--auth", "device-code"], 3, "sign_in", ""),
    "a Graph that cannot be reached": (["check", "{endpoint}", "--graph-url", "{nowhere}"], 4, "unreachable", "127.0.0.1"),
}  # fmt: skip
"""Commands that cannot do what was asked, each with exit code, kind of error and a part of the message."""


def filled(arguments: list[str], bench: Bench, tmp_path: Path) -> list[str]:
    """Put paths and addresses into arguments."""
    paths = {
        "input": bench.input, "ledger": bench.ledger, "folder": tmp_path, "new": tmp_path / "new", "lists": bench.folder,
        "second": bench.folder / "second", "bad": bench.folder / "bad.csv", "other": tmp_path / "other",
        "nowhere": "https://127.0.0.1:9",
    }  # fmt: skip
    found = [word for one in arguments for word in (way_of(bench) if one == "{endpoint}" else [one])]
    return [word.format(**paths) for word in found]


def named(arguments: list[str]) -> str | None:
    """Return the name of the command."""
    name = "config show" if arguments[0] == "config" else arguments[0]
    return name if name in main.COMMANDS or name == "config show" else None


@pytest.mark.parametrize("what", WELL)
def test_a_result_is_valid(what: str, finished: Bench, tmp_path: Path) -> None:
    """The object of every command that does what was asked is valid by its schema, and has no error."""
    arguments, code = WELL[what]
    if what == "plan of a folder":
        lists = tmp_path / "lists"
        lists.mkdir()
        shutil.copy(finished.input, lists / "a.csv")
        (lists / "notes.txt").write_text("no list")
        arguments = ["plan", str(lists)]
    ended = finished.here(*filled(arguments, finished, tmp_path), "--json")
    assert ended.code == code, ended.err
    if arguments[0] == "simulate":
        found = judged(ended.out, "simulate")
        assert found["exit_code"] is None
    else:
        found = told(ended, named(arguments))
    assert found["error"] is None
    if "--dry-run" in arguments or arguments[0] == "plan":
        assert found["dry_run"] is ("--dry-run" in arguments)


@pytest.mark.parametrize("what", ILL)
def test_an_error_is_valid(what: str, finished: Bench, tmp_path: Path) -> None:
    """The object of every command that fails is valid by its schema, and has the kind, the sentence and the exit code."""
    arguments, code, kind, said = ILL[what]
    if "{other}" in arguments:
        write_csv(tmp_path / "other.csv", rows_of([1]))
        staged = ["run", str(tmp_path / "other.csv"), "--ledger", str(tmp_path / "other"), "--yes", *way_of(finished)]
        assert finished.here(*staged).code == 0
    environment = {}
    if what == "no credential":
        environment = {"AZURE_CLIENT_SECRET": "", "AZURE_TENANT_ID": "", "AZURE_CLIENT_ID": ""}
    ended = finished.here(*filled(arguments, finished, tmp_path), "--json", **environment)
    found = told(ended, named(arguments))
    assert (ended.code, found["error"]["kind"]) == (code, kind), ended.err
    assert said in found["error"]["message"]
    assert found["error"]["what_to_do"]


def test_a_run_is_valid_however_it_ends(tmp_path: Path) -> None:
    """The summary of a run is valid if all rows are purged, if some are refused, and if it stops: then it says why."""
    many = rows_of([20] * 12)
    ends: tuple[tuple[list[Row], dict[int, Trouble], list[str], int, str | None], ...] = (
        (ROWS, {}, [], 0, None),
        (ROWS, {1: Trouble.DENIED}, [], 1, None),
        (many, {0: Trouble.DENIED}, ["--max-failures", "0", "--connections", "1"], 4, "stopped"),
    )
    for number, (rows, troubles, options, code, kind) in enumerate(ends):
        folder = tmp_path / str(number)
        folder.mkdir()
        with a_bench(folder, a_tenant(rows, troubles), rows) as bench:
            ended = bench.run_here(*options)
        found = told(ended, "run")
        assert ended.code == code, ended.err
        assert (found["error"] or {"kind": None})["kind"] == kind
        assert found["stopped"] == (found["error"] or {"message": None})["message"]


def test_a_refused_app_is_valid(tmp_path: Path) -> None:
    """A run that Graph refuses as a whole has a summary with exit code 3, which says why."""
    graph = Graph(error(400, "BadRequest", "Resource not found for the segment 'permanentDelete'."))
    source = write_csv(tmp_path / "list.csv", [("bad@contoso.example", "", contact) for _, _, contact in rows_of([3])])
    arguments = ("run", str(source), "--ledger", str(tmp_path / "L"), "--yes", "--json", "--quiet")
    found = told(Ended(*commanded(tmp_path, graph, *arguments)), "run")
    assert (found["exit_code"], found["error"]["kind"], found["waiting"]) == (3, "sign_in", 3)
    assert found["error"]["message"] == found["stopped"]


def test_a_damaged_ledger_is_valid(tmp_path: Path) -> None:
    """A ledger that cannot be read is an error with exit code 5, of every command that reads one."""
    with a_bench(tmp_path, a_tenant(ROWS), ROWS) as bench:
        assert bench.run_here().code == 0
        (bench.ledger / "ledger.sqlite").write_bytes(b"x" * 4_096)
        for command in (bench.run_arguments(), ["status", str(bench.ledger), "--json"]):
            found = told(bench.here(*command), command[0])
            assert (found["exit_code"], found["error"]["kind"]) == (5, "ledger")


def test_a_wrong_secret_is_valid(tmp_path: Path) -> None:
    """A secret that the login refuses is an error with exit code 3, of run and of check."""
    rows = rows_of([1])
    with a_bench(tmp_path, a_tenant(rows), rows) as bench:
        found = told(bench.run_here(AZURE_CLIENT_SECRET="wrong"), "run")
        assert (found["exit_code"], found["error"]["kind"]) == (3, "sign_in")
        found = told(bench.here("check", *way_of(bench), "--json", AZURE_CLIENT_SECRET="wrong"), "check")
        assert (found["exit_code"], found["error"]["kind"]) == (3, "sign_in")
        assert found["findings"][-1]["level"] == "failed"


def test_a_chain_is_valid(chain: list[Path], capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    """Status and report of three ledgers are valid, and agree in every key that both have."""
    folders = [str(folder) for folder in chain]
    found = {}
    for command in ("status", "report"):
        assert main.run([command, *folders, "--json"]) == 0
        found[command] = judged(capsys.readouterr().out, command)
    status, report = found["status"], found["report"]
    for key in ("rows", "outcomes", "waiting", "in_doubt", "complete", "left_in_doubt", "unnamed_before", "advice"):
        assert status[key] == report[key], key
    assert [one["decided"] for one in status["ledgers"]] == [one["decided"] for one in report["ledgers"]]
    for key in ("calls", "lost_calls", "refused_calls", "unanswered_calls"):
        assert status[key] == sum(one[key] for one in report["ledgers"]), key
    assert status["last_settled_utc"] == max(one["last_settled_utc"] for one in report["ledgers"])


def test_status_and_report_of_one_ledger_agree(finished: Bench) -> None:
    """Status and report of one ledger have the same value in every key that both have, mailboxes and failures included."""
    status = told(finished.here("status", str(finished.ledger), "--json"), "status")
    report = told(finished.here("report", str(finished.ledger), "--json"), "report")
    both = (set(status) & set(report)) - {"command", "ledgers", "failures", "worst_mailboxes"}
    assert {key: status[key] for key in both} == {key: report[key] for key in both}
    assert len(both) > 10
    for key, told_by_both in (
        ("failures", ("status", "code", "message", "rows")),
        ("worst_mailboxes", ("user", "refused", "exhausted", "skipped", "reason")),
    ):
        cut = [[{name: one[name] for name in told_by_both} for one in found[key]] for found in (status, report)]
        assert cut[0] == cut[1], key
        assert cut[0]
    (one,), (other,) = status["ledgers"], report["ledgers"]
    assert {key: one[key] for key in one} == {key: other[key] for key in one if key in other} | {
        "rows_decided": one["rows"]
    }
    for key in ("calls", "lost_calls", "refused_calls", "unanswered_calls", "slowest_call_s", "first_sent_utc"):
        assert status[key] == other[key], key


def test_one_ledger_counts_doubts_as_a_chain_does(chain: list[Path], capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    """The rows left in doubt of one ledger, counted by a query, equal those that a reading of all rows finds."""
    found = []
    for folder in chain:
        assert main.run(["status", str(folder), "--json"]) == 0
        with Chain.open([folder]) as alone:
            assert judged(capsys.readouterr().out, "status")["left_in_doubt"] == alone.final().left_in_doubt()
            found.append(alone.final().left_in_doubt())
    assert found[0] == 2
    assert len(set(found)) > 1


def test_an_unfinished_ledger_is_valid(finished: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Status, report and export of a ledger of which nothing was sent are valid."""
    with a_bench(tmp_path, Tenant(QUICK), ROWS) as bench:
        told(bench.run_here(AZURE_CLIENT_SECRET="wrong"), "run")
        ended = bench.run_here("--until", "2020-01-01T00:00:00+00:00")
        assert ended.code in (2, 4), ended.err
        told(ended, "run")
    if (tmp_path / "ledger" / "ledger.sqlite").exists():
        for command in (["status"], ["report"], ["export", str(tmp_path / "all.csv")]):
            name, *more = command
            assert main.run([name, str(tmp_path / "ledger"), *more, "--json"]) == 0
            assert judged(capsys.readouterr().out, name)["error"] is None


def test_an_export_is_what_was_told(finished: Bench, tmp_path: Path) -> None:
    """The object of an export has the size, the digest and the rows by outcome that other programs find in the file."""
    for name in ("all.csv", "some.csv.gz", "all.parquet"):
        out = tmp_path / name
        more = ["--only", "purged,invalid"] if name.startswith("some") else []
        found = told(finished.here("export", str(finished.ledger), str(out), *more, "--json"), "export")
        data = out.read_bytes()
        assert (found["bytes"], found["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
        assert (found["file"], found["format"]) == (str(out), name.split(".", 1)[1])
        assert found["only"] == (["invalid", "purged"] if more else None)
    with (tmp_path / "all.csv").open(encoding="utf-8", newline="") as lines:
        outcomes = Counter(row["outcome"] for row in csv.DictReader(lines))
    found = told(
        finished.here("export", str(finished.ledger), str(tmp_path / "all.csv"), "--force", "--json"), "export"
    )
    assert {name: rows for name, rows in found["outcomes"].items() if rows} == dict(outcomes)
    assert (found["rows"], found["without_outcome"]) == (outcomes.total(), 0)


def test_a_demo_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The demo's object is valid, and tells how many rows were compared with the tenant."""
    rows = rows_of([2] * 8)
    sample = write_csv(tmp_path / "sample.csv", rows)
    monkeypatch.setattr(demo, "sample_input", lambda: sample)
    assert main.run(["demo", "--json", "--quiet"]) == 0
    found = judged(capsys.readouterr().out, "demo")
    assert (found["rows"], found["compared_rows"], found["exit_code"]) == (16, 16, 0)


def test_every_line_of_a_json_log_is_valid(tmp_path: Path) -> None:
    """Every line of a JSON log fits the schema of a line, and the event at the end has the figures of the summary."""
    with a_bench(tmp_path, a_tenant(ROWS, {1: Trouble.DENIED}), ROWS) as bench:
        arguments = [word for word in bench.run_arguments("--log-format", "json", "--verbose") if word != "--quiet"]
        ended = bench.here(*arguments)
    summary = told(ended, "run")
    lines = [json.loads(line) for line in ended.err.splitlines()]
    assert len(lines) > 10
    for line in lines:
        check(line, "log.json", closed=False)
        assert line["event"] in events()
    (end,) = (line for line in lines if line["event"] == RUN_ENDED)
    left_out = {"schema", "command", "version", "error", "dry_run", "ledger"}
    assert end == {key: value for key, value in summary.items() if key not in left_out} | {
        key: end[key] for key in ("event", "level", "timestamp")
    }


def test_names_that_are_no_text_are_valid_and_ascii(tmp_path: Path) -> None:
    """Letters that no code page has, and bytes that are no text, are written as escapes of ASCII."""
    rows = rows_of([1])
    folder = tmp_path / "löschen-删除"
    folder.mkdir()
    with a_bench(folder, a_tenant(rows), rows, LoginEndpoint(App(roles=("Contacts.ReadWrite",)))) as bench:
        assert told(bench.run_here(), "run")["ledger"] == str(bench.ledger)
        assert told(bench.here("status", str(bench.ledger), "--json"), "status")["ledgers"][0]["ledger"] == str(
            bench.ledger
        )
    with LedgerReader.open(folder / "ledger") as reader:
        assert reader.complete
