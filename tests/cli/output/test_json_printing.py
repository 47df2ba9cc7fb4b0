"""Tests of errors as JSON: they are printed whenever JSON was asked for, in any way, and exactly once."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from purgeengine.cli import main
from purgeengine.sim.graph.faults import Faults
from tests.cli.test_processes import QUICK, a_job, ended, posix, until
from tests.support.json_judge import judged


@pytest.mark.parametrize("asked", ["option", "variable", "file", "section of the file"])
def test_an_error_is_json_however_json_was_asked_for(
    asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An option, a variable and a file of settings ask for JSON, and then errors of click and our own are JSON."""
    settings = tmp_path / "settings.toml"
    settings.write_text({"file": "json = true\n", "section of the file": "[plan]\njson = true\n"}.get(asked, ""))
    if asked == "variable":
        monkeypatch.setenv("PURGEENGINE_JSON", "true")
    more = ["--json"] if asked == "option" else []
    for wrong, kind in ((["--connections", "many"], "usage"), ([str(tmp_path / "none.csv")], "input")):
        arguments = [str(tmp_path / "none.csv"), *wrong] if kind == "usage" else wrong
        assert main.run(["plan", *arguments, "--config", str(settings), *more]) == 2
        said = capsys.readouterr()
        assert judged(said.out, "plan")["error"]["kind"] == kind
        assert said.err


def test_nothing_is_json_unless_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --json, and with --json only as an argument after --, an error prints nothing on standard output."""
    for arguments in (["plan", str(tmp_path / "none.csv")], ["plan", "--", "--json"]):
        assert main.run(arguments) == 2
        assert capsys.readouterr().out == ""


def test_a_variable_asks_only_commands_that_read_variables(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The variable does not change commands whose options have no variables."""
    monkeypatch.setenv("PURGEENGINE_JSON", "1")
    assert main.run(["simulate", "--duration-s", "0"]) == 2
    assert capsys.readouterr().out == ""


def test_an_interrupt_is_json(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C while an input is read is an error with exit code 4."""
    from purgeengine.cli.commands import plan

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(plan, "preview_of", interrupted)
    (tmp_path / "a.csv").write_text("user,contact\n")
    assert main.run(["plan", str(tmp_path / "a.csv"), "--json"]) == 4
    found = judged(capsys.readouterr().out, "plan")
    assert found["error"]["kind"] == "stopped"
    assert found["error"]["message"].startswith("Stopped.")


def test_a_lack_of_memory_is_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A lack of memory is an error with exit code 4."""
    from purgeengine.cli.commands import status

    def starved(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(status, "advice_for", starved)
    monkeypatch.setattr("purgeengine.edges.ledger.reader.LedgerReader.open", starved)
    assert main.run(["status", "somewhere", "--json"]) == 4
    assert judged(capsys.readouterr().out, "status")["error"]["kind"] == "stopped"


@posix
def test_a_second_signal_prints_one_object(tmp_path: Path) -> None:
    """A run that a second signal ends at once, while it waits for answers, prints one object with exit code 4."""
    with a_job(tmp_path, 8, 8, settings=QUICK) as bench:
        bench.server.tenant.set_faults(Faults(hang_after=1.0))
        with bench.start(*bench.run_arguments()) as process:
            until(lambda: bench.server.tenant.counters.purged > 0, process)
            process.send_signal(signal.SIGINT)
            assert process.stderr is not None
            assert process.stderr.readline().startswith("purgeengine: Stopping")
            process.send_signal(signal.SIGINT)
            code, out, err = ended(process)
    assert code == 4, err
    found = judged(out, "run")
    assert (found["exit_code"], found["error"]["kind"]) == (4, "stopped")
    assert found["error"]["message"] in err


@posix
def test_a_signal_before_the_first_call_prints_one_object(tmp_path: Path) -> None:
    """A run that a signal ends while it signs in, at a login that never answers, prints one object with exit code 4."""
    with a_job(tmp_path, 1, settings=QUICK) as bench, socket.create_server(("127.0.0.1", 0)) as login:
        arguments = bench.run_arguments()
        arguments[arguments.index("--authority") + 1] = f"https://127.0.0.1:{login.getsockname()[1]}"
        with bench.start(*arguments) as process:
            call, _ = login.accept()
            process.send_signal(signal.SIGTERM)
            code, out, err = ended(process)
            call.close()
    assert code == 4, err
    assert judged(out, "run")["error"]["message"] in err


def test_output_stays_json_where_the_locale_has_no_letters_for_it(tmp_path: Path) -> None:
    """Under a locale of ASCII only, a name with other letters is still valid JSON, and reads back as it is."""
    missing = tmp_path / "größe-删除.csv"
    done = subprocess.run(
        [sys.executable, "-m", "purgeengine", "plan", str(missing), "--json"],
        capture_output=True,
        timeout=60,
        env={"PATH": "", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"},
    )
    assert done.returncode == 2
    assert "gr" in json.loads(done.stdout.decode("ascii"))["error"]["message"]
