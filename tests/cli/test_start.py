"""Tests of the start of a command line: it loads as little as it needs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from purgeengine.cli.main import run
from tests.support.cli_fixtures import rows_of, write_csv

HEAVY = {"aiohttp", "msal", "pyarrow", "rich", "structlog", "uvloop"}


def left_by(*arguments: str, say: str, **environment: str) -> str:
    """Run a command and return the value that Python prints of this expression at its end."""
    script = (
        f"import atexit, os, sys\natexit.register(lambda: print({say}))\nfrom purgeengine.cli.main import main\n"
        f"main({list(arguments)!r})"
    )
    clean = {name: value for name, value in os.environ.items() if name != "ARROW_DEFAULT_MEMORY_POOL"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=clean | environment
    )
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"], ["retry", "--help"]])
def test_help_is_told_without_what_a_run_needs(arguments: list[str]) -> None:
    """Help and version load none of the heavy libraries, which take most of the time of a start."""
    loaded = left_by(*arguments, say="*{name.partition('.')[0] for name in sys.modules}").split()
    assert "click" in loaded
    assert HEAVY.isdisjoint(loaded)


@pytest.mark.parametrize(("asked", "used"), [({}, "system"), ({"ARROW_DEFAULT_MEMORY_POOL": "mimalloc"}, "mimalloc")])
def test_arrow_takes_its_memory_from_the_system_unless_told_otherwise(
    tmp_path: Path, asked: dict[str, str], used: str
) -> None:
    """Arrow uses the system's memory pool unless the environment names another."""
    rows = write_csv(tmp_path / "in.csv", rows_of([3]))
    pool = "sys.modules['pyarrow'].default_memory_pool().backend_name"
    assert left_by("plan", str(rows), say=pool, **asked) == used


def test_cycles_are_looked_for_rarely_and_not_in_what_was_imported() -> None:
    """The garbage collector runs rarely and skips what was imported, from the start of any command."""
    assert left_by("--version", say="__import__('gc').get_threshold()[0] >= 100_000") == "True"
    assert left_by("--version", say="__import__('gc').get_freeze_count() > 10_000") == "True"


@pytest.mark.parametrize(("typed", "meant"), [("stauts", "status"), ("reports", "report"), ("xyz", None)])
def test_a_command_that_does_not_exist_is_told_with_the_one_that_may_be_meant(
    typed: str, meant: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unknown command is refused with the nearest command, if there is one."""
    assert run([typed]) == 2
    said = capsys.readouterr().err
    assert f"No such command {typed!r}." in said
    assert ("Did you mean" in said) == (meant is not None)
    assert f"(Did you mean {meant!r}?)" in said or meant is None
