"""Tests of messages about inputs and options that do not fit: each fault once, under the name that users know."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from purgeengine.cli import starting
from purgeengine.cli.options.request_options import OutputOptions
from purgeengine.sim.graph.tenant import Tenant
from purgeengine.sim.tenant_settings import TenantSettings
from tests.cli.test_main import a_tenant
from tests.support.cli_fixtures import Bench, a_bench, rows_of
from tests.support.source_fixtures import USER, a_file

REAL = "AAMkAGI2" + "THVSAAA" * 17 + "0="


@pytest.fixture(name="bench")
def a_bench_with_one_contact(tmp_path: Path) -> Iterator[Bench]:
    """Open a bench with one contact."""
    row = (USER, "", REAL)
    with a_bench(tmp_path, Tenant(TenantSettings(), contacts=[row], seed=5), [row]) as bench:
        yield bench


def piped(bench: Bench, monkeypatch: pytest.MonkeyPatch, text: str) -> Bench:
    """Return the bench with ``-`` as its input and this text on standard input."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    return replace(bench, input=Path("-"))


@pytest.mark.parametrize(
    "text",
    [
        "person,card\nx,y\n",
        f'user,contact\n{USER},"{REAL}\n',
        f"user,contact\n{USER},{REAL},x\n",
        "user,contact\n1,2\n",
        "",
    ],
)
def test_standard_input_is_called_so(bench: Bench, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Faults of standard input name it as such, and never the temporary copy."""
    for command in (["plan", "-"], bench.run_arguments()):
        said = piped(bench, monkeypatch, text).here(*["-" if word == str(bench.input) else word for word in command])
        assert said.code == 2
        assert "standard input" in said.err.lower()
        assert "purgeengine-" not in said.err + said.out


def test_another_standard_input_is_refused_under_its_name(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another standard input than the ledger's is refused under that name."""
    text = f"user,contact\n{USER},{REAL}\n"
    assert piped(bench, monkeypatch, text).run_here().code == 0
    said = piped(bench, monkeypatch, f"{text}{USER},{REAL}1\n").run_here()
    assert (said.code, "was made from another input (standard input)" in said.err) == (2, True)


def test_the_mailbox_that_a_ledger_was_made_with_is_told(bench: Bench, tmp_path: Path) -> None:
    """The mailbox that a ledger was made with is named to a user who gives another --user or none."""
    bench = replace(bench, input=a_file(tmp_path, f"id\n{REAL}\n", "one.csv"))
    assert bench.run_here("--user", USER).code == 0
    said = bench.run_here("--user", "bob@contoso.example")
    assert (said.code, f"Give --user {USER} instead of --user bob@contoso.example to resume" in said.err) == (2, True)
    for more in ((), ("--dry-run",)):
        said = bench.run_here(*more)
        assert said.code == 2
        assert "has no column for the user" in said.err
        assert f"was made with --user {USER}" in said.err


def test_a_dry_run_needs_no_ledger(bench: Bench, tmp_path: Path) -> None:
    """A dry run gives the same result with and without a new ledger.

    A run without a ledger, and a dry run without an input, are refused.
    """
    path = str(a_file(tmp_path, f"user,contact\n{USER},{REAL}\n", "one.csv"))
    without = bench.here("run", path, "--dry-run", "--json")
    with_one = bench.here("run", path, "--dry-run", "--json", "--ledger", str(bench.ledger))
    assert (without.code, without.json["to_purge"]) == (0, 1)
    assert without.json == with_one.json
    assert not bench.ledger.exists()
    for arguments, said in ((["run", path], "--ledger"), (["run", "--dry-run"], "Name an INPUT")):
        ended = bench.here(*arguments)
        assert (ended.code, said in ended.err) == (2, True)


def test_a_list_without_a_usable_row_is_told_once(bench: Bench, tmp_path: Path) -> None:
    """A list without a valid row is reported once, as the error."""
    ended = bench.here("plan", str(a_file(tmp_path, f"user,contact\nx,{REAL}\n", "one.csv")))
    assert ended.code == 2
    assert "Nothing to purge" not in ended.out
    assert ended.err.count("No row of the list can be sent") == 1


class Screen(io.StringIO):
    """A text stream that claims to be a terminal."""

    def isatty(self) -> bool:
        """Return True, as a terminal does."""
        return True


def test_nothing_found_is_told_once_where_people_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a screen and elsewhere, a run that found no contact says so in the summary only. A log file has the event.

    If log or summary is JSON, the log has the event or its sentence too.
    """
    rows = rows_of([2])
    with a_bench(tmp_path, a_tenant(rows, gone=2), rows) as bench:
        told = [word for word in bench.run_arguments() if word != "--json"]
        said = bench.here(*told, "--log-file", str(tmp_path / "log"))
        assert (said.out.count("Not one of the 2 contacts"), "run.doubted" in said.err) == (1, False)
        assert (tmp_path / "log").read_text("utf-8").count("run.doubted") == 1
        monkeypatch.setattr("tests.support.cli_fixtures.io.StringIO", Screen)
        said = bench.here(*told)
        assert (said.out.count("Not one of the 2 contacts"), "run.doubted" in said.err) == (1, False)
        assert "run.doubted" in bench.here(*told, "--log-format", "json").err
        assert bench.here(*told, "--json").err.count("Not one of the 2 contacts") == 1
    assert starting._is_for_programs(OutputOptions(as_json=True))
