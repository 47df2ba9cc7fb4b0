"""Tests of the options by which a run is watched from outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from purgeengine.cli.main import run
from purgeengine.cli.options.request_options import OutputOptions
from purgeengine.cli.options.telemetry_options import TelemetryOptions

PLAIN = {"as_json": False, "log_format": "console", "quiet": False, "verbose": False, "log_file": None}


def test_the_options_are_made_of_those_of_a_command() -> None:
    """A command with the options has their values, and one without them watches nothing."""
    found = OutputOptions.of({**PLAIN, "metrics_port": 9464, "metrics_file": "purge.prom"})
    assert found.telemetry == TelemetryOptions(9464, "purge.prom")
    assert OutputOptions.of(PLAIN).telemetry == TelemetryOptions()


@pytest.mark.parametrize("command", ["run", "retry"])
def test_both_commands_that_purge_have_the_options(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`run` and `retry` explain both options in their help."""
    assert run([command, "--help"]) == 0
    said = capsys.readouterr().out
    assert "--metrics-port" in said
    assert "--metrics-file" in said


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_that_does_not_exist_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A number that is no port is refused by the name of the option."""
    assert run(["run", "x.csv", "--ledger", "x", "--metrics-port", port]) == 2
    assert "--metrics-port" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_refused_before_the_input_is_staged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A metrics file in a missing folder is refused with exit code 2, and no ledger is made."""
    source = tmp_path / "rows.csv"
    source.write_text("user,contact\na@contoso.example,AAMk123=\n", encoding="utf-8")
    ledger, file = tmp_path / "ledger", tmp_path / "missing" / "purge.prom"
    assert run(["run", str(source), "--ledger", str(ledger), "--yes", "--metrics-file", str(file)]) == 2
    assert "--metrics-file cannot be written" in capsys.readouterr().err
    assert not ledger.exists()
